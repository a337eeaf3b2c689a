"""Socket.IO clients, with python-socketio in the bridge's aiohttp application: connections, joining, and leaving."""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import socketio
from aiohttp import web

from bridge.core import events
from bridge.core.access.permissions import Identity
from bridge.core.errors import BridgeError
from bridge.core.events import AuthExpiring, StandingAlarms
from bridge.core.message import DeviceStatus
from bridge.http.credentials import credentials_from_handshake, has_query_token
from bridge.http.handover import HANDOVER
from bridge.http.origins import may_connect, may_read
from bridge.http.proxies import client_address_of
from bridge.ports import AlarmPanel, CommandSender, DevicePresence
from bridge.realtime.auth.authenticator import Authenticator, disconnect_for
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.auth.visibility import DeviceFilter
from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.hub.encoding import Publication
from bridge.realtime.hub.hub import Hub
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import Subscription
from bridge.realtime.limits import ConnectionLimiter
from bridge.realtime.socketio import monitor, packets
from bridge.realtime.socketio.auth import AUDITED_AS, PERMISSIONS, PendingConnections
from bridge.realtime.socketio.codec import CODEC, Json
from bridge.realtime.socketio.direct import ClientManager, SocketServer
from bridge.realtime.socketio.engineio import RequestError, request_parameters
from bridge.realtime.socketio.libraries import check_libraries
from bridge.realtime.socketio.packets import CONNECT, NAMESPACE, InvalidPacket, ParsedPacket
from bridge.realtime.socketio.protocol import JoinedClient, SocketIoProtocol
from bridge.realtime.socketio.transport import DirectTransport
from bridge.settings import HttpSettings, RealtimeSettings

log = logging.getLogger(__name__)

PATH = "/socket.io/"
MESSAGE_LIMIT_BYTES = 64 * 1024
STANDING_LIMIT = 1000
"""The most standing alarms sent to a new client: those that were raised last."""

STATUSES_LIMIT = 1000
"""The most device statuses sent to a new client: those that changed last."""

_CLOSE_SECONDS = 1.0
_REFUSED_SECONDS = 0.5  # how long a client whose CONNECT was refused may stay to read the reason
_CHECK_SECONDS = 0.5  # how often connections are checked for an overdue pong
_METHODS = "OPTIONS, GET, POST"


class SocketIoServer:
    """Socket.IO clients over WebSocket and long-polling, protocol 5."""

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
        alarms: AlarmPanel | None = None,
    ) -> None:
        """Adds its route to `app` and registers itself with `hub`. Raises `UnsupportedLibrary`.

        `presence` provides the device statuses for new clients, `commander` takes their commands. `alarms` provides the
        standing alarms, and takes acknowledgements.
        """
        check_libraries()
        self._presence = presence
        self._alarms = alarms
        self._statuses: tuple[list[DeviceStatus], list[Publication]] = [], []
        self._http = http
        self._hub = hub
        self._limiter = limiter
        self._authenticator = authenticator
        self._pending = PendingConnections(authenticator, limiter, http)
        self._handshake_seconds = settings.handshake_seconds
        if authenticator.required:
            self._handshake_seconds = min(settings.handshake_seconds, authenticator.login_seconds)
        self._protocol = SocketIoProtocol(hub, authenticator, commander, alarms)
        self._clients = self._protocol.clients
        self._read_only: set[str] = set()
        """Connections of pages that may only read, by Engine.IO sid."""
        self._to_end: list[Any] = []
        self._checked_at = 0.0
        self._manager = ClientManager(self._on_join)
        self._server = SocketServer(
            async_mode="aiohttp",
            client_manager=self._manager,
            cors_allowed_origins=[],  # `_handle` checks the origin
            json=Json,
            max_http_buffer_size=MESSAGE_LIMIT_BYTES,
            monitor_clients=False,
            ping_interval=settings.ping_interval_seconds,
            ping_timeout=settings.ping_timeout_seconds,
        )
        self._engine = self._server.eio
        self._handover = app.get(HANDOVER)
        if self._handover is not None:
            self._engine.sid_prefix = self._handover.slot.sid_prefix
        self._engine.compression = settings.compression
        self._engine.upgrade_seconds = settings.handshake_seconds
        self._engine.post_seconds = http.post_seconds
        self._monitor = monitor.ConnectionMonitor(self._engine)
        self._server.on("connect", self._on_connect)
        self._server.on("disconnect", self._on_disconnect)
        for event, handler in self._protocol.handlers().items():
            self._server.on(event, handler)
        self._socketio_handlers = {name: self._engine.handlers[name] for name in ("connect", "message", "disconnect")}
        self._engine.on("connect", self._on_engine_connect)
        self._engine.on("message", self._on_engine_message)
        self._engine.on("disconnect", self._on_engine_disconnect)
        app.router.add_route("*", PATH, self._handle)
        hub.add_protocol(self)

    # --- HTTP requests ---------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Handle every request. The origin is checked here because python-socketio trusts any forwarded host."""
        origin = request.headers.get("Origin")
        if origin and not may_read(request, self._http, required=self._authenticator.required):
            raise web.HTTPBadRequest(
                text=f"Origin: {origin[:200]!a} may not connect; allowed origins are set in http.cors_origins"
            )
        sid = request_parameters(request.query_string).get("sid", "")
        worker = None if self._handover is None else self._handover.worker_of(sid)
        if self._handover is not None and worker is not None and request.method != "OPTIONS":
            return web.Response() if await self._handover.hand_over(request, worker) else RequestError.SID.response()
        response = web.Response(status=204) if request.method == "OPTIONS" else await self._respond(request)
        if not response.prepared:
            response.headers["Cache-Control"] = "no-store"
            if origin:
                response.headers.update(_cors_headers(origin, request))
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        invalid: web.Response | None = await self._engine.refusal(request)
        if invalid is not None:
            return invalid
        if "sid" not in request_parameters(request.query_string):
            credentials = partial(credentials_from_handshake, request, self._http, self._authenticator.cookie_id)
            if refusal := await self._authenticator.refusal(self._limiter, self._address(request), AUDITED_AS, credentials):
                raise web.HTTPServiceUnavailable(text=refusal, headers={"Retry-After": "5"})
        if self._authenticator.required and has_query_token(request):
            raise web.HTTPBadRequest(text="a token in the query is not accepted: send it as auth: {token}, or in a header")
        response: web.StreamResponse = await self._server.handle_request(request)
        return response

    def _address(self, request: web.Request) -> str:
        return client_address_of(request, self._http)

    # --- Engine.IO: called before python-socketio ------------------------------------------------------------------------

    async def _on_engine_connect(self, engine_sid: str, environ: dict[str, Any]) -> Any:  # noqa: ANN401 - untyped
        now, request = time.monotonic(), environ["aiohttp.request"]
        self._limiter.add(engine_sid, self._address(request), now)
        if not may_connect(request.headers.get("Origin"), request, self._http):
            self._read_only.add(engine_sid)
        self._limiter.set_deadline(engine_sid, self._handshake_seconds, now)
        return await self._socketio_handlers["connect"](engine_sid, environ)

    async def _on_engine_message(self, engine_sid: str, message: Any) -> None:  # noqa: ANN401 - JSON comes parsed
        if engine_sid not in self._limiter:  # disconnected before its last messages were handled
            return
        try:
            packet = packets.parse(message)
            self._check(engine_sid, packet)
            if packet.namespace == NAMESPACE:
                await self._socketio_handlers["message"](engine_sid, message)
            else:
                await self._engine.send(engine_sid, packets.invalid_namespace(packet.namespace))
        except InvalidPacket as error:
            self._disconnect(engine_sid, error.reason)
            return
        except (ValueError, TypeError, LookupError, AttributeError):  # raised by python-socketio for malformed packets
            self._disconnect(engine_sid, "malformed")
            return
        if packet.kind == CONNECT and self._manager.sid_from_eio_sid(engine_sid, NAMESPACE) not in self._clients:
            self._limiter.set_deadline(engine_sid, _REFUSED_SECONDS, time.monotonic())

    async def _on_engine_disconnect(self, engine_sid: str, reason: str) -> None:
        self._limiter.remove(engine_sid)
        self._pending.remove(engine_sid)
        self._read_only.discard(engine_sid)
        await self._socketio_handlers["disconnect"](engine_sid, reason)
        monitor.close_connection(self._engine.sockets.get(engine_sid), reason)

    def _check(self, engine_sid: str, packet: ParsedPacket) -> None:
        """Raises `InvalidPacket` if the packet is out of order (CONNECT comes first, and once) or exceeds the message rate."""
        sid = self._manager.sid_from_eio_sid(engine_sid, NAMESPACE)
        if packet.namespace != NAMESPACE:
            in_order = packet.kind == CONNECT
        else:
            in_order = sid is None if packet.kind == CONNECT else sid in self._clients
        if not in_order:
            raise InvalidPacket("order")
        if not self._limiter.allow_message(engine_sid, time.monotonic()):
            raise InvalidPacket("rate")

    def _disconnect(self, engine_sid: str, reason: str, code: int = POLICY_VIOLATION) -> None:
        self._limiter.remove(engine_sid)
        socket = self._engine.sockets.get(engine_sid)
        if socket is not None:
            self._hub.count_disconnect(reason)
            self._transport(socket).disconnect(reason, code)

    def _transport(self, socket: Any) -> DirectTransport:  # noqa: ANN401 - python-engineio's
        return DirectTransport(socket, self._to_end.append)

    # --- Socket.IO: joining and leaving ----------------------------------------------------------------------------------

    async def _on_connect(self, sid: str, environ: Any, auth: object = None) -> None:  # noqa: ANN401
        """Authenticate a client. Raises `ConnectionRefusedError` with the reason."""
        try:
            await self._pending.identify(self._manager.eio_sid_from_sid(sid, NAMESPACE), environ, auth)
        except BridgeError as error:
            refusal = disconnect_for(error)
            self._hub.count_disconnect(refusal.counted)
            raise socketio.exceptions.ConnectionRefusedError(refusal.reason, {"code": refusal.code}) from None

    async def _on_join(self, sid: str) -> None:
        """Add a client after its CONNECT was answered: a client may miss or reorder messages sent before that."""
        engine_sid = self._manager.eio_sid_from_sid(sid, NAMESPACE)
        socket = self._engine.sockets.get(engine_sid)
        identity = self._pending.take(engine_sid)
        if socket is None or socket.closed or identity is None:  # it left during authentication
            await self._manager.disconnect(sid, NAMESPACE, ignore_queue=True)
            return
        self._limiter.handshake_done(engine_sid)
        self._limiter.mark_authenticated(engine_sid)
        self._server.environ[engine_sid].clear()  # the request's headers etc., 1.3 KB that are not needed again
        device_filter = self._authenticator.device_filter(identity)
        session = self._hub.add_client(CODEC, self._transport(socket), Subscription(device_filter=device_filter))
        read_only = engine_sid in self._read_only
        self._clients[sid] = JoinedClient(session, self._admit(engine_sid, session, identity), read_only=read_only)
        info = events.connection_info(sid, self._hub.client_count)
        log.debug("socket.io: %s connected from %s: %d clients", sid, self._limiter.address(engine_sid), len(self._clients))
        await self._engine.send(engine_sid, f"2{Json.dumps(['connectionInfo', info])}")  # `emit` would send it in a task, later
        statuses = self._current_statuses()
        if device_filter is not None:
            statuses = [status for status in statuses if session.subscription.matches(status)]
        if statuses and sid in self._clients:
            self._hub.send_event(session, statuses)
        hides_alarms = device_filter is not None and device_filter.measured_only
        if self._alarms is not None and not hides_alarms and sid in self._clients:
            self._hub.send_event(session, [Publication(StandingAlarms(self._standing(device_filter)))])

    def _standing(self, device_filter: DeviceFilter | None) -> list[Mapping[str, Any]]:
        """Return the standing alarms that a client may see, those of the bridge among them."""
        records = [] if self._alarms is None else self._alarms.standing_bodies()
        if device_filter is not None:
            records = [one for one in records if one["deviceId"] is None or device_filter.allows(one["deviceId"])]
        return records[:STANDING_LIMIT]

    def _admit(self, engine_sid: str, session: Session, identity: Identity) -> AuthenticatedConnection:
        def warn(event: AuthExpiring) -> None:
            self._hub.send_event(session, [Publication(event)])

        def end(reason: str) -> None:
            self._disconnect(engine_sid, reason, UNAUTHORIZED)

        address = self._limiter.address(engine_sid)
        return self._authenticator.admit(AuthenticatedConnection(identity, address, warn, end, AUDITED_AS, PERMISSIONS))

    def _current_statuses(self) -> list[Publication]:
        """Return the devices' statuses, encoded once for all clients that join before one of them changes."""
        statuses = self._presence.statuses(STATUSES_LIMIT) if self._presence else []
        if statuses is not self._statuses[0]:
            self._statuses = statuses, [Publication(status) for status in statuses]
        return self._statuses[1]

    def _on_disconnect(self, sid: str, reason: object = None) -> None:
        """Remove a client. If its connection stays open, it may join again within the time of a first handshake."""
        client = self._clients.pop(sid, None)
        if client is not None:
            self._authenticator.connections.remove(client.connection)
            self._hub.remove_client(client.session)
            log.debug("socket.io: %s disconnected: %s: %d clients", sid, reason or "server disconnect", len(self._clients))
        engine_sid = self._manager.eio_sid_from_sid(sid, NAMESPACE)
        self._limiter.set_deadline(engine_sid, self._handshake_seconds, time.monotonic())

    # --- time --------------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Disconnect clients whose handshake is overdue, check for overdue pongs, and end closed long-polling clients."""
        now = time.monotonic()
        for engine_sid in self._limiter.overdue(now):
            if isinstance(engine_sid, str):
                self._disconnect(engine_sid, "handshake")
        if now - self._checked_at >= _CHECK_SECONDS:
            self._checked_at = now
            await self._monitor.check(now)
        while self._to_end:
            await monitor.end(self._to_end.pop())

    async def close(self) -> None:
        stopping = [monitor.stop(socket) for socket in self._engine.sockets.values()]
        with suppress(TimeoutError):  # clients that do not read their queues
            await asyncio.wait_for(asyncio.gather(*stopping), _CLOSE_SECONDS)
        await self._server.shutdown()


def _cors_headers(origin: str, request: web.Request) -> dict[str, str]:
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = _METHODS
    if requested := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = requested
    return headers
