"""Socket.IO clients on bare sockets, over WebSocket: they count readings without parsing them."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, cast

import orjson

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.report.latencies import Latencies

MARK = b'["sensorData",'
PING, PONG = b"\x81\x012", b"\x81\x81\0\0\0\x003"  # Engine.IO ping, and pong masked with zeros

HEAD = 64
_PINGLESS = 0.8  # of the interval in which no ping comes, so that looking for one costs nothing: 1 GB/s, counting 2.2 GB/s
_SMALL_BYTES = 64
CONNECT_SECONDS = 30.0

_STATUS = re.compile(rb"HTTP/1\.1 (.*?)\r\n(?s:.*?)\r\n\r\n")
_OPEN = re.compile(rb"0(\{.*?\})")
_JOINED = re.compile(rb"4([04]\{.*?\})")
PROBED = re.compile(b"(3probe)")


class ReceiveBuffer:
    """One receive buffer for all subscribers of a loop: what one read brings is counted before the next read begins."""

    def __init__(self, size_bytes: int = 256 * 1024) -> None:
        """In front of each read there is room for what the same client's read before left unfinished."""
        self.buffer = bytearray(HEAD + size_bytes)
        self.view = memoryview(self.buffer)[HEAD:]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An answer that is waited for."""

    pattern: re.Pattern[bytes]
    start: bytes
    answer: asyncio.Future[bytes]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a client waits for: when each reading was published, in the order in which it must come, and how long it took."""

    sent: list[float]
    latencies: Latencies


class Subscriber(asyncio.BufferedProtocol):
    """One client. `count` is of readings, `received_bytes` of all it read."""

    PATH = "/socket.io/?EIO=4&transport=websocket"
    MARK, PING, PONG = MARK, PING, PONG
    """What each reading has in it once; the ping, and what answers it."""
    CHOOSES = True
    """Whether it can ask for some devices only."""

    def __init__(self, arena: ReceiveBuffer, address: Address) -> None:
        """Not connected yet."""
        self._arena = arena
        self._address = address
        self._transport: asyncio.Transport
        self._tail = b""
        self._talk: bytearray | None = bytearray()
        self._wanted: _Wanted | None = None
        self._ping_after = 0.0
        self._ping_interval = 25.0
        self._asked = 0
        self._resuming = False
        self._descriptor = -1
        self._stream: Stream | None = None
        self._base = 0
        self._goal = 0
        self._reached: Callable[[float], None] = lambda _: None
        self.count = 0
        self.received_bytes = 0
        self.lost = False

    @classmethod
    async def connect(cls, arena: ReceiveBuffer, address: Address, receive_bytes: int | None = None) -> Self:
        """Connected, upgraded and joined; `receive_bytes` is the kernel's buffer. Raises `BridgeError`."""
        loop = asyncio.get_running_loop()
        self = cls(arena, address)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: self, address.host, address.port, ssl=address.tls)
                if receive_bytes is not None:
                    plug = self._transport.get_extra_info("socket")
                    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                await self._join()
        except (OSError, TimeoutError) as error:
            self.close()
            raise BridgeError(
                f"a client could not connect to {address}: {str(error) or f'no answer in {CONNECT_SECONDS:g} s'}"
            ) from None
        return self

    async def _join(self) -> None:
        await self._upgrade()
        self._ping_interval = orjson.loads(await self._heard(_OPEN))["pingInterval"] / 1000
        self.say(b"40")
        joined = await self._heard(_JOINED)
        if not joined.startswith(b"0"):
            raise BridgeError(f"{self._address} refuses a client: {joined[1:].decode()}")
        self._talk = None

    async def _upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        shown = "".join(f"{name}: {text}\r\n" for name, text in self._address.headers.items())
        self._write(
            f"GET {self.PATH} HTTP/1.1\r\nHost: {self._address.host}:{self._address.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{shown}\r\n".encode()
        )
        status = await self._heard(_STATUS)
        if not status.startswith(b"101"):
            raise BridgeError(f"no WebSocket at {self._address}{self.PATH}: it answers {status.decode('latin-1')}")

    async def subscribe(self, devices: Sequence[str] | None, since: int | None = None, limit: int = 1000) -> dict[str, Any]:
        """The acknowledgement. Unless `since` is given, what came before it, of others, is forgotten. Raises `BridgeError`."""
        self._resuming = since is not None
        return await self._ask(b"subscribe", {"devices": devices, "since": since, "limit": limit})

    async def unsubscribe(self, devices: Sequence[str]) -> dict[str, Any]:
        """The acknowledgement. Raises `BridgeError`."""
        self._resuming = True
        return await self._ask(b"unsubscribe", {"devices": devices})

    async def _ask(self, event: bytes, body: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._talk = bytearray()
        self.say(b'42%d["%b",%b]' % (self._asked, event, orjson.dumps(body)))
        pattern = re.compile(rb"43%d\[(\{.*?\})\]" % self._asked)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                answer: dict[str, Any] = orjson.loads(await self._heard(pattern, b"43%d[" % self._asked))
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no answer in {CONNECT_SECONDS:g} s"
            raise BridgeError(f"{self._address} does not answer `{event.decode()}`: {reason}") from None
        if not answer.get("ok"):
            raise BridgeError(f"{self._address} refuses `{event.decode()}`: {answer.get('error')}")
        return answer

    def say(self, text: bytes) -> None:
        """One WebSocket frame, masked with zeros."""
        size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        self._write(b"\x81" + size + b"\0\0\0\0" + text)

    def _write(self, piece: bytes) -> None:
        """Raises `ConnectionResetError` when the connection is gone."""
        if self.lost or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._transport.write(piece)

    def expect(self, readings: int, stream: Stream | None, reached: Callable[[float], None]) -> None:
        """So many more, from now on; `reached` is told when the last of them came."""
        self._base, self._goal = self.count, self.count + readings
        self._stream, self._reached = stream, reached

    @property
    def expected(self) -> int:
        """Readings it was told to expect."""
        return self._goal - self._base

    @property
    def missing(self) -> int:
        """Of these, what has not come; below 0 when more came."""
        return self._goal - self.count

    def close(self) -> None:
        """At once."""
        if hasattr(self, "_transport"):
            self._transport.abort()

    # --- now and then ------------------------------------------------------------------------------------------------

    def read_rarely(self) -> None:
        """From now on only when `look` is called: reading all that waits at once is far cheaper than each piece as it comes."""
        self._transport.pause_reading()
        self._descriptor = self._transport.get_extra_info("socket").fileno()

    def look(self) -> None:
        """Read what waits."""
        if self.lost:
            return
        try:
            count = os.readv(self._descriptor, [self._arena.view])
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count:
            self.buffer_updated(count)
        else:
            self.lost = True

    # --- what the loop calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _: int) -> memoryview:
        """The shared one."""
        return self._arena.view

    def buffer_updated(self, nbytes: int) -> None:
        """Count, answer a ping, and look for an answer if one is waited for. The hot path: no copy of what was read."""
        now = perf_counter()
        buffer, end, tail = self._arena.buffer, HEAD + nbytes, self._tail
        start = HEAD - len(tail)
        if tail:
            buffer[start:HEAD] = tail
        self.received_bytes += nbytes
        found = self._find(buffer, start, end)
        if found:
            self._arrived(found, now)
        if (now > self._ping_after or nbytes < _SMALL_BYTES) and buffer.find(self.PING, max(start, HEAD - 2), end) >= 0:
            self._ping_after = now + self._ping_interval * _PINGLESS
            self._transport.write(self.PONG)
        if self._talk is not None:  # asked here so that nothing is copied for nobody
            self._hear(bytes(buffer[HEAD:end]))

    def _find(self, buffer: bytearray, start: int, end: int) -> int:
        """Readings that begin here; what may be the first part of a mark is kept for the next time."""
        self._tail = bytes(buffer[max(start, end - len(self.MARK) + 1) : end])
        return buffer.count(self.MARK, start, end)

    def _arrived(self, found: int, now: float) -> None:
        before = self.count - self._base
        self.count += found
        if self._stream is not None:
            sent, add = self._stream.sent, self._stream.latencies.add
            for moment in sent[before : before + found]:
                add(now - moment)
        if self.count >= self._goal:
            self._reached(now)
            self._reached = _nobody

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waits learns of it."""
        self.lost = True
        if self._wanted is not None and not self._wanted.answer.done():
            self._wanted.answer.set_exception(ConnectionResetError("the connection was closed"))

    # --- answers -----------------------------------------------------------------------------------------------------

    async def _heard(self, pattern: re.Pattern[bytes], start: bytes = b"") -> bytes:
        """What the pattern's group matches, when it comes. What does not hold `start` is not kept meanwhile."""
        if self.lost:
            raise ConnectionResetError("the connection was closed")
        self._wanted = _Wanted(pattern, start, asyncio.get_running_loop().create_future())
        self._hear(b"")
        try:
            return await self._wanted.answer
        finally:
            self._wanted = None

    def _hear(self, more: bytes) -> None:
        wanted = self._wanted
        if self._talk is None:
            return
        self._talk += more
        if wanted is None or wanted.answer.done():
            return
        match = wanted.pattern.search(self._talk)
        if match is None:
            if wanted.start not in self._talk:
                del self._talk[: -len(wanted.start)]
            return
        wanted.answer.set_result(bytes(match[1]))
        rest = bytes(self._talk[match.end() :])
        self._talk = None if self._asked else bytearray(rest)
        if self._asked:
            self._answered(rest)

    def _answered(self, rest: bytes) -> None:
        """An acknowledgement came, and `rest` behind it."""
        self.count = rest.count(MARK)


def _nobody(_: float) -> None:
    pass
