"""A survey: what topics carry, within limits, whatever the bytes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.decode import MessageKind, Route
from bridge.core.discovery.findings import Finding
from bridge.core.discovery.survey import BYTES_LIMIT, Survey
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.topic import TopicPattern
from tests.core.test_decode import NOW_MS


def survey(messages: dict[str, object], *routes: Route) -> list[Finding]:
    collected = Survey()
    for topic, body in messages.items():
        collected.add(topic, body if isinstance(body, bytes) else orjson.dumps(body))
    return collected.findings(NOW_MS, routes)


def route(pattern: str, name: FormatName = FormatName.JSON, kind: MessageKind = MessageKind.READINGS) -> Route:
    parsed = TopicPattern.parse(pattern)
    return Route(parsed, kind, make_format(name, parsed))


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_topics_beyond_the_limit_are_counted() -> None:
    collected = Survey(topics_limit=2)
    for number in range(5):
        collected.add(f"t/{number}", b"{}")
    assert (collected.topic_count, collected.messages, collected.dropped) == (2, 5, 3)


def test_memory_is_bounded() -> None:
    collected = Survey()
    for number in range(400):
        collected.add(f"t/{number}", b"x" * 60_000)
    assert sum(len(payload) for one in collected._topics.values() for payload in one.samples.values()) <= BYTES_LIMIT
    assert collected.dropped > 0


@example("\x1f/a", b"{}")
@example("a/{b}/c", b"{}")
@given(st.text(min_size=1, max_size=30), st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"21", b'{"temperature":1}']))
def test_any_topic_and_payload_is_taken(topic: str, payload: bytes) -> None:
    collected = Survey()
    collected.add(topic, payload)
    orjson.dumps([one.public() for one in collected.findings(NOW_MS, (route("#"),) if topic.startswith("x") else ())])


ANNOUNCEMENT = {"stat_t": "a/co2", "dev_cla": "carbon_dioxide", "unit_of_meas": "ppm", "dev": {"ids": "a1"}}


@pytest.mark.parametrize(("discovery", "state"), [(True, "subscribed"), (False, "announced")])
def test_announced_topics_are_found_with_their_devices(discovery: bool, state: str) -> None:
    collected = Survey()
    collected.add("homeassistant/sensor/a/co2/config", orjson.dumps(ANNOUNCEMENT), retained=True)
    collected.add("a/co2", b"640")
    first, config = collected.findings(NOW_MS, discovery=discovery)
    assert (first.state, first.devices, first.topics) == (state, {"a1": {"co2": 640}}, ["a/co2"])
    assert (config.state, config.reason) == ("no readings", "an announcement of Home Assistant discovery")


def test_family_that_is_known_is_preferred_to_its_announcement() -> None:
    announced = ANNOUNCEMENT | {"stat_t": "zigbee2mqtt/air", "val_tpl": "{{ value_json.co2 }}"}
    findings = survey({"homeassistant/sensor/a/co2/config": announced, "zigbee2mqtt/air": {"co2": 640, "linkquality": 1}})
    assert findings[0].format == "zigbee2mqtt"
