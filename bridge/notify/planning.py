"""Which targets are told of which transitions, and when. The same transitions give the same deliveries, with the same ids."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from bridge.alarms.record import AlarmRecord, AlarmState, Transition, TransitionKind, identifier
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.alarms.scope import EVERYWHERE, DeviceFacts
from bridge.core.alarms.delivery import GROUP_LIMIT, AlarmDelivery, AlarmMember, DeliveryKind, DeliveryState
from bridge.notify.merging import ALARMS_LIMIT, narrowed, words

RETRY_SECONDS = (10, 60, 300, 900)
HOURLY_SECONDS = 3600
"""After the first retries, until the alarm is over."""

MEMBERS_LIMIT = 500
"""The most alarms of one delivery."""


def plan(transitions: Iterable[Transition], targets: Sequence[NotifySettings], now_ms: int) -> list[AlarmDelivery]:
    """Return what the targets are told of transitions; those of one rule, site and group are one delivery for each target."""
    groups: dict[tuple[object, ...], list[Transition]] = {}
    for one in transitions:
        kind, record = _kind(one), one.record
        if kind is not None:
            key = (kind, record.rule, record.site, record.priority, record.group or record.id)
            groups.setdefault(key, []).append(one)
    planned: list[AlarmDelivery] = []
    for group in groups.values():
        for start in range(0, len(group), MEMBERS_LIMIT):
            planned += _plan_group(group[start : start + MEMBERS_LIMIT], targets, now_ms)
    return planned


def _kind(transition: Transition) -> DeliveryKind | None:
    if transition.announces:
        return DeliveryKind.RAISED
    is_over = transition.kind is TransitionKind.CLEARED and not transition.record.is_quiet
    return DeliveryKind.CLEARED if is_over else None


def _plan_group(group: Sequence[Transition], targets: Sequence[NotifySettings], now_ms: int) -> list[AlarmDelivery]:
    planned: list[AlarmDelivery] = []
    whole: AlarmDelivery | None = None
    for target in targets:
        told = [one for one in group if _includes(target, one.record)]
        if len(told) == len(group):
            whole = whole or _delivery(group, now_ms)
            planned.append(_addressed(whole, target, now_ms))
        elif told:
            planned.append(_addressed(_delivery(told, now_ms), target, now_ms))
    return planned


def _includes(target: NotifySettings, record: AlarmRecord) -> bool:
    if record.priority not in target.priorities:
        return False
    facts = DeviceFacts(record.site, record.room)
    return target.scope is EVERYWHERE or target.scope.includes(record.device_id or "", facts)


def _delivery(group: Sequence[Transition], now_ms: int) -> AlarmDelivery:
    """Return the delivery of transitions of one kind, rule and site, without an address."""
    first, kind = group[0].record, _kind(group[0]) or DeliveryKind.RAISED
    alarms = tuple(one.record.public() for one in group[:ALARMS_LIMIT])
    title, body = words(kind, first.priority.value, alarms, Counter({(first.rule, first.site): len(group)}))
    return AlarmDelivery(
        id="",
        target="",
        group=first.group or first.id,
        members=tuple(AlarmMember(one.record.id, one.id, one.record.device_id) for one in group),
        kind=kind,
        priority=first.priority.value,
        rule=first.rule,
        site=first.site,
        created_ms=now_ms,
        due_ms=now_ms,
        title=title,
        body=body,
        alarms=alarms,
    )


def _addressed(template: AlarmDelivery, target: NotifySettings, now_ms: int) -> AlarmDelivery:
    wait_ms = 0 if template.kind is DeliveryKind.CLEARED else round(target.after_seconds * 1000)
    due_ms = _awake_ms(target, template.priority, now_ms + wait_ms)
    delivery_id = identifier(*(one.transition_id for one in template.members), target.name)
    return replace(template, id=delivery_id, target=target.name, due_ms=due_ms, is_deferred=due_ms > now_ms)


def _awake_ms(target: NotifySettings, priority: str, at_ms: int) -> int:
    return at_ms if target.quiet is None else target.quiet.end_ms(at_ms, Priority(priority))


def unplanned(delivery: AlarmDelivery, others: Iterable[AlarmDelivery]) -> AlarmDelivery | None:
    """Return the part of a delivery that is in no other one of its target and group; None if all is."""
    known = {member.transition_id for one in others if one.target == delivery.target for member in one.members}
    members = [one for one in delivery.members if one.transition_id not in known]
    if not members:
        return None
    return replace(narrowed(delivery, members), id=identifier(*(one.transition_id for one in members), delivery.target))


def reminder(delivery: AlarmDelivery, target: NotifySettings, now_ms: int) -> AlarmDelivery | None:
    """Return the next reminder after a delivery; None if the target wants none."""
    seconds = dict(target.repeat).get(Priority(delivery.priority))
    if seconds is None or delivery.kind is DeliveryKind.CLEARED:
        return None
    groups = Counter({(delivery.rule, delivery.site): len(delivery.members)})
    title, body = words(DeliveryKind.REMINDER, delivery.priority, delivery.alarms, groups)
    return replace(
        delivery,
        id=identifier(delivery.id, "reminder"),
        kind=DeliveryKind.REMINDER,
        title=title,
        body=body,
        created_ms=now_ms,
        due_ms=_awake_ms(target, delivery.priority, now_ms + round(seconds * 1000)),
        number=delivery.number + 1,
        is_deferred=True,
        state=DeliveryState.WAITING,
        attempts=0,
        error=None,
        sent_ms=None,
        done=(),
    )


# --- when a delivery is due ------------------------------------------------------------------------------------------------


def depends_on_alarm(delivery: AlarmDelivery) -> bool:
    """Whether the alarm must still ask for it: it was planned for later, or has been tried for long."""
    if delivery.kind is DeliveryKind.CLEARED:
        return False
    return (delivery.is_deferred and not delivery.attempts) or delivery.attempts > len(RETRY_SECONDS)


def still_asks(record: AlarmRecord | None) -> bool:
    """Whether nobody has acknowledged the alarm, and it stands or is latched; also if nothing is known of it."""
    if record is None:
        return True
    waits = record.state is AlarmState.UNACKNOWLEDGED or (record.state is AlarmState.RETURNED and record.latched)
    return waits and not record.is_quiet


def given_up(delivery: AlarmDelivery) -> AlarmDelivery:
    """Return the delivery that is not tried any more."""
    return replace(delivery, state=DeliveryState.FAILED if delivery.attempts else DeliveryState.CANCELLED)


def still_asked(delivery: AlarmDelivery, alarms: Mapping[str, AlarmRecord]) -> AlarmDelivery:
    """Return the delivery of those alarms that still ask for it, as `alarms` tells; given up if there are none."""
    return _only(delivery, [one for one in delivery.members if still_asks(alarms.get(one.alarm_id))])


@dataclass(frozen=True, slots=True)
class ToldAlarms:
    """Which alarms of a group a target was told of, and when those are due of which it still will be.

    `is_whole` is false if there are too many deliveries to know.
    """

    told: frozenset[str]
    waiting: Mapping[str, int]
    is_whole: bool = True

    @classmethod
    def of(cls, target: str, deliveries: Sequence[AlarmDelivery]) -> Self:
        """Gather the deliveries of a group."""
        raised = [one for one in deliveries if one.target == target and one.kind is DeliveryKind.RAISED]
        told = {alarm for one in raised if one.state is DeliveryState.SENT for alarm in one.alarm_ids}
        waiting = {alarm: one.due_ms for one in raised if one.state is DeliveryState.WAITING for alarm in one.alarm_ids}
        return cls(frozenset(told), waiting, len(deliveries) < GROUP_LIMIT)


def over_message(delivery: AlarmDelivery, before: ToldAlarms) -> AlarmDelivery:
    """Return the message that alarms are over as it is now due.

    It is sent only to who was told of them: it waits while that is still being tried, and is given up if it was not sent.
    """
    waiting = [before.waiting[one.alarm_id] for one in delivery.members if one.alarm_id in before.waiting]
    if waiting:
        return replace(delivery, due_ms=max(delivery.due_ms, *waiting) + 1)
    if not before.is_whole:
        return delivery
    return _only(delivery, [one for one in delivery.members if one.alarm_id in before.told])


def _only(delivery: AlarmDelivery, members: Collection[AlarmMember]) -> AlarmDelivery:
    return narrowed(delivery, members) if members else given_up(delivery)


def succeeded(delivery: AlarmDelivery, now_ms: int) -> AlarmDelivery:
    attempts = delivery.attempts + 1
    return replace(delivery, state=DeliveryState.SENT, attempts=attempts, error=None, sent_ms=now_ms)


def failed(delivery: AlarmDelivery, error: str, done: Sequence[str], now_ms: int) -> AlarmDelivery:
    """Return the delivery after a failure: it waits for its next attempt, unless a next reminder does, or it is too late."""
    attempts = delivery.attempts + 1
    is_last = delivery.kind is DeliveryKind.REMINDER or (
        delivery.kind is DeliveryKind.CLEARED and attempts > len(RETRY_SECONDS)
    )
    seconds = RETRY_SECONDS[attempts - 1] if attempts <= len(RETRY_SECONDS) else HOURLY_SECONDS
    return replace(
        delivery,
        state=DeliveryState.FAILED if is_last else DeliveryState.WAITING,
        attempts=attempts,
        error=error,
        due_ms=delivery.due_ms if is_last else now_ms + seconds * 1000,
        done=tuple(done),
    )
