"""Times: read from devices, judged against our own clock, written as ISO 8601.

Inside the bridge a time is an integer, milliseconds since the epoch, UTC: what MongoDB stores and JavaScript holds.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

EARLIEST_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z. A device that says less has no clock."""

AHEAD_MS = 5 * 60 * 1000
"""How far a device's clock may be ahead of ours."""

_SECONDS_BELOW = 1e11  # as seconds, the year 5138; as milliseconds, 1973: no sensible time is read as the other
_MILLISECONDS_BELOW = 1e14
_EPOCH_TEXT = re.compile(r"\d{9,14}(\.\d{1,9})?", re.ASCII)
_TEXT_LENGTH = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MILLISECONDS = [f".{rest:03d}Z" for rest in range(1000)]


def iso(milliseconds: int) -> str:
    """`2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return _iso_seconds(seconds) + _MILLISECONDS[rest]


@lru_cache(maxsize=64)
def _iso_seconds(seconds: int) -> str:
    """Three times are written for each record that is sent, and most of them name the same few seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def parse_time(raw: object) -> int | None:
    """ISO 8601 (UTC where it names no zone) or epoch seconds or milliseconds; None when it is no time."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return _from_epoch(raw)
    if not isinstance(raw, str) or len(raw) > _TEXT_LENGTH:
        return None
    text = raw.strip()
    if text[4:5] != "-" and _EPOCH_TEXT.fullmatch(text):  # a date mostly has one there
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
    # By way of microseconds: 1767225600.001 * 1000 is a little less than a whole number.
    return round(number * 1_000_000) // 1000 if number < _SECONDS_BELOW else math.floor(number)


class MeasurementTime(NamedTuple):
    """When a reading was measured, as far as we believe the device.

    `timestamp_ms` is the time to record. `device_ms` is the device's own clock reading, None when it has no clock: it decides
    the identity of the record, so a message that comes again later is the same record. `device_timestamp` and `issue` are set
    when the device's time was not used: what it said, and why. (A tuple, being made for each reading: a frozen dataclass
    costs 0.6 µs more.)
    """

    timestamp_ms: int
    device_ms: int | None
    device_timestamp: str | int | float | None = None
    issue: str | None = None


def resolve_time(raw: object, received_ms: int) -> MeasurementTime:
    """Believe a device's time or take the time of receipt instead."""
    if raw is None:
        return MeasurementTime(received_ms, None)
    own_ms = parse_time(raw)
    if own_ms is None:
        return MeasurementTime(received_ms, None, _harmless(raw), "not a time")
    if own_ms < EARLIEST_MS:
        return MeasurementTime(received_ms, None, _harmless(raw), "before 2020-01-01")
    if own_ms > received_ms + AHEAD_MS:
        return MeasurementTime(received_ms, own_ms, _harmless(raw), "more than 5 minutes ahead")
    return MeasurementTime(own_ms, own_ms)


def _harmless(raw: object) -> str | int | float:
    """What a device said, as something every store and every JSON writer takes."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw) and abs(raw) < 2**53:
        return raw
    text = raw if isinstance(raw, str) else repr(raw) if isinstance(raw, bool | int | float) else type(raw).__name__
    return text[:_TEXT_LENGTH].encode("ascii", "backslashreplace").decode()
