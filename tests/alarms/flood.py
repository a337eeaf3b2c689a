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
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
import orjson
import socketio
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bridge.settings import MqttSettings
from bridge.tools.bench.clients.publisher import MqttPublisher
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
ALONE = "alone"
NUMBER_ALONE = 200
TOLD_ALONE = 10
"""The messages to the webhook that are not held back as a flood."""
PROBE_EVERY_SECONDS = 0.005
WINDOW_SECONDS = 4.0
"""The delays of so long from the first reading of a burst are compared."""


class Flood:
    """A running bridge, a client, and a device that measures the delay of its own readings."""

    def __init__(self, port: int, publisher: MqttPublisher) -> None:
        self.port = port
        self._publisher = publisher
        self.alerts: dict[str, float] = {}
        self.readings: dict[str, float] = {}
        """When the client received the reading of a device that raises an alarm alone."""
        self._sent: dict[int, float] = {}
        self.delays_ms: list[float] = []

    def on_alert(self, body: dict[str, Any]) -> None:
        self.alerts.setdefault(body["data"]["deviceId"], time.monotonic())

    def on_reading(self, body: dict[str, Any]) -> None:
        if body["data"]["deviceId"].startswith(ALONE):
            self.readings[body["data"]["deviceId"]] = time.monotonic()
        sent = self._sent.pop(round(body["data"]["co2"]), None) if body["data"]["deviceId"] == "probe" else None
        if sent is not None:
            self.delays_ms.append((time.monotonic() - sent) * 1000)

    async def probe(self) -> None:
        number = 400
        while True:
            number = 400 + (number - 399) % 2000
            self._sent[number] = time.monotonic()
            payload = orjson.dumps({"co2": number, "timestamp": time.time_ns() // 1_000_000})
            await self._publisher.publish_all([(b"sensors/probe/data", payload)])
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def p99(self) -> float:
        """Return that of the delays of the next seconds."""
        self.delays_ms = []
        await asyncio.sleep(WINDOW_SECONDS)
        return quantiles(self.delays_ms, n=100)[98]

    async def number_stored(self, session: aiohttp.ClientSession) -> int:
        async with session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return int(float(next(line for line in lines if line.startswith("bridge_alarm_changes_total")).split()[1]))


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


async def measure(folder: Path, devices: int) -> dict[str, str]:
    broker, mongod, port = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod"), free_port()
    broker.start()
    mongod.start()
    async with receiver() as server:
        rules = folder / "alarms.toml"
        rules.write_text(RULES.format(url=server.url))
        environment = os.environ | {
            "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}",
            "BRIDGE_STORE__URL": mongod.url,
            "BRIDGE_HTTP__PORT": str(port),
            "BRIDGE_ALARMS__FILE": str(rules),
        }
        with (folder / "bridge.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "bridge", "run"], env=environment, stderr=log)
        try:
            return await _measure(port, process.pid, broker.port, devices, server)
        finally:
            process.kill()
            process.wait()
            broker.kill()
            mongod.kill()


async def _measure(port: int, pid: int, broker_port: int, devices: int, server: Receiver) -> dict[str, str]:
    async with aiohttp.ClientSession() as session:

        async def is_ready() -> bool:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                    return answer.status == 200
            return False

        await until(is_ready, 30, "the bridge")
        publisher = await MqttPublisher.connect(MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{broker_port}")))
        flood = Flood(port, await MqttPublisher.connect(MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{broker_port}"))))
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        client.on("alert", flood.on_alert)
        client.on("sensorData", flood.on_reading)
        await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
        found = await alone(flood, publisher, server)
        for _ in range(3):
            await burst(publisher, devices, 20.0)
            await asyncio.sleep(1)
        probing = asyncio.create_task(flood.probe(), name="probe")
        quiet_ms = await flood.p99()
        peace_ms, _ = await asyncio.gather(flood.p99(), burst(publisher, devices, 21.0))
        before_mb, began, posted, alerted = memory_mb(pid), time.monotonic(), len(server.posts), len(flood.alerts)

        async def is_stored() -> bool:
            return await flood.number_stored(session) >= devices + alerted

        async def stored_seconds() -> float:
            await until(is_stored, 60, "all changes stored")
            return time.monotonic() - began

        async def told_seconds() -> float:
            await until(lambda: len(flood.alerts) >= devices + alerted, 60, "all alerts")
            return max(flood.alerts.values()) - began

        flood_ms, sent, stored, told = await asyncio.gather(
            flood.p99(), burst(publisher, devices, 50.0), stored_seconds(), told_seconds()
        )
        after_mb = memory_mb(pid)
        await asyncio.sleep(15)
        probing.cancel()
        await client.disconnect()
        publisher.close()
        return found | {
            "sent within": f"{sent:.2f} s",
            "stored after": f"{stored:.2f} s",
            "client has all after": f"{told:.2f} s",
            "messages to the webhook": f"{len(server.posts) - posted}",
            "memory": f"+{after_mb - before_mb:.0f} MB at {before_mb:.0f} MB",
            "p99 of other readings, alone": f"{quiet_ms:.1f} ms",
            "... among as many that cross nothing": f"{peace_ms:.1f} ms",
            "... in the flood": f"{flood_ms:.1f} ms",
        }


async def alone(flood: Flood, publisher: MqttPublisher, server: Receiver) -> dict[str, str]:
    """Raise one alarm after the other; return how long after the reading a client and the webhook were told."""
    await publisher.publish_all([(f"sensors/{ALONE}/data".encode(), b'{"temperature": 20}')])
    await until(lambda: ALONE in flood.readings, 10, "the first reading: the client is sent none right after connecting")
    for number in range(NUMBER_ALONE):
        payload = orjson.dumps({"temperature": 50.0, "timestamp": time.time_ns() // 1_000_000})
        await publisher.publish_all([(f"sensors/{ALONE}-{number}/data".encode(), payload)])
        await until(lambda number=number: len(flood.alerts) > number, 10, "the alarm")
        if number < TOLD_ALONE:
            await until(lambda number=number: len(server.posts) > number, 10, "the message")
    posted = {orjson.loads(post.content)["alarms"][0]["deviceId"]: post.at for post in server.posts}
    delays = {
        "one alarm, from its reading to the client": [1000 * (at - flood.readings[key]) for key, at in flood.alerts.items()],
        "... to the webhook": [1000 * (at - flood.readings[key]) for key, at in posted.items()],
    }
    return {
        name: f"p50 {median(taken):.1f} ms, p99 {quantiles(taken, n=100, method='inclusive')[98]:.1f} ms of {len(taken)}"
        for name, taken in delays.items()
    }


async def burst(publisher: MqttPublisher, devices: int, temperature: float) -> float:
    """Send a reading of each device, evenly within a second; return how long it took."""
    began = time.monotonic()
    for part in range(PARTS):
        await publisher.publish_all(messages(range(part, devices, PARTS), temperature))
        await asyncio.sleep(began + (part + 1) / PARTS - time.monotonic())
    return time.monotonic() - began


def messages(devices: Iterable[int], temperature: float) -> Iterator[tuple[bytes, bytes]]:
    now_ms = time.time_ns() // 1_000_000
    payload = orjson.dumps({"temperature": temperature, "timestamp": now_ms})
    return ((f"sensors/d{number:05}/data".encode(), payload) for number in devices)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measure(Path(name), number))
    table = Table("measured", f"{number:,} devices")
    for title, value in found.items():
        table.add_row(title, value)
    Console().print(table)
