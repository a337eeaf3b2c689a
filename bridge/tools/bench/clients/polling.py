"""Socket.IO clients on long-polling that count readings without parsing them: a connection each, and one poll at a time."""

import asyncio
import re
from time import perf_counter

import orjson

from bridge.core.errors import BridgeError
from bridge.settings.section import in_url
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import HEAD, PING_FREE, ReceiveBuffer, Subscriber

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_SEPARATOR, _PING, _PONG = b"\x1e", b"2", b"3"


class PollingSubscriber(Subscriber):
    """Polls again as soon as a response is complete."""

    PATH = "/socket.io/?EIO=4&transport=polling"
    SELECTS_DEVICES = False

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._headers = "".join(f"{name}: {text}\r\n" for name, text in address.headers.items())
        self._head = b""
        """The current head, as far as it has arrived."""
        self._left = 0
        """Bytes of the current body that have not arrived."""
        self._body: bytearray | None = None
        """The current body, if it is looked at: while it connects, and when a ping is due."""
        self._pending_responses = 0
        self._answer: asyncio.Future[bytes] | None = None
        """Of a call while it connects."""

    async def _join(self) -> None:
        opened = orjson.loads((await self._call("GET")).removeprefix(b"0"))
        self.PATH += f"&sid={opened['sid']}"
        await self._call("POST", b"40")
        connected = await self._call("GET")
        if not connected.startswith(b"40"):
            raise BridgeError(f"{self._address} refuses a client: {connected[2:].decode()}")
        self._ping_interval = opened["pingInterval"] / 1000
        self._ping_after = perf_counter() + self._ping_interval * PING_FREE
        self._answer = None
        self._send_request("GET")

    async def _call(self, method: str, body: bytes = b"") -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._send_request(method, body)
        return await self._answer

    def _send_request(self, method: str, body: bytes = b"") -> None:
        host = f"{in_url(self._address.host)}:{self._address.port}"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self._pending_responses += 1
        self._write(f"{method} {self.PATH} HTTP/1.1\r\nHost: {host}\r\n{length}{self._headers}\r\n".encode() + body)

    def buffer_updated(self, nbytes: int) -> None:
        """Count readings and follow the responses."""
        now, buffer, end = perf_counter(), self._receive_buffer.buffer, HEAD + nbytes
        start = HEAD - len(self._tail)
        buffer[start:HEAD] = self._tail
        self.received_bytes += nbytes
        if readings := self._count_readings(buffer, start, end):
            self._add_readings(readings, now)
        at = HEAD
        while at < end and not self.disconnected:
            at = self._take_body(buffer, at, end, now) if self._left else self._take_head(buffer, at, end, now)

    def _take_head(self, buffer: bytearray, at: int, end: int, now: float) -> int:
        """Return where the bytes of this head end."""
        before = len(self._head)
        self._head += buffer[at:end]
        found = self._head.find(_HEAD_END)
        if found < 0:
            return end
        head, self._head = self._head[: found + len(_HEAD_END)], b""
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            self._fail(head.partition(b"\r")[0].decode("latin-1"))
            return end
        self._left = int(length[1])
        self._body = bytearray() if self._answer is not None or now > self._ping_after else None
        return at + len(head) - before

    def _take_body(self, buffer: bytearray, at: int, end: int, now: float) -> int:
        """Return where the bytes of this body end."""
        until = min(end, at + self._left)
        self._left -= until - at
        if self._body is not None:
            self._body += buffer[at:until]
        if not self._left:
            self._on_response_end(bytes(self._body or b""), now)
        return until

    def _on_response_end(self, body: bytes, now: float) -> None:
        self._pending_responses -= 1
        if self._answer is not None:
            if not self._answer.done():
                self._answer.set_result(body)
            return
        if _PING in body.split(_SEPARATOR):
            self._ping_after = now + self._ping_interval * PING_FREE
            self._send_request("POST", _PONG)
        elif self._pending_responses:
            return  # that was the response to a pong
        self._send_request("GET")

    def _fail(self, reason: str) -> None:
        self.disconnected = True
        self._transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BridgeError(f"{self._address} refuses a client: {reason}"))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._fail("the connection was closed")
