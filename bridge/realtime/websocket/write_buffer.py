"""Buffer for a client that reads slowly: holds the shared bytes and hands them to the transport in chunks.

A transport keeps an object for each pending write (uvloop, 0.4 KB) or a copy of the bytes (asyncio): 1 MiB of readings, written
one by one, took more than twice that. With 50 stalled clients at 1,000 readings/s the bridge grew by 82 MB; with this buffer by
8 MB, as the bytes held here are shared by all clients.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

TRANSPORT_BYTES = 64 * 1024
"""With more than this in its own buffer, the transport is given nothing until it is nearly empty."""


class WriteBuffer(asyncio.Protocol):
    """Holds frames for a full transport, and sits between it and its protocol meanwhile, to notice when it drains."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """More than `TRANSPORT_BYTES` must be waiting in `transport`: otherwise it never calls `resume_writing`."""
        self._transport = transport
        self._inner = cast("asyncio.Protocol", transport.get_protocol())
        self._frames: deque[bytes] = deque()
        self._drained: tuple[int, Callable[[], None]] | None = None
        self.waiting_bytes = 0
        transport.set_protocol(self)
        transport.set_write_buffer_limits(TRANSPORT_BYTES)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def append(self, frames: bytes) -> None:
        """Hold frames, after those held already."""
        self._frames.append(frames)
        self.waiting_bytes += len(frames)

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        """Call `callback` once when at most `waiting_bytes` wait, here and in the transport; never if the connection ends."""
        self._drained = waiting_bytes, callback

    def flush(self) -> None:
        frames = b"".join(self._frames)
        self._detach()
        if frames and not self._transport.is_closing():
            self._transport.write(frames)

    def resume_writing(self) -> None:
        """Write chunks while the kernel takes them at once."""
        self._inner.resume_writing()
        while self._frames and self._transport.get_write_buffer_size() <= TRANSPORT_BYTES:
            self._transport.write(self._next_chunk())
        drained = self._drained
        if not self._frames:
            self._detach()
        if drained is not None and self.waiting_bytes + self._transport.get_write_buffer_size() <= drained[0]:
            self._drained = None
            drained[1]()

    def _next_chunk(self) -> bytes:
        chunk, size = [], 0
        while self._frames and size < TRANSPORT_BYTES:
            frames = self._frames.popleft()
            chunk.append(frames)
            size += len(frames)
        self.waiting_bytes -= size
        return b"".join(chunk)

    def _detach(self) -> None:
        self._frames.clear()
        self._drained = None
        self.waiting_bytes = 0
        self._transport.set_protocol(self._inner)

    # --- passed on to the protocol -----------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._detach()
        self._inner.connection_lost(exc)
