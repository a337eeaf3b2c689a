"""JSON: any object or list of objects with the bridge's field names, their aliases, or names whose sense is clear.

Values may stand in nested objects, in lists of key and value, with units beside them, and with the names that devices give to
times. Each object that is neither a container nor a value is a part of the device: `{"in": {"temperature": 21}, "out": …}`; so
is each place in a name, as in `outdoor_temperature`. A part named by its type of sensor shares the device's series if it can.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.core.formats.field_names import is_chip, names_other_quantity, sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import DEPTH_LIMIT, LEAVES_LIMIT, untaken
from bridge.core.formats.payload import Payload
from bridge.core.formats.stated_units import StatedUnits
from bridge.core.formats.value_objects import NAMED_VALUE_KEYS, find_value, inner_object, pair_keys
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError
from bridge.core.readings.extraction import field_name
from bridge.core.readings.leaf import AQI_SCALE, DEVICE_ID, TIME_KEYS, TIMESTAMP, UNIT, Leaf
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.timestamp import is_date

_CONTAINERS = {
    "values", "data", "measurements", "measurement", "readings", "reading", "sensors", "sensor", "payload", "state", "status",
    "telemetry", "sample", "metrics", "fields", "params", "result", "decodedpayload", "body", "message", "attributes", "air",
    "environment", "object",
}  # fmt: skip
_PART_KEYS = ("id", "address", "mac", "serial", "name", "sensor", "probe", "channel")
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::|Z|[+-]|$)", re.ASCII)
_MASS_FORM, _MASS_LIMIT = ("values", "TVOC"), 5
"""Indoor air monitors that send `{"values": {"TVOC": 0.2}}` mean mg/m³. A number with a fraction below the limit shows it: as
ppb it would be less than the background of outdoor air, as mg/m³ it is what rooms have.
"""
_NO_KEYS = "a list without keys"
_TOO_MANY = f"beyond the {LEAVES_LIMIT} keys of a message"


def json_format(payload: Payload) -> Parsed:
    return read_json(payload.json())


def read_json(body: object, path: str = "") -> Parsed:
    """Return the samples of a JSON value at `path`. Raises `PayloadError` if it is neither an object nor a list of objects."""
    if isinstance(body, dict):
        return _read_object(body, path)
    if isinstance(body, list) and body and all(isinstance(item, dict) for item in body[:LEAVES_LIMIT]):
        return _read_list(body, path)
    what = "an empty list" if body == [] else JSON_TYPES[type(body)]
    raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {what}")


def _read_list(items: list[Any], path: str = "") -> Parsed:
    """Return the samples of all items: each is a reading, or all are keys with values."""
    pair = pair_keys(items) if all(isinstance(item, dict) for item in items) else None
    if pair is not None:
        reader = _Reader()
        reader.read_pairs(items, pair, path, "")
        return reader.parsed()
    parsed = Parsed([])
    for index, item in enumerate(items):
        at = f"{path}.{index}" if path else str(index)
        if len(parsed.samples) + len(parsed.common) >= LEAVES_LIMIT or not isinstance(item, dict):
            parsed.common += untaken(item, at, _TOO_MANY if isinstance(item, dict) else "not an object")
            continue
        one = _read_object(item, at)
        parsed.common += [leaf for leaf in one.common if leaf.field is None or not one.samples]
        shared = [leaf for leaf in one.common if leaf.field is not None]
        for sample in one.samples:
            sample.leaves += shared
        parsed.samples += one.samples
        parsed.units |= one.units
    return parsed


def _read_object(body: Mapping[str, Any], path: str = "") -> Parsed:
    reader = _Reader()
    reader.read(body, path, "")
    return reader.parsed()


@dataclass(slots=True)
class _Reader:
    """Collects the leaves of one object by part; "" is the device itself."""

    parts: dict[str, list[Leaf]] = field(default_factory=dict)
    count: int = 0
    units: dict[str, str] = field(default_factory=dict)

    def parsed(self) -> Parsed:
        """Return a sample per part with a measurement. The leaves of the other parts are common."""
        samples, common = [], []
        for part, leaves in self.parts.items():
            if any(leaf.field in MEASUREMENTS_BY_NAME for leaf in leaves):
                samples.append(Sample(leaves, part=part, shares=is_chip(part.rpartition(".")[2])))
            else:
                common += leaves
        if len(samples) == 1:
            samples[0].leaves += common
            common = []
        return Parsed(samples, common, units=self.units)

    def _add(self, part: str, leaf: Leaf) -> None:
        self.parts.setdefault(part, []).append(leaf)

    def read(
        self, body: Mapping[str, Any], path: str, part: str, depth: int = 0, outer_units: StatedUnits | None = None
    ) -> None:
        units, dates = StatedUnits(body, outer_units), _date_leaves(body)
        pair = None if NAMED_VALUE_KEYS.isdisjoint(body) or names_other_quantity(part) else pair_keys([body])
        scalars = sorted(body.items(), key=_precedence) if len(body) > 1 else body.items()
        for key, value in scalars:
            place = f"{path}.{key}" if path else key
            self.count += 1
            if self.count > LEAVES_LIMIT:
                self._add_all(part, untaken(value, place, _TOO_MANY))
            elif key in dates:
                self._add(part, dates[key]._replace(path=place))
            elif pair is not None and key in pair and not isinstance(value, list):
                self._read_of_pair(body, pair, key, place, part, depth, units)
            elif key in units.keys:
                self._add_all(part, [Leaf(leaf.path, leaf.value, UNIT) for leaf in untaken(value, place)])
            elif isinstance(value, dict) and value:
                self._read_nested(key, value, place, part, depth, units)
            elif isinstance(value, list) and value:
                self._read_list(key, value, place, part, depth, units)
            else:
                self._read_scalar(key, value, place, part, units)

    def _read_of_pair(
        self,
        body: Mapping[str, Any],
        pair: tuple[str, str],
        key: str,
        place: str,
        part: str,
        depth: int,
        units: StatedUnits,
    ) -> None:
        """Read the name or the value of `{"type": "co", "value": 300, "unit": "ppm"}`."""
        name, value = body[pair[0]], body[key]
        found = sense(name)
        if key == pair[0] or found is None:
            self._add(part, Leaf(place, value, UNIT))
        elif isinstance(value, dict):
            self._read_nested(name, value, place, part, depth + 1, units)
        else:
            self._add(_qualified(part, found.prefix), Leaf(place, value, found.field, units.of(found.field) or found.unit))

    def _add_all(self, part: str, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            self._add(part, leaf)

    def _read_nested(self, key: str, value: dict[str, Any], place: str, part: str, depth: int, units: StatedUnits) -> None:
        if depth >= DEPTH_LIMIT:
            self._add_all(part, untaken(value, place))
            return
        found = sense(key)
        if found is not None and (inner := find_value(value, found.field)) is not None:
            own = StatedUnits(value)
            for name, item in value.items():
                at = f"{place}.{name}"
                if name == inner.key:
                    unit = inner.unit or own.of_value(found.field) or found.unit or units.of(found.field)
                    self._add(_qualified(part, found.prefix), Leaf(at, item, found.field, unit))
                elif name in own.keys or name == inner.unit_key:
                    self._add_all(part, [Leaf(leaf.path, leaf.value, UNIT) for leaf in untaken(item, at)])
                else:
                    self._add_all(part, untaken(item, at))
            return
        if found is not None and (outer := inner_object(value)) is not None:
            for name, item in value.items():
                if name == outer:
                    self._read_nested(key, item, f"{place}.{name}", part, depth + 1, units)
                else:
                    self._add_all(part, untaken(item, f"{place}.{name}"))
            return
        inner_part = part if key.lower().replace("_", "") in _CONTAINERS else _qualified(part, key)
        self.read(value, place, inner_part, depth + 1, units)

    def _read_list(self, key: str, items: list[Any], place: str, part: str, depth: int, units: StatedUnits) -> None:
        found = sense(key) if len(items) == 1 and isinstance(items[0], dict) and depth < DEPTH_LIMIT else None
        if found is not None and find_value(items[0], found.field) is not None:  # one value with its unit
            self._read_nested(key, items[0], f"{place}.0", part, depth + 1, units)
            return
        if not all(isinstance(item, dict) for item in items) or depth >= DEPTH_LIMIT:
            leaves = untaken(items, place, _NO_KEYS)
            name = AQI_SCALE if field_name(key) == AQI_SCALE else getattr(sense(key), "field", None)
            if name is not None:  # a list where one value should be: the field is at fault
                leaves[0] = Leaf(leaves[0].path, items, name)
            self._add_all(part, leaves)
        elif (pair := pair_keys(items)) is not None:
            self.read_pairs(items, pair, place, part, units)
        else:
            distinct = next((name for name in _PART_KEYS if _distinguishes(items, name)), None)
            for index, item in enumerate(items):
                at = f"{place}.{index}"
                if distinct is None:
                    self._add_all(part, untaken(item, at, _NO_KEYS))
                else:
                    self.read(item, at, _qualified(part, str(item[distinct])), depth + 1, units)

    def read_pairs(
        self,
        items: list[dict[str, Any]],
        keys: tuple[str, str],
        place: str,
        part: str,
        outer_units: StatedUnits | None = None,
    ) -> None:
        """Read a list of `{"name": "temperature", "value": 21.5, "unit": "°C"}`."""
        name_key, value_key = keys
        for index, item in enumerate(items):
            at = f"{place}.{index}" if place else str(index)
            name = item.get(name_key)
            found = sense(name) if isinstance(name, str) else None
            own = StatedUnits(item)
            for key, value in item.items():
                here = f"{at}.{key}"
                if key == value_key and found is not None and not isinstance(value, dict | list):
                    outer = None if outer_units is None else outer_units.of_inner(found.field)
                    unit = own.of_value(found.field) or found.unit or outer
                    self._add(_qualified(part, found.prefix), Leaf(here, value, found.field, unit))
                elif key in own.keys or (key == name_key and found is not None):
                    self._add_all(part, [Leaf(leaf.path, leaf.value, UNIT) for leaf in untaken(value, here)])
                else:
                    self._add_all(part, untaken(value, here))

    def _read_scalar(self, key: str, value: object, place: str, part: str, units: StatedUnits) -> None:
        name = field_name(key)
        if name in (DEVICE_ID, AQI_SCALE):
            self._add(part, Leaf(place, value, name))
        elif key.lower() in TIME_KEYS and not isinstance(value, dict | list | bool):
            self._add(part, Leaf(place, value, TIMESTAMP))
        elif isinstance(value, dict | list) or (found := sense(key)) is None:
            self._add(part, Leaf(place, value))
        elif (unit := found.unit or units.of(found.field)) is None and _shows_mass(place, value):
            self.units[found.field] = "mg/m³"
            self._add(_qualified(part, found.prefix), Leaf(place, value, found.field, "mg/m³", is_assumed=True))
        else:
            self._add(_qualified(part, found.prefix), Leaf(place, value, found.field, unit))


def _shows_mass(place: str, value: object) -> bool:
    """Whether a value of TVOC without a unit is in mg/m³."""
    is_form = tuple(place.rsplit(".", 2)[-2:]) == _MASS_FORM
    return is_form and isinstance(value, float) and 0 < value < _MASS_LIMIT and not value.is_integer()


def _date_leaves(body: Mapping[str, Any]) -> Mapping[str, Leaf]:
    """Return the leaves of a date and of the time of day beside it, by key: `{"date": "2026-11-28", "time": "10:00:00"}` is one
    moment. Beside a whole time, the date is not taken.
    """
    date = next((key for key in body if key.lower() == "date" and is_date(body[key])), None)
    times = [] if date is None else [key for key in body if key != date and key.lower() in TIME_KEYS and body[key] is not None]
    if date is None or not times:
        return {}
    time = next((key for key in times if isinstance(body[key], str) and _TIME_OF_DAY.match(body[key].strip())), None)
    if time is None:
        return {date: Leaf(date, body[date], None, None, f"{TIMESTAMP} is already taken from another key")}
    moment = f"{body[date].strip()} {body[time].strip()}"
    return {date: Leaf(date, moment, TIMESTAMP), time: Leaf(time, body[time], UNIT)}


def _precedence(item: tuple[str, Any]) -> int:
    """Exact names first, then times by their usual names, then aliases; the order within each is kept."""
    key = item[0]
    if key in MEASUREMENTS_BY_NAME or key in (TIMESTAMP, DEVICE_ID):
        return 0 if item[1] is not None else 3
    if key.lower() in TIME_KEYS:
        return 1
    return 2


def _qualified(part: str, name: str) -> str:
    return f"{part}.{name}" if part and name else part or name


def _distinguishes(items: list[dict[str, Any]], key: str) -> bool:
    """Whether every item has another value at `key`."""
    values = [item.get(key) for item in items]
    return all(isinstance(value, str | int) for value in values) and len({str(value) for value in values}) == len(values)


SPEC = FormatSpec("json", "sensors/{deviceId}/data", (), json_format)
