"""Scores of forecasts, where they can be counted by hand."""

from __future__ import annotations

from datetime import UTC

import pytest

from bridge.analysis.forecast.predictor import HORIZONS
from bridge.analysis.forecast.scores import FieldScore, Replay
from tests.analysis.forecast.synthetic import START, daily, first

DAY = 24


def replayed(values: list[float], scored_from: int = 0) -> FieldScore:
    replay = Replay(UTC, scored_from)
    for number, value in enumerate(values):
        replay.feed(START + number, {"temperature": value})
    return replay.scores["temperature"]


def test_errors_of_persistence_and_the_day_before_are_those_of_a_ramp() -> None:
    score = replayed([hour / 10 for hour in range(3 * DAY)])
    means = [total / count for total, count in zip(score.persistence, score.counts, strict=True)]
    assert means == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert sum(score.seasonal) / score.count == pytest.approx(2.4)
    assert score.counts == [2 * DAY] * HORIZONS


def test_only_hours_from_the_first_scored_one_with_a_day_before_count() -> None:
    values = [20.0 + hour % 5 for hour in range(10 * DAY)]
    assert replayed(values, START + 9 * DAY).counts == [DAY] * HORIZONS
    replay = Replay(UTC)
    for number, value in enumerate(values):
        if number != 5 * DAY:
            replay.feed(START + number, {"temperature": value})
    # The missing hour, the same hour a day later, and what was forecast from it.
    assert replay.scores["temperature"].counts == [9 * DAY - 3] * HORIZONS
    assert replay.scores["temperature"].hours == 10 * DAY - 1


def test_an_hour_that_is_fed_again_is_not_scored_again() -> None:
    replay = Replay(UTC)
    for number in [*range(2 * DAY), *range(DAY, 2 * DAY)]:
        replay.feed(START + number, {"temperature": 20.0})
    assert replay.scores["temperature"].hours == 2 * DAY


def test_the_record_that_is_shown_agrees_with_the_scores() -> None:
    values, replay = first(daily(14), 60 * DAY, 1), Replay(UTC, START + 30 * DAY)
    for number, value in enumerate(values):
        replay.feed(START + number, {"co2": value})
    (forecast,) = replay.device.forecasts()
    score = replay.scores["co2"]
    assert forecast.coverage == pytest.approx(score.coverage, abs=0.001)
    assert forecast.mase == pytest.approx(score.seasonal_ratio, rel=0.001)
    assert 0.85 < min(score.window_coverages()) <= max(score.window_coverages()) < 0.95


def test_ratios_to_errors_of_zero_are_none() -> None:
    score = replayed([20.0] * (3 * DAY))
    assert (score.persistence_ratio, score.seasonal_ratio, score.error) == (None, None, 0)
    assert score.horizon_ratios() == [None] * HORIZONS
    assert score.coverage == 1
