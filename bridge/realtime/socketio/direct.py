"""python-socketio's and python-engineio's servers, subclassed to write to clients directly, without queues and writer tasks.

Private names of python-socketio, python-engineio and aiohttp are used in this file only; `libraries.py` checks them at start.

python-engineio keeps a queue, a writing task and a reading task with timers per client. Here a WebSocket has one task, the
request's own, and no queue: everything is written to its transport at once, so the order of sending is the order on the wire.
A long-polling client has a `PollQueue`, which is emptied into the WebSocket when the client upgrades. Measured with 2,000
clients on Python 3.11: 22 KB each instead of 32.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import engineio
import socketio
from aiohttp import WSMsgType, web
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from engineio.packet import Packet

from bridge.realtime.frames import GOING_AWAY, binary_frame, text_frame
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
    request_error,
    request_parameters,
    wants_websocket,
)
from bridge.realtime.socketio.poll_queue import AnsweredPoll, PollQueue
from bridge.realtime.websocket.writer import FrameWriter

_WINDOW_BITS = 15  # a client with a smaller window is sent uncompressed messages


class ClientManager(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    """Calls `on_join(sid)` after a client has been sent its CONNECT."""

    def __init__(self, on_join: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._on_join = on_join

    async def connect(self, sid: str, namespace: str) -> None:
        await super().connect(sid, namespace)
        await self._on_join(sid)


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """python-socketio's server on `EngineServer`."""

    def _engineio_server_class(self) -> "type[EngineServer]":
        return EngineServer


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """python-engineio's server with `PollQueue`, `WebSocket`, and its own handling of POST.

    python-engineio reads the part of a body that has arrived, at most 16 packets, and always answers "OK".
    """

    compression = False
    upgrade_seconds = 10.0
    post_seconds = 10.0
    sid_prefix = ""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as the base class
        super().__init__(*arguments, **options)
        self._async = {**driver._async, "websocket": WebSocket}  # noqa: SLF001

    def generate_id(self) -> str:
        """Return an id that begins with `sid_prefix`, which tells other workers whose session it is."""
        return f"{self.sid_prefix}{super().generate_id()}"

    def create_queue(self, *_: Any, **__: Any) -> PollQueue:  # noqa: ANN401 - as the base class
        return PollQueue(self.ping_interval)

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the response to an invalid request; None if it is valid. A session whose pong is overdue ends here."""
        parameters = request_parameters(request.query_string)
        socket = self.sockets.get(parameters.get("sid"))
        if socket is not None and not socket.closed:
            await socket.check_ping_timeout()
        if socket is not None and socket.closed and (request.method != "GET" or socket.queue.empty()):
            socket = None  # python-engineio would raise KeyError
        error = request_error(parameters, request.method, socket, upgrade=wants_websocket(request.headers))
        return error.response() if error else None

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Handle a request for which `refusal` returned None."""
        socket = self.sockets.get(request_parameters(request.query_string).get("sid"))
        if socket is not None and request.method == "POST":
            return await self._handle_post(request, socket)
        if socket is not None and request.method == "GET" and not wants_websocket(request.headers):
            return await self._handle_poll(request, socket)
        if socket is not None and socket.upgraded and not socket.closed:  # python-engineio would answer 400
            return await WebSocket(socket._websocket_handler, self)({"aiohttp.request": request})  # noqa: SLF001
        response: web.StreamResponse = await super().handle_request(request)
        return response

    async def _handle_poll(self, request: web.Request, socket: AsyncSocket) -> web.StreamResponse:
        """Handle one poll at a time: packets given to an earlier, broken poll would be lost."""
        if socket.closed:
            packets = await socket.poll()
            return web.Response(text=SEPARATOR.join(packet.encode(b64=True) for packet in packets))
        queue = socket.queue
        if queue.is_awaited:
            await self._fail(socket)
            return web.Response(status=400)
        number = request_parameters(request.query_string).get("t")
        if number == queue.post_number:
            number = None  # the client does not number its requests
        if queue.answered is not None and queue.answered.is_repeated_by(number, request):
            repeated: web.Response = queue.answered.response()
            return repeated
        response: web.StreamResponse = await super().handle_request(request)
        if number is not None and isinstance(response, web.Response) and response.status == HTTPStatus.OK:
            queue.answered = AnsweredPoll.by(number, request, response)
        if request.transport is None:
            await self._fail(socket)
        elif socket.closed and not socket.queue.empty():  # python-engineio has removed it; the next poll reads the CLOSE
            self.sockets[socket.sid] = socket
        return response

    async def _handle_post(self, request: web.Request, socket: AsyncSocket) -> web.Response:
        """Receive all packets of a body or none; one body at a time."""
        queue = socket.queue
        if queue.is_receiving or request.headers.get("Content-Type") == "application/octet-stream":
            await self._fail(socket)
            return RequestError.REQUEST.response()
        queue.is_receiving = True
        queue.post_number = request_parameters(request.query_string).get("t")
        try:
            body = await self._read_body(request)
            if body is None:
                return web.Response(status=413)
            for packet in [parse_packet(text) for text in body.decode().split(SEPARATOR)]:
                await _receive(socket, *packet)
        except (ValueError, TimeoutError, ConnectionError, web.RequestPayloadError, RuntimeError):
            # Invalid packets, or an incomplete body: aiohttp raises RuntimeError if the client left before the first read.
            await self._fail(socket)
            return RequestError.REQUEST.response()
        finally:
            queue.is_receiving = False
        return web.Response(text="ok", content_type="text/html")

    async def _fail(self, socket: AsyncSocket) -> None:
        await socket.close(wait=False, abort=True, reason=self.reason.TRANSPORT_ERROR)

    async def _read_body(self, request: web.Request) -> bytes | None:
        """Return None if the body exceeds `max_http_buffer_size`."""
        body = bytearray()
        async with asyncio.timeout(self.post_seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > self.max_http_buffer_size:
                    return None
        return bytes(body)


async def _receive(socket: AsyncSocket, kind: int, content: str | bytes) -> None:
    """Handle a packet unless the client's pong is overdue. Raises `ValueError` for a PING, which only the server sends."""
    if kind == PING:
        raise ValueError("clients do not send PING")
    if kind in (CLOSE, PONG, MESSAGE) and (socket.closed or await socket.check_ping_timeout()):
        await socket.receive(Packet(kind, content))


class WebSocket(driver.WebSocket):  # type: ignore[misc]  # python-engineio has no types
    """A client's WebSocket, in place of python-engineio's driver for aiohttp."""

    def __init__(self, handler: Callable[..., Any], server: EngineServer) -> None:
        super().__init__(handler, server)
        self.socket = handler.__self__  # type: ignore[attr-defined]  # a bound method of the client's AsyncSocket
        self.writer: FrameWriter

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the client until it leaves. aiohttp's compression is switched off: it would compress for each client anew."""
        request = environ["aiohttp.request"]
        limit = self.server.max_http_buffer_size + 1  # aiohttp accepts only messages shorter than its limit
        self._sock = web.WebSocketResponse(max_msg_size=limit, compress=self.server.compression)
        try:
            await self._sock.prepare(request)
        except ConnectionError:
            await self._abandon()
            raise web.HTTPBadRequest(text="the client has disconnected") from None  # ends the request; it is not sent
        writer: Any = self._sock._writer  # noqa: SLF001
        self.writer = FrameWriter(writer.transport, deflates=writer.compress == _WINDOW_BITS and not writer.notakeover)
        writer.compress = 0
        if not self.socket.connected or await self._upgrade():
            await self._serve()
        else:
            self.writer.close(None, "")
            async for _ in self._sock:
                pass  # discard what still arrives, until the client closes or a second has passed
        self._sock._exception = None  # noqa: SLF001 - the traceback of its "closed" exception keeps 13 KB alive
        return self._sock

    async def _abandon(self) -> None:
        """Remove the session of a client that disconnected in its handshake, unless it is a long-polling one."""
        if not self.socket.connected:
            await self.socket.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            self.server.sockets.pop(self.socket.sid, None)

    async def _upgrade(self) -> bool:
        """Upgrade a long-polling client: it probes, its poll is ended, and it confirms. Return False if it does not."""
        socket = self.socket
        if socket.upgrading or socket.upgraded:  # a second WebSocket would bypass the connection limit
            return False
        socket.upgrading = True  # from here on polls return NOOP
        try:
            async with asyncio.timeout(self.server.upgrade_seconds):
                if not self._is(await self._sock.receive(), PING, "probe"):
                    return False
                self.writer.send(text_frame(Packet(PONG, data="probe").encode().encode()))
                if socket.queue.is_awaited:
                    socket.queue.put_nowait(Packet(NOOP))  # ends the waiting poll
                return self._is(await self._sock.receive(), UPGRADE)
        except (TimeoutError, ValueError):  # ValueError: not a packet
            return False
        finally:
            socket.upgrading = False

    @staticmethod
    def _is(message: Any, kind: int, content: str | None = None) -> bool:  # noqa: ANN401
        if message.type is not WSMsgType.TEXT:
            return False
        packet = parse_packet(message.data)
        return packet[0] == kind and content in (None, packet[1])

    async def _serve(self) -> None:
        """Receive packets until the client leaves or violates the protocol."""
        socket = self.socket
        socket.connected = socket.upgraded = True
        socket.queue.redirect_to(self)
        try:
            async for message in self._sock:
                if message.type is WSMsgType.TEXT:
                    await _receive(socket, *parse_packet(message.data))
                elif message.type is WSMsgType.BINARY:
                    await _receive(socket, MESSAGE, message.data)
        except (ValueError, EngineIOError):
            self.writer.disconnect("malformed")
        finally:
            await socket.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            socket.queue.retire()

    def post(self, packet: Packet | None) -> None:
        """Write a packet; None or a CLOSE closes the connection.

        As from Node's server, a CLOSE itself is not sent: python-socketio would not reconnect after it.
        """
        if self.writer.transport.is_closing():
            return
        if packet is not None and packet.packet_type != CLOSE:
            content = packet.encode()
            self.writer.send(text_frame(content.encode()) if isinstance(content, str) else binary_frame(content))
        if packet is None or packet.packet_type == CLOSE:
            self.writer.close(GOING_AWAY, "")  # without a close frame aiohttp's client waits for ten seconds
