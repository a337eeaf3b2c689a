"""Sensor.Community: the JSON of the airRohr firmware, and the records of the project's API.

    {"esp8266id": "12345678", "sensordatavalues": [{"value_type": "SDS_P1", "value": "12.3"}, …]}

Values are found by their type, whose prefix names the sensor: `BME280_temperature`; those of a DHT22 have none. P0, P1, P2 and
P4 are PM1, PM10, PM2.5 and PM4 in µg/m³, pressure is in Pa. A sensor that fails is left out.
"""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec, Parsed, Sample, Table
from bridge.core.formats.leaves import gather, in_utc, item_path, table_leaf, table_leaves, untaken
from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNIT, UNKNOWN, Leaf

_VALUES = "sensordatavalues"
_PARTICLES: Table = {"P0": "pm1", "P1": "pm10", "P2": "pm25", "P4": "pm4"}
_CLIMATE: Table = {
    "temperature": "temperature", "humidity": "humidity", "pressure": ("pressure", "Pa"), "co2_ppm": "co2",
}  # fmt: skip
_SENSORS: Mapping[str, Table] = {
    **dict.fromkeys(("SDS", "PMS", "HPM", "NPM", "SPS30", "IPS"), _PARTICLES),
    **dict.fromkeys(("BME280", "BMP", "BMP180", "BMP280", "HTU21D", "SHT3X", "DS18B20", "SCD30", "DHT22"), _CLIMATE),
    "DNMS": {"noise_LAeq": "noise"},
    "": {**_PARTICLES, **_CLIMATE, "noise_LAeq": "noise", "signal": "rssi"},
}
_REASONS = {"HECA": "the air in the heated inlet"}
_COUNTED = {"P1", "P2"}
_IS_COUNTER = "durP1"
_COUNTS = "a count per 0.01 ft³, no mass"
_BODY: Table = {"esp8266id": DEVICE_ID, "esp32id": DEVICE_ID, "sensor.id": DEVICE_ID, "timestamp": TIMESTAMP}


def sensorcommunity_format(payload: Payload) -> Parsed:
    """Read the values of one or more devices. Sensors that measure the same are parts, by the prefix of their values."""
    return gather([_device(body, path) for path, body in payload.objects()])


def _device(body: Mapping[str, Any], path: str) -> list[Sample]:
    own = in_utc(table_leaves(body, _BODY, path, (_VALUES,)))
    parts = {"": own}
    place = f"{path}.{_VALUES}" if path else _VALUES
    values = body.get(_VALUES)
    if isinstance(values, list):
        _read_values(values, place, parts)
    elif _VALUES in body:
        own += untaken(values, place)
    return [Sample(leaves, part=part, shares=bool(part)) for part, leaves in parts.items()]


def _read_values(items: list[Any], path: str, parts: dict[str, list[Leaf]]) -> None:
    counts = any(isinstance(item, dict) and item.get("value_type") == _IS_COUNTER for item in items)
    for index, item in enumerate(items):
        name = item.get("value_type") if isinstance(item, dict) else None
        place = item_path(path, index, "value_type", name)
        if not isinstance(name, str):
            parts[""] += untaken(item, place)
            continue
        sensor, target, reason = _sense(name)
        if counts and name in _COUNTED:
            target, reason = None, _COUNTS
        leaves = parts.setdefault(sensor if target else "", [])
        for key, value in item.items():
            if isinstance(value, dict | list) or key not in ("value", "value_type"):
                leaves += untaken(value, f"{place}.{key}")
            elif key == "value":
                leaves.append(table_leaf(f"{place}.value", value, target, reason))
            else:
                leaves.append(table_leaf(f"{place}.value_type", value, UNIT if target else None))


def _sense(name: str) -> tuple[str, str | tuple[str, str] | None, str]:
    """Return the sensor, the field, and why a type is not taken: `BME280`, `temperature` for `BME280_temperature`."""
    sensor, _, quantity = name.partition("_")
    if sensor in _REASONS:
        return "", None, _REASONS[sensor]
    if sensor in _SENSORS and quantity:
        return sensor, _SENSORS[sensor].get(quantity), UNKNOWN
    return "", _SENSORS[""].get(name), UNKNOWN


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    first = body[0] if isinstance(body, list) and body else body
    return isinstance(first, dict) and isinstance(first.get(_VALUES), list)


SPEC = FormatSpec("sensorcommunity", "airrohr/{deviceId}", (), sensorcommunity_format, recognizes, signs=frozenset({_VALUES}))
