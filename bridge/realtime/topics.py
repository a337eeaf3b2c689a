"""The dialect of `/ws`: plain WebSocket, by topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from bridge.core import events
from bridge.core.access.permissions import Identity
from bridge.core.devices.location import UNKNOWN_LOCATION, Location
from bridge.core.events import AuthExpiring, Event, Gap, SystemEvent
from bridge.core.message import DeviceStatus, TopicEvent
from bridge.core.readings.measurements import VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.core.readings.score import global_score
from bridge.core.timestamp import iso
from bridge.realtime.hub.hub import Hub
from bridge.realtime.hub.publication import SENT_AT_PLACEHOLDER
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.server import WebSocketServer

PATH = "/ws"
ALL_TOPICS = "all"
TOPICS = ("measurements", "predictions", "actions", "alerts", "modules", ALL_TOPICS)
_TYPES = {"predictions": "prediction", "actions": "action", "alerts": "alert", "modules": "module"}
_SHOUTED = {
    "co2": "CO2", "pm25": "PM25", "tvoc": "TVOC", "temperature": "Temperature", "humidity": "Humidity", "aqi": "AQI",
    "aqiScale": "AQIScale", "eco2": "ECO2", "coPpm": "CO", "ch4Ppm": "CH4", "lpgPpm": "LPG", "pm1": "PM1", "pm10": "PM10",
    "no2": "NO2", "so2": "SO2",
}  # fmt: skip
NAMES = {
    name: _SHOUTED.get(name, name[0].upper() + name[1:])
    for name in sorted(VALUE_NAMES, key=lambda name: list(_SHOUTED).index(name) if name in list(_SHOUTED)[:5] else 5)
}
"""What a field is called in `values`, in the order of sending; its flat twin is the same in lower case."""

Places = Callable[[str], Location | None]
"""Where a device stands, by its id; None if nobody knows."""


class TopicProtocol:
    """Clients of `/ws`; a new one has the topic `all`."""

    def __init__(self, app: web.Application, sockets: WebSocketServer, hub: Hub, places: Places = lambda _: None) -> None:
        """Adds its route to `app`."""
        self.encoder = TopicCodec(places)
        self._sockets = sockets
        self._hub = hub
        self._chosen: dict[ClientConnection, frozenset[str]] = {}
        app.router.add_get(PATH, self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, self)

    def on_connect(self, client: ClientConnection, who: Identity) -> None:  # noqa: ARG002
        """Nothing is said."""
        self._chosen[client] = frozenset((ALL_TOPICS,))

    def on_disconnect(self, client: ClientConnection) -> None:
        """It counts no more."""
        del self._chosen[client]

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        """`subscribe`, `unsubscribe`, `ping`; `pong` needs no answer."""
        match message.get("type"):
            case "ping":
                client.send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._choose(client, "subscribed", self._chosen[client] | _topics(message))
            case "unsubscribe":
                await self._choose(client, "unsubscribed", self._chosen[client] - _topics(message))
            case _:
                raise ValueError("type: is one of subscribe, unsubscribe, ping and pong")

    async def _choose(self, client: ClientConnection, answer: str, chosen: frozenset[str]) -> None:
        subscription = replace(client.session.subscription, topics=None if ALL_TOPICS in chosen else chosen)
        if subscription != client.session.subscription:
            await self._hub.set_subscription(client.session, subscription)
        self._chosen[client] = chosen
        client.send({"type": answer, "topics": [topic for topic in TOPICS if topic in chosen]})

    def stats(self) -> dict[str, Any]:
        """How many clients there are, and how many have subscribed to each topic."""
        counted = {topic: sum(topic in chosen for chosen in self._chosen.values()) for topic in TOPICS}
        return {"active_connections": len(self._chosen), "subscriptions": counted}


def _topics(message: dict[str, Any]) -> frozenset[str]:
    """Raises `ValueError` unless `topics` is a list of topics."""
    topics = message.get("topics")
    if not isinstance(topics, list) or not all(topic in TOPICS for topic in topics):
        raise ValueError(f"topics: is a list of {', '.join(TOPICS)}")
    return frozenset(topics)


class TopicCodec:
    """How events look on `/ws`."""

    def __init__(self, places: Places) -> None:
        """`places` is asked once for each event."""
        self._places = places
        self._readings = MessageTemplates(_measurement)

    def encode(self, event: Event) -> bytes | None:
        """A JSON object with its `type` first."""
        if isinstance(event, Reading):
            score = global_score(event.values)
            return self._readings.encode(event, *self._place(event.device_id), *(() if score is None else (score,)))
        body = self._body(event)
        return None if body is None else orjson.dumps(body)

    def _place(self, device_id: str) -> Location:
        return self._places(device_id) or UNKNOWN_LOCATION

    def _body(self, event: Event) -> dict[str, Any] | None:
        match event:
            case DeviceStatus():
                about = self._about(event.device_id)
                return {"type": "module", "timestamp": iso(event.timestamp_ms), **about, "status": event.status}
            case TopicEvent():
                return {"type": _TYPES[event.topic], "timestamp": iso(event.timestamp_ms), **event.body}
            case Gap():
                return {"type": "gap", **events.gap(event)}
            case AuthExpiring():
                return {"type": "auth_expiring", **events.auth_expiring(event)}
            case SystemEvent(channel=None):
                return {"type": "system_event", **events.system_event(event, SENT_AT_PLACEHOLDER)}
            case _:
                return None

    def _about(self, device_id: str) -> dict[str, str]:
        return _about(device_id, *self._place(device_id))


def _measurement(reading: Reading, site: str, room: str, score: int | None = None) -> dict[str, Any]:
    measured, names = reading.values, [(name, shouted) for name, shouted in NAMES.items() if name in reading.values]
    body: dict[str, Any] = {
        "type": "measurement",
        "timestamp": iso(reading.timestamp_ms),
        **_about(reading.device_id, site, room),
        "values": {shouted: measured[name] for name, shouted in names},
    }
    for name, shouted in names:
        body[shouted.lower()] = measured[name]
    if score is not None:
        body["global_score"] = score
    body["cursor"] = reading.seq
    return body


def _about(device_id: str, site: str, room: str) -> dict[str, str]:
    return {"sensor_id": device_id, "enseigne": site, "salle": room}
