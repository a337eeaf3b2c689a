"""Mapping: any JSON; each field is read from its own path."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import FormatError, UnitError
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.leaves import untaken
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError, join_names, quote
from bridge.core.readings.leaf import Leaf
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag, parse_number
from bridge.core.readings.units import conversion

PATH_LENGTH = 256
_PATH = re.compile(r"(?:[^.\\]|\\[.\\])+(?:\.(?:[^.\\]|\\[.\\])+)*")
_STEP = re.compile(r"(?:[^.\\]|\\[.\\])+")
_ESCAPED = re.compile(r"\\(.)")
_CHOICE = re.compile(r"\[([^=\]]+)=([^\]]*)\]")
_INDEX = re.compile(r"\d{1,6}", re.ASCII)
_OTHER_FIELDS = ("aqiScale", "deviceId", "timestamp")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The path of a field: `a.b.0.c` is key c of the first item of list b of object a, and `a.[k=x].c` is key c of the first
    item of list a whose key k is x. A dot within a key is written `\\.`, a backslash `\\\\`. A number at the path, times
    `scale` plus `offset`, is in `unit`; None: the field's unit.
    """

    text: str
    steps: tuple[str, ...]
    scale: float = 1
    offset: float = 0
    unit: str | None = None

    @classmethod
    def parse(cls, text: str, scale: float = 1, offset: float = 0, unit: str | None = None) -> "FieldPath":
        """Parse a path; raises `FormatError`."""
        if len(text) > PATH_LENGTH or not _PATH.fullmatch(text):
            raise FormatError(
                f"{quote(text)} is not a path; allowed are paths like a.b.0.c: at most {PATH_LENGTH} characters, no empty step,"
                " a dot in a key written as \\. and a backslash as \\\\"
            )
        return cls(text, tuple(_ESCAPED.sub(r"\1", step) for step in _STEP.findall(text)), scale, offset, unit)

    @property
    def converts(self) -> bool:
        return self.scale != 1 or self.offset != 0

    def find(self, body: object) -> object:
        """Return the converted value, or None if the path does not exist."""
        found = self.locate(body)
        if found is None:
            return None
        return scale_value(found[1], self.scale, self.offset) if self.converts else found[1]

    def locate(self, body: object) -> tuple[str, object] | None:
        """Return the place of the value, as the paths of leaves are written, and the value; None if the path does not exist."""
        place = []
        for step in self.steps:
            if isinstance(body, dict) and step in body:
                body = body[step]
                place.append(step)
            elif isinstance(body, list) and (index := _index(step, body)) is not None:
                body = body[index]
                place.append(str(index))
            else:
                return None
        return ".".join(place), body


def _index(step: str, items: list[Any]) -> int | None:
    """Return the index of the item that a step chooses: by number, or by a key as in `[value_type=SDS_P1]`."""
    if _INDEX.fullmatch(step):
        return int(step) if int(step) < len(items) else None
    chosen = _CHOICE.fullmatch(step)
    if chosen is None:
        return None
    key, value = chosen.groups()
    found = (n for n, item in enumerate(items) if isinstance(item, dict) and str(item.get(key)) == value)
    return next(found, None)


def scale_value(raw: object, scale: float, offset: float = 0) -> object:
    """Return a number times `scale` plus `offset`, rounded to 12 digits; anything else unchanged."""
    value = parse_number(raw)
    return raw if value is None else float(f"{value * scale + offset:.12g}")


@dataclass(frozen=True, slots=True)
class MappingFormat:
    """Reads each field from its own path; the other leaves are not taken."""

    fields: Mapping[str, FieldPath]

    def __call__(self, payload: Payload) -> Parsed:
        body = payload.json()
        if not isinstance(body, dict | list):
            raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object or list but {JSON_TYPES[type(body)]}")
        leaves, places = [], set()
        for name, path in self.fields.items():
            found = path.locate(body)
            if found is not None:
                place, value = found
                places.add(place)
                leaves.append(
                    Leaf(place, scale_value(value, path.scale, path.offset) if path.converts else value, name, path.unit)
                )
        if all(leaf.value is None for leaf in leaves if leaf.field in MEASUREMENTS_BY_NAME):
            paths = [quote(path.text) for name, path in self.fields.items() if name in MEASUREMENTS_BY_NAME]
            raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: no value at {join_names(paths)}")
        return Parsed(
            [Sample(leaves)], [leaf for leaf in untaken(body, reason="not in the mapping") if leaf.path not in places]
        )


def field_mistakes(name: str, path: FieldPath) -> Iterator[str]:
    """Yield what is wrong with one of the `fields` of a mapping."""
    if name not in MEASUREMENTS_BY_NAME and name not in _OTHER_FIELDS:
        yield f"fields.{quote(name)[1:-1]} is not a field; allowed are {', '.join((*MEASUREMENTS_BY_NAME, *_OTHER_FIELDS))}"
    elif path.converts and (name in _OTHER_FIELDS or isinstance(MEASUREMENTS_BY_NAME[name], Flag)):
        yield f"fields.{name} is not a number and cannot have a scale or offset"
    elif path.unit is not None and (mistake := _unit_mistake(name, path.unit)):
        yield f"fields.{name}: {mistake}"
    elif not (math.isfinite(path.scale) and path.scale and math.isfinite(path.offset)):
        yield f"fields.{name}: scale and offset must be finite numbers, and scale must not be 0"


def _unit_mistake(name: str, unit: str) -> str | None:
    if name in _OTHER_FIELDS:
        return "it has no unit"
    try:
        conversion(name, unit)
    except UnitError as error:
        return str(error)
    return None


SPEC = FormatSpec("mapping", "sensors/{deviceId}/data", (), None)
