"""Who did what, when and from where: one record an act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.timestamp import iso

ACTS_LIMIT = 1000
"""The most acts one answer holds."""

REFUSED = "refused"
REFUSALS = (REFUSED, "command refused", "login delayed", "login refused")
"""Acts that came to nothing: they go first where there are too many. What tells of a theft is not among them."""


@dataclass(frozen=True, slots=True)
class Act:
    """`kind` and `by` say who did it, `about` to whom; `times` is how often, where the same came again and again."""

    id: ObjectId
    at_ms: int
    act: str
    kind: str
    by: str
    address: str = ""
    about: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    times: int = 1

    def kept(self) -> dict[str, Any]:
        """What a store keeps beside id and time."""
        return {
            "act": self.act,
            "kind": self.kind,
            "by": self.by,
            "address": self.address,
            "about": self.about,
            "more": dict(self.more),
            "times": self.times,
        }

    def public(self) -> dict[str, Any]:
        """As an admin sees it."""
        return {"_id": str(self.id), "timestamp": iso(self.at_ms), **self.kept()}


def read_act(identity: ObjectId, at_ms: int, kept: Mapping[str, Any]) -> Act:
    """The inverse of `Act.kept`."""
    return Act(identity, at_ms, **{name: kept[name] for name in ("act", "kind", "by", "address", "about", "more", "times")})


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which acts: what was done, by whom, to whom; the newest `limit`, newest first, older than that with the id `before`."""

    act: str | None = None
    by: str | None = None
    about: str | None = None
    before: ObjectId | None = None
    limit: int = 100
