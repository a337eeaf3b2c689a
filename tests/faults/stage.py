"""Publishers, the bridge under test, a witness, a listener, and the verdict on what each of them saw."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp
import aiomqtt
import orjson
import pymongo
import socketio
from bson.objectid import ObjectId
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.tools.bench.clients.publisher import connect_packet, publish_packet
from tests.faults.databases import ALL_READINGS_SECONDS, Database, MongoDatabase, SqliteDatabase
from tests.faults.proxy import PUBACK, AckRecord, FaultyProxy, PacketReader, RecordingProxy
from tests.faults.readings import body_of, id_of, number_of
from tests.servers import LOOPBACK, Mongod, Mosquitto, free_port, until

RESEND_SECONDS = 0.2
_PR_CAPBSET_DROP = 24


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


def obey_modes() -> None:
    """Let files' modes hold for root too: drop `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH` from the programs it starts."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


class Publisher:
    """Publishes with QoS 1 and resends unacknowledged readings. `acknowledged` is the reference for the verdict."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self._port = port
        self._host = host
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
                reader, self._writer = await asyncio.open_connection(self._host, self._port)
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

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self._port = port
        self._host = host
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
                    self._host, self._port, identifier="witness", protocol=aiomqtt.ProtocolVersion.V5,
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
        self.system_events: list[dict[str, Any]] = []
        self.offline: list[tuple[float, str]] = []
        """When a device went offline, by the monotonic clock, and its id."""
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
                client.on("systemEvent", self.system_events.append)
                client.on("deviceStatus", self._on_status)
                gone = asyncio.Event()
                client.on("disconnect", lambda *_, gone=gone: gone.set())
                self._ids, self._cursor = set(), 0
                try:
                    await client.connect(self._url, transports=["websocket"], wait_timeout=2)
                    await gone.wait()  # `client.wait` may return 30 s later
                except (socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError, TimeoutError):
                    pass
                finally:
                    with suppress(Exception):
                        await client.disconnect()
            await asyncio.sleep(RESEND_SECONDS)

    def _on_status(self, body: dict[str, Any]) -> None:
        if body["status"] == "offline":
            self.offline.append((time.monotonic(), body["deviceId"]))

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


class Stage(ABC):
    """All processes of a scenario."""

    database: Database

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder / "mosquitto")
        self.port = free_port()
        self._environment = environment or {}
        self._next = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bridge: subprocess.Popen[bytes] | None = None
        self.mqtt_link: RecordingProxy
        self.broker_died = False

    @asynccontextmanager
    async def on(self) -> AsyncIterator[Self]:
        self.broker.start()
        async with AsyncExitStack() as stack:
            stack.callback(self.broker.kill)
            self._store_url = await stack.enter_async_context(self._store())
            self.mqtt_link = RecordingProxy(self.broker.port, self.database.missing)
            await stack.enter_async_context(self.mqtt_link.serving())
            stack.callback(self.kill_bridge)
            self.start_bridge()
            await self.ready()
            self.witness = await stack.enter_async_context(Witness(self.broker.port).running())
            self.publishers = [await stack.enter_async_context(Publisher(self.broker.port).running()) for _ in range(5)]
            self.listener = await stack.enter_async_context(Listener(self.port, self.database).running())
            yield self

    _before_exec: Callable[[], None] | None = None
    """Called in the bridge's process before its program is loaded."""

    @abstractmethod
    def _store(self) -> AbstractAsyncContextManager[str]:
        """Start the store and set `database`; the context's value is the store's URL for the bridge."""

    # --- the bridge ---

    def start_bridge(self, trap: str = "") -> None:
        """Start the bridge; its log is bridge.log."""
        environment = os.environ | {
            "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{self.mqtt_link.port}",
            "BRIDGE_MQTT__CLIENT_ID": "under-test",
            "BRIDGE_STORE__URL": self._store_url,
            "BRIDGE_HTTP__PORT": str(self.port),
            "BRIDGE_TRAP": trap,
            **self._environment,
        }
        command = [sys.executable, "-m", "tests.faults.armed", "run"]
        with (self.folder / "bridge.log").open("ab") as log:
            self._bridge = subprocess.Popen(command, env=environment, stderr=log, preexec_fn=self._before_exec)

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

    async def answer(self, path: str, seconds: float = 30) -> tuple[int, Any]:
        """Return status and body of the first answer: on a busy machine one may take longer than `get` waits."""
        answers: list[tuple[int, Any]] = []

        async def is_answered() -> bool:
            answers.append(await self.get(path))
            return answers[-1][0] != 0

        await until(is_answered, seconds, f"an answer to {path}")
        return answers[-1]

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
        stored = {identity for identity, _, _ in rows} | self.database.removed
        times = Counter((device, at) for _, device, at in rows)
        missing = {number for number in acknowledged if id_of(number) not in stored}
        acks = self.mqtt_link.record
        with pymongo.timeout(ALL_READINGS_SECONDS):
            for at in range(0, len(acks.payloads), 10_000):
                acks.before_store += await self.database.missing(acks.payloads[at : at + 10_000])
        delivered = {number for payload in acks.delivered if (number := number_of(payload)) is not None}
        received = self.listener.received
        received.before_stored += sum(ObjectId(identity) not in stored for identity in received.ids)
        return Verdict(
            acknowledged=len(acknowledged),
            stored=len(rows),
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


class MongoStage(Stage):
    """With MongoDB, behind a proxy."""

    database: MongoDatabase

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None, database: Path | None = None) -> None:
        """`database` is the folder of mongod if it is not in `folder`."""
        super().__init__(folder, environment)
        self.mongod = Mongod(database or folder / "mongo")
        self.mongo_link = FaultyProxy(self.mongod.port)

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[str]:
        self.mongod.start()
        try:
            self.database = MongoDatabase(self.mongod.url)
            async with self.mongo_link.serving():
                yield f"mongodb://127.0.0.1:{self.mongo_link.port}/sensors?directConnection=true"
            await self.database.close()
        finally:
            self.mongod.kill()


class SqliteStage(Stage):
    """With a SQLite file in a folder of its own, and readings that come by HTTP too."""

    database: SqliteDatabase
    poster: Poster
    _before_exec = staticmethod(obey_modes)

    @property
    def path(self) -> Path:
        return self.folder / "data" / "bridge.db"

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[str]:
        self.database = SqliteDatabase(self.path)
        self.poster = Poster(self.port)
        yield f"sqlite:///{self.path}"

    @property
    def acknowledgements(self) -> int:
        """The PUBACKs of the bridge and the readings that it answered with 201."""
        return self.mqtt_link.record.acknowledged + len(self.poster.acknowledged)


class Poster:
    """Posts readings and posts unanswered ones again. `acknowledged` are those answered with 201."""

    FIRST = 500_000_000
    """Their numbers, far from those of the publishers."""
    READINGS, SECONDS = 5, 0.05

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/readings"
        self._next = self.FIRST
        self.acknowledged: set[int] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running_task(self._run(), "load"):
            yield

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
            while True:
                numbers = range(self._next, self._next + self.READINGS)
                if await self._post(session, numbers):
                    self.acknowledged.update(numbers)
                    self._next += self.READINGS
                await asyncio.sleep(self.SECONDS)

    async def _post(self, session: aiohttp.ClientSession, numbers: Iterable[int]) -> bool:
        readings = [{"deviceId": device, **orjson.loads(payload)} for device, payload in map(body_of, numbers)]
        try:
            async with session.post(self._url, json=readings) as response:
                return response.status == HTTPStatus.CREATED
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
