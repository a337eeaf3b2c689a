"""The fields that are forecast, and the scale on which each is modelled.

Concentrations are modelled as square roots: their errors grow with their level, and cannot take them below zero. Carbon
monoxide, combustible gas and flame are never forecast: a forecast must not be mistaken for a warning, nor for its absence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME


@dataclass(frozen=True, slots=True)
class ForecastField:
    """`low` and `high`, in `unit`, are the bounds of values that are learned from and forecast; `lowest` and `highest` are
    these on the scale of the model.
    """

    name: str
    unit: str
    low: float
    high: float
    is_root: bool
    lowest: float
    highest: float

    def accept(self, value: float | None) -> float | None:
        """Return the value on the scale of the model; None if it is missing, no number, or out of bounds."""
        if value is None or not isfinite(value) or not self.low <= value <= self.high:
            return None
        return sqrt(value) if self.is_root else float(value)

    def scaled(self, value: float) -> float:
        """Return the value, moved into the bounds, on the scale of the model. It must not be NaN."""
        within = max(self.low, min(self.high, value))
        return sqrt(within) if self.is_root else within

    def value(self, scaled: float) -> float:
        """Inverse of `scaled`, within the bounds."""
        value = scaled
        if self.is_root:
            value = scaled**2 if scaled > 0 else 0.0
        if value > self.high:
            return self.high
        return value if value > self.low else self.low  # noqa: FURB136 - a call costs as much as all of this


def _field(name: str, *, is_root: bool) -> ForecastField:
    measurement = MEASUREMENTS_BY_NAME[name]
    low = float(max(measurement.refuse[0], measurement.usual[0]))
    high = float(min(measurement.refuse[1], measurement.usual[1]))
    lowest, highest = (sqrt(low), sqrt(high)) if is_root else (low, high)
    return ForecastField(name, measurement.unit, low, high, is_root, lowest, highest)


FORECAST_FIELDS: Mapping[str, ForecastField] = {
    **{name: _field(name, is_root=True) for name in ("co2", "pm25", "pm10", "no2", "o3")},
    **{name: _field(name, is_root=False) for name in ("temperature", "humidity")},
}
