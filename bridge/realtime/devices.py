"""Devices over a WebSocket of their own, `/ws/device`: both dialects, told apart by the first message.

Telemetry goes through the pipeline like everything else. A device may write as itself only; commands come down its socket,
and it is online while that is open. An admin hears every device, or those it names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from bridge.core.decode import CommandAck, Decoded, PayloadError, Route, json_format, read_command_ack
from bridge.core.errors import BrokerUnavailable
from bridge.core.fields import field_name
from bridge.core.identity import is_device_id
from bridge.core.message import Message, Outcome
from bridge.core.topic import TopicPattern
from bridge.intake import Intake
from bridge.ports import Presence
from bridge.realtime.credentials import Credentials, Identity
from bridge.realtime.device_dialects import DIALECTS, TELEMETRY_CODEC, Dialect, Lower
from bridge.realtime.gate import Gate, client_address
from bridge.realtime.hub import Hub, Left
from bridge.realtime.outbox import Outbox, outbox_of
from bridge.realtime.session import Session
from bridge.settings import DevicesSettings, HttpSettings, RealtimeSettings

PATH = "/ws/device"
SOURCE = "device"
MESSAGE_LIMIT_BYTES = 64 * 1024
_TOPIC = "$device/"
ROUTE = Route(TopicPattern.parse(_TOPIC + "{deviceId}"), format=json_format)
"""For the decoder. No broker delivers such a topic to a subscription that does not begin with `$device`."""

_LEAVE_SECONDS = 1.0
_IDS = ("device_id", "deviceId")


class Closed(Exception):
    """The socket is to be closed; why, in a word."""

    def __init__(self, reason: str, code: int = WSCloseCode.POLICY_VIOLATION) -> None:
        """`code` is WebSocket's."""
        super().__init__(reason)
        self.reason = reason
        self.code = code


class SocketOrigin:
    """Where telemetry comes from. Nothing is acknowledged on the wire; what waits for the store is bounded."""

    def __init__(self, limit: int) -> None:
        """At most `limit` messages wait."""
        self._limit = limit
        self._waiting = 0
        self._room = asyncio.Event()

    def settle(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        """One fewer waits."""
        self._waiting -= 1
        self._room.set()

    async def take(self, seconds: float) -> None:
        """Wait until there is room for one more; raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while self._waiting >= self._limit:
                self._room.clear()
                await self._room.wait()
        self._waiting += 1


@dataclass(slots=True, eq=False)
class Connection:
    """One socket that is let in. `device_id` is None for an admin, and until a device whose token names none has spoken."""

    dialect: Dialect
    identity: Identity
    outbox: Outbox
    origin: SocketOrigin
    device_id: str | None = None
    session: Session | None = None


class DeviceSockets:
    """Everyone at `/ws/device`."""

    def __init__(
        self,
        settings: DevicesSettings,
        realtime: RealtimeSettings,
        http: HttpSettings,
        *,
        hub: Hub,
        gate: Gate,
        intake: Intake,
        presence: Presence,
        credentials: Credentials,
    ) -> None:
        """`credentials` decides who is let in."""
        self._settings = settings
        self._realtime = realtime
        self._trusted = http.trusted_proxies
        self._hub = hub
        self._gate = gate
        self._intake = intake
        self._presence = presence
        self._credentials = credentials
        self._of_device: dict[str, Connection] = {}
        self._open: set[Connection] = set()
        self.on_ack: Callable[[CommandAck], None] = lambda _: None
        self.closed: dict[str, int] = {}
        """Sockets we closed, by reason."""
        hub.add(self)

    def routes(self) -> list[web.RouteDef]:
        """The path it answers."""
        return [web.get(PATH, self._handle)]

    # --- connections -------------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        address = client_address(request.remote, ",".join(request.headers.getall("X-Forwarded-For", ())), self._trusted)
        if full := self._gate.refusal(address):
            raise web.HTTPServiceUnavailable(text=full, headers={"Retry-After": "5"})
        socket = web.WebSocketResponse(
            heartbeat=self._realtime.ping_interval_seconds, max_msg_size=MESSAGE_LIMIT_BYTES, timeout=_LEAVE_SECONDS
        )
        await socket.prepare(request)
        key = ("device", id(socket))
        self._gate.enter(key, address, time.monotonic())
        try:
            async with outbox_of(socket, request, self._realtime) as outbox:
                closed = await self._serve(socket, outbox, key)
        finally:
            self._gate.leave(key)
        if reason := closed.reason if closed else outbox.reason:
            self.closed[reason] = self.closed.get(reason, 0) + 1
        if closed is not None:
            await socket.close(code=closed.code, message=closed.reason.encode())
        return socket

    async def _serve(self, socket: web.WebSocketResponse, outbox: Outbox, key: tuple[str, int]) -> Closed | None:
        """Until it has ended, or is to be closed: then why."""
        try:
            connection = await self._admitted(socket, outbox)
            self._gate.shake(key)
            await self._listen(socket, connection, key)
        except Closed as closed:
            return closed
        return None

    async def _listen(self, socket: web.WebSocketResponse, connection: Connection, key: tuple[str, int]) -> None:
        self._open.add(connection)
        try:
            self._enter(connection)
            while (body := await self._receive(socket, connection.dialect, connection.outbox)) is not None:
                if not self._gate.takes(key, time.monotonic()):
                    raise Closed("rate")
                await self._take(connection, body)
        finally:
            self._open.discard(connection)
            self._leave(connection)

    async def _admitted(self, socket: web.WebSocketResponse, outbox: Outbox) -> Connection:
        """Who it is, by its first message; raises `Closed` after telling why not."""
        dialect: Dialect = Lower()
        try:
            async with asyncio.timeout(self._realtime.handshake_seconds):
                body = await self._receive(socket, dialect, outbox)
        except TimeoutError:
            outbox.send(dialect.auth_required())
            raise Closed("handshake") from None
        if body is None:
            raise Closed("gone")
        dialect = DIALECTS.get(str(body.get("type")), Lower)()
        asked = dialect.credentials(body)
        if asked is None:
            outbox.send(dialect.auth_required())
            raise Closed("unauthorized")
        identity = self._credentials(*asked)
        if identity is None:
            outbox.send(dialect.unauthorized())
            raise Closed("unauthorized")
        if (answer := dialect.welcome()) is not None:
            outbox.send(answer)
        return Connection(dialect, identity, outbox, SocketOrigin(self._settings.waiting_limit))

    async def _receive(self, socket: web.WebSocketResponse, dialect: Dialect, outbox: Outbox) -> dict[str, Any] | None:
        """The next JSON object; None when the socket has ended. What is no JSON object ends it."""
        arrived = await socket.receive()
        if arrived.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return None
        if arrived.type is not WSMsgType.TEXT:
            raise Closed("binary", WSCloseCode.UNSUPPORTED_DATA)
        try:
            body = orjson.loads(arrived.data)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            outbox.send(dialect.error("not a JSON object"))
            raise Closed("malformed", WSCloseCode.INVALID_TEXT)
        return body

    def _enter(self, connection: Connection) -> None:
        if connection.identity.admin:
            connection.session = self._hub.join(TELEMETRY_CODEC, connection.outbox)
        elif connection.identity.device_id is not None:
            self._bind(connection, connection.identity.device_id)

    def _bind(self, connection: Connection, device_id: str) -> None:
        """It is this device. A second socket takes the place of the first: a device that was restarted left that one open."""
        before = self._of_device.get(device_id)
        connection.device_id = device_id
        self._of_device[device_id] = connection
        if before is not None:
            before.outbox.cut("replaced")
        self._presence.connected(device_id)

    def _leave(self, connection: Connection) -> None:
        if connection.session is not None:
            self._hub.leave(connection.session)
        device_id = connection.device_id
        if device_id is not None and self._of_device.get(device_id) is connection:
            del self._of_device[device_id]
            self._presence.disconnected(device_id)

    # --- what they say -----------------------------------------------------------------------------------------------------

    async def _take(self, connection: Connection, body: dict[str, Any]) -> None:
        dialect, kind = connection.dialect, str(body.get("type", "")).lower()
        if connection.session is not None:
            await self._take_of_admin(connection, connection.session, kind, body)
        elif kind == "telemetry":
            await self._telemetry(connection, dialect.payload(body))
        elif kind in ("ack", "command_ack"):
            self._acknowledged(connection, dialect.payload(body))
        else:
            connection.outbox.send(dialect.error("unknown type: a device sends telemetry, and ack for a command"))

    async def _take_of_admin(self, connection: Connection, session: Session, kind: str, body: Mapping[str, Any]) -> None:
        device_id = connection.dialect.payload(body).get("device_id")
        if kind != "subscribe" or not is_device_id(device_id):
            connection.outbox.send(connection.dialect.error("an admin sends SUBSCRIBE with payload.device_id"))
            return
        try:
            await self._hub.subscribe(session, frozenset({str(device_id)}), None, None, 1)
        except ValueError as error:
            connection.outbox.send(connection.dialect.error(str(error)))
        except Left:
            raise Closed("slow") from None

    async def _telemetry(self, connection: Connection, payload: Mapping[str, Any]) -> None:
        device_id = self._writes_as(connection, payload)
        if device_id is None:
            return
        readings = {name: value for name, value in payload.items() if _is_of_a_reading(name)}
        state = {name: value for name, value in payload.items() if name not in readings and name not in (*_IDS, "type")}
        if state:
            self._presence.note(device_id, state)
        if not any(_is_measured(name) for name in readings):
            return
        try:
            await connection.origin.take(self._realtime.slow_seconds)
        except TimeoutError:
            raise Closed("store away", WSCloseCode.TRY_AGAIN_LATER) from None
        now_ms = time.time_ns() // 1_000_000
        self._intake.put(Message(SOURCE, _TOPIC + device_id, orjson.dumps(readings), now_ms, connection.origin))

    def _writes_as(self, connection: Connection, payload: Mapping[str, Any]) -> str | None:
        """The device it is; one that nobody has named yet is who it says first."""
        named = next((payload[name] for name in _IDS if name in payload), None)
        if connection.device_id is None:
            if not is_device_id(named):
                connection.outbox.send(connection.dialect.error("device_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -"))
                return None
            if named in self._settings.credentials:
                connection.outbox.send(connection.dialect.error("this device has a secret of its own"))
                return None
            self._bind(connection, str(named))
        elif named is not None and str(named) != connection.device_id:
            connection.outbox.send(connection.dialect.error("a device may write as itself only"))
            return None
        return connection.device_id

    def _acknowledged(self, connection: Connection, payload: Mapping[str, Any]) -> None:
        try:
            self.on_ack(read_command_ack(connection.device_id or "", payload))
        except PayloadError as error:
            connection.outbox.send(connection.dialect.error(str(error)))

    # --- what they are told ------------------------------------------------------------------------------------------------

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        """A command, down the device's socket; raises `BrokerUnavailable` if it has none, or does not read."""
        connection = self._of_device.get(device_id)
        if connection is None or not connection.outbox.send(connection.dialect.command(body)):
            raise BrokerUnavailable("the device's socket has ended, or the device does not read")

    async def tend(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """Close every socket."""
        for connection in tuple(self._open):
            connection.outbox.cut("stopping")


def _is_of_a_reading(name: str) -> bool:
    return name == "values" or (len(name) <= 64 and field_name(name) not in (None, "deviceId"))


def _is_measured(name: str) -> bool:
    return name == "values" or field_name(name) not in ("timestamp", "aqiScale")
