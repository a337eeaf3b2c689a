"""The type of a payload format, and the specification of a payload family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Format = Callable[[bytes, Mapping[str, str]], Mapping[str, Any]]
"""Parses a payload and the captured levels of its topic into raw fields, flat and under names that `extract_fields` accepts.

Raises only `PayloadError`, whatever the bytes.
"""


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A payload family: its name in the settings, the usual topic pattern of its devices, and the levels a pattern must
    capture. `parse` None is for a format built from the `fields` of its subscription.
    """

    name: str
    usual_pattern: str
    levels: tuple[str, ...]
    parse: Format | None
