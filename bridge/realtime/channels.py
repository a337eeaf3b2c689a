"""The dialect of `/api/v1/ws`: plain WebSocket, by channel."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from bridge.core import events
from bridge.core.access.permissions import Identity, IdentityKind
from bridge.core.events import AuthExpiring, EntityEvent, Event, Gap, SystemEvent
from bridge.core.message import CommandAck, DeviceStatus, TopicEvent
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.realtime.hub.publication import SENT_AT_PLACEHOLDER
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.server import WebSocketServer

PATH = "/api/v1/ws"
SECURE_PATH = "/api/v1/ws/secure"
GENERAL = "general"
CHANNELS = (GENERAL, "sensors", "readings", "locations", "anomalies", "predictions")
ANONYMOUS = "anonymous"
_USER_LENGTH = 128


@dataclass(frozen=True, slots=True)
class ChannelMember:
    """Who listens on a channel, and since when."""

    channel: str
    user_id: str
    connected_ms: int


class ChannelProtocol:
    """Clients of `/api/v1/ws` and `/api/v1/ws/secure`, each on one channel."""

    def __init__(self, app: web.Application, sockets: WebSocketServer) -> None:
        """Adds its routes to `app`; while access is open no token is valid, and nobody is let in at the secure one."""
        self._sockets = sockets
        self._guests: dict[ClientConnection, ChannelMember] = {}
        app.router.add_get(PATH, self._serve)
        app.router.add_get(SECURE_PATH, self._serve_secure)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, *self._asked(request))

    async def _serve_secure(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve_secure(request, partial(self._asked, request))

    def _asked(self, request: web.Request) -> tuple[_OnChannel, Subscription]:
        """Raises an HTTP error for what there is not."""
        channel = checked_channel(request.query.get("channel", GENERAL))
        guest = ChannelMember(channel, _user(request.query.get("user_id", "")), _now_ms())
        subscription = ALL if channel == GENERAL else Subscription(topics=frozenset((channel,)))
        return _OnChannel(self._guests, guest), subscription

    def stats(self, channel: str | None = None) -> dict[str, Any]:
        """Who listens: on one channel, or on all that have someone."""
        of: dict[str, list[ChannelMember]] = {} if channel is None else {channel: []}
        for guest in self._guests.values():
            if channel in (None, guest.channel):
                of.setdefault(guest.channel, []).append(guest)
        return {
            "total_channels": len(of),
            "channels": {name: _shown(of[name]) for name in CHANNELS if name in of},
        }


class _OnChannel:
    """What one client hears and says."""

    def __init__(self, guests: dict[ClientConnection, ChannelMember], guest: ChannelMember) -> None:
        self.encoder = CODEC
        self._guests = guests
        self._guest = guest

    def on_connect(self, client: ClientConnection, who: Identity) -> None:
        """Who had to say who it is, is not who it likes to be called."""
        if who.kind is not IdentityKind.ANYONE:
            self._guest = replace(self._guest, user_id=who.name[:_USER_LENGTH])
        self._guests[client] = self._guest
        at = iso(self._guest.connected_ms)
        client.send({"type": "connection", "status": "connected", "channel": self._guest.channel, "timestamp": at})

    def on_disconnect(self, client: ClientConnection) -> None:
        del self._guests[client]

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "ping":
                client.send({"type": "pong"})
            case "pong":
                pass
            case _:
                raise ValueError("type: is ping or pong; for another channel connect again with ?channel=")


class ChannelCodec:
    """How events look on a channel."""

    def __init__(self) -> None:
        """Without state, but for what it has learned of readings' forms."""
        self._readings = MessageTemplates(lambda reading: events.entity_event(_as_entity(reading), SENT_AT_PLACEHOLDER))

    def encode(self, event: Event) -> bytes | None:
        """A JSON object with its `type` first."""
        match event:
            case Reading():
                return self._readings.encode(event)
            case SystemEvent():
                body = {"type": "system_event", **events.system_event(event, SENT_AT_PLACEHOLDER)}
            case Gap():
                body = {"type": "gap", **events.gap(event)}
            case EntityEvent():
                body = events.entity_event(event, SENT_AT_PLACEHOLDER)
            case AuthExpiring():
                body = {"type": "auth_expiring", **events.auth_expiring(event)}
            case CommandAck():
                return None
            case _:
                body = events.entity_event(_as_entity(event), SENT_AT_PLACEHOLDER)
        return orjson.dumps(body)


CODEC = ChannelCodec()


def _as_entity(event: Reading | DeviceStatus | TopicEvent) -> EntityEvent:
    match event:
        case Reading():
            return EntityEvent("reading", "created", str(event.id), event.public(), {"action": "create_reading"})
        case DeviceStatus():
            status = events.device_status(event)
            return EntityEvent("sensor", "updated", event.device_id, status, {"action": "update_sensor_status"})
        case TopicEvent():
            return _of_topic(event)


def _of_topic(event: TopicEvent) -> EntityEvent:
    """What another service said, with its body as `data`; the id is the one it gives, else empty."""
    named = (event.body.get(name) for name in ("id", "entity_id", "sensor_id"))
    entity_id = next((str(one) for one in named if isinstance(one, str | int)), "")
    at = {"timestamp": iso(event.timestamp_ms)}
    match event.topic:
        case "predictions":
            return EntityEvent("prediction", "prediction_completed", entity_id, at | event.body, {"action": "predict"})
        case "alerts":
            return EntityEvent("alert", "anomaly_detected", entity_id, at | event.body, {"action": "detect_anomaly"})
        case "modules":
            return EntityEvent("module", "updated", entity_id, at | event.body, {"action": "update_module"})
        case _:
            return EntityEvent("action", "created", entity_id, at | event.body, {"action": "create_action"})


def checked_channel(name: str) -> str:
    """Raises 404 when there is no such channel."""
    if name not in CHANNELS:
        raise web.HTTPNotFound(text=f"channel: {name[:64]!a} is none; there are {', '.join(CHANNELS)}")
    return name


def _user(name: str) -> str:
    if len(name) > _USER_LENGTH or not name.isprintable():
        raise web.HTTPBadRequest(text=f"user_id: is {_USER_LENGTH} printable characters at most")
    return name or ANONYMOUS


def _shown(guests: list[ChannelMember]) -> dict[str, Any]:
    users = [{"user_id": guest.user_id, "connected_at": iso(guest.connected_ms)} for guest in guests]
    return {"connections": len(guests), "users": users}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
