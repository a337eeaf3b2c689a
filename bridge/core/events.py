"""What can be published, and the bodies of the events: names, nesting and types as the wire contract has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.decode import CommandAck, DeviceStatus
from bridge.core.reading import Reading
from bridge.core.timestamp import iso

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """Something the bridge wants the people watching to know."""

    level: Level
    message: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that one client was not sent: `missed` of those after the cursor `after`, up to and with `last`."""

    after: int
    last: int
    missed: int


EntityEventType = Literal["created", "updated", "deleted", "anomaly_detected", "prediction_completed"]


@dataclass(frozen=True, slots=True)
class EntityEvent:
    """Something happened to a thing that the bridge knows: a device was registered, changed or removed."""

    entity_type: str
    event_type: EntityEventType
    entity_id: str
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """What another service said under a topic (`predictions`, `actions`, `alerts`, `modules`), passed on as it is."""

    topic: str
    body: dict[str, Any]
    timestamp_ms: int


Event = Reading | DeviceStatus | CommandAck | SystemEvent | Gap | EntityEvent | TopicEvent


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


def system_event(event: SystemEvent, sent_at: str) -> dict[str, Any]:
    """Body of `systemEvent`."""
    return {"level": event.level, "message": event.message, "data": event.data, "timestamp": sent_at}
