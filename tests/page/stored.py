"""Readings that were received and stored before the bridge started. No client can send such: they would be too late."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.core.readings.identity import record_id
from bridge.core.readings.reading import Reading
from bridge.settings import StoreSettings
from bridge.stores import open_store

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def every_minute(device: str, values: Mapping[str, float], ago_ms: int) -> list[Reading]:
    """The same values once a minute, from so long ago to a minute ago."""
    now = int(time.time() * 1000)
    times = range(now - ago_ms, now - MINUTE_MS, MINUTE_MS)
    return [Reading(record_id(device, at, values), device, dict(values), at, at, seq=at * 1000) for at in times]


async def store_readings(folder: Path, readings: Iterable[Reading]) -> None:
    """Write to the database that `conftest.running` opens in the same folder."""
    async with open_store(StoreSettings.model_validate({"url": f"sqlite:///{folder}/bridge.db"})) as store:
        await store.prepare()
        await store.write(list(readings), [], [])
