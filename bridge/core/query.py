"""What can be asked of the stored readings and of the quarantine, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

from bson.objectid import ObjectId

from bridge.core.devices.command import CommandState

READINGS_LIMIT = 10_000
"""The most readings one answer holds."""


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Which readings: of `devices` (None: all), measured from `from_ms` and before `to_ms`, after the cursor `since` and up
    to the cursor `until`.

    With neither `since` nor `from_ms` the newest `limit` are meant, else the first `limit`. Always in cursor order.
    """

    devices: tuple[str, ...] | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    since: int | None = None
    limit: int = 1000
    until: int | None = None

    @property
    def newest(self) -> bool:
        """The last `limit` are meant, not the first."""
        return self.since is None and self.from_ms is None


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """One measurement over one bucket of time."""

    low: float
    mean: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One device's readings from `start_ms`, for the asked width: how many, and each measurement in short."""

    device_id: str
    start_ms: int
    count: int
    fields: dict[str, FieldSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write came to, by `seq`: `stored` now; `refused` by the store for the document's own sake, with the reason.

    A reading in neither was there before: a duplicate.
    """

    stored: frozenset[int] = frozenset()
    refused: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """A rejected message as it is kept: what arrived (cut at 64 KiB), when and where, and what was wrong with it."""

    id: ObjectId
    received_ms: int
    source: str
    topic: str
    payload: bytes
    code: str
    reason: str
    field: str | None = None
    retained: bool = False


@dataclass(frozen=True, slots=True)
class QuarantineQuery:
    """Which rejected messages: of one `code`, of one `topic`, or of a topic that has `device` as one of its levels.

    The newest `limit` are meant, newest first; with `after`, the first whose `id` follows it, by rising `id`.
    """

    code: str | None = None
    topic: str | None = None
    device: str | None = None
    id: ObjectId | None = None
    after: ObjectId | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class QuarantineGroup:
    """The rejected messages of one `code` and `field`: how many, when the newest came, and what was said of it."""

    code: str
    field: str | None
    count: int
    newest_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class CommandsQuery:
    """Which commands: of one `device`, in one `state`, the newest `limit`, newest first."""

    device: str | None = None
    state: CommandState | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class RetentionResult:
    """What was removed: readings past their age, rejected messages past theirs, and those and acts beyond the number kept.

    What a database removes by itself is not counted here.
    """

    readings: int = 0
    rejected_old: int = 0
    rejected_over: int = 0
    acts_over: int = 0


@dataclass(frozen=True, slots=True)
class RollupResult:
    """What a step of the rollups came to: `hours` of devices made; how many devices are more than a day `behind`; whether there
    is `more` to do at once.
    """

    hours: int = 0
    behind: int = 0
    more: bool = False
