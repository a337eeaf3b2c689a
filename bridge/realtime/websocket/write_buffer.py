"""What waits for a client that reads slowly: held as it was made for everyone, and handed on by the piece.

A transport keeps an object of its own for each write that waits (uvloop, 0.4 KB) or a copy of the bytes (asyncio): 1 MiB of
readings, written one by one, took more than twice that. With 50 stalled clients at 1,000 readings/s the bridge grew by 82 MB;
by 8 MB this way, as bytes held here belong to all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

HANDED_BYTES = 64 * 1024
"""From here on the transport is given no more until it tells that it is nearly empty."""


class WriteBuffer(asyncio.Protocol):
    """Stands between a transport and its protocol for as long as something is held, to be told when there is room again.

    Whoever waits for the client to drain is told by it, and need not ask before each batch.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """The transport has more than `HANDED_BYTES` waiting, or it would never tell."""
        self._transport = transport
        self._inner = cast("asyncio.Protocol", transport.get_protocol())
        self._frames: deque[bytes] = deque()
        self._drained: tuple[int, Callable[[], None]] | None = None
        self.waiting_bytes = 0
        transport.set_protocol(self)
        transport.set_write_buffer_limits(HANDED_BYTES)

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self._frames)

    def append(self, frames: bytes) -> None:
        """Behind all that is held."""
        self._frames.append(frames)
        self.waiting_bytes += len(frames)

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Call once when no more than so much waits, here and in the transport; not if the connection ends before."""
        self._drained = waiting_bytes, then

    def release(self) -> None:
        """Give the transport all of it, as for an end that is to come behind it."""
        frames = b"".join(self._frames)
        self._let_go()
        if frames and not self._transport.is_closing():
            self._transport.write(frames)

    def resume_writing(self) -> None:
        """There is room: a piece, and the next where the kernel took that at once."""
        self._inner.resume_writing()
        while self._frames and self._transport.get_write_buffer_size() <= HANDED_BYTES:
            self._transport.write(self._piece())
        drained = self._drained
        if not self._frames:
            self._let_go()
        if drained is not None and self.waiting_bytes + self._transport.get_write_buffer_size() <= drained[0]:
            self._drained = None
            drained[1]()

    def _piece(self) -> bytes:
        piece, size = [], 0
        while self._frames and size < HANDED_BYTES:
            frames = self._frames.popleft()
            piece.append(frames)
            size += len(frames)
        self.waiting_bytes -= size
        return b"".join(piece)

    def _let_go(self) -> None:
        self._frames.clear()
        self._drained = None
        self.waiting_bytes = 0
        self._transport.set_protocol(self._inner)

    # --- the protocol's own ------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The transport is full."""
        self._inner.pause_writing()

    def data_received(self, data: bytes) -> None:
        """From the client."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """It sends nothing more."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """What is held goes nowhere."""
        self._let_go()
        self._inner.connection_lost(exc)
