"""The model of one field of one device: what it has learned, and the forecasts whose hours are not over yet.

The forecast for a coming hour is the mean of its slot, plus a share of the deviation of the last hours. The shares, the
coefficients of a regression, are learned for each horizon; the bounds follow by adaptive conformal prediction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.fields import ForecastField
from bridge.analysis.forecast.prediction import Forecast, ForecastModel, ForecastValue
from bridge.analysis.forecast.predictor import (
    HORIZONS,
    ErrorBounds,
    HorizonErrors,
    OuterBounds,
    PeakErrorsByLevel,
    Volatility,
    learn_error,
)
from bridge.analysis.forecast.profile import Number, Profile
from bridge.analysis.forecast.regression import COVARIANCE, FEATURES, first_covariance, learn_features, learn_target
from bridge.analysis.forecast.track_record import TrackRecord

PEAK_HOURS = 3
"""The probability of a limit is that of the next three hours."""

_DAY_HOURS = 24
_FIRST_COEFFICIENTS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.45)
_ERROR_LIMIT = 1.5
"""Errors of more than 1.5 times their usual size do not move the coefficients further."""

_OUTER_FROM = 7 * _DAY_HOURS
"""Errors of the first week are not yet in units of their usual size: the outer bounds do not learn from them."""

FORGET_HOURS = 30 * _DAY_HOURS
"""After a gap of this length the model starts again."""

RELEARN_HOURS = 7 * _DAY_HOURS
"""A model that has failed for this long learns its profile anew: the days are not what they were."""


_Features = Annotated[list[Number], Field(min_length=FEATURES, max_length=FEATURES)]

FutureHour = tuple[Number, Number, Number, Number, Number, Number, Number]
"""The forecast for one hour: the mean in the unit of the field; on the scale of the model the mean of its slot, the mean, its
bounds, and the bounds of persistence. A tuple, since its numbers lie together in memory, where the time goes: with a hundred
devices nothing of a field is in the processor's cache when its hour comes.
"""


@dataclass(slots=True)
class PendingHour:
    """Forecasts made after the hour `hour` with the value `value`, on the scale of the model, for the next hours.

    In the unit of the field, `unit_value` is the value and `unit_center` the mean of two weeks. Of the first `PEAK_HOURS`
    hours, `peak` is the highest forecast, `highest` the highest value, of `count` values; `group` is that of its errors. The
    regression learns from `features` and `gain`.
    """

    hour: int
    value: Number
    unit_value: Number
    unit_center: Number
    features: _Features
    gain: _Features
    future: Annotated[list[FutureHour], Field(min_length=HORIZONS, max_length=HORIZONS)]
    peak: Number
    highest: Number
    volatility: Number
    group: Annotated[int, Field(ge=0, le=2)]
    count: Annotated[int, Field(ge=0, le=PEAK_HOURS)] = 0


@dataclass(slots=True)
class FieldSeries:
    """`coefficients` are those of the regression by horizon, `last_day` the values of 24 hours by hour of the day."""

    profile: Profile = field(default_factory=Profile)
    coefficients: Annotated[
        list[Annotated[list[Number], Field(min_length=FEATURES, max_length=FEATURES)]],
        Field(min_length=HORIZONS, max_length=HORIZONS),
    ] = field(default_factory=lambda: [[share, 0.0, 0.0, 0.0] for share in _FIRST_COEFFICIENTS])
    covariance: Annotated[list[Number], Field(min_length=COVARIANCE, max_length=COVARIANCE)] = field(
        default_factory=first_covariance
    )
    errors: ErrorBounds = field(default_factory=ErrorBounds)
    naive_errors: ErrorBounds = field(default_factory=ErrorBounds)
    outer: OuterBounds = field(default_factory=OuterBounds)
    peak_errors: PeakErrorsByLevel = field(default_factory=PeakErrorsByLevel)
    volatility: Volatility = field(default_factory=Volatility)
    pending: Annotated[list[PendingHour], Field(max_length=HORIZONS)] = field(default_factory=list)
    last_day: Annotated[list[Number | None], Field(min_length=_DAY_HOURS, max_length=_DAY_HOURS)] = field(
        default_factory=lambda: [None] * _DAY_HOURS
    )
    record: TrackRecord = field(default_factory=TrackRecord)

    def feed(self, hour: int, of: ForecastField, value: float, slots: Sequence[int]) -> None:
        """Learn the value of an hour after the last one, on the scale of the model. `slots` are of this and the next hours."""
        self._drop_old(hour)
        self._compare(hour, of, value)
        features = self.profile.learn(hour, slots[0], value)
        gain = learn_features(self.covariance, features)
        self.pending.append(self._predict(hour, of, value, slots, features, gain))

    def forecast(self, of: ForecastField, model: ForecastModel | None = None) -> Forecast | None:
        """Return the forecast after the last hour that was fed; None before the first. `model` overrides the shown one."""
        if not self.pending:
            return None
        last, model, score = self.pending[-1], model or self.model, self.record.score()
        made_ms, days = (last.hour + 1) * HOUR_MS, self.record.full_days
        if model is ForecastModel.LEARNING:
            return Forecast(of.name, of.unit, model, made_ms, (), days)
        if model is ForecastModel.PROFILE:
            bounds = [(mean, low, high) for mean, _, _, low, high, _, _ in last.future]
        else:
            bounds = [(last.unit_value, low, high) for _, _, _, _, _, low, high in last.future]
        values = _values(of, made_ms, bounds)
        if score is None:
            return Forecast(of.name, of.unit, model, made_ms, values, days)
        error, coverage = score.model, score.coverage
        if model is ForecastModel.PERSISTENCE:
            error, coverage = score.persistence, score.persistence_coverage
        mase = error / score.seasonal if score.seasonal else None
        return Forecast(of.name, of.unit, model, made_ms, values, days, mase, coverage, error, score.of_persistence)

    def outer_interval(self, of: ForecastField) -> tuple[float, float] | None:
        """Return the bounds that hold the mean of the next hour with `OUTER_INTERVAL`, in the unit of the field.

        None unless the model is shown: a model that is no better than the last value says nothing about what is unusual.
        """
        if not self.pending or not self.record.is_trusted:
            return None
        last = self.pending[-1]
        low, high = self.outer.around(last.future[0][2], self.errors.horizons[0][0] * last.volatility)
        return of.value(low), of.value(high)

    @property
    def model(self) -> ForecastModel:
        if self.record.is_trusted:
            return ForecastModel.PROFILE
        return ForecastModel.PERSISTENCE if self.record.is_ready else ForecastModel.LEARNING

    def probability_above(self, of: ForecastField, limit: float) -> float | None:
        """Return the probability that an hourly mean of the next three hours is above a limit in the unit of the field."""
        if not self.pending:
            return None
        if not of.low <= limit < of.high:
            return 1.0 if limit < of.low else 0.0
        last = self.pending[-1]
        return self.peak_errors.groups[last.group].probability_above((of.scaled(limit) - last.peak) / last.volatility)

    def _drop_old(self, hour: int) -> None:
        """Drop what is too old: pending forecasts, values of the day before, a failing profile, after a long gap everything."""
        gap = hour - self.profile.hour
        if self.profile.hour >= 0 and gap > FORGET_HOURS:
            self.restart()
        if self.record.hidden_since >= 0 and hour - self.record.hidden_since > RELEARN_HOURS:
            self.profile.loosen()
            self.record.hidden_since = hour
        if gap > 1:
            self.pending = [one for one in self.pending if hour - one.hour <= HORIZONS]
            for missing in range(min(gap - 1, _DAY_HOURS)):
                self.last_day[(hour - 1 - missing) % _DAY_HOURS] = None

    def _predict(
        self, hour: int, of: ForecastField, value: float, slots: Sequence[int], features: list[float], gain: list[float]
    ) -> PendingHour:
        lowest, highest, unit_value = of.lowest, of.highest, of.value
        a, b, c, d = features
        volatility, profile = self.volatility.factor, self.profile
        future = []
        for slot, coefficients, errors, naive_errors in zip(
            slots[1:], self.coefficients, self.errors.horizons, self.naive_errors.horizons, strict=True
        ):
            slot_mean = profile.mean(slot)
            of_a, of_b, of_c, of_d = coefficients
            mean = slot_mean + (of_a * a + of_b * b + of_c * c + of_d * d)
            if mean > highest:
                mean = highest
            elif mean < lowest:
                mean = lowest
            size, low, high, _ = errors
            reach = size * volatility
            low = mean + low * reach if low < 0 else mean
            high = mean + high * reach if high > 0 else mean
            size, naive_low, naive_high, _ = naive_errors
            reach = size * volatility
            naive_low = value + naive_low * reach if naive_low < 0 else value
            naive_high = value + naive_high * reach if naive_high > 0 else value
            future.append((unit_value(mean), slot_mean, mean, low, high, naive_low, naive_high))
        peak = max([mean for _, _, mean, _, _, _, _ in future[:PEAK_HOURS]])
        return PendingHour(
            hour,
            value,
            of.value(value),
            of.value(profile.center),
            features,
            gain,
            future,
            peak,
            lowest,
            volatility,
            self.peak_errors.place(peak, self.errors.horizons[0][0]),
        )

    def restart(self) -> None:
        """Forget everything, as when the device was moved to another room."""
        fresh = FieldSeries()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def _compare(self, hour: int, of: ForecastField, value: float) -> None:
        """Learn from the forecasts that were made for this hour, and add their errors to the record."""
        day = self.record.day(hour)
        actual = of.value(value)
        before = self.last_day[hour % _DAY_HOURS]
        self.last_day[hour % _DAY_HOURS] = actual
        if before is not None and self.pending:
            day.seasonal += abs(actual - before)
            day.seasonal_count += 1
        sum_model, sum_naive, sum_flat = day.model, day.persistence, day.flat
        covered = naive_covered = 0
        coefficients, errors, naive_errors = self.coefficients, self.errors.horizons, self.naive_errors.horizons
        for one in self.pending:
            horizon = hour - one.hour - 1
            unit_mean, slot_mean, mean, low, high, naive_low, naive_high = one.future[horizon]
            error, volatility, known = value - mean, one.volatility, errors[horizon]
            if horizon == 0:
                self._learn_next_hour(error, volatility, known)
            coefficients[horizon] = learn_target(
                coefficients[horizon], one.features, one.gain, value - slot_mean, _ERROR_LIMIT * known[0]
            )
            errors[horizon] = learn_error(known, error / volatility)
            naive_errors[horizon] = learn_error(naive_errors[horizon], (value - one.value) / volatility)
            model, naive = abs(actual - unit_mean), abs(actual - one.unit_value)
            sum_model += model
            sum_naive += naive
            sum_flat += abs(actual - one.unit_center)
            covered += low <= value <= high
            naive_covered += naive_low <= value <= naive_high
            if horizon < PEAK_HOURS:
                self._learn_peak(one, value)
            else:  # 4 to 6 hours ahead: a wrong profile shows there first
                self.record.recent.add(model, naive)
        day.count += len(self.pending)
        day.model, day.persistence, day.flat = sum_model, sum_naive, sum_flat
        day.covered += covered
        day.persistence_covered += naive_covered
        self.record.check_recent(hour)
        if self.pending and hour - self.pending[0].hour >= HORIZONS:
            del self.pending[0]

    def _learn_next_hour(self, error: float, volatility: float, known: HorizonErrors) -> None:
        """Learn from the error of a forecast for the next hour; `known` are the statistics before it."""
        size, _, _, seen = known
        self.volatility.learn(error, size)
        if seen >= _OUTER_FROM:
            self.outer.learn(error / volatility, size)

    def _learn_peak(self, one: PendingHour, value: float) -> None:
        """Learn how far the highest of the first hours was above the highest forecast for them, once they are over."""
        if value > one.highest:
            one.highest = value
        one.count += 1
        if one.count == PEAK_HOURS:
            self.peak_errors.groups[one.group].learn((one.highest - one.peak) / one.volatility)


def _values(of: ForecastField, made_ms: int, forecasts: Iterable[tuple[float, float, float]]) -> tuple[ForecastValue, ...]:
    """Return forecasts of the hours from `made_ms` on; of each, the mean is in the unit of the field, the bounds are not."""
    value = of.value
    return tuple(
        [
            ForecastValue(made_ms + ahead * HOUR_MS, mean, value(low), value(high))
            for ahead, (mean, low, high) in enumerate(forecasts)
        ]
    )
