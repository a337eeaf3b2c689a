"""Extraction of fields: the leaves of a payload become values in the units of the measurement table, and are checked."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from bridge.core.errors import UnitError
from bridge.core.readings.extra import EXTRA_TEXT_LENGTH, add_extra
from bridge.core.readings.leaf import Leaf
from bridge.core.readings.location_keys import location_key
from bridge.core.readings.measurements import (
    AQI_SCALES,
    MEASUREMENTS_BY_NAME,
    VALUE_NAMES,
    Flag,
    Scalar,
    Value,
    aqi_scale,
    parse_number,
    range_text,
)
from bridge.core.readings.units import conversion, split_quantity

POWER_ON_CELSIUS = 85  # DS18B20 data sheet: the reset value of its temperature register
_DALLAS = re.compile(r"ds18(b|s)?20|dallas|tempc_ds", re.IGNORECASE)
_KEY_LENGTH = 64  # longer keys name no field and are not cached
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
ORDER = {name: index for index, name in enumerate(VALUE_NAMES)}


class ExtractedFields:
    """The fields of a payload.

    `values` are accepted; `quality` has the faults by field. `taken` and `ignored` are the paths of all other leaves than those
    of the fast path: `taken` has the field of each, `ignored` the reason. `extra` keeps the ignored scalars within its limits;
    it has `extra_bytes`.
    """

    __slots__ = ("aqi_scale", "device_id", "extra", "extra_bytes", "ignored", "quality", "taken", "timestamp", "values")

    def __init__(self) -> None:
        """No dataclass: its constructor takes 0.4 µs more, for every message."""
        self.values: dict[str, Value] = {}
        self.quality: dict[str, str] = {}
        self.timestamp: object = None
        self.device_id: object = None
        self.taken: dict[str, str] = {}
        self.ignored: dict[str, str] = {}
        self.extra: dict[str, Scalar] = {}
        self.aqi_scale: object = None
        self.extra_bytes = 0

    def add(self, other: "ExtractedFields") -> None:
        """Add the values and keys of `other`, where these fields do not have them."""
        self.values |= {name: value for name, value in other.values.items() if name not in self.values}
        self.quality |= {name: fault for name, fault in other.quality.items() if name not in self.quality}
        self.taken |= other.taken
        self.ignored |= other.ignored
        for key, value in other.extra.items():
            self.extra_bytes = add_extra(self.extra, self.extra_bytes, key, value)
        sort_values(self)

    def ignore(self, path: str, value: object, reason: str) -> None:
        """Record a leaf that is not taken, and keep its value within the limits of `extra`."""
        self.ignored[path] = reason
        self.keep(path, value)

    def take_location(self, path: str, value: str, name: str) -> None:
        """Take a leaf that states the site or the room of the device. Its value is kept within the limits of `extra`."""
        self.keep(path, value)
        if path in self.extra:
            self.taken[path] = name
        else:
            self.ignored[path] = f"a {name} has up to {EXTRA_TEXT_LENGTH} printable characters"

    def keep(self, path: str, value: object) -> None:
        """Keep a value within the limits of `extra`."""
        self.extra_bytes = add_extra(self.extra, self.extra_bytes, path, value)


def field_name(key: str) -> str | None:
    """Return the field of a payload key, or None. Ignores case, `_`, `-` and `.`; resolves aliases."""
    return _field_name(key) if len(key) <= _KEY_LENGTH else None


@lru_cache(_CACHE_LIMIT)
def _field_name(key: str) -> str | None:
    lower = key.lower()
    return _LITERAL_NAMES.get(lower) or _NAMES.get(lower.translate(_STRIP))


def extract_leaves(leaves: Iterable[Leaf], units: Mapping[str, str] = {}) -> ExtractedFields:
    """Extract leaves, the first of each field. `units` are the device's units by field, where the payload states none."""
    fields = ExtractedFields()
    for leaf in leaves:
        match leaf.field:
            case None if isinstance(leaf.value, str) and (location := location_key(leaf.path)) is not None:
                fields.take_location(leaf.path, str(leaf.value), location)
            case None:
                fields.ignore(leaf.path, leaf.value, leaf.reason)
            case "timestamp" | "deviceId" | "aqiScale" as target:
                _take_target(leaf, target, fields)
            case "unit":
                fields.taken[leaf.path] = "unit"
            case name:
                _take_value(leaf, name, units, fields)
    if "aqi" in fields.values:
        check_aqi(fields)
    sort_values(fields)
    return fields


_TARGETS = {"timestamp": "timestamp", "deviceId": "device_id", "aqiScale": "aqi_scale"}


def _take_target(leaf: Leaf, target: str, fields: ExtractedFields) -> None:
    attribute = _TARGETS[target]
    if leaf.value is not None and getattr(fields, attribute) is not None:
        fields.ignore(leaf.path, leaf.value, f"{target} is already taken from another key")
        return
    if leaf.value is not None:
        setattr(fields, attribute, leaf.value)
    fields.taken[leaf.path] = target


def _take_value(leaf: Leaf, name: str, units: Mapping[str, str], fields: ExtractedFields) -> None:
    """Convert, check and take one value. Null is a missing value, and taken as such."""
    if leaf.value is None:
        fields.taken[leaf.path] = name
        return
    raw, sent, unit = leaf.value, None, units.get(name) if leaf.is_assumed and name in units else leaf.unit
    measurement = MEASUREMENTS_BY_NAME[name]
    if isinstance(raw, str) and not isinstance(measurement, Flag):
        number, stated = split_quantity(raw)
        raw, unit = (raw, unit) if number is None else (number, stated or unit)
    unit = unit or units.get(name)
    if unit and not isinstance(measurement, Flag):
        try:
            sent, (name, raw) = raw, _convert(name, unit, raw)
        except UnitError as error:
            if name in fields.values or name in fields.quality:
                fields.ignore(leaf.path, leaf.value, str(error))
            else:
                fields.taken[leaf.path] = name
                fields.quality[name] = str(error)
            return
    if name in fields.values or name in fields.quality:
        fields.ignore(leaf.path, leaf.value, f"{name} is already taken from another key")
        return
    fields.taken[leaf.path] = name
    accepted, fault = MEASUREMENTS_BY_NAME[name].accept(raw, sent)
    if accepted is not None:
        fields.values[name] = accepted
    if fault is not None:
        fields.quality[name] = fault
    flag_power_on(fields, leaf.path)


def flag_power_on(fields: ExtractedFields, source: str) -> None:
    """Flag the temperature at which a DS18B20 starts, if `source`, a path or a device id, names such a sensor."""
    if fields.values.get("temperature") == POWER_ON_CELSIUS and _DALLAS.search(source):
        fields.quality["temperature"] = "85 °C: a DS18B20 also sends it before its first measurement"


def _convert(name: str, unit: str, raw: object) -> tuple[str, object]:
    """Return the field that the unit shows, and the value in its unit. Raises `UnitError`."""
    found = conversion(name, unit)
    number = parse_number(raw)
    return found.field, raw if number is None else found.apply(number)


def sort_values(fields: ExtractedFields) -> None:
    fields.values = {name: fields.values[name] for name in sorted(fields.values, key=ORDER.__getitem__)}


def check_aqi(fields: ExtractedFields) -> None:
    raw_scale = fields.aqi_scale
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
