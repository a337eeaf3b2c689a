"""The figures of `make bench ARGS=forecast`, on series that are known."""

from __future__ import annotations

import math
from importlib.util import find_spec
from random import Random

import pytest
from rich.console import Console

from tests.bench.forecast import (
    DAY,
    FIRST_HOURS,
    WINDOW,
    Target,
    brier_skill,
    deciles,
    filled,
    origins,
    print_forecasts,
    run_own,
    targets_of_roadside,
    unit_of_mase,
)


def two_months_after_the_first_hours(random: Random) -> list[float]:
    """A daily course with noise that lasts, and a gap of two days."""
    noise, values = 0.0, []
    for hour in range(FIRST_HOURS + 60 * DAY):
        noise = 0.8 * noise + random.gauss(0, 8)
        values.append(max(0.0, 45 + 30 * math.sin(hour / 12 * math.pi) + noise))
    values[WINDOW : WINDOW + 2 * DAY] = [math.nan] * (2 * DAY)
    return values


def test_the_model_meets_its_targets_on_a_daily_course_and_not_on_a_random_walk() -> None:
    values = two_months_after_the_first_hours(Random(1))
    targets = {one.name: one.is_met for one in targets_of_roadside(run_own(values), unit_of_mase(values))}
    assert targets["error / persistence"]
    assert targets["> 60 within 3 h: Brier skill"]
    walk, random = [50.0], Random(2)
    while len(walk) < len(values):
        walk.append(max(0.0, min(200.0, walk[-1] + random.gauss(0, 3))))
    targets = {one.name: one.is_met for one in targets_of_roadside(run_own(walk), unit_of_mase(walk))}
    assert not targets["error / persistence"]


def test_brier_skill_is_one_for_certainty_and_zero_for_the_share_of_all() -> None:
    happened = [True, False, False, False]
    assert brier_skill([(float(one), one) for one in happened]) == 1
    assert brier_skill([(0.25, one) for one in happened]) == 0
    assert brier_skill([(float(not one), one) for one in happened]) < 0


def test_deciles_compare_what_was_said_with_what_happened() -> None:
    pairs = [(0.05, False), (0.05, True), (0.95, True), (1.0, True)]
    assert [one for tenth in deciles(pairs) for one in tenth] == pytest.approx([0.05, 0.5, 2, 0.975, 1.0, 2])


def test_gaps_are_filled_with_straight_lines_and_ends_with_the_nearest_value() -> None:
    assert filled([math.nan, 1.0, math.nan, math.nan, 4.0, math.nan]) == pytest.approx([1, 1, 2, 3, 4, 4])


def test_the_hours_that_are_compared_are_the_same_each_time_and_their_future_is_known() -> None:
    values = two_months_after_the_first_hours(Random(1))
    values[FIRST_HOURS + 100] = math.nan
    hours = origins(values, 200)
    assert hours == origins(values, 200)
    assert len(set(hours)) == 200
    assert not {*range(FIRST_HOURS + 94, FIRST_HOURS + 101)} & {*hours}


@pytest.mark.parametrize(("value", "at_least", "is_met"), [(1.0, False, True), (1.1, False, False), (1.1, True, True)])
def test_a_target_is_met_at_its_bound(value: float, at_least: bool, is_met: bool) -> None:
    assert Target("", value, 1.0, at_least).is_met is is_met


@pytest.mark.skipif(find_spec("aqeval") is not None, reason="aqeval is installed: this would take minutes")
def test_the_bench_says_that_it_is_skipped_without_its_data() -> None:
    console = Console(record=True, width=130)
    assert print_forecasts(console, 150) == 0
    assert "skipped, aqeval is not installed" in console.export_text()
