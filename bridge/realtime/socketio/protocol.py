"""The events that a joined Socket.IO client sends, and their acknowledgements."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from bridge.core.access.permissions import ANYONE, NOBODY, Identity, Permission
from bridge.core.devices.command import CommandRequest
from bridge.core.errors import BridgeError, CommandRejected, StoreUnavailable, UnknownDevice
from bridge.core.reasons import with_cause
from bridge.http.credentials import Credentials
from bridge.http.origins import READ_ONLY
from bridge.ports import AlarmPanel, CommandSender
from bridge.realtime.auth.authenticator import Authenticator, disconnect_for
from bridge.realtime.auth.expiry import AuthenticatedConnection
from bridge.realtime.hub.hub import ConnectionClosed, Hub, SubscribeResult
from bridge.realtime.hub.requests import AcknowledgeRequest, SubscribeRequest, UnsubscribeRequest, error_response
from bridge.realtime.hub.session import Session
from bridge.realtime.socketio.auth import token_of

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JoinedClient:
    """`read_only` means that it is a web page which may only read."""

    session: Session
    connection: AuthenticatedConnection
    read_only: bool = False


class SocketIoProtocol:
    """Handles the events of joined clients. Every event is acknowledged with `{"ok": …}`."""

    def __init__(
        self, hub: Hub, authenticator: Authenticator, commander: CommandSender | None, alarms: AlarmPanel | None = None
    ) -> None:
        """Without `commander`, commands are refused; without `alarms`, acknowledgements."""
        self._hub = hub
        self._authenticator = authenticator
        self._commander = commander
        self._alarms = alarms
        self.clients: dict[str, JoinedClient] = {}
        """By Socket.IO sid."""

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """Return the handler of each event, in the form that python-socketio calls; `*` handles all others."""
        requests = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "sendCommand": self._send_command,
            "alertAcknowledge": self._acknowledge_alarm,
            "refresh": self._refresh,
        }
        return {event: partial(_acknowledge, handler) for event, handler in requests.items()} | {"*": _unknown}

    def _client(self, sid: str) -> JoinedClient:
        """Raises `ConnectionClosed` if the client left while its request was waiting."""
        client = self.clients.get(sid)
        if client is None:
            raise ConnectionClosed
        return client

    async def _subscribe(self, sid: str, body: object) -> Answer:
        request = SubscribeRequest.model_validate({} if body is None else body)
        session = self._client(sid).session
        try:
            if session.subscription.device_filter is not None:
                session.subscription.device_filter.check(request.devices)
            result = await self._hub.subscribe(session, request.devices, request.every, request.since, request.limit)
        except ValueError as error:
            return _failed(f"devices: {error}")
        return _subscribed(result) | {"replayed": result.replayed}

    async def _unsubscribe(self, sid: str, body: object) -> Answer:
        request = UnsubscribeRequest.model_validate({} if body is None else body)
        try:
            return _subscribed(await self._hub.unsubscribe(self._client(sid).session, request.devices))
        except ValueError as error:
            return _failed(f"devices: {error}")

    async def _send_command(self, sid: str, body: object) -> Answer:
        if self._commander is None:
            return _failed("this bridge does not accept commands")
        client = self.clients.get(sid)
        if client is not None and client.read_only:
            return _failed(READ_ONLY)
        request = CommandRequest.model_validate(body)
        identity, address = self._identity(client), "unknown" if client is None else client.connection.address
        if not self._authenticator.authorize_command(identity, request.device, address):
            return _failed("you may not command this device")
        origin = f"socket.io:{sid}" if identity is ANYONE else f"{identity.kind}:{identity.name}"
        command = await self._commander.submit(request, origin)
        return {"ok": True, **command.public()}

    async def _acknowledge_alarm(self, sid: str, body: object) -> Answer:
        if self._alarms is None:
            return _failed("this bridge has no alarms")
        client = self.clients.get(sid)
        if client is not None and client.read_only:
            return _failed(READ_ONLY)
        request = AcknowledgeRequest.model_validate(body)
        identity, address = self._identity(client), "unknown" if client is None else client.connection.address
        permits = partial(self._authenticator.is_allowed, identity, Permission.COMMAND)
        try:
            alarm = await self._alarms.acknowledge(request.id, permits, identity, address, request.comment)
        except BridgeError as error:
            return _failed(str(error))
        return {"ok": True, "alarm": alarm}

    def _identity(self, client: JoinedClient | None) -> Identity:
        """Return a client's identity; one without permissions if it has left."""
        if not self._authenticator.required:
            return ANYONE
        return NOBODY if client is None else client.connection.identity

    async def _refresh(self, sid: str, body: object) -> Answer:
        """Renew a client's credentials and update its device filter."""
        if not self._authenticator.required:
            return {"ok": True, "expires": None}
        client = self._client(sid)
        session, connection = client.session, client.connection
        try:
            await self._authenticator.renew(connection, Credentials(token_of(body)))
            subscription = replace(session.subscription, device_filter=self._authenticator.device_filter(connection.identity))
            if subscription != session.subscription:
                await self._hub.set_subscription(session, subscription)
        except BridgeError as error:
            return _failed(disconnect_for(error).reason)
        return {"ok": True, "expires": connection.expires}


async def _acknowledge(
    handler: Callable[[str, object], Awaitable[Answer]], sid: str, body: object = None, *_more: object
) -> Answer:
    """Return the handler's answer, or the error that it raises as an answer; further arguments are ignored."""
    try:
        return await handler(sid, body)
    except ValidationError as error:
        return error_response(error)
    except StoreUnavailable as error:
        return _failed(f"store unavailable, try again: {error}")
    except ConnectionClosed:
        return _failed("the connection has ended")
    except (UnknownDevice, CommandRejected) as error:
        return _failed(str(error))


def _unknown(event: str, _sid: str, *_body: object) -> Answer:
    return _failed(f"unknown event {event[:100]!r}: send subscribe, unsubscribe, sendCommand or refresh")


def _subscribed(result: SubscribeResult) -> Answer:
    devices = None if result.subscription.devices is None else sorted(result.subscription.devices)
    return {"ok": True, "devices": devices, "cursor": result.cursor}


def _failed(text: str) -> Answer:
    return with_cause({"ok": False, "error": text}, "error")
