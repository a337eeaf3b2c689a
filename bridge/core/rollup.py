"""Rollups: summaries of a device's readings over 5 min, 30 min and 3 h, so that a year is read quickly.

This module plans which part of a query is answered from rollups and which from readings. Invariant: up to
`RollupProgress.until_ms` the rollups of a device contain all its readings, except in hours that received readings after the
job's last cursor. Those late hours, and everything after `until_ms`, are read from the readings themselves, so that an
answer is the same with rollups as without.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery

_MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LEVELS_MS = (5 * _MINUTE_MS, 30 * _MINUTE_MS, 3 * HOUR_MS)
"""Rollup widths, each computed from the one before. A chart of 2,000 points reads at most four rollups per point."""

DEVICES_LIMIT = 100_000
"""The default number of devices that are rolled up."""

_SEGMENTS_LIMIT = 50
_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_ROUND_DAYS = (1, 2, 7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584, 7168)
_ROUND_MS = (*(1000 * seconds for seconds in _ROUND_SECONDS), *(DAY_MS * days for days in _ROUND_DAYS))
_UNITS_MS = {"w": 7 * DAY_MS, "d": DAY_MS, "h": HOUR_MS, "m": _MINUTE_MS, "s": 1000}


@dataclass(frozen=True, slots=True)
class RollupProgress:
    """How far a device is rolled up: from `first_ms` (None: not at all) to before `until_ms`, and a second time to before
    `again_ms`. `fields` are the measurements its rollups contain.
    """

    device_id: str
    first_ms: int | None = None
    until_ms: int = 0
    again_ms: int = 0
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """The times with stored history: including rollups from `first_ms`, readings from `readings_ms`, both to `last_ms`."""

    first_ms: int
    last_ms: int
    readings_ms: int


@dataclass(frozen=True, slots=True)
class RollupSegment:
    """A time span of some devices, read from rollups of one width (None: from readings). `to_ms` None is open-ended."""

    devices: tuple[str, ...]
    width_ms: int | None
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class ChangedHour:
    """An hour of a device whose rollups do not have the correction of a reading made at `at_ms`, the newest one."""

    device_id: str
    start_ms: int
    at_ms: int


Late = Collection[tuple[str, int]]
"""Pairs of device id and the start of an hour with readings that its rollups may lack."""


def floor_to_hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS


def align_range(from_ms: int, to_ms: int, width_ms: int) -> tuple[int, int]:
    return from_ms - from_ms % width_ms, to_ms + -to_ms % width_ms


def first_complete_ms(now_ms: int, retention_days: int | None) -> int:
    """Return the first time from which no reading has expired, plus an hour for slow clocks; older rollups are not rebuilt."""
    return 0 if retention_days is None else floor_to_hour(now_ms - retention_days * DAY_MS) + 2 * HOUR_MS


def is_time_query(query: ReadingsQuery) -> bool:
    """Whether rollups can answer the query: they have no cursors."""
    return query.since is None and query.until is None


def fits_rollups(every_ms: int) -> bool:
    return every_ms % LEVELS_MS[0] == 0


def unrolled_query(query: ReadingsQuery, progress: Sequence[RollupProgress], late: Late) -> list[RollupSegment] | None:
    """Return the segments of the query that rollups may lack; None if they are too many."""
    if len(progress) + len(late) > _SEGMENTS_LIMIT or any(device.until_ms == 0 for device in progress):
        return None
    begin_ms, end_ms = query.from_ms or 0, query.to_ms
    tails = [RollupSegment((device.device_id,), None, max(device.until_ms, begin_ms), end_ms) for device in progress]
    tails = [segment for segment in tails if end_ms is None or segment.from_ms < end_ms]
    return tails + [RollupSegment((device_id,), None, hour, hour + HOUR_MS) for device_id, hour in late]


def plan(
    query: ReadingsQuery, every_ms: int, progress: Sequence[RollupProgress], late: Late, offset_ms: int = 0
) -> list[RollupSegment]:
    """Return the segments to read for the query; devices with equal progress share theirs.

    Spans of `every_ms` begin `offset_ms` earlier than in UTC: only rollups are read that end where they do.
    """
    widths = [width for width in reversed(LEVELS_MS) if every_ms % width == offset_ms % width == 0]
    groups: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    hours: dict[str, set[int]] = {}
    for device_id, hour in late:
        hours.setdefault(device_id, set()).add(hour)
    for device in progress:
        key = (device.until_ms, tuple(sorted(hours.get(device.device_id, ()))))
        groups.setdefault(key, []).append(device.device_id)
    return [
        RollupSegment(tuple(devices), width_ms, from_ms, to_ms)
        for (until_ms, late_hours), devices in groups.items()
        for width_ms, from_ms, to_ms in _spans(query.from_ms or 0, query.to_ms, until_ms, late_hours, widths)
    ]


_Span = tuple[int | None, int, int | None]


def _spans(from_ms: int, to_ms: int | None, until_ms: int, late_hours: Sequence[int], widths: Sequence[int]) -> Iterator[_Span]:
    """Yield rollups between the late hours, and readings for these and for times that are not rolled up."""
    end_ms = until_ms if to_ms is None else min(to_ms, until_ms)
    at_ms = from_ms
    for hour in late_hours:
        late_ms, next_ms = max(at_ms, hour), min(hour + HOUR_MS, end_ms)
        if late_ms < next_ms:
            yield from _cover(at_ms, late_ms, widths)
            yield None, late_ms, next_ms
            at_ms = next_ms
    yield from _cover(at_ms, end_ms, widths)
    if to_ms is None or to_ms > max(from_ms, until_ms):
        yield None, max(from_ms, until_ms), to_ms


def _cover(from_ms: int, to_ms: int, widths: Sequence[int]) -> Iterator[_Span]:
    """Yield the widest rollups in the middle, narrower ones towards the edges, and readings where none fits."""
    if from_ms >= to_ms:
        return
    if not widths:
        yield None, from_ms, to_ms
        return
    width_ms, *finer = widths
    first, last = from_ms + -from_ms % width_ms, to_ms - to_ms % width_ms
    if first >= last:
        yield from _cover(from_ms, to_ms, finer)
        return
    yield from _cover(from_ms, first, finer)
    yield width_ms, first, last
    yield from _cover(last, to_ms, finer)


def merge_hours(late: Late) -> list[tuple[str, int, int]]:
    """Return (device, start, end) spans, with consecutive hours joined."""
    spans: list[tuple[str, int, int]] = []
    for device_id, hour in sorted(late):
        if spans and spans[-1][0] == device_id and spans[-1][2] == hour:
            spans[-1] = (device_id, spans[-1][1], hour + HOUR_MS)
        else:
            spans.append((device_id, hour, hour + HOUR_MS))
    return spans


def count_buckets(from_ms: int, to_ms: int, every_ms: int) -> int:
    """Return the number of buckets of `every_ms` that the range touches."""
    return max(-(-to_ms // every_ms) - from_ms // every_ms, 0)


def choose_width(from_ms: int, to_ms: int, points: int, least_ms: int = 1000) -> int:
    """Return the smallest round width of at least `least_ms` that yields at most `points` buckets."""
    fitting = (width for width in _ROUND_MS if width >= least_ms and count_buckets(from_ms, to_ms, width) <= points)
    return next(fitting, _ROUND_MS[-1])


def format_width(width_ms: int) -> str:
    """Return the width as text, such as `90s`, `1m`, `6h` or `1w`."""
    unit = next(name for name, unit_ms in _UNITS_MS.items() if width_ms % unit_ms == 0)
    return f"{width_ms // _UNITS_MS[unit]}{unit}"


def parse_width(text: str) -> int | None:
    """Inverse of `format_width`; None if the text is not a width."""
    number, unit_ms = text[:-1], _UNITS_MS.get(text[-1:])
    if unit_ms is None or not number.isascii() or not number.isdigit() or len(number) > 6 or not int(number):
        return None
    return int(number) * unit_ms
