"""Sample data for screenshots: a day of readings from several rooms, with faults, and live readings."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from bridge.tools.simulator import SimulatedSensor

_DAY_SECONDS = 86_400
_STEP_SECONDS = 60
_BATCH = 5000
_LIVE_SECONDS = 3.0

_ROOM = ("temperature", "humidity", "eco2", "tvoc", "aqi", "pm25", "battery")
_GAS = ("coPpm", "lpgPpm", "temperature", "flameDetected")
_CLIMATE = ("temperature", "humidity", "battery")

_DEVICES: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("living-room", "Living room", "Home", "Living room", _ROOM),
    ("kitchen", "Kitchen, by the stove", "Home", "Kitchen", (*_GAS, "pm25", "humidity", "tvoc", "aqi")),
    ("sofa", "Sofa", "Home", "Living room", _CLIMATE),
    ("bedroom", "Bedroom", "Home", "Bedroom", _ROOM),
    ("attic", "Attic", "Home", "Attic", _CLIMATE),
    ("office", "Desk", "Office", "Room 12", _ROOM),
    ("window", "Window", "Office", "Room 12", _CLIMATE),
    ("meeting", "Meeting room", "Office", "Room 14", ("temperature", "humidity")),
    ("garage", "Garage", "Workshop", "Garage", (*_GAS, "humidity")),
    ("workshop", "Lathe", "Workshop", "Hall", (*_CLIMATE, "pm25")),
)


class Household:
    """Simulated rooms on a running bridge."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        """`base` is the bridge's address."""
        self._base = base
        self._session = session
        self._burning = False
        self._sensors = {device: SimulatedSensor(device, 1) for device, *_ in _DEVICES}

    async def populate(self) -> None:
        """Posts a day of readings, names and rooms, an offline device, and an invalid message."""
        now = time.time()
        batch: list[dict[str, Any]] = []
        for at in range(int(now) - _DAY_SECONDS - 7200, int(now), _STEP_SECONDS):
            batch += self._readings(float(at))
            if len(batch) >= _BATCH:
                await self._post(batch)
                batch = []
        await self._post(batch)
        for device, name, site, room, _ in _DEVICES:
            await self._ask("PATCH", f"/api/v1/devices/{device}", {"name": name, "site": site, "room": room})
        await self._ask("POST", "/api/v1/devices", {"id": "greenhouse", "name": "Greenhouse", "site": "Home", "room": "Garden"})
        await self._ask("POST", "/api/v1/readings", {"deviceId": "attic", "colour": "red"})

    async def live(self) -> None:
        """Posts a reading of each device every few seconds until cancelled."""
        while True:
            await self._post(list(self._readings(time.time(), without_dropouts=True)))
            await asyncio.sleep(_LIVE_SECONDS)

    async def start_fire(self) -> None:
        """Simulates a fire in the garage."""
        self._burning = True
        await self._post(list(self._readings(time.time(), without_dropouts=True)))

    def _readings(self, at: float, *, without_dropouts: bool = False) -> Iterator[dict[str, Any]]:
        for device, _, _, _, fields in _DEVICES:
            sensor = self._sensors[device]
            reading = sensor.reading(at)
            while reading is None and without_dropouts:
                reading = sensor.reading(at)
            if reading is None:
                continue
            kept: dict[str, Any] = {name: reading[name] for name in (*fields, "timestamp")}
            if "aqi" in kept:
                kept["aqiScale"] = "uba"
            if self._burning and device == "garage":
                kept |= {"temperature": 61, "flameDetected": True, "coPpm": 180}
            yield {"deviceId": device, **kept, **_own(device, at)}

    async def _post(self, readings: list[dict[str, Any]]) -> None:
        await self._ask("POST", "/api/v1/readings", readings)

    async def _ask(self, method: str, path: str, body: object) -> None:
        async with self._session.request(method, self._base + path, json=body) as answer:
            await answer.read()


def _own(device: str, at: float) -> dict[str, float]:
    """Values that the simulated sensor does not provide."""
    day = math.sin(at / _DAY_SECONDS * 2 * math.pi)
    if device == "meeting":
        return {"co2": round(2150 + 300 * math.sin(at / 5400)), "pressure": round(1009 + 4 * day, 1)}
    if device == "workshop":
        return {"pm10": round(46 + 12 * math.sin(at / 4000), 1), "pm25": round(38 + 8 * math.sin(at / 4000), 1)}
    if device == "attic":
        return {"humidity": 103}
    return {}
