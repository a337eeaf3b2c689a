"""Zigbee2MQTT's device list."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given

from bridge.core.decode import Decoder, Route
from bridge.core.discovery.exposes import LIST_BYTES, list_topics, parse_list
from bridge.core.errors import FormatError
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.core.test_decode import JSON, message

LIST = [
    {"type": "Coordinator", "friendly_name": "Coordinator", "definition": None},
    {
        "friendly_name": "floor1/air",
        "definition": {
            "vendor": "Acme",
            "model": "AQ1",
            "exposes": [
                {"property": "voc", "unit": "µg/m³", "value_min": 0},
                {"type": "climate", "features": [{"property": "local_temperature", "unit": "°C"}]},
                {"property": "state"},
            ],
        },
    },
]


def zigbee_route(pattern: str) -> Route:
    parsed = TopicPattern.parse(pattern)
    return Route(parsed, format=make_format(FormatName.ZIGBEE2MQTT, parsed))


def test_units_and_models_of_devices_are_read() -> None:
    (one,) = parse_list(orjson.dumps(LIST))
    assert (one.name, one.model, one.units) == ("floor1/air", "Acme AQ1", {"voc": "µg/m³", "local_temperature": "°C"})


def test_lists_are_below_the_base_topics_of_the_subscriptions() -> None:
    routes = [zigbee_route(text) for text in ("zigbee2mqtt/{deviceId}", "home/z2m/{deviceId...}", "+/{deviceId}")]
    assert list_topics(routes) == {"zigbee2mqtt/bridge/devices": "zigbee2mqtt", "home/z2m/bridge/devices": "home/z2m"}


@pytest.mark.parametrize("payload", [b"{", b"{}", b"[" + b"1," * LIST_BYTES + b"1]"])
def test_anything_but_a_list_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        parse_list(payload)


@given(JSON)
def test_any_json_is_read_or_refused(body: object) -> None:
    try:
        parse_list(
            orjson.dumps(
                [body, {"friendly_name": "a", "definition": body}, {"friendly_name": "a", "definition": {"exposes": body}}]
            )
        )
    except (FormatError, orjson.JSONEncodeError):
        return


def test_published_unit_is_used_and_the_unit_of_a_person_wins() -> None:
    decoder = Decoder([zigbee_route("z2m/{deviceId}")])
    decoder.set_units({"z2m/air": {"voc": "mg/m³"}})
    sent = message(b'{"voc": 0.46, "linkquality": 1}', "z2m/air")
    decoded = decoder.decode(sent)
    assert isinstance(decoded, Reading)
    assert decoded.values == {"tvoc": 100}
    profile = decoder._profiles.obtain("air")
    assert profile is not None
    profile.units["tvoc"] = "ppm"
    decoded = decoder.decode(sent)
    assert isinstance(decoded, Reading)
    assert decoded.values["tvoc"] in (460, 0.46)  # 0.46 until the decoder applies the units of a person
