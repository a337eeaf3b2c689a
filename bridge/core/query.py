"""Queries on a store, and their results."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.devices.command import CommandState
from bridge.core.reasons import with_cause
from bridge.core.timestamp import iso

READINGS_LIMIT = 10_000
"""The most readings in one answer."""


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Readings of `devices` (None: all), measured from `from_ms` to before `to_ms`, with a cursor after `since` and up to
    and including `until`.

    Without `since` and `from_ms` these are the newest `limit`, else the first `limit`. Always in cursor order.
    """

    devices: tuple[str, ...] | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    since: int | None = None
    limit: int = 1000
    until: int | None = None

    @property
    def newest(self) -> bool:
        """Whether the last `limit` are returned, not the first."""
        return self.since is None and self.from_ms is None


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """One measurement over one bucket: minimum, mean, maximum and number of values."""

    low: float
    mean: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One device's readings in one time bucket from `start_ms`: their number, and a summary per measurement."""

    device_id: str
    start_ms: int
    count: int
    fields: dict[str, FieldSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of a write by `seq`: `stored` now, or `refused` because of the document itself, with the reason.

    `closed` are cursors that another bridge has closed: their readings are to be written again with others. A reading in none
    was stored before: it is a duplicate.
    """

    stored: frozenset[int] = frozenset()
    refused: dict[int, str] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """A rejected message as stored: the payload (cut at 64 KiB), its arrival, and why it was rejected."""

    id: ObjectId
    received_ms: int
    source: str
    topic: str
    payload: bytes
    code: str
    reason: str
    field: str | None = None
    retained: bool = False

    def public(self) -> dict[str, Any]:
        """Return the message in JSON types; a payload that is no UTF-8 is null, with `payloadBase64`."""
        record: dict[str, Any] = {
            "_id": str(self.id),
            "receivedAt": iso(self.received_ms),
            "source": self.source,
            "topic": self.topic,
            "code": self.code,
            "reason": self.reason,
            "field": self.field,
            "retained": self.retained,
        }
        try:
            return with_cause({**record, "payload": self.payload.decode("utf-8")})
        except UnicodeDecodeError:
            return with_cause({**record, "payload": None, "payloadBase64": b64encode(self.payload).decode("ascii")})


@dataclass(frozen=True, slots=True)
class QuarantineQuery:
    """Rejected messages with this `code`, `field` (empty: none), `source` and `topic`, and `device` as a level of the topic.

    Returns the newest `limit`, newest first; with `after`, the first `limit` with a greater `id`, in ascending order.
    """

    code: str | None = None
    topic: str | None = None
    device: str | None = None
    id: ObjectId | None = None
    after: ObjectId | None = None
    limit: int = 1000
    source: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantineGroup:
    """Rejected messages with the same `code` and `field`; `newest_ms` and `reason` are those of the newest."""

    code: str
    field: str | None
    count: int
    newest_ms: int
    reason: str

    def public(self) -> dict[str, Any]:
        newest = iso(self.newest_ms)
        return with_cause(
            {"code": self.code, "field": self.field, "count": self.count, "newest": newest, "reason": self.reason}
        )


@dataclass(frozen=True, slots=True)
class CommandsQuery:
    """The newest `limit` commands of a `device`, in a `state`, newest first."""

    device: str | None = None
    state: CommandState | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class RetentionResult:
    """Deleted documents: readings and rejected messages past their age, rejected messages and audit events past their limit.

    Documents that a database deletes by a TTL index are not counted.
    """

    readings: int = 0
    rejected_old: int = 0
    rejected_over: int = 0
    audit_over: int = 0


@dataclass(frozen=True, slots=True)
class RollupResult:
    """One step of the rollup job: device `hours` rolled up; devices more than a day `behind`; whether there is `more` to do."""

    hours: int = 0
    behind: int = 0
    more: bool = False
