"""Socket.IO clients on bare WebSockets that count readings without parsing them."""

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
from bridge.settings.section import in_url
from bridge.tools.bench.address import Address
from bridge.tools.bench.latencies import Latencies

MARK = b'["sensorData",'
PING, PONG = b"\x81\x012", b"\x81\x81\0\0\0\x003"  # Engine.IO ping, and pong masked with zeros

HEAD = 64
PING_FREE = 0.8  # share of the ping interval without a search for pings, which runs at 1 GB/s; counting runs at 2.2 GB/s
_SMALL_BYTES = 64
CONNECT_SECONDS = 30.0

_STATUS = re.compile(rb"HTTP/1\.1 (.*?)\r\n(?s:.*?)\r\n\r\n")
_OPEN = re.compile(rb"0(\{.*?\})")
_JOINED = re.compile(rb"4([04]\{.*?\})")
PROBED = re.compile(b"(3probe)")


class ReceiveBuffer:
    """A receive buffer shared by all subscribers of a loop: each read is counted before the next one begins."""

    def __init__(self, size_bytes: int = 256 * 1024) -> None:
        """The space before each read is for the unfinished end of the same client's previous read."""
        self.buffer = bytearray(HEAD + size_bytes)
        self.view = memoryview(self.buffer)[HEAD:]


@dataclass(frozen=True, slots=True)
class _PendingResponse:
    pattern: re.Pattern[bytes]
    prefix: bytes
    result: asyncio.Future[bytes]


@dataclass(frozen=True, slots=True)
class Stream:
    """The publish time of each expected reading, in order, and the latencies measured against them."""

    sent: list[float]
    latencies: Latencies


class Subscriber(asyncio.BufferedProtocol):
    """A client. `count` is the number of readings received."""

    PATH = "/socket.io/?EIO=4&transport=websocket"
    MARK, PING, PONG = MARK, PING, PONG
    """Text that occurs once in each reading; the ping and the pong."""
    SELECTS_DEVICES = True
    """Whether a client can subscribe to single devices."""

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        self._receive_buffer = receive_buffer
        self._address = address
        self._transport: asyncio.Transport
        self._tail = b""
        self._responses: bytearray | None = bytearray()
        """Text to search for a response; None: no response is expected."""
        self._pending: _PendingResponse | None = None
        self._ping_after = 0.0
        self._ping_interval = 25.0
        self._requests = 0
        self._resuming = False
        self._descriptor = -1
        self._stream: Stream | None = None
        self._base = 0
        self._goal = 0
        self._on_complete: Callable[[float], None] = lambda _: None
        self.count = 0
        self.received_bytes = 0
        self.disconnected = False

    @classmethod
    async def connect(cls, receive_buffer: ReceiveBuffer, address: Address, receive_bytes: int | None = None) -> Self:
        """Connect, upgrade and join; `receive_bytes` sets the kernel's buffer. Raises `BridgeError`."""
        loop = asyncio.get_running_loop()
        self = cls(receive_buffer, address)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: self, address.host, address.port, ssl=address.tls)
                if receive_bytes is not None:
                    self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                await self._join()
        except (OSError, TimeoutError) as error:
            self.close()
            raise BridgeError(f"a client could not connect to {address}: {_reason(error)}") from None
        return self

    async def _join(self) -> None:
        await self._upgrade()
        self._ping_interval = orjson.loads(await self._wait_for(_OPEN))["pingInterval"] / 1000
        self.send_text(b"40")
        response = await self._wait_for(_JOINED)
        if not response.startswith(b"0"):
            raise BridgeError(f"{self._address} refuses a client: {response[1:].decode()}")
        self._responses = None

    async def _upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        headers = "".join(f"{name}: {text}\r\n" for name, text in self._address.headers.items())
        self._write(
            f"GET {self.PATH} HTTP/1.1\r\nHost: {in_url(self._address.host)}:{self._address.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{headers}\r\n".encode()
        )
        status = await self._wait_for(_STATUS)
        if not status.startswith(b"101"):
            raise BridgeError(f"no WebSocket at {self._address}{self.PATH}: the response is {status.decode('latin-1')}")

    async def subscribe(self, devices: Sequence[str] | None, since: int | None = None, limit: int = 1000) -> dict[str, Any]:
        """Return the acknowledgement. Without `since`, the readings before it do not count. Raises `BridgeError`."""
        self._resuming = since is not None
        return await self._request(b"subscribe", {"devices": devices, "since": since, "limit": limit})

    async def unsubscribe(self, devices: Sequence[str]) -> dict[str, Any]:
        """Return the acknowledgement. Raises `BridgeError`."""
        self._resuming = True
        return await self._request(b"unsubscribe", {"devices": devices})

    async def _request(self, event: bytes, body: dict[str, Any]) -> dict[str, Any]:
        self._requests += 1
        self._responses = bytearray()
        self.send_text(b'42%d["%b",%b]' % (self._requests, event, orjson.dumps(body)))
        pattern = re.compile(rb"43%d\[(\{.*?\})\]" % self._requests)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                ack: dict[str, Any] = orjson.loads(await self._wait_for(pattern, b"43%d[" % self._requests))
        except (OSError, TimeoutError) as error:
            raise BridgeError(f"{self._address} does not acknowledge `{event.decode()}`: {_reason(error)}") from None
        if not ack.get("ok"):
            raise BridgeError(f"{self._address} refuses `{event.decode()}`: {ack.get('error')}")
        return ack

    def send_text(self, text: bytes) -> None:
        size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        self._write(b"\x81" + size + b"\0\0\0\0" + text)

    def _write(self, piece: bytes) -> None:
        """Raises `ConnectionResetError` if the connection is closed."""
        if self.disconnected or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._transport.write(piece)

    def expect(self, readings: int, stream: Stream | None, on_complete: Callable[[float], None]) -> None:
        """Expect this many more readings; `on_complete` receives the time at which the last of them arrived."""
        self._base, self._goal = self.count, self.count + readings
        self._stream, self._on_complete = stream, on_complete

    @property
    def expected(self) -> int:
        return self._goal - self._base

    @property
    def missing(self) -> int:
        """Expected readings that have not arrived; negative if more arrived."""
        return self._goal - self.count

    def close(self) -> None:
        if hasattr(self, "_transport"):
            self._transport.abort()

    # --- polling -----------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read only in `poll` from now on: one large read is far cheaper than many small ones."""
        self._transport.pause_reading()
        self._descriptor = self._transport.get_extra_info("socket").fileno()

    def poll(self, most_bytes: int | None = None) -> None:
        """Read what has arrived, at most `most_bytes`."""
        if self.disconnected:
            return
        try:
            count = os.readv(self._descriptor, [self._receive_buffer.view[:most_bytes]])
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count:
            self.buffer_updated(count)
        else:
            self.disconnected = True

    # --- asyncio.BufferedProtocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _: int) -> memoryview:
        return self._receive_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """Count readings, answer a ping and match a pending response. Hot path: the data is not copied."""
        now = perf_counter()
        buffer, end, tail = self._receive_buffer.buffer, HEAD + nbytes, self._tail
        start = HEAD - len(tail)
        if tail:
            buffer[start:HEAD] = tail
        self.received_bytes += nbytes
        readings = self._count_readings(buffer, start, end)
        if readings:
            self._add_readings(readings, now)
        if (now > self._ping_after or nbytes < _SMALL_BYTES) and buffer.find(self.PING, max(start, HEAD - 2), end) >= 0:
            self._ping_after = now + self._ping_interval * PING_FREE
            self._transport.write(self.PONG)
        if self._responses is not None:  # checked here to avoid the copy
            self._match_response(bytes(buffer[HEAD:end]))

    def _count_readings(self, buffer: bytearray, start: int, end: int) -> int:
        """Count the readings that start here; keep what may be the start of a mark for the next read."""
        self._tail = bytes(buffer[max(start, end - len(self.MARK) + 1) : end])
        return buffer.count(self.MARK, start, end)

    def _add_readings(self, readings: int, now: float) -> None:
        before = self.count - self._base
        self.count += readings
        if self._stream is not None:
            sent, add = self._stream.sent, self._stream.latencies.add
            for moment in sent[before : before + readings]:
                add(now - moment)
        if self.count >= self._goal:
            self._on_complete(now)
            self._on_complete = _ignore

    def connection_lost(self, _: Exception | None) -> None:
        self.disconnected = True
        if self._pending is not None and not self._pending.result.done():
            self._pending.result.set_exception(ConnectionResetError("the connection was closed"))

    # --- responses ---------------------------------------------------------------------------------------------------

    async def _wait_for(self, pattern: re.Pattern[bytes], prefix: bytes = b"") -> bytes:
        """Wait for a match and return its group. Text before `prefix` is discarded meanwhile."""
        if self.disconnected:
            raise ConnectionResetError("the connection was closed")
        self._pending = _PendingResponse(pattern, prefix, asyncio.get_running_loop().create_future())
        self._match_response(b"")
        try:
            return await self._pending.result
        finally:
            self._pending = None

    def _match_response(self, more: bytes) -> None:
        pending = self._pending
        if self._responses is None:
            return
        self._responses += more
        if pending is None or pending.result.done():
            return
        match = pending.pattern.search(self._responses)
        if match is None:
            if pending.prefix not in self._responses:
                del self._responses[: -len(pending.prefix)]
            return
        pending.result.set_result(bytes(match[1]))
        rest = bytes(self._responses[match.end() :])
        self._responses = None if self._requests else bytearray(rest)
        if self._requests:
            self._on_response(rest)

    def _on_response(self, rest: bytes) -> None:
        """An acknowledgement arrived, followed by `rest`."""
        self.count = rest.count(MARK)


def _ignore(_: float) -> None:
    pass


def _reason(error: Exception) -> str:
    return str(error) or f"no answer within {CONNECT_SECONDS:g} s"
