"""Forecasts of a bridge that is killed: their clock follows the stored readings; an undisturbed run tells what is expected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path

from pydantic import SecretStr

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast_service import SETTLE_MS
from bridge.analysis.forecast_service.hourly_means import BUCKETS_AT_ONCE, HourlyMeans
from bridge.analysis.forecast_service.interval_log import INTERVAL_HOURS, IntervalLog
from bridge.analysis.forecast_service.predictions import bodies_of
from bridge.core.query import ReadingsQuery
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.wiring.analysis import limits_of
from tests.analysis.faulty import DEVICES, START_MS, name_of
from tests.analysis.forecast_service.stage import stored_state
from tests.servers import until

FIRST = START_MS // HOUR_MS
_LAST_DEVICE = name_of(DEVICES - 1)
"""Once its reading is stored, so are those of the others with the same number."""


@asynccontextmanager
async def passing(clock: Path, store_url: str) -> AsyncIterator[None]:
    """Let an hour be over for the forecasts once all of its readings are stored, and a reading of the next one."""
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_pass(clock, store), name="time")
        yield
        task.cancel()


async def _pass(clock: Path, store: Store) -> None:
    while True:
        for newest in await store.readings(ReadingsQuery((_LAST_DEVICE,), limit=1)):
            _set(clock, newest.timestamp_ms // HOUR_MS)
        await asyncio.sleep(0.2)


def _set(clock: Path, hour: int) -> None:
    part = clock.with_suffix(".part")
    part.write_text(str(hour * HOUR_MS + SETTLE_MS))
    part.replace(clock)


async def forecast_until(clock: Path, store_url: str, hours: int) -> None:
    """Let the last of so many hours be over, and wait until it is forecast after."""
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def is_forecast() -> bool:
            _set(clock, FIRST + hours)
            found = await store.predictions.get([name_of(one) for one in range(DEVICES)])
            return [one.seq for one in found] == [FIRST + hours - 1] * DEVICES

        await until(is_forecast, 60, "the last hour is forecast after")


async def different_forecasts(store: Store, hours: int) -> list[str]:
    """The devices whose state, predictions or intervals are not those that follow from the stored readings.

    Of the intervals those of the last hours count: earlier ones are in the log until they are overwritten, but only of hours
    that a round learned soon enough.
    """
    means, limits, different = HourlyMeans(store), limits_of(DEFAULT_RULES), []
    for name in map(name_of, range(DEVICES)):
        device, intervals = DeviceForecasts(UTC), IntervalLog()
        for begin in range(FIRST, FIRST + hours, BUCKETS_AT_ONCE):
            found = await means.between([name], begin, min(begin + BUCKETS_AT_ONCE, FIRST + hours))
            for hour, values in found.get(name, ()):
                device.feed(hour, values)
                intervals.add(hour + 1, device.outer_intervals())
        [stored] = await store.predictions.get([name])
        logged = IntervalLog.from_json(stored.body["intervals"])
        asked = [
            (field, hour) for field in FORECAST_FIELDS for hour in range(device.hour + 2 - INTERVAL_HOURS, device.hour + 2)
        ]
        is_same = (
            device.hour == FIRST + hours - 1
            and await stored_state(store, name) == (device.hour, device.to_json())
            and stored.body["predictions"] == bodies_of(name, device, limits)
            and [logged.get(*one) for one in asked] == [intervals.get(*one) for one in asked]
        )
        if not is_same:
            different.append(name)
    return different
