"""The European Air Quality Index of the European Environment Agency, as revised in 2025.

Six classes by the mean of the last hour, in µg/m³, after the WHO guidelines of 2021 and Directive (EU) 2024/2881. The agency
prints whole numbers (0 to 5, 6 to 15): between two of them, such as 5.4, the worse class is taken. Gases are stored in ppb and
converted at 293 K and 1013 hPa, as the directive says: a mole has 24.06 litres. The index is made for outdoor air. Low-cost
sensors are indicative.
"""

from bisect import bisect_left

from bridge.air.assessment import Assessment, Indicator, Rating, rated
from bridge.air.averaging import ONE_HOUR, HourlyWindow, mean

ENDS: dict[str, tuple[float, ...]] = {
    "pm25": (5, 15, 50, 90, 140),
    "pm10": (15, 45, 120, 195, 270),
    "no2": (10, 25, 60, 100, 150),
    "o3": (60, 100, 120, 160, 180),
    "so2": (20, 40, 125, 190, 275),
}
"""The upper ends of the first five classes, in µg/m³."""

_MOLE_LITRES = 24.055
_MICROGRAMS = {
    "pm25": 1.0,
    "pm10": 1.0,
    "no2": 46.006 / _MOLE_LITRES,
    "o3": 47.998 / _MOLE_LITRES,
    "so2": 64.066 / _MOLE_LITRES,
}
_WORDS = ("good", "fair", "moderate", "poor", "veryPoor", "extremelyPoor")
_ADVICE = ("none", "none", "air.moderate", "air.unhealthy", "air.veryUnhealthy", "air.hazardous")
_RATINGS = tuple(
    Rating(level, f"level.eu.{word}", f"advice.{advice}", level)
    for level, (word, advice) in enumerate(zip(_WORDS, _ADVICE, strict=True))
)
_INDICATORS = {
    field: Indicator(
        f"index.eaqi.{field}",
        "standard.eaqi",
        field,
        None,
        "averaging.mean1h",
        True,
        "caveat.particles" if field.startswith("pm") else "caveat.gasIndex",
    )
    for field in ENDS
}


def indicator(field: str) -> Indicator:
    return _INDICATORS[field]


def starts(field: str) -> list[tuple[float, Rating]]:
    """Return where each class begins, in the unit of the field."""
    return list(zip((0.0, *(end / _MICROGRAMS[field] for end in ENDS[field])), _RATINGS, strict=True))


def pollutant(field: str, window: HourlyWindow) -> Assessment:
    """Assess the last hour of pm25, pm10, no2, o3 or so2; the value is the class, 1 to 6."""
    averaged = mean(window, ONE_HOUR)
    if averaged.hours_needed:
        return Assessment(_INDICATORS[field], hours_needed=averaged.hours_needed)
    level = bisect_left(ENDS[field], round(averaged.value * _MICROGRAMS[field], 1))
    return rated(_INDICATORS[field], level + 1, averaged.value, _RATINGS[level])
