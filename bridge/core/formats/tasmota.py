"""Tasmota: an object with one object per sensor, as on `tele/…/SENSOR` and `tele/…/STATE`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.core.formats.field_names import match_field
from bridge.core.formats.mapping import scale_value
from bridge.core.payload import parse_object


def tasmota_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - the payload has it all
    """`{"Time": …, "AM2301": {"Temperature": …}, "TempUnit": "C"}`; of two sensors with one quantity the first counts.

    `Time` without a zone is UTC, as every time here. Fahrenheit, mmHg and inHg become °C and hPa.
    """
    body = parse_object(payload)
    raw: dict[str, Any] = {"timestamp": body.pop("Time", None)}
    for sensor, key, value in _by_sensor(body):
        name = match_field(key.lower())  # or `aHumidity`, g/m³, would end in a humidity
        if name is None or raw.get(name) is not None or (name == "temperature" and sensor.startswith(_WARM_CHIPS)):
            raw.setdefault(f"{sensor}.{key}" if sensor else key, value)
        else:
            raw[name] = _in_our_unit(name, value, body)
    return raw


_WARM_CHIPS = ("ESP32", "MHZ19")  # they tell their own temperature, not that of the air


_HPA = {"mmHg": 1.33322387, "inHg": 33.8638867}


_TASMOTA_UNITS = {"TempUnit", "PressureUnit", "SpeedUnit"}


def _by_sensor(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in body.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                yield key, inner, inner_value
        elif key not in _TASMOTA_UNITS:
            yield "", key, value


def _in_our_unit(name: str, value: object, body: Mapping[str, Any]) -> object:
    if name == "temperature" and body.get("TempUnit") == "F":
        return scale_value(value, 1 / 1.8, -32 / 1.8)
    unit = body.get("PressureUnit")
    return scale_value(value, _HPA[unit]) if name == "pressure" and isinstance(unit, str) and unit in _HPA else value
