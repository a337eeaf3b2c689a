"""The protocol of `/ws`: plain WebSocket, with subscriptions by topic."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from bridge.air.score import global_score
from bridge.core import events
from bridge.core.access.permissions import Identity
from bridge.core.devices.location import UNKNOWN_LOCATION, Location, stated_location
from bridge.core.events import (
    ANOMALIES_ONLY,
    ActionAdvised,
    AirAssessed,
    AlarmChanged,
    AnomalyChanged,
    AuthExpiring,
    Event,
    Gap,
    PredictionMade,
    SystemEvent,
)
from bridge.core.message import DeviceStatus, TopicEvent
from bridge.core.readings.measurements import VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.core.readings.units import conversion, unit_name
from bridge.core.timestamp import iso
from bridge.realtime.hub.encoding import SENT_AT_PLACEHOLDER
from bridge.realtime.hub.hub import Hub
from bridge.realtime.hub.subscriptions import Subscription
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.websocket.connection import ClientConnection
from bridge.realtime.websocket.server import WebSocketServer

log = logging.getLogger(__name__)

PATH = "/ws"
ALL_TOPICS, MEASUREMENTS = "all", "measurements"
TOPICS = (MEASUREMENTS, "predictions", "actions", "alerts", "modules", "anomalies", "assessments", ALL_TOPICS)
COUNTED_TOPICS = tuple(one for one in TOPICS if one not in ("anomalies", "assessments"))
"""Those of `GET /ws/stats`, whose keys clients know."""

_ALL = Subscription(topics=frozenset(COUNTED_TOPICS))
"""What clients of the topic `all` are sent: no assessments, a type of message that older clients do not know."""

_SUBSCRIBED = {"anomalies": ANOMALIES_ONLY}
"""Topics of `/ws` that are others in events, where a topic may be a channel's too."""

_TYPES = {"predictions": "prediction", "actions": "action", "alerts": "alert", "modules": "module"}
_CAPITALIZED = {
    "co2": "CO2", "pm25": "PM25", "tvoc": "TVOC", "temperature": "Temperature", "humidity": "Humidity", "aqi": "AQI",
    "aqiScale": "AQIScale", "eco2": "ECO2", "coPpm": "CO", "ch4Ppm": "CH4", "lpgPpm": "LPG", "pm1": "PM1", "pm10": "PM10",
    "no2": "NO2", "so2": "SO2", "pm4": "PM4", "pm03Count": "PM03Count", "vocIndex": "VOCIndex", "noxIndex": "NOXIndex",
    "hcho": "HCHO", "nh3": "NH3", "h2s": "H2S", "rssi": "RSSI",
}  # fmt: skip
_FIRST = ("co2", "pm25", "tvoc", "temperature", "humidity")
NAMES = {
    name: _CAPITALIZED.get(name, name[0].upper() + name[1:])
    for name in (*_FIRST, *(name for name in VALUE_NAMES if name not in _FIRST))
}
"""The names of fields in `values`, in the order of sending. Outside of `values` the same names are in lower case."""

LocationLookup = Callable[[str], Location | None]
"""From a device id to the device's location; None if it is unknown."""

UnitLookup = Callable[[str], Mapping[str, str]]
"""From a device id to the units that the device uses, by field."""

_TVOC = "tvoc"
_MASS = "mg/m³"


class TopicProtocol:
    """Clients of `/ws`; a new one has the topic `all`."""

    def __init__(
        self,
        app: web.Application,
        sockets: WebSocketServer,
        hub: Hub,
        locate: LocationLookup = lambda _: None,
        units: UnitLookup = lambda _: {},
    ) -> None:
        self.encoder = TopicCodec(locate, units, self._listeners)
        self.channel: str | None = None
        self._sockets = sockets
        self._hub = hub
        self._topics: dict[ClientConnection, frozenset[str]] = {}
        app.router.add_get(PATH, self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._sockets.serve(request, self, _ALL)

    def on_connect(self, client: ClientConnection, identity: Identity) -> None:  # noqa: ARG002
        self._topics[client] = frozenset((ALL_TOPICS,))
        log.info("WebSocket: client connected to %s. Total: %d, Topics: %s", PATH, len(self._topics), [ALL_TOPICS])

    def on_disconnect(self, client: ClientConnection) -> None:
        del self._topics[client]
        log.info("WebSocket: client disconnected from %s. Total: %d", PATH, len(self._topics))

    def _listeners(self) -> int:
        """Count the clients with the topic of measurements."""
        return sum(not topics.isdisjoint((MEASUREMENTS, ALL_TOPICS)) for topics in self._topics.values())

    async def on_message(self, client: ClientConnection, message: dict[str, Any]) -> None:
        """Handle `subscribe`, `unsubscribe`, `ping` and `pong`."""
        match message.get("type"):
            case "ping":
                client.send({"type": "pong"})
                log.debug("WebSocket: ping received at %s: pong sent", PATH)
            case "pong":
                log.debug("WebSocket: pong received at %s", PATH)
            case "subscribe":
                await self._set_topics(client, "subscribed", self._topics[client] | _requested_topics(message))
            case "unsubscribe":
                await self._set_topics(client, "unsubscribed", self._topics[client] - _requested_topics(message))
            case _:
                raise ValueError("type: must be subscribe, unsubscribe, ping or pong")

    async def _set_topics(self, client: ClientConnection, answer: str, topics: frozenset[str]) -> None:
        chosen = COUNTED_TOPICS if ALL_TOPICS in topics else ()
        wanted = frozenset(_SUBSCRIBED.get(topic, topic) for topic in topics.union(chosen))
        subscription = replace(client.session.subscription, topics=wanted)
        if subscription != client.session.subscription:
            await self._hub.set_subscription(client.session, subscription)
        self._topics[client] = topics
        client.send({"type": answer, "topics": [topic for topic in TOPICS if topic in topics]})

    def stats(self) -> dict[str, Any]:
        counts = {topic: sum(topic in topics for topics in self._topics.values()) for topic in COUNTED_TOPICS}
        return {"active_connections": len(self._topics), "subscriptions": counts}


def _requested_topics(message: dict[str, Any]) -> frozenset[str]:
    """Return the topics of a request. Raises `ValueError` unless `topics` is a list of existing ones."""
    topics = message.get("topics")
    if not isinstance(topics, list) or not all(topic in TOPICS for topic in topics):
        raise ValueError(f"topics: must be a list of {', '.join(TOPICS)}")
    return frozenset(topics)


class TopicCodec:
    """Encodes events for `/ws`."""

    def __init__(
        self, locate: LocationLookup, units: UnitLookup = lambda _: {}, listeners: Callable[[], int] = lambda: 0
    ) -> None:
        """`listeners` counts the clients that are sent measurements, for the log."""
        self._listeners = listeners
        self._locate = locate
        self._units = units
        self._readings = MessageTemplates(_measurement)

    def encode(self, event: Event) -> bytes | None:
        """Return a JSON object whose first key is `type`; None for events that `/ws` does not have."""
        if isinstance(event, Reading):
            if log.isEnabledFor(logging.DEBUG):
                log.debug("WebSocket: measurement of %r sent to %d clients at %s", event.device_id, self._listeners(), PATH)
            if event.extra or self._is_mass(event):
                return orjson.dumps(self.measurement(event))
            score = global_score(event.values, event.quality)
            return self._readings.encode(event, *self._location(event.device_id), *(() if score is None else (score,)))
        body = self._body(event)
        return None if body is None else orjson.dumps(body)

    def measurement(self, reading: Reading) -> dict[str, Any]:
        """Return the message of a reading. The location that the reading states comes before that of the registry."""
        registered, stated = self._location(reading.device_id), stated_location(reading.extra)
        location = stated.site or registered.site, stated.room or registered.room
        body = _measurement(reading, *location, global_score(reading.values, reading.quality))
        if self._is_mass(reading):
            body[_TVOC] = body["values"][NAMES[_TVOC]] = conversion(_TVOC, _MASS).invert(float(reading.values[_TVOC]))
            body["units"] = {NAMES[_TVOC]: _MASS}
        return body

    def _is_mass(self, reading: Reading) -> bool:
        """Whether the device sends TVOC in mg/m³, and its readers expect it so."""
        return _TVOC in reading.values and unit_name(self._units(reading.sender).get(_TVOC, "")) == _MASS

    def _location(self, device_id: str) -> Location:
        return self._locate(device_id) or UNKNOWN_LOCATION

    def _body(self, event: Event) -> dict[str, Any] | None:
        match event:
            case DeviceStatus():
                device = _device(event.device_id, *self._location(event.device_id))
                return {"type": "module", "timestamp": iso(event.timestamp_ms), **device, "status": event.status}
            case TopicEvent():
                return {"type": _TYPES[event.topic], "timestamp": iso(event.timestamp_ms), **event.body}
            case AirAssessed() | AlarmChanged() | AnomalyChanged() | PredictionMade() | ActionAdvised():
                return _found(event, *self._location(event.device_id or ""))
            case Gap():
                return {"type": "gap", **events.gap(event)}
            case AuthExpiring():
                return {"type": "auth_expiring", **events.auth_expiring(event)}
            case SystemEvent(channel=None):
                return {"type": "system_event", **events.system_event(event, SENT_AT_PLACEHOLDER)}
            case _:
                return None


def _found(
    event: AirAssessed | AlarmChanged | AnomalyChanged | PredictionMade | ActionAdvised, site: str, room: str
) -> dict[str, Any] | None:
    """Return the message of what the bridge found in readings; None for predictions that were updated or retired."""
    match event:
        case AirAssessed():
            device = _device(event.device_id, site, room)
            return {"type": "assessment", "timestamp": iso(event.timestamp_ms), **device, **event.body}
        case AlarmChanged():
            return _alert(event, site, room)
        case AnomalyChanged():
            return _anomaly(event, site, room)
        case PredictionMade():
            return _prediction(event, site, room) if event.kind == "completed" else None
        case ActionAdvised():
            return {"type": "action", "timestamp": iso(event.at_ms), **_device(event.device_id, site, room), **event.body}


def _alert(event: AlarmChanged, site: str, room: str) -> dict[str, Any]:
    record = event.record
    return {
        "type": "alert",
        "timestamp": iso(event.at_ms),
        **_device(event.device_id or "", site, room),
        "alert_id": record["id"],
        "kind": event.kind,
        "transition": event.transition,
        "rule": event.rule,
        "level": record["priority"],
        "state": record["state"],
        "value": record["value"],
        "unit": record["unit"],
        "message": record["message"],
        "alarm": record,
    }


def _prediction(event: PredictionMade, site: str, room: str) -> dict[str, Any]:
    body = {name: value for name, value in event.body.items() if name != "deviceId"}
    return {"type": "prediction", "timestamp": iso(event.at_ms), **_device(event.device_id, site, room), **body}


def _anomaly(event: AnomalyChanged, site: str, room: str) -> dict[str, Any]:
    """The anomaly under the names of an alert too: its own kind is the `rule`."""
    body = event.body
    return {
        "type": "alert",
        "timestamp": iso(event.at_ms),
        **_device(event.device_id, site, room),
        **body,
        "kind": "anomaly",
        "change": event.kind,
        "alert_id": body["id"],
        "rule": body["kind"],
        "level": body["priority"],
    }


def _measurement(reading: Reading, site: str, room: str, score: int | None = None) -> dict[str, Any]:
    values = reading.values
    names = [(name, capitalized) for name, capitalized in NAMES.items() if name in values]
    body: dict[str, Any] = {
        "type": "measurement",
        "timestamp": iso(reading.timestamp_ms),
        **_device(reading.device_id, site, room),
        "values": {capitalized: values[name] for name, capitalized in names},
    }
    for name, capitalized in names:
        body[capitalized.lower()] = values[name]
    if score is not None:
        body["global_score"] = score
    if reading.extra:
        body["extra"] = reading.extra
    body["cursor"] = reading.seq
    return body


def _device(device_id: str, site: str, room: str) -> dict[str, str]:
    return {"sensor_id": device_id, "enseigne": site, "salle": room}
