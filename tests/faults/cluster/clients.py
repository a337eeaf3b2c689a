"""Clients that move from bridge to bridge, resume with their last cursor, and keep the cursors of what they received."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

import aiohttp
import orjson

REPLAY_LIMIT = 100_000
_CONNECT_SECONDS, _POLL_SECONDS, _RETRY_SECONDS = 10.0, 35.0, 0.2
_SEPARATOR = "\x1e"
_VIOLATIONS = 3  # described for each client


class _Closed(Exception):
    """The bridge closed the connection."""


_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, _Closed)


@dataclass
class Received:
    """The cursors that a client received, in this order, on one connection or on all that continue each other."""

    devices: frozenset[str] | None
    """None for every device."""
    since: int = 0
    """The cursor that the client asked to begin after; 0 if it began with live records."""
    cursors: array[int] = field(default_factory=lambda: array("q"))
    gaps: int = 0


class Address:
    """The balancer and the bridges; a client goes through the balancer or, less often, directly."""

    def __init__(self, entrance: str, bridges: Sequence[str], direct_share: float = 0.3) -> None:
        self.entrance = entrance
        self._bridges = bridges
        self._direct_share = direct_share

    def choose(self, rng: random.Random) -> str:
        return rng.choice(self._bridges) if rng.random() < self._direct_share else self.entrance


class Client(ABC):
    """Connects, stays for some seconds, disconnects; until `settle`, when it stays until it was sent everything."""

    name: str
    resumes: bool

    def __init__(
        self, address: Address, number: int, devices: frozenset[str] | None, stay: tuple[float, float], since: int = 0
    ) -> None:
        """Stays between the two times of `stay`, in seconds. Begins after the cursor `since`, if it can resume."""
        self._address = address
        self._rng = random.Random(f"{self.name} {number}")
        self._devices = devices
        self._stay = stay
        self._settling = False
        self._url = ""
        self._connected_at, self._resumed_after = 0.0, since
        self._is_confirmed, self._length = True, 0
        self._target = 0
        self.last = since
        """The highest cursor that was received."""
        self.last_at = 0.0
        self.sequences: list[Received] = []
        self.connections = 0
        self.is_done = asyncio.Event()
        self.violations: list[str] = []
        """Records that came again or in the wrong order, while it resumed."""
        self.failure: BaseException | None = None
        """Why it was disconnected last."""

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._until = time.monotonic() + self._rng.uniform(*self._stay)
            if not self.resumes or not self.sequences:
                self.sequences.append(Received(self._devices, self.last if self.resumes else 0))
            try:
                async with asyncio.timeout(_CONNECT_SECONDS) as deadline, aiohttp.ClientSession(
                    cookie_jar=aiohttp.CookieJar(unsafe=True)
                ) as session:  # fmt: skip
                    self._url = self._address.choose(self._rng)
                    await self._converse(session, self._url, lambda: self._connected(deadline))
            except _FAILURES as error:
                self.failure = error
                await asyncio.sleep(_RETRY_SECONDS * self._rng.uniform(0.5, 1.5))
            self._forget_unconfirmed()

    def _forget_unconfirmed(self) -> None:
        """Resume where this connection began, unless the bridge confirmed that it was sent everything after that.

        A bridge sends live records to a client that has not subscribed after `realtime.settle_seconds`, as when a request of it
        is delayed: these come before what the client lacks.
        """
        if self.resumes and not self._is_confirmed:
            del self.sequences[-1].cursors[self._length :]
            self.last = self._resumed_after

    def _connected(self, deadline: asyncio.Timeout) -> None:
        deadline.reschedule(None)
        self.connections += 1
        self._is_confirmed, self._length = False, len(self.sequences[-1].cursors)
        self._connected_at, self._resumed_after = time.monotonic(), self.last

    @abstractmethod
    async def _converse(self, session: aiohttp.ClientSession, url: str, connected: Callable[[], None]) -> None:
        """Connect, call `connected`, and receive while `_stays`."""

    @property
    def _stays(self) -> bool:
        return self._settling or time.monotonic() < self._until

    def settle(self, target: int) -> None:
        """Stay connected from now on; `is_done` is set once `target` was received."""
        self._settling, self._target = True, target
        if self.last >= target:
            self.is_done.set()

    def has(self, targets: Mapping[str, int], last: int) -> bool:
        """Whether it was sent the last record of all, or those of its devices, which `targets` has by device.

        One that was sent nothing yet begins with live records, and lacks nothing.
        """
        if not self.last and self.resumes:
            return True
        return self.last >= (last if self._devices is None else max(targets.get(device, 0) for device in self._devices))

    def _take(self, cursor: int) -> None:
        self.sequences[-1].cursors.append(cursor)
        self.last_at = time.monotonic()
        if cursor <= self.last and self.resumes and len(self.violations) < _VIOLATIONS:
            self.violations.append(
                f"{self.name}: {cursor} after {self.last} from {self._url}, {self.last_at - self._connected_at:.2f} s after "
                f"connection {self.connections}, which resumed after {self._resumed_after}"
            )
        if cursor > self.last:
            self.last = cursor
            if self._settling and cursor >= self._target:
                self.is_done.set()

    async def _texts(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str]:
        while self._stays:
            try:
                message = await socket.receive(timeout=0.3)
            except TimeoutError:
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise _Closed
            yield message.data


class SocketIo(Client):
    resumes = True

    def _subscribe(self) -> str:
        request: dict[str, object] = {"limit": REPLAY_LIMIT}
        if self._devices is not None:
            request["devices"] = sorted(self._devices)
        if self.last:
            request["since"] = self.last
        return "421" + orjson.dumps(["subscribe", request]).decode()

    def _on_packet(self, packet: str) -> str | None:
        """Return the answer to a packet."""
        if packet == "2":
            return "3"
        if packet.startswith("40"):
            return self._subscribe()
        if packet.startswith("431"):
            answer = orjson.loads(packet[3:])[0]
            if not answer["ok"]:  # a bridge that begins, and does not know the log yet
                raise _Closed(answer["error"])
            self._is_confirmed = True
        if packet.startswith('42["sensorData"'):
            body = orjson.loads(packet[2:])[1]
            if self._devices is None or body["data"]["deviceId"] in self._devices:  # before it subscribes it is sent all
                self._take(body["cursor"])
        elif packet.startswith('42["gap"'):
            self.sequences[-1].gaps += 1
        return None


class SocketIoWebSocket(SocketIo):
    name = "Socket.IO, WebSocket"

    async def _converse(self, session: aiohttp.ClientSession, url: str, connected: Callable[[], None]) -> None:
        async with session.ws_connect(
            f"{url}/socket.io/?EIO=4&transport=websocket", max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=1)
        ) as socket:
            await socket.send_str("40")
            connected()
            async for text in self._texts(socket):
                if answer := self._on_packet(text):
                    await socket.send_str(answer)


class SocketIoPolling(SocketIo):
    """Numbers its polls, as official clients do; aiohttp repeats one whose connection ends without a response."""

    name = "Socket.IO, long-polling"

    async def _converse(self, session: aiohttp.ClientSession, url: str, connected: Callable[[], None]) -> None:
        base, numbers = f"{url}/socket.io/?EIO=4&transport=polling", count()
        opened = orjson.loads((await self._get(session, base))[1:])
        base += f"&sid={opened['sid']}"
        await self._post(session, base, "40")
        connected()
        while self._stays:
            for packet in (await self._poll(session, f"{base}&t={next(numbers)}")).split(_SEPARATOR):
                if packet == "1":
                    raise _Closed
                if answer := self._on_packet(packet):
                    await self._post(session, base, answer)
        await self._post(session, base, "1")

    async def _poll(self, session: aiohttp.ClientSession, url: str) -> str:
        """Wait for packets; leave in the middle of a poll when the time of the stay is over."""
        seconds = _POLL_SECONDS if self._settling else max(self._until - time.monotonic(), 0.1)
        async with asyncio.timeout(min(seconds, _POLL_SECONDS)):
            return await self._get(session, url)

    async def _get(self, session: aiohttp.ClientSession, url: str) -> str:
        async with session.get(url) as response:
            if response.status != HTTPStatus.OK:
                raise _Closed(f"{response.status}: {await response.text()}")
            return await response.text()

    async def _post(self, session: aiohttp.ClientSession, url: str, packet: str) -> None:
        async with asyncio.timeout(_CONNECT_SECONDS), session.post(url, data=packet) as response:
            if response.status != HTTPStatus.OK:
                raise _Closed(f"{response.status}: {await response.text()}")


class Plain(Client):
    """Cannot resume: each connection is a sequence of its own."""

    resumes = False
    path: str

    async def _converse(self, session: aiohttp.ClientSession, url: str, connected: Callable[[], None]) -> None:
        async with session.ws_connect(
            url + self.path, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=1)
        ) as socket:  # fmt: skip
            connected()
            async for text in self._texts(socket):
                message = orjson.loads(text)
                cursor = self._cursor_of(message)
                if cursor is not None:
                    self._take(cursor)
                elif message["type"] == "gap":
                    self.sequences[-1].gaps += 1

    @abstractmethod
    def _cursor_of(self, message: dict[str, object]) -> int | None: ...


class Topics(Plain):
    name, path = "/ws", "/ws"

    def _cursor_of(self, message: dict[str, object]) -> int | None:
        return int(str(message["cursor"])) if message["type"] == "measurement" else None


class Channel(Plain):
    name, path = "/api/v1/ws", "/api/v1/ws?channel=readings"

    def _cursor_of(self, message: dict[str, object]) -> int | None:
        if message.get("entity_type") != "reading" or message.get("event_type") != "created":
            return None
        data = message["data"]
        assert isinstance(data, dict)
        return int(data["seq"])


class Sentinel(SocketIoWebSocket):
    """Stays at one bridge, and measures the longest time without a record."""

    name = "sentinel"

    def __init__(self, url: str, number: int) -> None:
        super().__init__(Address(url, [url], 0.0), number, None, (1e9, 1e9))
        self._longest = 0.0

    def begin_measurement(self) -> None:
        self._longest = 0.0

    def pause(self) -> float:
        """Return the longest time without a record since the beginning of the measurement, in seconds."""
        return max(self._longest, time.monotonic() - self.last_at if self.last_at else 0.0)

    def _take(self, cursor: int) -> None:
        if self.last_at:
            self._longest = max(self._longest, time.monotonic() - self.last_at)
        super()._take(cursor)


@asynccontextmanager
async def running(clients: Sequence[Client]) -> AsyncIterator[None]:
    """Run clients within the context."""
    tasks = [asyncio.create_task(client.run(), name=f"client {client.name}") for client in clients]
    try:
        yield
        for task in tasks:  # a defect in a client must not look like a client that was sent nothing
            if task.done() and (error := task.exception()):
                raise error
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
