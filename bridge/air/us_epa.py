"""The US EPA's Air Quality Index, from an averaged concentration to a number and a category.

Breakpoints in force since 6 May 2024: 40 CFR 58 App. G, table 2, as amended by 89 FR 16202 (6 March 2024); the same table with
the rules for truncation and rounding is table 6 of "Technical Assistance Document for the Reporting of Daily Air Quality",
EPA-454/B-24-002, May 2024. Above 500 the last category is extrapolated, as that document says: equation 1 with the
concentration for 500.

Ozone is averaged over 8 hours up to an index of 300; from 125 ppb on the mean of 1 hour has an index of its own, which begins
at 101, and the higher of the two counts. Sulphur dioxide is averaged over 1 hour up to 200, above that over 24 hours: until
these are known, the index stops at 200. The index is made for outdoor air. Low-cost sensors are indicative.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import floor
from typing import NamedTuple

from bridge.air.assessment import Assessment, Indicator, Rating, rated
from bridge.air.averaging import DAY_HOURS, EIGHT_HOURS, ONE_HOUR, Average, HourlyWindow, mean, now_cast

INDEX_BANDS = ((0, 50), (51, 100), (101, 150), (151, 200), (201, 300), (301, 500))
"""The index range of each category, from good to hazardous."""

_ROUNDING_ERROR = 1e-9
"""Tolerance for binary fractions: the mean of 24 hours of 35.4 computes as 35.39999…"""


class Scale(NamedTuple):
    """The decimal places kept by truncation, and the concentration range of each category, in the unit of the field."""

    digits: int
    bands: tuple[tuple[float, float], ...]


SCALES: dict[str, Scale] = {
    "pm25": Scale(1, ((0, 9.0), (9.1, 35.4), (35.5, 55.4), (55.5, 125.4), (125.5, 225.4), (225.5, 325.4))),  # 24 hours
    "pm10": Scale(0, ((0, 54), (55, 154), (155, 254), (255, 354), (355, 424), (425, 604))),  # 24 hours
    "coPpm": Scale(1, ((0, 4.4), (4.5, 9.4), (9.5, 12.4), (12.5, 15.4), (15.5, 30.4), (30.5, 50.4))),  # 8 hours
    "no2": Scale(0, ((0, 53), (54, 100), (101, 360), (361, 649), (650, 1249), (1250, 2049))),  # 1 hour
    "o3": Scale(0, ((0, 54), (55, 70), (71, 85), (86, 105), (106, 200))),  # 8 hours
    "so2": Scale(0, ((0, 35), (36, 75), (76, 185), (186, 304), (305, 604), (605, 1004))),  # 1 hour; from 305: 24 hours
}
_SO2_HOUR_BANDS = 4

OZONE_HOUR = Scale(0, ((125, 164), (165, 204), (205, 404), (405, 604)))
"""The mean of 1 hour, from an index of 101 on."""
_OZONE_HOUR_FIRST_BAND = 2

_WORDS = ("good", "moderate", "sensitive", "unhealthy", "veryUnhealthy", "hazardous")
_AIR_ADVICE = ("none", *(f"air.{word}" for word in _WORDS[1:]))
_CO_ADVICE = ("none", "co.source", "co.sensitive", "co.leave", "co.leave", "co.leave")


def _ratings(advice: Sequence[str]) -> tuple[Rating, ...]:
    return tuple(
        Rating(level, f"level.epa.{word}", f"advice.{text}", level)
        for level, (word, text) in enumerate(zip(_WORDS, advice, strict=True))
    )


_AIR = _ratings(_AIR_ADVICE)
_CO = _ratings(_CO_ADVICE)

_PARTICLES = {
    field: (
        Indicator(f"index.aqi.{field}.now", "standard.epaNowCast", field, None, "averaging.nowCast", True, "caveat.particles"),
        Indicator(f"index.aqi.{field}.day", "standard.epaAqi", field, None, "averaging.mean24h", True, "caveat.rollingDay"),
    )
    for field in ("pm25", "pm10")
}
_CO_8H = Indicator("index.aqi.co", "standard.epaAqi", "coPpm", None, "averaging.mean8h", True, "caveat.gasIndex")
_O3_8H = Indicator("index.aqi.o3", "standard.epaAqi", "o3", None, "averaging.mean8h", True, "caveat.gasIndex")
_O3_1H = Indicator("index.aqi.o3.hour", "standard.epaAqi", "o3", None, "averaging.mean1h", True, "caveat.gasIndex")
_NO2_1H = Indicator("index.aqi.no2", "standard.epaAqi", "no2", None, "averaging.mean1h", True, "caveat.gasIndex")
_SO2_1H = Indicator("index.aqi.so2", "standard.epaAqi", "so2", None, "averaging.mean1h", True, "caveat.gasIndex")
_OWN_INDEX = Indicator("index.device.epa", "standard.epaDevice", "aqi", None, "averaging.device", True, "caveat.deviceIndex")


def classes(field: str) -> tuple[Indicator, list[tuple[float, Rating]]]:
    """Return where each category begins, in the unit of the field, for the mean that the index is defined for."""
    indicator = {"coPpm": _CO_8H, "o3": _O3_8H, "no2": _NO2_1H, "so2": _SO2_1H}.get(field) or _PARTICLES[field][1]
    ratings = _CO if field == "coPpm" else _AIR
    return indicator, [(low, rating) for (low, _), rating in zip(SCALES[field].bands, ratings, strict=False)]


def own_index_classes() -> tuple[Indicator, list[tuple[float, Rating]]]:
    """Return where each category of an index that the device computed begins."""
    return _OWN_INDEX, [(low, rating) for (low, _), rating in zip(INDEX_BANDS, _AIR, strict=True)]


def truncated(field: str, concentration: float) -> float:
    """Return a concentration without the decimal places that the index does not know."""
    scale: int = 10 ** SCALES[field].digits
    return float(floor(max(0.0, concentration) * scale + _ROUNDING_ERROR) / scale)


def aqi(field: str, concentration: float, bands: int | None = None) -> tuple[int, int]:
    """Return index and category by equation 1 of App. G, rounded to the nearest integer, half up.

    `concentration` is an average; it is truncated here. `bands` limits the scale to its first categories.
    """
    value = truncated(field, concentration)
    scale = SCALES[field].bands[:bands]
    index, category = _interpolated(value, scale, INDEX_BANDS)
    limited = bands is not None or len(scale) < len(INDEX_BANDS)
    return (min(index, INDEX_BANDS[category][1]) if limited else index), category


def ozone_hour_aqi(concentration: float) -> tuple[int, int] | None:
    """Return index and category of the mean of 1 hour; None where it has none."""
    value = truncated("o3", concentration)
    if value < OZONE_HOUR.bands[0][0]:
        return None
    index, category = _interpolated(value, OZONE_HOUR.bands, INDEX_BANDS[_OZONE_HOUR_FIRST_BAND:])
    return index, category + _OZONE_HOUR_FIRST_BAND


def _interpolated(value: float, scale: Sequence[tuple[float, float]], indices: Sequence[tuple[int, int]]) -> tuple[int, int]:
    category = min(bisect_left([high for _, high in scale], value), len(scale) - 1)
    (low, high), (low_index, high_index) = scale[category], indices[category]
    exact = (high_index - low_index) * (value - low) / (high - low) + low_index
    return floor(exact + 0.5 + _ROUNDING_ERROR), category


def aqi_category(index: float) -> int:
    """Return the category of an index that the device computed."""
    return min(bisect_left([high for _, high in INDEX_BANDS], floor(index + 0.5)), len(INDEX_BANDS) - 1)


def particles(field: str, window: HourlyWindow) -> list[Assessment]:
    """Assess pm25 or pm10: the NowCast, and the last 24 hours."""
    now, day = _PARTICLES[field]
    return [_assessed(now, now_cast(window), _AIR), _assessed(day, mean(window, DAY_HOURS), _AIR)]


def carbon_monoxide(window: HourlyWindow) -> Assessment:
    return _assessed(_CO_8H, mean(window, EIGHT_HOURS), _CO)


def ozone(window: HourlyWindow) -> list[Assessment]:
    """Assess o3 over 8 hours and, where it has an index, over the last hour."""
    assessments = [_assessed(_O3_8H, mean(window, EIGHT_HOURS), _AIR)]
    hour = mean(window, ONE_HOUR)
    found = None if hour.hours_needed else ozone_hour_aqi(hour.value)
    if found is not None:
        index, category = found
        assessments.append(rated(_O3_1H, index, truncated("o3", hour.value), _AIR[category]))
    return assessments


def gases(field: str, window: HourlyWindow) -> Assessment:
    """Assess no2 or so2."""
    if field == "no2":
        return _assessed(_NO2_1H, mean(window, ONE_HOUR), _AIR)
    day = mean(window, DAY_HOURS)
    if not day.hours_needed and aqi("so2", day.value)[1] >= _SO2_HOUR_BANDS:
        return _assessed(_SO2_1H, day, _AIR)
    return _assessed(_SO2_1H, mean(window, ONE_HOUR), _AIR, _SO2_HOUR_BANDS)


def own_index(index: float) -> Assessment | None:
    """Assess an index that the device computed; None if it is negative."""
    return rated(_OWN_INDEX, index, index, _AIR[aqi_category(index)]) if index >= 0 else None


def _assessed(indicator: Indicator, averaged: Average, ratings: Sequence[Rating], bands: int | None = None) -> Assessment:
    if averaged.hours_needed:
        return Assessment(indicator, hours_needed=averaged.hours_needed)
    index, category = aqi(indicator.field, averaged.value, bands)
    return rated(indicator, index, truncated(indicator.field, averaged.value), ratings[category])
