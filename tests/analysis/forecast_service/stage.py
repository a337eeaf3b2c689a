"""Forecasts over a real store and a real registry, under a clock that the test sets."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, tzinfo
from typing import Any

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast_service import SETTLE_MS, ForecastService
from bridge.analysis.forecast_service.learner import learned_hours
from bridge.core.events import PredictionMade
from bridge.core.readings.identity import record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.devices.registry import Registry
from bridge.ports import Store
from bridge.settings import DevicesSettings, StoreSettings
from bridge.stores import open_store
from tests.fakes import RecordingPublisher

HOUR_MS = 3_600_000
START = 490_896
"""2026-01-01T00:00Z, a Thursday."""

LIMITS = {"co2": [1000.0, 2000.0]}


def co2_of(hour: int) -> float:
    """CO2 of a room that is used in the evening. A whole number: its mean is exact, however it is summed."""
    distance = (hour % 24 - 20 + 12) % 24 - 12
    return 500.0 + round(600 * math.exp(-(distance**2) / 18)) + (hour * 7919) % 60


def reading(device: str, hour: int, values: dict[str, Value], *, minute: int = 30, **more: Any) -> Reading:
    at_ms = hour * HOUR_MS + minute * 60_000
    identity = record_id(device, at_ms, values)
    number = int.from_bytes(identity.binary[-3:], "big") % 1000
    return Reading(identity, device, values, at_ms, at_ms + 7, seq=at_ms * 1000 + number, **more)


class Stage:
    """`service` is the running one; `restart` puts another in its place, as after a kill."""

    def __init__(self, store: Store, zone: tzinfo = UTC) -> None:
        self.store = store
        self.zone = zone
        self.now_ms = START * HOUR_MS
        self.out = RecordingPublisher()
        self.registry = Registry(store, DevicesSettings(), clock=lambda: self.now_ms)
        self.registry.next = RecordingPublisher()
        self.service = self._service(store)

    def _service(self, store: Store) -> ForecastService:
        service = ForecastService(
            store, self.registry, limits=LIMITS, zone=lambda _device_id: self.zone, clock=lambda: self.now_ms
        )
        service.publisher = self.out
        self.registry.on_removed[:] = [service.on_removed]
        return service

    async def restart(self, store: Store | None = None) -> None:
        self.service = self._service(store or self.store)
        await self.service.load()

    async def measure(self, *readings: Reading) -> None:
        """Store readings, and tell the registry."""
        for at in range(0, len(readings), 1000):
            result = await self.store.write(readings[at : at + 1000], [], [])
            assert not result.refused
        self.registry.publish(readings)

    async def measure_hours(self, device: str, hours: Iterable[int]) -> None:
        """Store four readings an hour, whose mean is `co2_of`."""
        await self.measure(
            *(
                reading(device, hour, {"co2": co2_of(hour) + step}, minute=minute)
                for hour in hours
                for minute, step in ((2, -8.0), (17, 8.0), (32, 4.0), (47, -4.0))
            )
        )

    async def pass_to(self, hour: int) -> None:
        """Let the time come at which everything before this hour is learned, and learn it."""
        self.now_ms = hour * HOUR_MS + SETTLE_MS
        await self.service.round()

    @property
    def made(self) -> list[PredictionMade]:
        return [event for event in self.out.events if isinstance(event, PredictionMade)]

    def of(self, kind: str) -> list[PredictionMade]:
        return [event for event in self.made if event.kind == kind]

    async def state(self, device: str) -> tuple[int, str]:
        """The last hour that was learned, and the state, as a bridge that starts would restore it."""
        return await stored_state(self.store, device, self.zone)

    async def predictions(self, device: str) -> dict[str, Any]:
        """The stored document of predictions, without the hours that belong to the state."""
        [record] = await self.store.predictions.get([device])
        return {"hour": record.seq, **{name: one for name, one in record.body.items() if name != "learned"}}


async def stored_state(store: Store, device: str, zone: tzinfo = UTC) -> tuple[int, str]:
    [state] = await store.forecast_states.get([device])
    found = DeviceForecasts.from_json(state.body["state"], zone)
    for predicted in await store.predictions.get([device]):
        for hour, means in learned_hours(predicted, found.hour):
            found.feed(hour, means)
    return found.hour, found.to_json()


@asynccontextmanager
async def stage(url: str, **more: Any) -> AsyncIterator[Stage]:
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        found = Stage(store, **more)
        await found.registry.load()
        await found.service.load()
        yield found
