"""A message from any source, with its way back, and what a message can decode to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bson.objectid import ObjectId

from bridge.core.readings.reading import Reading


class Outcome(enum.StrEnum):
    """What became of a message; the words of the ledger."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    DROPPED = "dropped"


class Origin(Protocol):
    """Where a message came from and where its acknowledgement goes: one MQTT connection, one HTTP request, one socket."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """`message` is safe (or will never be). Called once per message, in order of arrival; must not block or raise.

        `meaning` is what it was decoded to; None when it was dropped before that.
        """


@dataclass(slots=True, eq=False)
class Message:
    """What arrived. `source` names its line in the ledger; `packet_id` and `origin` are its way back.

    `seed`, where the source has one, is the same when the message comes again: the identity of a reading without a time.
    `id` is that of a message that was rejected before, under which it is kept.
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


class RejectionReason(enum.StrEnum):
    """Why a message was rejected whole; the quarantine is grouped by these."""

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
    """A bad message on its way to the quarantine. `quality` says what was wrong with each field, where that is why."""

    id: ObjectId
    message: Message
    code: RejectionReason
    reason: str
    field: str | None = None
    quality: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a device, or the broker by its last will, said of it: `online`, `offline` or the device's own word."""

    device_id: str
    status: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class StaleRetained:
    """A retained message with no time of its own: no new reading, or every restart would invent one."""


@dataclass(frozen=True, slots=True)
class CommandAck:
    """A device tells what became of a command."""

    device_id: str
    command_id: str
    ok: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """What another service said under a topic of `EVENT_TOPICS`, passed on as it is; `timestamp_ms` is when it came."""

    topic: str
    body: dict[str, Any]
    timestamp_ms: int


Decoded = Reading | Rejection | DeviceStatus | CommandAck | StaleRetained | TopicEvent


EVENT_TOPICS = ("predictions", "actions", "alerts", "modules")
"""What other services may speak of."""
