"""Scalars of a message that are no measurement. They are kept with its reading within limits, and never judged."""

import math
from collections.abc import Mapping

from bridge.core.readings.measurements import Scalar

EXTRA_KEYS, EXTRA_BYTES = 32, 2048
"""The most keys of one reading, and the most bytes of its keys and values together; a number counts as eight bytes."""

EXTRA_KEY_LENGTH, EXTRA_TEXT_LENGTH = 64, 256
"""The most characters of a key and of a text value."""

_NUMBER_BYTES = 8
_RESERVED = frozenset({"__proto__"})
EXTRA_RULE = (
    f"an object of at most {EXTRA_KEYS} texts, numbers and true/false, {EXTRA_BYTES} bytes in all, with names of "
    f"1 to {EXTRA_KEY_LENGTH} printable characters and no step with a leading $"
)


def add_extra(extra: dict[str, Scalar], used_bytes: int, key: str, value: object) -> int:
    """Add a value to `extra`, which has `used_bytes`, unless it exceeds a limit. Return the bytes that `extra` has now."""
    if len(extra) >= EXTRA_KEYS or key in extra or not isinstance(value, float | int | str) or not _is_storable(key, value):
        return used_bytes
    size = used_bytes + _bytes(key) + (_bytes(value) if isinstance(value, str) else _NUMBER_BYTES)
    if size > EXTRA_BYTES:
        return used_bytes
    extra[key] = value
    return size


def bounded_extra(values: Mapping[str, object]) -> dict[str, Scalar]:
    """Return the values, in order, as far as they are within the limits."""
    extra: dict[str, Scalar] = {}
    used_bytes = 0
    for key, value in values.items():
        used_bytes = add_extra(extra, used_bytes, key, value)
    return extra


def _is_storable(key: str, value: Scalar) -> bool:
    """Whether every store and client takes the value under this name."""
    if not 0 < len(key) <= EXTRA_KEY_LENGTH or not key.isprintable():
        return False
    if any(step.startswith("$") or step in _RESERVED for step in key.split(".")):
        return False
    if isinstance(value, str):
        return len(value) <= EXTRA_TEXT_LENGTH and value.isprintable()
    return math.isfinite(value) and -(2**53) < value < 2**53


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
