"""A message from any source, its acknowledgement, and every type that a message can decode to."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bson.objectid import ObjectId

from bridge.core.readings.reading import Reading


class Outcome(enum.StrEnum):
    """The outcome of a message; the values are the ledger's counters."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    IGNORED = "ignored"
    DROPPED = "dropped"


class Origin(Protocol):
    """Receives the acknowledgements of messages: one MQTT connection, one HTTP request, one socket."""

    def acknowledge(self, message: "Message", outcome: Outcome, meaning: "Decoded | None" = None) -> None:
        """Report the final outcome of `message`. Called once per message, in order of arrival; must not block or raise.

        `meaning` is the decoded message; None if it was dropped before decoding.
        """


PARSED_LIMIT_BYTES = 2048
"""Sources attach the parsed body of payloads up to here: one takes 25 times the memory, so less than the largest payload."""


@dataclass(slots=True, eq=False)
class Message:
    """A message as it arrived. `source` is its ledger account; `origin` and `packet_id` are for its acknowledgement.

    `seed`, where the source has one, is the same on redelivery and so identifies a reading without a timestamp.
    `id` is the quarantine id of a message that was rejected before and is now retried.
    """

    source: str
    topic: str
    payload: bytes
    received_ms: int
    origin: Origin
    qos: int = 1
    packet_id: int = 0
    retained: bool = False
    seed: str = ""
    id: ObjectId | None = None
    body: object | None = None
    """The JSON value in `payload`, where the source has parsed it."""


class RejectionReason(enum.StrEnum):
    """Why a whole message was rejected; the quarantine is grouped by these."""

    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    NOT_SCALAR = "not_scalar"
    TOO_LARGE = "too_large"
    NO_DEVICE_ID = "no_device_id"
    NO_MEASUREMENT = "no_measurement"
    NO_STATUS = "no_status"
    NO_ROUTE = "no_route"
    NO_COMMAND_ACK = "no_command_ack"
    NOT_REGISTERED = "not_registered"
    UNKNOWN_TOPIC = "unknown_topic"
    TOO_DEEP = "too_deep"
    REFUSED_BY_STORE = "refused_by_store"


@dataclass(frozen=True, slots=True)
class Rejection:
    """An invalid message for the quarantine. `quality` has the fault of each field, where fields are the reason."""

    id: ObjectId
    message: Message
    code: RejectionReason
    reason: str
    field: str | None = None
    quality: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A status from a device or its last will: `online`, `offline` or a text of the device's own.

    `is_inferred`: the bridge concludes it, from silence or its own restart; nothing was received.
    `is_retained`: the broker kept it, and the device may have sent readings since.
    """

    device_id: str
    status: str
    timestamp_ms: int
    is_inferred: bool = False
    is_retained: bool = False


@dataclass(frozen=True, slots=True)
class StaleRetained:
    """A retained message without a timestamp: not a new reading, or each restart would create one."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is expected and carries no reading, for `reason`: a lamp's state, a sensor that warms up."""

    reason: str


@dataclass(slots=True)
class ReadingBatch:
    """The readings of one message and the rejections of its other items, at least two in all.

    `stored` are the readings that were not stored before; the pipeline sets it.
    """

    readings: Sequence[Reading]
    rejections: Sequence[Rejection] = ()
    stored: Sequence[Reading] = ()


@dataclass(frozen=True, slots=True)
class CommandAck:
    """A device's acknowledgement of a command; `error` is its reason if it failed."""

    device_id: str
    command_id: str
    ok: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """An event from another service on a topic of `EVENT_TOPICS`, forwarded unchanged; `timestamp_ms` is its arrival."""

    topic: str
    body: dict[str, Any]
    timestamp_ms: int


Decoded = Reading | ReadingBatch | Rejection | DeviceStatus | CommandAck | StaleRetained | Ignored | TopicEvent


EVENT_TOPICS = ("predictions", "actions", "alerts", "modules")
"""The topics other services may publish events on."""
