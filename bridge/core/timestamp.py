"""Timestamps: parsed from devices, compared with the bridge's clock, written as ISO 8601.

Inside the bridge a time is an integer, milliseconds since the epoch, UTC: the precision of MongoDB and JavaScript.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

EARLIEST_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z. The clock of a device with an earlier time was never set."""

AHEAD_MS = 5 * 60 * 1000
"""How far a device's clock may be ahead of the bridge's."""

_SECONDS_BELOW = 1e11  # as seconds the year 5138, as milliseconds 1973: no plausible time is ambiguous
_MILLISECONDS_BELOW = 1e14
_EPOCH_TEXT = re.compile(r"\d{9,14}(\.\d{1,9})?", re.ASCII)
_TEXT_LENGTH = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MILLISECONDS = [f".{rest:03d}Z" for rest in range(1000)]


def iso(milliseconds: int) -> str:
    """Return the time as `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return _iso_seconds(seconds) + _MILLISECONDS[rest]


@lru_cache(maxsize=64)
def _iso_seconds(seconds: int) -> str:
    """Cached: each record that is sent has three times, and most of them share a few seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def parse_time(raw: object) -> int | None:
    """Parse ISO 8601 (without a zone: UTC), epoch seconds or epoch milliseconds; None if the value is not a time."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return _from_epoch(raw)
    if not isinstance(raw, str) or len(raw) > _TEXT_LENGTH:
        return None
    text = raw.strip()
    if text[4:5] != "-" and _EPOCH_TEXT.fullmatch(text):  # an ISO date mostly has a hyphen here
        return _from_epoch(float(text))
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def _from_epoch(number: float) -> int | None:
    if not math.isfinite(number) or not 0 <= number < _MILLISECONDS_BELOW:
        return None
    # Via microseconds: 1767225600.001 * 1000 is slightly less than a whole number.
    return round(number * 1_000_000) // 1000 if number < _SECONDS_BELOW else math.floor(number)


class MeasurementTime(NamedTuple):
    """When a reading was measured.

    `timestamp_ms` is the time to store. `device_ms` is the time by the device's clock, None if it has no usable clock; it is
    part of the record's identity, so that a redelivered message is the same record. If the device's time was not used,
    `device_timestamp` is its value and `issue` the reason. (A tuple because one is created per reading: a frozen dataclass
    costs 0.6 µs more.)
    """

    timestamp_ms: int
    device_ms: int | None
    device_timestamp: str | int | float | None = None
    issue: str | None = None


def resolve_time(raw: object, received_ms: int) -> MeasurementTime:
    """Return the device's time if it is plausible, else the time of receipt."""
    if raw is None:
        return MeasurementTime(received_ms, None)
    own_ms = parse_time(raw)
    if own_ms is None:
        return MeasurementTime(received_ms, None, _storable(raw), "not a time")
    if own_ms < EARLIEST_MS:
        return MeasurementTime(received_ms, None, _storable(raw), "before 2020-01-01")
    if own_ms > received_ms + AHEAD_MS:
        return MeasurementTime(received_ms, own_ms, _storable(raw), "more than 5 minutes ahead")
    return MeasurementTime(own_ms, own_ms)


def _storable(raw: object) -> str | int | float:
    """Return an invalid device time in a form that every store and JSON encoder accepts."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw) and abs(raw) < 2**53:
        return raw
    text = raw if isinstance(raw, str) else repr(raw) if isinstance(raw, bool | int | float) else type(raw).__name__
    return text[:_TEXT_LENGTH].encode("ascii", "backslashreplace").decode()
