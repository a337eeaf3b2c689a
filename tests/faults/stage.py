"""Publishers, the bridge under test, a witness, a listener, and the verdict on what each of them saw."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import orjson
import pymongo
import socketio
from bson.objectid import ObjectId
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pymongo.errors import PyMongoError

from bridge.core.readings.identity import record_id
from bridge.tools.bench.clients.publisher import connect_packet, publish_packet
from tests.faults.proxy import PUBACK, AckRecord, FaultyProxy, PacketReader, RecordingProxy
from tests.servers import Mongod, Mosquitto, free_port, until

START_MS = 1_767_000_000_000
DEVICES = 50
RESEND_SECONDS = 0.2


def body_of(number: int) -> tuple[str, bytes]:
    """Return device and payload of the n-th reading."""
    return f"d{number % DEVICES:02}", b'{"temperature": %d.5, "timestamp": %d}' % (number % 60, START_MS + number)


def id_of(number: int) -> ObjectId:
    """Return the `_id` of the n-th reading."""
    return record_id(f"d{number % DEVICES:02}", START_MS + number, {"temperature": number % 60 + 0.5})


def number_of(payload: bytes) -> int | None:
    """Return the number of the reading in a payload; None for a hostile one."""
    with suppress(ValueError, TypeError, KeyError):
        return int(orjson.loads(payload)["timestamp"]) - START_MS
    return None


@asynccontextmanager
async def running_task(job: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `job` as a task. It is cancelled repeatedly at the end, because python-socketio may swallow a cancellation."""
    task = asyncio.create_task(job, name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=1)


class Publisher:
    """Publishes with QoS 1 and resends unacknowledged readings. `acknowledged` is the reference for the verdict."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, tuple[int, bytes, bytes]] = {}  # packet id to number, topic, payload
        self._packet_id = 0
        self.acknowledged: set[int] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        async with running_task(self._run(), "publisher"):
            yield self

    async def _run(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await self._converse(reader, self._writer)
                finally:
                    self._writer.transport.abort()
                    self._writer = None
            await asyncio.sleep(RESEND_SECONDS)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(connect_packet(b"publisher-%d" % id(self)))
        await asyncio.wait_for(reader.readexactly(4), 5)
        for packet_id, (_, topic, payload) in list(self._waiting.items()):
            self._send(packet_id, topic, payload)
        packets = PacketReader()
        while data := await reader.read(65536):
            for header, ack in packets.feed(data):
                if header >> 4 == PUBACK:
                    self._acknowledge(int.from_bytes(ack[:2], "big"))

    def _acknowledge(self, packet_id: int) -> None:
        message = self._waiting.pop(packet_id, None)
        if message is not None:
            self.acknowledged.add(message[0])

    def publish(self, number: int, topic: bytes, payload: bytes) -> None:
        self._packet_id = self._packet_id % 65535 + 1
        self._waiting[self._packet_id] = (number, topic, payload)
        self._send(self._packet_id, topic, payload)

    def _send(self, packet_id: int, topic: bytes, payload: bytes) -> None:
        if self._writer is not None:
            self._writer.write(publish_packet(packet_id, topic, payload))

    @property
    def waiting(self) -> int:
        return len(self._waiting)


class Witness:
    """A second persistent subscriber: the broker delivered what it saw."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen: set[int] = set()
        self.connected = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Witness]:
        async with running_task(self._run(), "witness"):
            await asyncio.wait_for(self.connected.wait(), 10)
            yield self

    async def _run(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        while True:
            with suppress(aiomqtt.MqttError, OSError):
                async with aiomqtt.Client(
                    "127.0.0.1", self._port, identifier="witness", protocol=aiomqtt.ProtocolVersion.V5,
                    clean_start=False, properties=properties, keepalive=10,
                ) as client:  # fmt: skip
                    await client.subscribe("sensors/+/data", qos=1)
                    self.connected.set()
                    async for message in client.messages:
                        number = number_of(bytes(message.payload))
                        if number is not None:
                            self.seen.add(number)
            await asyncio.sleep(RESEND_SECONDS)


@dataclass
class ReceivedCounts:
    """The readings that a Socket.IO client received."""

    total: int = 0
    twice: int = 0
    out_of_order: int = 0
    before_stored: int = 0
    ids: set[str] = field(default_factory=set, repr=False)


class Listener:
    """A Socket.IO client that reconnects. Each connection must receive a reading at most once, with ascending cursors."""

    SAMPLE = 50

    def __init__(self, port: int, database: Database) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._database = database
        self.received = ReceivedCounts()
        self.last_at = 0.0
        self._ids: set[str] = set()
        self._cursor = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Listener]:
        async with running_task(self._run(), "listener"):
            yield self

    async def _run(self) -> None:
        while True:
            async with aiohttp.ClientSession() as session:
                client = socketio.AsyncClient(http_session=session, reconnection=False)
                client.on("sensorData", self._on_data)
                self._ids, self._cursor = set(), 0
                try:
                    await client.connect(self._url, transports=["websocket"], wait_timeout=2)
                    await client.wait()
                except (socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError, TimeoutError):
                    pass
                finally:
                    with suppress(Exception):
                        await client.disconnect()
            await asyncio.sleep(RESEND_SECONDS)

    async def _on_data(self, body: dict[str, Any]) -> None:
        received, identity, cursor = self.received, body["data"]["_id"], body["cursor"]
        self.last_at = time.monotonic()
        received.total += 1
        received.twice += identity in self._ids
        received.out_of_order += cursor <= self._cursor
        self._ids.add(identity)
        received.ids.add(identity)
        self._cursor = max(cursor, self._cursor)
        if received.total % self.SAMPLE == 0 and await self._database.holds(identity) is False:
            received.before_stored += 1


class Database:
    """Queries MongoDB directly, without a proxy."""

    def __init__(self, url: str) -> None:
        self._client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(url, timeoutMS=2000)
        self._sensors = self._client["sensors"]
        self.readings = self._sensors["readings"]
        self.rejected = self._sensors["rejected"]

    async def close(self) -> None:
        await self._client.close()

    async def drop(self, collection: str) -> None:
        await self._sensors[collection].drop()

    async def stored(self) -> list[tuple[ObjectId, str, datetime]]:
        """Return id, device and time of every reading."""
        with pymongo.timeout(600):
            rows = self.readings.find({}, {"deviceId": 1, "timestamp": 1})
            return [(row["_id"], row["deviceId"], row["timestamp"]) async for row in rows]

    async def holds(self, identity: str) -> bool | None:
        """Return whether a reading is stored; None if the database is unavailable."""
        try:
            return await self.readings.find_one({"_id": ObjectId(identity)}, {"_id": 1}) is not None
        except PyMongoError:
            return None

    async def missing(self, payloads: list[bytes]) -> int:
        """Return how many messages are neither stored nor in the quarantine. Raises `ConnectionError` if unavailable."""
        good = [id_of(number) for payload in payloads if (number := number_of(payload)) is not None]
        bad = Counter(payload for payload in payloads if number_of(payload) is None)
        try:
            found = await self.readings.find({"_id": {"$in": good}}, {"_id": 1}).to_list() if good else []
            stored = len({document["_id"] for document in found})
            lost = len(set(good)) - stored
            for payload in bad:
                lost += await self.rejected.find_one({"payload": payload[:65536]}, {"_id": 1}) is None
        except PyMongoError as error:
            raise ConnectionError(str(error)) from error
        return lost


@dataclass
class Verdict:
    """The columns of the table."""

    acknowledged: int
    stored: int
    lost_by_bridge: int
    """Acknowledged to the publisher and sent to the bridge, but not stored."""
    lost_by_broker: int
    """Acknowledged to the publisher, but never sent to the bridge."""
    lost_to_witness: int
    """Acknowledged to the publisher, but never sent to the witness."""
    stored_twice: int
    received: ReceivedCounts
    acks: AckRecord
    broker_died: bool

    @property
    def clean(self) -> bool:
        received, acks = self.received, self.acks
        errors = self.lost_by_bridge + self.stored_twice + received.twice + received.out_of_order + received.before_stored
        wrong_acks = acks.before_store + acks.out_of_order + acks.wrong_session
        return not (errors or wrong_acks or (self.lost_by_broker and not self.broker_died))


class Stage:
    """All processes of a scenario."""

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None, database: Path | None = None) -> None:
        """`database` is the folder of mongod if it is not in `folder`."""
        self.folder = folder
        self.broker = Mosquitto(folder / "mosquitto")
        self.mongod = Mongod(database or folder / "mongo")
        self.port = free_port()
        self._environment = environment or {}
        self._next = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bridge: subprocess.Popen[bytes] | None = None
        self.mqtt_link: RecordingProxy
        self.broker_died = False

    @asynccontextmanager
    async def on(self) -> AsyncIterator[Stage]:
        self.broker.start()
        self.mongod.start()
        async with AsyncExitStack() as stack:
            stack.callback(self.broker.kill)
            stack.callback(self.mongod.kill)
            self.database = Database(self.mongod.url)
            stack.push_async_callback(self.database.close)
            self.mqtt_link = RecordingProxy(self.broker.port, self.database.missing)
            await stack.enter_async_context(self.mqtt_link.serving())
            self.mongo_link = await stack.enter_async_context(FaultyProxy(self.mongod.port).serving())
            stack.callback(self.kill_bridge)
            self.start_bridge()
            await self.ready()
            self.witness = await stack.enter_async_context(Witness(self.broker.port).running())
            self.publishers = [await stack.enter_async_context(Publisher(self.broker.port).running()) for _ in range(5)]
            self.listener = await stack.enter_async_context(Listener(self.port, self.database).running())
            yield self

    # --- the bridge ---

    def start_bridge(self, trap: str = "") -> None:
        """Start the bridge; its log is bridge.log."""
        environment = os.environ | {
            "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{self.mqtt_link.port}",
            "BRIDGE_MQTT__CLIENT_ID": "under-test",
            "BRIDGE_STORE__URL": f"mongodb://127.0.0.1:{self.mongo_link.port}/sensors?directConnection=true",
            "BRIDGE_HTTP__PORT": str(self.port),
            "BRIDGE_TRAP": trap,
            **self._environment,
        }
        with (self.folder / "bridge.log").open("ab") as log:
            self._bridge = subprocess.Popen([sys.executable, "-m", "tests.faults.armed", "run"], env=environment, stderr=log)

    @property
    def bridge(self) -> subprocess.Popen[bytes]:
        assert self._bridge is not None
        return self._bridge

    def kill_bridge(self) -> None:
        """Send SIGKILL if the bridge is running."""
        if self._bridge is not None and self._bridge.poll() is None:
            self._bridge.kill()
        if self._bridge is not None:
            self._bridge.wait()

    async def bridge_died(self, seconds: float = 20) -> None:
        """Wait until the trap has killed the bridge."""
        await until(lambda: self.bridge.poll() is not None, seconds, "the trap")

    async def terminate_bridge(self) -> tuple[float, int]:
        """Send SIGTERM; return the seconds until the exit, and the exit code."""
        start = time.monotonic()
        self.bridge.send_signal(signal.SIGTERM)
        await until(lambda: self.bridge.poll() is not None, 30, "the bridge's end")
        return time.monotonic() - start, self.bridge.returncode

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and body; status 0 while the bridge does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                return response.status, orjson.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, {}

    async def is_ready(self) -> bool:
        return (await self.get("/health/ready"))[0] == 200

    async def ready(self, seconds: float = 30) -> float:
        """Wait until the bridge is ready; return the seconds."""
        start = time.monotonic()
        await until(self.is_ready, seconds, "the bridge is ready")
        return time.monotonic() - start

    def memory_bytes(self) -> int:
        """Return the resident memory of the bridge."""
        status = Path(f"/proc/{self.bridge.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    @asynccontextmanager
    async def watching_memory(self, seen: list[tuple[float, int]]) -> AsyncIterator[None]:
        """Append the time in seconds and the bridge's memory in bytes to `seen` twice per second."""

        async def watch() -> None:
            while True:
                seen.append((time.monotonic(), self.memory_bytes()))
                await asyncio.sleep(0.5)

        async with running_task(watch(), "memory"):
            yield

    def count_objects(self) -> None:
        """Make the bridge append a count of its objects to the file `BRIDGE_OBJECTS`."""
        self.bridge.send_signal(signal.SIGUSR1)

    # --- load ---

    @asynccontextmanager
    async def load(self, rate: int) -> AsyncIterator[None]:
        """Publish `rate` readings per second within the context."""
        async with running_task(self.publish_for(rate), "load"):
            yield

    @asynccontextmanager
    async def load_paused(self) -> AsyncIterator[None]:
        """Publish nothing within the context; what was due meanwhile is published after it."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    async def publish_for(self, rate: int, count: int | None = None) -> None:
        """Publish `rate` readings per second, `count` in total or until cancelled."""
        start, sent = time.monotonic(), 0
        while count is None or sent < count:
            await self._flowing.wait()
            due = int((time.monotonic() - start) * rate) + 1
            for _ in range(min(due - sent, 1000) if count is None else min(due - sent, 1000, count - sent)):
                device, payload = body_of(self._next)
                self.publishers[self._next % len(self.publishers)].publish(
                    self._next, f"sensors/{device}/data".encode(), payload
                )
                self._next += 1
                sent += 1
            await asyncio.sleep(0.005)

    @property
    def published(self) -> int:
        return self._next

    async def acknowledge(self, seconds: float = 120) -> None:
        """Wait until every message is acknowledged and bridge and witness have received everything."""
        await until(lambda: not any(publisher.waiting for publisher in self.publishers), seconds, "the broker has everything")
        await self.ready(seconds)
        await self._quiet(seconds)

    async def _quiet(self, seconds: float) -> None:
        """Wait until ledger and witness have not changed for two seconds, with nothing waiting."""
        deadline, before, since = time.monotonic() + seconds, (-1, -1), time.monotonic()
        while time.monotonic() < deadline:
            _, body = await self.get("/websocket/status")
            account = body.get("ledger", {}).get("mqtt", {})
            now = (account.get("received", 0), len(self.witness.seen))
            if now != before or account.get("waiting"):
                before, since = now, time.monotonic()
            elif time.monotonic() - since > 2:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"the bridge did not come to rest within {seconds:g} s")

    # --- verdict ---

    @property
    def acknowledged(self) -> set[int]:
        """The numbers of acknowledged readings; those of hostile messages are negative."""
        return {number for publisher in self.publishers for number in publisher.acknowledged if number >= 0}

    async def verdict(self) -> Verdict:
        """Count lost, duplicate, early and misordered readings."""
        acknowledged = self.acknowledged
        rows = await self.database.stored()
        stored = {identity for identity, _, _ in rows}
        times = Counter((device, at) for _, device, at in rows)
        missing = {number for number in acknowledged if id_of(number) not in stored}
        acks = self.mqtt_link.record
        for at in range(0, len(acks.payloads), 10_000):
            acks.before_store += await self.database.missing(acks.payloads[at : at + 10_000])
        delivered = {number for payload in acks.delivered if (number := number_of(payload)) is not None}
        received = self.listener.received
        received.before_stored += sum(ObjectId(identity) not in stored for identity in received.ids)
        return Verdict(
            acknowledged=len(acknowledged),
            stored=len(stored),
            lost_by_bridge=len(missing & delivered),
            lost_by_broker=len(missing - delivered),
            lost_to_witness=len(acknowledged - self.witness.seen),
            stored_twice=sum(count - 1 for count in times.values()),
            received=received,
            acks=acks,
            broker_died=self.broker_died,
        )

    def log_text(self) -> str:
        return (self.folder / "bridge.log").read_text()
