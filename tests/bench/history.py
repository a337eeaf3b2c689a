"""`python -m tests.bench.history`: query a year of one device, a reading every 10 s, over HTTP from each store.

Fills a temporary database, measures how long a bridge takes to roll it up and to answer (p50 of 10), and compares a day of
rollups with the readings. Takes about ten minutes per store.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from bson.objectid import ObjectId
from rich.console import Console
from rich.table import Table

from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.rollup import DAY_MS, HOUR_MS
from bridge.core.timestamp import iso
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.tools.bench.run import broker_settings
from bridge.tools.bench.systems import OwnBridge
from tests.bench.servers import broker_and_database
from tests.servers import Mosquitto

DEVICE = "history"
STEP_MS = 10_000
BATCH = 10_000
TIMES = 10
QUERIES = (
    (1 / 24, "10s"),
    (1, "1m"),
    (1, "5m"),
    (2.7, "2m"),
    (7, "10m"),
    (30, "30m"),
    (90, "2h"),
    (365, "6h"),
    (365, "1d"),
    (365, "auto"),
)
FEW = "temperature,humidity,eco2,tvoc,pm25"


def readings(days: float, now_ms: int) -> Iterator[list[Reading]]:
    """Yield batches of plausible readings with eight fields, up to now."""
    rng = random.Random(1)
    first_ms = now_ms - round(days * DAY_MS)
    batch: list[Reading] = []
    for at_ms in range(first_ms, now_ms, STEP_MS):
        day = math.sin(at_ms / DAY_MS * 2 * math.pi)
        values: dict[str, Value] = {
            "temperature": round(21 + 3 * day + rng.random(), 2),
            "humidity": round(45 - 5 * day + rng.random(), 1),
            "eco2": round(600 + 200 * day + 50 * rng.random()),
            "tvoc": round(100 + 90 * rng.random()),
            "coPpm": round(rng.random(), 2),
            "flameDetected": False,
            "pm25": round(8 + 5 * rng.random(), 1),
            "pressure": round(1013 + 9 * day, 1),
        }
        batch.append(Reading(ObjectId(), DEVICE, values, at_ms, at_ms + 40, seq=(at_ms + 50) * 1000))
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


async def fill(url: str, days: float) -> int:
    count = 0
    async with open_store(StoreSettings.model_validate({"url": url, "timeout_seconds": 60})) as store:
        await store.prepare()
        for batch in readings(days, time.time_ns() // 1_000_000):
            count += len((await store.write(batch, [], [])).stored)
    return count


class Client:
    """An HTTP client of a bridge."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str) -> bytes:
        async with self._session.get(f"{self._url}{path}") as response:
            body = await response.read()
            if response.status != 200:
                raise AssertionError(f"{path}: {response.status} {body[:300]!r}")
            return body

    async def rolled_hours(self) -> float:
        lines = (await self.get("/metrics")).decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("bridge_rollup_hours_total "))

    async def wait_for_rollup(self, hours: float) -> float:
        """Wait until this many hours are rolled up; return the seconds."""
        started = time.monotonic()
        while await self.rolled_hours() < hours:
            await asyncio.sleep(0.5)
        return time.monotonic() - started

    async def timed(self, days: float, every: str, fields: str) -> tuple[float, float, int, str]:
        """Return milliseconds (median and maximum), points and bucket width."""
        start = iso(time.time_ns() // 1_000_000 - round(days * DAY_MS))
        path = f"/api/v1/readings?device={DEVICE}&from={start}&every={every}{fields and f'&fields={fields}'}"
        times = []
        for _ in range(TIMES):
            started = time.perf_counter()
            body = await self.get(path)
            times.append((time.perf_counter() - started) * 1000)
        answer = orjson.loads(body)
        return statistics.median(times), max(times), len(answer["readings"]), answer["every"]

    async def rollups_match_readings(self, days: float) -> bool:
        """Compare count, minimum and maximum of a day in rollups with those of its readings."""
        end_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS - round((days - 1) * DAY_MS)
        span = f"device={DEVICE}&fields=temperature&from={iso(end_ms - DAY_MS)}&to={iso(end_ms)}"
        rolled = orjson.loads(await self.get(f"/api/v1/readings?{span}&every=1h"))["readings"]
        fine = orjson.loads(await self.get(f"/api/v1/readings?{span}&every=1m"))["readings"]

        def summary(buckets: list[dict[str, Any]]) -> tuple[int, float, float]:
            fields = [bucket["temperature"] for bucket in buckets]
            return sum(bucket["count"] for bucket in buckets), min(f["min"] for f in fields), max(f["max"] for f in fields)

        return summary(rolled) == summary(fine)


async def measure(name: str, url: str, broker: Mosquitto, folder: Path, days: float, console: Console) -> bool:
    started = time.monotonic()
    count = await fill(url, days)
    console.print(f"{name}: {count:,} readings in {time.monotonic() - started:.0f} s")
    return await query(name, url, broker, folder, days, console)


async def query(name: str, url: str, broker: Mosquitto, folder: Path, days: float, console: Console) -> bool:
    """Start a bridge, wait for the rollup and measure its answers; return whether rollups and readings agree."""
    async with OwnBridge(broker_settings(broker.url), url, folder / name).started() as target:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
            client = Client(session, str(target.address))
            seconds = await client.wait_for_rollup(days * 24 - 1.1)
            console.print(f"{name}: rolled up in {seconds:.0f} s")
            table = Table("range", "every", "points", "5 fields, ms", "max", "all fields, ms", "max", title=name)
            worst = 0.0
            for span, every in QUERIES:
                if span <= days:
                    few, few_worst, points, width = await client.timed(span, every, FEW)
                    whole, whole_worst, _, _ = await client.timed(span, every, "")
                    worst = max(worst, few, whole)
                    cells = [f"{number:.0f}" for number in (few, few_worst, whole, whole_worst)]
                    table.add_row(f"{span:.3g} d", width if every == "auto" else every, str(points), *cells)
            console.print(table)
            same = await client.rollups_match_readings(days)
            console.print(f"{name}: rollups {'agree' if same else 'DISAGREE'} with the readings; slowest p50 {worst:.0f} ms")
            return same


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", help="mongo or sqlite; default: both")
    parser.add_argument("--days", type=float, default=365)
    arguments = parser.parse_args()
    console = Console(width=110)
    ok = True
    with broker_and_database() as (broker, database, folder):
        urls = {"sqlite": f"sqlite:///{folder}/bridge.db", "mongo": database.url.replace("/?", "/history?")}
        for store in arguments.stores or urls:
            ok &= await measure(store, urls[store], broker, folder, arguments.days, console)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
