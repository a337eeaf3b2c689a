"""The readings of the load, by number."""

from __future__ import annotations

from contextlib import suppress

import orjson
from bson.objectid import ObjectId

from bridge.core.readings.identity import record_id

START_MS = 1_767_000_000_000
DEVICES = 50


def body_of(number: int) -> tuple[str, bytes]:
    """Return device and payload of the n-th reading."""
    return f"d{number % DEVICES:02}", b'{"temperature": %d.5, "timestamp": %d}' % (number % 60, START_MS + number)


def id_of(number: int) -> ObjectId:
    """Return the `_id` of the n-th reading."""
    return record_id(f"d{number % DEVICES:02}", START_MS + number, {"temperature": number % 60 + 0.5})


def number_of(payload: bytes) -> int | None:
    """Return the number of the reading in a payload; None for a hostile one."""
    with suppress(ValueError, TypeError, KeyError):
        return int(orjson.loads(payload)["timestamp"]) - START_MS
    return None
