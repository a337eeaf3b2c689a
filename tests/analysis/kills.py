"""SIGKILL of a bridge while its devices fail in many ways: `python -m tests.analysis.kills` kills it 20 times in minutes.

Every third time it is killed between the write of changes and their publishing. Checkpoints are written every second, and many
of them are cut short. What is expected is what a fold finds in the stored readings that nobody interrupts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import socketio
from pydantic import SecretStr

from bridge.analysis.anomaly_checkpoints import MARK
from bridge.core.errors import BridgeError, StoreError
from bridge.core.query import ReadingsQuery
from bridge.settings import MqttSettings, StoreSettings
from bridge.stores import open_store
from bridge.tools.bench.clients.publisher import MqttPublisher
from tests.analysis.faulty import A_DAY, EVERY_MS, START_MS, Expected, name_of, room_of, values_of
from tests.servers import Mongod, Mosquitto, free_port, until

DEVICES = 6
DAYS = 34
FIRST = 2
"""Readings of each device before the rooms are known."""


@dataclass
class Outcome:
    """Changes by id: `missed` are expected and not stored, `false` the reverse; `doubled` were sent twice to a client.

    `different` are the devices whose stored state is not that of the undisturbed fold.
    """

    readings: int = 0
    expected: int = 0
    kinds: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)
    false: set[str] = field(default_factory=set)
    told: int = 0
    doubled: int = 0
    different: list[str] = field(default_factory=list)
    standing: tuple[set[str], set[str]] = (set(), set())
    """The anomalies that stand: those expected, and those in the store."""
    kills: Counter[str] = field(default_factory=Counter)


class KilledBridge:
    def __init__(self, folder: Path, store_url: str, broker_port: int) -> None:
        self._folder = folder
        self._store_url = store_url
        self._broker_port = broker_port
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.told: Counter[str] = Counter()

    def start(self, trap: str = "") -> None:
        environment = os.environ | {
            "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{self._broker_port}",
            "BRIDGE_MQTT__CLIENT_ID": "under-test",
            "BRIDGE_STORE__URL": self._store_url,
            "BRIDGE_HTTP__PORT": str(self.port),
            "BRIDGE_ANOMALY_SAVE_SECONDS": "1",
            "BRIDGE_TRAP": trap,
        }
        with (self._folder / "bridge.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "tests.faults.armed", "run"], env=environment, stderr=log)

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def ask(self, path: str, body: object = None) -> Any:
        """The answer to a request; None if it is not successful."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            timeout, method = aiohttp.ClientTimeout(total=2), "GET" if body is None else "POST"
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, f"http://127.0.0.1:{self.port}{path}", json=body) as answer,
            ):
                return orjson.loads(await answer.read()) if answer.status in (200, 201) else None
        return None

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return await self.ask("/health/ready") is not None

        await until(is_ready, 60, "the bridge is ready")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._listen(), name="listener")
        try:
            yield
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=1)

    async def _listen(self) -> None:
        while True:
            async with aiohttp.ClientSession() as session:
                client = socketio.AsyncClient(http_session=session, reconnection=False)
                client.on("anomaly", self._on_anomaly)
                gone = asyncio.Event()
                client.on("disconnect", lambda *_, gone=gone: gone.set())
                with suppress(socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError, TimeoutError):
                    await client.connect(f"http://127.0.0.1:{self.port}", transports=["websocket"], wait_timeout=2)
                    await gone.wait()
                with suppress(Exception):
                    await client.disconnect()
            await asyncio.sleep(0.1)

    def _on_anomaly(self, body: dict[str, Any]) -> None:
        self.told[f"{body['data']['id']} {body['kind']}"] += 1


def messages(first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
    """The messages of all devices in turn, by their numbers."""
    for one in range(first, last):
        number, device = divmod(one, DEVICES)
        body = values_of(device, number) | {"timestamp": START_MS + number * EVERY_MS + device * 1000}
        yield f"sensors/{name_of(device)}/data".encode(), orjson.dumps(body)


async def publish(port: int, first: int, last: int, rate: int, hurry: asyncio.Event) -> None:
    """Publish so many messages a second, and ten times as many once `hurry` is set."""
    broker, at, due_now, sent = MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{port}")), time.monotonic(), float(first), first
    publisher = await MqttPublisher.connect(broker)
    while sent < last:
        elapsed, at = time.monotonic() - at, time.monotonic()
        due_now += elapsed * rate * (10 if hurry.is_set() else 1)
        due = min(int(due_now), last)
        if due > sent:
            await publisher.publish_all(messages(sent, due))
            sent = due
        await publisher.settled()
        await asyncio.sleep(0.01)
    publisher.close()


async def kill_many(folder: Path, kills: Sequence[str], *, rate: int, seed: int = 1) -> Outcome:
    """Kill at random times: `bridge`, or in the `trap` before it publishes changes."""
    rng, outcome = random.Random(seed), Outcome()
    broker, mongod = Mosquitto(folder / "mosquitto"), Mongod(folder / "mongod")
    broker.start()
    mongod.start()
    bridge, total = KilledBridge(folder, mongod.url, broker.port), DEVICES * DAYS * A_DAY
    try:
        bridge.start()
        await bridge.ready()
        await _place(bridge, mongod.url, broker.port)
        async with bridge.listening():
            hurry = asyncio.Event()
            load = asyncio.create_task(publish(broker.port, FIRST * DEVICES, total, rate, hurry), name="load")
            for kind in rng.sample(kills, len(kills)):
                outcome.kills[kind] += 1
                await asyncio.sleep(rng.uniform(0.2, 1.5))
                await _kill(kind, bridge, rng)
                await bridge.ready()
            assert not load.done(), "the load ended before the kills"
            hurry.set()
            await load
            await _checkpoint(mongod.url, total)
            await asyncio.sleep(1)  # what is told now is on its way
        bridge.kill()
        await _judge(mongod.url, outcome, bridge)
    finally:
        bridge.kill()
        broker.kill()
        mongod.kill()
    return outcome


async def _kill(kind: str, bridge: KilledBridge, rng: random.Random) -> None:
    bridge.kill()
    if kind == "trap":
        bridge.start(f"after-transition:{rng.randint(1, 3)}")
        await until(lambda: bridge.is_dead, 60, "the trap")
        bridge.kill()
    bridge.start()


async def _place(bridge: KilledBridge, store_url: str, broker_port: int) -> None:
    """Register the devices with their rooms, and wait until these are in a checkpoint."""
    for device in range(DEVICES):
        site, _, room = (room_of(name_of(device)) or "").partition("\n")
        placed = {"site": site, "room": room} if room else {}
        assert await bridge.ask("/api/v1/devices", {"id": name_of(device), **placed}) is not None
    await publish(broker_port, 0, FIRST * DEVICES, 1000, asyncio.Event())
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def are_known() -> bool:
            rooms = {one.device_id: one.body["room"] for one in await store.anomaly_states.all(DEVICES)}
            return rooms == {name_of(one): room_of(name_of(one)) for one in range(DEVICES)}

        await until(are_known, 30, "the rooms are known")


async def _checkpoint(store_url: str, total: int) -> None:
    """Wait until a checkpoint contains all readings."""
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:

        async def is_complete() -> bool:
            with suppress(StoreError, BridgeError):
                if await store.count(ReadingsQuery(since=0)) == total:
                    last = (await store.readings(ReadingsQuery(limit=1)))[-1].seq
                    return bool(orjson.loads(await store.get(MARK) or "{}").get("seq") == last)
            return False

        await until(is_complete, 120, f"{total} readings are in a checkpoint")


async def _judge(store_url: str, outcome: Outcome, bridge: KilledBridge) -> None:
    expected = Expected()
    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:
        await store.prepare()
        since = 0
        while page := await store.readings(ReadingsQuery(since=since, limit=5000)):
            expected.add(page)
            outcome.readings += len(page)
            since = page[-1].seq
        stored, before = set[str](), None
        while found := await store.anomalies.transitions(before=before, limit=1000):
            before = found[-1].id
            stored |= {one.id for one in found}
        states = {one.device_id: one.body["state"] for one in await store.anomaly_states.all(100)}
        standing = {one.id for one in await store.anomalies.find(is_open=True, limit=1000)}
    for change in expected.changes.values():
        kind = change.record.anomaly.kind.value
        if kind == "stuck" and change.record.anomaly.field != "pm25":  # an alarm tells of it
            stored.add(change.id)
        outcome.kinds.add(kind)
    outcome.expected = len(expected.changes)
    outcome.missed, outcome.false = expected.changes.keys() - stored, stored - expected.changes.keys()
    outcome.told, outcome.doubled = len(bridge.told), sum(number > 1 for number in bridge.told.values())
    names = sorted({name_of(one) for one in range(DEVICES)} | states.keys())
    outcome.different = [one for one in names if states.get(one) != expected.fold.document(one)]
    outcome.standing = {one.id for one in expected.fold.standing()}, standing


def table(outcome: Outcome) -> str:
    rows = {
        "kills": f"{outcome.kills.total()}: {dict(outcome.kills)}",
        "readings": outcome.readings,
        "changes expected": outcome.expected,
        "kinds": ", ".join(sorted(outcome.kinds)),
        "missed": len(outcome.missed),
        "false": len(outcome.false),
        "told to the client": outcome.told,
        "told twice": outcome.doubled,
        "different states": outcome.different,
        "standing": tuple(map(len, outcome.standing)),
    }
    return "\n".join(f"{name:24}{value}" for name, value in rows.items())


LONG = ("bridge", "bridge", "trap") * 6 + ("bridge", "trap")
SHORT = ("bridge", "bridge", "trap", "trap")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.analysis.kills", description="20 kills: see the docstring.")
    parser.add_argument("seed", nargs="?", type=int, default=1, help="of the order and the times of the kills; 1 if not given")
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kills") as folder_name:
        print(table(asyncio.run(kill_many(Path(folder_name), LONG, rate=90, seed=seed))))
