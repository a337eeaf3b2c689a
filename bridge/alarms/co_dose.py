"""The dose clock of carbon monoxide: an alarm when the time that a standard allows at a concentration is used up.

EN 50291-1: no alarm at 30 ppm before 120 minutes; at 50 ppm between 60 and 90 minutes, at 100 ppm between 10 and 40, at
300 ppm within 3. UL 2034: at 70 ppm between 60 and 240 minutes, at 150 ppm between 10 and 50, at 400 ppm between 4 and 15;
none at 30 ppm in 30 days. Between the points the time to the alarm T is a power of the concentration c, and
d(dose)/dt = 1 / T(c): the dose is 1 when the alarm is due. Below the least concentration the dose halves every 20 minutes.

Readings may be minutes apart. Between two of them the dose grows at the mean of both rates, and an alarm is due already if the
dose would reach 1 before the next reading is expected. After a gap the dose is as before it: nothing is known of the air
meanwhile.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import log

_MINUTE_MS = 60_000
_LONGEST_PROJECTION_MS = 5 * _MINUTE_MS
"""How far the dose is projected at most; with readings further apart, alarms at 50 ppm might come too early."""

_FIRST_PROJECTION_MS = 3 * _MINUTE_MS
"""How far it is projected while the interval is not known: EN 50291-1 wants an alarm at 300 ppm within this time."""

_NEGLIGIBLE = 0.001


@dataclass(frozen=True, slots=True)
class DoseProfile:
    """Pairs of concentration (ppm) and minutes to the alarm; `least_ppm` is the lowest concentration that counts.

    `past_ppm` is the lowest at which the standard demands an alarm. The last line is continued above the last point.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    least_ppm: float
    past_ppm: float
    halving_minutes: float = 20.0

    def minutes(self, ppm: float) -> float:
        """Return the minutes to the alarm at a constant concentration; infinite below the least."""
        if ppm < self.least_ppm:
            return float("inf")
        start, at_start, exponent = self._line(ppm)
        return float(at_start * (ppm / start) ** exponent)

    def _line(self, ppm: float) -> tuple[float, float, float]:
        lines = _lines(self.points)
        return lines[max(0, min(bisect_right(self.points, (ppm, float("inf"))), len(lines)) - 1)]


@cache
def _lines(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float, float]]:
    """Return first concentration, minutes there, and exponent of each line between two points."""
    return [(low, start, log(end / start) / log(high / low)) for (low, start), (high, end) in pairwise(points)]


EN_50291 = DoseProfile("en50291", ((30, 163), (50, 85), (100, 35), (300, 2.5), (1000, 0.5)), least_ppm=30, past_ppm=50)
UL_2034 = DoseProfile("ul2034", ((70, 120), (150, 28), (400, 9)), least_ppm=40, past_ppm=70)
"""Between 30 ppm, where there must be no alarm in 30 days, and 70 the standard says nothing; 40 is ours."""

PROFILES: Mapping[str, DoseProfile] = {one.name: one for one in (EN_50291, UL_2034)}


class DoseClock:
    """The dose at one sensor, from 0 to 1."""

    __slots__ = ("_profile", "dose", "rate")

    def __init__(self, profile: DoseProfile, dose: float = 0.0, rate: float = 0.0) -> None:
        """`rate` is the growth per millisecond at the last reading."""
        self._profile = profile
        self.dose = dose
        self.rate = rate

    @property
    def is_idle(self) -> bool:
        """Whether a concentration below the least changes nothing."""
        return not self.dose and not self.rate

    @property
    def minutes_left(self) -> float | None:
        """The time to the alarm at the last concentration; None if the dose does not grow, or is reached."""
        return (1 - self.dose) / self.rate / _MINUTE_MS if self.rate and self.dose < 1 else None

    def add(self, ppm: float, elapsed_ms: int | None) -> None:
        """Add a reading, `elapsed_ms` after the one before; None after a gap."""
        before, self.rate = self.rate, 1 / (self._profile.minutes(ppm) * _MINUTE_MS)
        if elapsed_ms is None:
            return
        halves = (not before) + (not self.rate)
        if halves:
            self.dose *= 0.5 ** (elapsed_ms * halves / 2 / (self._profile.halving_minutes * _MINUTE_MS))
        self.dose = min(1.0, self.dose + (before + self.rate) / 2 * elapsed_ms)
        if not self.rate and self.dose < _NEGLIGIBLE:
            self.dose = 0.0

    def is_due(self, interval_ms: int) -> bool:
        """Whether the dose reaches 1 before the next reading is expected; `interval_ms` is 0 while that is not known."""
        ahead_ms = min(interval_ms, _LONGEST_PROJECTION_MS) or _FIRST_PROJECTION_MS
        return self.rate > 0 and self.dose + self.rate * ahead_ms >= 1
