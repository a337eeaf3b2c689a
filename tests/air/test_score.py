"""The global score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.air.score import SCALES, global_score
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

RISING_IS_WORSE = tuple(sorted(SCALES.keys() - {"temperature", "humidity"}))
values = st.dictionaries(st.sampled_from(sorted(MEASUREMENTS_BY_NAME)), st.floats(-1e6, 1e6) | st.booleans(), max_size=8)


@given(values)
def test_score_is_from_0_to_100_or_none_without_a_scale(given_values: dict[str, float]) -> None:
    score = global_score(given_values)
    is_burning = given_values.get("flameDetected") is True
    assert (score is None) is (not SCALES.keys() & given_values.keys() and not is_burning)
    assert score is None or (type(score) is int and 0 <= score <= 100)


@given(values, st.sampled_from(RISING_IS_WORSE), st.floats(0, 1e5), st.floats(0, 1e5))
def test_higher_concentration_never_improves_the_score(others: dict[str, float], name: str, one: float, more: float) -> None:
    low, high = sorted((one, more))
    assert (global_score(others | {name: low}) or 0) >= (global_score(others | {name: high}) or 0)


@given(values, st.sampled_from(sorted(SCALES)), st.floats(-100, 1e5))
def test_additional_measurement_never_improves_the_score(others: dict[str, float], name: str, value: float) -> None:
    others.pop(name, None)
    before = global_score(others)
    after = global_score(others | {name: value})
    assert after is not None
    assert before is None or after <= before


@pytest.mark.parametrize("name", ["temperature", "humidity"])
@given(st.floats(-50, 150), st.floats(-50, 150))
def test_distance_from_comfort_never_improves_the_score(name: str, one: float, other: float) -> None:
    best = [value for value, score in SCALES[name] if score == 100]
    low, high = min(best), max(best)
    for near, far in ((max(one, other), min(one, other)), (min(one, other), max(one, other))):
        if far <= near <= low or high <= near <= far:
            assert (global_score({name: near}) or 0) >= (global_score({name: far}) or 0)


def test_both_ends_of_a_humidity_category_have_the_same_score() -> None:
    categories = {"I": (30, 50), "II": (25, 60), "III": (20, 70)}  # EN 16798-1:2019
    scores = {name: {global_score({"humidity": end}) for end in ends} for name, ends in categories.items()}
    assert scores == {"I": {100}, "II": {80}, "III": {60}}


def test_particles_have_the_breakpoints_of_the_us_epa_index_of_2024() -> None:
    assert [value for value, _ in SCALES["pm25"]][2:] == [35.4, 55.4, 125.4, 225.4]
    assert [value for value, _ in SCALES["pm10"]][2:] == [154, 254, 354, 424]


@pytest.mark.parametrize("name", SCALES)
def test_score_at_a_breakpoint_is_that_of_the_table(name: str) -> None:
    assert [global_score({name: value}) for value, _ in SCALES[name]] == [score for _, score in SCALES[name]]
    assert [value for value, _ in SCALES[name]] == sorted({value for value, _ in SCALES[name]})


@pytest.mark.parametrize(
    ("measured", "score"),
    [
        ({"co2": 645, "pm25": 12, "tvoc": 0.2, "temperature": 22.3, "humidity": 45}, 86),
        ({"co2": 400, "temperature": 22}, 100),
        ({"co2": 5000, "temperature": 22}, 0),
        ({"temperature": 18}, 60),
        ({"humidity": 50}, 100),
        ({"humidity": 60}, 80),
        ({"humidity": 70}, 60),
        ({"battery": 90}, None),
    ],
)
def test_score_is_that_of_the_worst_measurement(measured: dict[str, float], score: int | None) -> None:
    assert global_score(measured) == score


@pytest.mark.parametrize(
    ("measured", "at_most"),
    [
        ({"coPpm": 30}, 40), ({"coPpm": 34}, 40), ({"coPpm": 100}, 0), ({"coPpm": 800}, 0), ({"ch4Ppm": 4400}, 20),
        ({"ch4Ppm": 44_000}, 0), ({"lpgPpm": 1400}, 20), ({"lpgPpm": 2800}, 0), ({"no2": 2000}, 0), ({"o3": 200}, 0),
        ({"so2": 2000}, 0), ({"flameDetected": True}, 0),
    ],
)  # fmt: skip
def test_danger_is_not_hidden_by_pleasant_air(measured: dict[str, float], at_most: int) -> None:
    score = global_score({"co2": 420, "temperature": 21, "humidity": 40, **measured})
    assert score is not None
    assert score <= at_most


def test_flagged_value_above_the_usual_range_still_counts() -> None:
    assert global_score({"coPpm": 1500, "temperature": 21}, {"coPpm": "outside 0..1000"}) == 0
    assert global_score({"co2": 40_000}, {"co2": "outside 300..10000"}) == 0
    assert global_score({"tvoc": 0.3}, {"tvoc": "below 1 ppb"}) is None


def test_flagged_value_has_no_score() -> None:
    dead = {"co2": "outside 300..10000"}
    assert global_score({"co2": 0}, dead) is None
    assert global_score({"co2": 0, "temperature": 18}, dead) == 60
    assert global_score({"co2": 0}) == 100
    assert global_score({"flameDetected": False}) is None
