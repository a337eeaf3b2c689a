"""What goes down a plain WebSocket of aiohttp: a bounded queue and the task that empties it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import WSCloseCode, web

from bridge.realtime.parcel import Parcel
from bridge.settings import RealtimeSettings

SLOW = "slow"
_LEAVE_SECONDS = 1.0


class Outbox:
    """A `Link`. Past `limit_bytes` nothing more is taken; who does not read for `slow_seconds` is cut."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None, limit_bytes: int, slow_seconds: float
    ) -> None:
        """`socket` is open; `transport` is what is under it."""
        self._socket = socket
        self._limit_bytes = limit_bytes
        self._slow_seconds = slow_seconds
        self._queue: deque[str] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.reason: str | None = None
        """Why we ended it, if we did."""
        self._transport = transport

    def send(self, text: bytes) -> bool:
        """Queue a message; False when it is not taken."""
        if self.reason is not None or self._bytes + len(text) > self._limit_bytes:
            return False
        self._queue.append(text.decode())
        self._bytes += len(text)
        self._news.set()
        return True

    def waiting_bytes(self) -> int:
        """What is queued; what aiohttp has taken it does not tell."""
        return self._bytes

    def write(self, parcel: Parcel) -> None:
        """Queue all messages of a parcel. The hub asks before how much waits."""
        for text in parcel.texts:
            self._queue.append(text)
            self._bytes += len(text)
        self._news.set()

    def cut(self, reason: str) -> None:
        """End the connection."""
        self.reason = self.reason or reason
        self._news.set()

    async def run(self) -> None:
        """Send what comes, until it is cut, too slow or gone; then close."""
        try:
            while self.reason is None:
                await self._news.wait()
                self._news.clear()
                await self._send_all()
        except TimeoutError:
            self.reason = SLOW
        except (ConnectionError, RuntimeError):  # it is gone; who receives from it will notice
            return
        await self._end()

    async def _send_all(self) -> None:
        """Each leaves the queue before it is sent: cancelled in between, a command must not go out twice."""
        while self._queue and self.reason is None:
            text = self._queue.popleft()
            self._bytes -= len(text)
            async with asyncio.timeout(self._slow_seconds):
                await self._socket.send_str(text)

    async def flush(self) -> None:
        """Send what waits, for a moment."""
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._send_all()

    async def _end(self) -> None:
        """Say so, if the other side reads; whoever receives from the socket notices either way."""
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(self.reason).encode())
        except (ConnectionError, RuntimeError, TimeoutError):
            if isinstance(self._transport, asyncio.WriteTransport):
                self._transport.abort()


@asynccontextmanager
async def outbox_of(socket: web.WebSocketResponse, request: web.Request, settings: RealtimeSettings) -> AsyncIterator[Outbox]:
    """An outbox that is being emptied; what waits at the end is sent, for a moment."""
    outbox = Outbox(socket, request.transport, settings.client_buffer_bytes, settings.slow_seconds)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(outbox.run(), name="device outbox")
        try:
            yield outbox
        finally:
            sending.cancel()
            await asyncio.wait((sending,), timeout=_LEAVE_SECONDS)
            await outbox.flush()
