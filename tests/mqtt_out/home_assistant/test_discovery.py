"""The announcements of Home Assistant discovery, against the keys, classes and units that it documents.

The same messages were accepted by the schemas of `homeassistant` 2024.3.3 on PyPI; its template engine rendered the templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from bridge.alarms.conditions import Above, Below, Is, Unreachable
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.record import AlarmState
from bridge.alarms.rules import Priority, Rule
from bridge.core.devices.device import Device
from bridge.core.discovery.entities import parse_config
from bridge.core.discovery.templates import ValueTemplate
from bridge.core.readings.measurements import MEASUREMENTS
from bridge.mqtt_out.home_assistant.alarms import device_class_of, is_on
from bridge.mqtt_out.home_assistant.discovery import Announcer, HomeAssistantTopics, memo_of, remembered_fields, removed_keys
from bridge.mqtt_out.home_assistant.sensors import sensor, state_of
from tests.mqtt_out.rig import record

TOPICS = HomeAssistantTopics("homeassistant", "sensor-bridge", "sensor-bridge")
ANNOUNCER = Announcer(TOPICS, "1.2.3")
DEVICE = Device("floor1/Küche 2", name="Küche", type="X1", room="Kitchen", part_of="floor1")
FIELDS = [one.name for one in MEASUREMENTS]
RULES = [rule for rule in DEFAULT_RULES if not isinstance(rule.condition, Unreachable)]
BRIDGE_RULES = [rule for rule in DEFAULT_RULES if isinstance(rule.condition, Unreachable)]

# The units that Home Assistant accepts for each class, as far as we use them.
SENSOR_CLASSES: dict[str, set[str | None]] = {
    "aqi": {None},
    "atmospheric_pressure": {"hPa", "mbar", "Pa", "kPa", "inHg", "mmHg", "psi", "bar"},
    "battery": {"%"},
    "carbon_dioxide": {"ppm"},
    "carbon_monoxide": {"ppm"},
    "humidity": {"%"},
    "illuminance": {"lx"},
    "nitrogen_dioxide": {"µg/m³"},
    "ozone": {"µg/m³"},
    "pm1": {"µg/m³"},
    "pm10": {"µg/m³"},
    "pm25": {"µg/m³"},
    "signal_strength": {"dB", "dBm"},
    "sound_pressure": {"dB", "dBA"},
    "sulphur_dioxide": {"µg/m³"},
    "temperature": {"°C", "°F", "K"},
    "voltage": {"V", "mV"},
    "volatile_organic_compounds_parts": {"ppm", "ppb"},
}
BINARY_CLASSES = {"battery", "carbon_monoxide", "cold", "connectivity", "gas", "heat", "problem", "safety", "smoke"}
SENSOR_KEYS = {
    "availability", "device_class", "entity_category", "name", "platform", "state_class", "state_topic", "unique_id",
    "unit_of_measurement", "value_template",
}  # fmt: skip
BINARY_KEYS = (SENSOR_KEYS - {"state_class", "unit_of_measurement"}) | {
    "json_attributes_template", "json_attributes_topic", "payload_off", "payload_on",
}  # fmt: skip
DEVICE_KEYS = {"identifiers", "model", "name", "suggested_area", "sw_version", "via_device"}


def messages() -> Iterator[tuple[str, dict[str, Any]]]:
    yield TOPICS.config(DEVICE.id), orjson.loads(ANNOUNCER.device(DEVICE, FIELDS, RULES, ()))
    yield TOPICS.config("bare"), orjson.loads(ANNOUNCER.device(Device("bare"), [], [], ()))
    yield TOPICS.bridge_config, orjson.loads(ANNOUNCER.bridge(BRIDGE_RULES, ()))


@pytest.mark.parametrize(("topic", "body"), list(messages()))
def test_announcement_has_the_documented_keys(topic: str, body: dict[str, Any]) -> None:
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
    assert body.keys() <= {"device", "origin", "availability", "availability_mode", "state_topic", "components"}
    assert body["device"].keys() <= DEVICE_KEYS
    assert body["device"]["identifiers"]
    assert body["origin"] == {"name": "Sensor Bridge", "sw_version": "1.2.3"}
    ids = [component["unique_id"] for component in body["components"].values()]
    assert len(ids) == len(set(ids))
    for component in body["components"].values():
        assert component["platform"] in ("sensor", "binary_sensor")
        keys = SENSOR_KEYS if component["platform"] == "sensor" else BINARY_KEYS
        assert component.keys() <= keys
        assert "state_topic" in component or "state_topic" in body


@pytest.mark.parametrize("field", FIELDS)
def test_sensor_has_a_class_and_unit_that_home_assistant_knows(field: str) -> None:
    component = sensor(field)
    if component["platform"] == "binary_sensor":
        assert component["device_class"] in BINARY_CLASSES
        return
    assert component["state_class"] == "measurement"
    device_class = component.get("device_class")
    assert device_class is None or component.get("unit_of_measurement") in SENSOR_CLASSES[device_class]


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.id)
def test_alarm_has_a_class_that_home_assistant_knows(rule: Rule) -> None:
    assert device_class_of(rule) in BINARY_CLASSES


@pytest.mark.parametrize(
    ("rule", "device_class"),
    [
        ("co-dose", "carbon_monoxide"),
        ("ch4-high", "gas"),
        ("flame", "safety"),
        ("heat", "heat"),
        ("co2-danger", "gas"),
        ("pm25-smoke", "smoke"),
        ("battery", "battery"),
        ("no-data", "connectivity"),
        ("broker-unavailable", "connectivity"),
        ("quality", "problem"),
    ],
)
def test_rule_has_the_class_of_its_danger(rule: str, device_class: str) -> None:
    assert device_class_of(next(one for one in DEFAULT_RULES if one.id == rule)) == device_class


def test_own_rule_has_the_class_of_its_field_and_direction() -> None:
    def own(field: str, condition: Above | Below | Is) -> str:
        return device_class_of(Rule(id="own", field=field, condition=condition, priority=Priority.HIGH, message="", advice=""))

    assert own("temperature", Above(30, 29)) == "heat"
    assert own("temperature", Below(-15, -14)) == "cold"
    assert own("coPpm", Above(9, 8)) == "carbon_monoxide"
    assert own("coPpm", Below(9, 10)) == "problem"
    assert own("flameDetected", Is(True)) == "safety"
    assert own("humidity", Above(70, 65)) == "problem"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"state": AlarmState.ACKNOWLEDGED}, True),
        ({"state": AlarmState.RETURNED}, False),
        ({"state": AlarmState.RETURNED, "latched": True}, True),
        ({"state": AlarmState.LATCHED, "latched": True}, True),
        ({"state": AlarmState.NORMAL, "latched": True}, False),
        ({"shelved_until_ms": 1}, False),
        ({"suppressed_by": "co-dose"}, False),
        ({"out_of_service": True}, False),
    ],
)
def test_alarm_is_on_while_it_stands_and_is_announced(more: dict[str, Any], *, expected: bool) -> None:
    assert is_on(record(**more)) is expected


@pytest.mark.parametrize(
    ("field", "value", "sent"), [("no2", 100, 188.2), ("o3", 50, 98.16), ("co2", 812, 812), ("tvoc", 5, 5)]
)
def test_value_is_sent_in_the_announced_unit(field: str, value: float, sent: float) -> None:
    assert state_of(field, value) == pytest.approx(sent, rel=0.01)


def test_alarms_are_available_while_their_device_is_not() -> None:
    body = orjson.loads(ANNOUNCER.device(DEVICE, ["co2"], RULES, ()))
    topics = [one["topic"] for one in body["availability"]]
    assert topics == ["sensor-bridge/status", "sensor-bridge/floor1/Küche 2/availability"]
    assert body["availability_mode"] == "all"
    alarms = [component for key, component in body["components"].items() if key.startswith("alarm-")]
    assert {one["topic"] for component in alarms for one in component["availability"]} == {"sensor-bridge/status"}


def test_part_is_connected_by_its_device_and_any_other_by_the_bridge() -> None:
    part = orjson.loads(ANNOUNCER.device(DEVICE, [], [], ()))["device"]
    whole = orjson.loads(ANNOUNCER.device(Device("floor1"), [], [], ()))["device"]
    bridge = orjson.loads(ANNOUNCER.bridge([], ()))["device"]
    assert [part["via_device"]] == whole["identifiers"]
    assert [whole["via_device"]] == bridge["identifiers"]
    assert (part["name"], part["model"], part["suggested_area"]) == ("Küche", "X1", "Kitchen")


def test_former_component_is_announced_with_its_platform_alone_which_removes_it() -> None:
    memo = memo_of("co2 alarm-old -alarm-older", ["co2", "alarm-new"])
    assert removed_keys(memo) == ["alarm-old", "alarm-older"]
    assert remembered_fields(memo) == ["co2"]
    assert removed_keys(memo_of(memo, ["co2", "alarm-new", "alarm-old"])) == ["alarm-older"], "it came back"
    body = orjson.loads(ANNOUNCER.device(DEVICE, ["co2"], [], removed_keys(memo)))
    assert body["components"]["alarm-old"] == {"platform": "binary_sensor"}


def test_what_is_remembered_of_former_components_is_limited() -> None:
    memo = ""
    for number in range(1000):
        memo = memo_of(memo, [f"alarm-{number}"])
    assert len(memo.split()) == 101


def test_two_devices_have_different_topics_and_identifiers() -> None:
    ids = ["a/b", "a-b", "a b", "日本", "韓国", "bridge", "A/b"]
    assert len({TOPICS.config(one) for one in ids} | {TOPICS.bridge_config}) == len(ids) + 1
    assert len({TOPICS.identifier(one) for one in [*ids, None]}) == len(ids) + 1


def test_announcement_says_what_a_bridge_that_reads_it_needs() -> None:
    topic, body = TOPICS.config("Küche"), ANNOUNCER.device(Device("Küche"), FIELDS, [], ())
    entities = {entity.name: entity for entity in parse_config(topic, body, "homeassistant")}
    for field, entity in entities.items():
        if "device_class" in sensor(field) and field != "battery":
            assert entity.field == field, entity
            assert str(ValueTemplate(entity.template).render("", {field: 7})) == "7"
