"""The record of an alarm, as it is stored and sent, and its transitions.

    normal ──▶ unacknowledged ──▶ acknowledged ──▶ normal, or latched if the rule says so
                 │     ▲  ▲              │
                 ▼     │  └──────────────┘ still active after an hour or eight
               returned                      latched ──reset──▶ normal

`returned`: the condition is over before anybody has acknowledged; acknowledging it ends in `normal` or `latched`. Beside its
state an alarm may be shelved, suppressed by another rule, or out of service: it is then not announced.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from bridge.alarms.rules import Priority
from bridge.core.timestamp import iso

_ID_BYTES = 12


class AlarmState(StrEnum):
    """After ISA-18.2 and IEC 62682."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    LATCHED = "latched"


ACTIVE = frozenset((AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED))
"""The states in which the condition still stands."""


class TransitionKind(StrEnum):
    """What happened to an alarm. `PAST` is a violation that readings tell of which came too late to raise one."""

    RAISED = "raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out-of-service"
    IN_SERVICE = "in-service"
    REPEATED = "repeated"
    """Acknowledged and still active after an hour or eight: unacknowledged again."""
    REMOVED = "removed"
    """The device or the rule is gone."""
    PAST = "past"


_ANNOUNCED = frozenset(
    {
        TransitionKind.RAISED,
        TransitionKind.REPEATED,
        TransitionKind.UNSHELVED,
        TransitionKind.UNSUPPRESSED,
        TransitionKind.IN_SERVICE,
    }
)


@dataclass(frozen=True, slots=True)
class Peak:
    """The worst value, and its time."""

    value: float | bool
    at_ms: int

    def public(self) -> dict[str, Any]:
        return {"value": self.value, "at": iso(self.at_ms)}


@dataclass(frozen=True, slots=True)
class Past:
    """A violation of which the readings came too late: from when to when, and how many of them."""

    from_ms: int
    to_ms: int
    readings: int

    def public(self) -> dict[str, Any]:
        return {"from": iso(self.from_ms), "to": iso(self.to_ms), "readings": self.readings}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """One alarm. Times are milliseconds since the epoch, UTC; `value`, `limit` and `peak` are in `unit`.

    `device_id` is None for the bridge itself. `first` is whether it was the first of its `group`, the alarms of one rule at one
    site that stand together; the group has the id of its first alarm. `reading` and `seq` are the id and the cursor of the
    reading that raised it, or of the last one before.
    """

    id: str
    rule: str
    device_id: str | None
    priority: Priority
    state: AlarmState
    message: str
    advice: str
    site: str | None = None
    room: str | None = None
    field: str | None = None
    kind: str = "alarm"
    latched: bool = False
    value: float | bool | None = None
    unit: str | None = None
    limit: float | None = None
    peak: Peak | None = None
    standard: str | None = None
    indicative: bool = False
    raised_ms: int | None = None
    cleared_ms: int | None = None
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None
    comment: str | None = None
    shelved_until_ms: int | None = None
    suppressed_by: str | None = None
    out_of_service: bool = False
    first: bool = False
    group: str | None = None
    past: Past | None = None
    reading: str | None = None
    seq: int = 0

    @property
    def is_active(self) -> bool:
        """Whether the condition still stands."""
        return self.state in ACTIVE

    @property
    def is_quiet(self) -> bool:
        """Whether it is not announced."""
        return self.shelved_until_ms is not None or self.suppressed_by is not None or self.out_of_service

    def public(self) -> dict[str, Any]:
        """Return the record as clients receive it: JSON types, times as ISO 8601."""
        return {
            "id": self.id,
            "rule": self.rule,
            "deviceId": self.device_id,
            "site": self.site,
            "room": self.room,
            "field": self.field,
            "kind": self.kind,
            "priority": self.priority.value,
            "state": self.state.value,
            "latched": self.latched,
            "value": self.value,
            "unit": self.unit,
            "limit": self.limit,
            "peak": None if self.peak is None else self.peak.public(),
            "standard": self.standard,
            "indicative": self.indicative,
            "message": self.message,
            "advice": self.advice,
            "raisedAt": _iso(self.raised_ms),
            "clearedAt": _iso(self.cleared_ms),
            "acknowledgedAt": _iso(self.acknowledged_ms),
            "acknowledgedBy": self.acknowledged_by,
            "comment": self.comment,
            "shelvedUntil": _iso(self.shelved_until_ms),
            "suppressedBy": self.suppressed_by,
            "outOfService": self.out_of_service,
            "first": self.first,
            "group": self.group,
            "past": None if self.past is None else self.past.public(),
            "reading": self.reading,
            "seq": self.seq,
        }

    def to_document(self) -> dict[str, Any]:
        """Return the record for a store or a checkpoint: JSON types, times in milliseconds."""
        document = {name: getattr(self, name) for name in _RECORD_FIELDS}  # 3 µs; `asdict` takes 40
        document["peak"] = self.peak and {"value": self.peak.value, "at_ms": self.peak.at_ms}
        document["past"] = self.past and asdict(self.past)
        return document


_RECORD_FIELDS = tuple(one.name for one in fields(AlarmRecord))


def alarm_from_document(document: Mapping[str, Any]) -> AlarmRecord:
    """Return the record that `AlarmRecord.to_document` described."""
    values = dict(document)
    peak, past = values.pop("peak"), values.pop("past")
    values["priority"], values["state"] = Priority(values["priority"]), AlarmState(values["state"])
    return AlarmRecord(**values, peak=peak and Peak(**peak), past=past and Past(**past))


def _iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of one alarm, and its record after it. The same inputs give the same `id`.

    `is_held`: it has been raised so often that from now on it clears only after a minute without another violation.
    `is_new`: the alarm begins with it.
    """

    id: str
    kind: TransitionKind
    at_ms: int
    record: AlarmRecord
    by: str | None = None
    comment: str | None = None
    is_held: bool = False
    is_new: bool = field(default=False, compare=False)

    @property
    def announces(self) -> bool:
        """Whether people are to be told: it is active and unacknowledged, and was not or was hidden."""
        return self.kind in _ANNOUNCED and self.record.state is AlarmState.UNACKNOWLEDGED and not self.record.is_quiet

    def public(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "at": iso(self.at_ms),
            "by": self.by,
            "comment": self.comment,
            "held": self.is_held,
            "alarm": self.record.public(),
        }

    def to_document(self) -> dict[str, Any]:
        """Return the transition for a store: JSON types, times in milliseconds."""
        document = {name: getattr(self, name) for name in _TRANSITION_FIELDS}
        document["record"] = self.record.to_document()
        return document


_TRANSITION_FIELDS = tuple(one.name for one in fields(Transition) if one.name != "is_new")


def transition_from_document(document: Mapping[str, Any]) -> Transition:
    """Return the transition that `Transition.to_document` described."""
    values = dict(document)
    record = alarm_from_document(values.pop("record"))
    return Transition(**values | {"kind": TransitionKind(values["kind"])}, record=record)


def timed_identifier(at_ms: int, *parts: str | int | None) -> str:
    """Return 24 hexadecimal digits: the time, so that later ones sort after earlier ones, and 52 bits of the parts."""
    return f"{at_ms:011x}{identifier(at_ms, *parts)[:13]}"


def identifier(*parts: str | int | None) -> str:
    """Return 24 hexadecimal digits that depend on nothing but the parts: 96 bits of BLAKE2b."""
    text = "\0".join(["" if part is None else str(part) for part in parts])
    return blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()
