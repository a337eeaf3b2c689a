"""Who hears the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest

from bridge.core.access.permissions import ResourceScope
from bridge.core.devices.location import Location
from bridge.core.events import EntityEvent, SystemEvent
from bridge.core.message import TopicEvent
from bridge.realtime.auth.visibility import Sight
from bridge.realtime.hub.publication import Published
from bridge.realtime.hub.subscriptions import EVERYTHING, Audience, Audiences, Wish
from bridge.realtime.socketio.server import CODEC, Codec
from tests.realtime.parts import published, status

READINGS, ALERTS = Wish(topics=frozenset(("readings",))), Wish(topics=frozenset(("alerts", "predictions")))
A_READINGS, A_ALERTS = (Wish(frozenset("a"), topics=frozenset((topic,))) for topic in ("readings", "alerts"))
A, B, AB, NOTHING = (Wish(frozenset(devices)) for devices in ("a", "b", "ab", ""))


class Map:
    """Where devices stand: a at Home, b at Work."""

    def __init__(self) -> None:
        self.sites = {"a": "Home", "b": "Work"}

    def place(self, device_id: str) -> Location | None:
        return Location(self.sites[device_id]) if device_id in self.sites else None

    def standing_at(self, sites: Collection[str]) -> Iterable[str]:
        return [device for device, site in self.sites.items() if site in sites]


MAP = Map()


def seeing(*devices: str, sites: Iterable[str] = (), wish: Wish = EVERYTHING) -> Wish:
    return replace(wish, sight=Sight(ResourceScope(frozenset(devices), frozenset(sites)), MAP))


@pytest.mark.parametrize(
    ("wish", "hears"),
    [
        (seeing("a"), ["a", "news"]),
        (seeing(sites=["Work"]), ["b", "news"]),
        (seeing("a", "b", sites=["Home", "Work"]), ["a", "b", "news"]),
        (seeing("c", sites=["Elsewhere"]), ["news"]),
        (seeing(), ["news"]),
        (seeing("a", wish=AB), ["a", "news"]),
        (seeing("a", wish=B), ["news"]),
        (seeing("a", sites=["Work"], wish=READINGS), ["a", "b", "news"]),
        (seeing("a", wish=ALERTS), ["news"]),
        (seeing("a", wish=A_READINGS), ["a", "news"]),
        (EVERYTHING, ["a", "b", "news"]),
        (A, ["a", "news"]),
        (AB, ["a", "b", "news"]),
        (NOTHING, ["news"]),
        (READINGS, ["a", "b", "news"]),
        (ALERTS, ["news"]),
        (A_READINGS, ["a", "news"]),
        (A_ALERTS, ["news"]),
    ],
)
def test_an_audience_is_given_what_it_wishes_and_what_concerns_no_device(wish: Wish, hears: list[str]) -> None:
    audiences: Audiences[str] = Audiences()
    audience = audiences.of(CODEC, wish)
    batch = [*published(1), *published(2, device="b"), Published(SystemEvent("info", "news"))]
    ((chosen_for, chosen),) = audiences.choose(batch)
    assert chosen_for is audience
    assert [one.device_id or "news" for one in chosen] == hears
    assert all(wish.wants(one) for one in chosen)


def test_an_audience_that_wishes_nothing_of_a_batch_is_left_out() -> None:
    audiences: Audiences[str] = Audiences()
    audiences.of(CODEC, B)
    assert list(audiences.choose(published(1))) == []


def test_a_status_is_for_those_who_wish_its_device() -> None:
    audiences: Audiences[str] = Audiences()
    wanting = audiences.of(CODEC, A)
    audiences.of(CODEC, B)
    assert [audience for audience, _ in audiences.choose([Published(status("a"))])] == [wanting]


def test_what_others_say_is_for_those_who_wish_its_topic_once_however_many_topics_they_wish() -> None:
    audiences: Audiences[str] = Audiences()
    alerted, everyone = audiences.of(CODEC, ALERTS), audiences.of(CODEC, EVERYTHING)
    for other in (READINGS, A_READINGS):
        audiences.of(CODEC, other)
    alert, both = Published(TopicEvent("alerts", {}, 0)), Published(EntityEvent("sensor", "anomaly_detected", "a"))
    assert dict(audiences.choose([alert, both])) == {everyone: [alert, both], alerted: [alert, both]}


def test_an_audience_by_topic_ends_with_its_last_member() -> None:
    audiences: Audiences[str] = Audiences()
    for wish in (ALERTS, A_ALERTS, EVERYTHING):
        audiences.of(CODEC, wish).members["one"] = None
        audiences.leave("one", CODEC, wish)
    assert list(audiences) == []
    assert not audiences._by_topic
    assert not audiences._by_device
    assert list(audiences.choose(published(1))) == []


def test_equal_wishes_in_one_dialect_share_an_audience() -> None:
    audiences: Audiences[str] = Audiences()
    first = audiences.of(CODEC, Wish(frozenset("ab")))
    assert audiences.of(CODEC, Wish(frozenset("ba"))) is first
    assert audiences.of(CODEC, Wish(frozenset("ab"), every_ms=1000)) is not first
    assert audiences.of(Codec(), Wish(frozenset("ab"))) is not first


def test_an_audience_ends_with_its_last_member_and_nothing_is_kept_of_it() -> None:
    audiences: Audiences[str] = Audiences()
    for member in ("one", "two"):
        audiences.of(CODEC, AB).members[member] = None
    audiences.leave("one", CODEC, AB)
    assert len(list(audiences)) == 1
    for _ in range(2):
        audiences.leave("two", CODEC, AB)
        assert list(audiences) == []
    assert audiences._by_device._of_name == {}


@pytest.mark.parametrize(
    ("wish", "other", "includes"),
    [
        (EVERYTHING, EVERYTHING, True),
        (EVERYTHING, A, True),
        (A, EVERYTHING, False),
        (AB, A, True),
        (A, AB, False),
        (A, A, True),
        (NOTHING, NOTHING, True),
        (EVERYTHING, ALERTS, True),
        (ALERTS, EVERYTHING, False),
        (ALERTS, READINGS, False),
        (READINGS, A_READINGS, True),
        (A, A_READINGS, True),
        (A_READINGS, A, False),
    ],
)
def test_a_wish_includes_another_when_it_is_for_all_of_its_devices(wish: Wish, other: Wish, includes: bool) -> None:
    assert wish.includes(other) is includes


def test_a_coalescing_audience_keeps_back_the_newest_of_each_device() -> None:
    audience: Audience[str] = Audience(CODEC, Wish(every_ms=1000))
    online = Published(status())
    assert audience.now([*published(1, 2), *published(3, device="b"), online]) == [online], "what is no record does not wait"
    assert audience.now(published(4)) == []
    assert [(one.device_id, one.seq) for one in audience.kept_back()] == [("b", 3), ("a", 4)]
    assert audience.kept_back() == []


def test_an_audience_that_does_not_coalesce_keeps_nothing_back() -> None:
    audience: Audience[str] = Audience(CODEC, EVERYTHING)
    batch = published(1, 2)
    assert audience.now(batch) == batch
    assert audience.kept_back() == []


def test_those_of_one_scope_hear_together_and_nothing_is_kept_of_them() -> None:
    audiences: Audiences[str] = Audiences()
    wish = seeing("a", sites=["Work"])
    assert audiences.of(CODEC, wish) is audiences.of(CODEC, seeing("a", sites=["Work"]))
    assert audiences.of(CODEC, wish) is not audiences.of(CODEC, seeing("a"))
    audiences.of(CODEC, wish).members["one"] = None
    audiences.leave("one", CODEC, wish)
    audiences.leave("nobody", CODEC, seeing("a"))
    assert list(audiences) == []
    assert list(audiences.choose(published(1))) == []


def test_what_a_coalescing_audience_kept_back_of_a_device_that_was_moved_away_is_not_heard() -> None:
    audience: Audience[str] = Audience(CODEC, seeing(sites=["Home"], wish=Wish(every_ms=1000)))
    audience.now(published(1))
    MAP.sites["a"] = "Work"
    try:
        assert audience.kept_back() == []
    finally:
        MAP.sites["a"] = "Home"


def test_a_wish_that_sees_everything_includes_every_other_and_one_of_a_scope_its_own() -> None:
    assert EVERYTHING.includes(seeing("a"))
    assert seeing("a").includes(seeing("a", wish=A))
    assert not seeing("a").includes(seeing("b"))
    assert not seeing("a").includes(EVERYTHING)
