"""An hour of one fault a minute under a steady load, for the memory of a bridge that is never restarted."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
from pymongo.errors import PyMongoError

from bridge.sources.mqtt.client import mqtt_sender
from tests.faults.proxy import Fault, FaultyProxy
from tests.faults.readings import START_MS
from tests.faults.scenarios import Progress, Report, finish, wait_for_readings, wait_for_silence
from tests.faults.stage import MongoStage
from tests.hostile import hostile
from tests.senders import patient
from tests.servers import until

SAVE_SECONDS = 7.0
"""The broker saves its sessions every 5 s."""
FROZEN_SECONDS = 10.0
LONG_FROZEN_SECONDS = 25.0
"""In the first half: Python takes memory by the MB and rarely gives it back, so the fullest buffers should be in that half."""
LINK_SECONDS = 8.0
DEVICES_LIMIT = 300
"""So that the registry is full after the first new names: from then on its memory must not grow."""
NEW_NAMES = 2600
"""New devices at once, with four topics and four fields each: more than the 10,000 that are cached. So what is limited is full
in the first half of an hour."""
NEW_ADDRESSES = 5000
"""More than the 4,096 that are cached."""
NEW_CLIENTS = 100
AT_ONCE = 8
FIRST_HALF_CLIENTS = 3
"""So many times more in the first half, for the same reason as `LONG_FROZEN_SECONDS`: a long-polling session takes 20 KB
until its ping timeout."""
GROWTH_LIMIT = 1.0
"""MB/h."""


class Soak:
    """The faults of a soak, by name."""

    def __init__(self, stage: MongoStage, clock: Path, rate: int, seconds: float) -> None:
        """Each fault lasts at most about `seconds`."""
        self._stage = stage
        self._clock = clock
        self._rate = rate
        self._seconds = seconds
        self.is_first_half = True
        self._random = random.Random(3)
        self._bad = itertools.count()
        self._new = itertools.count()
        self._dropped = itertools.cycle(("rollups", "devices", "rolled", "audit", "commands"))
        self._to_open: Iterator[FaultyProxy] = itertools.cycle((stage.mqtt_link, stage.mongo_link))
        self.faults: dict[str, Callable[[], Awaitable[None]]] = {
            "mongod killed": self._mongod_killed,
            "mongod stopped": self._mongod_stopped,
            "latency": lambda: self._links(Fault.LATENCY),
            "new names by MQTT": self._new_names_by_mqtt,
            "one-byte slices": lambda: self._links(Fault.SLICES),
            "broker killed": self._broker_killed,
            "short-lived clients": self._short_lived_clients,
            "black hole": lambda: self._links(Fault.BLACK_HOLE),
            "collection dropped": self._collection_dropped,
            "reset": lambda: self._links(Fault.RESET),
            "new names by HTTP": self._new_names_by_http,
            "half-open": self._half_open,
            "hostile": self._hostile,
            "refuse": lambda: self._links(Fault.REFUSE),
            "clock": self._clock_jumps,
        }

    async def _mongod_killed(self) -> None:
        self._stage.mongod.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(self._stage.mongod.start)

    async def _mongod_stopped(self) -> None:
        self._stage.mongod.freeze()
        try:
            await asyncio.sleep(min(LONG_FROZEN_SECONDS if self.is_first_half else FROZEN_SECONDS, self._seconds))
        finally:
            self._stage.mongod.thaw()

    async def _broker_killed(self) -> None:
        """Without load until the broker has saved what it acknowledged; what is published while it is down is sent later."""
        async with self._stage.load_paused():
            await asyncio.sleep(SAVE_SECONDS)
            self._stage.broker.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(self._stage.broker.start)

    async def _links(self, fault: Fault) -> None:
        """On the MQTT link, then on the MongoDB link."""
        for link in (self._stage.mqtt_link, self._stage.mongo_link):
            link.set(fault)
            try:
                await asyncio.sleep(min(LINK_SECONDS, self._seconds / 3))
            finally:
                link.set(Fault.NONE)
            await wait_for_readings(self._stage, 60)

    async def _half_open(self) -> None:
        """On the two links in turn: the bridge finds it after up to 45 s."""
        next(self._to_open).set(Fault.HALF_OPEN)
        await wait_for_silence(self._stage)

    async def _collection_dropped(self) -> None:
        """One without readings: a retention run creates its indexes again."""
        with suppress(PyMongoError):
            await self._stage.database.drop(next(self._dropped))

    async def _clock_jumps(self) -> None:
        for offset in (3600, 0, -3600, 0):
            self._clock.write_text(str(offset))
            await asyncio.sleep(self._seconds / 8)

    async def _hostile(self) -> None:
        """One message in five for half the time."""
        end = time.monotonic() + self._seconds / 2
        while time.monotonic() < end:
            bad = next(self._bad)
            self._stage.publishers[bad % 5].publish(-1 - bad, b"sensors/d00/data", hostile(bad, self._random))
            await asyncio.sleep(4 / self._rate)

    async def _short_lived_clients(self) -> None:
        """Connections from many addresses that vanish at once, after a request, or inside a handshake."""
        starts = (
            b"", b"GET", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00",
            b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
            *(
                b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path
                for path in (b"/ws", b"/api/v1/ws", b"/ws/device", b"/socket.io/?EIO=4&transport=websocket")
            ),
        )  # fmt: skip
        more = FIRST_HALF_CLIENTS if self.is_first_half else 1
        end, numbers = time.monotonic() + self._seconds / 2, iter(range(more * NEW_ADDRESSES))

        async def connect() -> None:
            for number in numbers:
                if time.monotonic() < end:
                    await self._short_lived_client(number, starts[number % len(starts)])

        await asyncio.gather(*(connect() for _ in range(more * AT_ONCE)))

    async def _short_lived_client(self, number: int, start: bytes) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self._stage.port, local_addr=(self._address(), 0))
            writer.write(start)
            if number % 3:
                await asyncio.sleep(0.02)
            if number % 2:
                writer.transport.abort()
            else:
                writer.close()

    def _address(self) -> str:
        """Return an address of this machine that is probably new."""
        return "127.{}.{}.{}".format(*(self._random.randint(1, 254) for _ in range(3)))

    async def _new_names_by_mqtt(self) -> None:
        """New devices and topics, with QoS 0, so that the verdict leaves them out."""
        names = round(min(NEW_NAMES, NEW_NAMES * self._seconds / 60))
        async with mqtt_sender(patient(self._stage.broker.url)) as sender:
            for _ in range(names):
                name = secrets.token_hex(8)
                fields = "".join(f'"{name}{n}": 1, ' for n in range(4)).encode()
                for topic, payload in (
                    (f"sensors/{name}/data", self._reading(fields)),
                    (f"sensors/{name}/status", b"online"),
                    (f"sensors/{name}/command/ack", b'{"commandId": "%s"}' % name.encode()),
                    (f"events/{name}", b'{"value": 1}'),
                    (f"sensors/{name}/other/data", b"{}"),
                ):
                    await sender.publish(topic, payload, qos=0)
                await asyncio.sleep(self._seconds / 2 / NEW_NAMES)

    def _reading(self, fields: bytes = b"") -> bytes:
        return b'{%b"temperature": 1, "timestamp": %d}' % (fields, START_MS - 1 - next(self._new))

    async def _new_names_by_http(self) -> None:
        """New devices, users, tokens, idempotency keys, queries and origins, each from a new address."""
        for _ in range(NEW_CLIENTS):
            session = aiohttp.ClientSession(
                f"http://127.0.0.1:{self._stage.port}",
                connector=aiohttp.TCPConnector(local_addr=(self._address(), 0)),
                timeout=aiohttp.ClientTimeout(total=5),
            )
            async with session:
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._new_names_of_client(session, secrets.token_hex(8))
            await asyncio.sleep(self._seconds / 4 / NEW_CLIENTS)

    async def _new_names_of_client(self, session: aiohttp.ClientSession, name: str) -> None:
        reading = b'{"deviceId": "%s", %s' % (name.encode(), self._reading()[1:])
        json = {"Content-Type": "application/json"}
        for method, path, headers, body in (
            ("POST", "/api/v1/readings", json | {"Idempotency-Key": name}, reading),
            ("POST", "/api/v1/auth/login", json, b'{"username": "%s", "password": "not a password"}' % name.encode()),
            ("GET", f"/api/v1/devices/{name}", {"Authorization": f"Bearer {name}", "Origin": f"https://{name}.example"}, None),
            ("GET", f"/api/v1/readings?device={name}&limit=1", {"User-Agent": name}, None),
            ("GET", f"/{name}", {"Cookie": f"{name}={name}"}, None),
        ):
            async with session.request(method, path, headers=headers, data=body) as response:
                await response.read()
        for path in (f"/api/v1/ws?user_id={name}", "/ws/device"):
            async with session.ws_connect(path) as socket:
                await socket.send_json({"type": "auth", "name": name, "password": name})


async def soak(
    folder: Path,
    progress: Progress,
    *,
    faults: int = 60,
    seconds: float = 60,
    rate: int = 100,
    kinds: Sequence[str] = (),
    growth_limit: float | None = GROWTH_LIMIT,
) -> Report:
    """A fault every `seconds`, `faults` in total, of `kinds` or of all in turn.

    The bridge's memory must not grow by more than `growth_limit` MB/h in the second half; None only measures it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clock, counts = folder / "clock", folder / "objects"
    clock.write_text("0")
    environment = {
        "BRIDGE_CLOCK": str(clock), "BRIDGE_OBJECTS": str(counts), "BRIDGE_DEVICES__LIMIT": str(DEVICES_LIMIT),
    }  # fmt: skip
    memory: list[tuple[float, int]] = []
    not_resumed: list[str] = []
    async with MongoStage(folder, environment=environment).on() as stage, stage.load(rate), stage.watching_memory(memory):
        injected = Soak(stage, clock, rate, seconds)
        start = time.monotonic()
        for n, kind in zip(range(faults), itertools.cycle(kinds or injected.faults)):
            begin = time.monotonic()
            injected.is_first_half = n < faults / 2
            try:
                await injected.faults[kind]()
                await wait_for_readings(stage, 60)
                await until(stage.is_ready, 60, "the bridge is ready")
            except AssertionError as error:
                not_resumed.append(f"{kind}: {error}")
            assert stage.bridge.poll() is None, "the bridge exited"
            await asyncio.sleep(max(start + (n + 1) * seconds - time.monotonic(), 0))
            progress(_line(stage, n + 1, kind, memory, begin))
            if n % 5 == 4:
                stage.count_objects()
        report = await finish(
            stage, f"soak: {faults} faults, one every {seconds:g} s", f"{rate}/s, {stage.published:,} readings",
            {}, {}, settle_seconds=300,
        )  # fmt: skip
        report.measured = {
            "MB/h": growth(memory),
            "MB": memory[-1][1] / 2**20,
            "tracebacks": stage.log_text().count("Traceback"),
            "not resumed": len(not_resumed),
        }
        report.limits = {"tracebacks": 0, "not resumed": 0} | ({} if growth_limit is None else {"MB/h": growth_limit})
        if not_resumed:
            progress("; ".join(not_resumed))
        return report


def _line(stage: MongoStage, minute: int, kind: str, memory: Sequence[tuple[float, int]], begin: float) -> str:
    recent = [size for at, size in memory if at >= begin] or [0]
    return (
        f"{minute} {kind}: RSS {recent[-1] / 2**20:.1f} MB (at most {max(recent) / 2**20:.1f}), {growth(memory):+.1f} MB/h, "
        f"{stage.published:,} published, {stage.listener.received.total:,} received, "
        f"{stage.log_text().count('Traceback')} tracebacks"
    )


def growth(memory: Sequence[tuple[float, int]]) -> float:
    """Return the slope of the second half of samples of seconds and bytes, by least squares, in MB/h."""
    if not memory:
        return 0.0
    middle = (memory[0][0] + memory[-1][0]) / 2
    half = [(at, size) for at, size in memory if at >= middle]
    mean_at, mean_size = sum(at for at, _ in half) / len(half), sum(size for _, size in half) / len(half)
    spread = sum((at - mean_at) ** 2 for at, _ in half)
    return sum((at - mean_at) * (size - mean_size) for at, size in half) / spread * 3600 / 2**20 if spread else 0.0
