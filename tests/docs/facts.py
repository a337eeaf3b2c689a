"""What the code says of itself, in the words of the tables in docs/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bridge.settings import Settings

_SEPARATOR = re.compile(r"(?<!\\)\|")

Row = tuple[str, str, str]
"""A setting, its default, and what is allowed (empty where that is not one range or one choice)."""


def settings_rows(model: type[BaseModel] = Settings, above: str = "") -> Iterator[Row]:
    """Every setting, as its table shows it."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_rows(field.annotation, f"{above}{name}.")
        else:
            yield f"{above}{name}", _default(field), _allowed(field)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    match value:
        case None:
            return "unset"
        case bool():
            return f"`{str(value).lower()}`"
        case Enum():
            return f"`{value.value}`"
        case tuple() | dict() if not value:
            return "none"
        case tuple():
            return "[below](#subscriptions)"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    if choices := list(_choices(field.annotation)):
        return ", ".join(f"`{one}`" for one in choices)
    bounds: dict[type, Any] = {type(one): one for one in _constraints(field)}
    if Le in bounds:
        return f"{bounds[Ge].ge if Ge in bounds else f'above {bounds[Gt].gt}'} to {bounds[Le].le}"
    if MaxLen in bounds:
        return f"{bounds[MinLen].min_length} to {bounds[MaxLen].max_length} characters"
    return ""


def _constraints(field: FieldInfo) -> Iterator[object]:
    """Also those within `Days | None`."""
    yield from field.metadata
    for part in get_args(field.annotation):
        for one in getattr(part, "__metadata__", ()):
            yield from getattr(one, "metadata", (one,))


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(one.value) for one in annotation)
    elif annotation is bool or set(get_args(annotation)) == {bool, NoneType}:
        yield from ("true", "false")


def tables(page: Path) -> Iterator[list[str]]:
    """The cells of every row of every table of a page, without headers."""
    lines = page.read_text("utf-8").splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not _is_ruler(line) and not _is_ruler(below):
            yield [cell.strip() for cell in _SEPARATOR.split(line.strip())[1:-1]]


def _is_ruler(line: str) -> bool:
    return line.startswith("|") and set(line) <= set("|-: ")


def column(page: Path, pattern: str, *, cell: int = 0) -> list[str]:
    """What the pattern's group finds in one column of the tables of a page."""
    return [found[1] for row in tables(page) if len(row) > cell for found in re.finditer(pattern, row[cell])]
