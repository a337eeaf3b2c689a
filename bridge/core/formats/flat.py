"""The fast path of JSON: an object whose keys need no interpretation. Nine fields take 2.2 µs; by their leaves, 40 µs."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bridge.core.formats.field_names import sense
from bridge.core.formats.stated_units import SCALE_INITIALS, VALUE_KEYS, is_scale_word, may_state_unit
from bridge.core.readings.extra import add_extra
from bridge.core.readings.extraction import ORDER, ExtractedFields, check_aqi, field_name, sort_values
from bridge.core.readings.leaf import AQI_SCALE, DEVICE_ID, TIME_KEYS, TIMESTAMP, UNKNOWN
from bridge.core.readings.location_keys import ROOM, SITE, location_key
from bridge.core.readings.measurements import MEASUREMENTS, MEASUREMENTS_BY_NAME, Flag

_USUAL = {measurement.name: (*measurement.unflagged_range, ORDER[measurement.name]) for measurement in MEASUREMENTS}
_NO_RANGE = (math.inf, -math.inf, -1)
_FLAGS = frozenset(measurement.name for measurement in MEASUREMENTS if isinstance(measurement, Flag))
_KEY_LENGTH = 64  # longer keys are not cached
_VALUES = "values"
_UNIT_BY_VALUE = "TVOC"
"""The key in `values` whose number may show the unit of the device."""


_NAMELESS = frozenset(VALUE_KEYS) - {"current"}
"""Keys of a value whose name is beside it: `{"type": "co", "value": 300}`."""

_LOCATIONS = frozenset((SITE, ROOM))
_UNKNOWN = ""
_INTERPRETED = "?"
"""What a key is that is neither a field by its exact name or alias nor a location. One that is interpreted is a unit, a time,
or a name with a unit or a place: its meaning depends on the rest of the object.
"""


def extract_flat(body: Mapping[str, Any]) -> ExtractedFields | None:
    """Return the fields of an object; None if it must be interpreted.

    Most fields have their exact name, a usual value and the order of the table: they are taken in one pass. An exact name wins
    over an alias; otherwise the first wins.
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
        elif key == TIMESTAMP and value is not None:
            fields.timestamp = value
        elif index >= 0 and (kind is float or kind is int):
            in_order = _accept(key, value, fields) and in_order and index > last
            last = index
        else:
            rest[key] = value
    if rest:
        taken = len(values)
        if not _take_rest(rest, fields):
            return None
        in_order = in_order and len(values) == taken
    if "aqi" in values:
        check_aqi(fields)
    if not in_order:
        sort_values(fields)
    return fields


def _take_rest(rest: Mapping[str, Any], fields: ExtractedFields) -> bool:
    """Take aliases, unusual values and the object `values`, and name the unknown keys. False if a key must be interpreted."""
    raw: dict[str, tuple[str, Any]] = {}
    if not _collect(rest, "", raw, fields):
        return False
    values, taken = fields.values, fields.taken
    for name, (path, value) in raw.items():
        low, high, _ = _USUAL.get(name, _NO_RANGE)
        kind = type(value)
        if (kind is float or kind is int) and low <= value <= high and name not in values and name not in fields.quality:
            values[name] = value
            taken[path] = name
        elif not _take(name, path, value, fields):
            return False
    return True


def _collect(body: Mapping[str, Any], place: str, raw: dict[str, tuple[str, Any]], fields: ExtractedFields) -> bool:
    """Add the values of an object at `place` to `raw` by their fields, and name the unknown keys. False if one must be
    interpreted.
    """
    ignored, extra = fields.ignored, fields.extra
    for key, value in body.items():
        kind = type(value)
        if kind is dict and value and key == _VALUES and not place:
            if not _collect(value, f"{_VALUES}.", raw, fields):
                return False
            continue
        name = _key(key) if len(key) <= _KEY_LENGTH else _INTERPRETED
        if name is _INTERPRETED or kind is dict or kind is list or (place and key == _UNIT_BY_VALUE):
            return False
        path = place + key
        if name is _UNKNOWN:
            if kind is str and value[:1] in SCALE_INITIALS and is_scale_word(value):
                return False
            ignored[path] = UNKNOWN  # as `ignore` does, without a call
            fields.extra_bytes = add_extra(extra, fields.extra_bytes, path, value)
        elif name in raw or value is None or name in _LOCATIONS:
            if not _collect_other(name, path, value, raw, fields):
                return False
        else:
            raw[name] = path, value
    return True


def _collect_other(name: str, path: str, value: object, raw: dict[str, tuple[str, Any]], fields: ExtractedFields) -> bool:
    """Take a location, an empty value, or the second key of a field. False if it must be interpreted."""
    if name in _LOCATIONS:
        if location_key(path) is None:
            return False
        if isinstance(value, str):
            fields.take_location(path, value, name)
        else:
            fields.ignore(path, value, UNKNOWN)
    elif value is None:
        fields.taken[path] = name
    elif path == name:
        fields.ignore(*raw[name], _TAKEN.format(name))
        raw[name] = path, value
    else:
        fields.ignore(path, value, _TAKEN.format(name))
    return True


_TAKEN = "{} is already taken from another key"


def _take(name: str, path: str, value: object, fields: ExtractedFields) -> bool:
    if name == TIMESTAMP and fields.timestamp is None:
        fields.timestamp = value
    elif name == DEVICE_ID:
        fields.device_id = value
    elif name == AQI_SCALE:
        fields.aqi_scale = value
    elif name == TIMESTAMP or name in fields.values or name in fields.quality:
        fields.ignore(path, value, _TAKEN.format(name))
        return True
    else:
        if isinstance(value, str) and name not in _FLAGS:
            return False  # it may have a unit
        _accept(name, value, fields)
    fields.taken[path] = name
    return True


def _accept(name: str, value: object, fields: ExtractedFields) -> bool:
    """Take a value that is not usual; return whether it was accepted."""
    accepted, fault = MEASUREMENTS_BY_NAME[name].accept(value)
    if accepted is not None:
        fields.values[name] = accepted
    if fault is not None:
        fields.quality[name] = fault
    return accepted is not None


@lru_cache(10_000)
def _key(key: str) -> str:
    """Return the field of a key, or one of the kinds above."""
    name = field_name(key)
    if name is not None:
        return name
    lower = key.lower()
    if lower in TIME_KEYS or lower in _NAMELESS or may_state_unit(key, None) or sense(key) is not None:
        return _INTERPRETED
    return location_key(key) or _UNKNOWN
