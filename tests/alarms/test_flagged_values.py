"""A flagged value counts in the score, in the air monitor and in the fold, or in none of them: only above its usual range, and
not if it is the code of a failed sensor.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.air.score import SCALES, global_score
from bridge.alarms.conditions import Above, Mean
from bridge.alarms.rules import Priority, Rule
from bridge.core.readings.failure_codes import is_failure_code
from bridge.core.readings.measurements import MEASUREMENTS, Flag, Measurement
from tests.alarms.folding import MINUTE_MS, Bench, raised, reading, told
from tests.alarms.test_air_monitor import Air


def highest(one: Measurement) -> float:
    """The highest whole number that is accepted, and no code of a failed sensor."""
    value = one.refuse[1]
    while is_failure_code(value):
        value -= 1
    return value


def flagged_values() -> Iterator[tuple[str, float, bool]]:
    """Field, a value that the decoder flags, and whether it counts."""
    for one in MEASUREMENTS:
        if isinstance(one, Flag):
            continue
        if one.usual[1] < one.refuse[1]:
            yield one.name, highest(one), not one.clamp
        if one.usual[0] > one.refuse[0]:
            yield one.name, one.refuse[0], False
        if one.doubtful is not None:
            yield one.name, (one.doubtful[0] + one.doubtful[1]) * 0.45, False
    for name in ("co2", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "no2", "o3", "so2", "toluene", "acetone", "alcohol"):
        yield name, 65535, False
    for name in ("pm1", "pm25", "pm4", "pm10"):
        yield name, 6553.5, False
    yield "temperature", 163.835, False


CASES = list(flagged_values())
FIELDS = {one.name: one for one in MEASUREMENTS}


def accepted(field: Measurement, raw: float) -> tuple[float, dict[str, str]]:
    """The value that is kept, and what is said of it, as the decoder does."""
    value, fault = field.accept(raw)
    assert isinstance(value, int | float)
    assert fault is not None
    return value, {field.name: fault}


def above(field: str, limit: float, mean: int | None = None) -> Rule:
    return Rule(
        id="own",
        field=field,
        condition=Above(limit, limit - 1),
        averaging=None if mean is None else Mean(mean),
        priority=Priority.HIGH,
        message="{value}",
        advice="",
    )


def test_every_kind_of_flag_is_among_the_cases() -> None:
    assert {("co2", 1_000_000, True), ("co2", 0, False), ("temperature", -90, False), ("humidity", 105, False)} <= set(CASES)
    assert {name for name, _, is_counted in CASES if is_counted} >= {"coPpm", "co2", "pm25", "no2", "o3", "so2", "temperature"}
    assert {name for name, _, is_counted in CASES if not is_counted} >= {"tvoc", "no2", "battery", "humidity", "pressure"}


@pytest.mark.parametrize(("name", "raw", "is_counted"), CASES)
async def test_flagged_value_counts_in_score_monitor_and_fold_or_in_none(name: str, raw: float, is_counted: bool) -> None:
    value, quality = accepted(FIELDS[name], raw)

    score = global_score({name: value}, quality)
    assert (score is not None) is (is_counted and name in SCALES)

    air = await Air().start()
    air.measure({name: value}, quality=quality)
    window = air.alarms.fold.window("a")
    assert window is not None
    assert (name in window.current(air.clock.now_ms)) is is_counted
    assert air.monitor.public("a")["score"] == score
    judged = [one for one in air.monitor.assessments("a") if one.rating is not None]
    assert is_counted or judged == []

    for mean in (None, 1):
        bench = Bench([above(name, value, mean)])
        said = bench.send_field(name, value, number=60, fault=quality[name])
        assert raised(said) == (["own"] if is_counted else []), mean

    late = Bench([above(name, value)])
    late.fold.step(reading(late.now_ms, {name: value}, quality=quality, received_ms=late.now_ms + 10 * MINUTE_MS))
    late.now_ms += 10 * MINUTE_MS
    assert told(late.wait(60 * MINUTE_MS)) == ([("past", "own")] if is_counted else [])


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, raw, is_counted in CASES if not is_counted])
def test_flagged_value_that_does_not_count_ends_no_alarm(name: str, raw: float) -> None:
    value, quality = accepted(FIELDS[name], raw)
    bench = Bench([above(name, value + 10)])
    assert raised(bench.send_field(name, value + 20)) == ["own"]
    assert bench.send_field(name, value, number=5, fault=quality[name]) == []
    assert told(bench.send_field(name, value)) == [("cleared", "own")]
