"""SenML: a list of records, each with one value, in JSON or CBOR.

Source: RFC 8428; units of RFC 8428, section 12.1, and RFC 8798.

    [{"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1795860000, "n": "temperature", "u": "Cel", "v": 21.5},
     {"n": "humidity", "u": "%RH", "v": 40}]

The base values `bn`, `bt`, `bu` and `bv` hold from their record on. The name of a value is `bn` and `n` in one: its last step
is the field, what stands before it is the device, with the steps of `n` as parts. A name without a known field has that of its
unit, where only one field has it (`Cel`, `%RH`). The time is `bt` plus `t`; one before 1978 is relative to the time of receipt,
which is used instead. In CBOR the labels are numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.core.binary import EncodingFault, decode_cbor
from bridge.core.formats.encodings.merging import merge_samples
from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import LEAVES_LIMIT, untaken
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNIT, Leaf

_LABELS: Mapping[str, str] = {
    "-1": "bver", "-2": "bn", "-3": "bt", "-4": "bu", "-5": "bv", "-6": "bs", "0": "n", "1": "u", "2": "v", "3": "vs",
    "4": "vb", "5": "s", "6": "t", "7": "ut", "8": "vd",
}  # fmt: skip
"""The labels of RFC 8428 by their numbers in CBOR."""
_KNOWN = {*_LABELS.values()}
_VALUES = ("v", "vb", "vs")
_BASES = {"bver", "bn", "bt", "bu", "bv"}
_UNITS = {"%EL": "%"}
_FIELDS = {"Cel": "temperature", "%RH": "humidity", "%EL": "battery", "lx": "illuminance", "Pa": "pressure", "hPa": "pressure"}
_RELATIVE_BELOW = 2**28  # seconds
_RELATIVE = "relative to the time of receipt, which is used instead"
_TOO_MANY = f"beyond the {LEAVES_LIMIT} records of a message"


@dataclass(slots=True)
class _Bases:
    """The base values so far, and the paths of name and time."""

    name: str = ""
    name_at: str = ""
    unit: str | None = None
    base_time: float = 0
    time_at: str = ""
    value: float = 0

    def update(self, record: Mapping[str, Any], places: Mapping[str, str]) -> None:
        if isinstance(record.get("bn"), str):
            self.name, self.name_at = record["bn"], places["bn"]
        if isinstance(record.get("bu"), str):
            self.unit = record["bu"]
        if "bt" in record:
            self.base_time, self.time_at = _number(record["bt"], self.base_time), places["bt"]
        self.value = _number(record.get("bv"), self.value)


class _Name(NamedTuple):
    device: str
    part: str
    field: str | None
    unit: str | None


def senml_format(payload: Payload) -> Parsed:
    records = _records(payload)
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records[:LEAVES_LIMIT]):
        raise PayloadError(RejectionReason.NOT_OBJECT, "not SenML: allowed is a list of records, which are objects")
    parsed, bases = Parsed([]), _Bases()
    for index, item in enumerate(records):
        if index >= LEAVES_LIMIT or not isinstance(item, dict):
            parsed.common += untaken(item, str(index), _TOO_MANY)
            continue
        sample = _read(item, str(index), bases, payload)
        if sample.leaves and any(leaf.field not in (None, UNIT) for leaf in sample.leaves):
            parsed.samples.append(sample)
        else:
            parsed.common += sample.leaves
    parsed.samples = merge_samples(parsed.samples)
    return parsed


def _read(item: Mapping[str, Any], path: str, bases: _Bases, payload: Payload) -> Sample:
    """Return the sample of one record; without a value, its leaves are not taken."""
    places: dict[str, str] = {}
    record: dict[str, Any] = {}
    repeated: list[Leaf] = []
    for label, value in item.items():
        own = _LABELS.get(label, label)
        if own in record:
            repeated += untaken(value, f"{path}.{label}")
        else:
            places[own], record[own] = f"{path}.{label}", value
    bases.update(record, places)
    unit = record["u"] if isinstance(record.get("u"), str) else bases.unit
    name = _name(bases.name, record.get("n"), unit)
    key = next((key for key in _VALUES if key in record and not isinstance(record[key], dict | list)), None)
    if key is None or name.field is None:
        return Sample(repeated + [leaf for own, value in record.items() for leaf in _other(own, value, places[own])])
    time = bases.base_time + _number(record.get("t"), 0)
    leaves = [Leaf(places[key], _sum(record[key], bases.value), name.field, name.unit)]
    if time >= _RELATIVE_BELOW:
        leaves.append(Leaf(places.get("t", bases.time_at), time, TIMESTAMP))
    if name.device:
        leaves.append(Leaf(bases.name_at or places["n"], name.device, DEVICE_ID))
    read = {leaf.path for leaf in leaves}
    for own, value in record.items():
        if own in ("t", "bt") and 0 != time < _RELATIVE_BELOW:
            leaves += untaken(value, places[own], _RELATIVE)
        elif places[own] not in read:
            leaves += _as_read(value, places[own]) if own in ("n", "u", "t") else _other(own, value, places[own])
    return Sample(leaves + repeated, name.device if "deviceId" not in payload.captures else None, name.part, shares=True)


def _other(own: str, value: object, place: str) -> list[Leaf]:
    """Return the leaves of a label other than that of a value: base values hold for other records."""
    return _as_read(value, place) if own in _BASES else untaken(value, place)


def _as_read(value: object, place: str) -> list[Leaf]:
    return [leaf._replace(field=UNIT) for leaf in untaken(value, place)]


def _name(base: str, own: object, unit: str | None) -> _Name:
    """Return the device, the part, the field and its unit."""
    if isinstance(own, str) and base and own:
        device, steps = base.rstrip(":/-_. "), own.strip("/").split("/")
    else:
        device, steps = _split(base + (own if isinstance(own, str) else ""))
    stated = None if unit is None else _UNITS.get(unit, unit)
    found = sense(steps[-1]) if steps else None
    if found is not None:
        part = ".".join(step for step in (*steps[:-1], found.prefix) if step)
        return _Name(device, part, found.field, stated or found.unit)
    field = _FIELDS.get(unit or "")
    return _Name(device, ".".join(steps), field, stated)


def _split(name: str) -> tuple[str, list[str]]:
    """Return the device in a whole name, and its field, if its last step has the sense of one."""
    name = name.rstrip(":/")
    cut = max(name.rfind(":"), name.rfind("/"))
    last = name[cut + 1 :]
    return (name[: max(cut, 0)], [last]) if sense(last) is not None else (name, [])


def _sum(value: object, base: float) -> object:
    return value + base if base and isinstance(value, int | float) and not isinstance(value, bool) else value


def _number(value: object, default: float) -> float:
    """Return a finite number, or the default."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return value
    return default


def _records(payload: Payload) -> object:
    if payload.json_or_none() is not None or not payload.data or payload.data[0] >> 5 != 4:  # a list in CBOR
        return payload.json()
    try:
        return decode_cbor(payload.data)
    except EncodingFault as error:
        raise PayloadError(RejectionReason.NOT_JSON, f"not SenML: {error}") from None


def recognizes(payload: Payload) -> bool:
    body = payload.json_or_none()
    if not isinstance(body, list) or not body or not isinstance(body[0], dict):
        return False
    labels = {_LABELS.get(label, label) for label in body[0]}
    return (
        labels <= _KNOWN and not labels.isdisjoint({"n", "bn"}) and not labels.isdisjoint({*_VALUES, "s", "bt", "bu", "bver"})
    )


SPEC = FormatSpec("senml", "sensors/{deviceId}/senml", (), senml_format, recognizes)
