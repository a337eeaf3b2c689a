"""The registry: mistakes in a subscription, and that decoding never raises in any format."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bridge.core.decode import Decoder
from bridge.core.errors import FormatError
from bridge.core.formats.mapping import FieldPath
from bridge.core.formats.payload import Payload
from bridge.core.formats.registry import (
    SIGNS,
    FormatName,
    ignored_topics,
    is_family_topic,
    make_format,
    recognized,
    recognized_by_signs,
)
from bridge.core.topic import TopicPattern
from tests.core.formats.decoding import TOPICS, route
from tests.core.formats.test_payloads import SAMPLES
from tests.core.test_decode import JSON, OBJECTS, OWN, OWN_MS, assert_well_formed, message


@pytest.mark.parametrize(
    ("name", "pattern", "fields", "reason"),
    [
        (FormatName.SCALAR, "sensors/{deviceId}/x", {}, "needs a level {field}"),
        (FormatName.SCALAR, "sensors/{field}", {}, "needs a level {deviceId}"),
        (FormatName.ESPHOME, "{deviceId}/sensor/+/state", {}, "needs a level {object}"),
        (FormatName.TASMOTA, "tele/+/SENSOR", {}, "needs a level {deviceId}"),
        (FormatName.ZIGBEE2MQTT, "zigbee2mqtt/+", {}, "needs a level {deviceId}"),
        (FormatName.JSON, "a/{deviceId}", {"co2": "x"}, "`fields` are for format mapping"),
        (FormatName.MAPPING, "a/{deviceId}", {}, "needs `fields`"),
        (FormatName.MAPPING, "a/{deviceId}", {"timestamp": "x"}, "needs `fields`"),
        (FormatName.MAPPING, "a/b", {"co2": "x"}, "the path of `deviceId`"),
        (FormatName.MAPPING, "a/{deviceId}", {"co2": "x", "co3": "y"}, "fields.co3 is not a field"),
    ],
)
def test_mistake_in_pattern_or_fields_is_named(name: FormatName, pattern: str, fields: dict[str, str], reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        make_format(name, TopicPattern.parse(pattern), {field: FieldPath.parse(path) for field, path in fields.items()})
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("field", "scale", "offset"),
    [("flameDetected", 2, 0), ("timestamp", 1000, 0), ("deviceId", 1, 1), ("co2", 0, 0), ("co2", float("nan"), 0)],
)
def test_invalid_scale_or_offset_is_refused(field: str, scale: float, offset: float) -> None:
    fields = {"temperature": FieldPath.parse("t"), field: FieldPath.parse("x", scale, offset)}
    with pytest.raises(FormatError, match=f"fields.{field}"):
        make_format(FormatName.MAPPING, TopicPattern.parse("a/{deviceId}"), fields)


def test_all_mistakes_are_listed_together() -> None:
    with pytest.raises(FormatError) as caught:
        make_format(FormatName.SCALAR, TopicPattern.parse("a"), {"co2": FieldPath.parse("x")})
    assert str(caught.value).count(";") == 2


NAMES = st.sampled_from(list(FormatName))
LEVELS = st.one_of(st.sampled_from(["temperature", "flameDetected", "values", "deviceId", "aqiScale", "room_co2"]), st.text())
SENSORS = st.dictionaries(
    st.sampled_from(["Time", "TempUnit", "PressureUnit", "AM2301", "ESP32", "", "-", "t", "gas", "last_seen", "voc"]),
    st.one_of(
        st.sampled_from(["F", "inHg", OWN, OWN_MS]),
        st.dictionaries(st.sampled_from(["Temperature", "Pressure", "eCO2", "temp", "co2"]), JSON, max_size=4),
        st.lists(st.dictionaries(st.just("val"), JSON), max_size=2),
        JSON,
    ),
    max_size=6,
)


def topic_of(name: FormatName, level: str) -> str:
    return TOPICS[name].replace("room_temperature", level).replace("a/temperature", f"a/{level}")


@given(NAMES, LEVELS, st.one_of(st.binary(max_size=200), st.text(max_size=30).map(str.encode)), st.booleans())
@example(FormatName.SCALAR, "temperature", b"[" * 60_000, False)
@example(FormatName.SCALAR, "temperature", b"1" * 5000, False)
@example(FormatName.MAPPING, "", b'{"t": [{"val": 1%s}]}' % (b"0" * 400), False)
@example(FormatName.MAPPING, "", b'{"t": %s%s}' % (b"[" * 1000, b"]" * 1000), False)
def test_decoding_any_bytes_in_any_format_never_raises(name: FormatName, level: str, payload: bytes, retained: bool) -> None:
    assert_well_formed(Decoder([route(name)]).decode(message(payload, topic_of(name, level), retained=retained)))


@given(NAMES, LEVELS, st.one_of(JSON, OBJECTS, SENSORS))
def test_decoding_any_json_in_any_format_never_raises(name: FormatName, level: str, body: object) -> None:
    payload = json.dumps(body).encode()
    assert_well_formed(Decoder([route(name)]).decode(message(payload, topic_of(name, level))))


FLAT_SAMPLES = [
    sample | {"payload": {key: value for key, value in body.items() if not isinstance(value, dict | list)}}
    for file in SAMPLES
    if isinstance(body := (sample := orjson.loads(file.read_bytes())).get("payload"), dict)
]
SIGN_KEYS = sorted(
    {key for name in FormatName for key in name.spec.signs} | {key for one in FLAT_SAMPLES for key in one["payload"]}
)
SIGN_VALUES = st.sampled_from(
    ["2026-11-28T10:00:00", "AA:BB:CC:DD:EE:FF", "NotifyStatus", "Acurite-5n1", 1, 21.5, True, None, "", {"temperature": 1}]
)


@settings(max_examples=1000)
@given(
    st.sampled_from(FLAT_SAMPLES),
    st.dictionaries(st.sampled_from(SIGN_KEYS), SIGN_VALUES, max_size=8),
    st.sampled_from(sorted({one["topic"] for one in FLAT_SAMPLES} | set(TOPICS.values()))),
    st.booleans(),
)
def test_signs_never_hide_a_family_that_is_recognized(
    sample: dict[str, Any], more: dict[str, object], topic: str, is_own: bool
) -> None:
    body = (sample["payload"] if is_own else {}) | more
    captures = {"deviceId": "a", "entity": "b"} if topic.startswith("homeassistant") else {"deviceId": "a"}
    payload = Payload(orjson.dumps(body), topic, captures)
    assume(not is_family_topic(topic, captures))
    assert recognized_by_signs(payload, body) is recognized(payload)
    assert not SIGNS.isdisjoint(body) or recognized(payload) is None


@pytest.mark.parametrize(
    ("name", "pattern", "topics"),
    [
        (FormatName.ZIGBEE2MQTT, "home/z/{deviceId...}", ["home/z/a/availability", "home/z/a/b/set", "home/z/bridge/devices"]),
        (FormatName.TASMOTA, "tele/{deviceId}/SENSOR", ["tele/a/LWT", "tele/a/INFO1", "tele/a/UPTIME"]),
        (FormatName.ESPHOME, "{deviceId}/sensor/{object}/state", ["a/status", "a/debug"]),
        (FormatName.AUTO, "#", ["zigbee2mqtt/a/availability", "zigbee2mqtt/bridge/state", "tele/a/LWT"]),
    ],
)
def test_topics_of_a_family_without_readings_are_ignored(name: FormatName, pattern: str, topics: list[str]) -> None:
    ignored = ignored_topics(name, TopicPattern.parse(pattern))
    for topic in topics:
        assert any(one.match(topic) is not None for one in ignored), topic
    for topic in ("home/z/a", "tele/a/SENSOR", "a/sensor/b/state", "sensors/a/data", "sensors/a/status", "bridge/x"):
        assert not any(one.match(topic) is not None for one in ignored), topic


@pytest.mark.parametrize("name", list(FormatName))
def test_usual_topic_of_a_family_is_not_ignored(name: FormatName) -> None:
    usual = TopicPattern.parse(name.spec.usual_pattern)
    topic = "/".join(level if named is None else named for level, named in zip(usual.levels, usual.names, strict=True))
    for family in (name, FormatName.AUTO):
        assert not any(one.match(topic) is not None for one in ignored_topics(family, usual))
