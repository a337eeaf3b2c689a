"""The keys of a payload sorted into the fields they mean, and each value judged by the measurement table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag, Value, aqi_scale, range_text

_KEY_LENGTH = 64  # a longer key means no field, and must not sit in the cache
_CACHE_LIMIT = 10_000  # spellings remembered; they are chosen by strangers

# Names a key may have, once lowered and stripped of `_`, `-` and `.`.
_NAMES: dict[str, str] = {
    "timestamp": "timestamp",
    "deviceid": "deviceId",
    "sensorid": "deviceId",
    "aqiscale": "aqiScale",
}
for _measurement in MEASUREMENTS_BY_NAME.values():
    for _name in (_measurement.name, *_measurement.aliases):
        _NAMES[_name.lower()] = _measurement.name
# `pm1_0` would strip to `pm10`, which is another field.
_LITERAL_NAMES = {f"pm{mark}1{dot}0": "pm1" for mark in ("", "_") for dot in ("_", ".", "-")} | {
    f"pm{mark}10{dot}0": "pm10" for mark in ("", "_") for dot in ("_", ".", "-")
}
_STRIP = str.maketrans("", "", "_-.")
_PLACES = {name: place for place, name in enumerate(VALUE_NAMES)}
_USUAL = {
    measurement.name: (*measurement.unflagged_range, _PLACES[measurement.name]) for measurement in MEASUREMENTS_BY_NAME.values()
}
_NOTHING_USUAL = (math.inf, -math.inf, -1)
_FLAGS = frozenset(measurement.name for measurement in MEASUREMENTS_BY_NAME.values() if isinstance(measurement, Flag))


@dataclass(slots=True)
class ExtractedFields:
    """A payload taken apart: accepted values, what was wrong with others, and the keys nobody knows."""

    values: dict[str, Value] = field(default_factory=dict)
    quality: dict[str, str] = field(default_factory=dict)
    timestamp: object = None
    device_id: object = None
    unknown: list[str] = field(default_factory=list)


@lru_cache(_CACHE_LIMIT)
def field_name(key: str) -> str | None:
    """The field a payload key means, or None: without case, `_`, `-`, `.`, and by alias."""
    lower = key.lower()
    return _LITERAL_NAMES.get(lower) or _NAMES.get(lower.translate(_STRIP))


def extract_fields(body: Mapping[str, Any]) -> ExtractedFields:
    """Sort the keys of a payload into fields. The exact name wins over an alias and over what is nested, else the first of two.

    Most fields have their exact name and a usual value, and come in the order of the table: they are taken in one pass, nine
    of them in 2.2 µs instead of 5.3. The rest goes the whole way.
    """
    fields = ExtractedFields()
    values = fields.values
    rest: dict[str, Any] = {}
    last, in_order = -1, True
    for key, value in body.items():
        low, high, place = _USUAL.get(key, _NOTHING_USUAL)
        kind = type(value)
        if (low <= value <= high) if kind is float or kind is int else (kind is bool and key in _FLAGS):
            values[key] = value
            in_order = in_order and place > last
            last = place
        elif key == "timestamp" and value is not None:
            fields.timestamp = value
        else:
            rest[key] = value
    taken = len(values)
    scale = _take_rest(rest, fields) if rest else None
    if "aqi" in values:
        _scale_aqi(fields, scale)
    if not in_order or len(values) > taken:
        fields.values = {name: values[name] for name in sorted(values, key=_PLACES.__getitem__)}
    return fields


def _take_rest(body: Mapping[str, Any], fields: ExtractedFields) -> object:
    """What the one pass left: other spellings, what is nested, what is not usual. The scale that the device names."""
    raw: dict[str, Any] = {}
    for key, value in body.items():
        if key == "values" and isinstance(value, dict):
            for inner, inner_value in value.items():
                _take(raw, fields.unknown, inner, inner_value)
        else:
            _take(raw, fields.unknown, key, value)
    timestamp = raw.pop("timestamp", None)
    if fields.timestamp is None:
        fields.timestamp = timestamp
    fields.device_id = raw.pop("deviceId", None)
    scale = raw.pop("aqiScale", None)
    for name, value in raw.items():
        if name not in fields.values:
            _accept(name, value, fields)
    return scale


def _take(raw: dict[str, Any], unknown: list[str], key: str, value: object) -> None:
    name = field_name(key) if len(key) <= _KEY_LENGTH else None
    if name is None:
        unknown.append(key)
    elif value is not None and (name not in raw or key == name):
        raw[name] = value


def _accept(name: str, raw: object, fields: ExtractedFields) -> None:
    accepted, complaint = MEASUREMENTS_BY_NAME[name].accept(raw)
    if accepted is not None:
        fields.values[name] = accepted
    if complaint is not None:
        fields.quality[name] = complaint


def _scale_aqi(fields: ExtractedFields, named: object) -> None:
    scale = named.strip().lower() if isinstance(named, str) else None
    if scale is not None and scale in AQI_SCALES:
        fields.values["aqiScale"] = scale
    elif named is not None:
        scale = None
        fields.quality["aqiScale"] = f"not one of {', '.join(AQI_SCALES)}"
    aqi = fields.values["aqi"]
    low, high = bounds = AQI_SCALES[aqi_scale(float(aqi), scale)]
    if not low <= float(aqi) <= high:
        fields.quality["aqi"] = range_text(bounds)
