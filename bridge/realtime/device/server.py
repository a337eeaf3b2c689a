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
from bridge.ports import Presence
from bridge.realtime.auth.authenticator import Entrance, closing
from bridge.realtime.auth.expiry import Stay
from bridge.realtime.device.credentials import Credentials, Identity
from bridge.realtime.device.login import RIGHTS, WAY, Admitted, Closed, DeviceLogin, message_of
from bridge.realtime.device.messages import IDS, SocketOrigin, parted
from bridge.realtime.device.protocols import DIALECTS, TELEMETRY_CODEC, Dialect, Lower
from bridge.realtime.frames import TRY_AGAIN_LATER
from bridge.realtime.hub.hub import Hub, Left
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import EVERYTHING, Wish
from bridge.realtime.websocket.connection import Client
from bridge.realtime.websocket.login import end, expiry
from bridge.realtime.websocket.server import WebSockets
from bridge.settings import DevicesSettings, RealtimeSettings

PATH = WAY
_AS_ITSELF = "a device may write as itself only"


@dataclass(slots=True, eq=False)
class Connection:
    """One socket that is let in. `device_id` is None for an admin, and until a device whose token names none has spoken.

    `bound` is whether that device's commands come here.
    """

    client: Client
    dialect: Dialect
    identity: Identity
    origin: SocketOrigin
    device_id: str | None = None
    bound: bool = False
    session: Session | None = None
    stay: Stay | None = None

    def complain(self, text: str) -> None:
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
        sockets: WebSockets,
        hub: Hub,
        intake: Intake,
        presence: Presence,
        credentials: Credentials,
        entrance: Entrance,
    ) -> None:
        """Who is let in is decided by `credentials`, or while access is required by `entrance`."""
        self._settings = settings
        self._realtime = realtime
        self._sockets = sockets
        self._hub = hub
        self._intake = intake
        self._presence = presence
        self._entrance = entrance
        self._login = DeviceLogin(entrance, credentials, realtime.handshake_seconds, sockets.shown)
        self._of_device: dict[str, Connection] = {}

    def routes(self) -> list[web.RouteDef]:
        """The path it answers."""
        return [web.get(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.attend(request, partial(self._converse, request))

    # --- connections -------------------------------------------------------------------------------------------------------

    async def _converse(self, request: web.Request, client: Client) -> None:
        messages = client.messages()
        try:
            address = self._sockets.address(request)
            admitted = await self._login.of(messages, request, address)
            if admitted is not None:
                self._sockets.know(client)
                await self._listen(self._connection(client, admitted, address), messages)
        except Closed as closed:
            if closed.told is not None:
                client.send_text(closed.told)
            client.end(closed.code, closed.reason, closed.reason)

    def _connection(self, client: Client, admitted: Admitted, address: str) -> Connection:
        if admitted.welcome is not None:
            client.send_text(admitted.welcome)
        origin = SocketOrigin(self._intake, self._settings.waiting_limit, lambda text: connection.complain(text))
        connection = Connection(client, admitted.dialect, admitted.identity, origin)
        if admitted.who is not None:
            connection.stay = Stay(admitted.who, address, connection.warn, partial(end, client))
        return connection

    async def _listen(self, connection: Connection, messages: AsyncIterator[bytes]) -> None:
        self._enter(connection)
        try:
            async for text in messages:
                await self._take(connection, message_of(text, connection.dialect))
        finally:
            self._leave(connection)

    def _enter(self, connection: Connection) -> None:
        if connection.stay is not None:
            self._entrance.stays.begin(connection.stay)
        if connection.identity.admin:
            connection.session = self._hub.join(TELEMETRY_CODEC, connection.client, self._seen_by(connection, EVERYTHING))
        elif connection.identity.device_id is not None:
            self._bind(connection, connection.identity.device_id)

    def _seen_by(self, connection: Connection, wish: Wish) -> Wish:
        stay = connection.stay
        return wish if stay is None else replace(wish, sight=self._entrance.sight(stay.identity))

    def _bind(self, connection: Connection, device_id: str) -> None:
        """It is this device. A second socket takes the place of the first: a device that was restarted left that one open."""
        before = self._of_device.get(device_id)
        connection.device_id, connection.bound = device_id, True
        self._of_device[device_id] = connection
        if before is not None:
            self._sockets.cut(before.client, "replaced")
        self._presence.connected(device_id)

    def _unbind(self, connection: Connection) -> None:
        """It is no device any more, until it may write as one again."""
        device_id, connection.bound = connection.device_id, False
        if device_id is not None and self._of_device.get(device_id) is connection:
            del self._of_device[device_id]
            self._presence.disconnected(device_id)

    def _leave(self, connection: Connection) -> None:
        if connection.session is not None:
            self._hub.leave(connection.session)
        if connection.stay is not None:
            self._entrance.stays.leave(connection.stay)
            connection.stay = None  # the two hold each other
        connection.origin.leave()
        self._unbind(connection)

    # --- what they say -----------------------------------------------------------------------------------------------------

    async def _take(self, connection: Connection, body: dict[str, Any]) -> None:
        if connection.stay is not None:
            connection.dialect = DIALECTS.get(str(body.get("type")), type(connection.dialect))()
            if (newer := connection.dialect.credentials(body) or Lower().credentials(body)) is not None:
                await self._renew(connection, connection.stay, *newer)
                return
        kind, payload = str(body.get("type", "")).lower(), connection.dialect.payload(body)
        if connection.session is not None:
            await self._take_of_admin(connection, connection.session, kind, payload)
        elif kind in ("telemetry", "ack", "command_ack"):
            device_id = self._writes_as(connection, payload)
            if device_id is not None:
                await self._take_of_device(connection, device_id, kind, payload)
        else:
            connection.complain("unknown type: a device sends telemetry, and ack for a command")

    async def _renew(self, connection: Connection, stay: Stay, name: str | None, secret: str) -> None:
        """It shows something newer of its own."""
        try:
            await self._entrance.renew(stay, secret, PATH, *RIGHTS, name=name)
            if connection.session is not None:
                await self._hub.change(connection.session, self._seen_by(connection, connection.session.wish))
        except BridgeError as error:
            connection.complain(closing(error).reason)
        except Left:
            raise Closed("slow") from None
        else:
            connection.client.send_text(connection.dialect.renewed(expiry(stay.identity)))

    async def _take_of_admin(self, connection: Connection, session: Session, kind: str, payload: Mapping[str, Any]) -> None:
        device_id = payload.get("device_id")
        if kind != "subscribe" or not is_device_id(device_id):
            connection.complain("an admin sends SUBSCRIBE with payload.device_id")
            return
        try:
            if session.wish.sight is not None:
                session.wish.sight.check((str(device_id),))
            await self._hub.subscribe(session, frozenset({str(device_id)}), None, None, 1)
        except ValueError as error:
            connection.complain(str(error))
        except Left:
            raise Closed("slow") from None  # the hub has seen to it

    async def _take_of_device(self, connection: Connection, device_id: str, kind: str, payload: Mapping[str, Any]) -> None:
        if kind != "telemetry":
            await self._until_room(connection)
            connection.origin.put_ack(device_id, payload)
            return
        reading, state = parted(payload)
        if state:
            self._presence.note(device_id, state)
        if reading:
            await self._until_room(connection)
            connection.origin.put_reading(device_id, reading)

    async def _until_room(self, connection: Connection) -> None:
        """While too much of it waits for the store, a socket is not read."""
        if not connection.origin.full:
            return
        connection.client.pause()
        try:
            await connection.origin.until_room(self._realtime.slow_seconds)
        except TimeoutError:
            raise Closed("store away", TRY_AGAIN_LATER) from None
        finally:
            connection.client.resume()

    def _writes_as(self, connection: Connection, payload: Mapping[str, Any]) -> str | None:
        """The device it is; one that nobody has named yet is who it says first."""
        named = next((payload[name] for name in IDS if name in payload), None)
        if connection.device_id is None:
            if not is_device_id(named):
                connection.complain("device_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
                return None
            if named in self._settings.credentials:
                connection.complain("this device has a secret of its own")
                return None
            if not self._may_write(connection, str(named)):
                return None
            self._bind(connection, str(named))
        elif named is not None and str(named) != connection.device_id:
            connection.complain(_AS_ITSELF)
            return None
        device_id = str(connection.device_id)
        if not self._may_write(connection, device_id):
            self._unbind(connection)
            return None
        if not connection.bound:
            self._bind(connection, device_id)
        return device_id

    def _may_write(self, connection: Connection, device_id: str) -> bool:
        if self._may_be(connection, device_id):
            return True
        connection.complain(_AS_ITSELF)
        return False

    def _may_be(self, connection: Connection, device_id: str) -> bool:
        """Looked at each time: what was shown last may allow less, and the device may stand elsewhere by now."""
        stay = connection.stay
        return stay is None or self._entrance.may(stay.identity, Permission.PUBLISH, device_id)

    # --- what they are told ------------------------------------------------------------------------------------------------

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:  # noqa: ARG002
        """A command, down the device's socket; raises `BrokerUnavailable` if it has none, or does not read."""
        connection = self._of_device.get(device_id)
        if connection is not None and not self._may_be(connection, device_id):
            self._unbind(connection)
            raise BrokerUnavailable("who speaks for the device at its socket may do so no more")
        if connection is None or not connection.client.send_text(connection.dialect.command(body)):
            raise BrokerUnavailable("the device's socket has ended, or the device does not read")
