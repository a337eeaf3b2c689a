"""Devices on their own WebSocket endpoint, `/ws/device`. The first message selects one of two protocols.

Telemetry goes through the pipeline like every other message. A device may publish only as itself; commands are sent over its
socket, and it is online while that is open. A listener receives the telemetry of every device, or of those it subscribes to.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from bridge.core.access.permissions import IdentityKind, Permission
from bridge.core.errors import BridgeError, BrokerUnavailable, DeviceIdError
from bridge.core.readings.identity import normalize_device_id, parse_device_id
from bridge.http.credentials import Credentials
from bridge.pipeline.intake import Intake
from bridge.ports import DevicePresence
from bridge.realtime.auth.authenticator import Authenticator, Disconnect, disconnect_for
from bridge.realtime.auth.expiry import AuthenticatedConnection
from bridge.realtime.device.login import PERMISSIONS, DeviceLogin, receives_telemetry
from bridge.realtime.device.messages import IDS, SocketOrigin, split_telemetry
from bridge.realtime.device.protocols import TELEMETRY_CODEC
from bridge.realtime.frames import POLICY_VIOLATION, TRY_AGAIN_LATER
from bridge.realtime.hub.hub import ConnectionClosed, Hub
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.login import WebSocketLogin
from bridge.realtime.websocket.server import WebSocketServer
from bridge.settings import DevicesSettings, HttpSettings, RealtimeSettings

PATH = "/ws/device"
_AS_ITSELF = "a device may publish only as itself"


@dataclass(slots=True, eq=False)
class DeviceConnection:
    """One authenticated socket.

    `device_id` is None for a listener, and for a program that has not named a device yet. `bound` is whether the device's
    commands are sent here.
    """

    client: ClientConnection
    login: DeviceLogin
    connection: AuthenticatedConnection
    origin: SocketOrigin
    device_id: str | None = None
    bound: bool = False
    session: Session | None = None

    def send_error(self, text: str) -> None:
        self.client.send_text(self.login.protocol.error(text))


class DeviceSockets:
    """The clients of `/ws/device`."""

    def __init__(
        self,
        settings: DevicesSettings,
        http: HttpSettings,
        realtime: RealtimeSettings,
        *,
        sockets: WebSocketServer,
        hub: Hub,
        intake: Intake,
        presence: DevicePresence,
        authenticator: Authenticator,
    ) -> None:
        self._settings = settings
        self._realtime = realtime
        self._sockets = sockets
        self._hub = hub
        self._intake = intake
        self._presence = presence
        self._authenticator = authenticator
        seconds = realtime.handshake_seconds
        if authenticator.required:
            seconds = min(seconds, authenticator.login_seconds)
        self._login = WebSocketLogin(authenticator, http, PERMISSIONS, seconds, anonymous=False)
        self._of_device: dict[str, DeviceConnection] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.handle(request, partial(self._handle, request))

    # --- connections -------------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request, client: ClientConnection) -> None:
        messages, login = client.messages(), DeviceLogin(required=self._authenticator.required)
        connection = await self._login.log_in(client, messages, request, self._sockets.address(request), login)
        if connection is not None:
            self._sockets.mark_authenticated(client)
            origin = SocketOrigin(self._intake, self._settings.waiting_limit, lambda text: device.send_error(text))
            device = DeviceConnection(client, login, connection, origin)
            await self._listen(device, messages)

    async def _listen(self, device: DeviceConnection, messages: AsyncIterator[bytes]) -> None:
        self._enter(device)
        try:
            async for text in messages:
                await self._take(device, device.login.parse(text))
        finally:
            self._leave(device)

    def _enter(self, device: DeviceConnection) -> None:
        identity = device.connection.identity
        if receives_telemetry(identity):
            device.session = self._hub.add_client(TELEMETRY_CODEC, device.client, self._visible(device, ALL))
        elif identity.kind is IdentityKind.DEVICE:
            self._bind(device, identity.name)

    def _visible(self, device: DeviceConnection, subscription: Subscription) -> Subscription:
        return replace(subscription, device_filter=self._authenticator.device_filter(device.connection.identity))

    def _bind(self, device: DeviceConnection, device_id: str) -> None:
        """Send a device's commands to this connection. Replaces a socket that the device left open when it was restarted."""
        before = self._of_device.get(device_id)
        device.device_id, device.bound = device_id, True
        self._of_device[device_id] = device
        if before is not None:
            self._sockets.disconnect(before.client, "replaced")
        self._presence.connected(device_id)

    def _unbind(self, device: DeviceConnection) -> None:
        """Send no commands to this connection until the client may publish as the device again."""
        device_id, device.bound = device.device_id, False
        if device_id is not None and self._of_device.get(device_id) is device:
            del self._of_device[device_id]
            self._presence.disconnected(device_id)

    def _leave(self, device: DeviceConnection) -> None:
        if device.session is not None:
            self._hub.remove_client(device.session)
        self._authenticator.connections.remove(device.connection)
        device.origin.leave()
        self._unbind(device)

    # --- messages from clients ---------------------------------------------------------------------------------------------

    async def _take(self, device: DeviceConnection, body: dict[str, Any]) -> None:
        if self._authenticator.required and (credentials := device.login.renewal(body)) is not None:
            await self._renew(device, credentials)
            return
        kind, payload = str(body.get("type", "")).lower(), device.login.protocol.payload(body)
        if device.session is not None:
            await self._subscribe(device, device.session, kind, payload)
        elif kind in ("telemetry", "ack", "command_ack"):
            device_id = self._device_of(device, payload)
            if device_id is not None:
                await self._take_of_device(device, device_id, kind, payload)
        else:
            device.send_error("unknown type: a device sends telemetry, and ack for a command")

    async def _renew(self, device: DeviceConnection, credentials: Credentials) -> None:
        try:
            await self._authenticator.renew(device.connection, credentials)
            if device.session is not None:
                await self._hub.set_subscription(device.session, self._visible(device, device.session.subscription))
        except BridgeError as error:
            device.send_error(disconnect_for(error).reason)
        except ConnectionClosed:
            raise Disconnect(POLICY_VIOLATION, "slow") from None
        else:
            device.client.send_text(device.login.protocol.renewed(device.connection.expires))

    async def _subscribe(self, device: DeviceConnection, session: Session, kind: str, payload: Mapping[str, Any]) -> None:
        if kind != "subscribe" or "device_id" not in payload:
            device.send_error("an admin sends SUBSCRIBE with payload.device_id")
            return
        try:
            device_id = parse_device_id(payload["device_id"])
            if session.subscription.device_filter is not None:
                session.subscription.device_filter.check((device_id,))
            await self._hub.subscribe(session, frozenset({device_id}), None, None, 1)
        except ValueError as error:
            device.send_error(str(error))
        except ConnectionClosed:
            raise Disconnect(POLICY_VIOLATION, "slow") from None  # a no-op: the hub has closed the connection

    async def _take_of_device(self, device: DeviceConnection, device_id: str, kind: str, payload: Mapping[str, Any]) -> None:
        if kind != "telemetry":
            await self._until_room(device)
            device.origin.put_ack(device_id, payload)
            return
        reading, state = split_telemetry(payload)
        if state:
            self._presence.update_state(device_id, state)
        if reading:
            await self._until_room(device)
            device.origin.put_reading(device_id, reading)

    async def _until_room(self, device: DeviceConnection) -> None:
        """Pause reading from a socket while too many of its messages wait for the store."""
        if not device.origin.full:
            return
        device.client.pause()
        try:
            await device.origin.until_room(self._realtime.slow_seconds)
        except TimeoutError:
            raise Disconnect(TRY_AGAIN_LATER, "store unavailable", "store away") from None
        finally:
            device.client.resume()

    def _device_of(self, device: DeviceConnection, payload: Mapping[str, Any]) -> str | None:
        """The device of a message; None if not permitted. A client without a device is bound to the first that it names."""
        named = next((payload[name] for name in IDS if name in payload), None)
        if device.device_id is None:
            device_id = self._first_device_of(device, named)
            if device_id is None or not self._may_publish(device, device_id):
                return None
            self._bind(device, device_id)
        elif named is not None and normalize_device_id(str(named)) != device.device_id:
            device.send_error(_AS_ITSELF)
            return None
        device_id = str(device.device_id)
        if not self._may_publish(device, device_id):
            self._unbind(device)
            return None
        if not device.bound:
            self._bind(device, device_id)
        return device_id

    def _first_device_of(self, device: DeviceConnection, named: object) -> str | None:
        try:
            device_id = parse_device_id(named)
        except DeviceIdError as error:
            device.send_error(f"device_id {error}")
            return None
        if device_id in self._settings.credentials:
            device.send_error("this device has a secret of its own")
            return None
        return device_id

    def _may_publish(self, device: DeviceConnection, device_id: str) -> bool:
        if self._is_allowed(device, device_id):
            return True
        device.send_error(_AS_ITSELF)
        return False

    def _is_allowed(self, device: DeviceConnection, device_id: str) -> bool:
        """Checked for each message and command: renewed credentials may allow less, and the device may have been moved."""
        return self._authenticator.is_allowed(device.connection.identity, Permission.PUBLISH, device_id)

    # --- commands to devices -----------------------------------------------------------------------------------------------

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        """Send a command to a device. Raises `BrokerUnavailable` if it has no socket here, or does not read."""
        device = self._of_device.get(device_id)
        if device is not None and not self._is_allowed(device, device_id):
            self._unbind(device)
            raise BrokerUnavailable("the client at the device's socket may no longer publish as this device")
        if device is None or not device.client.send_text(device.login.protocol.command(body)):
            raise BrokerUnavailable("the device's socket is closed, or the device does not read")
