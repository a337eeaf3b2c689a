"""The bench: a table of bridge and tutorial stack, measured in the same run."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from tests.bench.wire import BarePublisher, CountingClient
from tests.servers import Mongod, Mosquitto, free_port, until

TOPIC = b"sensors/bench/data"
START_MS = 1_767_000_000_000


@dataclass
class Result:
    """One row."""

    system: str
    clients: int
    burst: int
    seconds: float
    cpu_seconds: float
    latencies_ms: list[float]

    @property
    def rate(self) -> float:
        return self.burst / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.burst * 1e6

    def percentile(self, part: float) -> float:
        return statistics.quantiles(self.latencies_ms, n=1000, method="inclusive")[round(part * 1000) - 1]


class System:
    """A server under test, as a process of its own."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.port = port
        self._process = process

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(15)


@asynccontextmanager
async def bridge(broker: Mosquitto, mongo_url: str) -> AsyncIterator[System]:
    port = free_port()
    environment = os.environ | {
        "BRIDGE_MQTT__URL": broker.url,
        "BRIDGE_MQTT__CLIENT_ID": f"bench-{port}",  # not the session of the run before, with what waits in it
        "BRIDGE_STORE__URL": mongo_url,
        "BRIDGE_HTTP__PORT": str(port),
        "BRIDGE_LOG__LEVEL": "warning",
    }
    system = System("bridge", port, subprocess.Popen([sys.executable, "-m", "bridge", "run"], env=environment))
    try:
        await _answers(f"http://127.0.0.1:{port}/health/ready")
        yield system
    finally:
        system.end()


@asynccontextmanager
async def tutorial(broker: Mosquitto, mongo_url: str) -> AsyncIterator[System]:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.tutorial", str(broker.port), mongo_url, str(port)]
    system = System("tutorial stack", port, subprocess.Popen(command))
    try:
        await _answers(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling")
        yield system
    finally:
        system.end()


async def _answers(url: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def ok() -> bool:
            try:
                async with session.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(ok, 30, url)


def payload(n: int) -> bytes:
    """What an ESP32 with an ENS160, an MQ-7 and a PM sensor sends."""
    return orjson.dumps(
        {
            "temperature": 20 + n % 100 / 10, "humidity": 45.5, "aqi": 2, "eco2": 600 + n % 400, "tvoc": 120,
            "coPpm": 1.25, "flameDetected": False, "pm25": 8.5, "timestamp": START_MS + n,
        }
    )  # fmt: skip


async def measure(system: System, broker: Mosquitto, clients: int, burst: int, rate: int, seconds: float) -> Result:
    """A burst, for throughput and CPU; then a steady rate, for latency from publish to each client."""
    listeners = [await CountingClient.connect(system.port) for _ in range(clients)]
    publisher = await BarePublisher.connect(broker.port)
    warm_up = 50
    sent = warm_up
    await publisher.publish_all(TOPIC, (payload(n) for n in range(warm_up)))
    await _received(listeners, sent, system.name)

    cpu, start = system.cpu_seconds(), time.perf_counter()
    await publisher.publish_all(TOPIC, (payload(n) for n in range(sent, sent + burst)))
    sent += burst
    await _received(listeners, sent, system.name)
    elapsed, cpu = time.perf_counter() - start, system.cpu_seconds() - cpu

    for listener in listeners:
        listener.arrivals = []
    times: list[float] = []
    start, count = time.perf_counter(), int(rate * seconds)
    for n in range(count):
        await asyncio.sleep(max(start + n / rate - time.perf_counter(), 0))
        times.append(time.perf_counter())
        publisher.publish(TOPIC, payload(sent + n))
    await _received(listeners, sent + count, system.name)
    latencies = [
        (arrived - published) * 1000
        for listener in listeners
        for published, arrived in zip(times, listener.arrivals or (), strict=True)
    ]
    publisher.close()
    for listener in listeners:
        listener.close()
    return Result(system.name, clients, burst, elapsed, cpu, latencies)


async def _received(listeners: list[CountingClient], count: int, name: str) -> None:
    await until(
        lambda: all(listener.count >= count for listener in listeners), 240, f"{name}: {count} readings at every client"
    )


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--burst", type=int, default=5_000, help="readings of the bridge's burst")
    parser.add_argument("--tutorial-burst", type=int, default=500, help="readings of the tutorial stack's burst")
    parser.add_argument("--rate", type=int, default=200, help="readings a second while latency is measured")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 100))
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        broker, database = Mosquitto(Path(folder) / "mosquitto"), Mongod(Path(folder) / "mongo")
        broker.start()
        database.start()
        try:
            for clients in arguments.clients:
                for start, burst in ((bridge, arguments.burst), (tutorial, arguments.tutorial_burst)):
                    url = database.url.replace("/?", f"/{start.__name__}_{clients}?")
                    async with start(broker, url) as system:
                        with console.status(f"{system.name}, {clients} clients …"):
                            results.append(await measure(system, broker, clients, burst, arguments.rate, arguments.seconds))
        finally:
            broker.kill()
            database.kill()
    console.print(_table(results, arguments.rate))


def _table(results: list[Result], rate: int) -> Table:
    title = f"{os.cpu_count()} cores, Python {platform.python_version()}; mosquitto and mongod on the same machine, QoS 1"
    table = Table(title=title, title_justify="left")
    for name in ("clients", "system", "readings/s", "deliveries/s", "CPU per reading", f"p50 at {rate}/s", "p99"):
        table.add_column(name, justify="left" if name == "system" else "right")
    for one in results:
        table.add_row(
            str(one.clients), one.system, f"{one.rate:,.0f}", f"{one.rate * one.clients:,.0f}", f"{one.cpu_us:,.0f} µs",
            f"{one.percentile(0.5):.1f} ms", f"{one.percentile(0.99):.1f} ms",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    asyncio.run(main())
