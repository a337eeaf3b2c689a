"""`python -m tests.bench.forecast_rounds`: what a round of forecasts costs, with everything that is read and stored in it.

50 devices of four fields learn 17 days, then a day hour by hour, on the event loop of a bridge. Counted is the CPU of its
process, of all its threads, without MongoDB's own. With `--against CHECKOUT` a process of each version does so, and they take
turns hour by hour: other load on the machine is the same for both.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.cli.runner import run_loop
from bridge.core.readings.measurements import Value
from tests.analysis.forecast_service.stage import START, Stage, reading, stage
from tests.servers import REPO, Mongod

FIELDS = {"co2": (800.0, 300.0), "temperature": (21.0, 2.0), "humidity": (45.0, 8.0), "pm25": (12.0, 6.0)}
"""The mean, and how far a day goes from it."""

STORES = ("sqlite", "mongo")
READY = "ready"
"""A line of a process that waits until it may measure the next hour."""

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


async def measure_store(store: str, devices: int, profile: Callable[[], None] = lambda: None) -> list[float]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="rounds") as name:
        folder = Path(name)
        if store == "sqlite":
            return await costs(f"sqlite:///{folder}/bridge.db", devices, profile)
        mongod = Mongod(folder / "mongod")
        mongod.start()
        try:
            return await costs(mongod.url, devices, profile)
        finally:
            mongod.kill()


# --- two checkouts in turns ------------------------------------------------------------------------------------------------


def wait_for_turn() -> None:
    print(READY, flush=True)
    sys.stdin.readline()


class Turns:
    """A process with the bridge of a checkout, that measures an hour whenever it is told to."""

    def __init__(self, checkout: Path, store: str, devices: int) -> None:
        command = [sys.executable, "-P", __file__, "--in-turns", "--stores", store, "--devices", str(devices)]
        environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
        self._process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answer = ""

    def wait(self) -> None:
        assert self._process.stdout is not None
        self.answer = self._process.stdout.readline().strip()
        if not self.answer:
            raise RuntimeError(f"the process ended with exit code {self._process.wait()}")

    def measure_hour(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.wait()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def compare(store: str, devices: int, before: Path) -> None:
    here, there = (Turns(checkout, store, devices) for checkout in (REPO, before))
    try:
        here.wait()
        there.wait()
        for hour in range(DAY):
            for one in (here, there) if hour % 2 else (there, here):
                one.measure_hour()
    finally:
        here.end()
        there.end()
    now, then = ([float(text) for text in one.answer.split()] for one in (here, there))
    report(store, now)
    report("before", then)
    ratios = [one / other for one, other in zip(now, then, strict=True)]
    print(
        f"now / before {median(ratios):.3f} (median of {len(ratios)} hours, {min(ratios):.2f} to {max(ratios):.2f})", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forecast_rounds")
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--stores", nargs="*", default=STORES, choices=STORES)
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another checkout, hour by hour in turns with this one"
    )
    parser.add_argument("--in-turns", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_turns:
        spent = run_loop(measure_store(given.stores[0], given.devices, wait_for_turn))
        print(*spent, flush=True)
        return
    for store in given.stores:
        if given.against:
            compare(store, given.devices, given.against)
        else:
            report(store, run_loop(measure_store(store, given.devices)))
    print(f"{memory():,.0f} bytes in memory a field")


if __name__ == "__main__":
    main()
