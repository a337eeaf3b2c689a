"""Messages beside the examples of the wire contract: every name, nesting, type and value; more may be there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def a_time(value: object) -> bool:
    """ISO 8601 in UTC with milliseconds and `Z`."""
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def an_id(value: object) -> bool:
    """An ObjectId, as text."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{24}", value) is not None


def a_cursor(value: object) -> bool:
    """A whole number that JavaScript holds."""
    return type(value) is int and 0 < value < 2**53


def a_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def a_score(value: object) -> bool:
    return type(value) is int and 0 <= value <= 100


def assert_as_written(message: object, example: object) -> None:
    """`example` has values, and where they are not known beforehand one of the functions above."""
    assert list(_differences(message, example, "")) == [], message


def _differences(message: Any, example: Any, at: str) -> Iterator[str]:
    if isinstance(example, Callable):  # type: ignore[arg-type]
        if not example(message):
            yield f"{at} is {message!r}, not {example.__name__}"
    elif type(message) is not type(example):
        yield f"{at} is {message!r}, of another type than {example!r}"
    elif isinstance(example, dict):
        for name, value in example.items():
            if name in message:
                yield from _differences(message[name], value, f"{at}.{name}")
            else:
                yield f"{at}.{name} is missing"
    elif isinstance(example, list) and len(message) == len(example):
        for n, (one, value) in enumerate(zip(message, example, strict=True)):
            yield from _differences(one, value, f"{at}.{n}")
    elif message != example:
        yield f"{at} is {message!r}, not {example!r}"
