"""Which targets are told of which transitions, and when. The same transition gives the same deliveries, with the same ids."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bridge.alarms.record import AlarmRecord, AlarmState, Transition, TransitionKind, identifier
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.alarms.scope import DeviceFacts
from bridge.core.alarms.delivery import AlarmDelivery, DeliveryKind, DeliveryState
from bridge.notify.texts import body, title

RETRY_SECONDS = (10, 60, 300, 900)
HOURLY_SECONDS = 3600
"""After the first retries, until the alarm is over."""


def plan(transitions: Iterable[Transition], targets: Sequence[NotifySettings], now_ms: int) -> list[AlarmDelivery]:
    """Return what the targets are told of transitions; those that nobody is told of give nothing."""
    planned: list[AlarmDelivery] = []
    for transition in transitions:
        kind = _kind(transition)
        if kind is None:
            continue
        told = [one for one in targets if _includes(one, transition.record)]
        if told:
            template = _delivery(transition, kind, now_ms)
            planned += [_addressed(template, one, now_ms) for one in told]
    return planned


def _kind(transition: Transition) -> DeliveryKind | None:
    if transition.announces:
        return DeliveryKind.RAISED
    is_over = transition.kind is TransitionKind.CLEARED and not transition.record.is_quiet
    return DeliveryKind.CLEARED if is_over else None


def _includes(target: NotifySettings, record: AlarmRecord) -> bool:
    facts = DeviceFacts(record.site, record.room)
    return record.priority in target.priorities and target.scope.includes(record.device_id or "", facts)


def _delivery(transition: Transition, kind: DeliveryKind, now_ms: int) -> AlarmDelivery:
    record = transition.record
    return AlarmDelivery(
        id="",
        target="",
        alarm_id=record.id,
        transition_id=transition.id,
        kind=kind,
        priority=record.priority.value,
        device_id=record.device_id,
        created_ms=now_ms,
        due_ms=now_ms,
        title=title(kind, record.priority, record.message),
        body=body(kind, record),
        rule=record.rule,
        site=record.site,
        alarm=record.public(),
    )


def _addressed(template: AlarmDelivery, target: NotifySettings, now_ms: int) -> AlarmDelivery:
    wait_ms = 0 if template.kind is DeliveryKind.CLEARED else round(target.after_seconds * 1000)
    due_ms = _awake_ms(target, template.priority, now_ms + wait_ms)
    delivery_id = identifier(template.transition_id, target.name)
    return replace(template, id=delivery_id, target=target.name, due_ms=due_ms, is_deferred=due_ms > now_ms)


def _awake_ms(target: NotifySettings, priority: str, at_ms: int) -> int:
    return at_ms if target.quiet is None else target.quiet.end_ms(at_ms, Priority(priority))


def reminder(delivery: AlarmDelivery, target: NotifySettings, now_ms: int) -> AlarmDelivery | None:
    """Return the next reminder after a delivery; None if the target wants none."""
    seconds = dict(target.repeat).get(Priority(delivery.priority))
    if seconds is None or delivery.kind is DeliveryKind.CLEARED:
        return None
    number = delivery.number + 1
    return replace(
        delivery,
        id=identifier(delivery.transition_id, target.name, number),
        kind=DeliveryKind.REMINDER,
        title=title(DeliveryKind.REMINDER, delivery.priority, str(delivery.alarm.get("message", ""))),
        created_ms=now_ms,
        due_ms=_awake_ms(target, delivery.priority, now_ms + round(seconds * 1000)),
        number=number,
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


def over_message(delivery: AlarmDelivery, others: Iterable[AlarmDelivery]) -> AlarmDelivery:
    """Return the message that an alarm is over as it is now due, given the deliveries of the alarm.

    It is sent only to who was told of the alarm: it waits while that is still being tried, and is cancelled if it was not sent.
    """
    before = [one for one in others if one.target == delivery.target and one.kind is DeliveryKind.RAISED]
    if any(one.state is DeliveryState.SENT for one in before):
        return delivery
    waiting = [one.due_ms for one in before if one.state is DeliveryState.WAITING]
    if waiting:
        return replace(delivery, due_ms=max(delivery.due_ms, *waiting) + 1)
    return given_up(delivery)


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
