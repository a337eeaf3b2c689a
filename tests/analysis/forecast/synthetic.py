"""Hourly series whose best forecast is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from random import Random

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.prediction import Forecast, ForecastModel

START = 490_896
"""2026-01-01T00:00Z, a Thursday."""

Series = Callable[[Random], Iterator[float]]


def white_noise(random: Random) -> Iterator[float]:
    while True:
        yield 20 + random.gauss(0, 1)


def random_walk(random: Random) -> Iterator[float]:
    value = 20.0
    while True:
        value = max(-35.0, min(80.0, value + random.gauss(0, 0.3)))
        yield value


def daily(peak: int, base: float = 500, height: float = 600) -> Series:
    """CO2 of a room that is used around the hour `peak` (UTC) every day, with noise that lasts for hours."""

    def series(random: Random) -> Iterator[float]:
        noise, hour = 0.0, START
        while True:
            noise = 0.7 * noise + random.gauss(0, 25)
            distance = (hour % 24 - peak + 12) % 24 - 12
            yield max(400.0, base + height * math.exp(-(distance**2) / 18) + noise)
            hour += 1

    return series


def office(zone: tzinfo) -> Series:
    """CO2 of an office, used from 8 to 17 o'clock local time, Monday to Friday."""

    def series(random: Random) -> Iterator[float]:
        noise, hour = 0.0, START
        while True:
            noise = 0.7 * noise + random.gauss(0, 25)
            local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone)
            yield max(400.0, 480 + (500 if 8 <= local.hour < 17 and local.weekday() < 5 else 0) + noise)
            hour += 1

    return series


def first(series: Series, count: int, seed: int) -> list[float]:
    values = series(Random(seed))
    return [next(values) for _ in range(count)]


def fed(device: DeviceForecasts, field: str, values: Iterable[float], start: int = START) -> list[Forecast]:
    """Feed hour after hour; the forecast after each."""
    found = []
    for number, value in enumerate(values):
        device.feed(start + number, {field: value})
        (forecast,) = device.forecasts()
        found.append(forecast)
    return found


def share_shown(forecasts: Iterable[Forecast]) -> float:
    models = [forecast.model for forecast in forecasts]
    return models.count(ForecastModel.PROFILE) / len(models)
