"""An assessment: a measured value, rated by a named standard.

All texts are keys of the message catalogues of the clients: `index.co2`, `standard.ubaCo2`, `level.co2.elevated`.
"""

from dataclasses import dataclass

MAX_LEVEL = 5
"""Levels are common to all standards, which have two to six classes each: 0 is no action needed, 5 is danger to everyone."""

FLAME_ORDER = 7
HAZARD_ORDER = 6


@dataclass(frozen=True, slots=True)
class Indicator:
    """What is assessed and by which standard, before there is a value.

    `key` is unique among the assessments of a device. `unit` is that of the value; None for an index, a class or a boolean.
    `indicative`: not a measurement in the standard's sense, because the sensor or a conversion is too coarse for that.
    `caveat` is a key too.
    """

    key: str
    standard: str
    field: str
    unit: str | None
    averaging: str
    indicative: bool
    caveat: str | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """The class of a value. `order` sorts devices: the level, except 7 for a flame and 6 for what may kill within minutes."""

    level: int
    word: str
    advice: str
    order: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """A value and its rating; without them, `hours_needed` more hours must be measured without a gap.

    `measured` is the input of `value`, in the field's unit: the averaged and truncated concentration, or the latest value.
    `minutes_left` is of a dose: the time until it is reached at the latest concentration.
    """

    indicator: Indicator
    value: float | bool | None = None
    measured: float | bool | None = None
    rating: Rating | None = None
    hours_needed: int = 0
    minutes_left: float | None = None

    @property
    def order(self) -> int:
        return -1 if self.rating is None else self.rating.order

    def public(self) -> dict[str, object]:
        """Return JSON types; `level`, `value` and `measured` are None while hours are missing."""
        indicator, rating = self.indicator, self.rating
        body: dict[str, object] = {
            "key": indicator.key,
            "field": indicator.field,
            "standard": indicator.standard,
            "averaging": indicator.averaging,
            "unit": indicator.unit,
            "indicative": indicator.indicative,
            "caveat": indicator.caveat,
            "value": self.value,
            "measured": self.measured,
            "level": None if rating is None else rating.level,
            "levelKey": "level.pending" if rating is None else rating.word,
            "advice": "advice.wait" if rating is None else rating.advice,
            "order": self.order,
        }
        if rating is None:
            body["hoursNeeded"] = self.hours_needed
        if self.minutes_left is not None:
            body["minutesLeft"] = round(self.minutes_left, 1)
        return body


def rated(indicator: Indicator, value: float | bool, measured: float | bool, rating: Rating) -> Assessment:
    return Assessment(indicator, value, measured, rating)
