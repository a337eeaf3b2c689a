"""What makes two readings the same record, and the cursor by which clients resume."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from hashlib import blake2b

import orjson
from bson.objectid import ObjectId

from bridge.core.reading import Value

_DEVICE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)

CURSOR_LIMIT = 2**53
"""Cursors stay below this, so that JavaScript holds them exactly (until the year 2255)."""


def is_device_id(text: object) -> bool:
    """1 to 128 characters of `[A-Za-z0-9._:-]`."""
    return isinstance(text, str) and _DEVICE_ID.fullmatch(text) is not None


def record_id(device_id: str, own_ms: int, values: Mapping[str, Value]) -> ObjectId:
    """The `_id` of a reading: the seconds of the device's own time, then 64 bits of BLAKE2b over device, time and values.

    Values are compared as numbers (25 and 25.0 are one), so a reading that comes twice, or by two ways, is one record.
    Two different readings of one second collide with a chance of 1 in 2^64.
    """
    digest = blake2b(orjson.dumps((device_id, own_ms, _numbers(values))), digest_size=8).digest()
    return ObjectId(struct.pack(">I", own_ms // 1000 & 0xFFFFFFFF) + digest)


def seeded_id(device_id: str, seed: str, values: Mapping[str, Value]) -> ObjectId:
    """The `_id` of a reading without a time of its own whose message has a `seed`: 96 bits of BLAKE2b over the three."""
    return ObjectId(blake2b(orjson.dumps((device_id, seed, _numbers(values))), digest_size=12).digest())


def _numbers(values: Mapping[str, Value]) -> dict[str, float | str]:
    return {name: value if isinstance(value, str) else value + 0.0 for name, value in values.items()}


class Cursor:
    """Hands out `seq`: microseconds since the epoch, strictly increasing, also when the clock stands or goes back."""

    def __init__(self, last: int = 0) -> None:
        """`last` is the highest cursor handed out so far, 0 for none."""
        self._last = last

    @property
    def last(self) -> int:
        """The highest cursor handed out."""
        return self._last

    def resume_above(self, last: int) -> None:
        """Go on above `last`, what the store holds, if that is ahead of us."""
        self._last = max(self._last, last)

    def next(self, now_us: int) -> int:
        """The cursor of a record stored at `now_us`."""
        self._last = max(now_us, self._last + 1)
        return self._last
