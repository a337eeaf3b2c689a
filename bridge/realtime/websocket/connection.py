"""One plain WebSocket connection: the parser that aiohttp feeds, and the transport that the hub writes to."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from bridge.realtime.frames import POLICY_VIOLATION, close_frame, control_frame, text_frame
from bridge.realtime.hub.encoding import EncodedBatch
from bridge.realtime.hub.hub import SLOW, Hub
from bridge.realtime.hub.session import NO_LIMIT, Session
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.websocket.parser import (
    BINARY,
    CLOSE,
    GOING_AWAY,
    PING,
    PONG,
    TEXT,
    UNSUPPORTED,
    FrameParser,
    ProtocolError,
    ReceivedMessage,
)
from bridge.realtime.websocket.writer import FrameWriter

MESSAGE_LIMIT_BYTES = 64 * 1024
"""The largest message, and how much may wait to be handled before reading from the client is paused."""
UNAUTHENTICATED_LIMIT_BYTES = 16 * 1024
"""The same limits before the client has logged in: a token is at most 8 KiB."""


class ClientConnection:
    """One connection: aiohttp's parser and the hub's `Transport`. Feeding never raises. Sends after close are dropped."""

    __slots__ = (
        "_closed", "_hub", "_limit_bytes", "_limiter", "_messages", "_parser", "_protocol", "_unhandled_bytes", "_wakeup",
        "gone", "paused", "received_at", "session", "writer",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        limiter: ConnectionLimiter,
        writer: FrameWriter,
        protocol: Any,  # noqa: ANN401 - aiohttp's, private
        limit_bytes: int,
        *,
        inflates: bool,
        authenticated: bool = True,
    ) -> None:
        """`limiter` counts its messages, `hub` why it was closed; it is closed if more than `limit_bytes` wait for it.

        `protocol` can pause and resume reading.
        """
        loop = asyncio.get_running_loop()
        self.writer = writer
        self.session: Session
        self.received_at = 0.0
        """When the last frame was received, or reading was resumed, in monotonic seconds."""
        self.paused = False
        """Whether reading from the client is paused."""
        self.gone: asyncio.Future[None] = loop.create_future()
        self._hub = hub
        self._limiter = limiter
        self._protocol = protocol
        self._limit_bytes = limit_bytes
        self._parser = FrameParser(MESSAGE_LIMIT_BYTES if authenticated else UNAUTHENTICATED_LIMIT_BYTES, inflates=inflates)
        self._messages: deque[bytes] = deque()
        self._unhandled_bytes = 0
        self._wakeup: asyncio.Future[None] | None = None
        self._closed = False

    # --- receiving: called by aiohttp --------------------------------------------------------------------------------------

    def feed_data(self, chunk: bytes) -> tuple[bool, bytes]:
        """Parse bytes read from the client; discard them after close."""
        if not self._closed:
            try:
                for message in self._parser.feed(chunk):
                    self._receive(message)
                    if self._closed:
                        break
            except ProtocolError as error:
                self.close(error.code, str(error), "malformed")
        return False, b""

    def feed_eof(self) -> None:
        self._closed = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._wake()

    def _receive(self, message: ReceivedMessage) -> None:
        self.received_at = time.monotonic()
        if not self._limiter.allow_message(self, self.received_at):  # a ping counts, too
            self._hub.disconnect(self, "rate")
        elif message.opcode == TEXT:
            self._enqueue(message.payload)
        elif message.opcode == PING:
            self.send_frame(control_frame(PONG, message.payload))
        elif message.opcode == CLOSE:
            self._closed = True
            self.writer.close(int.from_bytes(message.payload, "big") or None, "")
            self._wake()
        elif message.opcode == BINARY:
            self.close(UNSUPPORTED, "binary messages are not supported, only text", "binary")

    def _enqueue(self, text: bytes) -> None:
        self._messages.append(text)
        self._unhandled_bytes += len(text)
        if self._unhandled_bytes > self._parser.limit_bytes:
            self.pause()
        self._wake()

    def mark_authenticated(self) -> None:
        """Raise the message limits of a client that has logged in."""
        self._parser.limit_bytes = MESSAGE_LIMIT_BYTES
        self.resume()

    def pause(self) -> None:
        """Pause reading from the client; until `resume`, a missing pong does not count. Messages already read are handled."""
        self.paused = True
        self._protocol.pause_reading()

    def resume(self) -> None:
        """Resume reading, unless too many messages wait to be handled."""
        if self.paused and self._unhandled_bytes <= self._parser.limit_bytes:
            self.paused = False
            self.received_at = time.monotonic()
            self._protocol.resume_reading()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the client's text messages until it leaves, including those sent before it left; none after our close."""
        while True:
            while self._messages:
                text = self._messages.popleft()
                self._unhandled_bytes -= len(text)
                if not self._messages:
                    self.resume()
                yield text
            if self._closed:
                return
            self._wakeup = asyncio.get_running_loop().create_future()
            await self._wakeup

    # --- sending: the hub's transport --------------------------------------------------------------------------------------

    def waiting_bytes(self) -> int:
        return self.writer.waiting_bytes()

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        return self.writer.write(batch, limit_bytes)

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        self.writer.when_drained(waiting_bytes, callback)

    def disconnect(self, reason: str) -> None:
        """Close with a reason; a client that does not read is disconnected without one."""
        if not self._closed:
            if self.writer.waiting_bytes():
                self.writer.transport.abort()
            else:
                self.writer.close(POLICY_VIOLATION, reason)
            self._finish()

    def send(self, message: dict[str, Any]) -> None:
        self.send_text(orjson.dumps(message))

    def send_text(self, text: bytes) -> bool:
        """Send a UTF-8 text message; return False if the connection is closed."""
        return self.send_frame(text_frame(text))

    def send_frame(self, frame: bytes) -> bool:
        """Send one frame; return False if the connection is closed. A client that does not read its answers is disconnected."""
        if self._closed:
            return False
        if self.writer.waiting_bytes() > self._limit_bytes:
            self._hub.disconnect(self, SLOW)
            return False
        return self.writer.send(frame)

    def close(self, code: int | None, text: str, counted: str | None = None) -> None:
        """Close with a code and a reason that the client can read; count it as `counted`, if given."""
        if self._closed:
            return
        if counted is not None:
            self._hub.count_disconnect(counted)
        self.writer.close(code, text)
        self._finish()

    def leave(self) -> None:
        """Close because the bridge is stopping, without waiting for a client that does not read."""
        if not self._closed:
            self.writer.send(close_frame(GOING_AWAY, "the bridge is stopping"))
            self.writer.close_transport()
            self._finish()

    def _finish(self) -> None:
        """Discard received messages and keep reading: with unread data, the kernel would not deliver the close reason."""
        self._closed = True
        self._messages.clear()
        self._unhandled_bytes = 0
        self.resume()
        self._wake()
