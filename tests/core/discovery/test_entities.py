"""Announcements of Home Assistant discovery: field, unit, device and part of each sensor."""

from __future__ import annotations

import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.decode import Decoder
from bridge.core.discovery.catalog import ENTITIES_LIMIT, TOPIC_ENTITIES_LIMIT, EntityCatalog
from bridge.core.discovery.entities import Entity, parse_config
from bridge.core.errors import FormatError
from bridge.core.message import Decoded, Ignored, ReadingBatch
from bridge.core.readings.reading import Reading
from tests.core.test_decode import JSON, message

TOPIC = "homeassistant/sensor/node/air/config"
DEVICE = {"identifiers": ["d1"], "name": "Air"}


def entity(config: dict[str, Any], topic: str = TOPIC) -> Entity:
    (one,) = parse_config(topic, orjson.dumps({"state_topic": "s", "device": DEVICE, **config}), "homeassistant")
    return one


def catalog(*configs: dict[str, Any]) -> EntityCatalog:
    made = EntityCatalog()
    for number, config in enumerate(configs):
        topic = f"homeassistant/sensor/n/{config.get('object_id', number)}/config"
        made.put(topic, [entity(config, topic)])
    return made


def decode(made: EntityCatalog, body: object, topic: str = "s") -> Decoded:
    decoder = Decoder(())
    decoder.set_routes((), made.routes())
    return decoder.decode(message(body if isinstance(body, bytes) else orjson.dumps(body), topic))


def values(decoded: Decoded) -> dict[str, dict[str, Any]]:
    readings = decoded.readings if isinstance(decoded, ReadingBatch) else [decoded]
    assert all(isinstance(one, Reading) for one in readings), decoded
    return {one.device_id: dict(one.values) for one in readings if isinstance(one, Reading)}


@pytest.mark.parametrize(
    ("config", "field", "unit"),
    [
        ({"device_class": "temperature", "unit_of_measurement": "°F"}, "temperature", "°F"),
        ({"dev_cla": "temperature", "unit_of_meas": "°C"}, "temperature", "°C"),
        ({"dev_cla": "carbon_dioxide", "unit_of_meas": "ppm"}, "co2", "ppm"),
        ({"dev_cla": "carbon_dioxide", "unit_of_meas": "ppm", "name": "eCO2"}, "eco2", "ppm"),
        ({"dev_cla": "volatile_organic_compounds"}, "tvoc", "µg/m³"),
        ({"dev_cla": "volatile_organic_compounds", "unit_of_meas": "mg/m³"}, "tvoc", "mg/m³"),
        ({"dev_cla": "volatile_organic_compounds_parts", "unit_of_meas": "ppm"}, "tvoc", "ppm"),
        ({"dev_cla": "atmospheric_pressure", "unit_of_meas": "inHg"}, "pressure", "inHg"),
        ({"dev_cla": "battery", "unit_of_meas": "%", "ent_cat": "diagnostic", "name": "Battery"}, "battery", "%"),
        ({"dev_cla": "voltage", "unit_of_meas": "mV", "name": "Battery voltage"}, "batteryVoltage", "mV"),
        ({"dev_cla": "signal_strength", "unit_of_meas": "dBm", "ent_cat": "diagnostic"}, "rssi", "dBm"),
        ({"dev_cla": "sound_pressure", "unit_of_meas": "dBA"}, "noise", "dBA"),
        ({"dev_cla": "aqi"}, "aqi", None),
        ({"name": "Air formaldehyde", "unit_of_meas": "ppb"}, "hcho", "ppb"),
        ({"name": "VOC index"}, "vocIndex", None),
    ],
)
def test_class_name_and_unit_give_the_field(config: dict[str, Any], field: str, unit: str | None) -> None:
    one = entity(config)
    assert (one.field, one.unit, one.reason) == (field, unit, "")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"dev_cla": "temperature", "unit_of_meas": "°C", "name": "Dew point"}, "another quantity by its name"),
        ({"dev_cla": "temperature", "unit_of_meas": "°C", "name": "Target temperature"}, "another quantity by its name"),
        ({"dev_cla": "temperature", "unit_of_meas": "°C", "ent_cat": "diagnostic"}, "of the device's own electronics"),
        ({"dev_cla": "temperature", "unit_of_meas": "%"}, "in unit '%', not one of"),
        ({"dev_cla": "energy", "unit_of_meas": "kWh"}, "no field for class energy"),
        ({"dev_cla": "voltage", "unit_of_meas": "V", "name": "Mains"}, "no field for class voltage"),
        ({"name": "CO2"}, "it states no unit"),
        ({"name": "Uptime", "unit_of_meas": "s"}, "unknown key"),
    ],
)
def test_sensor_without_a_field_says_why(config: dict[str, Any], reason: str) -> None:
    one = entity(config)
    assert one.field is None
    assert one.reason.startswith(reason)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ({"ids": "d"}, "d"),
        ({"ids": ["", "d#", "d"]}, "d"),
        ({"cns": [["mac", "aa:bb"]]}, "aa:bb"),
        ({"identifiers": ["Küche 1"]}, "Küche 1"),
        (None, "unique"),
    ],
)
def test_device_is_its_first_usable_identifier(device: object, expected: str) -> None:
    assert entity({"dev": device, "device": device, "unique_id": "unique"}).device.id == expected


def test_base_topic_replaces_the_tilde() -> None:
    for topic in ("~/state", "/state~"):
        config = {"~": "a/b" if topic.startswith("~") else "x", "stat_t": topic}
        one = parse_config(TOPIC, orjson.dumps(config), "homeassistant")[0]
        assert one.state_topic in ("a/b/state", "/statex")


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "state_topic"),
        (b'{"state_topic": "a/#"}', "state_topic"),
        (b'{"state_topic": "a", "value_template": 3}', "value_template"),
        (b'{"state_topic": "a", "value_template": "{% for x in y %}{% endfor %}"}', "for"),
        (b"x" * 70_000, "bytes"),
    ],
)
def test_wrong_announcement_is_refused_with_what_is_wrong(payload: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        parse_config(TOPIC, payload, "homeassistant")


@pytest.mark.parametrize(
    "topic",
    [
        "homeassistant/light/a/config",
        "homeassistant/sensor/config",
        "homeassistant/sensor/a/b/c/config",
        "homeassistant/status",
    ],
)
def test_other_topics_announce_nothing(topic: str) -> None:
    assert parse_config(topic, b"{}", "homeassistant") == []


TWO = (
    {"object_id": "temperature", "dev_cla": "temperature", "unit_of_meas": "°C", "val_tpl": "{{ value_json.a }}"},
    {"object_id": "temperature_probe", "dev_cla": "temperature", "unit_of_meas": "°C", "val_tpl": "{{ value_json.b }}"},
)


@pytest.mark.parametrize("configs", list(itertools.permutations(TWO)))
def test_second_sensor_of_a_class_is_a_part_whatever_comes_first(configs: tuple[dict[str, Any], ...]) -> None:
    assert values(decode(catalog(*configs), {"a": 1, "b": 2})) == {
        "d1": {"temperature": 1},
        "d1.temperature_probe": {"temperature": 2},
    }


def test_series_of_a_sensor_does_not_change_when_others_come_and_go() -> None:
    made = catalog(TWO[1])
    made.routes()
    reloaded = EntityCatalog()
    reloaded.load(orjson.loads(orjson.dumps(made.to_document())))
    topic = "homeassistant/sensor/n/temperature/config"
    reloaded.put(topic, [entity(TWO[0], topic)])
    assert values(decode(reloaded, {"a": 1, "b": 2})) == {"d1": {"temperature": 2}, "d1.temperature": {"temperature": 1}}
    reloaded.put("homeassistant/sensor/n/temperature_probe/config", [])
    assert values(decode(reloaded, {"a": 1, "b": 2})) == {"d1.temperature": {"temperature": 1}}


def test_values_that_are_missing_or_unavailable_are_left_out() -> None:
    made = catalog(*TWO)
    assert values(decode(made, {"a": 1})) == {"d1": {"temperature": 1}}
    assert values(decode(made, {"a": "unavailable", "b": 2})) == {"d1.temperature_probe": {"temperature": 2}}
    assert isinstance(decode(made, {"a": None}), Ignored)
    assert isinstance(decode(made, b"offline"), Ignored)


def test_state_without_a_template_is_the_payload() -> None:
    made = catalog({"dev_cla": "carbon_dioxide", "unit_of_meas": "ppm"})
    assert values(decode(made, b"645")) == {"d1": {"co2": 645}}
    assert isinstance(decode(made, b"unavailable"), Ignored)


def test_values_without_a_field_are_extra() -> None:
    made = catalog(TWO[0], {"object_id": "uptime", "unit_of_meas": "s", "val_tpl": "{{ value_json.up }}"})
    decoded = decode(made, {"a": 1, "up": 77})
    assert isinstance(decoded, Reading)
    assert (decoded.extra, decoded.ignored, decoded.family) == ({"uptime": 77}, {"uptime": "unknown key"}, "discovery")


def test_template_that_fails_is_named_and_the_others_are_taken() -> None:
    made = catalog(TWO[0], TWO[1] | {"val_tpl": "{{ value_json.text | float / 0 }}"})
    decoded = decode(made, {"a": 1, "text": "3"})
    assert isinstance(decoded, Reading)
    assert decoded.values == {"temperature": 1}
    assert "template fails" in decoded.ignored["temperature_probe"]


def test_names_that_a_device_announces_are_cleaned_of_control_characters() -> None:
    device = {
        "identifiers": "dev",
        "name": "Air\nquality\x1b",
        "model": "X\t1",
        "manufacturer": "A\x00",
        "suggested_area": "\u2028",
    }
    made = catalog(TWO[0] | {"device": device})
    assert made.suggestions() == {"dev": {"name": "Air quality", "type": "A X 1"}}


def test_number_of_sensors_is_limited_in_all_and_by_topic() -> None:
    made = EntityCatalog()
    for number in range(ENTITIES_LIMIT):
        made.put(str(number), [entity(TWO[0] | {"state_topic": str(number)})])
    with pytest.raises(FormatError, match="limit"):
        made.put("more", [entity(TWO[0])])
    one = EntityCatalog()
    for number in range(TOPIC_ENTITIES_LIMIT + 5):
        one.put(str(number), [entity(TWO[0], f"homeassistant/sensor/{number}/config")])
    one.routes()
    assert list(one.refused.values()) == ["5 sensors beyond the limits of one topic"]


@given(
    st.dictionaries(
        st.sampled_from(["stat_t", "state_topic", "dev", "device", "cmps", "val_tpl", "dev_cla", "name", "p"]), JSON
    )
)
def test_any_announcement_is_taken_or_refused(config: dict[str, Any]) -> None:
    for topic in (TOPIC, "homeassistant/device/a/config"):
        try:
            found = parse_config(topic, json.dumps(config).encode(), "homeassistant")
        except FormatError:
            continue
        made = EntityCatalog()
        made.put(topic, found)
        orjson.dumps([made.to_document(), made.suggestions()])
        for state in made.routes():
            decode(made, {"a": 1}, state)
