"""Topic patterns, compared with a reference implementation of the MQTT rules."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.errors import BridgeError, PatternError
from bridge.core.topic import TopicPattern


def reference(levels: list[str], parts: list[str]) -> bool:
    """[MQTT-4.7.1]: `#` matches any number of levels and the parent, `+` exactly one level."""
    if not levels:
        return not parts
    if levels[0] == "#":
        return True
    if not parts:
        return False
    return levels[0] in ("+", parts[0]) and reference(levels[1:], parts[1:])


def matches(topic_filter: str, topic: str) -> bool:
    """Like a broker: a leading wildcard does not match `$` topics [MQTT-4.7.2-1]."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    return reference(topic_filter.split("/"), topic.split("/"))


PLAIN = st.sampled_from(["", "a", "b", "$sys", "sensors", "é"])
LEVELS = st.lists(st.one_of(PLAIN, st.just("+"), st.sampled_from(["{x}", "{y}", "{deviceId}"])), min_size=1, max_size=4)
PATTERNS = (
    st.tuples(LEVELS, st.booleans())
    .map(lambda given: "/".join([*given[0], *(["#"] if given[1] else [])]))
    .filter(lambda text: text and all(text.count(name) < 2 for name in ("{x}", "{y}", "{deviceId}")))
)
TOPICS = st.lists(PLAIN, min_size=1, max_size=5).map("/".join).filter(bool)


@given(PATTERNS, TOPICS)
def test_pattern_matches_exactly_the_topics_of_its_filter(text: str, topic: str) -> None:
    pattern = TopicPattern.parse(text)
    assert (pattern.match(topic) is not None) == matches(pattern.topic_filter, topic)


@given(PATTERNS, TOPICS)
def test_names_capture_their_levels(text: str, topic: str) -> None:
    captures = TopicPattern.parse(text).match(topic)
    if captures is not None:
        levels = dict(zip(text.split("/"), topic.split("/"), strict=False))
        assert captures == {level[1:-1]: part for level, part in levels.items() if level.startswith("{")}


@given(PATTERNS)
def test_filter_has_a_plus_for_each_name(text: str) -> None:
    assert TopicPattern.parse(text).topic_filter == "/".join("+" if "{" in level else level for level in text.split("/"))


SHORT_TOPICS = [
    "/".join(levels) for length in range(1, 5) for levels in product(("", "a", "b", "$sys", "sensors", "é"), repeat=length)
][1:]
SEVERAL = st.tuples(
    st.lists(PLAIN | st.just("+") | st.just("{x}"), max_size=2), st.lists(PLAIN | st.just("+") | st.just("{y}"), max_size=2)
).map(lambda given: "/".join([*given[0], "{deviceId...}", *given[1]])).filter(
    lambda text: all(text.count(name) < 2 for name in ("{x}", "{y}"))
)  # fmt: skip


def matches_several(levels: list[str], parts: list[str]) -> bool:
    """`{deviceId...}` matches one level, and what remains after any more."""
    if not levels or not parts:
        return not levels and not parts
    if levels[0] == "{deviceId...}":
        return matches_several(levels[1:], parts[1:]) or matches_several(levels, parts[1:])
    return (levels[0] in ("+", parts[0]) or levels[0].startswith("{")) and matches_several(levels[1:], parts[1:])


@given(SEVERAL, TOPICS)
def test_several_levels_are_matched_by_us_and_delivered_by_the_filter(text: str, topic: str) -> None:
    pattern, levels = TopicPattern.parse(text), text.split("/")
    reserved = topic.startswith("$") and levels[0][:1] in ("+", "{")
    captures = pattern.match(topic)
    assert (captures is not None) == (not reserved and matches_several(levels, topic.split("/")))
    assert pattern.delivers(topic) == matches(pattern.topic_filter, topic)
    assert pattern.delivers(topic) or captures is None


@given(SEVERAL, TOPICS)
def test_captured_levels_make_the_topic_again(text: str, topic: str) -> None:
    pattern = TopicPattern.parse(text)
    captures = pattern.match(topic)
    if captures is not None and pattern.is_of_one_device:
        assert pattern.topic_of(captures["deviceId"]) == topic
        assert pattern.match(topic) == captures


@example("/#", "+")
@given(SEVERAL | PATTERNS, SEVERAL | PATTERNS)
def test_patterns_overlap_exactly_if_a_topic_matches_both(one: str, other: str) -> None:
    patterns = TopicPattern.parse(one), TopicPattern.parse(other)
    first, second = ({topic for topic in SHORT_TOPICS if pattern.match(topic) is not None} for pattern in patterns)
    overlap = patterns[0].overlaps(patterns[1])
    assert overlap == patterns[1].overlaps(patterns[0])
    assert overlap or not first & second
    if len(one.split("/")) + len(other.split("/")) <= 5:  # a common topic is then among the short ones
        assert overlap == bool(first & second)
    if patterns[0].covers(patterns[1]):
        assert first >= second


@pytest.mark.parametrize(
    ("text", "topic_filter"),
    [
        ("zigbee2mqtt/{deviceId...}", "zigbee2mqtt/#"),
        ("home/{deviceId...}/state", "home/#"),
        ("{site}/{deviceId...}/{field}", "+/#"),
        ("{deviceId...}", "#"),
    ],
)
def test_filter_of_several_levels_ends_in_a_hash(text: str, topic_filter: str) -> None:
    assert TopicPattern.parse(text).topic_filter == topic_filter


@pytest.mark.parametrize(
    ("pattern", "device_id", "topic", "filled"),
    [
        ("sensors/{deviceId}/data", "a", "sensors/a/data", "sensors/a/data"),
        ("sensors/{deviceId}/data", "a/b", None, "sensors/a/b/data"),
        ("sensors/{deviceId...}/data", "a/b", "sensors/a/b/data", "sensors/a/b/data"),
        ("{site}/{deviceId}/{field}", "a", "+/a/+", "+/a/+"),
        ("{deviceId}/data", "a", "a/data", "a/data"),
        ("{deviceId}/data", "$SYS", None, None),
        ("{deviceId...}", "$CONTROL/dynamic-security/v1", None, None),
        ("x/{deviceId...}", "$SYS/a", "x/$SYS/a", "x/$SYS/a"),
        ("sensors/+/data", "a", None, None),
        ("é" * 32760 + "/{deviceId}", "a" * 100, None, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_topic_of_a_device(pattern: str, device_id: str, topic: str | None, filled: str | None) -> None:
    parsed = TopicPattern.parse(pattern)
    assert (parsed.topic_of(device_id), parsed.filled(device_id)) == (topic, filled)


@pytest.mark.parametrize(
    ("pattern", "topic", "captures"),
    [
        ("zigbee2mqtt/{deviceId...}", "zigbee2mqtt/floor1/kitchen/air", {"deviceId": "floor1/kitchen/air"}),
        ("zigbee2mqtt/{deviceId...}", "zigbee2mqtt/air", {"deviceId": "air"}),
        ("zigbee2mqtt/{deviceId...}", "zigbee2mqtt", None),
        ("home/{deviceId...}/state", "home/a/b/state", {"deviceId": "a/b"}),
        ("home/{deviceId...}/state", "home/state/state", {"deviceId": "state"}),
        ("home/{deviceId...}/state", "home/state", None),
        ("home/{deviceId...}/state", "home/a/state/x", None),
        ("{site}/{deviceId...}/{field}", "home/a/b/co2", {"site": "home", "deviceId": "a/b", "field": "co2"}),
        ("{deviceId...}", "$SYS/a", None),
        ("sensors/{deviceId}/data", "sensors/a/data", {"deviceId": "a"}),
        ("sensors/{deviceId}/data", "sensors//data", {"deviceId": ""}),
        ("sensors/{deviceId}/data", "sensors/a/b/data", None),
        ("sensors/{deviceId}/data", "sensors/a/status", None),
        ("sensors/{deviceId}/data", "Sensors/a/data", None),
        ("sensors/{deviceId}/data", "/sensors/a/data", None),
        ("{site}/{deviceId}/#", "home/a", {"site": "home", "deviceId": "a"}),
        ("{site}/{deviceId}/#", "home/a/b/c", {"site": "home", "deviceId": "a"}),
        ("{site}/{deviceId}/#", "home", None),
        ("{site}/data", "$SYS/data", None),
        ("#", "$SYS/broker", None),
        ("+/broker", "$SYS/broker", None),
        ("$SYS/#", "$SYS/broker", {}),
        ("#", "a/b", {}),
        ("a/+", "a/$b", {}),
    ],
)
def test_match_returns_the_captured_levels(pattern: str, topic: str, captures: dict[str, str] | None) -> None:
    assert TopicPattern.parse(pattern).match(topic) == captures


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1 to 65535 bytes"),
        ("a\0b", "NUL"),
        ("x" * 65536, "1 to 65535 bytes"),
        ("é" * 32768, "1 to 65535 bytes"),
        ("a/b+", "level 2"),
        ("a/#/b", "level 2"),
        ("a#", "level 1"),
        ("a/{b", "level 2"),
        ("a/b}", "level 2"),
        ("a/{}", "level 2"),
        ("a/{b}{c}", "level 2"),
        ("a/{1b}", "level 2"),
        ("a/{b-c}", "level 2"),
        ("{a}/{a}", "only once"),
        ("{deviceId}/{deviceId...}", "only once"),
        ("{deviceId...}/{deviceId...}", "only once"),
        ("a/{site...}", r"level 2, '\{site...\}': only \{deviceId...\} captures several levels"),
        ("a/{deviceId..}", "level 2"),
        ("a/{...}", "level 2"),
        ("a/x{deviceId...}", "level 2"),
        ("a/{deviceId...}/#", "'#' cannot follow {deviceId...}"),
    ],
    ids=lambda text: text[:12],
)
def test_invalid_pattern_is_refused_with_fault_and_level(text: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason) as caught:
        TopicPattern.parse(text)
    assert isinstance(caught.value, BridgeError)
    assert len(str(caught.value)) < 200


def test_longest_topic_is_allowed() -> None:
    assert TopicPattern.parse("é" * 32767).match("é" * 32767) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\x01/b", "control characters"),
        ("a/\x85", "control characters"),
        ("\ud800/x", "surrogates"),
        ("a\uffff", "noncharacters"),
        ("a/" * 200 + "b", "at most 200 levels"),
        ("$share/x", "$share/group/topic"),
        ("$share//x", "$share/group/topic"),
    ],
)
def test_pattern_for_which_brokers_close_the_connection_is_refused(text: str, fault: str) -> None:
    with pytest.raises(PatternError, match=re.escape(fault)):
        TopicPattern.parse(text)
