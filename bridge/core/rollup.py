"""Rollups: readings of a device in short, by spans of 5 min, 30 min and 3 h, kept beside them so that a year is read quickly.

What is rolled up, what is not, and how a question is put together from both. One promise carries it: up to `RollupProgress.until_ms`
the rollups of a device hold every reading there is, but for the hours where some came after the cursor that was last looked at.
Those hours, and all that follows, are read from the readings themselves; so an answer is the same with rollups as without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery

_MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LEVELS_MS = (5 * _MINUTE_MS, 30 * _MINUTE_MS, 3 * HOUR_MS)
"""The widths of rollups, each made of the one before. A chart of 2,000 points reads at most four of them a point."""

_FEW = 50
_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_ROUND_DAYS = (1, 2, 7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584, 7168)
_ROUND_MS = (*(1000 * seconds for seconds in _ROUND_SECONDS), *(DAY_MS * days for days in _ROUND_DAYS))
_UNITS_MS = {"w": 7 * DAY_MS, "d": DAY_MS, "h": HOUR_MS, "m": _MINUTE_MS, "s": 1000}


@dataclass(frozen=True, slots=True)
class RollupProgress:
    """How far a device is rolled up: from `first_ms` (None: not at all) before `until_ms`, a second time before `again_ms`.
    `fields` are those that its rollups have.
    """

    device_id: str
    first_ms: int | None = None
    until_ms: int = 0
    again_ms: int = 0
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """From when to when there is history: with rollups from `first_ms` on, the readings themselves from `readings_ms` on."""

    first_ms: int
    last_ms: int
    readings_ms: int


@dataclass(frozen=True, slots=True)
class RollupSegment:
    """A span of some devices' time, read from rollups of one width (None: from readings). Without `to_ms` it has no end."""

    devices: tuple[str, ...]
    width_ms: int | None
    from_ms: int
    to_ms: int | None


Late = Collection[tuple[str, int]]
"""Device, and the hour in which it has readings that its rollups may not hold."""


def floor_to_hour(at_ms: int) -> int:
    """The beginning of the hour."""
    return at_ms - at_ms % HOUR_MS


def align_range(from_ms: int, to_ms: int, width_ms: int) -> tuple[int, int]:
    """The span made larger, to whole widths."""
    return from_ms - from_ms % width_ms, to_ms + -to_ms % width_ms


def first_complete_ms(now_ms: int, retention_days: int | None) -> int:
    """From here on no reading has expired yet: rollups of what was before are not made again. An hour more, for slow clocks."""
    return 0 if retention_days is None else floor_to_hour(now_ms - retention_days * DAY_MS) + 2 * HOUR_MS


def is_time_query(query: ReadingsQuery) -> bool:
    """Rollups can help to answer: they know no cursors."""
    return query.since is None and query.until is None


def fits_rollups(every_ms: int) -> bool:
    """Rollups can answer: the width is made of theirs."""
    return every_ms % LEVELS_MS[0] == 0


def unrolled_query(query: ReadingsQuery, places: Sequence[RollupProgress], late: Late) -> list[RollupSegment] | None:
    """The readings asked for that rollups may not have; None if that is much."""
    begin_ms, end_ms = query.from_ms or 0, query.to_ms
    tails = [RollupSegment((place.device_id,), None, max(place.until_ms, begin_ms), end_ms) for place in places]
    tails = [piece for piece in tails if end_ms is None or piece.from_ms < end_ms]
    if len(places) + len(late) > _FEW or any(place.until_ms == 0 for place in places):
        return None
    return tails + [RollupSegment((device_id,), None, hour, hour + HOUR_MS) for device_id, hour in late]


def plan(query: ReadingsQuery, every_ms: int, places: Sequence[RollupProgress], late: Late) -> list[RollupSegment]:
    """What to read of the devices at these places; devices that are rolled up alike share their pieces."""
    widths = [width for width in reversed(LEVELS_MS) if every_ms % width == 0]
    alike: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    hours: dict[str, set[int]] = {}
    for device_id, hour in late:
        hours.setdefault(device_id, set()).add(hour)
    for place in places:
        key = (place.until_ms, tuple(sorted(hours.get(place.device_id, ()))))
        alike.setdefault(key, []).append(place.device_id)
    return [
        RollupSegment(tuple(devices), width_ms, from_ms, to_ms)
        for (until_ms, late_hours), devices in alike.items()
        for width_ms, from_ms, to_ms in _spans(query.from_ms or 0, query.to_ms, until_ms, late_hours, widths)
    ]


_Span = tuple[int | None, int, int | None]


def _spans(from_ms: int, to_ms: int | None, until_ms: int, late_hours: Sequence[int], widths: Sequence[int]) -> Iterator[_Span]:
    """Rollups between the late hours, the readings of these and of what is not rolled up."""
    end_ms = until_ms if to_ms is None else min(to_ms, until_ms)
    at_ms = from_ms
    for hour in late_hours:
        late_ms, over_ms = max(at_ms, hour), min(hour + HOUR_MS, end_ms)
        if late_ms < over_ms:
            yield from _cover(at_ms, late_ms, widths)
            yield None, late_ms, over_ms
            at_ms = over_ms
    yield from _cover(at_ms, end_ms, widths)
    if to_ms is None or to_ms > max(from_ms, until_ms):
        yield None, max(from_ms, until_ms), to_ms


def _cover(from_ms: int, to_ms: int, widths: Sequence[int]) -> Iterator[_Span]:
    """The widest rollups in the middle, finer ones towards the edges, readings where none fits."""
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
    """Device, from and to: hours that follow each other as one span."""
    spans: list[tuple[str, int, int]] = []
    for device_id, hour in sorted(late):
        if spans and spans[-1][0] == device_id and spans[-1][2] == hour:
            spans[-1] = (device_id, spans[-1][1], hour + HOUR_MS)
        else:
            spans.append((device_id, hour, hour + HOUR_MS))
    return spans


def count_buckets(from_ms: int, to_ms: int, every_ms: int) -> int:
    """How many spans of `every_ms` there are from `from_ms` and before `to_ms`, begun ones too."""
    return max(-(-to_ms // every_ms) - from_ms // every_ms, 0)


def choose_width(from_ms: int, to_ms: int, points: int, least_ms: int = 1000) -> int:
    """The smallest round width, from `least_ms` on, that makes at most so many points."""
    fitting = (one for one in _ROUND_MS if one >= least_ms and count_buckets(from_ms, to_ms, one) <= points)
    return next(fitting, _ROUND_MS[-1])


def format_width(width_ms: int) -> str:
    """`90s`, `1m`, `6h`, `1w`."""
    unit = next(name for name, unit_ms in _UNITS_MS.items() if width_ms % unit_ms == 0)
    return f"{width_ms // _UNITS_MS[unit]}{unit}"


def parse_width(text: str) -> int | None:
    """The inverse of `format_width`; None when it is no width."""
    number, unit_ms = text[:-1], _UNITS_MS.get(text[-1:])
    if unit_ms is None or not number.isascii() or not number.isdigit() or len(number) > 6 or not int(number):
        return None
    return int(number) * unit_ms
