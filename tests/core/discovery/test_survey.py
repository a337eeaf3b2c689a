"""A survey: what topics carry, within limits, whatever the bytes."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.decode import MessageKind, Route
from bridge.core.discovery.survey import BYTES_LIMIT, Finding, Survey
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.topic import TopicPattern
from tests.core.formats.test_payloads import SAMPLES, payload_of
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


@pytest.mark.parametrize(
    ("topic", "body", "name", "pattern"),
    [
        ("tele/a/SENSOR", {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3}}, "tasmota", "tele/{deviceId}/SENSOR"),
        (
            "shed/tele/a/SENSOR",
            {"Time": "2026-11-28T10:00:00", "X": {"Temperature": 3}},
            "tasmota",
            "shed/tele/{deviceId}/SENSOR",
        ),
        ("zigbee2mqtt/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "zigbee2mqtt/{deviceId}"),
        ("z2m/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "z2m/{deviceId}"),
        ("zigbee2mqtt/floor1/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "zigbee2mqtt/{deviceId...}"),
        ("node/sensor/co2/state", b"640", "esphome", "{deviceId}/sensor/{object}/state"),
        ("sensors/a/temperature", b"21.5", "scalar", "sensors/{deviceId}/{field}"),
        ("kitchen/temperature", b"21.5 C", "scalar", "{deviceId}/{field}"),
        ("up", {"deviceId": "a", "temperature": 3}, "json", "up"),
        ("home/a/up", {"deviceId": "a", "temperature": 3}, "json", "home/{deviceId}/up"),
    ],
)
def test_family_and_pattern_are_found(topic: str, body: object, name: str, pattern: str) -> None:
    finding = only(survey({topic: body}))
    assert (finding.format, finding.pattern, finding.is_new) == (name, pattern, True)
    assert list(finding.devices.values()) != [{}]


def is_stored(file: Path) -> bool:
    """Whether a sample gives readings, in a family that `auto` chooses."""
    outcome = orjson.loads(file.read_bytes()).get("outcome", "stored")
    return outcome == "stored" and FormatName[file.parent.name.upper()].spec.recognizes is not None


@pytest.mark.parametrize(
    "file", [file for file in SAMPLES if is_stored(file)], ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_sample_of_a_family_is_found_as_the_family(file: Path) -> None:
    sample, family = orjson.loads(file.read_bytes()), FormatName[file.parent.name.upper()]
    collected = Survey()
    for one in (*sample.get("earlier", ()), sample):
        collected.add(one["topic"], payload_of(one))
    finding = next(one for one in collected.findings(NOW_MS) if sample["topic"] in one.topics)
    assert finding.format in (family, FormatName.CBOR, FormatName.MSGPACK)  # a family within an encoding
    if "pattern" not in sample and finding.format == family:
        assert set(finding.devices) >= {record["deviceId"] for record in sample["records"]}


def test_zigbee2mqtt_below_another_base_topic_is_found_by_its_bridge() -> None:
    findings = survey({"home/z2m/bridge/state": {"state": "online"}, "home/z2m/a/b": {"co2": 640, "linkquality": 3}})
    assert [(one.pattern, one.reason) for one in findings] == [
        ("home/z2m/{deviceId...}", ""),
        ("", "about the Zigbee2MQTT bridge itself"),
    ]


def test_topics_that_are_subscribed_are_marked_and_decoded_as_the_bridge_does() -> None:
    routes = (route("a/{deviceId}"), route("s/{deviceId}", kind=MessageKind.STATUS))
    findings = survey({"a/x": {"temperature": 3, "rpm": 1}, "s/x": b"online", "a/y": b"no"}, *routes)
    readings, status = findings
    assert (readings.is_subscribed, readings.devices, readings.not_taken) == (
        True,
        {"x": {"temperature": 3}},
        {"rpm": "unknown key"},
    )
    assert readings.reason.startswith("not JSON")
    assert (status.is_subscribed, status.is_new, status.family) == (True, False, "status")


def test_device_of_another_subscription_is_not_merged_with_a_new_one() -> None:
    findings = survey(
        {"home/kitchen/air": {"temperature": 3}, "home/bedroom/air": {"temperature": 4}}, route("home/kitchen/{deviceId}")
    )
    assert [sorted(one.devices) for one in findings] == [["bedroom/air"], ["air"]]


def test_families_on_topics_of_one_pattern_are_told_apart_by_each_message() -> None:
    tasmota = {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3}, "TempUnit": "C"}
    finding = only(survey({"sensors/a/data": tasmota, "sensors/b/data": {"temperature": 4}}))
    assert (finding.format, finding.devices) == (FormatName.AUTO, {"a": {"temperature": 3}, "b": {"temperature": 4}})


def test_several_devices_on_one_topic_are_all_shown() -> None:
    collected = Survey()
    for number in range(5):
        collected.add("gateway", orjson.dumps({"deviceId": f"d{number}", "temperature": number}))
    assert len(only(collected.findings(NOW_MS)).devices) == 5


def test_lamps_and_texts_are_listed_with_the_reason() -> None:
    findings = survey({"zigbee2mqtt/lamp": {"state": "ON", "linkquality": 3}, "a/log": b"hello", "a/b/image": b"\xff\xd8\xff"})
    assert not any(one.is_new or one.is_subscribed for one in findings)
    assert all(one.reason for one in findings)


def test_pattern_says_how_many_topics_without_readings_it_matches_too() -> None:
    findings = survey({"kitchen/temperature": b"21", "kitchen/log": b"hello"})
    assert findings[0].also_matches == 1


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
