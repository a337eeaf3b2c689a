"""Extraction of fields: payload keys are mapped to fields, and each value is checked against the measurement table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag, Value, aqi_scale, range_text

_KEY_LENGTH = 64  # longer keys are unknown and not cached
_CACHE_LIMIT = 10_000  # cached keys; they are chosen by untrusted senders

# Field names by key, in lower case and without `_`, `-` and `.`.
_NAMES: dict[str, str] = {
    "timestamp": "timestamp",
    "deviceid": "deviceId",
    "sensorid": "deviceId",
    "aqiscale": "aqiScale",
}
for _measurement in MEASUREMENTS_BY_NAME.values():
    for _name in (_measurement.name, *_measurement.aliases):
        _NAMES[_name.lower()] = _measurement.name
# Stripped, `pm1_0` would be `pm10`, another field.
_LITERAL_NAMES = {f"pm{mark}1{dot}0": "pm1" for mark in ("", "_") for dot in ("_", ".", "-")} | {
    f"pm{mark}10{dot}0": "pm10" for mark in ("", "_") for dot in ("_", ".", "-")
}
_STRIP = str.maketrans("", "", "_-.")
_ORDER = {name: index for index, name in enumerate(VALUE_NAMES)}
_USUAL = {
    measurement.name: (*measurement.unflagged_range, _ORDER[measurement.name]) for measurement in MEASUREMENTS_BY_NAME.values()
}
_NO_RANGE = (math.inf, -math.inf, -1)
_FLAGS = frozenset(measurement.name for measurement in MEASUREMENTS_BY_NAME.values() if isinstance(measurement, Flag))


@dataclass(slots=True)
class ExtractedFields:
    """The fields of a payload: accepted values, faults by field (`quality`), and unknown keys."""

    values: dict[str, Value] = field(default_factory=dict)
    quality: dict[str, str] = field(default_factory=dict)
    timestamp: object = None
    device_id: object = None
    unknown: list[str] = field(default_factory=list)


@lru_cache(_CACHE_LIMIT)
def field_name(key: str) -> str | None:
    """Return the field of a payload key, or None. Ignores case, `_`, `-` and `.`; resolves aliases."""
    lower = key.lower()
    return _LITERAL_NAMES.get(lower) or _NAMES.get(lower.translate(_STRIP))


def extract_fields(body: Mapping[str, Any]) -> ExtractedFields:
    """Extract the fields of a payload. An exact name wins over an alias and over a nested value; otherwise the first wins.

    Fast path: most fields have their exact name, a usual value and the order of the table. They are taken in one pass, nine
    of them in 2.2 µs instead of 5.3 µs. All others are checked one by one.
    """
    fields = ExtractedFields()
    values = fields.values
    rest: dict[str, Any] = {}
    last, in_order = -1, True
    for key, value in body.items():
        low, high, index = _USUAL.get(key, _NO_RANGE)
        kind = type(value)
        if (low <= value <= high) if kind is float or kind is int else (kind is bool and key in _FLAGS):
            values[key] = value
            in_order = in_order and index > last
            last = index
        elif key == "timestamp" and value is not None:
            fields.timestamp = value
        else:
            rest[key] = value
    taken = len(values)
    scale = _extract_rest(rest, fields) if rest else None
    if "aqi" in values:
        _check_aqi(fields, scale)
    if not in_order or len(values) > taken:
        fields.values = {name: values[name] for name in sorted(values, key=_ORDER.__getitem__)}
    return fields


def _extract_rest(body: Mapping[str, Any], fields: ExtractedFields) -> object:
    """Extract the fields that the fast path left: aliases, nested and unusual values. Returns the value of `aqiScale`."""
    raw: dict[str, Any] = {}
    for key, value in body.items():
        if key == "values" and isinstance(value, dict):
            for inner, inner_value in value.items():
                _collect(raw, fields.unknown, inner, inner_value)
        else:
            _collect(raw, fields.unknown, key, value)
    timestamp = raw.pop("timestamp", None)
    if fields.timestamp is None:
        fields.timestamp = timestamp
    fields.device_id = raw.pop("deviceId", None)
    scale = raw.pop("aqiScale", None)
    for name, value in raw.items():
        if name not in fields.values:
            _accept(name, value, fields)
    return scale


def _collect(raw: dict[str, Any], unknown: list[str], key: str, value: object) -> None:
    name = field_name(key) if len(key) <= _KEY_LENGTH else None
    if name is None:
        unknown.append(key)
    elif value is not None and (name not in raw or key == name):
        raw[name] = value


def _accept(name: str, raw: object, fields: ExtractedFields) -> None:
    accepted, fault = MEASUREMENTS_BY_NAME[name].accept(raw)
    if accepted is not None:
        fields.values[name] = accepted
    if fault is not None:
        fields.quality[name] = fault


def _check_aqi(fields: ExtractedFields, raw_scale: object) -> None:
    scale = raw_scale.strip().lower() if isinstance(raw_scale, str) else None
    if scale is not None and scale in AQI_SCALES:
        fields.values["aqiScale"] = scale
    elif raw_scale is not None:
        scale = None
        fields.quality["aqiScale"] = f"not one of {', '.join(AQI_SCALES)}"
    aqi = fields.values["aqi"]
    low, high = bounds = AQI_SCALES[aqi_scale(float(aqi), scale)]
    if not low <= float(aqi) <= high:
        fields.quality["aqi"] = range_text(bounds)
