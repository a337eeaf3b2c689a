"""Assesses the air at a device by named standards. An indicator whose fields are missing is left out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from bridge.air import european, hazards, indoor, us_epa
from bridge.air.assessment import Assessment
from bridge.air.averaging import HourlyMean, HourlyWindow, last_day


class AirScale(StrEnum):
    """The index for particles, ozone, nitrogen and sulphur dioxide."""

    US_EPA = "us-epa"
    EUROPEAN = "european"


HOURLY_FIELDS = ("coPpm", "pm25", "pm10", "no2", "o3", "so2")
"""The fields that are judged by hourly means."""


@dataclass(frozen=True, slots=True)
class AirInput:
    """What is known about the air at a device.

    `values` are the newest unflagged values, as in a record; the caller leaves out what is too old. `hours` are hourly means of
    the last day, in any order. `recent` are the means of the last 10 minutes. `co_dose` is the dose of carbon monoxide: 1 is an
    alarm, which comes in `co_minutes_left` if the concentration stays; None if the dose does not grow. `co_standard` is the key
    of the standard that the dose is counted by.
    """

    now_ms: int
    values: Mapping[str, object]
    hours: Mapping[str, list[HourlyMean]] = field(default_factory=dict)
    recent: Mapping[str, float] = field(default_factory=dict)
    co_dose: float | None = None
    co_minutes_left: float | None = None
    co_standard: str = hazards.EN_STANDARD


def assess(air: AirInput, scale: AirScale = AirScale.US_EPA) -> list[Assessment]:
    """Return the assessments, the worst first, incomplete ones last."""
    return sorted(_all(air, scale), key=lambda one: -one.order)


def worst(assessments: list[Assessment]) -> Assessment | None:
    """Return the complete assessment of the highest order: flames, what may kill within minutes, then by level."""
    complete = [one for one in assessments if one.rating is not None]
    return max(complete, key=lambda one: one.order, default=None)


def _all(air: AirInput, scale: AirScale) -> Iterator[Assessment]:
    values = air.values
    flame = values.get("flameDetected")
    if isinstance(flame, bool):
        yield hazards.flame(flame)
    for gas in hazards.LOWER_LIMIT_PPM:
        if (ppm := _amount(values, gas)) is not None:
            yield hazards.explosive_gas(gas, ppm)
    if (ppm := _amount(values, "coPpm")) is not None:
        yield hazards.carbon_monoxide(ppm)
        if air.co_dose is not None:
            yield hazards.carbon_monoxide_dose(air.co_dose, ppm, air.co_minutes_left, air.co_standard)
    for name in HOURLY_FIELDS:
        window = last_day(air.hours.get(name, ()), air.now_ms)
        if _amount(values, name) is not None or any(hour is not None for hour in window):
            yield from _by_hours(name, window, scale)
    if "pm25" in air.recent:
        yield indoor.recent_particles(air.recent["pm25"])
    yield from _indoor(values)


def _by_hours(name: str, window: HourlyWindow, scale: AirScale) -> list[Assessment]:
    if name == "coPpm":
        return [us_epa.carbon_monoxide(window)]
    if scale is AirScale.EUROPEAN:
        return [european.pollutant(name, window)]
    if name == "o3":
        return us_epa.ozone(window)
    return us_epa.particles(name, window) if name.startswith("pm") else [us_epa.gases(name, window)]


def _indoor(values: Mapping[str, object]) -> Iterator[Assessment]:
    co2, tvoc, eco2 = (_amount(values, name) for name in ("co2", "tvoc", "eco2"))
    if co2 is not None:
        yield indoor.co2(co2)
    if tvoc is not None:
        yield indoor.tvoc(tvoc)
    if eco2 is not None and co2 is None and tvoc is None:
        yield indoor.eco2(eco2)
    index, own = _amount(values, "aqi"), _OWN_INDEX.get(values.get("aqiScale"))
    if index is not None and own is not None and not (own is indoor.own_index and tvoc is not None):
        assessment = own(index)
        if assessment is not None:
            yield assessment


_OWN_INDEX: Mapping[object, Callable[[float], Assessment | None]] = {"uba": indoor.own_index, "epa": us_epa.own_index}
"""A device's own index is assessed only on a known scale. That of the UBA is computed from `tvoc`: beside it, it says
nothing.
"""


def _amount(values: Mapping[str, object], name: str) -> float | None:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        return None
    return value
