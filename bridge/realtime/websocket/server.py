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
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from bridge.core.access.permissions import Identity
from bridge.http.credentials import Shown, shown_in_handshake, subprotocol_of
from bridge.http.origins import check_origin
from bridge.http.proxies import address_of
from bridge.realtime.auth.authenticator import Entrance
from bridge.realtime.auth.expiry import UNAUTHORIZED
from bridge.realtime.frames import GOING_AWAY, INTERNAL_ERROR, control_frame
from bridge.realtime.hub.hub import Hub, Left
from bridge.realtime.hub.publication import Encoder
from bridge.realtime.hub.subscriptions import EVERYTHING, Wish
from bridge.realtime.limits import Gate
from bridge.realtime.websocket.connection import Client
from bridge.realtime.websocket.handshake import upgraded
from bridge.realtime.websocket.login import AUTH, AUTH_OK, LoggedIn, Login, as_object, token_in
from bridge.realtime.websocket.parser import PING
from bridge.realtime.websocket.writer import Wire
from bridge.settings import HttpSettings, RealtimeSettings

log = logging.getLogger(__name__)

_SILENT = "ping"


class Talk(Protocol):
    """What a dialect makes of a plain WebSocket."""

    @property
    def encoder(self) -> Encoder:
        """How it looks to all of its clients."""
        ...

    def greet(self, client: Client, who: Identity) -> None:
        """It has connected; what is sent to it here comes first."""
        ...

    async def hear(self, client: Client, message: dict[str, Any]) -> None:
        """It sent a JSON object. May raise `ValueError`, which it is told, and `Left`."""
        ...

    def forget(self, client: Client) -> None:
        """It has gone."""
        ...


class WebSockets:
    """All clients of the plain dialects."""

    def __init__(self, http: HttpSettings, settings: RealtimeSettings, hub: Hub, gate: Gate, entrance: Entrance) -> None:
        """Adds itself to `hub`; connections and messages are counted at `gate`, who may come in is asked at `entrance`."""
        self._http = http
        self._settings = settings
        self._hub = hub
        self._gate = gate
        self._entrance = entrance
        self._login = Login(entrance, http)
        self._clients: dict[Client, None] = {}
        self._to_ping: dict[Client, float] = {}  # and when; of who has gone nothing may stay in here
        self._to_hear: deque[tuple[float, float, Client]] = deque()
        hub.add(self)

    async def serve(self, request: web.Request, talk: Talk, wish: Wish = EVERYTHING) -> web.StreamResponse:
        """Serve a client until it goes; raises an HTTP error when it is not let in."""
        return await self.attend(request, partial(self._talk, talk, wish, request))

    async def serve_secure(self, request: web.Request, asked: Callable[[], tuple[Talk, Wish]]) -> web.StreamResponse:
        """The same where nobody is let in who has shown nothing, and the address may hold the token."""
        if not self._login.required:
            return await self.refuse(request, UNAUTHORIZED, "a valid token is needed: ?token=")
        return await self.attend(request, partial(self._talk, *asked(), request, by_query=True), by_query=True)

    async def refuse(self, request: web.Request, code: int, reason: str) -> web.StreamResponse:
        """Let a client in only to close with a code, which a page can read, as it cannot read an HTTP status."""

        async def close(client: Client) -> None:
            client.end(code, reason, "refused")

        return await self.attend(request, close)

    async def attend(
        self, request: web.Request, converse: Callable[[Client], Awaitable[None]], *, by_query: bool = False
    ) -> web.StreamResponse:
        """Let a client in, `converse` with it to its end, and see it off; raises an HTTP error when it is not let in."""
        client, response = await self._admit(request, by_query=by_query)
        try:
            await converse(client)
        except Exception:  # an answer by HTTP would be none any more
            log.exception("a conversation at %r failed", request.path)
            client.end(INTERNAL_ERROR, "the bridge made a mistake; its log tells more", "mistake")
        finally:
            client.end(GOING_AWAY, "")
            self._gate.leave(client)
            del self._clients[client]
            self._to_ping.pop(client, None)
        await client.gone
        return response

    async def _talk(self, talk: Talk, wish: Wish, request: web.Request, client: Client, *, by_query: bool = False) -> None:
        messages = client.messages()
        address = self.address(request)
        login = await self._login.of(client, messages, request, address, talk.encoder, by_query=by_query)
        if login is None:
            return
        self.know(client)
        talk.greet(client, login.identity)
        client.session = self._hub.join(talk.encoder, client, login.narrowed(wish), settles=False)
        try:
            await self._listen(client, messages, talk, login)
        finally:
            self._hub.leave(client.session)
            del client.session  # or the two would hold each other until the collector comes by
            talk.forget(client)
            login.leave()

    def know(self, client: Client) -> None:
        """It has logged in."""
        self._gate.know(client)
        client.know()

    def address(self, request: web.Request) -> str:
        """Of a client, behind the proxies we trust."""
        return address_of(request, self._http)

    def shown(self, request: web.Request) -> Shown:
        """What a handshake shows; raises `Unauthorized`."""
        return shown_in_handshake(request, self._http)

    async def _admit(self, request: web.Request, *, by_query: bool) -> tuple[Client, web.StreamResponse]:
        address = self.address(request)
        check_origin(request, self._http)
        shown = partial(shown_in_handshake, request, self._http, by_query=by_query)
        if full := await self._entrance.refusal(self._gate, address, request.path, shown):
            raise web.HTTPServiceUnavailable(text=full, headers={"Retry-After": "5"})
        response, deflates = await upgraded(request, compress=self._settings.compression, subprotocol=subprotocol_of(request))
        if request.transport is None:
            raise web.HTTPBadRequest(text="the client has gone")  # which nobody will read
        wire = Wire(request.transport, deflates=deflates)
        protocol: Any = request.protocol
        waiting, known = self._settings.client_buffer_bytes, not self._login.required
        client = Client(self, wire, protocol, waiting, inflates=deflates, known=known)
        now = self.now()
        self._gate.enter(client, address, now)
        self._gate.shake(client)
        self._clients[client] = None
        self._to_ping[client] = now + self._settings.ping_interval_seconds
        protocol.set_parser(client)
        return client, response

    async def _listen(self, client: Client, messages: AsyncIterator[bytes], talk: Talk, login: LoggedIn) -> None:
        async for text in messages:
            try:
                message = as_object(text)
                if message.get("type") == AUTH:
                    await self._renew(client, message, login)
                else:
                    await talk.hear(client, message)
            except Left:
                return
            except ValueError as error:
                client.send({"type": "error", "error": str(error)})

    async def _renew(self, client: Client, message: dict[str, Any], login: LoggedIn) -> None:
        """It shows something newer, and may see more or less by that. Raises `ValueError` and `Left`."""
        client.send({"type": AUTH_OK, "expires": await login.renew(token_in(message))})
        wish = login.narrowed(client.session.wish)
        if wish != client.session.wish:
            await self._hub.change(client.session, wish)

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def count(self, reason: str) -> None:
        """A client was told to go."""
        self._hub.count_cut(reason)

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
            if client in self._clients and client.heard_at < pinged_at and not client.paused:
                self.cut(client, _SILENT)
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
