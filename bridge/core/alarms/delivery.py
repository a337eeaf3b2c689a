"""A delivery: one transition of an alarm that one target is told of; and a browser's subscription to Web Push.

A delivery waits in the store until its time, is sent, and stays there with its result. Deliveries of one target that are due
together are sent in fewer messages. Times are milliseconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from bridge.core.timestamp import iso

DELIVERY_DAYS = 90
"""How long deliveries are kept after they were created."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDelivery:
    """The same transition and target give the same `id`: adding it twice is one delivery.

    `alarm` is the public record of the alarm after the transition. `is_deferred` says that it was planned for later: when it is
    due, the target is told only if the alarm still asks for it. `number` is that of a reminder. `done` are the recipients of
    the target that have received it. `error` is of the last attempt.
    """

    id: str
    target: str
    alarm_id: str
    transition_id: str
    kind: DeliveryKind
    priority: str
    device_id: str | None
    created_ms: int
    due_ms: int
    title: str
    body: str
    rule: str
    site: str | None = None
    attempts: int = 0
    state: DeliveryState = DeliveryState.WAITING
    error: str | None = None
    sent_ms: int | None = None
    is_deferred: bool = False
    number: int = 0
    done: tuple[str, ...] = ()
    alarm: Mapping[str, Any] = field(default_factory=dict)

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
        """Return everything but the id, in JSON types; the names that a store asks for are those of its other documents."""
        fields = asdict(self) | {"done": list(self.done), "alarm": dict(self.alarm)}
        del fields["id"], fields["created_ms"], fields["due_ms"], fields["alarm_id"]
        return fields | {CREATED_AT: self.created_ms, "dueAt": self.due_ms, "alarmId": self.alarm_id}


def delivery_from_document(identity: str, document: Mapping[str, Any]) -> AlarmDelivery:
    """Return the delivery that `AlarmDelivery.to_document` described."""
    fields = {name: value for name, value in document.items() if name != "_id"}
    return AlarmDelivery(
        id=identity,
        created_ms=fields.pop(CREATED_AT),
        due_ms=fields.pop("dueAt"),
        alarm_id=fields.pop("alarmId"),
        kind=DeliveryKind(fields.pop("kind")),
        state=DeliveryState(fields.pop("state")),
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
