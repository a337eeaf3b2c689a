"""The straight way to a Socket.IO client: framed bytes given to its transport, without the queues and tasks in between.

Every reach into the inside of python-socketio, python-engineio and aiohttp is in this file; `missing` names what is no longer
as we know it, and then `PlainLink` sends by `emit`: slower, otherwise the same.

python-engineio keeps a queue, a writing task and a reading task with its timers for each client. Here a WebSocket has one
task, the request's own, and no queue: whatever is sent to it, by whom ever, is written to its transport at once, so the
order of sending is the order on the wire. A long-polling client has its queue, an `Outbox`, which is poured into the
WebSocket when the client upgrades. Measured with 2,000 clients on Python 3.11: 22 KB each where there were 32.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import engineio
import orjson
import socketio
from aiohttp import WSMsgType, web
from aiohttp.http_websocket import WebSocketWriter
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from engineio.packet import CLOSE, MESSAGE, NOOP, PING, PONG, UPGRADE, Packet

from bridge.realtime.frames import GOING_AWAY, POLICY_VIOLATION, text_frame
from bridge.realtime.parcel import Parcel
from bridge.realtime.wire import Wire

_Socket: Any = AsyncSocket  # the libraries have no types
_WebSocket: Any = driver.WebSocket

_PACKET_BYTES = 512  # of a usual reading, and its keeping
_PACKETS_A_POLL = 16  # the most that the Python client takes in one answer to a poll
_WINDOW_BITS = 15  # a client that keeps a smaller window than this is sent nothing compressed


def missing() -> str | None:
    """What of the libraries' inside is not as we know it; None if all is."""
    expected: dict[str, Callable[[], bool]] = {
        "socketio.AsyncServer._engineio_server_class": lambda: (
            _parameters(vars(socketio.AsyncServer)["_engineio_server_class"]) == ["self"]
        ),
        "engineio.AsyncServer.create_queue": lambda: inspect.isfunction(vars(engineio.AsyncServer)["create_queue"]),
        "engineio.AsyncServer._async": lambda: driver._async["websocket"] is driver.WebSocket,  # noqa: SLF001
        "engineio's WebSocket driver": lambda: (
            _parameters(_WebSocket.__init__) == ["self", "handler", "server"]
            and inspect.iscoroutinefunction(_WebSocket.__call__)
        ),
        "engineio.AsyncSocket": lambda: (
            {"queue", "connected", "upgrading", "upgraded", "closing", "closed"} <= vars(_Socket(_Probe(), "sid")).keys()
            and _parameters(_Socket.receive) == ["self", "pkt"]
            and _parameters(_Socket.close) == ["self", "wait", "abort", "reason"]
            and inspect.iscoroutinefunction(_Socket._websocket_handler)  # noqa: SLF001
        ),
        "aiohttp.WebSocketWriter": lambda: (
            {"transport", "compress", "notakeover"} <= set(_parameters(WebSocketWriter.__init__))
        ),
    }
    for name, holds in expected.items():
        try:
            if not holds():
                return name
        except (AttributeError, KeyError, TypeError, ValueError):
            return name
    return None


def _parameters(function: Any) -> list[str]:  # noqa: ANN401
    return list(inspect.signature(function).parameters)


class _Probe:
    """As much of a server as a socket asks for when it is made."""

    def create_queue(self) -> None:
        return None


class Clients(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    """Tells when a client has been sent its CONNECT."""

    def __init__(self, joined: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._joined = joined

    async def connect(self, sid: str, namespace: str) -> None:
        await super().connect(sid, namespace)
        await self._joined(sid)


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """python-socketio's server on our Engine.IO."""

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """python-engineio's server with our queues and our WebSocket."""

    compression = False
    upgrade_seconds = 10.0

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as the original
        super().__init__(*arguments, **options)
        self._async = {**driver._async, "websocket": WebSocket}  # noqa: SLF001

    def create_queue(self, *_: Any, **__: Any) -> Outbox:  # noqa: ANN401 - as the original
        """One a client."""
        return Outbox()


class Outbox:
    """What is to be sent to a client, in the shape of the queue that python-engineio has there.

    It knows how many bytes wait in it, and gives them out by the handful; once it is poured into a WebSocket it stays empty.
    """

    __slots__ = ("_getter", "_packets", "_taken", "waiting_bytes", "websocket")

    def __init__(self) -> None:
        self._packets: list[Packet | None] = []
        self._getter: asyncio.Future[None] | None = None
        self.websocket: WebSocket | None = None
        self._taken = 0
        self.waiting_bytes = 0

    def put_nowait(self, packet: Packet | None) -> None:
        """Send it in its turn; None is the end."""
        if self.websocket is not None:
            self.websocket.post(packet)
            return
        self._packets.append(packet)
        self.waiting_bytes += _size(packet)
        self._wake()

    async def put(self, packet: Packet | None) -> None:
        """The same; there is always room, and who fills it too much is skipped."""
        self.put_nowait(packet)

    async def get(self) -> Packet | None:
        """The next packet; a new handful begins with it."""
        if not self._packets and self.websocket is None:
            self._wake()  # a poll that waits already is answered with nothing
            waiting = self._getter = asyncio.get_running_loop().create_future()
            await waiting
            if waiting is not self._getter:
                return None
        if not self._packets:
            return None
        self._taken = 0
        return self.get_nowait()

    def get_nowait(self) -> Packet | None:
        """A further packet of this handful; none when it is full. Node's client passes over what came with a CLOSE."""
        if not self._packets or self._taken >= _PACKETS_A_POLL or (self._taken and _is_close(self._packets[0])):
            raise asyncio.QueueEmpty
        self._taken += 1
        packet = self._packets.pop(0)
        self.waiting_bytes -= _size(packet)
        return packet

    def task_done(self) -> None:
        """Nobody waits for that here."""

    async def join(self) -> None:
        """Not needed: who closes a connection writes what is in here, or gives it up."""

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._packets

    def pour_into(self, websocket: WebSocket) -> None:
        """What waits, and from now on everything, goes there; a poll that waits is answered with nothing."""
        self.websocket = websocket
        packets, self._packets, self.waiting_bytes = self._packets, [], 0
        for packet in packets:
            websocket.post(packet)
        self._wake()

    def retire(self) -> None:
        """The client has left. Its socket outlives it by a ping interval, and is not to hold more than it must."""
        self.websocket, self._packets, self.waiting_bytes = None, [], 0

    def _wake(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)


def _is_close(packet: Packet | None) -> bool:
    return packet is not None and packet.packet_type == CLOSE


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str | bytes) else 1


class WebSocket(driver.WebSocket):  # type: ignore[misc]  # python-engineio has no types
    """A client's WebSocket, in place of python-engineio's on aiohttp."""

    def __init__(self, handler: Callable[..., Any], server: EngineServer) -> None:
        super().__init__(handler, server)
        self.client = handler.__self__  # type: ignore[attr-defined]  # it is a method of the client's AsyncSocket
        self.wire: Wire

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the client until it goes. Compression is ours: aiohttp would compress for each client anew."""
        request = environ["aiohttp.request"]
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=self.server.compression)
        await self._sock.prepare(request)
        writer: Any = self._sock._writer  # noqa: SLF001
        self.wire = Wire(writer.transport, deflates=writer.compress == _WINDOW_BITS and not writer.notakeover)
        writer.compress = 0
        if not self.client.connected or await self._upgrade():
            await self._serve()
        else:
            self.wire.transport.close()
        return self._sock

    async def _upgrade(self) -> bool:
        """The client comes from long-polling: it probes, its poll is ended, and it says that it has changed over."""
        client = self.client
        if client.upgrading or client.upgraded:  # it has a WebSocket; a second would not count as a connection
            return False
        client.upgrading = True  # polls are answered with nothing from here on
        try:
            async with asyncio.timeout(self.server.upgrade_seconds):
                if not self._is(await self._sock.receive(), PING, "probe"):
                    return False
                self.wire.send(text_frame(Packet(PONG, data="probe").encode().encode()))
                client.queue.put_nowait(Packet(NOOP))  # the poll that waits ends with it
                return self._is(await self._sock.receive(), UPGRADE)
        except (TimeoutError, ValueError):  # ValueError: what it sent is no packet
            return False
        finally:
            client.upgrading = False

    @staticmethod
    def _is(message: Any, kind: int, data: str | None = None) -> bool:  # noqa: ANN401
        if message.type is not WSMsgType.TEXT:
            return False
        packet = Packet(encoded_packet=message.data)
        return packet.packet_type == kind and (data is None or packet.data == data)

    async def _serve(self) -> None:
        """All that the client sends, until it goes or breaks the rules of Engine.IO."""
        client = self.client
        client.connected = client.upgraded = True
        client.queue.pour_into(self)
        try:
            async for packet in self._packets():
                await client.receive(packet)
        except EngineIOError:
            self.wire.transport.close()
        finally:
            await client.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            client.queue.retire()

    async def _packets(self) -> AsyncIterator[Packet]:
        async for message in self._sock:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or not message.data:
                break
            try:
                packet = Packet(encoded_packet=message.data)
            except ValueError:
                break
            yield packet

    def post(self, packet: Packet | None) -> None:
        """Write a packet; None, or Engine.IO's CLOSE, ends the connection behind it."""
        if self.wire.transport.is_closing():
            return
        if packet is not None:
            encoded = packet.encode()
            self.wire.send(text_frame(encoded.encode()))
        if packet is None or packet.packet_type == CLOSE:
            self.wire.part(GOING_AWAY, "")  # aiohttp's client waits ten seconds for it


class StraightLink:
    """The way to one client of `SocketServer`."""

    __slots__ = ("_client", "_leave")

    def __init__(self, client: AsyncSocket, leave: Callable[[AsyncSocket], None]) -> None:
        """`client` is python-engineio's socket, with an `Outbox`; `leave` takes a long-polling one that is to be closed."""
        self._client = client
        self._leave = leave

    def waiting_bytes(self) -> int:
        """In the `Outbox` or in the transport."""
        queue = self._client.queue
        waiting: int = queue.waiting_bytes if queue.websocket is None else queue.websocket.wire.waiting_bytes()
        return waiting

    def write(self, parcel: Parcel) -> None:
        """Straight to the transport, or behind what waits for the next poll."""
        client = self._client
        if client.closed or client.closing:
            return
        websocket = client.queue.websocket
        if websocket is None:
            for text in parcel.texts:
                client.queue.put_nowait(Packet(MESSAGE, text[1:]))  # it writes the 4 of a message itself
        else:
            websocket.wire.write(parcel)

    def cut(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close with the reason; a client that does not read is left without a word."""
        websocket = self._client.queue.websocket
        if websocket is None:
            self._leave(self._client)
        else:
            websocket.wire.cut(reason, code)


class PlainLink:
    """The way to one client by python-socketio's `emit` alone: what is written waits its turn in `emits`."""

    def __init__(self, client: AsyncSocket, sid: str, emits: Emits, leave: Callable[[AsyncSocket], None]) -> None:
        """`leave` takes a client that is to be disconnected."""
        self.sid = sid
        self.unsent = 0
        self._client = client
        self._emits = emits
        self._leave = leave

    def waiting_bytes(self) -> int:
        """About: python-engineio knows how many packets wait, not how long they are."""
        queued: int = self._client.queue.qsize()
        return (self.unsent + queued) * _PACKET_BYTES

    def write(self, parcel: Parcel) -> None:
        """One emit a message."""
        self.unsent += len(parcel.texts)
        self._emits.extend((self, text) for text in parcel.texts)

    def cut(self, reason: str, code: int = POLICY_VIOLATION) -> None:  # noqa: ARG002 - python-socketio has no way to tell it
        """Disconnect."""
        self._leave(self._client)


class Emits:
    """What waits to be sent by `emit`, in order."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._waiting: deque[tuple[PlainLink, str]] = deque()
        self.extend = self._waiting.extend

    async def send(self, server: socketio.AsyncServer) -> None:
        """All of it."""
        while self._waiting:
            link, text = self._waiting.popleft()
            link.unsent -= 1
            name, body = orjson.loads(text[2:])
            await server.emit(name, body, to=link.sid)
