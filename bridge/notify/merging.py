"""Deliveries of one target that are due together, in as few messages as people can read."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from bridge.alarms.record import identifier
from bridge.alarms.rules import Priority
from bridge.core.alarms.delivery import AlarmDelivery, AlarmMember, DeliveryKind
from bridge.notify.texts import PublicAlarm, body, group_body, group_title, title

ALARMS_LIMIT = 20
"""The most alarms that are described in one message."""

TITLE_LENGTH = 300

_RANKS = {priority.value: rank for rank, priority in enumerate(Priority)}


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. The same deliveries give the same `id`."""

    id: str
    kind: str
    priority: str
    title: str
    body: str
    deliveries: tuple[AlarmDelivery, ...] = ()

    @property
    def number(self) -> int:
        """How many alarms it is about."""
        return sum(len(one.members) for one in self.deliveries)

    @property
    def done(self) -> tuple[str, ...]:
        """The recipients that have received it."""
        return self.deliveries[0].done if self.deliveries else ()

    @property
    def alarms(self) -> list[PublicAlarm]:
        """The first alarms."""
        return list(islice(chain.from_iterable(one.alarms for one in self.deliveries), ALARMS_LIMIT))

    def public(self) -> dict[str, Any]:
        """Return it in JSON types, as webhooks receive it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "priority": self.priority,
            "title": self.title,
            "body": self.body,
            "number": self.number,
            "alarms": [dict(one) for one in self.alarms],
        }


def words(
    kind: DeliveryKind, priority: str, alarms: Sequence[PublicAlarm], groups: Counter[tuple[str, str | None]]
) -> tuple[str, str]:
    """Return title and body for so many alarms of each rule and site, of which `alarms` are the first."""
    if groups.total() == 1 and alarms:
        return _line(title(kind, priority, alarms[0]["message"])), body(kind, alarms[0])
    return _line(group_title(kind, priority, groups)), group_body(kind, alarms, groups)


def _line(text: str) -> str:
    """Return one line: a title becomes the header of an e-mail."""
    return " ".join(text.split())[:TITLE_LENGTH]


def compose(deliveries: Sequence[AlarmDelivery]) -> Notification:
    """Return the message of deliveries with the same `done`; there must be at least one."""
    first = deliveries[0]
    if len(deliveries) == 1:
        return Notification(first.id, first.kind, first.priority, first.title, first.body, (first,))
    priority = min((one.priority for one in deliveries), key=_RANKS.__getitem__)
    groups: Counter[tuple[str, str | None]] = Counter()
    for one in deliveries:
        groups[one.rule, one.site] += len(one.members)
    alarms = list(islice(chain.from_iterable(one.alarms for one in deliveries), ALARMS_LIMIT))
    message_id = identifier(*sorted(one.id for one in deliveries))
    return Notification(message_id, first.kind, priority, *words(first.kind, priority, alarms, groups), tuple(deliveries))


def narrowed(delivery: AlarmDelivery, members: Collection[AlarmMember]) -> AlarmDelivery:
    """Return the delivery of some of its alarms alone; there must be at least one."""
    if len(members) == len(delivery.members):
        return delivery
    ids = {one.alarm_id for one in members}
    alarms = tuple(one for one in delivery.alarms if one["id"] in ids)
    groups = Counter({(delivery.rule, delivery.site): len(members)})
    heading, text = words(delivery.kind, delivery.priority, alarms, groups)
    return replace(delivery, members=tuple(members), alarms=alarms, title=heading, body=text)


def merge(deliveries: Iterable[AlarmDelivery], *, in_one: bool = False) -> list[Notification]:
    """Return a message for each rule and site, the most urgent first; `in_one` gives one for all, and one for what is over."""
    groups: dict[tuple[Any, ...], list[AlarmDelivery]] = {}
    for one in deliveries:
        is_over = one.kind is DeliveryKind.CLEARED
        key = (is_over, one.done) if in_one else (one.kind, one.rule, one.site, one.done)
        groups.setdefault(key, []).append(one)
    messages = [compose(sorted(group, key=_urgency)) for group in groups.values()]
    return sorted(messages, key=lambda one: (one.kind == DeliveryKind.CLEARED, _RANKS[one.priority]))


def _urgency(delivery: AlarmDelivery) -> tuple[int, int, str, str]:
    """Return a key for sorting: the most urgent and, of these, the one that was raised first."""
    raised = str(delivery.alarms[0]["raisedAt"]) if delivery.alarms else ""
    return _RANKS[delivery.priority], delivery.created_ms, raised, str(delivery.members[0].device_id)


def restricted(message: Notification, includes: Callable[[str | None, str | None], bool]) -> Notification | None:
    """Return the message of those alarms alone whose device and site are included; None if there are none."""
    seen = []
    for one in message.deliveries:
        members = [member for member in one.members if includes(member.device_id, one.site)]
        if members:
            seen.append(narrowed(one, members))
    if sum(len(one.members) for one in seen) == message.number:
        return message
    return compose(seen) if seen else None
