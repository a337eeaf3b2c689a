"""What is told of readings that came too late to raise an alarm."""

from __future__ import annotations

import pytest

from bridge.alarms.defaults import profile_rules
from bridge.alarms.record import TransitionKind
from tests.alarms.folding import HOUR_MS, MINUTE_MS, Bench, reading


def past_rules(field: str, values: list[float]) -> list[str]:
    """The rules that late readings, one a minute, are told of."""
    bench = Bench(profile_rules("home"), MINUTE_MS)
    bench.send_field(field, values[-1], number=5)
    start_ms = bench.now_ms
    bench.wait(24 * HOUR_MS, tick=False)
    for number, value in enumerate(values):
        at_ms = start_ms + (number + 1) * MINUTE_MS
        bench.said += bench.fold.step(reading(at_ms, {field: value}, received_ms=bench.now_ms + number))
    return sorted(one.record.rule for one in bench.said if one.kind is TransitionKind.PAST)


@pytest.mark.parametrize(("minutes", "rules"), [(9, []), (10, ["co2-air"])])
def test_violation_of_a_mean_is_told_if_it_lasted_as_long_as_the_mean(minutes: int, rules: list[str]) -> None:
    assert past_rules("co2", [*[2500.0] * (minutes + 1), 600.0]) == rules


@pytest.mark.parametrize(("minutes", "rules"), [(179, []), (180, ["pm25-unhealthy"])])
def test_violation_of_a_nowcast_is_told_after_three_hours(minutes: int, rules: list[str]) -> None:
    assert past_rules("pm25", [*[60.0] * (minutes + 1), 5.0]) == rules


@pytest.mark.parametrize(("minutes", "rules"), [(12, ["co2-air"]), (20, ["co2-air", "co2-work"])])
def test_rule_that_was_not_violated_for_long_enough_hides_no_other(minutes: int, rules: list[str]) -> None:
    assert past_rules("co2", [*[6000.0] * (minutes + 1), 600.0]) == rules
