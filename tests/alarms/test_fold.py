"""The fold: what is live, delays, states, suppression, what operators do, and what time does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.alarms.actions import ActionKind
from bridge.alarms.conditions import Above, Below, ChangesBy, Is, Mean, Outside, Silence
from bridge.alarms.defaults import profile_rules
from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import TransitionKind
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import DeviceFacts, Hours, RuleScope
from bridge.core.errors import AlarmStateError, RuleError, UnknownAlarm
from bridge.core.message import DeviceStatus
from tests.alarms.folding import HOUR_MS, MINUTE_MS, SECOND_MS, START_MS, Bench, raised, reading, told

HOT = Rule(
    id="hot", field="temperature", condition=Above(30, 25), priority=Priority.HIGH, message="{value} at {place}", advice="Cool."
)
VERY_HOT = replace(HOT, id="very-hot", condition=Above(40, 35), priority=Priority.CRITICAL, latched=True)
WARM = replace(HOT, suppressed_by=("very-hot",))
NO_DATA = Rule(id="no-data", condition=Silence(), priority=Priority.MEDIUM, message="", advice="")
HOME = profile_rules("home")


# --- live, retained and late ---------------------------------------------------------------------------------------------


def test_ten_thousand_retained_and_late_readings_raise_nothing_and_are_all_told_as_past() -> None:
    fold = AlarmFold(HOME)
    transitions = []
    for number in range(10_000):
        at_ms = START_MS + number * SECOND_MS
        fold.step(reading(at_ms, {"coPpm": 1.0}, device="live"))
        for device, late_ms, retained in (("retained", 0, True), (f"late-{number % 50}", 61_000, False)):
            transitions += fold.step(
                reading(at_ms, {"coPpm": 400.0}, device=device, received_ms=at_ms + late_ms, retained=retained)
            )
    transitions += fold.tick(START_MS + 24 * HOUR_MS)
    past = [one for one in transitions if one.kind is TransitionKind.PAST and one.record.rule == "co-ceiling"]
    assert set(raised(transitions)) == {"no-data", "clock"}
    assert (fold.counts.past, fold.counts.retained, fold.counts.late) == (20_000, 10_000, 10_000)
    assert sum(one.record.past.readings for one in past if one.record.past) == 20_000
    assert {one.record.state for one in past} == {"normal"}


def test_alarm_that_late_readings_raise_stands_among_the_others() -> None:
    fold, told_of = AlarmFold(HOME), list[str]()
    for number in range(600):
        at_ms = START_MS + number * MINUTE_MS
        told_of += raised(fold.step(reading(at_ms, {"coPpm": 1.0}, received_ms=at_ms + HOUR_MS)))
    assert told_of == ["clock"]
    assert [one.rule for one in fold.records()] == ["clock"]


def test_past_violation_is_told_with_its_time_and_its_worst_value() -> None:
    bench = Bench(HOME, MINUTE_MS)
    bench.send(number=5, coPpm=2.0)
    start_ms = bench.now_ms
    bench.wait(HOUR_MS, tick=False)
    for number, ppm in enumerate([2.0, 120.0, 180.0, 150.0, 2.0]):
        at_ms = start_ms + (number + 1) * MINUTE_MS
        bench.said += bench.fold.step(reading(at_ms, {"coPpm": ppm}, received_ms=bench.now_ms + number))
    (dose,) = [one for one in bench.said if one.record.rule == "co-dose"]
    assert (dose.kind, dose.announces, bench.state("co-dose")) == ("past", False, "normal")
    record = dose.record.public()
    assert record["peak"]["value"] == 180.0
    assert record["past"]["readings"] == 3
    assert dose.record.past is not None
    assert dose.record.past.to_ms - dose.record.past.from_ms == 2 * MINUTE_MS


def test_reading_older_than_the_newest_one_raises_nothing() -> None:
    bench = Bench([HOT])
    bench.send(number=5, temperature=20.0)
    assert bench.fold.step(reading(bench.now_ms - 1, {"temperature": 90.0}, received_ms=bench.now_ms)) == []
    assert bench.state("hot") == "normal"


def test_field_whose_time_is_behind_that_of_another_field_raises_and_clears() -> None:
    fold, said = AlarmFold(HOME), []
    for second in range(0, 3600, 5):
        now_ms = START_MS + second * SECOND_MS
        said += fold.step(reading(now_ms, {"temperature": 20.0}))
        if second % 10 == 0:
            values = {"coPpm": 900.0 if 600 <= second < 1200 else 1.0}
            said += fold.step(reading(now_ms - 40 * SECOND_MS, values, received_ms=now_ms))
    kinds = [("raised", "co-ceiling"), ("raised", "co-dose"), ("cleared", "co-ceiling"), ("cleared", "co-dose")]
    assert (told(said), fold.counts.late) == (kinds, 0)


def test_clock_of_the_bridge_that_is_set_back_silences_no_alarm() -> None:
    bench = Bench(HOME)
    bench.send(number=100, coPpm=1.0)
    bench.send(number=3, coPpm=0.0, quality={"coPpm": "below"})
    bench.wait(-HOUR_MS, tick=False)
    assert raised(bench.send(number=2, coPpm=250.0)) == ["co-ceiling"]
    bench.restart()
    bench.send(number=3, coPpm=1.0)
    assert bench.state("co-ceiling") == "returned"
    assert raised(bench.wait(2 * MINUTE_MS)) == ["no-data"]
    assert (bench.fold.counts.late, bench.record("no-data") is not None) == (0, True)


def test_clock_that_is_set_back_silences_no_alarm() -> None:
    fold = AlarmFold([HOT])
    for second in range(10):
        arrival_ms = START_MS + second * SECOND_MS
        fold.step(reading(arrival_ms + 4 * MINUTE_MS, {"temperature": 20.0}, received_ms=arrival_ms))
    arrival_ms = START_MS + 11 * SECOND_MS
    assert raised(fold.step(reading(arrival_ms, {"temperature": 31.0}, received_ms=arrival_ms))) == ["hot"]


def test_flagged_values_neither_raise_nor_clear() -> None:
    bench = Bench(rule for rule in HOME if rule.id != "quality")
    bench.send(number=100, temperature=21.0, coPpm=2.0)
    bad = {"battery": "below 5 %: perhaps a fraction", "temperature": "outside -40..85"}
    assert bench.send(bad, number=600, temperature=-60.0, battery=0.9) == []
    assert raised(bench.send(number=2, temperature=60.0)) == ["heat"]
    assert bench.send(bad, number=60, temperature=-60.0, battery=0.9) == []
    assert bench.state("heat") == "unacknowledged"


@pytest.mark.parametrize(("field", "value", "rule"), [("coPpm", 1500.0, "co-ceiling"), ("co2", 40_000.0, "co2-danger")])
def test_value_above_the_usual_range_raises_although_it_is_flagged(field: str, value: float, rule: str) -> None:
    bench = Bench(HOME)
    assert rule in raised(bench.send_field(field, value, number=2, fault="outside the usual range"))
    bench.send_field(field, value, number=1000, fault="outside the usual range")
    assert "quality" not in raised(bench.said)


def test_devices_beyond_the_limit_are_counted_and_not_watched() -> None:
    fold = AlarmFold([HOT], devices_limit=2)
    for device in "abc":
        fold.step(reading(START_MS, {"temperature": 50.0}, device=device))
    assert (len(fold), fold.counts.unwatched) == (2, 1)


# --- delays, votes, deadbands --------------------------------------------------------------------------------------------


def test_on_delay_runs_in_the_time_of_the_readings_and_a_gap_restarts_it() -> None:
    bench = Bench([replace(HOT, on_delay_seconds=60)], 10_000)
    bench.send(number=20, temperature=20.0)
    assert bench.send(number=6, temperature=31.0) == []
    bench.wait(31_000)
    assert bench.send(number=6, temperature=31.0) == []
    assert raised(bench.send(temperature=31.0)) == ["hot"]


def test_value_below_the_limit_restarts_the_on_delay_and_one_in_the_deadband_the_off_delay() -> None:
    bench = Bench([replace(HOT, on_delay_seconds=3, off_delay_seconds=3)])
    bench.send(number=70, temperature=20.0)
    assert bench.send(number=3, temperature=31.0) == []
    assert bench.send(temperature=29.9) == []
    assert bench.send(number=3, temperature=31.0) == []
    assert raised(bench.send(temperature=31.0)) == ["hot"]
    assert bench.send(number=3, temperature=25.0) == []
    assert bench.send(temperature=25.1) == []
    assert bench.send(number=3, temperature=25.0) == []
    assert told(bench.send(temperature=25.0)) == [("cleared", "hot")]


def test_gap_takes_votes_away() -> None:
    bench = Bench([replace(HOT, two_of_three=True)])
    bench.send(number=70, temperature=20.0)
    assert bench.send(temperature=31.0) == []
    bench.wait(5000)
    assert bench.send(temperature=31.0) == []
    assert raised(bench.send(temperature=31.0)) == ["hot"]


@pytest.mark.parametrize(
    ("rule", "calm", "wrong"),
    [
        (replace(HOT, condition=Below(10, 12)), 12.0, 10.0),
        (replace(HOT, condition=Outside(10, 30, 1)), 20.0, 30.0),
        (replace(HOT, condition=Outside(10, 30, 1)), 11.0, 10.0),
        (replace(HOT, field="flameDetected", condition=Is(value=False)), True, False),
        (replace(HOT, condition=Above(30, 25), averaging=Mean(15)), 20.0, 31.0),
        (replace(HOT, condition=Below(10, 12), averaging=Mean(120)), 20.0, 9.0),
    ],
)
def test_each_kind_of_level_raises_and_clears(rule: Rule, calm: float, wrong: float) -> None:
    bench = Bench([rule], 10_000)
    field = rule.field or ""
    assert bench.send_field(field, calm, number=1000) == []
    assert raised(bench.send_field(field, wrong, number=1000)) == ["hot"]
    assert told(bench.send_field(field, calm, number=1000)) == [("cleared", "hot")]


def test_change_within_its_time_raises_and_a_slower_one_does_not() -> None:
    bench = Bench([replace(HOT, condition=ChangesBy(5, 60, 1))])
    for second in range(600):
        assert bench.send(temperature=20 + second / 20) == []
    assert raised(bench.send(temperature=45 + 30 + 5.0)) == ["hot"]
    assert told(bench.send(number=70, temperature=80.0)) == [("cleared", "hot")]


def test_mean_over_a_quarter_is_not_judged_before_three_quarters_of_it_have_passed() -> None:
    bench = Bench([replace(HOT, averaging=Mean(15))], 10_000)
    assert bench.send(number=67, temperature=50.0) == []
    assert raised(bench.send(number=2, temperature=50.0)) == ["hot"]


def test_chattering_alarm_is_held_until_a_minute_is_calm() -> None:
    bench = Bench([HOT])
    for _ in range(3):
        bench.send(temperature=31.0)
        bench.send(temperature=24.0)
    assert [one.is_held for one in bench.said] == [False, False, False, False, True]
    assert bench.send(number=58, temperature=24.0) == []
    assert bench.send(temperature=31.0) == []
    assert bench.send(number=60, temperature=24.0) == []
    assert told(bench.send(temperature=24.0)) == [("cleared", "hot")]
    assert raised(bench.said) == ["hot"] * 3


def test_rule_with_hours_raises_only_then_and_its_alarm_ends_with_them() -> None:
    hours = Hours(frozenset(range(4)), 13 * 60, 14 * 60, "Europe/Berlin")  # 12:00 to 13:00 in UTC, Monday to Thursday
    bench = Bench([replace(HOT, scope=RuleScope(hours=hours))], MINUTE_MS)
    assert raised(bench.send(temperature=31.0)) == ["hot"]
    assert bench.send(number=58, temperature=31.0) == []
    assert told(bench.send(temperature=31.0)) == [("cleared", "hot")]
    assert bench.send(number=22 * 60, temperature=31.0) == []


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin() -> None:
    hours = Hours(frozenset({3}), 22 * 60, 6 * 60)
    hour = [hours.contains(START_MS + number * HOUR_MS) for number in range(-12, 36)]
    assert [number - 12 for number, is_open in enumerate(hour) if is_open] == list(range(10, 18))


@pytest.mark.parametrize(
    ("scope", "applies"),
    [
        (RuleScope(devices=("kit*",)), True),
        (RuleScope(devices=("k?tchen",)), True),
        (RuleScope(devices=("freezer-*", "[k]itchen")), False),
        (RuleScope(rooms=("Kitchen",)), True),
        (RuleScope(rooms=("Hall",)), False),
        (RuleScope(sites=("Home",), rooms=("Kitchen",)), True),
        (RuleScope(sites=("Work",)), False),
    ],
)
def test_rule_applies_to_the_devices_of_its_scope(scope: RuleScope, applies: bool) -> None:
    bench = Bench([replace(HOT, scope=scope)])
    bench.fold.set_facts("kitchen", DeviceFacts("Home", "Kitchen"), START_MS)
    bench.send(temperature=31.0)
    assert raised(bench.said) == ["hot"] * applies


@pytest.mark.parametrize(("end", "applies"), [("a", True), ("b", False)])
def test_many_stars_in_a_pattern_take_no_time(end: str, applies: bool) -> None:
    assert RuleScope(devices=(f"{'*a' * 40}*{end}",)).includes("a" * 128, DeviceFacts()) is applies


# --- states --------------------------------------------------------------------------------------------------------------


def test_alarm_that_is_raised_again_tells_of_the_new_value_and_remembers_the_worst() -> None:
    bench = Bench([HOT])
    bench.send(temperature=31.0)
    bench.send(temperature=20.0)
    (again,) = bench.send(temperature=90.0)
    assert (again.record.message, again.record.value, again.record.is_active) == ("90 °C at kitchen", 90.0, True)
    assert again.record.peak is not None
    assert (again.record.peak.value, again.record.raised_ms) == (90.0, START_MS + SECOND_MS)


def test_alarm_goes_through_its_states() -> None:
    bench = Bench([VERY_HOT])
    bench.send(number=2, temperature=41.0)
    assert bench.state("very-hot") == "unacknowledged"
    bench.act(ActionKind.ACKNOWLEDGE, "very-hot", comment="on my way")
    assert bench.state("very-hot") == "acknowledged"
    bench.send(temperature=50.0)
    bench.send(temperature=20.0)
    assert bench.state("very-hot") == "latched"
    record = bench.record("very-hot")
    assert record is not None
    assert (record.acknowledged_by, record.comment, record.peak and record.peak.value) == ("ada", "on my way", 50.0)
    bench.send(temperature=41.0)
    assert bench.state("very-hot") == "unacknowledged"
    bench.send(temperature=20.0)
    assert bench.state("very-hot") == "returned"
    bench.act(ActionKind.ACKNOWLEDGE, "very-hot")
    bench.act(ActionKind.RESET, "very-hot")
    assert bench.state("very-hot") == "normal"
    assert {one.record.id for one in bench.said} == {bench.said[0].record.id}


def test_unlatched_alarm_is_normal_once_acknowledged_and_over_in_any_order() -> None:
    bench = Bench([HOT])
    bench.send(temperature=31.0)
    bench.act(ActionKind.ACKNOWLEDGE, "hot")
    bench.send(temperature=20.0)
    assert bench.state("hot") == "normal"
    bench.send(temperature=31.0)
    bench.send(temperature=20.0)
    assert bench.state("hot") == "returned"
    bench.act(ActionKind.ACKNOWLEDGE, "hot")
    assert bench.state("hot") == "normal"
    assert len({one.record.id for one in bench.said}) == 2


@pytest.mark.parametrize("kind", [ActionKind.ACKNOWLEDGE, ActionKind.RESET, ActionKind.UNSHELVE, ActionKind.IN_SERVICE])
def test_action_that_the_state_does_not_allow_is_refused_and_changes_nothing(kind: ActionKind) -> None:
    bench = Bench([HOT])
    bench.send(temperature=20.0)
    before = bench.fold.public()
    with pytest.raises(AlarmStateError):
        bench.act(kind, "hot")
    assert bench.fold.public() == before


def test_action_on_what_does_not_exist_is_refused() -> None:
    bench = Bench([HOT, replace(HOT, id="elsewhere", scope=RuleScope(devices=("attic",)))])
    with pytest.raises(UnknownAlarm, match="no rule 'hot' applies to kitchen"):
        bench.act(ActionKind.ACKNOWLEDGE, "hot")
    bench.send(temperature=20.0)
    for rule in ("elsewhere", "cold"):
        with pytest.raises(UnknownAlarm, match=f"no rule '{rule}' applies to kitchen"):
            bench.act(ActionKind.ACKNOWLEDGE, rule)


@pytest.mark.parametrize(("rule", "hours"), [(VERY_HOT, 1), (HOT, 8)])
def test_acknowledged_alarm_that_stays_active_is_announced_again(rule: Rule, hours: int) -> None:
    bench = Bench([rule], MINUTE_MS)
    bench.send(number=2, temperature=41.0)
    bench.act(ActionKind.ACKNOWLEDGE, rule.id)
    due_ms = bench.now_ms + hours * HOUR_MS
    assert bench.fold.tick(due_ms - 1) == []
    (again,) = bench.fold.tick(due_ms + 5000)
    assert (again.kind, again.at_ms, again.announces) == ("repeated", due_ms, True)
    assert bench.fold.tick(due_ms + 100 * HOUR_MS) == []


def test_repetition_that_falls_into_a_suppression_comes_when_that_ends() -> None:
    bench = Bench([WARM, VERY_HOT], MINUTE_MS)
    bench.send(number=2, temperature=31.0)
    bench.act(ActionKind.ACKNOWLEDGE, "hot")
    bench.send(temperature=41.0)
    assert told(bench.fold.tick(bench.now_ms + 9 * HOUR_MS)) == []
    bench.now_ms += 9 * HOUR_MS
    assert [one.announces for one in bench.send(temperature=34.0)] == [False, True]


# --- shelving, service, suppression --------------------------------------------------------------------------------------


def test_shelved_alarm_is_quiet_and_announced_anew_when_that_ends_while_it_is_active() -> None:
    bench = Bench([HOT])
    bench.send(temperature=20.0)
    bench.act(ActionKind.SHELVE, "hot", until_ms=bench.now_ms + HOUR_MS)
    end_ms = bench.now_ms + HOUR_MS
    (quiet,) = bench.send(temperature=31.0)
    assert (quiet.kind, quiet.announces) == ("raised", False)
    (end,) = bench.fold.tick(end_ms + 700)
    assert (end.kind, end.at_ms, end.announces, end.by) == ("unshelved", end_ms, True, None)
    assert bench.state("hot") == "unacknowledged"


def test_alarm_that_is_over_before_its_shelving_ends_leaves_nothing() -> None:
    bench = Bench([HOT])
    bench.send(temperature=31.0)
    bench.act(ActionKind.SHELVE, "hot", until_ms=bench.now_ms + HOUR_MS)
    bench.send(temperature=20.0)
    assert bench.state("hot") == "normal"
    (end,) = bench.fold.tick(bench.now_ms + HOUR_MS)
    assert (end.kind, end.announces) == ("unshelved", False)
    assert list(bench.fold.records()) == []


@pytest.mark.parametrize(("rule", "limit_ms"), [(VERY_HOT, 8 * HOUR_MS), (HOT, 7 * 24 * HOUR_MS)])
def test_shelving_has_a_limit_by_priority(rule: Rule, limit_ms: int) -> None:
    bench = Bench([rule])
    bench.send(temperature=20.0)
    for wrong_ms in (0, limit_ms + 1):
        with pytest.raises(AlarmStateError, match="must be shelved for at most"):
            bench.act(ActionKind.SHELVE, rule.id, until_ms=bench.now_ms + wrong_ms)
    assert told(bench.act(ActionKind.SHELVE, rule.id, until_ms=bench.now_ms + limit_ms)) == [("shelved", rule.id)]
    assert told(bench.act(ActionKind.UNSHELVE, rule.id)) == [("unshelved", rule.id)]
    assert list(bench.fold.records()) == []


def test_rule_out_of_service_is_quiet_until_it_is_in_service_again() -> None:
    bench = Bench([HOT])
    bench.send(temperature=20.0)
    bench.act(ActionKind.OUT_OF_SERVICE, "hot", comment="being painted")
    assert [one.announces for one in bench.send(temperature=31.0)] == [False]
    assert [one.announces for one in bench.act(ActionKind.IN_SERVICE, "hot")] == [True]


def test_lower_rule_is_quiet_while_the_higher_one_stands() -> None:
    bench = Bench([WARM, VERY_HOT])
    said = bench.send(temperature=41.0)
    assert told(said) == [("raised", "very-hot"), ("raised", "hot")]
    assert [one.announces for one in said] == [True, False]
    said = bench.send(temperature=34.0)
    assert told(said) == [("cleared", "very-hot"), ("unsuppressed", "hot")]
    assert [one.announces for one in said] == [False, True]
    said = bench.send(temperature=41.0)
    assert told(said) == [("raised", "very-hot"), ("suppressed", "hot")]
    said = bench.send(temperature=20.0)
    assert told(said) == [("cleared", "hot"), ("cleared", "very-hot")]
    assert (bench.state("hot"), bench.state("very-hot")) == ("normal", "returned")


def test_shelved_rule_suppresses_nothing() -> None:
    bench = Bench([WARM, VERY_HOT])
    bench.send(temperature=41.0)
    until_ms = bench.now_ms + HOUR_MS
    assert told(bench.act(ActionKind.SHELVE, "very-hot", until_ms=until_ms)) == [
        ("shelved", "very-hot"),
        ("unsuppressed", "hot"),
    ]
    assert told(bench.fold.tick(until_ms)) == [("unshelved", "very-hot"), ("suppressed", "hot")]


def test_silence_suppresses_the_alarms_of_values_but_not_the_critical_ones() -> None:
    bench = Bench([HOT, VERY_HOT, NO_DATA])
    bench.send(number=5, temperature=41.0)
    assert told(bench.wait(HOUR_MS)) == [("raised", "no-data"), ("suppressed", "hot")]
    assert told(bench.send(temperature=41.0)) == [("cleared", "no-data"), ("unsuppressed", "hot")]


# --- silence -------------------------------------------------------------------------------------------------------------


def test_status_that_the_bridge_inferred_is_no_last_will() -> None:
    bench = Bench([NO_DATA], 10 * SECOND_MS)
    bench.send(number=5, temperature=20.0)
    assert bench.fold.on_status(DeviceStatus("kitchen", "offline", bench.now_ms + 30_000, is_inferred=True)) == []
    assert bench.wait(59_999) == []
    assert raised(bench.wait(1)) == ["no-data"]


def test_last_will_that_the_broker_kept_is_no_alarm_and_the_silence_after_it_is() -> None:
    bench = Bench([NO_DATA])
    bench.send(number=5, temperature=20.0)
    assert bench.fold.on_status(DeviceStatus("kitchen", "offline", bench.now_ms, is_retained=True)) == []
    bench.send(number=5, temperature=20.0)
    assert raised(bench.wait(MINUTE_MS)) == ["no-data"]


def test_last_will_is_told_at_once() -> None:
    bench = Bench([NO_DATA])
    bench.send(temperature=20.0)
    assert bench.fold.on_status(DeviceStatus("kitchen", "online", bench.now_ms)) == []
    assert raised(bench.fold.on_status(DeviceStatus("kitchen", "offline", bench.now_ms))) == ["no-data"]
    assert bench.fold.on_status(DeviceStatus("kitchen", "offline", bench.now_ms + 5)) == []
    assert told(bench.send(temperature=20.0)) == [("cleared", "no-data")]


def test_device_without_a_regular_interval_is_not_silent_until_it_has_sent_five_times() -> None:
    bench = Bench([NO_DATA])
    for number in (2, 2):  # as somebody who tries it by hand
        bench.send(number=number, temperature=20.0)
        bench.restart()
        assert bench.wait(HOUR_MS) == []
    bench.send(temperature=20.0)
    assert raised(bench.wait(4 * HOUR_MS)) == ["no-data"], "two pauses of an hour are its interval"
    expected = Bench([NO_DATA])
    expected.fold.set_facts("kitchen", DeviceFacts(expected_seconds=60), expected.now_ms)
    expected.send(temperature=20.0)
    assert raised(expected.wait(HOUR_MS)) == ["no-data"]


def test_late_reading_ends_the_silence_and_a_retained_one_does_not() -> None:
    bench = Bench([NO_DATA])
    bench.send(number=5, temperature=20.0)
    at_ms = bench.now_ms
    bench.wait(HOUR_MS)
    assert bench.fold.step(reading(at_ms + 5, {"temperature": 20.0}, received_ms=bench.now_ms, retained=True)) == []
    late = reading(at_ms + 5, {"temperature": 20.0}, received_ms=bench.now_ms)
    assert told(bench.fold.step(late)) == [("cleared", "no-data")]
    assert raised(bench.fold.tick(bench.now_ms + HOUR_MS)) == ["no-data"]


def test_nothing_is_silent_while_the_broker_is_unavailable_or_before_the_bridge_listened() -> None:
    bench = Bench([NO_DATA])
    bench.send(number=5, temperature=20.0)
    bench.fold.on_availability("broker", bench.now_ms, is_available=False)
    assert bench.wait(HOUR_MS) == []
    bench.fold.on_availability("broker", bench.now_ms, is_available=True)
    assert bench.wait(59_999) == []
    bench.restart()
    bench.fold.resume(bench.now_ms)
    assert bench.wait(59_999) == []
    assert raised(bench.wait(1)) == ["no-data"]


def test_expected_interval_of_the_registry_counts_instead_of_the_learnt_one() -> None:
    bench = Bench([NO_DATA])
    bench.send(number=5, temperature=20.0)
    bench.fold.set_facts("kitchen", DeviceFacts(expected_seconds=600), bench.now_ms)
    assert bench.wait(1_799_999) == []
    assert raised(bench.wait(1)) == ["no-data"]


def test_device_that_has_sent_once_is_not_silent() -> None:
    bench = Bench([NO_DATA])
    bench.send(temperature=20.0)
    assert bench.wait(100 * HOUR_MS) == []


# --- groups, rules, devices ----------------------------------------------------------------------------------------------


def test_alarms_of_a_rule_at_a_site_that_stand_together_are_a_group_and_the_first_is_marked() -> None:
    fold = AlarmFold([HOT])
    for device, site in (("a", "Home"), ("b", "Home"), ("c", "Work")):
        fold.set_facts(device, DeviceFacts(site), START_MS)
    said = [fold.step(reading(START_MS + n, {"temperature": 31.0}, device=one))[0] for n, one in enumerate("abc")]
    assert [one.record.first for one in said] == [True, False, True]
    assert said[1].record.group == said[0].record.id != said[2].record.group
    body = fold.public()
    again = AlarmFold.restored([HOT], body).step(reading(START_MS + 9, {"temperature": 31.0}, device="d"))
    assert again[0].record.first


def test_other_rules_end_the_alarms_of_those_that_are_gone_and_keep_the_others() -> None:
    bench = Bench([HOT, replace(HOT, id="other")])
    bench.send(temperature=31.0)
    said = bench.fold.use_rules([replace(HOT, condition=Above(29, 28))], bench.now_ms)
    assert told(said) == [("removed", "other")]
    assert bench.state("hot") == "unacknowledged"
    assert bench.send(temperature=28.5) == []
    assert told(bench.send(temperature=28.0)) == [("cleared", "hot")]


def test_impossible_rules_leave_the_old_ones() -> None:
    bench = Bench([HOT])
    with pytest.raises(RuleError, match="used twice"):
        bench.fold.use_rules([HOT, HOT], bench.now_ms)
    assert raised(bench.send(temperature=31.0)) == ["hot"]


def test_removed_device_takes_its_alarms_along() -> None:
    bench = Bench([HOT])
    bench.send(temperature=31.0)
    assert told(bench.fold.remove("kitchen", bench.now_ms)) == [("removed", "hot")]
    assert list(bench.fold.records()) == []
    assert bench.fold.tick(bench.now_ms + HOUR_MS) == []


def test_message_says_value_and_place() -> None:
    bench = Bench(HOME)
    bench.fold.set_facts("kitchen", DeviceFacts("Home", "Kitchen"), START_MS)
    bench.send(number=2, coPpm=212.0)
    record = bench.record("co-ceiling")
    assert record is not None
    assert record.message == "Carbon monoxide 212 ppm at Kitchen, Home"


def test_record_has_the_keys_of_the_wire() -> None:
    bench = Bench(HOME)
    bench.send(number=2, coPpm=212.0)
    (record,) = [one.public() for one in bench.fold.records() if one.rule == "co-ceiling"]
    keys = (
        "id rule deviceId site room field kind priority state latched value unit limit peak standard indicative message advice"
        " raisedAt clearedAt acknowledgedAt acknowledgedBy comment shelvedUntil suppressedBy outOfService first group past"
        " reading seq"
    )
    assert list(record) == keys.split()
    assert record["peak"] == {"value": 212.0, "at": "2026-01-15T12:00:02.000Z"}


def test_alarms_of_a_retired_device_end_and_none_is_raised_until_it_returns() -> None:
    bench = Bench([NO_DATA])
    bench.send(number=5, temperature=20.0)
    retired = DeviceFacts(is_retired=True)
    assert raised(bench.wait(HOUR_MS)) == ["no-data"]
    assert [one.kind for one in bench.fold.set_facts("kitchen", retired, bench.now_ms)] == ["removed"]
    assert bench.wait(HOUR_MS) == []
    assert DeviceFacts(*retired.to_list()) == retired
    assert DeviceFacts().to_list() == [None, None, None], "earlier releases read it"
    bench.fold.set_facts("kitchen", DeviceFacts(), bench.now_ms)
    bench.send(number=5, temperature=20.0)
    assert raised(bench.wait(HOUR_MS)) == ["no-data"]
