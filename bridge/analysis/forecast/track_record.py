"""How good the forecasts of one field were over the last 30 days, and whether they may be shown.

The model is compared with two forecasts that need no model: persistence (each hour will be like the last one), and the mean of
the last two weeks. The first is the best forecast of a random walk, the second of independent hours; a model that is not better
than both is of no use.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from pydantic import Field

from bridge.analysis.forecast.profile import Number

DAYS = 30
LEARNING_DAYS = 14
_DAY_HOURS = 24
_FULL_DAY = 12 * 6
"""A day counts if forecasts of half its hours could be compared."""

_SHOW, _HIDE = 0.97, 1.0
"""Shown below 97 % of the error of the better naive forecast, hidden above 100 %: with one limit it would come and go."""

_RECENT_RATE = 1 / 72
_RECENT_HIDE, _RECENT_LEAST, _RECENT_LOSS, _RECENT_MARGIN = 1.05, 0.85, 1.5, 0.1
"""Hidden where the recent errors are above 1.05 times those of persistence, or above 0.85 times and 1.5 times their usual
share of them; shown again 0.1 below. A model that was far better than persistence and no longer is does not fit any more, as
after the device was moved. Errors below the usual ones hide nothing: in calm hours, as at night in an office, persistence is
good too.
"""
_LEAST = 1e-9

_Sum = Annotated[Number, Field(ge=0)]
_Count = Annotated[int, Field(ge=0, le=1000)]


@dataclass(slots=True)
class DayRecord:
    """Sums of absolute errors of the forecasts for one day (UTC) in the unit of the field, and how many there were.

    `covered` and `persistence_covered` count values between the bounds; `seasonal` is the sum of differences from the day
    before, of `seasonal_count` hours.
    """

    day: Annotated[int, Field(ge=0)]
    count: _Count = 0
    model: _Sum = 0.0
    persistence: _Sum = 0.0
    flat: _Sum = 0.0
    covered: _Count = 0
    persistence_covered: _Count = 0
    seasonal: _Sum = 0.0
    seasonal_count: _Count = 0


@dataclass(slots=True)
class RecentErrors:
    """Mean errors of forecasts for 4 to 6 hours ahead, of about the last day."""

    model: _Sum = 0.0
    persistence: _Sum = 0.0

    def add(self, model: float, persistence: float) -> None:
        self.model += _RECENT_RATE * (model - self.model)
        self.persistence += _RECENT_RATE * (persistence - self.persistence)


class Score(NamedTuple):
    """Of 30 days: mean absolute errors in the unit of the field, the shares of values between the bounds, and the mean absolute
    difference from the same hour of the day before.
    """

    model: float
    persistence: float
    flat: float
    coverage: float
    persistence_coverage: float
    seasonal: float | None

    @property
    def of_persistence(self) -> float | None:
        """The error of the model divided by that of persistence; None if that is 0."""
        return self.model / self.persistence if self.persistence else None


@dataclass(frozen=True, slots=True)
class _Past:
    """Sums over the days before the last one, which is `day`: they change once a day, and are used several times an hour."""

    day: int
    full_days: int = 0
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    errors: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class _KeepsPast:
    """The slot is no field: it is not stored."""

    __slots__ = ("_past",)
    _past: _Past


@dataclass(slots=True)
class TrackRecord(_KeepsPast):
    """`is_shown`: the model is better than both naive forecasts. `hidden_since`: since which hour it fails anyway, or -1.

    `usual` are the errors of the model divided by those of persistence, over 30 days;
    `usual_error` is their mean size.
    """

    days: Annotated[list[DayRecord], Field(max_length=DAYS + 1)] = field(default_factory=list)
    recent: RecentErrors = field(default_factory=RecentErrors)
    usual: _Sum = 1.0
    usual_error: _Sum = 0.0
    is_shown: bool = False
    hidden_since: Annotated[int, Field(ge=-1)] = -1

    def day(self, hour: int) -> DayRecord:
        """Return the record of the day of an hour, not before the last one; a new day judges those before it."""
        day = hour // _DAY_HOURS
        if not self.days or self.days[-1].day < day:
            self.days.append(DayRecord(day))
            while self.days[0].day <= day - DAYS:
                del self.days[0]
            self._judge()
        return self.days[-1]

    @property
    def full_days(self) -> int:
        """The number of days that count, without the current one."""
        return self._before().full_days

    @property
    def is_ready(self) -> bool:
        """Whether enough days are known."""
        return self.full_days >= LEARNING_DAYS

    @property
    def is_trusted(self) -> bool:
        """Whether the model is shown: it is better than both naive forecasts, also over the last day."""
        return self.is_shown and self.hidden_since < 0 and self.is_ready

    def score(self) -> Score | None:
        """Return the score; None before the first forecast could be compared."""
        if not self.days:
            return None
        past, last = self._before(), self.days[-1]
        count, covered, persistence_covered, seasonal_count = past.counts
        model, persistence, flat, seasonal = past.errors
        count += last.count
        if not count:
            return None
        seasonal_count += last.seasonal_count
        return Score(
            (model + last.model) / count,
            (persistence + last.persistence) / count,
            (flat + last.flat) / count,
            (covered + last.covered) / count,
            (persistence_covered + last.persistence_covered) / count,
            (seasonal + last.seasonal) / seasonal_count if seasonal_count else None,
        )

    def _before(self) -> _Past:
        day = self.days[-1].day if self.days else -1
        past: _Past | None = getattr(self, "_past", None)
        if past is None or past.day != day:
            past = self._past = _sums(day, self.days[:-1])  # type: ignore[misc] # the slot is that of the base
        return past

    def check_recent(self, hour: int) -> None:
        """Hide a shown model whose recent forecasts are worse than persistence, and show it again once they are better."""
        if not self.is_shown:
            return
        ratio = self.recent.model / max(self.recent.persistence, _LEAST)
        limit = min(_RECENT_HIDE, max(_RECENT_LEAST, _RECENT_LOSS * self.usual))
        if self.hidden_since < 0 and ratio > limit and self.recent.model > self.usual_error:
            self.hidden_since = hour
        elif self.hidden_since >= 0 and ratio < limit - _RECENT_MARGIN:
            self.hidden_since = -1

    def _judge(self) -> None:
        score = self.score()
        if score is None or not self.is_ready:
            self.is_shown = False
            return
        self.usual_error = score.model
        self.usual = score.model / max(score.persistence, _LEAST)
        limit = _HIDE if self.is_shown else _SHOW
        self.is_shown = score.model < limit * min(score.persistence, score.flat)
        if not self.is_shown:
            self.hidden_since = -1


def _sums(day: int, days: Sequence[DayRecord]) -> _Past:
    full_days = count = covered = persistence_covered = seasonal_count = 0
    model = persistence = flat = seasonal = 0.0
    for one in days:
        full_days += one.count >= _FULL_DAY
        count += one.count
        model += one.model
        persistence += one.persistence
        flat += one.flat
        covered += one.covered
        persistence_covered += one.persistence_covered
        seasonal += one.seasonal
        seasonal_count += one.seasonal_count
    counts = count, covered, persistence_covered, seasonal_count
    return _Past(day, full_days, counts, (model, persistence, flat, seasonal))
