"""`python -m tests.bench.anomaly_feed`: what anomalies add to a reading, in its way to the clients and beside it.

One event loop publishes readings, in windows of some seconds that alternate: without the service of anomalies, and with it. So
other load on the machine, which differs from minute to minute, is the same in both windows of a pair.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from statistics import median

from bridge.analysis.anomaly_service import AnomalyService, DeviceLookups
from bridge.analysis.feed import ReadingFeed
from bridge.cli.runner import run_loop
from bridge.core.events import Event
from bridge.core.readings.identity import record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

BATCH_SECONDS = 0.005
"""Readings of so long are published together, as the pipeline does at 500/s and more; at lower rates each by itself."""

WARM_UP_SECONDS = 1.0


class _Clients:
    def publish(self, events: Sequence[Event]) -> None:
        """Drop all events."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one reading in µs: CPU of the process, and the median time in `publish`, which other load does not change."""

    process: float
    publish: float


class Windows:
    def __init__(self, store: Store, rate: float, devices: int) -> None:
        self._store = store
        self._rate = rate
        self._devices = devices
        self._chance = Random(1)
        self._seq = time.time_ns() // 1000
        self._feed = ReadingFeed(store)
        self._feed.next = _Clients()

    def _reading(self) -> Reading:
        self._seq += 1
        gauss, at_ms, device = self._chance.gauss, time.time_ns() // 1_000_000, f"d{self._chance.randrange(self._devices)}"
        values: dict[str, Value] = {
            "temperature": round(gauss(21, 0.05), 2),
            "humidity": round(gauss(45, 0.5), 1),
            "co2": round(gauss(700, 9)),
            "pm25": round(abs(gauss(5, 1)), 1),
        }
        return Reading(record_id(device, at_ms, values), device, values, at_ms, at_ms + 5, seq=self._seq)

    async def window(self, seconds: float) -> Cost:
        """Publish at the rate."""
        size = max(1, round(self._rate * BATCH_SECONDS))
        count, publishing, started = 0, list[float](), time.process_time()
        due = time.monotonic()
        end = due + seconds
        while due < end:
            readings = [self._reading() for _ in range(size)]
            begin = time.perf_counter()
            self._feed.publish(readings)
            publishing.append((time.perf_counter() - begin) / size)
            count, due = count + size, due + size / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        return Cost((time.process_time() - started) / count * 1e6, median(publishing) * 1e6)

    @asynccontextmanager
    async def anomalies(self) -> AsyncIterator[None]:
        lookups = DeviceLookups(room=lambda _device_id: "here")
        service = AnomalyService(self._store, self._feed, _Clients(), lookups, devices_limit=1000)
        task = asyncio.create_task(service.run(), name="anomalies")
        try:
            async with asyncio.timeout(30):
                while not self._feed.is_following:
                    await asyncio.sleep(0.01)
            yield
            if not service.counts.folded:
                raise RuntimeError("no reading was folded")
        finally:
            task.cancel()
            await asyncio.wait([task])


async def measure(rate: float, devices: int, pairs: int, seconds: float) -> list[tuple[Cost, Cost]]:
    """Return the costs without and with anomalies, of each pair of windows."""
    found = []
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="anomaly-feed-") as folder:
        async with open_store(StoreSettings.model_validate({"url": f"sqlite:///{folder}/bridge.db"})) as store:
            await store.prepare()
            windows = Windows(store, rate, devices)
            for _ in range(pairs):
                await windows.window(WARM_UP_SECONDS)
                without = await windows.window(seconds)
                async with windows.anomalies():
                    await windows.window(WARM_UP_SECONDS)
                    found.append((without, await windows.window(seconds)))
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.anomaly_feed")
    parser.add_argument("--rates", type=float, nargs="+", default=[200, 1000], help="readings per second")
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4, help="of a window")
    given = parser.parse_args()
    for rate in given.rates:
        pairs = await measure(rate, given.devices, given.pairs, given.seconds)
        for name, added in (
            ("in its way", [after.publish - before.publish for before, after in pairs]),
            ("in all", [after.process - before.process for before, after in pairs]),
        ):
            print(
                f"{rate:6g} readings/s, {name:10}: {median(added):+6.2f} µs a reading ({min(added):+.2f} to {max(added):+.2f})",
                flush=True,
            )


if __name__ == "__main__":
    run_loop(main())
