"""The sending half of a WebSocket, whatever its dialect: framed bytes given to the transport at once, without a queue."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bridge.realtime.frames import POLICY_VIOLATION, close_frame
from bridge.realtime.hub.publication import EncodedBatch
from bridge.realtime.websocket.write_buffer import HANDED_BYTES, WriteBuffer

_LEAVE_SECONDS = 1.0
_KERNEL_BYTES = 256 * 1024  # Linux takes twice that; by itself it would let 4 MB wait where we neither see nor bound it


class FrameWriter:
    """What is written here, by whom ever, is on the wire in the order of writing."""

    __slots__ = ("_backlog", "_parted", "deflates", "transport")

    def __init__(self, transport: asyncio.Transport, *, deflates: bool) -> None:
        """`deflates`: the client takes compressed messages, with a window kept between them."""
        self.transport = transport
        self.deflates = deflates
        self._parted = False
        self._backlog: WriteBuffer | None = None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    def waiting_bytes(self) -> int:
        """What the kernel has not taken yet."""
        waiting = self.transport.get_write_buffer_size()
        return waiting + self._backlog.waiting_bytes if self._backlog else waiting

    def write(self, batch: EncodedBatch, limit_bytes: int) -> bool:
        """A parcel, compressed where the client takes that, unless so much or more waits; false then."""
        waiting = self.transport.get_write_buffer_size()
        if waiting + (self._backlog.waiting_bytes if self._backlog else 0) >= limit_bytes:
            return False
        if not (self._parted or self.transport.is_closing()):
            self._put(batch.compressed_frames if self.deflates else batch.frames, waiting)
        return True

    def send(self, frame: bytes) -> bool:
        """One frame; whether it is on its way."""
        if self._parted or self.transport.is_closing():
            return False
        self._put(frame, self.transport.get_write_buffer_size())
        return True

    def _put(self, frames: bytes, waiting: int) -> None:
        if self._backlog:
            self._backlog.append(frames)
        elif waiting <= HANDED_BYTES:
            self.transport.write(frames)
        else:
            self._backlog = WriteBuffer(self.transport)
            self._backlog.append(frames)

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Call once when no more than so much waits, if anything is held that the transport was not given yet."""
        if self._backlog:
            self._backlog.when_drained(waiting_bytes, then)

    def disconnect(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close with the reason; a client that does not read is left without a word."""
        if self.waiting_bytes():
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(close_frame(code, reason))
            self.close_soon()

    def close_soon(self) -> None:
        """When all is written; a client that does not read has a second."""
        self._release()
        self.transport.close()
        asyncio.get_running_loop().call_later(_LEAVE_SECONDS, self.transport.abort)

    def part(self, code: int | None, reason: str) -> None:
        """Close with code and reason, and let the client read that.

        Closed at once, with something unread, the kernel would reset the connection and the reason would be lost; so only our
        half is closed, and what still comes is for the owner to pass over. A client that does not go has a second.
        """
        if self._parted or self.transport.is_closing():
            return
        self._release()
        self.transport.write(close_frame(code, reason))
        self._parted = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(_LEAVE_SECONDS, self.transport.abort)
        else:  # TLS has no half
            self.close_soon()

    def _release(self) -> None:
        if self._backlog:
            self._backlog.release()
