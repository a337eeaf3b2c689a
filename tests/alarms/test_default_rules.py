"""The default rules: each raises at its limit and not below, clears at its clear limit and not above."""

from __future__ import annotations

import pytest

from bridge.alarms.conditions import Above, Below, Dose, Is, Unchanged
from bridge.alarms.defaults import DEFAULT_RULES, PROFILES, profile_rules
from bridge.alarms.record import Transition
from bridge.alarms.rules import Priority, Rule, amount, ordered
from bridge.core.errors import RuleError
from tests.alarms.folding import HOUR_MS, MINUTE_MS, Bench, raised, reading, told

BY_ID = {rule.id: rule for rule in DEFAULT_RULES}
LEVELS = [rule.id for rule in DEFAULT_RULES if isinstance(rule.condition, Above | Below)]
ENOUGH = 27 * 60
"""Minutes in which every average is complete: NowCast of the hours before, and the hour under way."""


def alone(rule_id: str) -> Bench:
    return Bench([BY_ID[rule_id]], MINUTE_MS)


def level(rule: Rule) -> tuple[float, float, float]:
    """Limit, clear limit, and a step from the limit towards the clear one."""
    assert isinstance(rule.condition, Above | Below)
    return rule.condition.limit, rule.condition.clear, -0.05 if isinstance(rule.condition, Above) else 0.05


@pytest.mark.parametrize("rule_id", LEVELS)
def test_level_raises_at_its_limit_and_not_before(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    limit, _, step = level(rule)
    bench = alone(rule_id)
    assert bench.send_field(rule.field or "", limit + step, number=ENOUGH) == []
    assert raised(bench.send_field(rule.field or "", limit, number=ENOUGH)) == [rule_id]
    record = bench.record(rule_id)
    assert record is not None
    assert record.value == pytest.approx(limit)
    assert (record.unit, record.limit) == (rule.unit, limit)


@pytest.mark.parametrize("rule_id", LEVELS)
def test_level_clears_at_its_clear_limit_and_not_before(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    limit, clear, step = level(rule)
    bench = alone(rule_id)
    bench.send_field(rule.field or "", limit, number=ENOUGH)
    assert bench.send_field(rule.field or "", clear - step, number=ENOUGH) == []
    assert told(bench.send_field(rule.field or "", clear, number=ENOUGH)) == [("cleared", rule_id)]


def test_dose_counts_from_30_ppm_and_clears_after_five_minutes_below() -> None:
    bench = alone("co-dose")
    assert bench.send(number=300, coPpm=29.9) == []
    assert raised(bench.send(number=300, coPpm=30.0)) == ["co-dose"]
    assert bench.send(number=60, coPpm=30.0) == []
    assert bench.send(number=5, coPpm=29.9) == []
    assert told(bench.send(coPpm=29.9)) == [("cleared", "co-dose")]


def test_flame_needs_two_of_three_and_clears_after_a_minute() -> None:
    bench = Bench([BY_ID["flame"]])
    assert bench.send(flameDetected=True) == []
    assert bench.send(number=2, flameDetected=False) == []
    assert bench.send(flameDetected=True) == []
    assert bench.send(flameDetected=False) == []
    assert raised(bench.send(flameDetected=True)) == ["flame"]
    assert bench.send(number=60, flameDetected=False) == []
    assert told(bench.send(flameDetected=False)) == [("cleared", "flame")]
    assert bench.state("flame") == "returned"


def test_flame_that_is_sent_once_is_raised_after_half_a_minute_unless_it_is_contradicted() -> None:
    bench = Bench([BY_ID["flame"]], HOUR_MS)
    bench.send(number=5, flameDetected=False)
    bench.send(flameDetected=True)
    bench.restart()
    assert bench.wait(29_999) == []
    (flame,) = bench.wait(1)
    assert (flame.kind, flame.record.rule, flame.record.value, flame.at_ms) == ("raised", "flame", True, bench.now_ms)
    bench = Bench([BY_ID["flame"]], 20_000)
    bench.send(number=5, flameDetected=False)
    bench.send(flameDetected=True)
    bench.wait(5000)
    bench.send(flameDetected=False)
    assert bench.wait(HOUR_MS) == []


@pytest.mark.parametrize(("interval_ms", "wait_ms"), [(1000, 30_000), (20_000, 40_000), (3_600_000, 120_000)])
def test_value_that_is_sent_once_counts_twice_after_two_intervals(interval_ms: int, wait_ms: int) -> None:
    bench = Bench([BY_ID["co-ceiling"]], interval_ms)
    bench.send(number=130, coPpm=1.0)
    bench.send(coPpm=900.0)
    assert bench.wait(wait_ms - 1) == []
    assert raised(bench.wait(1)) == ["co-ceiling"]


def test_stuck_value_is_told_after_24_hours_and_clears_when_it_changes() -> None:
    bench = alone("stuck-co2")
    assert bench.send(number=24 * 60, co2=612.0) == []
    assert raised(bench.send(co2=612.0)) == ["stuck-co2"]
    assert told(bench.send(co2=613.0)) == [("cleared", "stuck-co2")]


def test_half_flagged_readings_are_told_after_a_quarter_of_an_hour_and_clear_when_a_quarter_is() -> None:
    bench = Bench([BY_ID["quality"]], 10_000)
    bad = {"co2": "outside 300..10000"}
    bench.send(number=90, co2=600.0)
    assert raised(bench.send(bad, number=90, co2=0.0)) == ["quality"]
    assert told(bench.send(number=60, co2=600.0)) == []
    assert told(bench.send(number=15, co2=600.0)) == [("cleared", "quality")]


@pytest.mark.parametrize("interval_minutes", [1, 4, 5, 10, 15, 60])
def test_flagged_readings_of_a_slow_sensor_are_told_too(interval_minutes: int) -> None:
    bench = Bench([BY_ID["quality"]], interval_minutes * 60_000)
    bench.send(co2=600.0, number=10)
    bench.send({"co2": "is 0: usually the sensor has failed"}, co2=0.0)
    assert told(bench.send(co2=600.0, number=20)) == []
    assert raised(bench.send({"co2": "is 0: usually the sensor has failed"}, co2=0.0, number=20)) == ["quality"]
    assert told(bench.send(co2=600.0, number=20)) == [("cleared", "quality")]


def test_a_few_flagged_readings_are_not_told() -> None:
    bench = Bench([BY_ID["quality"]], 10_000)
    for _ in range(200):
        assert bench.send({"co2": "outside 300..10000"}, co2=0.0) == []
        assert bench.send(number=2, co2=600.0) == []


def test_clock_ahead_is_told_after_ten_readings_in_a_row() -> None:
    bench = alone("clock")
    ahead = {"timestamp": "more than 5 minutes ahead"}
    assert bench.send(ahead, number=9, co2=600.0) == []
    assert bench.send(co2=600.0) == []
    assert bench.send(ahead, number=9, co2=600.0) == []
    assert raised(bench.send(ahead, co2=600.0)) == ["clock"]
    assert told(bench.send(co2=600.0)) == [("cleared", "clock")]


def test_gas_value_that_no_longer_arrives_is_told_although_others_do() -> None:
    bench = Bench(profile_rules("home"), 10_000)
    bench.send(number=6 * 61, coPpm=2.0, temperature=20.0)
    assert bench.send(number=6 * 14, temperature=20.0) == []
    bench.restart()
    (missing,) = bench.send(number=6 * 2, temperature=20.0)
    assert (missing.kind, missing.record.rule, missing.record.priority) == ("raised", "missing", "high")
    assert bench.send(number=6 * 60, temperature=20.0) == []
    assert told(bench.send(coPpm=2.0)) == [("cleared", "missing")]


def test_value_that_comes_a_moment_later_after_a_silence_is_not_missing() -> None:
    bench = Bench(profile_rules("home"), 10_000)
    bench.send(number=6 * 61, coPpm=2.0, temperature=20.0)
    bench.wait(HOUR_MS)
    assert told(bench.send(temperature=20.0)) == [("cleared", "no-data")]
    assert bench.send(coPpm=2.0) == []


def test_value_that_is_sent_when_it_changes_is_not_missing() -> None:
    bench = Bench(profile_rules("home"), MINUTE_MS)
    for number in range(100):
        bench.send(coPpm=float(number % 3))
        bench.send(number=(1, 1, 20)[number % 3], temperature=20.0)
    assert bench.send(number=24 * 60, temperature=20.0 + 0.1) == []


def test_clock_behind_is_told_once_readings_are_late_by_the_same_time_for_five_minutes() -> None:
    bench = Bench(profile_rules("home"), MINUTE_MS)
    bench.send(number=10, coPpm=2.0)

    def send_late(number: int, late_ms: int, pace_ms: int = MINUTE_MS) -> list[Transition]:
        said = []
        for _ in range(number):
            bench.now_ms += pace_ms
            said += bench.fold.step(reading(bench.now_ms - late_ms, {"coPpm": 2.0}, received_ms=bench.now_ms))
        return said

    assert send_late(5, 61_000) == []
    bench.restart()
    (behind,) = send_late(1, 63_000)
    assert (behind.kind, behind.record.rule, behind.record.priority) == ("raised", "clock", "high")
    assert send_late(20, 61_000) == []
    assert told(bench.send(coPpm=2.0)) == [("cleared", "clock")]
    for number in range(100):  # stored for an hour, and sent at another pace than it was measured
        bench.now_ms += 10_000
        late = reading(bench.now_ms - HOUR_MS + number * 50_000, {"coPpm": 2.0}, received_ms=bench.now_ms)
        assert bench.fold.step(late) == []


@pytest.mark.parametrize(
    ("interval_ms", "silence_ms"), [(1000, 60_000), (10_000, 60_000), (60_000, 180_000), (300_000, 900_000)]
)
def test_silence_of_three_intervals_is_told_and_the_first_reading_ends_it(interval_ms: int, silence_ms: int) -> None:
    bench = Bench([BY_ID["no-data"]], interval_ms)
    bench.send(number=130, co2=600.0)
    assert bench.wait(silence_ms - 1) == []
    (silent,) = bench.wait(3_600_000)
    assert (silent.kind, silent.at_ms) == ("raised", bench.now_ms - 3_600_000 + 1)
    assert told(bench.send(co2=600.0)) == [("cleared", "no-data")]


@pytest.mark.parametrize(("field", "priority"), [("co2", "high"), ("coPpm", "high"), ("humidity", "medium")])
def test_silence_is_more_urgent_at_a_device_with_a_critical_rule(field: str, priority: str) -> None:
    bench = Bench(profile_rules("home"))
    bench.send_field(field, 10.0, number=5)
    (silent,) = bench.wait(600_000)
    assert silent.record.priority == priority


@pytest.mark.parametrize("component", ["store", "broker"])
def test_component_that_is_unavailable_for_a_minute_is_told(component: str) -> None:
    bench = Bench(DEFAULT_RULES)
    fold = bench.fold
    assert fold.on_availability(component, bench.now_ms, is_available=False) == []
    assert fold.tick(bench.now_ms + 59_999) == []
    (told_,) = fold.tick(bench.now_ms + 90_000)
    assert (told_.record.rule, told_.at_ms, told_.record.device_id) == (f"{component}-unavailable", bench.now_ms + 60_000, None)
    assert told(fold.on_availability(component, bench.now_ms + 95_000, is_available=True)) == [
        ("cleared", f"{component}-unavailable")
    ]


@pytest.mark.parametrize("field", ["eco2", "aqi"])
def test_estimates_and_indices_of_a_sensor_never_raise(field: str) -> None:
    assert [rule for rule in DEFAULT_RULES if rule.field == field] == []


def test_rules_have_a_source_and_say_what_to_do() -> None:
    for rule in DEFAULT_RULES:
        assert rule.standard is not None, rule.id
        message, advice = rule.texts(34.56, "Kitchen")
        assert len(message) > 10
        assert len(advice) > 10
        assert "{" not in message + advice
        shows_value = rule.field and not isinstance(rule.condition, Is)
        assert ("34.6" in message) is bool(shows_value), rule.id


def test_critical_rules_are_latched_and_no_others_but_those_of_danger() -> None:
    assert {rule.id for rule in DEFAULT_RULES if rule.latched} == {
        rule.id for rule in DEFAULT_RULES if rule.priority is Priority.CRITICAL
    }


def test_profiles_turn_on_what_they_say() -> None:
    off = {"co2-1000", "tvoc", "toluene", "acetone", "alcohol", "co-work"}
    assert set(PROFILES["home"]) == BY_ID.keys() - off
    assert set(PROFILES["workplace"]) == BY_ID.keys() - {"co2-1000", "tvoc"}
    assert profile_rules("none") == []


def test_rule_that_suppresses_stands_before_the_suppressed_one() -> None:
    order = [rule.id for rule in ordered(reversed(DEFAULT_RULES))]
    for rule in DEFAULT_RULES:
        assert all(order.index(above) < order.index(rule.id) for above in rule.suppressed_by)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"field": "co3"}, "field is 'co3': must be one of"),
        ({"field": None}, "field is None"),
        ({"id": "Co 2"}, "the id must be"),
        ({"field": "flameDetected"}, "must have the condition `is`"),
        ({"condition": Dose()}, "a dose must be of coPpm"),
        ({"condition": Unchanged(24), "averaging": BY_ID["co2-air"].averaging}, "a mean must be above"),
        ({"on_delay_seconds": 1e6}, "on_delay is 1e+06: must be 0 to 86400 seconds"),
        ({"message": "x" * 501}, "at most 500"),
    ],
)
def test_impossible_rule_is_refused_with_its_id_and_what_is_allowed(changes: dict[str, object], text: str) -> None:
    fields = {
        "id": "own",
        "field": "co2",
        "condition": Above(2000, 1700),
        "priority": Priority.LOW,
        "message": "",
        "advice": "",
    }
    with pytest.raises(RuleError, match=f"rule '.*': .*{text}".replace("+", r"\+")):
        Rule(**fields | changes)  # type: ignore[arg-type]


def test_rules_that_suppress_each_other_are_refused() -> None:
    common = {"field": "co2", "condition": Above(2000, 1700), "priority": Priority.LOW, "message": "", "advice": ""}
    one, other = (Rule(id=a, suppressed_by=(b,), **common) for a, b in (("a", "b"), ("b", "a")))  # type: ignore[arg-type]
    with pytest.raises(RuleError, match="suppress each other"):
        ordered([one, other])


@pytest.mark.parametrize(("value", "text"), [(30_000, "30,000"), (212.4, "212"), (34.56, "34.6"), (20, "20"), (-15.0, "-15")])
def test_amounts_are_shown_to_people_in_few_digits(value: float, text: str) -> None:
    assert amount(value) == text
