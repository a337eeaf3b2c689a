"""The classes of each standard as bands of values, for charts: where each class begins, in the unit of the field.

The numbers are those that `judge` compares with; a test assesses values on both sides of each border.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.air import european, hazards, indoor, us_epa
from bridge.air.assessment import Indicator, Rating
from bridge.air.judge import AirScale

_DIGITS = 3


class Band(NamedTuple):
    """A class of a standard, from `start` to where the next one begins."""

    start: float
    rating: Rating


@dataclass(frozen=True, slots=True)
class FieldBands:
    """The bands of one standard for a field, by rising start. The first begins at 0, or at the lowest class of an index."""

    indicator: Indicator
    bands: Sequence[Band]

    def public(self) -> dict[str, Any]:
        indicator = self.indicator
        return {
            "key": indicator.key,
            "field": indicator.field,
            "standard": indicator.standard,
            "averaging": indicator.averaging,
            "indicative": indicator.indicative,
            "caveat": indicator.caveat,
            "bands": [
                {"from": round(start, _DIGITS), "level": rating.level, "levelKey": rating.word} for start, rating in self.bands
            ],
        }


def field_bands(scale: AirScale) -> list[FieldBands]:
    """Return the bands of all standards; of several for one field, the one to draw comes first."""
    return [*_hazards(), *_indexed(scale), *_indoor()]


def _hazards() -> Iterator[FieldBands]:
    for indicator, classes in hazards.CLASSES:
        percent = hazards.LOWER_LIMIT_PPM.get(indicator.field)
        factor = 1.0 if percent is None else percent / 100
        yield FieldBands(indicator, [Band(start * factor, rating) for start, rating in reversed(classes)])


def _indexed(scale: AirScale) -> Iterator[FieldBands]:
    if scale is AirScale.EUROPEAN:
        for field in european.ENDS:
            yield FieldBands(european.indicator(field), _bands(european.starts(field)))
    for field in us_epa.SCALES:
        if scale is AirScale.US_EPA or field not in european.ENDS:
            indicator, classes = us_epa.classes(field)
            yield FieldBands(indicator, _bands(classes))


def _indoor() -> Iterator[FieldBands]:
    for indicator, classes in (*indoor.classes(), us_epa.own_index_classes()):
        yield FieldBands(indicator, _bands(classes))


def _bands(classes: Iterable[tuple[float, Rating]]) -> list[Band]:
    return [Band(start, rating) for start, rating in classes]
