"""Timestamps: parsed from devices, compared with the bridge's clock, written as ISO 8601.

Inside the bridge a time is an integer, milliseconds since the epoch, UTC: the precision of MongoDB and JavaScript.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

EARLIEST_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z. The clock of a device with an earlier time was never set."""

AHEAD_MS = 5 * 60 * 1000
"""How far a device's clock may be ahead of the bridge's."""

AHEAD_ISSUE = "more than 5 minutes ahead"

_SECONDS_BELOW = 1e11  # as seconds the year 5138, as milliseconds 1973: no plausible time is ambiguous
_MILLISECONDS_BELOW = 1e14  # as milliseconds the year 5138, as microseconds 1973
_MICROSECONDS_BELOW = 1e17
_NANOSECONDS_BELOW = 1e20
_EPOCH_TEXT = re.compile(r"\d{9,20}(\.\d{1,9})?", re.ASCII)
_SLASHES = re.compile(r"(\d{4})/(\d{2})/(\d{2})((?: |T)\d{2}:\d{2}.{0,24})?", re.ASCII)
_DOTS = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})((?: |T)\d{2}:\d{2}.{0,24})?", re.ASCII)
_UTC_NAME = re.compile(r"(?<=\d) ?(?:UTC|GMT)$", re.ASCII)
_DATE_LENGTH = 10  # `2026-11-28`; any form with a time of day is longer
_BLANKS = " \t\r\n\0"
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


class ClockTime(NamedTuple):
    """A time as a device stated it. Without a zone, `milliseconds` are those of the same digits in UTC."""

    milliseconds: int
    has_zone: bool


def parse_time(raw: object) -> int | None:
    """Parse a time of any form of `parse_clock`, without a zone as UTC; None if the value is not a time."""
    clock = parse_clock(raw)
    return None if clock is None else clock.milliseconds


def parse_clock(raw: object) -> ClockTime | None:
    """Parse ISO 8601, `2026/11/28 10:00:00`, `28.11.2026 10:00:00`, each also with ` UTC`, or the epoch in seconds,
    milliseconds, microseconds or nanoseconds; None if the value is not a time.
    """
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return _zoned(_from_epoch(raw))
    if not isinstance(raw, str) or len(raw) > _TEXT_LENGTH:
        return None
    text = _UTC_NAME.sub("Z", raw.strip(_BLANKS))
    if text[4:5] != "-" and _EPOCH_TEXT.fullmatch(text):  # an ISO date mostly has a hyphen here
        return _zoned(_from_epoch(float(text)))
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _other_form(text)
    if moment is None:
        return None
    try:
        if moment.tzinfo is None:
            return ClockTime((moment.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND, has_zone=False)
        return ClockTime((moment - _EPOCH) // _MILLISECOND, has_zone=True)
    except OverflowError:
        return None


def is_date(raw: object) -> bool:
    """Whether a value is a date without a time of day, which would be midnight as the time of a measurement."""
    if not isinstance(raw, str) or len(raw) > _TEXT_LENGTH or len(raw.strip(_BLANKS)) > _DATE_LENGTH:
        return False
    clock = parse_clock(raw)
    return clock is not None and not clock.has_zone


def _other_form(text: str) -> datetime | None:
    """Parse a date with slashes or dots; the order of day and month is unambiguous in each."""
    for pattern, order in ((_SLASHES, "{0}-{1}-{2}"), (_DOTS, "{2}-{1}-{0}")):
        found = pattern.fullmatch(text)
        if found is not None:
            clock = (found[4] or "").replace(" ", "T", 1).replace(" ", "")
            try:
                return datetime.fromisoformat(order.format(*found.groups()[:3]) + clock)
            except ValueError:
                return None
    return None


def _zoned(milliseconds: int | None) -> ClockTime | None:
    return None if milliseconds is None else ClockTime(milliseconds, has_zone=True)


def _from_epoch(number: float) -> int | None:
    if not math.isfinite(number) or not 0 <= number < _NANOSECONDS_BELOW:
        return None
    if number < _SECONDS_BELOW:
        # Via microseconds: 1767225600.001 * 1000 is slightly less than a whole number.
        return round(number * 1_000_000) // 1000
    scale = 1 if number < _MILLISECONDS_BELOW else 1000 if number < _MICROSECONDS_BELOW else 1_000_000
    return math.floor(number) // scale


class MeasurementTime(NamedTuple):
    """When a reading was measured.

    `timestamp_ms` is the time to store. `device_ms` is the time by the device's clock, None if it has no usable clock; it is
    part of the record's identity, so that a redelivered message is the same record. If the device's time was not used,
    `device_timestamp` is its value and `issue` the reason; with a time that was used, `issue` is what was assumed. (A tuple,
    because one is created per reading: a frozen dataclass costs 0.6 µs more.)
    """

    timestamp_ms: int
    device_ms: int | None
    device_timestamp: str | int | float | None = None
    issue: str | None = None


LocalToUtc = Callable[[int], tuple[int, str | None]]
"""Returns the UTC milliseconds of a local time and what is to be said about it, if anything."""


def resolve_time(raw: object, received_ms: int, to_utc: LocalToUtc | None = None) -> MeasurementTime:
    """Return the device's time if it is plausible, else the time of receipt. Without `to_utc`, a time without a zone is UTC."""
    if raw is None:
        return MeasurementTime(received_ms, None)
    assumed = None
    if type(raw) is int or type(raw) is float:
        own_ms = _from_epoch(raw)
    else:
        clock = parse_clock(raw)
        own_ms = None if clock is None else clock.milliseconds
        if is_date(raw):
            return MeasurementTime(received_ms, None, _storable(raw), "a date without a time of day")
        if to_utc is not None and clock is not None and not clock.has_zone:
            own_ms, assumed = to_utc(clock.milliseconds)
    if own_ms is None:
        return MeasurementTime(received_ms, None, _storable(raw), "not a time")
    if own_ms < EARLIEST_MS:
        return MeasurementTime(received_ms, None, _storable(raw), "before 2020-01-01")
    if own_ms > received_ms + AHEAD_MS:
        return MeasurementTime(received_ms, own_ms, _storable(raw), AHEAD_ISSUE)
    return MeasurementTime(own_ms, own_ms, None, assumed)


def _storable(raw: object) -> str | int | float:
    """Return an invalid device time in a form that every store and JSON encoder accepts."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw) and abs(raw) < 2**53:
        return raw
    text = raw if isinstance(raw, str) else repr(raw) if isinstance(raw, bool | int | float) else type(raw).__name__
    return text[:_TEXT_LENGTH].encode("ascii", "backslashreplace").decode()
