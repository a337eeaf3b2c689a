"""Plain WebSockets: connections, limits, pings and JSON messages. The messages' meaning is left to a `MessageHandler`.

aiohttp provides the connection and the bytes read from it (`set_parser`); handshake and frames are our own. A client costs one
task, the request's own, and is written to directly. Measured with 1,000 clients on Python 3.11: 7-16 KB each; with 50 clients
and 20,000 readings at once: 66 µs of CPU per reading for all of them.
"""

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
from bridge.realtime.auth.expiry import AuthenticatedConnection
from bridge.realtime.frames import GOING_AWAY, INTERNAL_ERROR, control_frame
from bridge.realtime.hub.encoding import Encoder
from bridge.realtime.hub.hub import ConnectionClosed, Hub
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.handshake import upgrade
from bridge.realtime.websocket.login import AUTH, JsonLogin, WebSocketLogin, as_object, auth_ok, token_in
from bridge.realtime.websocket.parser import PING
from bridge.realtime.websocket.writer import FrameWriter
from bridge.settings import HttpSettings, RealtimeSettings

log = logging.getLogger(__name__)


class MessageHandler(Protocol):
    """A protocol of JSON messages over a plain WebSocket."""

    @property
    def encoder(self) -> Encoder:
        """The encoder of events for all of its clients."""

    @property
    def channel(self) -> str | None:
        """The channel of its clients, which accounts may be limited to; None if it has no channels."""

    def on_connect(self, client: ClientConnection, identity: Identity) -> None:
        """Handle a new client. Messages sent here precede all events."""

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        """Handle a JSON object from a client. May raise `ValueError`, sent as an error message, and `ConnectionClosed`."""

    def on_disconnect(self, client: ClientConnection) -> None:
        """Forget a client that has left."""


class WebSocketServer:
    def __init__(
        self, http: HttpSettings, settings: RealtimeSettings, hub: Hub, limiter: ConnectionLimiter, authenticator: Authenticator
    ) -> None:
        """Registers itself with `hub`."""
        self._http = http
        self._settings = settings
        self._hub = hub
        self._limiter = limiter
        self._authenticator = authenticator
        self._login = WebSocketLogin(authenticator, http, (Permission.READ,), authenticator.login_seconds, anonymous=True)
        self._clients: dict[ClientConnection, None] = {}
        self._ping_due: dict[ClientConnection, float] = {}
        self._pong_due: deque[tuple[float, float, ClientConnection]] = deque()  # deadline, when the ping was sent, client
        hub.add_protocol(self)

    async def serve(
        self, request: web.Request, handler: MessageHandler, subscription: Subscription = ALL
    ) -> web.StreamResponse:
        """Serve a client until it leaves. Raises an HTTP error if the connection is refused."""
        return await self.handle(request, partial(self._serve_client, handler, subscription, request))

    async def serve_secure(
        self, request: web.Request, select: Callable[[], tuple[MessageHandler, Subscription]]
    ) -> web.StreamResponse:
        """Serve only clients whose handshake holds credentials, while access is open too; the query may hold the token.

        `select` may raise an HTTP error.
        """
        return await self.handle(request, partial(self._serve_client, *select(), request, by_query=True), by_query=True)

    async def refuse(self, request: web.Request, code: int, reason: str) -> web.StreamResponse:
        """Accept a client only to close with a code: a web page can read a close code, but not an HTTP status."""

        async def close(client: ClientConnection) -> None:
            client.close(code, reason, "refused")

        return await self.handle(request, close)

    async def handle(
        self, request: web.Request, handler: Callable[[ClientConnection], Awaitable[None]], *, by_query: bool = False
    ) -> web.StreamResponse:
        """Accept a client, run `handler` and close. Raises an HTTP error if the connection is refused."""
        client, response = await self._accept(request, by_query=by_query)
        began = time.monotonic()
        log.debug("websocket: %s connected to %s: %d connections", self.address(request), request.path, len(self._clients))
        try:
            await handler(client)
        except Disconnect as refusal:
            if refusal.message is not None:
                client.send_text(refusal.message)
            client.close(refusal.code, refusal.reason, refusal.counted)
        except Exception:  # an HTTP error can no longer be sent
            log.exception(
                "websocket: handler of %r failed: connection closed with %d; report this", request.path, INTERNAL_ERROR
            )
            client.close(INTERNAL_ERROR, "internal error; see the bridge's log", "mistake")
        finally:
            client.close(GOING_AWAY, "")
            self._limiter.remove(client)
            del self._clients[client]
            self._ping_due.pop(client, None)
            lasted = time.monotonic() - began
            log.debug("websocket: %s disconnected from %s after %.1f s", self.address(request), request.path, lasted)
        await client.gone
        return response

    async def _serve_client(
        self,
        handler: MessageHandler,
        subscription: Subscription,
        request: web.Request,
        client: ClientConnection,
        *,
        by_query: bool = False,
    ) -> None:
        messages, protocol = client.messages(), JsonLogin(handler.encoder)
        connection = await self._login.log_in(
            client, messages, request, self.address(request), protocol, by_query=by_query, channel=handler.channel
        )
        if connection is None:
            return
        self.mark_authenticated(client)
        handler.on_connect(client, connection.identity)
        visible = self._visible(connection, subscription)
        client.session = self._hub.add_client(handler.encoder, client, visible, waits_for_subscribe=False)
        try:
            await self._handle_messages(client, messages, handler, connection)
        finally:
            self._hub.remove_client(client.session)
            del client.session  # breaks the reference cycle, so that both are freed without the garbage collector
            handler.on_disconnect(client)
            self._authenticator.connections.remove(connection)

    def _visible(self, connection: AuthenticatedConnection, subscription: Subscription) -> Subscription:
        """Limit a subscription to the devices that the client may read."""
        return replace(subscription, device_filter=self._authenticator.device_filter(connection.identity))

    def mark_authenticated(self, client: ClientConnection) -> None:
        self._limiter.mark_authenticated(client)
        client.mark_authenticated()

    def address(self, request: web.Request) -> str:
        return client_address_of(request, self._http)

    async def _accept(self, request: web.Request, *, by_query: bool) -> tuple[ClientConnection, web.StreamResponse]:
        address = self.address(request)
        check_origin(request, self._http, required=self._authenticator.required)
        credentials = partial(credentials_from_handshake, request, self._http, self._authenticator.cookie_id, by_query=by_query)
        if refusal := await self._authenticator.refusal(self._limiter, address, request.path, credentials):
            raise web.HTTPServiceUnavailable(text=refusal, headers={"Retry-After": "5"})
        response, deflates = await upgrade(
            request, compress=self._settings.compression, subprotocol=select_subprotocol(request)
        )
        if request.transport is None:
            raise web.HTTPBadRequest(text="the client has disconnected")  # ends the request; the response is not sent
        protocol: Any = request.protocol
        client = ClientConnection(
            self._hub,
            self._limiter,
            FrameWriter(request.transport, deflates=deflates),
            protocol,
            self._settings.client_buffer_bytes,
            inflates=deflates,
            authenticated=not self._authenticator.required,
        )
        now = time.monotonic()
        self._limiter.add(client, address, now)
        self._limiter.handshake_done(client)
        self._clients[client] = None
        self._ping_due[client] = now + self._settings.ping_interval_seconds
        protocol.set_parser(client)
        return client, response

    async def _handle_messages(
        self,
        client: ClientConnection,
        messages: AsyncIterator[bytes],
        handler: MessageHandler,
        connection: AuthenticatedConnection,
    ) -> None:
        async for text in messages:
            try:
                message = as_object(text)
                if message.get("type") == AUTH:
                    await self._renew(client, connection, token_in(message))
                else:
                    await handler.on_message(client, message)
            except ConnectionClosed:
                return
            except ValueError as error:
                client.send({"type": "error", "error": str(error)})

    async def _renew(self, client: ClientConnection, connection: AuthenticatedConnection, token: str) -> None:
        """Replace a client's credentials and device filter. Raises `ValueError` and `ConnectionClosed`."""
        try:
            await self._authenticator.renew(connection, Credentials(token))
        except BridgeError as error:
            raise ValueError(disconnect_for(error).reason) from None
        client.send_text(auth_ok(connection))
        subscription = self._visible(connection, client.session.subscription)
        if subscription != client.session.subscription:
            await self._hub.set_subscription(client.session, subscription)

    def disconnect(self, client: ClientConnection, reason: str) -> None:
        self._hub.disconnect(client, reason)

    async def tick(self) -> None:
        """Send the pings that are due, and disconnect clients that did not answer.

        Interval and timeout are the same for every client, so both queues are ordered by time and only their heads are checked.
        """
        now = time.monotonic()
        while self._pong_due and self._pong_due[0][0] <= now:
            _, pinged_at, client = self._pong_due.popleft()
            if client in self._clients and client.received_at < pinged_at and not client.paused:
                self.disconnect(client, "ping")
        while self._ping_due:
            client, due = next(iter(self._ping_due.items()))
            if due > now:
                break
            del self._ping_due[client]
            client.send_frame(control_frame(PING, b""))
            self._ping_due[client] = now + self._settings.ping_interval_seconds
            self._pong_due.append((now + self._settings.ping_timeout_seconds, now, client))

    async def close(self) -> None:
        for client in tuple(self._clients):
            client.leave()
