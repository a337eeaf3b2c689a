"""Forecasts judged on hours that are known: what the model, persistence and the day before would have said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import Forecast, ForecastModel
from bridge.analysis.forecast.predictor import HORIZONS

_DAY = 24
WINDOW_DAYS = 30
_LEAST_SHARE = 0.5


@dataclass(slots=True)
class FieldScore:
    """Sums over the scored forecasts of one field, by horizon: `counts`, and absolute errors in the unit of the field of the
    model, persistence, and the same hour of the day before. `covered` are values within the bounds of the model.

    `hours` is the number of hours with a value, `shown` of those after which the model was shown, `last` its last state.
    `coverage_days` are covered values and values of each day of the calendar (UTC).
    """

    unit: str
    hours: int = 0
    shown: int = 0
    last: ForecastModel = ForecastModel.LEARNING
    counts: list[int] = field(default_factory=lambda: [0] * HORIZONS)
    model: list[float] = field(default_factory=lambda: [0.0] * HORIZONS)
    persistence: list[float] = field(default_factory=lambda: [0.0] * HORIZONS)
    seasonal: list[float] = field(default_factory=lambda: [0.0] * HORIZONS)
    covered: list[int] = field(default_factory=lambda: [0] * HORIZONS)
    coverage_days: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def error(self) -> float:
        """The mean absolute error of the model. There must be scored forecasts, as for all figures."""
        return sum(self.model) / self.count

    @property
    def persistence_ratio(self) -> float | None:
        """The error of the model divided by that of persistence; None if that is 0."""
        return _ratio(sum(self.model), sum(self.persistence))

    @property
    def seasonal_ratio(self) -> float | None:
        """The error of the model divided by that of the day before; None if that is 0."""
        return _ratio(sum(self.model), sum(self.seasonal))

    def horizon_ratios(self) -> list[float | None]:
        """Return the errors of the model divided by those of persistence, by horizon."""
        return [_ratio(model, naive) for model, naive in zip(self.model, self.persistence, strict=True)]

    @property
    def coverage(self) -> float:
        return sum(self.covered) / self.count

    def window_coverages(self) -> list[float]:
        """Return the coverage of each 30 days in a row, of which at least half the hours were scored."""
        found = []
        for end in sorted(self.coverage_days):
            days = [self.coverage_days.get(day, (0, 0)) for day in range(end - WINDOW_DAYS + 1, end + 1)]
            count = sum(one[1] for one in days)
            if count >= _LEAST_SHARE * WINDOW_DAYS * _DAY * HORIZONS:
                found.append(sum(one[0] for one in days) / count)
        return found

    def add(self, horizon: int, day: int, errors: Sequence[float], *, is_covered: bool) -> None:
        """Add the errors of model, persistence and day before for one hour."""
        self.counts[horizon] += 1
        for sums, error in zip((self.model, self.persistence, self.seasonal), errors, strict=True):
            sums[horizon] += error
        self.covered[horizon] += is_covered
        covered, count = self.coverage_days.get(day, (0, 0))
        self.coverage_days[day] = (covered + is_covered, count + 1)


class Replay:
    """Feeds hours to a `DeviceForecasts` and scores its model on the hours that follow, whether or not it was shown.

    Scored are forecasts for hours from `scored_from` on, where the value and that of the day before are known.
    """

    def __init__(self, zone: tzinfo, scored_from: int = 0) -> None:
        self.device = DeviceForecasts(zone)
        self.scores: dict[str, FieldScore] = {}
        self._scored_from = scored_from
        self._made: dict[str, list[Forecast]] = {}
        self._values: dict[str, dict[int, float]] = {}

    def feed(self, hour: int, means: Mapping[str, float]) -> None:
        """Score the forecasts for an hour, then feed it. Hours are fed in order."""
        if not self.device.feed(hour, means):
            return
        shown = {one.field: one.model for one in self.device.forecasts()}
        for forecast in self.device.forecasts(ForecastModel.PROFILE):
            name, value = forecast.field, float(means[forecast.field])
            score = self.scores.setdefault(name, FieldScore(FORECAST_FIELDS[name].unit))
            score.hours += 1
            score.last = shown[name]
            score.shown += score.last is ForecastModel.PROFILE
            self._score(score, name, hour, value)
            self._values.setdefault(name, {})[hour] = value
            self._made.setdefault(name, []).append(forecast)

    def _score(self, score: FieldScore, name: str, hour: int, value: float) -> None:
        values = self._values.get(name, {})
        made = [one for one in self._made.get(name, ()) if one.values[-1].at_ms >= hour * HOUR_MS]
        self._made[name] = made
        for old in [one for one in values if one < hour - _DAY]:
            del values[old]
        before = values.get(hour - _DAY)
        if before is None or hour < self._scored_from:
            return
        for forecast in made:
            last = forecast.made_ms // HOUR_MS - 1
            horizon = hour - last - 1
            predicted = forecast.values[horizon]
            errors = (abs(predicted.mean - value), abs(values[last] - value), abs(before - value))
            score.add(horizon, hour // _DAY, errors, is_covered=predicted.low <= value <= predicted.high)


def _ratio(error: float, other: float) -> float | None:
    return error / other if other else None
