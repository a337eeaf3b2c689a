"""Bodies about forecasts."""

from typing import Annotated

from pydantic import AfterValidator

from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import ForecastModel
from bridge.api.openapi.models import Response


def _check_field(name: str) -> str:
    if name not in FORECAST_FIELDS:
        raise ValueError(f"is not forecast; allowed are {', '.join(FORECAST_FIELDS)}")
    return name


ForecastFieldName = Annotated[str, AfterValidator(_check_field)]


class PredictedValue(Response):
    """The mean of the hour that begins at `at`, and the bounds that hold it with the probability `level`."""

    at: str
    mean: float
    low: float
    high: float


class ExceedsResponse(Response):
    """The probability that an hourly mean of the next `within` hours is above `limit`."""

    limit: float
    within: int
    probability: float


class PredictionResponse(Response):
    """The forecast of a field after the hour that ended at `made`; no `values` while it is learning.

    Over the last 30 days, of which `days` could be compared: `error30d` is the mean absolute error in the unit, `mase30d` that
    error divided by that of the day before, `coverage30d` the share of values within the bounds, all of the `model` that is
    named. `ofPersistence30d` is the error of the profile model divided by that of persistence: below 1 the model is better.
    """

    deviceId: str  # noqa: N815 - a wire contract
    field: str
    unit: str
    made: str
    model: ForecastModel
    level: float
    values: list[PredictedValue]
    days: int
    mase30d: float | None
    coverage30d: float | None
    error30d: float | None
    ofPersistence30d: float | None  # noqa: N815
    exceeds: list[ExceedsResponse]


class PredictionsResponse(Response):
    predictions: list[PredictionResponse]
