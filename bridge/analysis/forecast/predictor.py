"""Forecasts of one kind for one field: their errors, and the bounds that follow from these."""

from dataclasses import dataclass, field
from math import sqrt
from typing import Annotated

from pydantic import Field

from bridge.analysis.forecast.profile import Number
from bridge.analysis.forecast.quantiles import (
    BOUNDS,
    FIRST_BOUNDS,
    FIRST_LEVELS,
    FIRST_OUTER_BOUND,
    FIRST_STEPS,
    LEVELS,
    OUTER_BOUNDS,
    OUTER_STEP,
    STEP,
    follow,
    share_above,
    step_of,
)

HORIZONS = 6
"""Forecasts are made for the next 1 to 6 hours."""

_LOW, _HIGH = BOUNDS
_LOW_UP, _LOW_DOWN, _HIGH_UP, _HIGH_DOWN = STEP * _LOW, STEP * (_LOW - 1), STEP * _HIGH, STEP * (_HIGH - 1)
_LEVEL_STEPS = tuple((STEP * level, STEP * (level - 1)) for level in LEVELS)
_RATE = 0.01
_SEEN_LIMIT = 1000
_LEAST = 1e-6
_CUTS, _CUT_STEP = (0.7, 0.95), 0.1
_VOLATILITY_RATE, _VOLATILITY_LIMIT, _LEAST_FACTOR = 1 / 24, 10.0, 0.3

HorizonErrors = tuple[Annotated[Number, Field(ge=0)], Number, Number, Annotated[int, Field(ge=0, le=_SEEN_LIMIT)]]
"""On the scale of the model: the mean size of errors, a low and a high quantile of errors in units of it, and the number of
errors seen. Size and quantiles are those of an hour of usual volatility.
"""


@dataclass(slots=True)
class ErrorBounds:
    """Bounds of each horizon."""

    horizons: Annotated[list[HorizonErrors], Field(min_length=HORIZONS, max_length=HORIZONS)] = field(
        default_factory=lambda: [(0.0, *FIRST_BOUNDS, 0)] * HORIZONS
    )


def learn_error(errors: HorizonErrors, error: float) -> HorizonErrors:
    """Return the statistics of errors after one more error, divided by the volatility.

    Called twelve times an hour and field, so it has no calls of its own once the steps do not change any more.
    """
    size, low, high, seen = errors
    least = size if size > _LEAST else _LEAST  # noqa: FURB136
    distance = error if error > 0 else -error
    if seen > FIRST_STEPS:
        low += _LOW_UP if error > low * least else _LOW_DOWN
        high += _HIGH_UP if error > high * least else _HIGH_DOWN
    elif seen:
        step = step_of(seen)
        low += step * (_LOW if error > low * least else _LOW - 1)
        high += step * (_HIGH if error > high * least else _HIGH - 1)
    if seen < _SEEN_LIMIT:
        seen += 1
        return size + (distance - size) * max(_RATE, 1 / seen), low, high, seen
    return size + (distance - size) * _RATE, low, high, seen


@dataclass(slots=True)
class OuterBounds:
    """Quantiles of the errors for the next hour, in units of their usual size and volatility, that hold `OUTER_INTERVAL`."""

    low: Number = -FIRST_OUTER_BOUND
    high: Number = FIRST_OUTER_BOUND

    def learn(self, error: float, size: float) -> None:
        """Learn the error, divided by the volatility, of a forecast for the next hour; `size` is the usual one."""
        size = max(_LEAST, size)
        self.low += OUTER_STEP * (OUTER_BOUNDS[0] if error > self.low * size else OUTER_BOUNDS[0] - 1)
        self.high += OUTER_STEP * (OUTER_BOUNDS[1] if error > self.high * size else OUTER_BOUNDS[1] - 1)

    def around(self, mean: float, size: float) -> tuple[float, float]:
        """Return the bounds around a forecast whose errors are of this size now."""
        return mean + min(self.low, 0.0) * size, mean + max(self.high, 0.0) * size


@dataclass(slots=True)
class Volatility:
    """How large the errors for the next hour are today, in units of their usual size.

    Air that was unpredictable for hours stays so: on NO2 the errors after the most volatile tenth of hours are half as large
    again as those after the calmest. The square root is a compromise between none and all of the change.
    """

    errors: Annotated[Number, Field(ge=0, le=_VOLATILITY_LIMIT)] = 1.0

    def learn(self, error: float, size: float) -> None:
        share = min(abs(error) / size, _VOLATILITY_LIMIT) if size > _LEAST else 1.0
        self.errors += (share - self.errors) * _VOLATILITY_RATE

    @property
    def factor(self) -> float:
        return max(_LEAST_FACTOR, sqrt(self.errors))


@dataclass(slots=True)
class PeakErrors:
    """How far the highest of the next hours was above the highest forecast for them, on the scale of the model, in an hour of
    usual volatility.
    """

    size: Annotated[Number, Field(ge=0)] = 0.0
    quantiles: Annotated[list[Number], Field(min_length=len(LEVELS), max_length=len(LEVELS))] = field(
        default_factory=lambda: list(FIRST_LEVELS)
    )
    seen: Annotated[int, Field(ge=0, le=_SEEN_LIMIT)] = 0

    def learn(self, error: float) -> None:
        if self.seen > FIRST_STEPS:
            score = error / max(self.size, _LEAST)
            self.quantiles = [
                quantile + (up if score > quantile else down)
                for quantile, (up, down) in zip(self.quantiles, _LEVEL_STEPS, strict=True)
            ]
        elif self.seen:
            follow(self.quantiles, LEVELS, error / max(self.size, _LEAST), step_of(self.seen))
        if self.seen < _SEEN_LIMIT:
            self.seen += 1
        self.size += (abs(error) - self.size) * max(_RATE, 1 / self.seen)

    def probability_above(self, distance: float) -> float:
        """Return the probability that the highest value is more than `distance` above the highest forecast."""
        return share_above(self.quantiles, distance / max(self.size, _LEAST))


@dataclass(slots=True)
class PeakErrorsByLevel:
    """Errors after forecasts below the first of the `cuts`, between them, and above: high air falls more than low air.

    The cuts follow the quantiles `_CUTS` of the highest forecasts, on the scale of the model.
    """

    cuts: Annotated[list[Number], Field(min_length=2, max_length=2)] = field(default_factory=lambda: [0.0, 0.0])
    groups: Annotated[list[PeakErrors], Field(min_length=3, max_length=3)] = field(
        default_factory=lambda: [PeakErrors() for _ in range(3)]
    )
    is_started: bool = False

    def place(self, peak: float, size: float) -> int:
        """Return the group of a highest forecast, and let the cuts follow it, by steps in units of the usual error."""
        if not self.is_started:
            self.cuts, self.is_started = [peak, peak], True
        group = (peak > self.cuts[0]) + (peak > self.cuts[1])
        follow(self.cuts, _CUTS, peak, _CUT_STEP * size)
        return group
