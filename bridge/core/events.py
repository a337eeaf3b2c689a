"""What can be published, and the bodies of the events: names, nesting and types as the wire contract has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.message import CommandAck, DeviceStatus
from bridge.core.message import TopicEvent as TopicEvent
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """Something the bridge wants the people watching to know."""

    level: Level
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    channel: str | None = None
    """The only channel of plain WebSockets that is to hear it; None: everyone."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that one client was not sent: `missed` of those after the cursor `after`, up to and with `last`."""

    after: int
    last: int
    missed: int


@dataclass(frozen=True, slots=True)
class AuthExpiring:
    """What one client showed is good for `seconds` more; it can show something newer on the same connection."""

    expires_ms: int
    seconds: int


EntityEventType = Literal["created", "updated", "deleted", "anomaly_detected", "prediction_completed"]


@dataclass(frozen=True, slots=True)
class EntityEvent:
    """Something happened to a thing that the bridge knows: a device was registered, changed or removed."""

    entity_type: str
    event_type: EntityEventType
    entity_id: str
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


Event = Reading | DeviceStatus | CommandAck | SystemEvent | Gap | AuthExpiring | EntityEvent | TopicEvent

_OF_READING = frozenset(("measurements", "readings"))
_OF_STATUS = frozenset(("modules", "sensors"))
_OF_TOPIC = {
    "predictions": frozenset(("predictions",)),
    "alerts": frozenset(("alerts", "anomalies")),
    "modules": frozenset(("modules", "sensors")),
    "actions": frozenset(("actions",)),
}
_OF_ENTITY = {
    "sensor": frozenset(("modules", "sensors")),
    "device": frozenset(("modules", "sensors")),
    "location": frozenset(("locations",)),
    "reading": frozenset(("readings",)),
}
_OF_ENTITY_EVENT = {
    "anomaly_detected": frozenset(("alerts", "anomalies")),
    "prediction_completed": frozenset(("predictions",)),
}


def topics_of(event: Event) -> frozenset[str] | None:
    """The topics and channels of plain WebSockets that an event belongs to; None: it is for everyone."""
    match event:
        case Reading():
            return _OF_READING
        case DeviceStatus():
            return _OF_STATUS
        case TopicEvent():
            return _OF_TOPIC[event.topic]
        case CommandAck():
            return frozenset()
        case EntityEvent():
            return _OF_ENTITY_EVENT.get(event.event_type) or _OF_ENTITY.get(event.entity_type, frozenset())
        case SystemEvent() if event.channel is not None:
            return frozenset((event.channel,))
        case _:
            return None


_DEVICE_KEYS = ("deviceId", "device_id", "sensorId", "sensor_id", "device")
HIDDEN_METADATA = ""
"""No device has this id: see `device_of`."""


def device_of(event: Event) -> str | None:
    """The device that an event tells of; None: it tells of none, and everyone may hear it.

    `HIDDEN_METADATA` is what may tell of a device without naming it in a way we know: only who may see every device may hear that.
    """
    match event:
        case Reading() | DeviceStatus() | CommandAck():
            return event.device_id
        case EntityEvent(entity_type="sensor" | "device"):
            return event.entity_id
        case EntityEvent():
            return _named(event.data)
        case TopicEvent():
            return _named(event.body)
        case _:
            return None


def _named(body: Mapping[str, Any]) -> str:
    """One device, named once or always the same; of two nobody can say which it tells of."""
    named = {body[key] for key in _DEVICE_KEYS if isinstance(body.get(key), str)}
    return named.pop() if len(named) == 1 else HIDDEN_METADATA


def connection_info(client_id: str, total_clients: int) -> dict[str, Any]:
    """Body of `connectionInfo`."""
    return {"clientId": client_id, "totalClients": total_clients}


def sensor_data(reading: Reading, sent_at: str) -> dict[str, Any]:
    """Body of `sensorData`: `timestamp` is when it is sent, `cursor` where to resume after it."""
    return {"timestamp": sent_at, "data": reading.public(), "cursor": reading.seq}


def device_status(status: DeviceStatus) -> dict[str, Any]:
    """Body of `deviceStatus`."""
    return {"deviceId": status.device_id, "status": status.status, "timestamp": iso(status.timestamp_ms)}


def gap(missing: Gap) -> dict[str, Any]:
    """Body of `gap`."""
    return {"from": missing.after, "to": missing.last, "missed": missing.missed}


def auth_expiring(event: AuthExpiring) -> dict[str, Any]:
    """Body of `authExpiring`."""
    return {"expires": iso(event.expires_ms), "seconds": event.seconds}


def system_event(event: SystemEvent, sent_at: str) -> dict[str, Any]:
    """Body of `systemEvent`."""
    return {"level": event.level, "message": event.message, "data": event.data, "timestamp": sent_at}


def entity_event(event: EntityEvent, sent_at: str) -> dict[str, Any]:
    """An `entity_event` on plain WebSockets, `type` included."""
    return {
        "type": "entity_event",
        "entity_type": event.entity_type,
        "event_type": event.event_type,
        "entity_id": event.entity_id,
        "data": event.data,
        "timestamp": sent_at,
        "metadata": event.metadata,
    }
