"""Averages over the last hours, by the US EPA's rules for its index.

A mean needs 75 % of its hours: 18 of 24 for particles (40 CFR 50 App. N), 6 of 8 for carbon monoxide and ozone (40 CFR
50.8, App. U). It is divided by the number of hours present. An hour needs 75 % of its usual readings, and at most 25 % of
its readings may be flagged; flagged values are in no mean.

NowCast: 12 hours, including at least two of the newest three (EPA-454/B-24-002, May 2024, "How the NowCast is calculated").
Hourly means are not truncated; only the result is.

The EPA's daily index covers a calendar day; this one covers the last 24 complete hours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

HOUR_MS = 3_600_000
DAY_HOURS = 24
EIGHT_HOURS = 8
ONE_HOUR = 1
_COMPLETENESS = 0.75
_FLAGGED_LIMIT = 0.25
_NOWCAST_HOURS = 12
_NOWCAST_NEWEST = 3
_NOWCAST_ENOUGH = 2
_NOWCAST_LEAST_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class HourlyMean:
    """One hour: its start (a whole hour in UTC), the mean of its unflagged values, how many there were, how many were
    flagged.
    """

    start_ms: int
    mean: float
    count: int
    flagged: int = 0


HourlyWindow = Sequence[float | None]
"""Hourly means, the newest first; None for an hour without enough readings. Excludes the current hour."""


@dataclass(frozen=True, slots=True)
class Average:
    """A mean, or how many more complete hours it needs."""

    value: float = 0.0
    hours_needed: int = 0


def last_day(hours: Iterable[HourlyMean], now_ms: int) -> HourlyWindow:
    """Return the window of the last 24 complete hours; hours of other times are ignored."""
    current = now_ms // HOUR_MS
    found: list[HourlyMean | None] = [None] * DAY_HOURS
    for hour in hours:
        age = current - hour.start_ms // HOUR_MS
        if 1 <= age <= DAY_HOURS and hour.count > 0 and isfinite(hour.mean):
            found[age - 1] = hour
    enough = _COMPLETENESS * _usual_count(found)
    return [hour.mean if hour is not None and _is_whole(hour, enough) else None for hour in found]


def _is_whole(hour: HourlyMean, enough: float) -> bool:
    return hour.count >= enough and hour.flagged <= _FLAGGED_LIMIT * (hour.count + hour.flagged)


def _usual_count(hours: Iterable[HourlyMean | None]) -> int:
    """Return the usual readings per hour: the median, the upper of two, because the first hour is usually incomplete."""
    counts = sorted(hour.count for hour in hours if hour is not None)
    return counts[len(counts) // 2] if counts else 0


def mean(window: HourlyWindow, span: int) -> Average:
    """Return the mean of the newest `span` hours."""
    needed = _missing(window, span, ceil(_COMPLETENESS * span))
    if needed:
        return Average(hours_needed=needed)
    hours = _present(window, span)
    return Average(sum(hours) / len(hours))


def now_cast(window: HourlyWindow) -> Average:
    """Return the NowCast: an hour weighs `factor` to the power of its age; the more the hours vary, the less old ones count."""
    needed = _missing(window, _NOWCAST_NEWEST, _NOWCAST_ENOUGH)
    if needed:
        return Average(hours_needed=needed)
    hours = _present(window, _NOWCAST_HOURS)
    highest = max(hours)
    if highest <= 0:
        return Average(0.0)
    factor = max(_NOWCAST_LEAST_WEIGHT, min(hours) / highest)
    weighted = [(factor**age, hour) for age, hour in enumerate(window[:_NOWCAST_HOURS]) if hour is not None]
    return Average(sum(weight * hour for weight, hour in weighted) / sum(weight for weight, _ in weighted))


def _missing(window: HourlyWindow, span: int, enough: int) -> int:
    """Return how many more complete hours are needed until `enough` of the newest `span` are present."""
    coming = 0
    while coming + len(_present(window, span - coming)) < enough:
        coming += 1
    return coming


def _present(window: HourlyWindow, span: int) -> list[float]:
    return [hour for hour in window[:span] if hour is not None]
