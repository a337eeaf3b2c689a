"""Devices over a WebSocket of their own, `/ws/device`: both dialects, told apart by the first message.

Telemetry goes through the pipeline like everything else. A device may write as itself only; commands come down its socket,
and it is online while that is open. An admin hears every device, or those it names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from bridge.core.access.permissions import Permission
from bridge.core.errors import BridgeError, BrokerUnavailable
from bridge.core.events import AuthExpiring
from bridge.core.readings.identity import is_device_id
from bridge.pipeline.intake import Intake
from bridge.ports import DevicePresence
from bridge.realtime.auth.authenticator import Authenticator, close_reason
from bridge.realtime.auth.expiry import AuthenticatedConnection
from bridge.realtime.device.credentials import DeviceCredentials, DeviceIdentity
from bridge.realtime.device.login import RIGHTS, WAY, DeviceLogin, DeviceLoginResult, LoginRefused, parse_message
from bridge.realtime.device.messages import IDS, SocketOrigin, split_telemetry
from bridge.realtime.device.protocols import PROTOCOLS, TELEMETRY_CODEC, DeviceProtocol, FlatProtocol
from bridge.realtime.frames import TRY_AGAIN_LATER
from bridge.realtime.hub.hub import ConnectionClosed, Hub
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.login import end, expiry
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import DevicesSettings, RealtimeSettings

PATH = WAY
_AS_ITSELF = "a device may write as itself only"


@dataclass(slots=True, eq=False)
class DeviceConnection:
    """One socket that is let in. `device_id` is None for an admin, and until a device whose token names none has spoken.

    `bound` is whether that device's commands come here.
    """

    client: ClientConnection
    dialect: DeviceProtocol
    identity: DeviceIdentity
    origin: SocketOrigin
    device_id: str | None = None
    bound: bool = False
    session: Session | None = None
    connection: AuthenticatedConnection | None = None

    def send_error(self, text: str) -> None:
        """Tell it what was wrong."""
        self.client.send_text(self.dialect.error(text))

    def warn(self, event: AuthExpiring) -> None:
        """Tell it to show something newer."""
        self.client.send_text(self.dialect.expiring(event))


class DeviceSockets:
    """Everyone at `/ws/device`."""

    def __init__(
        self,
        settings: DevicesSettings,
        realtime: RealtimeSettings,
        *,
        sockets: WebSocketServer,
        hub: Hub,
        intake: Intake,
        presence: DevicePresence,
        credentials: DeviceCredentials,
        authenticator: Authenticator,
    ) -> None:
        """Who is let in is decided by `credentials`, or while access is required by `authenticator`."""
        self._settings = settings
        self._realtime = realtime
        self._sockets = sockets
        self._hub = hub
        self._intake = intake
        self._presence = presence
        self._authenticator = authenticator
        self._login = DeviceLogin(authenticator, credentials, realtime.handshake_seconds, sockets.credentials)
        self._of_device: dict[str, DeviceConnection] = {}

    def routes(self) -> list[web.RouteDef]:
        """The path it answers."""
        return [web.get(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.handle(request, partial(self._converse, request))

    # --- connections -------------------------------------------------------------------------------------------------------

    async def _converse(self, request: web.Request, client: ClientConnection) -> None:
        messages = client.messages()
        try:
            address = self._sockets.address(request)
            admitted = await self._login.of(messages, request, address)
            if admitted is not None:
                self._sockets.mark_authenticated(client)
                await self._listen(self._connection(client, admitted, address), messages)
        except LoginRefused as closed:
            if closed.told is not None:
                client.send_text(closed.told)
            client.close(closed.code, closed.reason, closed.reason)

    def _connection(self, client: ClientConnection, admitted: DeviceLoginResult, address: str) -> DeviceConnection:
        if admitted.welcome is not None:
            client.send_text(admitted.welcome)
        origin = SocketOrigin(self._intake, self._settings.waiting_limit, lambda text: connection.send_error(text))
        connection = DeviceConnection(client, admitted.dialect, admitted.identity, origin)
        if admitted.who is not None:
            connection.connection = AuthenticatedConnection(admitted.who, address, connection.warn, partial(end, client))
        return connection

    async def _listen(self, connection: DeviceConnection, messages: AsyncIterator[bytes]) -> None:
        self._enter(connection)
        try:
            async for text in messages:
                await self._take(connection, parse_message(text, connection.dialect))
        finally:
            self._leave(connection)

    def _enter(self, connection: DeviceConnection) -> None:
        if connection.connection is not None:
            self._authenticator.connections.add(connection.connection)
        if connection.identity.admin:
            connection.session = self._hub.add_client(TELEMETRY_CODEC, connection.client, self._seen_by(connection, ALL))
        elif connection.identity.device_id is not None:
            self._bind(connection, connection.identity.device_id)

    def _seen_by(self, connection: DeviceConnection, subscription: Subscription) -> Subscription:
        stay = connection.connection
        return (
            subscription
            if stay is None
            else replace(subscription, device_filter=self._authenticator.device_filter(stay.identity))
        )

    def _bind(self, connection: DeviceConnection, device_id: str) -> None:
        """It is this device. A second socket takes the place of the first: a device that was restarted left that one open."""
        before = self._of_device.get(device_id)
        connection.device_id, connection.bound = device_id, True
        self._of_device[device_id] = connection
        if before is not None:
            self._sockets.disconnect(before.client, "replaced")
        self._presence.connected(device_id)

    def _unbind(self, connection: DeviceConnection) -> None:
        """It is no device any more, until it may write as one again."""
        device_id, connection.bound = connection.device_id, False
        if device_id is not None and self._of_device.get(device_id) is connection:
            del self._of_device[device_id]
            self._presence.disconnected(device_id)

    def _leave(self, connection: DeviceConnection) -> None:
        if connection.session is not None:
            self._hub.remove_client(connection.session)
        if connection.connection is not None:
            self._authenticator.connections.remove(connection.connection)
            connection.connection = None  # the two hold each other
        connection.origin.leave()
        self._unbind(connection)

    # --- what they say -----------------------------------------------------------------------------------------------------

    async def _take(self, connection: DeviceConnection, body: dict[str, Any]) -> None:
        if connection.connection is not None:
            connection.dialect = PROTOCOLS.get(str(body.get("type")), type(connection.dialect))()
            if (newer := connection.dialect.credentials(body) or FlatProtocol().credentials(body)) is not None:
                await self._renew(connection, connection.connection, *newer)
                return
        kind, payload = str(body.get("type", "")).lower(), connection.dialect.payload(body)
        if connection.session is not None:
            await self._take_of_admin(connection, connection.session, kind, payload)
        elif kind in ("telemetry", "ack", "command_ack"):
            device_id = self._writes_as(connection, payload)
            if device_id is not None:
                await self._take_of_device(connection, device_id, kind, payload)
        else:
            connection.send_error("unknown type: a device sends telemetry, and ack for a command")

    async def _renew(self, connection: DeviceConnection, stay: AuthenticatedConnection, name: str | None, secret: str) -> None:
        """It shows something newer of its own."""
        try:
            await self._authenticator.renew(stay, secret, PATH, *RIGHTS, name=name)
            if connection.session is not None:
                await self._hub.set_subscription(connection.session, self._seen_by(connection, connection.session.subscription))
        except BridgeError as error:
            connection.send_error(close_reason(error).reason)
        except ConnectionClosed:
            raise LoginRefused("slow") from None
        else:
            connection.client.send_text(connection.dialect.renewed(expiry(stay.identity)))

    async def _take_of_admin(
        self, connection: DeviceConnection, session: Session, kind: str, payload: Mapping[str, Any]
    ) -> None:
        device_id = payload.get("device_id")
        if kind != "subscribe" or not is_device_id(device_id):
            connection.send_error("an admin sends SUBSCRIBE with payload.device_id")
            return
        try:
            if session.subscription.device_filter is not None:
                session.subscription.device_filter.check((str(device_id),))
            await self._hub.subscribe(session, frozenset({str(device_id)}), None, None, 1)
        except ValueError as error:
            connection.send_error(str(error))
        except ConnectionClosed:
            raise LoginRefused("slow") from None  # the hub has seen to it

    async def _take_of_device(
        self, connection: DeviceConnection, device_id: str, kind: str, payload: Mapping[str, Any]
    ) -> None:
        if kind != "telemetry":
            await self._until_room(connection)
            connection.origin.put_ack(device_id, payload)
            return
        reading, state = split_telemetry(payload)
        if state:
            self._presence.update_state(device_id, state)
        if reading:
            await self._until_room(connection)
            connection.origin.put_reading(device_id, reading)

    async def _until_room(self, connection: DeviceConnection) -> None:
        """While too much of it waits for the store, a socket is not read."""
        if not connection.origin.full:
            return
        connection.client.pause()
        try:
            await connection.origin.until_room(self._realtime.slow_seconds)
        except TimeoutError:
            raise LoginRefused("store away", TRY_AGAIN_LATER) from None
        finally:
            connection.client.resume()

    def _writes_as(self, connection: DeviceConnection, payload: Mapping[str, Any]) -> str | None:
        """The device it is; one that nobody has named yet is who it says first."""
        named = next((payload[name] for name in IDS if name in payload), None)
        if connection.device_id is None:
            if not is_device_id(named):
                connection.send_error("device_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
                return None
            if named in self._settings.credentials:
                connection.send_error("this device has a secret of its own")
                return None
            if not self._may_write(connection, str(named)):
                return None
            self._bind(connection, str(named))
        elif named is not None and str(named) != connection.device_id:
            connection.send_error(_AS_ITSELF)
            return None
        device_id = str(connection.device_id)
        if not self._may_write(connection, device_id):
            self._unbind(connection)
            return None
        if not connection.bound:
            self._bind(connection, device_id)
        return device_id

    def _may_write(self, connection: DeviceConnection, device_id: str) -> bool:
        if self._may_be(connection, device_id):
            return True
        connection.send_error(_AS_ITSELF)
        return False

    def _may_be(self, connection: DeviceConnection, device_id: str) -> bool:
        """Looked at each time: what was shown last may allow less, and the device may stand elsewhere by now."""
        stay = connection.connection
        return stay is None or self._authenticator.is_allowed(stay.identity, Permission.PUBLISH, device_id)

    # --- what they are told ------------------------------------------------------------------------------------------------

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        """A command, down the device's socket; raises `BrokerUnavailable` if it has none, or does not read."""
        connection = self._of_device.get(device_id)
        if connection is not None and not self._may_be(connection, device_id):
            self._unbind(connection)
            raise BrokerUnavailable("who speaks for the device at its socket may do so no more")
        if connection is None or not connection.client.send_text(connection.dialect.command(body)):
            raise BrokerUnavailable("the device's socket has ended, or the device does not read")
