"""The key of an object that has the value of a field: `{"value": 300, "unit": "ppm"}`, `{"detected": true}`, `{"ppm": 300}`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bridge.core.errors import UnitError
from bridge.core.formats.field_names import sense
from bridge.core.formats.stated_units import VALUE_KEYS
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
from bridge.core.readings.units import conversion, unit_name

NAME_KEYS = (
    "name", "key", "type", "field", "measurement", "parameter", "id", "n", "value_type", "sensor", "metric", "gas", "pollutant",
    "quantity", "kind", "variable",
)  # fmt: skip
NAMED_VALUE_KEYS = frozenset(VALUE_KEYS)
_VALUE_KEYS = (*VALUE_KEYS, "measurement", "measured", "measured_value", "measuredvalue", "concentration", "present_value")
_FLAG_KEYS = ("detected", *VALUE_KEYS, "state", "status", "alarm", "active")
_UNIT_KEY = "u"  # beside `v`, as in SenML


class ValueKey(NamedTuple):
    """A key of an object, and the unit that the object states by its keys."""

    key: str
    unit: str | None = None
    unit_key: str | None = None


def find_value(body: Mapping[str, Any], field: str) -> ValueKey | None:
    """Return the key with the value of a field in an object of its own; None if there is none."""
    by_name = {key.lower(): key for key, value in reversed(list(body.items())) if not isinstance(value, dict | list)}
    is_flag = isinstance(MEASUREMENTS_BY_NAME[field], Flag)
    name = next((name for name in (_FLAG_KEYS if is_flag else _VALUE_KEYS) if name in by_name), None)
    if name is not None:
        unit = body.get(_UNIT_KEY)
        states = isinstance(unit, str) and unit_name(unit) is not None
        return ValueKey(by_name[name], unit, _UNIT_KEY) if states else ValueKey(by_name[name])
    if is_flag or not body or not all(_is_unit(key, field) for key in body):
        return None
    key = next(iter(body))
    return ValueKey(key, key)


def _is_unit(key: str, field: str) -> bool:
    """Whether a key is a unit in which a field may be stated. A digit, which also is one, numbers a channel."""
    try:
        return not key.isdigit() and unit_name(key) is not None and conversion(field, key).field == field
    except UnitError:
        return False


def inner_object(body: Mapping[str, Any]) -> str | None:
    """Return the key of an object in which the value is: `{"value": {"value": 300, "unit": "ppm"}}`."""
    return next((key for key, value in body.items() if key.lower() in VALUE_KEYS and isinstance(value, dict)), None)


def pair_keys(items: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the keys of name and value that all items have, where at least one name has a sense; else None."""
    for name in NAME_KEYS:
        if all(isinstance(item.get(name), str) for item in items) and any(sense(item[name]) for item in items):
            for value in VALUE_KEYS:
                if value != name and all(value in item for item in items):
                    return name, value
    return None
