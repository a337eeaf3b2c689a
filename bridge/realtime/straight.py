"""The straight way to a Socket.IO client: framed bytes given to its transport, past the queues of python-engineio.

Every reach into the inside of python-socketio, python-engineio and aiohttp is in this file; `missing` names what is no longer
as we know it, and then `PlainLink` sends by `emit`: slower, otherwise the same.

The order of messages on a connection is kept because bytes go straight only while nothing else can be under way: the client
is on WebSocket, its `Outbox` is empty and what was taken from it is written. Otherwise they go into the `Outbox`, behind what
is there, and python-engineio sends them: to long-polling clients, during an upgrade, beside acknowledgements and pings.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import engineio
import orjson
import socketio
from aiohttp import web
from aiohttp.http_websocket import WebSocketWriter
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE, Packet

from bridge.realtime.frames import POLICY_VIOLATION, close_frame
from bridge.realtime.parcel import Parcel

_Socket: Any = AsyncSocket  # which has no types
_WebSocket: Any = driver.WebSocket

_LEAVE_SECONDS = 1.0
_PACKETS_A_POLL = 16  # the most that the Python client takes in one answer to a poll
_WINDOW_BITS = 15  # a client that keeps a smaller window than this is sent nothing compressed


def missing() -> str | None:
    """What of the libraries' inside is not as we know it; None if all is."""
    expected = {
        "AsyncServer.create_queue": lambda: inspect.isfunction(engineio.AsyncServer.create_queue),
        "AsyncServer._engineio_server_class": lambda: (
            list(inspect.signature(socketio.AsyncServer._engineio_server_class).parameters) == ["self"]  # noqa: SLF001
        ),
        "engineio WebSocket driver": lambda: (
            list(inspect.signature(_WebSocket.__init__).parameters) == ["self", "handler", "server"]
            and inspect.iscoroutinefunction(_WebSocket.__call__)
            and inspect.iscoroutinefunction(_WebSocket.send)
            and driver._async["websocket"] is _WebSocket  # noqa: SLF001
        ),
        "AsyncSocket": lambda: {"queue", "upgraded", "closed", "closing"} <= vars(_Socket(_Probe(), "sid")).keys(),
        "AsyncSocket._websocket_handler": lambda: inspect.iscoroutinefunction(AsyncSocket._websocket_handler),  # noqa: SLF001
        "WebSocketWriter.compress": lambda: "compress" in inspect.signature(WebSocketWriter.__init__).parameters,
    }
    for name, holds in expected.items():
        try:
            if not holds():
                return name
        except (AttributeError, KeyError, TypeError, ValueError):
            return name
    return None


class _Probe:
    """As much of a server as a socket asks for when it is made."""

    def create_queue(self) -> asyncio.Queue[Any]:
        return asyncio.Queue()


class Outbox(asyncio.Queue[Any]):
    """A client's queue of packets in python-engineio, which knows how many bytes wait in it."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.waiting_bytes = 0
        self.unfinished = 0
        self._taken = 0

    def _put(self, item: Any) -> None:  # noqa: ANN401
        super()._put(item)
        self.unfinished += 1
        self.waiting_bytes += _size(item)

    def _get(self) -> Any:  # noqa: ANN401
        item = super()._get()
        self.waiting_bytes -= _size(item)
        self._taken += 1
        return item

    async def get(self) -> Any:  # noqa: ANN401
        """The next packet; a new handful begins with it."""
        self._taken = 0
        return await super().get()

    def get_nowait(self) -> Any:  # noqa: ANN401
        """A further packet of this handful; none when it is full."""
        if self._taken >= _PACKETS_A_POLL:
            raise asyncio.QueueEmpty
        return super().get_nowait()

    def task_done(self) -> None:
        """A packet has been taken over by the one who sends it."""
        self.unfinished -= 1
        super().task_done()


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str | bytes) else 1


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """python-engineio's server with our queues and our WebSocket."""

    compression = False

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as the original
        super().__init__(*arguments, **options)
        self._async = {**driver._async, "websocket": WebSocket}  # noqa: SLF001

    def create_queue(self, *arguments: Any, **options: Any) -> Outbox:  # noqa: ANN401 - as the original
        """One a client."""
        return Outbox(*arguments, **options)


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """python-socketio's server on top of it."""

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer


class WebSocket(driver.WebSocket):  # type: ignore[misc]  # python-engineio has no types
    """python-engineio's WebSocket on aiohttp, known to its client's socket; tells when it is writing."""

    def __init__(self, handler: Callable[..., Any], server: EngineServer) -> None:
        super().__init__(handler, server)
        handler.__self__.bridge_websocket = self  # type: ignore[attr-defined]  # a method of the client's AsyncSocket
        self.is_writing = False
        self.deflates = False
        self.transport: asyncio.Transport | None = None

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """As the original, but compression is ours: python's own would compress for each client anew."""
        request = environ["aiohttp.request"]
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=self.server.compression)
        await self._sock.prepare(request)
        writer = self._sock._writer  # noqa: SLF001
        if writer is not None:
            self.deflates = writer.compress == _WINDOW_BITS and not writer.notakeover
            writer.compress = 0
        self.transport = request.transport
        self.environ = environ
        await self.handler(self)
        return self._sock

    async def send(self, message: str | bytes) -> None:
        """As the original."""
        self.is_writing = True
        try:
            await super().send(message)
        finally:
            self.is_writing = False


class StraightLink:
    """The way to one client of `SocketServer`."""

    __slots__ = ("_leave", "_socket")

    def __init__(self, socket: AsyncSocket, leave: Callable[[AsyncSocket], None]) -> None:
        """`socket` is python-engineio's, with an `Outbox`; `leave` takes a long-polling one that is to be closed."""
        self._socket = socket
        self._leave = leave

    def waiting_bytes(self) -> int:
        """In the `Outbox` and in the transport."""
        websocket = getattr(self._socket, "bridge_websocket", None)
        waiting: int = self._socket.queue.waiting_bytes
        if websocket is not None and websocket.transport is not None:
            waiting += websocket.transport.get_write_buffer_size()
        return waiting

    def write(self, parcel: Parcel) -> None:
        """Straight to the transport, or else behind what waits already."""
        socket = self._socket
        if socket.closed or socket.closing:
            return
        websocket = self._free_websocket()
        if websocket is None:
            for text in parcel.texts:
                socket.queue.put_nowait(Packet(MESSAGE, text[1:]))  # it writes the 4 of a message itself
        elif not websocket.transport.is_closing():
            websocket.transport.write(parcel.deflated if websocket.deflates else parcel.wire)

    def _free_websocket(self) -> Any:  # noqa: ANN401 - None, or a WebSocket with a transport
        """The client's WebSocket, if nothing else is or may get under way on it."""
        socket = self._socket
        if not socket.upgraded or socket.queue.unfinished:
            return None
        websocket = socket.bridge_websocket
        return None if websocket.is_writing else websocket

    def cut(self, reason: str) -> None:
        """Close with the reason; a client that does not read is left without a word."""
        if not self._socket.upgraded:
            self._leave(self._socket)
            return
        transport = self._socket.bridge_websocket.transport
        if self._free_websocket() is None or transport.get_write_buffer_size():
            transport.abort()
        elif not transport.is_closing():
            transport.write(close_frame(POLICY_VIOLATION, reason))
            transport.close()
            asyncio.get_running_loop().call_later(_LEAVE_SECONDS, transport.abort)


class PlainLink:
    """The way to one client by python-socketio's `emit` alone: what is written waits its turn in `emits`."""

    def __init__(self, sid: str, emits: asyncio.Queue[tuple[str, str, Any]], end: Callable[[str], None]) -> None:
        """`emits` takes (client, event, body); `end` disconnects a client."""
        self._sid = sid
        self._emits = emits
        self._end = end

    def waiting_bytes(self) -> int:
        """Not known."""
        return 0

    def write(self, parcel: Parcel) -> None:
        """One emit a message."""
        for text in parcel.texts:
            name, body = orjson.loads(text[2:])
            self._emits.put_nowait((self._sid, name, body))

    def cut(self, reason: str) -> None:  # noqa: ARG002 - python-socketio has no way to tell it
        """Disconnect."""
        self._end(self._sid)
