"""Mapping: any JSON; each field is read from its own path."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import FormatError
from bridge.core.formats.format import FormatSpec
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError, join_names, parse_json, quote
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag, parse_number

PATH_LENGTH = 256
_PATH = re.compile(r"(?:[^.\\]|\\[.\\])+(?:\.(?:[^.\\]|\\[.\\])+)*")
_STEP = re.compile(r"(?:[^.\\]|\\[.\\])+")
_ESCAPED = re.compile(r"\\(.)")
_INDEX = re.compile(r"\d{1,6}", re.ASCII)
_OTHER_FIELDS = ("aqiScale", "deviceId", "timestamp")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The path of a field: `a.b.0.c` is key c of the first item of list b of object a. A dot within a key is written `\\.`,
    a backslash `\\\\`. A number at the path, times `scale` plus `offset`, is in the field's unit.
    """

    text: str
    steps: tuple[str, ...]
    scale: float = 1
    offset: float = 0

    @classmethod
    def parse(cls, text: str, scale: float = 1, offset: float = 0) -> "FieldPath":
        """Parse a path; raises `FormatError`."""
        if len(text) > PATH_LENGTH or not _PATH.fullmatch(text):
            raise FormatError(
                f"{quote(text)} is not a path; allowed are paths like a.b.0.c: at most {PATH_LENGTH} characters, no empty step,"
                " a dot in a key written as \\. and a backslash as \\\\"
            )
        return cls(text, tuple(_ESCAPED.sub(r"\1", step) for step in _STEP.findall(text)), scale, offset)

    @property
    def converts(self) -> bool:
        return self.scale != 1 or self.offset != 0

    def find(self, body: object) -> object:
        """Return the converted value, or None if the path does not exist."""
        for step in self.steps:
            if isinstance(body, dict):
                body = body.get(step)
            elif isinstance(body, list) and _INDEX.fullmatch(step) and int(step) < len(body):
                body = body[int(step)]
            else:
                return None
        return scale_value(body, self.scale, self.offset) if self.converts else body


def scale_value(raw: object, scale: float, offset: float = 0) -> object:
    """Return a number times `scale` plus `offset`, rounded to 12 digits; anything else unchanged."""
    value = parse_number(raw)
    return raw if value is None else float(f"{value * scale + offset:.12g}")


@dataclass(frozen=True, slots=True)
class MappingFormat:
    """Reads each field from its own path and ignores the rest of the payload."""

    fields: Mapping[str, FieldPath]

    def __call__(self, payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG002
        body = parse_json(payload)
        if not isinstance(body, dict | list):
            raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object or list but {JSON_TYPES[type(body)]}")
        raw = {name: path.find(body) for name, path in self.fields.items()}
        if all(raw[name] is None for name in raw if name in MEASUREMENTS_BY_NAME):
            paths = [quote(path.text) for name, path in self.fields.items() if name in MEASUREMENTS_BY_NAME]
            raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: no value at {join_names(paths)}")
        return raw


def field_mistakes(name: str, path: FieldPath) -> Iterator[str]:
    """Yield what is wrong with one of the `fields` of a mapping."""
    if name not in MEASUREMENTS_BY_NAME and name not in _OTHER_FIELDS:
        yield f"fields.{quote(name)[1:-1]} is not a field; allowed are {', '.join((*MEASUREMENTS_BY_NAME, *_OTHER_FIELDS))}"
    elif path.converts and (name in _OTHER_FIELDS or isinstance(MEASUREMENTS_BY_NAME[name], Flag)):
        yield f"fields.{name} is not a number and cannot have a scale or offset"
    elif not (math.isfinite(path.scale) and path.scale and math.isfinite(path.offset)):
        yield f"fields.{name}: scale and offset must be finite numbers, and scale must not be 0"


SPEC = FormatSpec("mapping", "sensors/{deviceId}/data", (), None)
