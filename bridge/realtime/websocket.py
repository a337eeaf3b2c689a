"""Plain WebSockets: connections, limits, pings and JSON messages; what the messages mean is their dialect's.

aiohttp gives the connection and what is read from it (`set_parser`); the handshake and the frames are ours. A client is one
task, the request's own, and what is sent to it goes straight to its transport, as in `straight.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

import orjson
from aiohttp import web

from bridge.realtime.audience import EVERYTHING, Wish
from bridge.realtime.frames import POLICY_VIOLATION, close_frame, control_frame, text_frame
from bridge.realtime.gate import Gate, client_address
from bridge.realtime.handshake import check_origin, upgraded
from bridge.realtime.hub import SLOW, Hub, Left
from bridge.realtime.incoming import (
    BINARY,
    CLOSE,
    GOING_AWAY,
    PING,
    PONG,
    TEXT,
    UNSUPPORTED,
    FrameReader,
    Incoming,
    ProtocolError,
)
from bridge.realtime.parcel import Encoder, Parcel
from bridge.realtime.session import Session
from bridge.realtime.wire import Wire
from bridge.settings import HttpSettings, RealtimeSettings

MESSAGE_LIMIT_BYTES = 64 * 1024
_UNREAD_BYTES = 64 * 1024  # of messages that wait for their turn; from there on we stop reading from the client
_BINARY, _MALFORMED, _RATE, _PING = "binary", "malformed", "rate", "ping"


class Talk(Protocol):
    """What a dialect makes of a plain WebSocket."""

    @property
    def encoder(self) -> Encoder:
        """How it looks to all of its clients."""
        ...

    def greet(self, client: Client) -> None:
        """It has connected; what is sent to it here comes first."""
        ...

    async def hear(self, client: Client, message: dict[str, Any]) -> None:
        """It sent a JSON object. May raise `ValueError`, which it is told, and `Left`."""
        ...

    def forget(self, client: Client) -> None:
        """It has gone."""
        ...


class Client:
    """One connection: the parser that aiohttp feeds, and the link that the hub writes to."""

    __slots__ = (
        "_ended", "_limit", "_messages", "_owner", "_protocol", "_reader", "_unread", "_woken", "gone", "heard_at", "session",
        "wire",
    )  # fmt: skip

    def __init__(self, owner: WebSockets, wire: Wire, protocol: Any, limit: int, *, inflates: bool) -> None:  # noqa: ANN401
        """`protocol` is aiohttp's, to be told to stop reading; `limit` is how many bytes may wait for the client."""
        loop = asyncio.get_running_loop()
        self.wire = wire
        self.session: Session
        self.heard_at = 0.0
        self.gone: asyncio.Future[None] = loop.create_future()
        self._owner = owner
        self._protocol = protocol
        self._limit = limit
        self._reader = FrameReader(MESSAGE_LIMIT_BYTES, inflates=inflates)
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
                self.end(error.code, str(error), _MALFORMED)
        return False, b""

    def feed_eof(self) -> None:
        """The connection is gone."""
        self._ended = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._wake()

    def _take(self, incoming: Incoming) -> None:
        self.heard_at = self._owner.now()
        if not self._owner.takes(self):
            self._owner.cut(self, _RATE)
        elif incoming.opcode == TEXT:
            self._gather(incoming.payload)
        elif incoming.opcode == PING:
            self.send_frame(control_frame(PONG, incoming.payload))
        elif incoming.opcode == CLOSE:
            self.end(int.from_bytes(incoming.payload, "big") or None, "")
        elif incoming.opcode == BINARY:
            self.end(UNSUPPORTED, "messages here are text", _BINARY)

    def _gather(self, text: bytes) -> None:
        self._messages.append(text)
        self._unread += len(text)
        if self._unread > _UNREAD_BYTES:
            self._protocol.pause_reading()
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """The texts it sends, until its end."""
        while True:
            while self._messages and not self._ended:
                text = self._messages.popleft()
                self._unread -= len(text)
                if not self._messages:
                    self._protocol.resume_reading()
                yield text
            if self._ended:
                return
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken

    # --- out ---------------------------------------------------------------------------------------------------------------

    def waiting_bytes(self) -> int:
        """In its transport."""
        return self.wire.waiting_bytes()

    def write(self, parcel: Parcel) -> None:
        """Straight to its transport."""
        self.wire.write(parcel)

    def cut(self, reason: str) -> None:
        """End the connection; one that does not read is left without a word."""
        if not self._ended:
            self._ended = True
            if self.wire.waiting_bytes():
                self.wire.transport.abort()
            else:
                self.wire.part(POLICY_VIOLATION, reason)
            self._wake()

    def send(self, message: dict[str, Any]) -> None:
        """An answer."""
        self.send_frame(text_frame(orjson.dumps(message)))

    def send_frame(self, frame: bytes) -> None:
        """One frame; a client that reads no answers is cut."""
        if self._ended:
            return
        if self.wire.waiting_bytes() > self._limit:
            self._owner.cut(self, SLOW)
        else:
            self.wire.send(frame)

    def end(self, code: int | None, text: str, counted: str | None = None) -> None:
        """Close with a code, and let the client read why; `counted` is the reason in the counter of those we ended."""
        if self._ended:
            return
        self._ended = True
        if counted is not None:
            self._owner.count(counted)
        self.wire.part(code, text)
        self._wake()

    def leave(self) -> None:
        """The bridge stops: say so, and do not wait for one that does not read."""
        if not self._ended:
            self._ended = True
            self.wire.send(close_frame(GOING_AWAY, "the bridge is stopping"))
            self.wire.close_soon()
            self._wake()


class WebSockets:
    """All clients of the plain dialects."""

    def __init__(self, http: HttpSettings, settings: RealtimeSettings, hub: Hub, gate: Gate) -> None:
        """Adds itself to `hub`; connections and messages are counted at `gate`."""
        self._http = http
        self._settings = settings
        self._hub = hub
        self._gate = gate
        self._clients: dict[Client, None] = {}
        self._to_ping: deque[tuple[float, Client]] = deque()
        self._to_hear: deque[tuple[float, float, Client]] = deque()
        self.now = time.monotonic
        self.count = hub.count_cut
        hub.add(self)

    async def serve(self, request: web.Request, talk: Talk, wish: Wish = EVERYTHING) -> web.StreamResponse:
        """Serve a client until it goes; raises an HTTP error when it is not let in."""
        client, response = await self._admit(request)
        try:
            talk.greet(client)
            client.session = self._hub.join(talk.encoder, client, wish, settles=False)
            try:
                await self._listen(client, talk)
            finally:
                self._hub.leave(client.session)
                talk.forget(client)
        finally:
            self._gate.leave(client)
            del self._clients[client]
        await client.gone
        return response

    async def refuse(self, request: web.Request, code: int, reason: str) -> web.StreamResponse:
        """Let a client in only to close with a code, which a page can read, as it cannot read an HTTP status."""
        client, response = await self._admit(request)
        client.end(code, reason, "refused")
        self._gate.leave(client)
        del self._clients[client]
        await client.gone
        return response

    async def _admit(self, request: web.Request) -> tuple[Client, web.StreamResponse]:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        address = client_address(request.remote, forwarded, self._http.trusted_proxies)
        check_origin(request, self._http.cors_origins)
        if full := self._gate.refusal(address):
            raise web.HTTPServiceUnavailable(text=full, headers={"Retry-After": "5"})
        response, deflates = await upgraded(request, compress=self._settings.compression)
        if request.transport is None:
            raise web.HTTPBadRequest(text="the client has gone")  # which nobody will read
        wire = Wire(request.transport, deflates=deflates)
        protocol: Any = request.protocol
        client = Client(self, wire, protocol, self._settings.client_buffer_bytes, inflates=deflates)
        now = self.now()
        self._gate.enter(client, address, now)
        self._gate.shake(client)
        self._clients[client] = None
        self._to_ping.append((now + self._settings.ping_interval_seconds, client))
        protocol.set_parser(client)
        return client, response

    async def _listen(self, client: Client, talk: Talk) -> None:
        async for text in client.messages():
            try:
                await talk.hear(client, _object(text))
            except Left:
                return
            except ValueError as error:
                client.send({"type": "error", "error": str(error)})

    def takes(self, client: Client) -> bool:
        """Whether it keeps to its message rate; a frame is a message here, a ping too."""
        return self._gate.takes(client, self.now())

    def cut(self, client: Client, reason: str) -> None:
        """End a connection, and count why."""
        self._hub.cut(client, reason)

    async def tend(self) -> None:
        """Ping those whose time it is, and cut those that did not answer.

        Both wait as long for every client, so that each queue is in order of time and only its head is looked at.
        """
        now = self.now()
        while self._to_hear and self._to_hear[0][0] <= now:
            _, pinged_at, client = self._to_hear.popleft()
            if client in self._clients and client.heard_at < pinged_at:
                self.cut(client, _PING)
        while self._to_ping and self._to_ping[0][0] <= now:
            _, client = self._to_ping.popleft()
            if client in self._clients:
                client.send_frame(control_frame(PING, b""))
                self._to_ping.append((now + self._settings.ping_interval_seconds, client))
                self._to_hear.append((now + self._settings.ping_timeout_seconds, now, client))

    async def close(self) -> None:
        """Take leave of every client."""
        for client in tuple(self._clients):
            client.leave()


def _object(text: bytes) -> dict[str, Any]:
    """Raises `ValueError` with what is wrong."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ValueError('the message is not a JSON object; one looks like {"type": "ping"}')  # noqa: TRY004
    return cast("dict[str, Any]", message)
