"""One pattern for the topics of several devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.discovery.patterns import shared_patterns
from bridge.core.formats.registry import FormatName
from bridge.core.formats.suggest import suggest_pattern
from bridge.core.topic import TopicPattern

LEVELS = st.sampled_from(["home", "kitchen", "bedroom", "air", "data", "a", "b", "7"])
TOPICS = st.lists(st.lists(LEVELS, min_size=2, max_size=4).map("/".join), min_size=1, max_size=12, unique=True)


def patterns(*topics: str, taken: tuple[str, ...] = ()) -> dict[str, str]:
    suggested = {topic: suggest_pattern(FormatName.JSON, topic) for topic in topics}
    return shared_patterns({topic: text for topic, text in suggested.items() if text is not None}, taken)


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (["sensors/a/data"], {"sensors/{deviceId}/data"}),
        (["sensors/a/data", "sensors/b/data"], {"sensors/{deviceId}/data"}),
        (["home/kitchen/air", "home/bedroom/air"], {"home/{deviceId}/air"}),
        (["kitchen/air", "bedroom/air"], {"{deviceId}/air"}),
        (["home/up/kitchen", "home/up/bedroom"], {"home/up/{deviceId}"}),
        (["home/kitchen/a", "home/bedroom/b"], {"home/{deviceId...}"}),
        (["home/kitchen/a", "home/kitchen/b", "home/bedroom/a"], {"home/{deviceId...}"}),
        (["home/kitchen", "shop/counter"], {"home/{deviceId}", "shop/{deviceId}"}),
        (["home/a/data", "home/b/state"], {"home/{deviceId}/data", "home/{deviceId}/state"}),
    ],
)
def test_level_that_differs_is_the_device(topics: list[str], expected: set[str]) -> None:
    assert set(patterns(*topics).values()) == expected


def test_id_of_another_device_is_not_given_again() -> None:
    assert patterns("home/bedroom/air", taken=("air",)) == {"home/bedroom/air": "home/{deviceId...}"}


@given(TOPICS)
def test_every_pattern_matches_its_topic_and_no_two_topics_of_a_pattern_are_one_device(topics: list[str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for topic, text in patterns(*topics).items():
        captures = TopicPattern.parse(text).match(topic)
        assert captures is not None
        if "deviceId" in captures:
            assert seen.setdefault((text, captures["deviceId"]), topic) == topic
