"""Topic patterns, compared with a reference implementation of the MQTT rules."""

from __future__ import annotations

import pytest
from hypothesis import given
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


@pytest.mark.parametrize(
    ("pattern", "topic", "captures"),
    [
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
