"""One client on a plain WebSocket: the parser that aiohttp feeds, and the link that the hub writes to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import orjson

from bridge.realtime.frames import POLICY_VIOLATION, close_frame, control_frame, text_frame
from bridge.realtime.hub.hub import SLOW
from bridge.realtime.hub.publication import EncodedBatch
from bridge.realtime.hub.session import NO_LIMIT, Session
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
"""Of messages that wait for their turn as much, too; from there on we stop reading from the client."""
UNAUTHENTICATED_LIMIT_BYTES = 16 * 1024
"""The same, of who has to log in yet: a token is 8 KiB at most."""

_BINARY, _MALFORMED, _RATE = "binary", "malformed", "rate"


class ConnectionOwner(Protocol):
    """Who has the limits, and counts whom they met."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def allow_message(self, client: ClientConnection) -> bool:
        """Whether the client keeps to its message rate."""
        ...

    def disconnect(self, client: ClientConnection, reason: str) -> None:
        """End its connection, and count why."""
        ...

    def count(self, reason: str) -> None:
        """It has ended its connection itself."""
        ...


class ClientConnection:
    """One connection. Of what it is fed nothing raises; what is sent after its end goes nowhere."""

    __slots__ = (
        "_ended", "_limit", "_messages", "_owner", "_protocol", "_reader", "_unread", "_woken", "gone", "heard_at", "paused",
        "session", "wire",
    )  # fmt: skip

    def __init__(
        self,
        owner: ConnectionOwner,
        wire: FrameWriter,
        protocol: Any,  # noqa: ANN401
        limit: int,
        *,
        inflates: bool,
        known: bool = True,
    ) -> None:
        """`protocol` is aiohttp's, to be told to stop reading; `limit` is how many bytes may wait for the client.

        One that is not `known` has to log in yet.
        """
        loop = asyncio.get_running_loop()
        self.wire = wire
        self.session: Session
        self.heard_at = 0.0
        self.paused = False
        """We do not read from it."""
        self.gone: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._protocol = protocol
        self._limit = limit
        self._reader = FrameParser(MESSAGE_LIMIT_BYTES if known else UNAUTHENTICATED_LIMIT_BYTES, inflates=inflates)
        self._messages: deque[bytes] = deque()
        self._unread = 0
        self._woken: asyncio.Future[None] | None = None
        self._ended = False

    # --- in: called by aiohttp ---------------------------------------------------------------------------------------------

    def feed_data(self, chunk: bytes) -> tuple[bool, bytes]:
        """What was read from the client. After its end it is passed over."""
        if not self._ended:
            try:
                for incoming in self._reader.feed(chunk):
                    self._take(incoming)
                    if self._ended:
                        break
            except ProtocolError as error:
                self.close(error.code, str(error), _MALFORMED)
        return False, b""

    def feed_eof(self) -> None:
        """The connection is gone."""
        self._ended = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._wake()

    def _take(self, incoming: ReceivedMessage) -> None:
        self.heard_at = self._owner.now()
        if not self._owner.allow_message(self):
            self._owner.disconnect(self, _RATE)
        elif incoming.opcode == TEXT:
            self._gather(incoming.payload)
        elif incoming.opcode == PING:
            self.send_frame(control_frame(PONG, incoming.payload))
        elif incoming.opcode == CLOSE:
            self._ended = True
            self.wire.part(int.from_bytes(incoming.payload, "big") or None, "")
            self._wake()
        elif incoming.opcode == BINARY:
            self.close(UNSUPPORTED, "messages here are text", _BINARY)

    def _gather(self, text: bytes) -> None:
        self._messages.append(text)
        self._unread += len(text)
        if self._unread > self._reader.limit_bytes:
            self.pause()
        self._wake()

    def mark_authenticated(self) -> None:
        """It has logged in, and may say more at once."""
        self._reader.limit_bytes = MESSAGE_LIMIT_BYTES
        self.resume()

    def pause(self) -> None:
        """Read nothing more from it; what was read already it said all the same. Its silence is ours now, not its own."""
        self.paused = True
        self._protocol.pause_reading()

    def resume(self) -> None:
        """Read on, unless enough waits for its turn."""
        if self.paused and self._unread <= self._reader.limit_bytes:
            self.paused = False
            self.heard_at = self._owner.now()
            self._protocol.resume_reading()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """The texts it sends, until its end; also those it sent before it went, but not if it was we who ended it."""
        while True:
            while self._messages:
                text = self._messages.popleft()
                self._unread -= len(text)
                if not self._messages:
                    self.resume()
                yield text
            if self._ended:
                return
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken

    # --- out ---------------------------------------------------------------------------------------------------------------

    def waiting_bytes(self) -> int:
        """In its transport."""
        return self.wire.waiting_bytes()

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        """Straight to its transport."""
        return self.wire.write(batch, limit_bytes)

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Told by its transport."""
        self.wire.when_drained(waiting_bytes, then)

    def disconnect(self, reason: str) -> None:
        """End the connection; one that does not read is left without a word."""
        if not self._ended:
            if self.wire.waiting_bytes():
                self.wire.transport.abort()
            else:
                self.wire.part(POLICY_VIOLATION, reason)
            self._finish()

    def send(self, message: dict[str, Any]) -> None:
        """An answer."""
        self.send_text(orjson.dumps(message))

    def send_text(self, text: bytes) -> bool:
        """A message in UTF-8; whether it is on its way."""
        return self.send_frame(text_frame(text))

    def send_frame(self, frame: bytes) -> bool:
        """One frame; a client that reads no answers is cut."""
        if self._ended:
            return False
        if self.wire.waiting_bytes() > self._limit:
            self._owner.disconnect(self, SLOW)
            return False
        return self.wire.send(frame)

    def close(self, code: int | None, text: str, counted: str | None = None) -> None:
        """Close with a code, and let the client read why; `counted` is the reason in the counter of those we ended."""
        if self._ended:
            return
        if counted is not None:
            self._owner.count(counted)
        self.wire.part(code, text)
        self._finish()

    def leave(self) -> None:
        """The bridge stops: say so, and do not wait for one that does not read."""
        if not self._ended:
            self.wire.send(close_frame(GOING_AWAY, "the bridge is stopping"))
            self.wire.close_soon()
            self._finish()

    def _finish(self) -> None:
        """We ended it. What it still sends is read, or the kernel would not let it read why, and passed over."""
        self._ended = True
        self._messages.clear()
        self._unread = 0
        self.resume()
        self._wake()
