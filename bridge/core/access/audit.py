"""The audit log: one record per event, with actor, action, target, time and address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.timestamp import iso

EVENTS_LIMIT = 1000
"""The most events in one answer."""

REFUSED = "refused"
REFUSALS = (REFUSED, "command refused", "login delayed", "login refused")
"""Actions without effect, trimmed first when the log is full. Signs of a stolen token are not among them."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`actor_kind` and `actor` acted on `target`; `count` is the number of identical events merged into this one."""

    id: ObjectId
    at_ms: int
    action: str
    actor_kind: str
    actor: str
    address: str = ""
    target: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    count: int = 1

    def to_document(self) -> dict[str, Any]:
        return {
            "act": self.action,
            "kind": self.actor_kind,
            "by": self.actor,
            "address": self.address,
            "about": self.target,
            "more": dict(self.details),
            "times": self.count,
        }

    def public(self) -> dict[str, Any]:
        return {"_id": str(self.id), "timestamp": iso(self.at_ms), **self.to_document()}


def audit_event_from_document(identity: ObjectId, at_ms: int, document: Mapping[str, Any]) -> AuditEvent:
    return AuditEvent(
        identity,
        at_ms,
        action=document["act"],
        actor_kind=document["kind"],
        actor=document["by"],
        address=document["address"],
        target=document["about"],
        details=document["more"],
        count=document["times"],
    )


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The newest `limit` events, newest first; only those older than the event with the id `before`, if given."""

    action: str | None = None
    actor: str | None = None
    target: str | None = None
    before: ObjectId | None = None
    limit: int = 100
