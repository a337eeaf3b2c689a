"""A delivery: what one target is told of alarms that changed together; and a browser's subscription to Web Push.

A delivery waits in the store until its time, is sent, and stays there with its result. Deliveries of one target that are due
together are sent in fewer messages. Times are milliseconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from bridge.core.timestamp import iso

DELIVERY_DAYS = 90
"""How long deliveries are kept after they were created."""

GROUP_LIMIT = 500
"""The most deliveries of a group of alarms that are read at once."""

PUSH_LIMIT = 100
"""The most subscriptions of one user."""

CREATED_AT = "createdAt"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Nobody had to be told any more when it was due."""


class DeliveryKind(StrEnum):
    RAISED = "raised"
    REMINDER = "reminder"
    """Still not acknowledged, a while after the target was told."""
    CLEARED = "cleared"


class AlarmMember(NamedTuple):
    """One alarm of a delivery, and the transition that it is about; `device_id` is None for the bridge."""

    alarm_id: str
    transition_id: str
    device_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDelivery:
    """Alarms of one rule and site that changed together, for one target. The same give the same `id`: added twice, it is one.

    `group` is that of the alarms, `alarms` are the public records of the first of them. `is_deferred` says that it was planned
    for later: when it is due, the target is told only of alarms that still ask for it. `number` is that of a reminder. `done`
    are the recipients of the target that have received it. `error` is of the last attempt.
    """

    id: str
    target: str
    group: str
    members: tuple[AlarmMember, ...]
    kind: DeliveryKind
    priority: str
    rule: str
    site: str | None
    created_ms: int
    due_ms: int
    title: str
    body: str
    alarms: tuple[Mapping[str, Any], ...] = ()
    attempts: int = 0
    state: DeliveryState = DeliveryState.WAITING
    error: str | None = None
    sent_ms: int | None = None
    is_deferred: bool = False
    number: int = 0
    done: tuple[str, ...] = ()

    @property
    def alarm_ids(self) -> frozenset[str]:
        return frozenset(one.alarm_id for one in self.members)

    def public(self) -> dict[str, Any]:
        """Return it as the history of an alarm shows it."""
        at_ms = self.due_ms if self.sent_ms is None else self.sent_ms
        return {
            "target": self.target,
            "kind": self.kind.value,
            "state": self.state.value,
            "attempts": self.attempts,
            "at": iso(at_ms),
            "error": self.error,
        }

    def to_document(self) -> dict[str, Any]:
        """Return everything but the id, in JSON types."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _RENAMED}
        lists = {name: list(fields[name]) for name in ("alarms", "done")}
        words = {"kind": self.kind.value, "state": self.state.value, "members": [list(one) for one in self.members]}
        return fields | lists | words | {CREATED_AT: self.created_ms, "dueAt": self.due_ms}


_RENAMED = frozenset(("id", "created_ms", "due_ms"))


def delivery_from_document(identity: str, document: Mapping[str, Any]) -> AlarmDelivery:
    """Return the delivery that `AlarmDelivery.to_document` described."""
    fields = {name: value for name, value in document.items() if name != "_id"}
    return AlarmDelivery(
        id=identity,
        created_ms=fields.pop(CREATED_AT),
        due_ms=fields.pop("dueAt"),
        kind=DeliveryKind(fields.pop("kind")),
        state=DeliveryState(fields.pop("state")),
        members=tuple(AlarmMember(*one) for one in fields.pop("members")),
        alarms=tuple(fields.pop("alarms")),
        done=tuple(fields.pop("done")),
        **fields,
    )


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """A browser of a user that receives Web Push messages; the keys are base64url, as the browser gave them."""

    id: str
    user: str
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)
    created_ms: int = 0

    def to_document(self) -> dict[str, Any]:
        return {
            "user": self.user,
            "endpoint": self.endpoint,
            "p256dh": self.p256dh,
            "auth": self.auth,
            CREATED_AT: self.created_ms,
        }


def push_from_document(identity: str, document: Mapping[str, Any]) -> PushSubscription:
    keys = document["p256dh"], document["auth"]
    return PushSubscription(identity, document["user"], document["endpoint"], *keys, document[CREATED_AT])
