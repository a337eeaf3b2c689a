"""Events that are published, and their message bodies, whose names, nesting and types are a wire contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.core.message import CommandAck, DeviceStatus
from bridge.core.message import TopicEvent as TopicEvent
from bridge.core.readings.reading import Reading
from bridge.core.reasons import with_cause
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
    is_state: bool = field(default=False, compare=False)
    """What the bridge observed of the entity has changed, and nothing that a person sets. Clients are not told."""


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
class PredictionMade:
    """A forecast of one field was made and stored. `body` is an element of the answer of `GET /api/v1/predictions`.

    `kind` is `completed`; `updated` when its first hour is over, with `actual` and `within` in the body; or `retired` when
    there is no forecast any more.
    """

    device_id: str
    at_ms: int
    body: dict[str, Any]
    kind: str = "completed"


@dataclass(frozen=True, slots=True)
class AnomalyChanged:
    """A stored change of an anomaly: `kind` is `detected`, `resolved` or `wrong`, `body` the anomaly after it.

    `body` is an element of the answer of `GET /api/v1/anomalies`.
    """

    device_id: str
    at_ms: int
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ActionAdvised:
    """People are advised to do something. `body` is an element of the answer of `GET /api/v1/actions`."""

    device_id: str
    at_ms: int
    body: dict[str, Any]


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
    | PredictionMade
    | AnomalyChanged
    | ActionAdvised
    | StandingAlarms
)

_READING_TOPICS = frozenset(("measurements", "readings"))
_ASSESSMENT_TOPICS = frozenset(("assessments",))
_ACTION_TOPICS = frozenset(("actions",))
_ALERT_TOPICS = frozenset(("alerts", "anomalies"))
_PREDICTION_TOPICS = frozenset(("predictions",))
ANOMALIES_ONLY = "anomalies-only"
"""The anomalies of sensors without the alarms, which the channel `anomalies` has too."""

_ANOMALY_TOPICS = _ALERT_TOPICS | {ANOMALIES_ONLY}
_STATUS_TOPICS = frozenset(("modules", "sensors"))
_TOPIC_EVENT_TOPICS = {
    "predictions": _PREDICTION_TOPICS,
    "alerts": _ALERT_TOPICS,
    "modules": frozenset(("modules", "sensors")),
    "actions": _ACTION_TOPICS,
}
_ENTITY_TOPICS = {
    "sensor": frozenset(("modules", "sensors")),
    "device": frozenset(("modules", "sensors")),
    "location": frozenset(("locations",)),
    "reading": frozenset(("readings",)),
}
_ENTITY_EVENT_TOPICS = {
    "anomaly_detected": _ALERT_TOPICS,
    "prediction_completed": _PREDICTION_TOPICS,
}


_TOPICS: Mapping[type[Event], frozenset[str]] = {
    Reading: _READING_TOPICS,
    DeviceStatus: _STATUS_TOPICS,
    DeviceState: _STATUS_TOPICS,
    AirAssessed: _ASSESSMENT_TOPICS,
    AlarmChanged: _ALERT_TOPICS,
    AnomalyChanged: _ANOMALY_TOPICS,
    PredictionMade: _PREDICTION_TOPICS,
    ActionAdvised: _ACTION_TOPICS,
    CommandAck: frozenset(),
}


def topics_of(event: Event) -> frozenset[str] | None:
    """Return the plain WebSocket topics and channels an event belongs to; None: it is sent to every client."""
    match event:
        case TopicEvent():
            return _TOPIC_EVENT_TOPICS[event.topic]
        case EntityEvent():
            return _ENTITY_EVENT_TOPICS.get(event.event_type) or _ENTITY_TOPICS.get(event.entity_type, frozenset())
        case SystemEvent() if event.channel is not None:
            return frozenset((event.channel,))
        case _:
            return _TOPICS.get(type(event))


_DEVICE_KEYS = ("deviceId", "device_id", "sensorId", "sensor_id", "device")
UNATTRIBUTED = ""
"""The result of `device_of` for an event whose device is unclear; no device has this id."""


def device_of(event: Event) -> str | None:
    """Return the id of the device an event is about; None: it is about no device, and every client may receive it.

    `UNATTRIBUTED` means that it may be about a device without naming it under a known key: only a client that may read every
    device receives it.
    """
    match event:
        case Reading() | DeviceStatus() | DeviceState() | CommandAck() | AirAssessed():
            return event.device_id
        case AlarmChanged() | AnomalyChanged() | PredictionMade() | ActionAdvised():
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


def told(event: AirAssessed | ActionAdvised, sent_at: str) -> dict[str, Any]:
    """Body of `assessment` and `action`: `timestamp` is the time of sending."""
    return {"timestamp": sent_at, "data": event.body}


def alert(event: AlarmChanged, sent_at: str) -> dict[str, Any]:
    """Body of `alert`: `kind` is what happened, `transition` its id, `cursor` that of the reading that raised the alarm."""
    body = {"kind": event.kind, "transition": event.transition, "data": event.record, "cursor": event.record["seq"]}
    return {"timestamp": sent_at, **body}


def action_entity(event: ActionAdvised) -> EntityEvent:
    """The event of advice on channels, as that of other services."""
    return EntityEvent("action", "created", event.body["id"], event.body, {"action": "create_action"})


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


def prediction(event: PredictionMade, sent_at: str) -> dict[str, Any]:
    """Body of `prediction`: `kind` is what happened, `timestamp` the time of sending."""
    return {"timestamp": sent_at, "kind": event.kind, "data": event.body}


def prediction_entity(event: PredictionMade) -> EntityEvent | None:
    """The event of a prediction on channels: `prediction_completed`, and `updated` an hour later. None for other kinds."""
    body = event.body
    identity = f"{event.device_id}/{body['field']}/{body['made']}"
    match event.kind:
        case "completed":
            return EntityEvent("prediction", "prediction_completed", identity, body, {"action": "predict"})
        case "updated":
            return EntityEvent("prediction", "updated", identity, body, {"action": "update_prediction"})
        case _:
            return None


def anomaly(event: AnomalyChanged, sent_at: str) -> dict[str, Any]:
    """Body of `anomaly`: `kind` is what happened, `timestamp` the time of sending."""
    return {"timestamp": sent_at, "kind": event.kind, "data": event.body}


_ANOMALY_ACTIONS = {"detected": "detect_anomaly", "resolved": "resolve_anomaly", "wrong": "reject_anomaly"}


def anomaly_entity(event: AnomalyChanged) -> EntityEvent:
    """The event of an anomaly on channels: `anomaly_detected` when it is detected, `updated` later."""
    metadata = {"action": _ANOMALY_ACTIONS[event.kind], "kind": event.kind}
    event_type: EntityEventType = "anomaly_detected" if event.kind == "detected" else "updated"
    return EntityEvent("anomaly", event_type, event.body["id"], dict(event.body), metadata)


def gap(missing: Gap) -> dict[str, Any]:
    return {"from": missing.after, "to": missing.last, "missed": missing.missed}


def auth_expiring(event: AuthExpiring) -> dict[str, Any]:
    return {"expires": iso(event.expires_ms), "seconds": event.seconds}


def system_event(event: SystemEvent, sent_at: str) -> dict[str, Any]:
    return with_cause({"level": event.level, "message": event.message, "data": event.data, "timestamp": sent_at}, "message")


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
