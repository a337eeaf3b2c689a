"""Who did what, when and from where: one record an act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.timestamp import iso

EVENTS_LIMIT = 1000
"""The most acts one answer holds."""

REFUSED = "refused"
REFUSALS = (REFUSED, "command refused", "login delayed", "login refused")
"""Acts that came to nothing: they go first where there are too many. What tells of a theft is not among them."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`actor_kind` and `actor` say who did it, `target` to whom; `count` is how often, where the same came again and again."""

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
        """What a store keeps beside id and time."""
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
        """As an admin sees it."""
        return {"_id": str(self.id), "timestamp": iso(self.at_ms), **self.to_document()}


def audit_event_from_document(identity: ObjectId, at_ms: int, kept: Mapping[str, Any]) -> AuditEvent:
    """The inverse of `AuditEvent.kept`."""
    return AuditEvent(
        identity,
        at_ms,
        action=kept["act"],
        actor_kind=kept["kind"],
        actor=kept["by"],
        address=kept["address"],
        target=kept["about"],
        details=kept["more"],
        count=kept["times"],
    )


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which acts: what was done, by whom, to whom; the newest `limit`, newest first, older than that with the id `before`."""

    action: str | None = None
    actor: str | None = None
    target: str | None = None
    before: ObjectId | None = None
    limit: int = 100
