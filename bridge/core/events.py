"""Events that are published, and their message bodies, whose names, nesting and types are a wire contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.message import CommandAck, DeviceStatus
from bridge.core.message import TopicEvent as TopicEvent
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SystemEvent:
    level: Level
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    channel: str | None = None
    """The only plain WebSocket channel it is sent to; None: every client."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records one client was not sent: `missed` records after the cursor `after`, up to and including `last`."""

    after: int
    last: int
    missed: int


@dataclass(frozen=True, slots=True)
class AuthExpiring:
    """One client's credentials expire in `seconds`; it can send newer ones on the same connection."""

    expires_ms: int
    seconds: int


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The state that a device reported beside its measurements has changed; `state` is all of it."""

    device_id: str
    state: dict[str, Any]
    timestamp_ms: int


EntityEventType = Literal["created", "updated", "deleted", "anomaly_detected", "prediction_completed"]


@dataclass(frozen=True, slots=True)
class EntityEvent:
    """A registered entity changed: a device was created, updated or deleted."""

    entity_type: str
    event_type: EntityEventType
    entity_id: str
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AirAssessed:
    """The judgement of the air at a device has changed. `body` is an element of the answer of `GET /api/v1/assessments`."""

    device_id: str
    timestamp_ms: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """A stored transition of an alarm: its `kind`, and in `record` the alarm after it, as `AlarmRecord.public()` writes it."""

    device_id: str | None
    rule: str
    at_ms: int
    kind: str
    record: Mapping[str, Any]
    transition: str = ""
    """The id of the change."""


@dataclass(frozen=True, slots=True)
class StandingAlarms:
    """The alarms that stand, for one client that has just connected: elements of the answer of `GET /api/v1/alarms`."""

    records: Sequence[Mapping[str, Any]]


Event = (
    Reading
    | DeviceStatus
    | DeviceState
    | CommandAck
    | SystemEvent
    | Gap
    | AuthExpiring
    | EntityEvent
    | TopicEvent
    | AirAssessed
    | AlarmChanged
    | StandingAlarms
)

_READING_TOPICS = frozenset(("measurements", "readings"))
_ASSESSMENT_TOPICS = frozenset(("assessments",))
_ALERT_TOPICS = frozenset(("alerts", "anomalies"))
_STATUS_TOPICS = frozenset(("modules", "sensors"))
_TOPIC_EVENT_TOPICS = {
    "predictions": frozenset(("predictions",)),
    "alerts": _ALERT_TOPICS,
    "modules": frozenset(("modules", "sensors")),
    "actions": frozenset(("actions",)),
}
_ENTITY_TOPICS = {
    "sensor": frozenset(("modules", "sensors")),
    "device": frozenset(("modules", "sensors")),
    "location": frozenset(("locations",)),
    "reading": frozenset(("readings",)),
}
_ENTITY_EVENT_TOPICS = {
    "anomaly_detected": _ALERT_TOPICS,
    "prediction_completed": frozenset(("predictions",)),
}


def topics_of(event: Event) -> frozenset[str] | None:
    """Return the plain WebSocket topics and channels an event belongs to; None: it is sent to every client."""
    match event:
        case Reading():
            return _READING_TOPICS
        case DeviceStatus() | DeviceState():
            return _STATUS_TOPICS
        case AirAssessed():
            return _ASSESSMENT_TOPICS
        case AlarmChanged():
            return _ALERT_TOPICS
        case TopicEvent():
            return _TOPIC_EVENT_TOPICS[event.topic]
        case CommandAck():
            return frozenset()
        case EntityEvent():
            return _ENTITY_EVENT_TOPICS.get(event.event_type) or _ENTITY_TOPICS.get(event.entity_type, frozenset())
        case SystemEvent() if event.channel is not None:
            return frozenset((event.channel,))
        case _:
            return None


_DEVICE_KEYS = ("deviceId", "device_id", "sensorId", "sensor_id", "device")
UNATTRIBUTED = ""
"""The result of `device_of` for an event whose device is unclear; no device has this id."""


def device_of(event: Event) -> str | None:
    """Return the id of the device an event is about; None: it is about no device, and every client may receive it.

    `UNATTRIBUTED` means that it may be about a device without naming it under a known key: only a client that may read every
    device receives it.
    """
    match event:
        case Reading() | DeviceStatus() | DeviceState() | CommandAck() | AirAssessed() | AlarmChanged():
            return event.device_id
        case EntityEvent(entity_type="sensor" | "device"):
            return event.entity_id
        case EntityEvent():
            return _device_in(event.data)
        case TopicEvent():
            return _device_in(event.body)
        case _:
            return None


def _device_in(body: Mapping[str, Any]) -> str:
    """The device id in a body, unless its keys name none or two different ones."""
    ids = {body[key] for key in _DEVICE_KEYS if isinstance(body.get(key), str)}
    return ids.pop() if len(ids) == 1 else UNATTRIBUTED


def connection_info(client_id: str, total_clients: int) -> dict[str, Any]:
    return {"clientId": client_id, "totalClients": total_clients}


def sensor_data(reading: Reading, sent_at: str) -> dict[str, Any]:
    """Body of `sensorData`: `timestamp` is the time of sending, `cursor` the position to resume after."""
    return {"timestamp": sent_at, "data": reading.public(), "cursor": reading.seq}


def device_status(status: DeviceStatus) -> dict[str, Any]:
    return {"deviceId": status.device_id, "status": status.status, "timestamp": iso(status.timestamp_ms)}


def device_state(event: DeviceState) -> dict[str, Any]:
    return {"deviceId": event.device_id, "state": event.state, "timestamp": iso(event.timestamp_ms)}


def assessment(event: AirAssessed, sent_at: str) -> dict[str, Any]:
    """Body of `assessment`: `timestamp` is the time of sending."""
    return {"timestamp": sent_at, "data": event.body}


def alert(event: AlarmChanged, sent_at: str) -> dict[str, Any]:
    """Body of `alert`: `kind` is what happened, `transition` its id, `cursor` that of the reading that raised the alarm."""
    body = {"kind": event.kind, "transition": event.transition, "data": event.record, "cursor": event.record["seq"]}
    return {"timestamp": sent_at, **body}


_ALARM_ACTIONS = {
    "raised": "detect_anomaly",
    "past": "detect_anomaly",
    "acknowledged": "acknowledge_anomaly",
    "cleared": "resolve_anomaly",
    "reset": "resolve_anomaly",
    "removed": "resolve_anomaly",
    "shelved": "shelve_anomaly",
}


def alarm_entity(event: AlarmChanged) -> EntityEvent:
    """The event of an alarm on channels: `anomaly_detected` when it is raised, `updated` later."""
    is_new = event.kind in ("raised", "past")
    metadata = {"action": _ALARM_ACTIONS.get(event.kind, "update_anomaly"), "kind": event.kind}
    data = dict(event.record)
    return EntityEvent("alert", "anomaly_detected" if is_new else "updated", event.record["id"], data, metadata)


def gap(missing: Gap) -> dict[str, Any]:
    return {"from": missing.after, "to": missing.last, "missed": missing.missed}


def auth_expiring(event: AuthExpiring) -> dict[str, Any]:
    return {"expires": iso(event.expires_ms), "seconds": event.seconds}


def system_event(event: SystemEvent, sent_at: str) -> dict[str, Any]:
    return {"level": event.level, "message": event.message, "data": event.data, "timestamp": sent_at}


def entity_event(event: EntityEvent, sent_at: str) -> dict[str, Any]:
    """An `entity_event` message on plain WebSockets, `type` included."""
    return {
        "type": "entity_event",
        "entity_type": event.entity_type,
        "event_type": event.event_type,
        "entity_id": event.entity_id,
        "data": event.data,
        "timestamp": sent_at,
        "metadata": event.metadata,
    }
