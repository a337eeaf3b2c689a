"""The protocol of `/api/v1/ws`: plain WebSocket, one channel per connection."""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from bridge.core import events
from bridge.core.access.channels import CHANNELS, GENERAL
from bridge.core.access.permissions import Identity, IdentityKind
from bridge.core.devices.entity import entity_of
from bridge.core.events import (
    ActionAdvised,
    AirAssessed,
    AlarmChanged,
    AnomalyChanged,
    AuthExpiring,
    DeviceState,
    EntityEvent,
    Event,
    Gap,
    PredictionMade,
    StandingAlarms,
    SystemEvent,
)
from bridge.core.message import CommandAck, DeviceStatus, TopicEvent
from bridge.core.readings.identity import number_or_text
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.realtime.hub.encoding import SENT_AT_PLACEHOLDER
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.server import WebSocketServer

PATH = "/api/v1/ws"
SECURE_PATH = "/api/v1/ws/secure"
ANONYMOUS = "anonymous"
_USER_LENGTH = 128
_SPANISH = {"temperature": "temperatura", "humidity": "humedad"}


@dataclass(frozen=True, slots=True)
class ChannelMember:
    channel: str
    user_id: str
    connected_ms: int


class ChannelProtocol:
    """Clients of `/api/v1/ws` and `/api/v1/ws/secure`, each on one channel."""

    def __init__(self, app: web.Application, sockets: WebSocketServer) -> None:
        self._sockets = sockets
        self._members: dict[ClientConnection, ChannelMember] = {}
        app.router.add_get(PATH, self._serve)
        app.router.add_get(SECURE_PATH, self._serve_secure)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, *self._requested(request))

    async def _serve_secure(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve_secure(request, partial(self._requested, request))

    def _requested(self, request: web.Request) -> "tuple[_ChannelHandler, Subscription]":
        """Return the handler and the subscription of a handshake. Raises 400 or 404 for invalid parameters."""
        channel = checked_channel(request.query.get("channel", GENERAL))
        member = ChannelMember(channel, _checked_user(request.query.get("user_id", "")), time.time_ns() // 1_000_000)
        subscription = ALL if channel == GENERAL else Subscription(topics=frozenset((channel,)))
        return _ChannelHandler(self._members, member), subscription

    def stats(self, channel: str | None = None) -> dict[str, Any]:
        members: dict[str, list[ChannelMember]] = {} if channel is None else {channel: []}
        for member in self._members.values():
            if channel in (None, member.channel):
                members.setdefault(member.channel, []).append(member)
        return {
            "total_channels": len(members),
            "channels": {name: _public(members[name]) for name in CHANNELS if name in members},
        }


class _ChannelHandler:
    def __init__(self, members: dict[ClientConnection, ChannelMember], member: ChannelMember) -> None:
        self.encoder = CODEC
        self.channel: str | None = member.channel
        self._members = members
        self._member = member

    def on_connect(self, client: ClientConnection, identity: Identity) -> None:
        """Add the client. An authenticated client is listed under its real name, not the `user_id` it asked for."""
        if identity.kind is not IdentityKind.ANYONE:
            self._member = replace(self._member, user_id=identity.name[:_USER_LENGTH])
        self._members[client] = self._member
        timestamp = iso(self._member.connected_ms)
        client.send({"type": "connection", "status": "connected", "channel": self._member.channel, "timestamp": timestamp})

    def on_disconnect(self, client: ClientConnection) -> None:
        del self._members[client]

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "ping":
                client.send({"type": "pong"})
            case "pong":
                pass
            case _:
                raise ValueError("type: must be ping or pong; for another channel, connect again with ?channel=")


def _entity_event(event: EntityEvent) -> dict[str, Any]:
    """The message of an event, with ids that are numbers where they are written as one, and `created_at`."""
    if event.entity_type == "reading":
        data = _reading_data(event.data, number_or_text(str(event.data.get("deviceId", ""))))
    else:
        data = entity_of(event.data)
    body = events.entity_event(event, SENT_AT_PLACEHOLDER)
    return body | {"entity_id": number_or_text(event.entity_id), "data": data}


def _created_reading(reading: Reading, sensor_id: int | str) -> dict[str, Any]:
    data = _reading_data(reading.public(), sensor_id)
    event = EntityEvent("reading", "created", str(reading.id), data, {"action": "create_reading"})
    return events.entity_event(event, SENT_AT_PLACEHOLDER)


def _reading_data(record: dict[str, Any], sensor_id: int | str) -> dict[str, Any]:
    """The record, also under the names that this protocol's own clients post."""
    names = {spanish: record[name] for name, spanish in _SPANISH.items() if name in record}
    return record | {"id": record.get("_id"), "sensor_id": sensor_id} | names


def _topic_as_entity(event: TopicEvent) -> EntityEvent:
    """Return an event of another service with its body as `data`; the id is taken from the body, and empty without one."""
    ids = (event.body.get(name) for name in ("id", "entity_id", "sensor_id"))
    entity_id = next((str(value) for value in ids if isinstance(value, str | int) and not isinstance(value, bool)), "")
    data = {"timestamp": iso(event.timestamp_ms)} | event.body
    match event.topic:
        case "predictions":
            return EntityEvent("prediction", "prediction_completed", entity_id, data, {"action": "predict"})
        case "alerts":
            return EntityEvent("alert", "anomaly_detected", entity_id, data, {"action": "detect_anomaly"})
        case "modules":
            return EntityEvent("module", "updated", entity_id, data, {"action": "update_module"})
        case _:
            return EntityEvent("action", "created", entity_id, data, {"action": "create_action"})


def _found_as_entity(event: AlarmChanged | AnomalyChanged | PredictionMade) -> EntityEvent | None:
    match event:
        case AlarmChanged():
            return events.alarm_entity(event)
        case AnomalyChanged():
            return events.anomaly_entity(event)
        case PredictionMade():
            return events.prediction_entity(event)


class ChannelCodec:
    def __init__(self) -> None:
        self._readings = MessageTemplates(_created_reading)

    def encode(self, event: Event) -> bytes | None:
        """Return a JSON object whose first key is `type`; None for events that channels do not have."""
        match event:
            case Reading():
                return self._readings.encode(event, number_or_text(event.device_id))
            case SystemEvent():
                body = {"type": "system_event", **events.system_event(event, SENT_AT_PLACEHOLDER)}
            case Gap():
                body = {"type": "gap", **events.gap(event)}
            case EntityEvent():
                body = _entity_event(event)
            case AuthExpiring():
                body = {"type": "auth_expiring", **events.auth_expiring(event)}
            case TopicEvent() | ActionAdvised():
                body = _entity_event(_topic_as_entity(event) if isinstance(event, TopicEvent) else events.action_entity(event))
            case AlarmChanged() | AnomalyChanged() | PredictionMade():
                entity = _found_as_entity(event)
                if entity is None:
                    return None
                body = events.entity_event(entity, SENT_AT_PLACEHOLDER)
            case (
                CommandAck() | AirAssessed() | StandingAlarms() | DeviceStatus() | DeviceState()
            ):  # the registry reports changes of devices
                return None
        return orjson.dumps(body)


CODEC = ChannelCodec()


def checked_channel(name: str) -> str:
    if name not in CHANNELS:
        raise web.HTTPNotFound(text=f"channel: {name[:64]!a} does not exist; choose one of {', '.join(CHANNELS)}")
    return name


def _checked_user(name: str) -> str:
    if len(name) > _USER_LENGTH or not name.isprintable():
        raise web.HTTPBadRequest(text=f"user_id: must be at most {_USER_LENGTH} printable characters")
    return name or ANONYMOUS


def _public(members: list[ChannelMember]) -> dict[str, Any]:
    users = [{"user_id": member.user_id, "connected_at": iso(member.connected_ms)} for member in members]
    return {"connections": len(members), "users": users}
