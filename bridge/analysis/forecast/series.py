"""The model of one field of one device: what it has learned, and the forecasts whose hours are not over yet.

The forecast for a coming hour is the mean of its slot, plus a share of the deviation of the last hours. The shares, the
coefficients of a regression, are learned for each horizon; the bounds follow by adaptive conformal prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.fields import ForecastField
from bridge.analysis.forecast.prediction import Forecast, ForecastModel, ForecastValue
from bridge.analysis.forecast.predictor import (
    HORIZONS,
    ErrorBounds,
    OuterBounds,
    PeakErrorsByLevel,
    PerHorizon,
    Volatility,
)
from bridge.analysis.forecast.profile import Number, Profile
from bridge.analysis.forecast.regression import COVARIANCE, FEATURES, first_covariance, learn_error, learn_features, predict
from bridge.analysis.forecast.track_record import TrackRecord

PEAK_HOURS = 3
"""The probability of a limit is that of the next three hours."""

_DAY_HOURS = 24
_FIRST_COEFFICIENTS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.45)
_ERROR_LIMIT = 1.5
"""Errors of more than 1.5 times their usual size do not move the coefficients further."""

_OUTER_FROM = 7 * _DAY_HOURS
"""Errors of the first week are not yet in units of their usual size: the outer bounds do not learn from them."""

RECENT_FROM = 3
"""Recent errors are those of 4 to 6 hours ahead: a wrong profile shows there first."""

FORGET_HOURS = 30 * _DAY_HOURS
"""After a gap of this length the model starts again."""

RELEARN_HOURS = 7 * _DAY_HOURS
"""A model that has failed for this long learns its profile anew: the days are not what they were."""


_Features = Annotated[list[Number], Field(min_length=FEATURES, max_length=FEATURES)]


@dataclass(slots=True)
class PendingHour:
    """Forecasts made after the hour `hour` with the value `value`, on the scale of the model, for the next hours.

    `naive_lows` and `naive_highs` are the bounds of persistence. In the unit of the field: `unit_means` are the forecasts,
    `unit_value` is the value, `unit_center` the mean of two weeks. Of the first `PEAK_HOURS` hours, `peak` is the highest
    forecast, `highest` the highest value, of `count` values; `group` is that of its errors. The regression learns from
    `slot_means`, the means of the slots, `features` and `gain`.
    """

    hour: int
    value: Number
    unit_means: PerHorizon
    unit_value: Number
    unit_center: Number
    slot_means: PerHorizon
    features: _Features
    gain: _Features
    means: PerHorizon
    lows: PerHorizon
    highs: PerHorizon
    naive_lows: PerHorizon
    naive_highs: PerHorizon
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
        values: tuple[ForecastValue, ...] = ()
        if model is ForecastModel.PROFILE:
            values = _values(of, last.hour, last.means, last.lows, last.highs)
        elif model is ForecastModel.PERSISTENCE:
            values = _values(of, last.hour, [last.value] * HORIZONS, last.naive_lows, last.naive_highs)
        mase = coverage = error = of_persistence = None
        if score is not None and model is not ForecastModel.LEARNING:
            is_profile = model is ForecastModel.PROFILE
            coverage = score.coverage if is_profile else score.persistence_coverage
            error = score.model if is_profile else score.persistence
            mase = error / score.seasonal if score.seasonal else None
            of_persistence = score.of_persistence
        made_ms = (last.hour + 1) * HOUR_MS
        days = self.record.full_days
        return Forecast(of.name, of.unit, model, made_ms, values, days, mase, coverage, error, of_persistence)

    def outer_interval(self, of: ForecastField) -> tuple[float, float] | None:
        """Return the bounds that hold the mean of the next hour with `OUTER_INTERVAL`, in the unit of the field.

        None unless the model is shown: a model that is no better than the last value says nothing about what is unusual.
        """
        if not self.pending or not self.record.is_trusted:
            return None
        last = self.pending[-1]
        low, high = self.outer.around(last.means[0], self.errors.sizes[0] * last.volatility)
        return of.value(low), of.value(high)

    @property
    def model(self) -> ForecastModel:
        if not self.record.is_ready:
            return ForecastModel.LEARNING
        return ForecastModel.PROFILE if self.record.is_trusted else ForecastModel.PERSISTENCE

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
        self.pending = [one for one in self.pending if hour - one.hour <= HORIZONS]
        for missing in range(min(gap - 1, _DAY_HOURS)):
            self.last_day[(hour - 1 - missing) % _DAY_HOURS] = None

    def _predict(
        self, hour: int, of: ForecastField, value: float, slots: Sequence[int], features: list[float], gain: list[float]
    ) -> PendingHour:
        low, high = of.scaled(of.low), of.scaled(of.high)
        slot_means = [self.profile.mean(slot) for slot in slots[1:]]
        means = [
            min(high, mean + predict(coefficients, features))
            for mean, coefficients in zip(slot_means, self.coefficients, strict=True)
        ]
        if min(means) < low:
            means = [max(low, mean) for mean in means]
        volatility, peak = self.volatility.factor, max(means[:PEAK_HOURS])
        lows, highs = self.errors.around(means, volatility)
        naive_lows, naive_highs = self.naive_errors.around([value] * HORIZONS, volatility)
        return PendingHour(
            hour=hour,
            value=value,
            unit_means=[of.value(mean) for mean in means],
            unit_value=of.value(value),
            unit_center=of.value(self.profile.center),
            slot_means=slot_means,
            features=features,
            gain=gain,
            means=means,
            lows=lows,
            highs=highs,
            naive_lows=naive_lows,
            naive_highs=naive_highs,
            peak=peak,
            highest=low,
            volatility=volatility,
            group=self.peak_errors.place(peak, self.errors.sizes[0]),
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
        for one in self.pending:
            horizon = hour - one.hour - 1
            self._learn(one, horizon, value)
            model, naive = abs(actual - one.unit_means[horizon]), abs(actual - one.unit_value)
            sum_model += model
            sum_naive += naive
            sum_flat += abs(actual - one.unit_center)
            covered += one.lows[horizon] <= value <= one.highs[horizon]
            naive_covered += one.naive_lows[horizon] <= value <= one.naive_highs[horizon]
            if horizon >= RECENT_FROM:
                self.record.recent.add(model, naive)
        day.count += len(self.pending)
        day.model, day.persistence, day.flat = sum_model, sum_naive, sum_flat
        day.covered += covered
        day.persistence_covered += naive_covered
        self.record.check_recent(hour)
        self.pending = [one for one in self.pending if hour - one.hour < HORIZONS]

    def _learn(self, one: PendingHour, horizon: int, value: float) -> None:
        """Learn from one forecast; the coefficients learn from the error that they would make now."""
        error, size, coefficients = value - one.means[horizon], self.errors.sizes[horizon], self.coefficients[horizon]
        if horizon == 0:
            self.volatility.learn(error, size)
            if self.errors.seen[0] >= _OUTER_FROM:
                self.outer.learn(error / one.volatility, size)
        error_now = value - one.slot_means[horizon] - predict(coefficients, one.features)
        learn_error(coefficients, one.gain, error_now, _ERROR_LIMIT * size)
        self.errors.learn(horizon, error / one.volatility)
        self.naive_errors.learn(horizon, (value - one.value) / one.volatility)
        if horizon < PEAK_HOURS:
            one.highest = max(one.highest, value)
            one.count += 1
            if one.count == PEAK_HOURS:
                self.peak_errors.groups[one.group].learn((one.highest - one.peak) / one.volatility)


def _values(
    of: ForecastField, hour: int, means: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> tuple[ForecastValue, ...]:
    return tuple(
        ForecastValue((hour + 1 + number) * HOUR_MS, of.value(mean), of.value(low), of.value(high))
        for number, (mean, low, high) in enumerate(zip(means, lows, highs, strict=True))
    )
