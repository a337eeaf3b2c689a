"""Devices on their own WebSocket endpoint, `/ws/device`, and `/`. The first message selects one of two protocols.

Telemetry goes through the pipeline like every other message. A client may publish only for the devices that its credentials
allow; commands are sent over its socket, and its devices are online while that is open. A listener receives the telemetry of
every device, or of those it subscribes to. A client that may do both is what its first message after the login makes it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from bridge.core.access.permissions import Permission
from bridge.core.errors import BridgeError, BrokerUnavailable, DeviceIdError
from bridge.core.readings.identity import normalize_device_id, parse_device_id
from bridge.http.credentials import Credentials
from bridge.http.origins import READ_ONLY, may_publish_on_socket
from bridge.pipeline.intake import Intake
from bridge.ports import DevicePresence
from bridge.realtime.auth.authenticator import Authenticator, Disconnect, disconnect_for
from bridge.realtime.device.bindings import DeviceBindings
from bridge.realtime.device.connection import ClientRole, DeviceConnection, first_role, listens_from_the_start
from bridge.realtime.device.login import PERMISSIONS, DeviceLogin
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
DEVICES_LIMIT = 1000
"""The most devices for which one connection publishes."""

_AS_ITSELF = "a device may publish only as itself"
_PUBLISHES = ("telemetry", "ack", "command_ack")
_EXPECTED = {
    ClientRole.DEVICE: "unknown type: a device sends telemetry, and ack for a command",
    ClientRole.LISTENER: "an admin sends SUBSCRIBE with payload.device_id",
    ClientRole.UNDECIDED: "unknown type: a device sends telemetry, an admin sends SUBSCRIBE with payload.device_id",
}


class DeviceSockets:
    """The clients of `/ws/device` and of `/`."""

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
        self._http = http
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
        self._bindings = DeviceBindings(presence, lambda device: sockets.disconnect(device.client, "replaced"))

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.handle(request, partial(self._handle, request))

    # --- connections -------------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request, client: ClientConnection) -> None:
        messages, login = client.messages(), DeviceLogin(required=self._authenticator.required)
        connection = await self._login.log_in(client, messages, request, self._sockets.address(request), login)
        if connection is None:
            return
        self._sockets.mark_authenticated(client)
        identity, by_page = connection.identity, not may_publish_on_socket(request, self._http)
        role = first_role(
            login,
            identity,
            reads=self._authenticator.reads(identity),
            publishes=identity.publishes and not by_page,
        )
        limit, record = self._settings.waiting_limit, self._presence.record_telemetry
        origin = SocketOrigin(self._intake, limit, lambda text: device.send_error(text), record)
        device = DeviceConnection(client, login, connection, origin, role, by_page=by_page)
        await self._listen(device, messages)

    async def _listen(self, device: DeviceConnection, messages: AsyncIterator[bytes]) -> None:
        self._enter(device)
        try:
            async for text in messages:
                await self._take(device, device.login.parse(text))
        finally:
            self._leave(device)

    def _enter(self, device: DeviceConnection) -> None:
        if listens_from_the_start(device.login, device.identity, device.role):
            device.session = self._hub.add_client(TELEMETRY_CODEC, device.client, self._visible(device, ALL))
        own = device.identity.own_devices
        if device.role is ClientRole.LISTENER or len(own) != 1:
            return
        (device_id,) = own
        device.named[device_id] = None
        if device.role is ClientRole.DEVICE:
            self._bindings.bind(device, device_id)
        else:
            self._bindings.offer(device, device_id)

    def _visible(self, device: DeviceConnection, subscription: Subscription) -> Subscription:
        return replace(subscription, device_filter=self._authenticator.device_filter(device.identity))

    def _leave(self, device: DeviceConnection) -> None:
        self._stop_listening(device)
        self._authenticator.connections.remove(device.connection)
        device.origin.leave()
        self._bindings.release(device)

    def _stop_listening(self, device: DeviceConnection) -> None:
        session, device.session = device.session, None
        if session is not None:
            self._hub.remove_client(session)

    # --- messages from clients ---------------------------------------------------------------------------------------------

    async def _take(self, device: DeviceConnection, body: dict[str, Any]) -> None:
        credentials = device.login.renewal(body)
        if self._authenticator.required and credentials is not None:
            await self._renew(device, credentials)
            return
        kind, payload = str(body.get("type", "")).lower(), device.login.protocol.payload(body)
        if kind in _PUBLISHES and self._is_device(device):
            device_id = self._device_of(device, payload)
            if device_id is not None:
                await self._take_of_device(device, device_id, kind, body)
        elif kind == "subscribe" and "device_id" in payload and self._is_listener(device):
            await self._subscribe(device, self._session_of(device), payload)
        else:
            device.send_error(READ_ONLY if device.by_page and kind in _PUBLISHES else _EXPECTED[device.role])

    def _is_device(self, device: DeviceConnection) -> bool:
        """Whether the client may publish. One that might be a listener receives no more telemetry."""
        if device.role is ClientRole.UNDECIDED:
            device.role = ClientRole.DEVICE
            self._stop_listening(device)
        return device.role is ClientRole.DEVICE

    def _is_listener(self, device: DeviceConnection) -> bool:
        """Whether the client may subscribe. One that might be a device no longer is one."""
        if device.role is ClientRole.UNDECIDED:
            device.role = ClientRole.LISTENER
            self._bindings.release(device)
            device.named.clear()
        return device.role is ClientRole.LISTENER and self._authenticator.reads(device.identity)

    def _session_of(self, device: DeviceConnection) -> Session:
        """The session of a listener; one that heard nothing before its SUBSCRIBE begins without devices."""
        if device.session is None:
            nothing = Subscription(devices=frozenset())
            device.session = self._hub.add_client(TELEMETRY_CODEC, device.client, self._visible(device, nothing))
        return device.session

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

    async def _subscribe(self, device: DeviceConnection, session: Session, payload: Mapping[str, Any]) -> None:
        try:
            device_id = parse_device_id(payload["device_id"])
            if session.subscription.device_filter is not None:
                session.subscription.device_filter.check((device_id,))
            await self._hub.subscribe(session, frozenset({device_id}), None, None, 1)
        except ValueError as error:
            device.send_error(str(error))
        except ConnectionClosed:
            raise Disconnect(POLICY_VIOLATION, "slow") from None  # a no-op: the hub has closed the connection

    async def _take_of_device(self, device: DeviceConnection, device_id: str, kind: str, body: Mapping[str, Any]) -> None:
        payload = device.login.protocol.payload(body)
        if kind != "telemetry":
            await self._until_room(device)
            device.origin.put_ack(device_id, payload)
            return
        reading, state = split_telemetry(payload)
        if state:
            self._presence.update_state(device_id, state)
        if reading:
            await self._until_room(device)
        device.origin.put_telemetry(device_id, body, reading)

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

    # --- devices of a message ----------------------------------------------------------------------------------------------

    def _device_of(self, device: DeviceConnection, payload: Mapping[str, Any]) -> str | None:
        """The device of a message, bound to this connection; None, with an error sent, if it may not publish as the device."""
        named = next((payload[name] for name in IDS if name in payload), None)
        try:
            device_id = _named(device, named)
            self._check(device, device_id)
        except ValueError as error:
            device.send_error(str(error))
            return None
        self._bindings.bind(device, device_id)
        return device_id

    def _check(self, device: DeviceConnection, device_id: str) -> None:
        """Raise `ValueError` if the client may not publish as the device; it no longer is the device then."""
        if not self._is_allowed(device, device_id):
            self._bindings.unbind(device, device_id)
            raise ValueError(_AS_ITSELF)
        if device_id in device.named:
            return
        if device_id in self._settings.credentials and device_id not in device.identity.own_devices:
            raise ValueError("this device has a secret of its own")
        if len(device.named) >= DEVICES_LIMIT:
            raise ValueError(f"one connection publishes for at most {DEVICES_LIMIT} devices: open another one")

    def _is_allowed(self, device: DeviceConnection, device_id: str) -> bool:
        """Checked for each message and command: renewed credentials may allow less, and the device may have been moved."""
        return self._authenticator.is_allowed(device.identity, Permission.PUBLISH, device_id)

    # --- commands to devices -----------------------------------------------------------------------------------------------

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        """Send a command to a device. Raises `BrokerUnavailable` if it has no socket here, or does not read."""
        device = self._bindings.holder(device_id)
        if device is not None and not self._is_allowed(device, device_id):
            self._bindings.unbind(device, device_id)
            raise BrokerUnavailable("the client at the device's socket may no longer publish as this device")
        if device is None or not device.client.send_text(device.login.protocol.command(body)):
            raise BrokerUnavailable("the device's socket is closed, or the device does not read")


def _named(device: DeviceConnection, named: object) -> str:
    """The device that a message is of: that which it names, or the only one of its connection. Raises `ValueError`."""
    if len(device.named) == 1:
        (only,) = device.named
        if named is None or normalize_device_id(str(named)) == only:
            return only
    if named is None and device.named:
        raise ValueError("device_id is missing, and this connection publishes for several devices")
    try:
        return parse_device_id(named)
    except DeviceIdError as error:
        raise ValueError(f"device_id {error}") from None
