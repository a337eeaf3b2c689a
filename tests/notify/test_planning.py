"""Which targets are told of what, when, and in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.alarms.record import AlarmState, Transition, TransitionKind
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings, QuietHours
from bridge.alarms.scope import Hours, RuleScope
from bridge.core.alarms.delivery import GROUP_LIMIT, AlarmDelivery, DeliveryKind, DeliveryState
from bridge.notify.merging import compose, merge, restricted
from bridge.notify.planning import (
    HOURLY_SECONDS,
    RETRY_SECONDS,
    ToldAlarms,
    depends_on_alarm,
    failed,
    given_up,
    over_message,
    plan,
    reminder,
    still_asked,
    still_asks,
    succeeded,
    unplanned,
)
from tests.notify.alarms import START, cleared, raised, record, target

EVERY_DAY = frozenset(range(7))
HOUR_MS = 3_600_000


def planned(transition: Transition, *targets: NotifySettings, now_ms: int = START) -> list[AlarmDelivery]:
    return plan([transition], targets or (target(),), now_ms)


def one(transition: Transition, **more: Any) -> AlarmDelivery:
    (delivery,) = planned(transition, target(**more))
    return delivery


def test_the_same_transition_gives_the_same_delivery() -> None:
    first, again = planned(raised()), planned(raised(), now_ms=START + 5)
    assert [delivery.id for delivery in first] == [delivery.id for delivery in again]
    assert planned(raised(), target("second"))[0].id != first[0].id
    assert planned(raised("attic"))[0].id != first[0].id


def test_a_raised_alarm_is_told_at_once_with_value_place_and_what_to_do() -> None:
    delivery = one(raised())
    assert (delivery.due_ms, delivery.is_deferred, delivery.state) == (START, False, DeliveryState.WAITING)
    assert delivery.title == "CRITICAL: Carbon monoxide 212 ppm at kitchen"
    assert delivery.body == (
        "Since 2026-01-15 12:00 UTC.\n"
        "Worst value 230 ppm, limit 200 ppm.\n"
        "Leave.\n"
        "(By NIOSH Pocket Guide to Chemical Hazards; indicative: this sensor is not certified for it)\n"
        "Not a life-safety device."
    )
    assert delivery.alarms == (record().public(),)


def test_a_title_is_one_short_line() -> None:
    assert one(raised(message="Heat at\r\nBcc: x@example.org")).title == "CRITICAL: Heat at Bcc: x@example.org"
    assert len(one(raised(message="x" * 1000)).title) == 300


def test_an_alarm_that_is_over_is_told_with_its_times() -> None:
    delivery = one(cleared(latched=True))
    assert delivery.title == "Over: Carbon monoxide 212 ppm at kitchen"
    assert delivery.body.startswith("From 2026-01-15 12:00 UTC to 2026-01-15 12:01 UTC.\nWorst value 230 ppm")
    assert delivery.body.endswith("It stays latched until somebody resets it.\nNot a life-safety device.")


@pytest.mark.parametrize("kind", sorted({*TransitionKind} - {"raised", "repeated", "unshelved", "unsuppressed", "in-service"}))
def test_other_transitions_are_not_told(kind: str) -> None:
    transition = replace(raised(), kind=TransitionKind(kind))
    assert bool(planned(transition)) is (kind == "cleared")


@pytest.mark.parametrize("hidden", [{"shelved_until_ms": 1}, {"suppressed_by": "x"}, {"out_of_service": True}])
def test_a_hidden_alarm_is_not_told(hidden: dict[str, Any]) -> None:
    assert planned(raised(**hidden)) == planned(cleared(**hidden)) == []


def test_a_target_is_told_of_its_priorities_and_places_alone() -> None:
    high = target(priorities=frozenset({Priority.HIGH}))
    assert planned(raised(), high) == []
    assert len(planned(raised(priority=Priority.HIGH), high)) == 1
    assert planned(raised(priority=Priority.LOW)) == []
    for scope, is_told in (
        (RuleScope(devices=("kit*",)), True),
        (RuleScope(devices=("attic",)), False),
        (RuleScope(rooms=("Kitchen",)), True),
        (RuleScope(sites=("Office",)), False),
    ):
        assert bool(planned(raised(), target(scope=scope))) is is_told


def test_alarms_of_the_bridge_are_told_where_no_places_are_named() -> None:
    assert len(planned(raised(None, site=None, room=None))) == 1
    assert planned(raised(None, site=None, room=None), target(scope=RuleScope(devices=("kitchen",)))) == []


def test_in_quiet_hours_only_the_priorities_that_are_let_through_are_told() -> None:
    quiet = QuietHours(Hours(EVERY_DAY, 11 * 60, 13 * 60), frozenset({Priority.CRITICAL}))
    assert one(raised(), quiet=quiet).due_ms == START
    later = one(raised(priority=Priority.HIGH), quiet=quiet)
    assert (later.due_ms, later.is_deferred) == (START + HOUR_MS, True)
    assert one(cleared(priority=Priority.HIGH), quiet=quiet).due_ms == START + HOUR_MS


def test_a_second_line_is_told_later_and_of_the_end_at_once() -> None:
    later = one(raised(), after_seconds=900)
    assert (later.due_ms, later.is_deferred) == (START + 900_000, True)
    assert one(cleared(), after_seconds=900).due_ms == START


def test_a_reminder_follows_after_its_seconds_and_has_an_id_of_its_own() -> None:
    settings = target(repeat=((Priority.CRITICAL, 600.0),))
    first = succeeded(one(raised()), START)
    again = reminder(first, settings, START)
    assert again is not None
    assert (again.due_ms, again.kind, again.state, again.number) == (
        START + 600_000,
        DeliveryKind.REMINDER,
        DeliveryState.WAITING,
        1,
    )
    assert again.title == "CRITICAL, not acknowledged: Carbon monoxide 212 ppm at kitchen"
    third = reminder(again, settings, START)
    assert third is not None
    assert len({first.id, again.id, third.id}) == 3
    assert reminder(one(raised(priority=Priority.HIGH)), settings, START) is None
    assert reminder(one(cleared()), settings, START) is None


def test_a_failed_delivery_is_tried_again_at_growing_intervals_then_hourly() -> None:
    delivery, waits = one(raised()), []
    for _ in range(7):
        delivery = failed(delivery, "refused", (), START)
        waits.append((delivery.due_ms - START) // 1000)
    assert waits == [*RETRY_SECONDS, HOURLY_SECONDS, HOURLY_SECONDS, HOURLY_SECONDS]
    assert (delivery.state, delivery.attempts, delivery.error) == (DeliveryState.WAITING, 7, "refused")


def test_a_message_that_an_alarm_is_over_fails_at_last() -> None:
    delivery = one(cleared())
    for _ in range(5):
        assert delivery.state is DeliveryState.WAITING
        delivery = failed(delivery, "refused", (), START)
    assert delivery.state is DeliveryState.FAILED


def test_only_what_was_planned_for_later_or_tried_for_long_depends_on_the_alarm() -> None:
    now, later = one(raised()), one(raised(), after_seconds=900)
    assert (depends_on_alarm(now), depends_on_alarm(later), depends_on_alarm(one(cleared()))) == (False, True, False)
    for _ in range(5):
        now = failed(now, "refused", (), START)
    assert depends_on_alarm(now)
    assert given_up(now).state is DeliveryState.FAILED
    assert given_up(later).state is DeliveryState.CANCELLED


@pytest.mark.parametrize(
    ("state", "latched", "expected"),
    [
        (AlarmState.UNACKNOWLEDGED, False, True),
        (AlarmState.ACKNOWLEDGED, True, False),
        (AlarmState.RETURNED, True, True),
        (AlarmState.RETURNED, False, False),
        (AlarmState.LATCHED, True, False),
        (AlarmState.NORMAL, False, False),
    ],
)
def test_an_alarm_asks_while_nobody_has_acknowledged_it(state: AlarmState, latched: bool, expected: bool) -> None:
    assert still_asks(replace(record(), state=state, latched=latched)) is expected
    assert not still_asks(replace(record(), state=state, latched=latched, shelved_until_ms=1))


def test_an_unknown_alarm_is_told_rather_than_not() -> None:
    assert still_asks(None)


def over(end: AlarmDelivery, *others: AlarmDelivery) -> AlarmDelivery:
    return over_message(end, ToldAlarms.of(end.target, [*others, end]))


def test_the_end_is_told_to_who_was_told_of_the_beginning() -> None:
    beginning, end = one(raised()), one(cleared())
    assert over(end, succeeded(beginning, START)) is end
    retried = failed(beginning, "refused", (), START + 60_000)
    waits = over(end, retried)
    assert (waits.state, waits.due_ms) == (DeliveryState.WAITING, retried.due_ms + 1)
    assert over(end, given_up(beginning)).state is DeliveryState.CANCELLED
    assert over(end, replace(succeeded(beginning, START), target="another")).state is DeliveryState.CANCELLED


def test_the_end_of_several_alarms_is_told_of_those_that_were_told() -> None:
    (end,) = plan([cleared(device, group="g") for device in ("a", "b", "c")], [target()], START)
    beginnings = [succeeded(one(raised(device, group="g")), START) for device in ("a", "b")]
    told = over(end, *beginnings)
    assert told.title == "Over: 2 alarms, co-ceiling at Home"
    assert over(end, beginnings[0]).title == "Over: Carbon monoxide 212 ppm at a"


def test_the_end_is_told_if_too_many_deliveries_hide_the_beginning() -> None:
    end = one(cleared())
    assert over(end, *[replace(one(raised("other")), id=str(number)) for number in range(GROUP_LIMIT)]) is end


def test_what_was_planned_in_other_company_is_not_planned_again() -> None:
    (both,) = plan([raised(device, group="g") for device in ("a", "b")], [target()], START)
    (first, second) = (one(raised(device, group="g")) for device in ("a", "b"))
    assert unplanned(first, [both]) is None
    rest = unplanned(both, [first, replace(second, target="another")])
    assert rest is not None
    assert (rest.id, rest.title) == (second.id, second.title)


# --- many at once ----------------------------------------------------------------------------------------------------------


def deliveries(number: int, **more: Any) -> list[AlarmDelivery]:
    """Each alarm has a delivery of its own."""
    return plan([raised(f"device-{index:05d}", **more) for index in range(number)], [target()], START)


def test_alarms_of_a_group_that_are_raised_together_are_one_delivery_for_each_target() -> None:
    many = [raised(f"device-{index:05d}", group="g") for index in range(1001)]
    found = plan(many, [target(), target("attic", scope=RuleScope(devices=("device-00007",)))], START)
    assert [(one.target, len(one.members)) for one in found] == [
        ("family", 500),
        ("attic", 1),
        ("family", 500),
        ("family", 1),
    ]
    assert found[0].title == "CRITICAL: 500 alarms, co-ceiling at Home"
    assert len(found[0].alarms) == 20
    assert found[1].title == "CRITICAL: Carbon monoxide 212 ppm at device-00007"
    assert plan(many, [target()], START + 5)[0].id == found[0].id


def test_a_late_delivery_is_of_the_alarms_that_still_ask() -> None:
    (many,) = plan([raised(f"device-{index}", group="g") for index in range(30)], [target()], START)
    alarms = {one.record.id: one.record for one in (raised(f"device-{index}") for index in range(30))}
    acknowledged = {one: replace(record, state=AlarmState.ACKNOWLEDGED) for one, record in alarms.items()}
    asked = alarms | {one.alarm_id: acknowledged[one.alarm_id] for one in many.members[:-2]}
    rest = still_asked(many, asked)
    assert (rest.title, len(rest.members)) == ("CRITICAL: 2 alarms, co-ceiling at Home", 2)
    assert still_asked(many, alarms) is many
    assert still_asked(many, acknowledged).state is DeliveryState.CANCELLED


def test_deliveries_of_one_rule_and_site_are_one_message() -> None:
    (message,) = merge(deliveries(1234))
    assert message.title == "CRITICAL: 1,234 alarms, co-ceiling at Home"
    lines = message.body.splitlines()
    assert lines[:2] == ["Carbon monoxide 212 ppm at device-00000", "Carbon monoxide 212 ppm at device-00001"]
    assert lines[10:] == ["and 1,224 more", "Leave.", "Not a life-safety device."]
    assert message.public()["number"] == 1234
    assert len(message.public()["alarms"]) == 20


def test_rules_sites_and_ends_have_messages_of_their_own_the_most_urgent_first() -> None:
    ends = plan([cleared("a"), cleared("b")], [target()], START)
    many = [*ends, *deliveries(3, rule="heat", priority=Priority.HIGH), *deliveries(2), *deliveries(1, site="Office")]
    assert [message.title for message in merge(many)] == [
        "CRITICAL: 2 alarms, co-ceiling at Home",
        "CRITICAL: Carbon monoxide 212 ppm at device-00000",
        "HIGH: 3 alarms, heat at Home",
        "Over: 2 alarms, co-ceiling at Home",
    ]


def test_all_in_one_message_counts_rules_and_sites() -> None:
    many = [*deliveries(3, rule="heat", priority=Priority.HIGH), *deliveries(2), *deliveries(1, site="Office")]
    (message,) = merge(many, in_one=True)
    assert message.title == "CRITICAL: 6 alarms of 2 rules at 2 sites"
    assert message.body.splitlines()[0] == "First: Carbon monoxide 212 ppm at device-00000"
    assert "3 × heat at Home" in message.body


def test_a_message_has_the_same_id_whatever_the_order() -> None:
    many = deliveries(3)
    assert compose(many).id == compose(many[::-1]).id
    assert compose(many[:1]).id == many[0].id


def test_a_message_is_restricted_to_what_somebody_may_see() -> None:
    message = compose(deliveries(3))
    assert restricted(message, lambda *_: True) is message
    assert restricted(message, lambda *_: False) is None
    alone = restricted(message, lambda device, _: device == "device-00001")
    assert alone is not None
    assert alone.title == "CRITICAL: Carbon monoxide 212 ppm at device-00001"
