"""Deliveries of one target that are due together, in as few messages as people can read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.alarms.record import identifier
from bridge.alarms.rules import Priority
from bridge.core.alarms.delivery import AlarmDelivery, DeliveryKind
from bridge.notify.texts import group_body, group_title

ALARMS_LIMIT = 20
"""The most alarms that are described in the JSON of one message."""

_RANKS = {priority.value: rank for rank, priority in enumerate(Priority)}


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. The same deliveries give the same `id`; a test has none."""

    id: str
    kind: str
    priority: str
    title: str
    body: str
    deliveries: tuple[AlarmDelivery, ...] = ()

    @property
    def done(self) -> tuple[str, ...]:
        """The recipients that have received it."""
        return self.deliveries[0].done if self.deliveries else ()

    def public(self) -> dict[str, Any]:
        """Return it in JSON types, as webhooks receive it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "priority": self.priority,
            "title": self.title,
            "body": self.body,
            "number": len(self.deliveries),
            "alarms": [dict(one.alarm) for one in self.deliveries[:ALARMS_LIMIT]],
        }


def compose(deliveries: Sequence[AlarmDelivery]) -> Notification:
    """Return the message of deliveries with the same `done`; there must be at least one."""
    first = deliveries[0]
    if len(deliveries) == 1:
        return Notification(first.id, first.kind, first.priority, first.title, first.body, (first,))
    priority = min((one.priority for one in deliveries), key=_RANKS.__getitem__)
    message_id = identifier(*sorted(one.id for one in deliveries))
    return Notification(
        message_id, first.kind, priority, group_title(deliveries, priority), group_body(deliveries), tuple(deliveries)
    )


def merge(deliveries: Iterable[AlarmDelivery], *, in_one: bool = False) -> list[Notification]:
    """Return a message for each rule and site, the most urgent first; `in_one` gives one for all, and one for what is over."""
    groups: dict[tuple[Any, ...], list[AlarmDelivery]] = {}
    for one in deliveries:
        is_over = one.kind is DeliveryKind.CLEARED
        key = (is_over, one.done) if in_one else (one.kind, one.rule, one.site, one.done)
        groups.setdefault(key, []).append(one)
    messages = [compose(sorted(group, key=_urgency)) for group in groups.values()]
    return sorted(messages, key=lambda one: (one.kind == DeliveryKind.CLEARED, _RANKS[one.priority]))


def _urgency(delivery: AlarmDelivery) -> tuple[int, str, str, str]:
    """Return a key for sorting: the most urgent and, of these, the one that was raised first."""
    return _RANKS[delivery.priority], str(delivery.alarm.get("raisedAt")), delivery.device_id or "", delivery.id


def restricted(message: Notification, includes: Callable[[AlarmDelivery], bool]) -> Notification | None:
    """Return the message of those alarms alone that somebody may see; None if there are none."""
    seen = [one for one in message.deliveries if includes(one)]
    if len(seen) == len(message.deliveries):
        return message
    return compose(seen) if seen else None
