"""The identity of records, and the cursor from which clients resume."""

import re
import struct
from collections.abc import Collection, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any

from bson.objectid import ObjectId

from bridge.core.readings.measurements import Value

DEVICE_ID_RULE = "1 to 128 characters of A-Z a-z 0-9 . _ : -, but not . or .."
"""`.` and `..` are steps in a URL: clients resolve them before they send a request, so such a device could not be addressed."""

DEVICE_ID_PATTERN = r"^([A-Za-z0-9._:-]*[A-Za-z0-9_:-][A-Za-z0-9._:-]*|\.{3,})$"
"""The characters of the rule as a regular expression of JSON Schema; the length is checked separately."""

_DEVICE_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:-]{1,128}", re.ASCII)
_SECONDS = struct.Struct(">I")
_NEGATIVE_ZERO = struct.pack(">d", -0.0)

CURSOR_LIMIT = 2**53
"""Cursors stay below this (until the year 2255), so that JavaScript represents them exactly."""


def is_device_id(text: object) -> bool:
    """Whether the value is a text that follows `DEVICE_ID_RULE`."""
    return isinstance(text, str) and _DEVICE_ID.fullmatch(text) is not None


def record_id(device_id: str, device_ms: int, values: Mapping[str, Value]) -> ObjectId:
    """Return the `_id` of a reading: the seconds of the device's time, then 64 bits of BLAKE2b over device, time and values.

    Values are compared as numbers (25 equals 25.0), so a reading that arrives twice, or from two sources, is one record.
    Two different readings of the same second collide with probability 1 in 2^64.
    """
    digest = blake2b(_identifying(device_id, str(device_ms), values), digest_size=8).digest()
    return ObjectId(_SECONDS.pack(device_ms // 1000 & 0xFFFFFFFF) + digest)


def message_id(device_id: str, seed: str, values: Mapping[str, Value]) -> ObjectId:
    """Return the `_id` of a reading without a timestamp whose message has a `seed`: 96 bits of BLAKE2b over all three."""
    return ObjectId(blake2b(_identifying(device_id, seed, values), digest_size=12).digest())


def _identifying(device_id: str, when: str, values: Mapping[str, Value]) -> bytes:
    """Return the names as text, then the numbers as doubles: 1.1 µs for nine fields, against 2.2 µs for JSON.

    `aqiScale`, the only text value, is appended to the names.
    """
    names = "\0".join((device_id, when, *values))
    numbers: Collection[Any] = values.values()
    if "aqiScale" in values:
        names += f"\0{values['aqiScale']}"
        numbers = [value for value in numbers if not isinstance(value, str)]
    packed = _doubles(len(numbers)).pack(*numbers)
    if _NEGATIVE_ZERO in packed:  # or the bytes of two adjacent numbers look like it
        packed = _doubles(len(numbers)).pack(*(value + 0.0 for value in numbers))
    return names.encode() + packed


@cache
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f">{count}d")


class Cursor:
    """Assigns `seq`: microseconds since the epoch, strictly increasing even if the clock stops or goes back."""

    def __init__(self, last: int = 0) -> None:
        """`last` is the highest cursor assigned so far, 0 for none."""
        self._last = last

    @property
    def last(self) -> int:
        return self._last

    def resume_above(self, last: int) -> None:
        """Continue above `last`, the highest cursor in the store, if it is ahead."""
        self._last = max(self._last, last)

    def next(self, now_us: int) -> int:
        self._last = max(now_us, self._last + 1)
        return self._last
