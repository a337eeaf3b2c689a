"""10,000 devices cross a limit within a second: `python -m tests.alarms.flood [devices]` prints what it took.

Measured: until all changes are stored, until a Socket.IO client has all, messages to a webhook, memory, and the delay of the
readings of one more device: with no others, with as many readings as in the flood that cross nothing, and in the flood. Before
it, how long after its reading a client and a webhook are told of one alarm.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import aiohttp
import orjson
import pymongo
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.subscriber import ReceiveBuffer, Subscriber
from tests.notify.alarms import Receiver, receiver
from tests.servers import Mongod, Mosquitto, free_port, until

RULES = """profile = "none"
[rules.hot]
field = "temperature"
above = 40
clear = 38
priority = "high"
[[notify]]
name = "hook"
webhook = "{url}/hook"
"""
PARTS = 50
NUMBER_ALONE = 200
TOLD_ALONE = 10
"""The messages to the webhook that are not held back as a flood."""

PROBE_EVERY_SECONDS = 0.005
WINDOW_SECONDS = 4.0
"""The delays of so long from the first reading of a burst are compared."""


class ReadingTimes(Subscriber):
    """A Socket.IO client that records when readings arrive."""

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self.times: list[float] = []

    def _add_readings(self, readings: int, now: float) -> None:
        self.count += readings
        self.times += [now] * readings


class AlertTimes(ReadingTimes):
    MARK = b'["alert",'


class Probe:
    """A device that sends a few hundred readings a second, and a client of its own."""

    def __init__(self, publisher: MqttPublisher, client: ReadingTimes) -> None:
        self._publisher = publisher
        self._client = client
        self._sent: list[float] = []

    async def run(self) -> None:
        while True:
            payload = orjson.dumps({"co2": 400 + len(self._sent) % 2000, "timestamp": time.time_ns() // 1_000_000})
            self._sent.append(perf_counter())
            await self._publisher.publish_all([(b"sensors/probe/data", payload)])
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def p99_ms(self) -> float:
        """Return that of the delays of the readings of the next seconds."""
        first = len(self._sent)
        await asyncio.sleep(WINDOW_SECONDS)
        last = len(self._sent)
        await until(lambda: len(self._client.times) >= last, 60, "the readings of the probe")
        return quantiles([1000 * (self._client.times[n] - self._sent[n]) for n in range(first, last)], n=100)[98]


def messages(devices: Iterable[int], temperature: float) -> Iterator[tuple[bytes, bytes]]:
    payload = orjson.dumps({"temperature": temperature, "timestamp": time.time_ns() // 1_000_000})
    return ((f"sensors/d{number:05}/data".encode(), payload) for number in devices)


async def burst(publisher: MqttPublisher, devices: int, temperature: float) -> float:
    """Send a reading of each device, evenly within a second; return how long it took."""
    began = perf_counter()
    for part in range(PARTS):
        await publisher.publish_all(messages(range(part, devices, PARTS), temperature))
        await asyncio.sleep(began + (part + 1) / PARTS - perf_counter())
    return perf_counter() - began


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(folder: Path, devices: int) -> dict[str, str]:
    broker, mongod, port = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod"), free_port()
    broker.start()
    mongod.start()
    async with receiver() as hook:
        rules = folder / "alarms.toml"
        rules.write_text(RULES.format(url=hook.url))
        environment = os.environ | {
            "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}",
            "BRIDGE_STORE__URL": mongod.url,
            "BRIDGE_HTTP__PORT": str(port),
            "BRIDGE_ALARMS__FILE": str(rules),
        }
        with (folder / "bridge.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "bridge", "run"], env=environment, stderr=log)
        try:
            async with aiohttp.ClientSession() as session:
                return await _measure(session, f"http://127.0.0.1:{port}", broker.url, mongod.url, process.pid, hook, devices)
        finally:
            process.kill()
            process.wait()
            broker.kill()
            mongod.kill()


async def _measure(
    session: aiohttp.ClientSession, base: str, broker_url: str, store_url: str, pid: int, hook: Receiver, devices: int
) -> dict[str, str]:
    async def is_ready() -> bool:
        with suppress(aiohttp.ClientError):
            async with session.get(f"{base}/health/ready") as answer:
                return answer.status == 200
        return False

    await until(is_ready, 30, "the bridge")
    broker, address, buffer = MqttSettings(url=SecretStr(broker_url)), Address.parse(base), ReceiveBuffer()
    publisher = await MqttPublisher.connect(broker)
    readings, alerts = await ReadingTimes.connect(buffer, address), await AlertTimes.connect(buffer, address)
    client = await ReadingTimes.connect(buffer, address)
    await client.subscribe(["probe"])
    stored = pymongo.AsyncMongoClient[dict[str, object]](store_url)["sensors"]["alarm_transitions"]
    probe = Probe(await MqttPublisher.connect(broker), client)
    found = await alone(publisher, readings, alerts, hook)
    for _ in range(3):
        await burst(publisher, devices, 20.0)
    probing = asyncio.create_task(probe.run(), name="probe")
    quiet_ms = await probe.p99_ms()
    cpu = [cpu_seconds(pid)]
    peace_ms, _ = await asyncio.gather(probe.p99_ms(), burst(publisher, devices, 21.0))
    cpu.append(cpu_seconds(pid))
    before_mb, began, posted, told = memory_mb(pid), perf_counter(), len(hook.posts), alerts.count

    async def stored_seconds() -> float:
        while await stored.estimated_document_count() < told + devices:
            await asyncio.sleep(0.05)
        return perf_counter() - began

    async def told_seconds() -> float:
        await until(lambda: alerts.count >= told + devices, 60, "all alerts")
        return alerts.times[told + devices - 1] - began

    flood_ms, sent, stored_after, told_after = await asyncio.gather(
        probe.p99_ms(), burst(publisher, devices, 50.0), stored_seconds(), told_seconds()
    )
    after_mb = memory_mb(pid)
    cpu.append(cpu_seconds(pid))
    await asyncio.sleep(15)
    probing.cancel()
    publisher.close()
    for one in (readings, alerts, client):
        one.close()
    return found | {
        "sent within": f"{sent:.2f} s",
        "stored after": f"{stored_after:.2f} s",
        "client has all after": f"{told_after:.2f} s",
        "messages to the webhook": f"{len(hook.posts) - posted}",
        "CPU of the bridge, without and with alarms": f"{cpu[1] - cpu[0]:.1f} and {cpu[2] - cpu[1]:.1f} s",
        "memory": f"+{after_mb - before_mb:.0f} MB at {before_mb:.0f} MB",
        "p99 of other readings, alone": f"{quiet_ms:.1f} ms",
        "... among as many that cross nothing": f"{peace_ms:.1f} ms",
        "... in the flood": f"{flood_ms:.1f} ms",
    }


async def alone(publisher: MqttPublisher, readings: ReadingTimes, alerts: AlertTimes, hook: Receiver) -> dict[str, str]:
    """Raise one alarm after the other; return how long after the reading a client and the webhook were told."""
    await publisher.publish_all([(b"sensors/alone/data", b'{"temperature": 20}')])
    await until(lambda: readings.count > 0, 10, "the first reading: a client is sent none right after connecting")
    for number in range(NUMBER_ALONE):
        payload = orjson.dumps({"temperature": 50.0, "timestamp": time.time_ns() // 1_000_000})
        await publisher.publish_all([(f"sensors/alone-{number}/data".encode(), payload)])
        await until(lambda number=number: min(alerts.count, readings.count - 1) > number, 10, "the alarm")
        if number < TOLD_ALONE:
            await until(lambda number=number: len(hook.posts) > number, 10, "the message")
    arrived = readings.times[1:]
    return {
        "one alarm, from its reading to the client": _described(arrived, alerts.times),
        "... to the webhook": _described(arrived, [post.at for post in hook.posts[:TOLD_ALONE]]),
    }


def _described(readings: Sequence[float], told: Sequence[float]) -> str:
    taken = [1000 * (at - reading) for reading, at in zip(readings, told, strict=False)]
    return f"p50 {median(taken):.1f} ms, p99 {quantiles(taken, n=100, method='inclusive')[98]:.1f} ms of {len(taken)}"


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measure(Path(name), number))
    table = Table("measured", f"{number:,} devices")
    for title, value in found.items():
        table.add_row(title, value)
    Console().print(table)
