"""The Socket.IO dialect, by python-socketio on the same aiohttp application as everything else."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import socketio
from aiohttp import web
from pydantic import ValidationError

from bridge.core import events
from bridge.core.access.permissions import ANYONE, NOBODY, Identity
from bridge.core.devices.command import CommandRequest
from bridge.core.errors import BridgeError, CommandRejected, StoreUnavailable, UnknownDevice
from bridge.core.events import AuthExpiring, Event, Gap, SystemEvent
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.http.credentials import Credentials, credentials_from_handshake, has_query_token
from bridge.http.origins import may_connect
from bridge.http.proxies import client_address_of
from bridge.ports import CommandSender, DevicePresence
from bridge.realtime.auth.authenticator import Authenticator, disconnect_for
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.hub.hub import ConnectionClosed, Hub, SubscribeResult
from bridge.realtime.hub.publication import SENT_AT_PLACEHOLDER, Publication
from bridge.realtime.hub.requests import SubscribeRequest, UnsubscribeRequest, error_response
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import Subscription
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio import direct, packets
from bridge.realtime.socketio.auth import AUDITED_AS, PERMISSIONS, PendingConnections, token_of
from bridge.realtime.socketio.engineio import request_error, request_parameters, wants_websocket
from bridge.realtime.socketio.packets import CONNECT, NAMESPACE, InvalidPacket, ParsedPacket
from bridge.settings import HttpSettings, RealtimeSettings

log = logging.getLogger(__name__)

PATH = "/socket.io/"
MESSAGE_LIMIT_BYTES = 64 * 1024
STATUSES_LIMIT = 1000
"""A new client is told the present status of so many devices, those that changed last."""

_LEAVE_SECONDS = 1.0
_REFUSED_SECONDS = 0.5  # how long a client whose CONNECT was refused may stay to read that
_LOOK_SECONDS = 0.5  # how often we look whose answer to a ping is overdue
_MESSAGE = b"42"  # an event in a message of Engine.IO (4)
_METHODS = "OPTIONS, GET, POST"
_MALFORMED = "malformed"


class SocketIoServer:
    """Socket.IO clients: WebSocket and long-polling, protocol 5."""

    def __init__(
        self,
        http: HttpSettings,
        settings: RealtimeSettings,
        app: web.Application,
        hub: Hub,
        limiter: ConnectionLimiter,
        authenticator: Authenticator,
        *,
        presence: DevicePresence | None = None,
        commander: CommandSender | None = None,
    ) -> None:
        """Adds its routes to `app` and itself to `hub`; connections are counted at `limiter`, and let in at `authenticator`.

        `presence` tells the devices' statuses to new clients, `commander` takes their commands.
        """
        self._presence = presence
        self._commander = commander
        self._told: tuple[list[DeviceStatus], list[Publication]] = [], []
        self._http = http
        self._hub = hub
        self._limiter = limiter
        self._authenticator = authenticator
        self._arrivals = PendingConnections(authenticator, limiter, http)
        self._handshake_seconds = settings.handshake_seconds
        if authenticator.required:
            self._handshake_seconds = min(settings.handshake_seconds, authenticator.login_seconds)
        self._sessions: dict[str, Session] = {}
        self._stays: dict[str, AuthenticatedConnection] = {}
        self._leaving: list[Any] = []
        self._looked = 0.0
        self._emits = direct.Emits()
        self._clients = direct.ClientManager(self._joined)
        self._plain = direct.missing()
        if self._plain:
            log.warning("the straight way to clients is closed, sending is slower: %s is not as it was", self._plain)
        server = socketio.AsyncServer if self._plain else direct.SocketServer
        self._server = server(
            async_mode="aiohttp",
            client_manager=self._clients,
            cors_allowed_origins=[],  # `_handle` judges
            json=_Json,
            max_http_buffer_size=MESSAGE_LIMIT_BYTES,
            monitor_clients=False,
            ping_interval=settings.ping_interval_seconds,
            ping_timeout=settings.ping_timeout_seconds,
        )
        self._watch = direct.ConnectionMonitor(self._server.eio)
        self._server.eio.compression = settings.compression
        self._server.eio.upgrade_seconds = settings.handshake_seconds
        self._server.eio.post_seconds = http.post_seconds
        self._server.on("connect", self._welcome)
        self._server.on("disconnect", self._left)
        self._server.on("subscribe", self._subscribe)
        self._server.on("unsubscribe", self._unsubscribe)
        self._server.on("sendCommand", self._send_command)
        self._server.on("refresh", self._refresh)
        self._server.on("*", _unknown)
        self._watch_connections()
        app.router.add_route("*", PATH, self._handle)
        hub.add_protocol(self)

    # --- connections -----------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Every request of Engine.IO. Which pages may connect is judged here: python-socketio believes a forwarded host."""
        origin = request.headers.get("Origin")
        if origin and not may_connect(origin, request, self._http):
            raise web.HTTPBadRequest(text="pages of this origin may not connect here; http.cors_origins names those that may")
        answer = web.Response(status=204) if request.method == "OPTIONS" else await self._answer(request)
        if not answer.prepared:
            answer.headers["Cache-Control"] = "no-store"
            if origin:
                answer.headers.update(_granted(origin, request))
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = request_parameters(request.query_string)
        client = self._server.eio.sockets.get(asked.get("sid"))
        if client is not None and client.closed and not (request.method == "GET" and direct.has_pending_close(client)):
            client = None  # python-engineio would raise KeyError
        upgrade = wants_websocket(request.headers)
        if wrong := request_error(asked, request.method, client, upgrade=upgrade):
            return wrong.answer()
        if client is None and (full := await self._refusal(request)):
            raise web.HTTPServiceUnavailable(text=full, headers={"Retry-After": "5"})
        if self._authenticator.required and has_query_token(request):
            raise web.HTTPBadRequest(text="a token in the address is not looked at: show it by auth: {token}, or by header")
        answer: web.StreamResponse = await self._server.handle_request(request)
        return answer

    async def _refusal(self, request: web.Request) -> str | None:
        shown = partial(credentials_from_handshake, request, self._http)
        return await self._authenticator.refusal(self._limiter, self._address(request), AUDITED_AS, shown)

    def _address(self, request: web.Request) -> str:
        return client_address_of(request, self._http)

    def _watch_connections(self) -> None:
        """Put ourselves between Engine.IO and Socket.IO: what connects, what it sends, and its end."""
        engine = self._server.eio
        inner = {name: engine.handlers[name] for name in ("connect", "message", "disconnect")}

        async def connect(engine_sid: str, environ: dict[str, Any]) -> Any:  # noqa: ANN401 - as the inner one
            now = time.monotonic()
            self._limiter.add(engine_sid, self._address(environ["aiohttp.request"]), now)
            self._limiter.set_deadline(engine_sid, self._handshake_seconds, now)
            return await inner["connect"](engine_sid, environ)

        async def message(engine_sid: str, data: Any) -> None:  # noqa: ANN401 - what was JSON comes parsed
            if engine_sid not in self._limiter:  # it was cut; this came before
                return
            try:
                said = packets.read(data)
                self._check(engine_sid, said)
                if said.namespace == NAMESPACE:
                    await inner["message"](engine_sid, data)
                else:
                    await engine.send(engine_sid, packets.invalid_namespace(said.namespace))
            except InvalidPacket as error:
                self._cut(engine_sid, error.reason)
                return
            except (ValueError, TypeError, LookupError, AttributeError):  # what python-socketio cannot read
                self._cut(engine_sid, _MALFORMED)
                return
            if said.kind == CONNECT and self._clients.sid_from_eio_sid(engine_sid, NAMESPACE) not in self._sessions:
                self._limiter.set_deadline(engine_sid, _REFUSED_SECONDS, time.monotonic())

        async def disconnect(engine_sid: str, reason: str) -> None:
            self._limiter.remove(engine_sid)
            self._arrivals.remove(engine_sid)
            await inner["disconnect"](engine_sid, reason)
            direct.close_session(engine.sockets.get(engine_sid), reason)

        for handler in (connect, message, disconnect):
            engine.on(handler.__name__, handler)

    def _check(self, engine_sid: str, said: ParsedPacket) -> None:
        """Whether it is the time to say this: a client joins, once, and then says the rest. Raises `InvalidPacket`."""
        sid = self._clients.sid_from_eio_sid(engine_sid, NAMESPACE)
        if said.namespace != NAMESPACE:
            in_turn = said.kind == CONNECT
        else:
            in_turn = sid is None if said.kind == CONNECT else sid in self._sessions
        if not in_turn:
            raise InvalidPacket("order")
        if not self._limiter.allow_message(engine_sid, time.monotonic()):
            raise InvalidPacket("rate")

    def _cut(self, engine_sid: str, reason: str, code: int = POLICY_VIOLATION) -> None:
        self._limiter.remove(engine_sid)
        socket = self._server.eio.sockets.get(engine_sid)
        if socket is not None:
            self._hub.count_disconnect(reason)
            self._link(socket, engine_sid).disconnect(reason, code)

    def _link(self, socket: Any, sid: str) -> direct.DirectTransport | direct.PlainLink:  # noqa: ANN401 - engineio's
        if self._plain:
            return direct.PlainLink(socket, sid, self._emits, self._leaving.append)
        return direct.DirectTransport(socket, self._leaving.append)

    # --- clients -----------------------------------------------------------------------------------------------------------

    async def _welcome(self, sid: str, environ: Any, auth: object = None) -> None:  # noqa: ANN401
        """Let a client in, or tell it why not."""
        try:
            await self._arrivals.identify(self._clients.eio_sid_from_sid(sid, NAMESPACE), environ, auth)
        except BridgeError as error:
            why = disconnect_for(error)
            self._hub.count_disconnect(why.counted)
            raise socketio.exceptions.ConnectionRefusedError(why.reason, {"code": why.code}) from None

    async def _joined(self, sid: str) -> None:
        """Its CONNECT was answered: what is sent before that, a client may miss or misorder."""
        engine_sid = self._clients.eio_sid_from_sid(sid, NAMESPACE)
        socket = self._server.eio.sockets.get(engine_sid)
        who = self._arrivals.take(engine_sid)
        if socket is None or socket.closed or who is None:  # it went while we asked who it is
            await self._clients.disconnect(sid, NAMESPACE, ignore_queue=True)
            return
        self._limiter.handshake_done(engine_sid)
        self._limiter.mark_authenticated(engine_sid)
        self._server.environ[engine_sid].clear()  # its request's headers and more, 1.3 KB that nobody will ask for again
        device_filter = self._authenticator.device_filter(who)
        session = self._sessions[sid] = self._hub.add_client(
            CODEC, self._link(socket, sid), Subscription(device_filter=device_filter)
        )
        if self._authenticator.required:
            self._stay(sid, engine_sid, session, who)
        info = events.connection_info(sid, self._hub.client_count)
        await self._server.eio.send(engine_sid, f"2{_Json.dumps(['connectionInfo', info])}")  # at once: an emit is a task
        statuses = (
            self._present() if device_filter is None else [one for one in self._present() if session.subscription.matches(one)]
        )
        if statuses and sid in self._sessions:
            self._hub.send_event(session, statuses)

    def _stay(self, sid: str, engine_sid: str, session: Session, who: Identity) -> None:
        def warn(event: AuthExpiring) -> None:
            self._hub.send_event(session, [Publication(event)])

        def end(reason: str) -> None:
            self._cut(engine_sid, reason, UNAUTHORIZED)

        address = self._limiter.address(engine_sid)
        self._stays[sid] = self._authenticator.admit(AuthenticatedConnection(who, address, warn, end, AUDITED_AS, PERMISSIONS))

    def _who(self, sid: str) -> Identity:
        """One who has gone meanwhile may do nothing any more."""
        if not self._authenticator.required:
            return ANYONE
        stay = self._stays.get(sid)
        return NOBODY if stay is None else stay.identity

    def _present(self) -> list[Publication]:
        """The devices' statuses, made ready once for all clients that come before one of them changes."""
        statuses = self._presence.statuses(STATUSES_LIMIT) if self._presence else []
        if statuses is not self._told[0]:
            self._told = statuses, [Publication(status) for status in statuses]
        return self._told[1]

    def _left(self, sid: str, _reason: object = None) -> None:
        """Its connection may last: to begin anew on it there is as much time as for the first handshake."""
        stay = self._stays.pop(sid, None)
        if stay is not None:
            self._authenticator.connections.remove(stay)
        session = self._sessions.pop(sid, None)
        if session is not None:
            self._hub.remove_client(session)
        self._limiter.set_deadline(self._clients.eio_sid_from_sid(sid, NAMESPACE), self._handshake_seconds, time.monotonic())

    async def _subscribe(self, sid: str, body: object = None, *_more: object) -> dict[str, Any]:
        try:
            asked = SubscribeRequest.model_validate({} if body is None else body)
            session = self._sessions[sid]
            if session.subscription.device_filter is not None:
                session.subscription.device_filter.check(asked.devices)
            done = await self._hub.subscribe(session, asked.devices, asked.every, asked.since, asked.limit)
        except ValidationError as error:
            return error_response(error)
        except StoreUnavailable as error:
            return _failed(f"the store is away, ask again: {error}")
        except (KeyError, ConnectionClosed):
            return _failed("the connection has ended")
        except ValueError as error:
            return _failed(f"devices: {error}")
        return _answer(done) | {"replayed": done.replayed}

    async def _unsubscribe(self, sid: str, body: object = None, *_more: object) -> dict[str, Any]:
        try:
            asked = UnsubscribeRequest.model_validate({} if body is None else body)
            return _answer(await self._hub.unsubscribe(self._sessions[sid], asked.devices))
        except ValidationError as error:
            return error_response(error)
        except (KeyError, ConnectionClosed):
            return _failed("the connection has ended")
        except ValueError as error:
            return _failed(f"devices: {error}")

    async def _send_command(self, sid: str, body: object = None, *_more: object) -> dict[str, Any]:
        if self._commander is None:
            return _failed("this bridge takes no commands")
        try:
            asked = CommandRequest.model_validate(body)
            who, address = self._who(sid), self._limiter.address(self._clients.eio_sid_from_sid(sid, NAMESPACE))
            if not self._authenticator.authorize_command(who, asked.device, address):
                return _failed("you may not command this device")
            command = await self._commander.submit(asked, f"socket.io:{sid}" if who is ANYONE else f"{who.kind}:{who.name}")
        except ValidationError as error:
            return error_response(error)
        except (UnknownDevice, CommandRejected) as error:
            return _failed(str(error))
        except StoreUnavailable as error:
            return _failed(f"the store is away, ask again: {error}")
        return {"ok": True, **command.public()}

    async def _refresh(self, sid: str, body: object = None, *_more: object) -> dict[str, Any]:
        """A client shows something newer of its own, and may see more or less by that."""
        if not self._authenticator.required:
            return {"ok": True, "expires": None}
        try:
            stay, session = self._stays[sid], self._sessions[sid]
            await self._authenticator.renew(stay, Credentials(token_of(body)))
            subscription = replace(session.subscription, device_filter=self._authenticator.device_filter(stay.identity))
            if subscription != session.subscription:
                await self._hub.set_subscription(session, subscription)
        except (KeyError, ConnectionClosed):
            return _failed("the connection has ended")
        except BridgeError as error:
            return _failed(disconnect_for(error).reason)
        return {"ok": True, "expires": stay.expires}

    # --- time --------------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """End the connections whose time is over, and send what waits on the plain way."""
        now = time.monotonic()
        for engine_sid in self._limiter.overdue(now):
            if isinstance(engine_sid, str):
                self._cut(engine_sid, "handshake")
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            await self._watch.look(now)
        while self._leaving:
            await direct.end(self._leaving.pop())
        await self._emits.send(self._server)

    async def close(self) -> None:
        """Close every connection, without waiting for those that do not read."""
        if self._server.eio.sockets:  # with none, its disconnect of all raises ValueError
            with suppress(TimeoutError):  # it waits until every client has read what is queued for it
                await asyncio.wait_for(self._server.eio.disconnect(), _LEAVE_SECONDS)
        await self._server.shutdown()


class Codec:
    """How events look in Socket.IO."""

    def __init__(self) -> None:
        """Without state, but for what it has learned of readings' forms."""
        self._readings = MessageTemplates(
            lambda reading: ("sensorData", events.sensor_data(reading, SENT_AT_PLACEHOLDER)), _MESSAGE
        )

    def encode(self, event: Event) -> bytes | None:
        """A message of Engine.IO that holds an event of Socket.IO."""
        if isinstance(event, Reading):
            return self._readings.encode(event)
        named = _named(event)
        return None if named is None else _MESSAGE + orjson.dumps(named)


CODEC = Codec()


def _named(event: Event) -> tuple[str, dict[str, Any]] | None:
    match event:
        case DeviceStatus():
            return "deviceStatus", events.device_status(event)
        case Gap():
            return "gap", events.gap(event)
        case AuthExpiring():
            return "authExpiring", events.auth_expiring(event)
        case SystemEvent(channel=None):
            return "systemEvent", events.system_event(event, SENT_AT_PLACEHOLDER)
        case _:
            return None


def _granted(origin: str, request: web.Request) -> dict[str, str]:
    """What a browser is to know so that a page of another origin may read the answer."""
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = _METHODS
    if asked := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = asked
    return headers


def _answer(done: SubscribeResult) -> dict[str, Any]:
    devices = None if done.subscription.devices is None else sorted(done.subscription.devices)
    return {"ok": True, "devices": devices, "cursor": done.cursor}


def _failed(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def _unknown(event: str, _sid: str, *_body: object) -> dict[str, Any]:
    return _failed(f"{event[:100]!r} is no event of this bridge; there are subscribe, unsubscribe, sendCommand and refresh")


class _Json:
    """orjson in the shape of the json module: 1.3 µs where that takes 6."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return orjson.dumps(value).decode()

    loads = staticmethod(orjson.loads)
