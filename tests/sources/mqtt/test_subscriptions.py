"""Which filters are subscribed to, with which QoS and identifier, and what is said about overlaps."""

from __future__ import annotations

import pytest

from bridge.settings import SubscriptionSettings
from bridge.sources.mqtt.subscriptions import SubscriptionPlan


def plan(*subscriptions: str | tuple[str, int]) -> SubscriptionPlan:
    given = [(one, 1) if isinstance(one, str) else one for one in subscriptions]
    return SubscriptionPlan.of([SubscriptionSettings.model_validate({"pattern": text, "qos": qos}) for text, qos in given])


def filters(*subscriptions: str | tuple[str, int]) -> list[tuple[str, int]]:
    return [(one.text, one.qos) for one in plan(*subscriptions).filters]


def test_default_subscriptions_do_not_overlap() -> None:
    defaults = plan("sensors/{deviceId}/data", "sensors/{deviceId}/status", "sensors/{deviceId}/command/ack", "events/{topic}")
    assert len(defaults.filters) == 4
    assert (defaults.overlapping, defaults.remarks) == (False, ())
    assert {one.identifier for one in defaults.filters} == {0}


@pytest.mark.parametrize(
    ("subscriptions", "expected"),
    [
        (("a/{deviceId}/data", "a/{deviceId}/{field}"), [("a/+/+", 1)]),
        (("a/{deviceId}/{field}", "a/{deviceId}/data"), [("a/+/+", 1)]),
        (("a/{deviceId}", "a/{room}"), [("a/+", 1)]),
        (("a/{deviceId}/b", "a/#", "a/x/b"), [("a/#", 1)]),
        (("#", "$SYS/{deviceId}"), [("#", 1), ("$SYS/+", 1)]),
        ((("a/{deviceId}/data", 1), ("a/{deviceId}/{field}", 0)), [("a/+/+", 1)]),
        ((("a/{deviceId}/data", 0), ("a/{deviceId}/{field}", 0)), [("a/+/+", 0)]),
        ((("a/{deviceId}/{x}", 0), ("{site}/{deviceId}/data", 1)), [("a/+/+", 1), ("+/+/data", 1)]),
        ((("a/{deviceId}", 0), ("b/{deviceId}", 1)), [("a/+", 0), ("b/+", 1)]),
    ],
)
def test_covered_filter_is_left_out_and_the_larger_qos_is_requested(
    subscriptions: tuple[str | tuple[str, int], ...], expected: list[tuple[str, int]]
) -> None:
    assert filters(*subscriptions) == expected


def test_only_overlapping_filters_have_an_identifier_which_stays_the_same() -> None:
    one = {filter_.text: filter_.identifier for filter_ in plan("a/{x}/{y}", "{x}/{y}/data", "b/{x}").filters}
    other = {filter_.text: filter_.identifier for filter_ in plan("b/{x}", "c/{x}", "{x}/{y}/data", "a/{x}/{y}").filters}
    assert one["b/+"] == other["b/+"] == other["c/+"] == 0
    assert one["a/+/+"] == other["a/+/+"] != one["+/+/data"] == other["+/+/data"]
    assert all(0 < identifier <= 0x0FFF_FFFF for text, identifier in one.items() if text != "b/+")


def test_overlap_is_explained_with_the_pattern_that_wins() -> None:
    (remark,) = plan("a/{deviceId}/{field}", "{site}/{deviceId}/data").remarks
    assert remark == (
        "a/{deviceId}/{field} and {site}/{deviceId}/data overlap: a message on a topic of both is taken once, "
        "as a/{deviceId}/{field} says, which is listed first"
    )


def test_pattern_behind_one_that_covers_it_is_reported_as_never_used() -> None:
    (remark,) = plan("a/{deviceId}/{field}", "a/{deviceId}/data").remarks
    assert remark == (
        "a/{deviceId}/data is never used: a/{deviceId}/{field} matches the same topics and is listed before it; "
        "list a/{deviceId}/data first"
    )


def test_patterns_of_several_levels_share_one_filter_and_are_no_overlap() -> None:
    levels = plan(("home/{deviceId...}/data", 0), "home/{deviceId...}/status", "home/{deviceId...}/command/ack")
    assert [(one.text, one.qos, one.identifier) for one in levels.filters] == [("home/#", 1, 0)]
    assert levels.remarks == ()
    (remark,) = plan("home/{deviceId...}", "home/{deviceId...}/status").remarks
    assert remark.startswith("home/{deviceId...}/status is never used: home/{deviceId...} matches the same topics")
    (remark,) = plan("home/{deviceId...}/status", "home/{deviceId...}").remarks
    assert remark.startswith("home/{deviceId...}/status and home/{deviceId...} overlap")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("a/{x}/{y}", "{x}/b/{y}"), ["+/+/+"]),
        (("a/{x}/{y}", "{x}/b/#", "c/{x}"), ["+/+/#"]),
        (("a/{x}/c", "a/b/{x}", "d/{x}"), ["a/+/+", "d/+"]),
    ],
)
def test_merged_filters_do_not_overlap(patterns: tuple[str, ...], expected: list[str]) -> None:
    assert [one.text for one in plan(*patterns).merged] == expected
