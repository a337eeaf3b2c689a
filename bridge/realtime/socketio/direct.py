"""The straight way to a Socket.IO client: framed bytes given to its transport, without the queues and tasks in between.

Every reach into the inside of python-socketio, python-engineio and aiohttp is in this file; `missing` names what is no longer
as we know it, and then `PlainLink` sends by `emit`: slower, and what is polled and posted is python-engineio's
again; otherwise the same.

python-engineio keeps a queue, a writing task and a reading task with its timers for each client. Here a WebSocket has one
task, the request's own, and no queue: whatever is sent to it, by whom ever, is written to its transport at once, so the
order of sending is the order on the wire. A long-polling client has its queue, an `PollQueue`, which is poured into the
WebSocket when the client upgrades. Measured with 2,000 clients on Python 3.11: 22 KB each where there were 32.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import engineio
import orjson
import socketio
from aiohttp import WSMsgType, web
from aiohttp.http_websocket import WebSocketWriter
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from engineio.packet import Packet

from bridge.realtime.frames import GOING_AWAY, POLICY_VIOLATION, text_frame
from bridge.realtime.hub.publication import EncodedBatch
from bridge.realtime.hub.session import NO_LIMIT
from bridge.realtime.socketio.engineio import (
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG,
    SEPARATOR,
    UPGRADE,
    RequestError,
    parse_packet,
    request_parameters,
    wants_websocket,
)
from bridge.realtime.socketio.poll_queue import PollQueue
from bridge.realtime.websocket.writer import FrameWriter

_Socket: Any = AsyncSocket  # the libraries have no types
_WebSocket: Any = driver.WebSocket

_LAST_WORDS_SECONDS = 5.0  # how long a client that was closed may take to poll once more, and read that
_PACKET_BYTES = 512  # of a usual reading, and its keeping
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
            {"queue", "connected", "upgrading", "upgraded", "closing", "closed", "last_ping"}
            <= vars(_Socket(_Probe(), "sid")).keys()
            and _parameters(_Socket.poll) == _parameters(_Socket.check_ping_timeout) == ["self"]
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


class ClientManager(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio has no types
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
    """python-engineio's server with our queues, our WebSocket, and what is posted read by us.

    python-engineio takes of a body what has come when it looks, and not more than 16 packets of it, and says "OK" to all.
    """

    compression = False
    upgrade_seconds = 10.0
    post_seconds = 10.0

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as the original
        super().__init__(*arguments, **options)
        self._async = {**driver._async, "websocket": WebSocket}  # noqa: SLF001

    def create_queue(self, *_: Any, **__: Any) -> PollQueue:  # noqa: ANN401 - as the original
        """One a client."""
        return PollQueue(self.ping_interval)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """A request that `engine.refused` has nothing against."""
        client = self.sockets.get(request_parameters(request.query_string).get("sid"))
        if client is not None and request.method == "POST":
            return await self._posted(request, client)
        if client is not None and request.method == "GET" and not wants_websocket(request.headers):
            return await self._polled(request, client)
        answer: web.StreamResponse = await super().handle_request(request)
        return answer

    async def _polled(self, request: web.Request, client: AsyncSocket) -> web.StreamResponse:
        """One poll at a time: what is given to an earlier one that broke off, nobody would read."""
        if client.closed:
            packets = await client.poll()
            return web.Response(text=SEPARATOR.join(packet.encode(b64=True) for packet in packets))
        if client.queue.is_waited_for:
            await self._fail(client)
            return web.Response(status=400)
        answer: web.StreamResponse = await super().handle_request(request)
        if request.transport is None:
            await self._fail(client)
        elif client.closed and has_pending_close(client):  # python-engineio has forgotten it already
            self.sockets[client.sid] = client
        return answer

    async def _posted(self, request: web.Request, client: AsyncSocket) -> web.Response:
        """Packets, all or none of them; one body at a time."""
        outbox = client.queue
        if outbox.is_posted_to or request.headers.get("Content-Type") == "application/octet-stream":
            await self._fail(client)
            return RequestError.REQUEST.answer()
        outbox.is_posted_to = True
        try:
            body = await self._body(request)
            if body is None:
                return web.Response(status=413)
            for packet in [parse_packet(text) for text in body.decode().split(SEPARATOR)]:
                await receive(client, *packet)
        except (ValueError, TimeoutError, ConnectionError, web.RequestPayloadError):  # no packets, or not all of the body
            await self._fail(client)
            return RequestError.REQUEST.answer()
        finally:
            outbox.is_posted_to = False
        return web.Response(text="ok", content_type="text/html")

    async def _fail(self, client: AsyncSocket) -> None:
        await client.close(wait=False, abort=True, reason=self.reason.TRANSPORT_ERROR)

    async def _body(self, request: web.Request) -> bytes | None:
        """None if it is longer than a client may send."""
        body = bytearray()
        async with asyncio.timeout(self.post_seconds):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > self.max_http_buffer_size:
                    return None
        return bytes(body)


async def receive(client: AsyncSocket, kind: int, content: str | bytes) -> None:
    """A packet from a client. Raises ValueError for one that is the server's to send."""
    if kind == PING:
        raise ValueError("a client does not ping")
    if kind in (CLOSE, PONG, MESSAGE):
        await client.receive(Packet(kind, content))


async def end(client: AsyncSocket) -> None:
    """The client is to go: its session ends now, and the poll that waits, or comes next, says so."""
    await client.close(wait=False, abort=True)
    _put(client, CLOSE)


def close_session(client: AsyncSocket | None, reason: str) -> None:
    """The session of a client has ended, `reason` is python-engineio's: end what it is connected by, where that would not."""
    reasons = engineio.AsyncServer.reason
    if client is None or reason not in (reasons.CLIENT_DISCONNECT, reasons.PING_TIMEOUT, reasons.TRANSPORT_ERROR):
        return
    if client.upgraded or not isinstance(client.queue, PollQueue):
        _put(client, CLOSE)
    elif client.queue.is_waited_for:
        _put(client, NOOP if reason == reasons.CLIENT_DISCONNECT else CLOSE)
    else:
        client.queue.retire()


def _put(client: AsyncSocket, kind: int) -> None:
    client.queue.put_nowait(Packet(kind))
    if not isinstance(client.queue, PollQueue):
        client.queue.put_nowait(None)  # so python-engineio's own writer ends


def has_pending_close(client: AsyncSocket) -> bool:
    """Whether something waits for the next poll of a client whose session has ended."""
    return isinstance(client.queue, PollQueue) and not client.queue.empty()


class ConnectionMonitor:
    """Looks after the connections in place of python-engineio, which comes to each only once in a `ping_timeout`."""

    def __init__(self, server: engineio.AsyncServer) -> None:
        """Made for a server that does not monitor its clients itself."""
        self._server = server
        self._ended: dict[str, float] = {}

    async def look(self, now: float) -> None:
        """End those whose answer to a ping is overdue; forget what has ended, when it has been told so or has not asked."""
        sockets, oldest = self._server.sockets, time.time() - self._server.ping_timeout
        ended = {}
        for sid, client in list(sockets.items()):
            if not client.closed:
                if client.last_ping and client.last_ping < oldest:
                    await client.check_ping_timeout()
                continue
            since = self._ended.get(sid, now)
            if has_pending_close(client) and now - since < _LAST_WORDS_SECONDS:
                ended[sid] = since
            else:
                sockets.pop(sid, None)
        self._ended = ended


class WebSocket(driver.WebSocket):  # type: ignore[misc]  # python-engineio has no types
    """A client's WebSocket, in place of python-engineio's on aiohttp."""

    def __init__(self, handler: Callable[..., Any], server: EngineServer) -> None:
        super().__init__(handler, server)
        self.client = handler.__self__  # type: ignore[attr-defined]  # it is a method of the client's AsyncSocket
        self.wire: FrameWriter

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the client until it goes. Compression is ours: aiohttp would compress for each client anew."""
        request = environ["aiohttp.request"]
        limit = self.server.max_http_buffer_size + 1  # aiohttp lets through what is shorter
        self._sock = web.WebSocketResponse(max_msg_size=limit, compress=self.server.compression)
        await self._sock.prepare(request)
        writer: Any = self._sock._writer  # noqa: SLF001
        self.wire = FrameWriter(writer.transport, deflates=writer.compress == _WINDOW_BITS and not writer.notakeover)
        writer.compress = 0
        if not self.client.connected or await self._upgrade():
            await self._serve()
        else:
            self.wire.transport.close()
        self._sock._exception = None  # noqa: SLF001 - that it is closed; its traceback holds all that there was, 13 KB
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
    def _is(message: Any, kind: int, content: str | None = None) -> bool:  # noqa: ANN401
        if message.type is not WSMsgType.TEXT:
            return False
        got = parse_packet(message.data)
        return got[0] == kind and content in (None, got[1])

    async def _serve(self) -> None:
        """All that the client sends, until it goes or breaks the rules of Engine.IO."""
        client = self.client
        client.connected = client.upgraded = True
        client.queue.pour_into(self)
        try:
            async for message in self._sock:
                if message.type is WSMsgType.TEXT:
                    await receive(client, *parse_packet(message.data))
                elif message.type is WSMsgType.BINARY:
                    await receive(client, MESSAGE, message.data)
        except (ValueError, EngineIOError):
            self.wire.disconnect("malformed")
        finally:
            await client.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            client.queue.retire()

    def post(self, packet: Packet | None) -> None:
        """Write a packet; None, or Engine.IO's CLOSE, ends the connection behind it."""
        if self.wire.transport.is_closing():
            return
        if packet is not None:
            encoded = packet.encode()
            self.wire.send(text_frame(encoded.encode()))
        if packet is None or packet.packet_type == CLOSE:
            self.wire.part(GOING_AWAY, "")  # aiohttp's client waits ten seconds for it


def _packets(batch: EncodedBatch) -> list[Packet]:
    """For those who poll; python-engineio writes the 4 of a message itself."""
    return [Packet(MESSAGE, text[1:]) for text in batch.texts]


class DirectTransport:
    """The way to one client of `SocketServer`."""

    __slots__ = ("_client", "_leave")

    def __init__(self, client: AsyncSocket, leave: Callable[[AsyncSocket], None]) -> None:
        """`client` is python-engineio's socket, with an `PollQueue`; `leave` takes a long-polling one that is to be closed."""
        self._client = client
        self._leave = leave

    def waiting_bytes(self) -> int:
        """In the `PollQueue` or in the transport."""
        queue = self._client.queue
        waiting: int = queue.waiting_bytes if queue.websocket is None else queue.websocket.wire.waiting_bytes()
        return waiting

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        """Straight to the transport, or behind what waits for the next poll."""
        client = self._client
        if client.closed or client.closing:
            return True
        websocket = client.queue.websocket
        if websocket is not None:
            written: bool = websocket.wire.write(batch, limit_bytes)
            return written
        if client.queue.waiting_bytes >= limit_bytes:
            return False
        for packet in batch.derived(_packets):
            client.queue.put_nowait(packet)
        return True

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Told by the transport; one that polls is looked at."""
        websocket = self._client.queue.websocket
        if websocket is not None:
            websocket.wire.when_drained(waiting_bytes, then)

    def disconnect(self, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close with the reason; a client that does not read is left without a word."""
        websocket = self._client.queue.websocket
        if websocket is None:
            self._leave(self._client)
        else:
            websocket.wire.disconnect(reason, code)


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

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        """One emit a message."""
        if self.waiting_bytes() >= limit_bytes:
            return False
        self.unsent += len(batch.texts)
        self._emits.extend((self, text) for text in batch.texts)
        return True

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """It is looked at: python-engineio does not tell."""

    def disconnect(self, reason: str, code: int = POLICY_VIOLATION) -> None:  # noqa: ARG002 - python-socketio has no way to tell it
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
