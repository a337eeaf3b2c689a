"""`python -m tests.bench.forecast_rounds`: what a round of forecasts costs, with everything that is read and stored in it.

50 devices of four fields learn 17 days, then a day hour by hour. Counted is the CPU of the bridge's process, of all its
threads, without MongoDB's own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import tempfile
import tracemalloc
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.core.readings.measurements import Value
from tests.analysis.forecast_service.stage import START, Stage, reading, stage
from tests.servers import Mongod

FIELDS = {"co2": (800.0, 300.0), "temperature": (21.0, 2.0), "humidity": (45.0, 8.0), "pm25": (12.0, 6.0)}
"""The mean, and how far a day goes from it."""

DAY = 24
LEARNED_HOURS = 17 * DAY
MINUTES = (5, 25, 45)


def values_of(device: int, hour: int, minute: int) -> dict[str, Value]:
    chance = Random(f"{device}/{hour}/{minute}")
    course = math.sin((hour + device) % DAY * math.tau / DAY)
    return {name: round(mean + swing * (course + chance.gauss(0, 0.2)), 2) for name, (mean, swing) in FIELDS.items()}


async def measure(found: Stage, devices: int, first: int, until: int) -> None:
    for begin in range(first, until, DAY):
        hours = range(begin, min(begin + DAY, until))
        await found.measure(
            *(
                reading(f"d{device:03}", hour, values_of(device, hour, minute), minute=minute)
                for device in range(devices)
                for hour in hours
                for minute in (MINUTES if until - first == 1 else MINUTES[:1])
            )
        )


async def costs(url: str, devices: int, profile: Callable[[], None] = lambda: None) -> list[float]:
    """Return the µs of CPU of each hour of a day, for one field of one device."""
    async with stage(url) as found:
        await measure(found, devices, START, START + LEARNED_HOURS)
        while (await found.store.history.roll_up()).more:
            pass
        await found.pass_to(START + LEARNED_HOURS)
        spent = []
        for hour in range(START + LEARNED_HOURS, START + LEARNED_HOURS + DAY + 1):
            await measure(found, devices, hour, hour + 1)
            found.out.events.clear()
            gc.collect()
            if hour > START + LEARNED_HOURS:
                profile()
            start = process_time()
            await found.pass_to(hour + 1)
            spent.append((process_time() - start) / devices / len(FIELDS) * 1e6)
            assert len(found.of("completed")) == devices * len(FIELDS)
        return spent[1:]


def memory() -> float:
    """Return the bytes that the state of one field takes."""
    tracemalloc.start()
    device = DeviceForecasts(UTC)
    for hour in range(START, START + LEARNED_HOURS):
        device.feed(hour, values_of(1, hour, 5))  # type: ignore[arg-type]
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] / len(FIELDS)
    del device
    gc.collect()
    taken -= tracemalloc.get_traced_memory()[0] / len(FIELDS)
    tracemalloc.stop()
    return taken


def report(name: str, spent: list[float]) -> None:
    print(
        f"{name:8} {sum(spent) / len(spent):7.1f} µs an hour, device and field "
        f"(median {median(spent):.1f}, {min(spent):.1f} to {max(spent):.1f})",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecast_rounds")
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--stores", nargs="*", default=["sqlite", "mongo"])
    given = parser.parse_args()
    print(f"{memory():,.0f} bytes in memory a field")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="rounds") as name:
        folder = Path(name)
        if "sqlite" in given.stores:
            report("SQLite", await costs(f"sqlite:///{folder}/bridge.db", given.devices))
        if "mongo" in given.stores:
            mongod = Mongod(folder / "mongod")
            mongod.start()
            try:
                report("MongoDB", await costs(mongod.url, given.devices))
            finally:
                mongod.kill()


if __name__ == "__main__":
    asyncio.run(main())
