"""Tasmota: an object with one object per sensor, as on `tele/…/SENSOR` and `tele/…/STATE`."""

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.core.formats.field_names import match_field
from bridge.core.formats.format import FormatSpec
from bridge.core.formats.mapping import scale_value
from bridge.core.payload import parse_object

_WARM_CHIPS = ("ESP32", "MHZ19")  # these report their own temperature, not that of the air
_HPA = {"mmHg": 1.33322387, "inHg": 33.8638867}
_UNIT_KEYS = {"TempUnit", "PressureUnit", "SpeedUnit"}


def tasmota_format(payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - the payload is complete
    """Flatten `{"Time": …, "AM2301": {"Temperature": …}, "TempUnit": "C"}`; of two sensors with one quantity the first wins.

    `Time` without a zone is UTC. Fahrenheit is converted to °C, mmHg and inHg to hPa.
    """
    body = parse_object(payload)
    raw: dict[str, Any] = {"timestamp": body.pop("Time", None)}
    for sensor, key, value in _sensor_values(body):
        name = match_field(key.lower())  # lower case: `aHumidity`, in g/m³, would split into a humidity
        if name is None or raw.get(name) is not None or (name == "temperature" and sensor.startswith(_WARM_CHIPS)):
            raw.setdefault(f"{sensor}.{key}" if sensor else key, value)
        else:
            raw[name] = _convert(name, value, body)
    return raw


def _sensor_values(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in body.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                yield key, inner, inner_value
        elif key not in _UNIT_KEYS:
            yield "", key, value


def _convert(name: str, value: object, body: Mapping[str, Any]) -> object:
    if name == "temperature" and body.get("TempUnit") == "F":
        return scale_value(value, 1 / 1.8, -32 / 1.8)
    unit = body.get("PressureUnit")
    return scale_value(value, _HPA[unit]) if name == "pressure" and isinstance(unit, str) and unit in _HPA else value


SPEC = FormatSpec("tasmota", "tele/{deviceId}/SENSOR", ("deviceId",), tasmota_format)
