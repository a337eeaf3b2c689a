"""The sending half of a WebSocket, for every protocol: frames go to the transport at once, without a queue."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from bridge.realtime.frames import POLICY_VIOLATION, close_frame
from bridge.realtime.hub.encoding import EncodedBatch
from bridge.realtime.websocket.write_buffer import TRANSPORT_BYTES, WriteBuffer

_CLOSE_SECONDS = 1.0
_KERNEL_BYTES = 256 * 1024  # Linux doubles it; its default lets 4 MB wait where it is neither measured nor bounded


class FrameWriter:
    """Writes frames to a transport. The order of calls is the order on the wire."""

    __slots__ = ("_buffer", "_closed", "deflates", "transport")

    def __init__(self, transport: asyncio.Transport, *, deflates: bool) -> None:
        """`deflates`: the client takes compressed messages and keeps its window between them."""
        self.transport = transport
        self.deflates = deflates
        self._closed = False
        self._buffer: WriteBuffer | None = None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    def waiting_bytes(self) -> int:
        """Return the number of bytes that the kernel has not taken yet."""
        waiting = self.transport.get_write_buffer_size()
        return waiting + self._buffer.waiting_bytes if self._buffer else waiting

    def write(self, batch: EncodedBatch, limit_bytes: int) -> bool:
        """Write a batch, compressed if agreed; return False, writing nothing, if `limit_bytes` or more wait."""
        waiting = self.transport.get_write_buffer_size()
        if waiting + (self._buffer.waiting_bytes if self._buffer else 0) >= limit_bytes:
            return False
        if not (self._closed or self.transport.is_closing()):
            self._put(batch.compressed_frames if self.deflates else batch.frames, waiting)
        return True

    def send(self, frame: bytes) -> bool:
        """Write one frame; return False if the connection is closed."""
        if self._closed or self.transport.is_closing():
            return False
        self._put(frame, self.transport.get_write_buffer_size())
        return True

    def _put(self, frames: bytes, waiting: int) -> None:
        if self._buffer:
            self._buffer.append(frames)
        elif waiting <= TRANSPORT_BYTES:
            self.transport.write(frames)
        else:
            self._buffer = WriteBuffer(self.transport)
            self._buffer.append(frames)

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        """Call `callback` once when at most `waiting_bytes` wait; never if no frames are held back now."""
        if self._buffer:
            self._buffer.when_drained(waiting_bytes, callback)

    def disconnect(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close with a reason; a client that does not read is disconnected without one."""
        if self.waiting_bytes():
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(close_frame(code, reason))
            self.close_transport()

    def close_transport(self) -> None:
        """Close when everything is written; abort after a second if the client does not read."""
        self._flush()
        self.transport.close()
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.transport.abort)

    def close(self, code: int | None, reason: str) -> None:
        """Close with a code and a reason that the client can read.

        If the connection were closed at once with data unread, the kernel would reset it and the reason would be lost. So only
        the sending half is closed, and the owner discards further input; after a second the connection is aborted.
        """
        if self._closed or self.transport.is_closing():
            return
        self._flush()
        self.transport.write(close_frame(code, reason))
        self._closed = True
        if self.transport.can_write_eof():
            with suppress(OSError):  # the client has reset the connection, which the loop has not noticed yet
                self.transport.write_eof()
            asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.transport.abort)
        else:  # TLS has no half-close
            self.close_transport()

    def _flush(self) -> None:
        if self._buffer:
            self._buffer.flush()
