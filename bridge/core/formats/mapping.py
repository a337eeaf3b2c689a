"""Any JSON; each field is read from its own path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import FormatError
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError, join_names, parse_json, quote
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, parse_number

_PATH = re.compile(r"(?:[^.\\]|\\[.\\])+(?:\.(?:[^.\\]|\\[.\\])+)*")


_STEP = re.compile(r"(?:[^.\\]|\\[.\\])+")


_ESCAPED = re.compile(r"\\(.)")


PATH_LENGTH = 256


_INDEX = re.compile(r"\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldPath:
    """Where a field stands: `a.b.0.c` is key c of the first item of list b of object a. A dot within a key is written `\\.`,
    a backslash `\\\\`. A parse_number found there, times `scale` plus `offset`, is in the field's unit.
    """

    text: str
    steps: tuple[str, ...]
    scale: float = 1
    offset: float = 0

    @classmethod
    def parse(cls, text: str, scale: float = 1, offset: float = 0) -> FieldPath:
        """Read a path; raises `FormatError`."""
        if len(text) > PATH_LENGTH or not _PATH.fullmatch(text):
            raise FormatError(
                f"{quote(text)} is no path; one looks like a.b.0.c, has at most {PATH_LENGTH} characters and no empty step, "
                "and in a key a dot is written \\. and a backslash \\\\"
            )
        return cls(text, tuple(_ESCAPED.sub(r"\1", step) for step in _STEP.findall(text)), scale, offset)

    @property
    def converts(self) -> bool:
        """The number found is not yet in the field's unit."""
        return self.scale != 1 or self.offset != 0

    def find(self, body: object) -> object:
        """The value, converted; None where there is none."""
        for step in self.steps:
            if isinstance(body, dict):
                body = body.get(step)
            elif isinstance(body, list) and _INDEX.fullmatch(step) and int(step) < len(body):
                body = body[int(step)]
            else:
                return None
        return scale_value(body, self.scale, self.offset) if self.converts else body


def scale_value(raw: object, scale: float, offset: float = 0) -> object:
    """A number times `scale` plus `offset`, without the noise of binary fractions; anything else as it is."""
    value = parse_number(raw)
    return raw if value is None else float(f"{value * scale + offset:.12g}")


@dataclass(frozen=True, slots=True)
class MappingFormat:
    """Each field from its own path; what has no path is not looked at."""

    fields: Mapping[str, FieldPath]

    def __call__(self, payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG002
        """As every `Format`."""
        body = parse_json(payload)
        if not isinstance(body, dict | list):
            raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object or list but {JSON_TYPES[type(body)]}")
        raw = {name: path.find(body) for name, path in self.fields.items()}
        if all(raw[name] is None for name in raw if name in MEASUREMENTS_BY_NAME):
            paths = [quote(path.text) for name, path in self.fields.items() if name in MEASUREMENTS_BY_NAME]
            raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: nothing stands at {join_names(paths)}")
        return raw
