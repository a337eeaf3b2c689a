"""Scalars of a message that are no measurement. They are kept with its reading within limits, and never judged."""

from collections.abc import Mapping
from functools import lru_cache

from bridge.core.readings.measurements import Scalar

EXTRA_KEYS, EXTRA_BYTES = 32, 2048
"""The most keys of one reading, and the most bytes of its keys and values together; a number counts as eight bytes."""

EXTRA_KEY_LENGTH, EXTRA_TEXT_LENGTH = 64, 256
"""The most characters of a key and of a text value."""

_NUMBER_BYTES = 8
_NUMBERS = (float, int)
_LOW, _HIGH = -(2**53), 2**53
_RESERVED = frozenset({"__proto__"})
EXTRA_RULE = (
    f"an object of at most {EXTRA_KEYS} texts, numbers and true/false, {EXTRA_BYTES} bytes in all, with names of "
    f"1 to {EXTRA_KEY_LENGTH} printable characters and no step with a leading $"
)


def add_extra(extra: dict[str, Scalar], used_bytes: int, key: str, value: object) -> int:
    """Add a value to `extra`, which has `used_bytes`, unless it exceeds a limit. Return the bytes that `extra` has now."""
    if len(extra) >= EXTRA_KEYS or key in extra or len(key) > EXTRA_KEY_LENGTH or not (size := _key_bytes(key)):
        return used_bytes
    if isinstance(value, str):
        if len(value) > EXTRA_TEXT_LENGTH or not value.isprintable():
            return used_bytes
        size += len(value) if value.isascii() else len(value.encode())
    elif isinstance(value, _NUMBERS) and _LOW < value < _HIGH:  # not so for NaN and infinities
        size += _NUMBER_BYTES
    else:
        return used_bytes
    if used_bytes + size > EXTRA_BYTES:
        return used_bytes
    extra[key] = value
    return used_bytes + size


def bounded_extra(values: Mapping[str, object]) -> dict[str, Scalar]:
    """Return the values, in order, as far as they are within the limits."""
    extra: dict[str, Scalar] = {}
    used_bytes = 0
    for key, value in values.items():
        used_bytes = add_extra(extra, used_bytes, key, value)
    return extra


@lru_cache(10_000)
def _key_bytes(key: str) -> int:
    """Return the bytes of a key of at most `EXTRA_KEY_LENGTH`; 0 if not every store and client takes it."""
    if not key.isprintable() or any(step.startswith("$") or step in _RESERVED for step in key.split(".")):
        return 0
    return len(key.encode())
