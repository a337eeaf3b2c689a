"""What a forecast says."""

from enum import StrEnum
from typing import NamedTuple


class ForecastModel(StrEnum):
    LEARNING = "learning"
    """Too few days are known: no values."""
    PERSISTENCE = "persistence"
    """The model is not better than the last value, which is the forecast."""
    PROFILE = "profile"


class ForecastValue(NamedTuple):
    """The mean of the hour that begins at `at_ms`: the median forecast, and the bounds that hold it with `INTERVAL`."""

    at_ms: int
    mean: float
    low: float
    high: float


class Forecast(NamedTuple):
    """The forecast of one field after the hour that ended at `made_ms`; no `values` while it is learning.

    `days` is the number of days that could be compared, of the last 30. In these, `error` is the mean absolute error in the
    unit, `mase` that error divided by that of the day before, and `coverage` the share of values within the bounds, all of the
    `model` that is named. `of_persistence` is the error of the profile model divided by that of persistence, whichever is
    named: below 1 the profile model is better. None before they are known.
    """

    field: str
    unit: str
    model: ForecastModel
    made_ms: int
    values: tuple[ForecastValue, ...]
    days: int
    mase: float | None = None
    coverage: float | None = None
    error: float | None = None
    of_persistence: float | None = None
