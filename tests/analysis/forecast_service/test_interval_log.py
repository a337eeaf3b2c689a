"""The log of forecast intervals: its ring, and its stored forms."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from bridge.analysis.forecast.calendar import LAST_HOUR
from bridge.analysis.forecast_service.interval_log import INTERVAL_HOURS, IntervalLog
from bridge.analysis.forecast_service.packed_numbers import packed, unpacked
from bridge.core.errors import ForecastStateError

FIRST = 490_896


def logged(hours: int) -> IntervalLog:
    """A log of hours in which temperature comes later, and CO2 has no forecast in every fifth hour."""
    log = IntervalLog()
    for hour in range(FIRST, FIRST + hours):
        co2 = {"co2": (400.5 + hour - FIRST, 900.0)} if (hour - FIRST) % 5 else {}
        log.add(hour, co2 | ({"temperature": (19.5, 21.5)} if hour > FIRST + 3 else {}))
    return log


def known(log: IntervalLog) -> list[Any]:
    return [log.get(name, hour) for name in ("co2", "temperature", "o3") for hour in range(FIRST, FIRST + 200)]


def test_intervals_of_three_days_are_kept() -> None:
    log = logged(100)
    assert log.get("co2", FIRST + 99) == (499.5, 900.0)
    assert log.get("co2", FIRST + 100 - INTERVAL_HOURS) == (428.5, 900.0)
    assert [log.get("co2", FIRST + one) for one in (99 - INTERVAL_HOURS, 95, 100)] == [None] * 3
    assert logged(10).get("temperature", FIRST + 3) is None
    assert logged(10).get("temperature", FIRST + 4) == (19.5, 21.5)


@pytest.mark.parametrize("hours", [0, 3, 100])
def test_log_is_the_same_after_it_was_stored(hours: int) -> None:
    log = logged(hours)
    restored = IntervalLog.from_json(log.to_json())
    assert known(restored) == known(log)
    assert restored.to_json() == log.to_json()


def test_copy_does_not_change_with_the_log() -> None:
    log = logged(10)
    copy, before = log.copy(), known(log)
    log.add(FIRST + 10, {"o3": (1.0, 2.0)})
    assert known(copy) == before


def test_log_of_an_earlier_version_is_read() -> None:
    log, rings = logged(100), {}
    for name in ("co2", "temperature"):
        hours, bounds = [-1] * INTERVAL_HOURS, [0.0] * (2 * INTERVAL_HOURS)
        for hour in range(FIRST, FIRST + 100):
            if interval := log.get(name, hour):
                place = hour % INTERVAL_HOURS
                hours[place], bounds[2 * place : 2 * place + 2] = hour, interval
        rings[name] = base64.b64encode(struct.pack(f"<{INTERVAL_HOURS}i{2 * INTERVAL_HOURS}f", *hours, *bounds)).decode()
    assert known(IntervalLog.from_json(rings)) == known(log)


def _hours(first: int) -> str:
    hours = unpacked("i", logged(100).to_json()["hours"])
    hours[0] = first
    return packed(hours)


@pytest.mark.parametrize(
    "change",
    [
        {"fields": ["co2", "coPpm"]},
        {"fields": ["co2", "co2"]},
        {"fields": ["co2"]},
        {"fields": None},
        {"fields": [[], []]},
        {"hours": "AAAA"},
        {"hours": "not base64"},
        {"hours": None},
        {"hours": _hours(LAST_HOUR + 1)},
        {"hours": _hours(-2)},
        {"bounds": "AAAA"},
        {"bounds": 7},
    ],
)
def test_damaged_log_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ForecastStateError, match=r"^intervals of forecasts: "):
        IntervalLog.from_json(logged(100).to_json() | change)


@pytest.mark.parametrize("given", [None, [1], {"co2": "not base64"}, {"co2": "AAAA"}, {"co2": 5}, {"hours": ""}])
def test_what_is_no_log_is_refused(given: object) -> None:
    with pytest.raises(ForecastStateError, match=r"^intervals of forecasts: "):
        IntervalLog.from_json(given)
