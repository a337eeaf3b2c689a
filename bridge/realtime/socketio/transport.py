"""The hub's transport to a Socket.IO client: bytes go straight to its WebSocket, or wait for its next poll."""

from collections.abc import Callable

from engineio.async_socket import AsyncSocket
from engineio.packet import Packet

from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.hub.encoding import EncodedBatch
from bridge.realtime.hub.session import NO_LIMIT
from bridge.realtime.socketio.engineio import MESSAGE


def _packets(batch: EncodedBatch) -> list[Packet]:
    """Return the packets for long-polling clients; python-engineio adds the packet type, 4, itself."""
    return [Packet(MESSAGE, text[1:]) for text in batch.texts]


class DirectTransport:
    """The hub's `Transport` to one client of `direct.SocketServer`."""

    __slots__ = ("_end", "_socket")

    def __init__(self, socket: AsyncSocket, end: Callable[[AsyncSocket], None]) -> None:
        """`socket` is python-engineio's, with a `PollQueue`; `end` is called to close a long-polling client."""
        self._socket = socket
        self._end = end

    def waiting_bytes(self) -> int:
        queue = self._socket.queue
        waiting: int = queue.waiting_bytes if queue.websocket is None else queue.websocket.writer.waiting_bytes()
        return waiting

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        socket = self._socket
        if socket.closed or socket.closing:
            return True
        websocket = socket.queue.websocket
        if websocket is not None:
            written: bool = websocket.writer.write(batch, limit_bytes)
            return written
        if socket.queue.waiting_bytes >= limit_bytes:
            return False
        for packet in batch.derived(_packets):
            socket.queue.put_nowait(packet)
        return True

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        queue = self._socket.queue
        if queue.websocket is None:
            queue.when_drained(waiting_bytes, callback)
        else:
            queue.websocket.writer.when_drained(waiting_bytes, callback)

    def disconnect(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close with a reason; a client that polls, or does not read, is disconnected without one."""
        websocket = self._socket.queue.websocket
        if websocket is None:
            self._end(self._socket)
        else:
            websocket.writer.disconnect(reason, code)
