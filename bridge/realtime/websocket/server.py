"""Plain WebSockets: connections, limits, pings and JSON messages; what the messages mean is their dialect's.

aiohttp gives the connection and what is read from it (`set_parser`); the handshake and the frames are ours. A client is one
task, the request's own, and what is sent to it goes straight to its transport, as in `straight.py`. Measured with 1,000
clients on Python 3.11: 7-16 KB each; with 50 clients and 20,000 readings at once: 66 µs of CPU a reading for all of them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from bridge.core.access.permissions import Identity, Permission
from bridge.core.errors import BridgeError
from bridge.http.credentials import Credentials, credentials_from_handshake, select_subprotocol
from bridge.http.origins import check_origin
from bridge.http.proxies import client_address_of
from bridge.realtime.auth.authenticator import Authenticator, Disconnect, disconnect_for
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.frames import GOING_AWAY, INTERNAL_ERROR, control_frame
from bridge.realtime.hub.hub import ConnectionClosed, Hub
from bridge.realtime.hub.publication import Encoder
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.handshake import upgrade
from bridge.realtime.websocket.login import AUTH, JsonLogin, WebSocketLogin, as_object, auth_ok, token_in
from bridge.realtime.websocket.parser import PING
from bridge.realtime.websocket.writer import FrameWriter
from bridge.settings import HttpSettings, RealtimeSettings

log = logging.getLogger(__name__)

_SILENT = "ping"


class MessageHandler(Protocol):
    """What a dialect makes of a plain WebSocket."""

    @property
    def encoder(self) -> Encoder:
        """How it looks to all of its clients."""
        ...

    def on_connect(self, client: ClientConnection, who: Identity) -> None:
        """It has connected; what is sent to it here comes first."""
        ...

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        """It sent a JSON object. May raise `ValueError`, which it is told, and `ConnectionClosed`."""
        ...

    def on_disconnect(self, client: ClientConnection) -> None:
        """It has gone."""
        ...


class WebSocketServer:
    """All clients of the plain dialects."""

    def __init__(
        self, http: HttpSettings, settings: RealtimeSettings, hub: Hub, limiter: ConnectionLimiter, authenticator: Authenticator
    ) -> None:
        """Adds itself to `hub`; connections and messages are counted at `limiter`, who may come in is asked at `authenticator`."""
        self._http = http
        self._settings = settings
        self._hub = hub
        self._limiter = limiter
        self._authenticator = authenticator
        permissions, seconds = (Permission.READ,), authenticator.login_seconds
        self._login = WebSocketLogin(authenticator, http, permissions, seconds, anonymous=True)
        self._clients: dict[ClientConnection, None] = {}
        self._to_ping: dict[ClientConnection, float] = {}  # and when; of who has gone nothing may stay in here
        self._to_hear: deque[tuple[float, float, ClientConnection]] = deque()
        hub.add_protocol(self)

    async def serve(self, request: web.Request, talk: MessageHandler, subscription: Subscription = ALL) -> web.StreamResponse:
        """Serve a client until it goes; raises an HTTP error when it is not let in."""
        return await self.handle(request, partial(self._talk, talk, subscription, request))

    async def serve_secure(
        self, request: web.Request, asked: Callable[[], tuple[MessageHandler, Subscription]]
    ) -> web.StreamResponse:
        """The same where nobody is let in who has shown nothing, and the address may hold the token."""
        if not self._authenticator.required:
            return await self.refuse(request, UNAUTHORIZED, "a valid token is needed: ?token=")
        return await self.handle(request, partial(self._talk, *asked(), request, by_query=True), by_query=True)

    async def refuse(self, request: web.Request, code: int, reason: str) -> web.StreamResponse:
        """Let a client in only to close with a code, which a page can read, as it cannot read an HTTP status."""

        async def close(client: ClientConnection) -> None:
            client.close(code, reason, "refused")

        return await self.handle(request, close)

    async def handle(
        self, request: web.Request, converse: Callable[[ClientConnection], Awaitable[None]], *, by_query: bool = False
    ) -> web.StreamResponse:
        """Let a client in, `converse` with it to its end, and see it off; raises an HTTP error when it is not let in."""
        client, response = await self._admit(request, by_query=by_query)
        try:
            await converse(client)
        except Disconnect as refusal:
            if refusal.message is not None:
                client.send_text(refusal.message)
            client.close(refusal.code, refusal.reason, refusal.counted)
        except Exception:  # an answer by HTTP would be none any more
            log.exception("a conversation at %r failed", request.path)
            client.close(INTERNAL_ERROR, "the bridge made a mistake; its log tells more", "mistake")
        finally:
            client.close(GOING_AWAY, "")
            self._limiter.remove(client)
            del self._clients[client]
            self._to_ping.pop(client, None)
        await client.gone
        return response

    async def _talk(
        self,
        talk: MessageHandler,
        subscription: Subscription,
        request: web.Request,
        client: ClientConnection,
        *,
        by_query: bool = False,
    ) -> None:
        messages, protocol = client.messages(), JsonLogin(talk.encoder)
        connection = await self._login.log_in(client, messages, request, self.address(request), protocol, by_query=by_query)
        if connection is None:
            return
        self.mark_authenticated(client)
        talk.on_connect(client, connection.identity)
        visible = self._visible(connection, subscription)
        client.session = self._hub.add_client(talk.encoder, client, visible, waits_for_subscribe=False)
        try:
            await self._listen(client, messages, talk, connection)
        finally:
            self._hub.remove_client(client.session)
            del client.session  # or the two would hold each other until the collector comes by
            talk.on_disconnect(client)
            self._authenticator.connections.remove(connection)

    def _visible(self, connection: AuthenticatedConnection, subscription: Subscription) -> Subscription:
        return replace(subscription, device_filter=self._authenticator.device_filter(connection.identity))

    def mark_authenticated(self, client: ClientConnection) -> None:
        """It has logged in."""
        self._limiter.mark_authenticated(client)
        client.mark_authenticated()

    def address(self, request: web.Request) -> str:
        """Of a client, behind the proxies we trust."""
        return client_address_of(request, self._http)

    async def _admit(self, request: web.Request, *, by_query: bool) -> tuple[ClientConnection, web.StreamResponse]:
        address = self.address(request)
        check_origin(request, self._http)
        shown = partial(credentials_from_handshake, request, self._http, by_query=by_query)
        if full := await self._authenticator.refusal(self._limiter, address, request.path, shown):
            raise web.HTTPServiceUnavailable(text=full, headers={"Retry-After": "5"})
        response, deflates = await upgrade(
            request, compress=self._settings.compression, subprotocol=select_subprotocol(request)
        )
        if request.transport is None:
            raise web.HTTPBadRequest(text="the client has gone")  # which nobody will read
        wire = FrameWriter(request.transport, deflates=deflates)
        protocol: Any = request.protocol
        waiting, known = self._settings.client_buffer_bytes, not self._authenticator.required
        client = ClientConnection(self, wire, protocol, waiting, inflates=deflates, known=known)
        now = self.now()
        self._limiter.add(client, address, now)
        self._limiter.handshake_done(client)
        self._clients[client] = None
        self._to_ping[client] = now + self._settings.ping_interval_seconds
        protocol.set_parser(client)
        return client, response

    async def _listen(
        self, client: ClientConnection, messages: AsyncIterator[bytes], talk: MessageHandler, login: AuthenticatedConnection
    ) -> None:
        async for text in messages:
            try:
                message = as_object(text)
                if message.get("type") == AUTH:
                    await self._renew(client, message, login)
                else:
                    await talk.on_message(client, message)
            except ConnectionClosed:
                return
            except ValueError as error:
                client.send({"type": "error", "error": str(error)})

    async def _renew(self, client: ClientConnection, message: dict[str, Any], login: AuthenticatedConnection) -> None:
        """Replace the client's credentials, which may change what it sees. Raises `ValueError` and `ConnectionClosed`."""
        try:
            await self._authenticator.renew(login, Credentials(token_in(message)))
        except BridgeError as error:
            raise ValueError(disconnect_for(error).reason) from None
        client.send_text(auth_ok(login))
        subscription = self._visible(login, client.session.subscription)
        if subscription != client.session.subscription:
            await self._hub.set_subscription(client.session, subscription)

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def count(self, reason: str) -> None:
        """A client was told to go."""
        self._hub.count_disconnect(reason)

    def allow_message(self, client: ClientConnection) -> bool:
        """Whether it keeps to its message rate; a frame is a message here, a ping too."""
        return self._limiter.allow_message(client, self.now())

    def disconnect(self, client: ClientConnection, reason: str) -> None:
        """End a connection, and count why."""
        self._hub.disconnect(client, reason)

    async def tick(self) -> None:
        """Ping those whose time it is, and cut those that did not answer.

        Both wait as long for every client, so that each queue is in order of time and only its head is looked at.
        """
        now = self.now()
        while self._to_hear and self._to_hear[0][0] <= now:
            _, pinged_at, client = self._to_hear.popleft()
            if client in self._clients and client.heard_at < pinged_at and not client.paused:
                self.disconnect(client, _SILENT)
        while self._to_ping:
            client, due = next(iter(self._to_ping.items()))
            if due > now:
                break
            del self._to_ping[client]
            client.send_frame(control_frame(PING, b""))
            self._to_ping[client] = now + self._settings.ping_interval_seconds
            self._to_hear.append((now + self._settings.ping_timeout_seconds, now, client))

    async def close(self) -> None:
        """Take leave of every client."""
        for client in tuple(self._clients):
            client.leave()
