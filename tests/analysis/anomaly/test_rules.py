"""Each rule finds its fault, says so with evidence, and ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent, AnomalyEventKind, AnomalyKind, AnomalyOutcome
from bridge.analysis.anomaly.sentences import sentence
from bridge.core.readings.measurements import Value
from tests.analysis.anomaly.series import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, daily, detected, folded, noisy, reading, series

Values = dict[str, Value]
FEW_MINUTES_MS = 5 * MINUTE_MS


def air(hours: float, seed: int = 1, every_ms: int = FEW_MINUTES_MS) -> list[Values]:
    """Temperature, humidity, CO2, PM2.5 and CO of a room without faults."""
    temperature, humidity = noisy(0, 0.05, seed), noisy(0, 0.3, seed + 1, 1)
    co2, pm25 = noisy(0, 15, seed + 2), noisy(8, 1, seed + 3)
    return [
        {
            "temperature": round(21 + 2 * daily(n * every_ms / HOUR_MS) + temperature(), 2),
            "humidity": round(50 - 5 * daily(n * every_ms / HOUR_MS) + humidity(), 1),
            "co2": round(700 + 200 * daily(n * every_ms / HOUR_MS) + co2()),
            "pm25": pm25(),
            "coPpm": 0,
        }
        for n in range(round(hours * HOUR_MS / every_ms))
    ]


def changed(
    values: list[Values], from_hour: float, to_hour: float, change: Values, every_ms: int = FEW_MINUTES_MS
) -> list[Values]:
    first, last = round(from_hour * HOUR_MS / every_ms), round(to_hour * HOUR_MS / every_ms)
    return [one | change if first <= n < last else one for n, one in enumerate(values)]


def frozen(values: list[Values], from_hour: float, to_hour: float, *fields: str) -> list[Values]:
    last = values[round(from_hour * HOUR_MS / FEW_MINUTES_MS)]
    return changed(values, from_hour, to_hour, {field: last[field] for field in fields})


def only(events: list[AnomalyEvent], kind: AnomalyKind) -> tuple[AnomalyEvent, AnomalyEvent]:
    """The event of the only anomaly, and that of its end."""
    found, ended = events
    assert (found.kind, ended.kind) == (AnomalyEventKind.DETECTED, AnomalyEventKind.RESOLVED)
    assert found.anomaly.kind is ended.anomaly.kind is kind
    assert found.anomaly.id == ended.anomaly.id
    assert found.anomaly.resolved_ms is None
    return found, ended


def hours_of(event: AnomalyEvent) -> float:
    return (event.at_ms - START_MS) / HOUR_MS


def test_nothing_is_found_in_a_room_without_faults() -> None:
    assert folded(series(air(30 * 24), FEW_MINUTES_MS)) == []


# --- stuck -----------------------------------------------------------------------------------------------------------------


def test_value_that_does_not_change_for_a_day_is_stuck_until_it_changes() -> None:
    values = changed(air(240), 100, 130, {"temperature": 21.37})
    found, ended = only(folded(series(values, FEW_MINUTES_MS)), AnomalyKind.STUCK)
    assert found.anomaly.fields == ("temperature",)
    assert 124 <= hours_of(found) <= 125
    assert hours_of(ended) == 130
    assert ended.anomaly.outcome is AnomalyOutcome.ENDED
    assert found.anomaly.values == ((START_MS + 100 * HOUR_MS, 21.37), (found.at_ms, 21.37))
    assert sentence(found.anomaly).startswith("Temperature has been exactly 21.4 °C for 24")


def test_value_that_once_rested_for_long_is_stuck_after_twice_as_long() -> None:
    values = changed(air(480), 100, 115, {"temperature": 21.37})
    assert folded(series(changed(values, 200, 229, {"temperature": 20.11}), FEW_MINUTES_MS)) == []
    found, _ = only(folded(series(changed(values, 200, 250, {"temperature": 20.11}), FEW_MINUTES_MS)), AnomalyKind.STUCK)
    assert 230 <= hours_of(found) <= 231


@pytest.mark.parametrize(("field", "rest"), [("coPpm", 0), ("pm25", 0), ("co2", 400)])
def test_value_at_rest_is_not_stuck(field: str, rest: float) -> None:
    assert folded(series(changed(air(200), 24, 190, {field: rest}), FEW_MINUTES_MS)) == []


def test_field_that_is_not_sent_for_a_day_is_not_stuck() -> None:
    values = changed(air(200), 50, 100, {"temperature": 21.37})
    silent = [one if n % 1000 < 400 else {"co2": one["co2"]} for n, one in enumerate(values)]
    assert folded(series(silent, FEW_MINUTES_MS)) == []


def test_device_that_is_silent_for_a_day_is_not_stuck() -> None:
    first = list(series(changed(air(50), 49, 50, {"temperature": 21.37}), FEW_MINUTES_MS))
    second = series(changed(air(50, 9), 0, 5, {"temperature": 21.37}), FEW_MINUTES_MS, start_ms=START_MS + 80 * HOUR_MS)
    fold = AnomalyFold()
    later = [reading("kitchen", one.timestamp_ms, one.values, 10_000 + one.seq) for one in second]
    assert folded([*first, *later], fold) == []


def test_freeze_is_found_in_hourly_readings_within_25_hours() -> None:
    values = changed(air(480, every_ms=HOUR_MS), 300, 340, {"co2": 777}, HOUR_MS)
    fold = AnomalyFold()
    reports = [(n, event) for n, one in enumerate(series(values, HOUR_MS)) for event in fold.step(one)]
    found, _ = only([event for _, event in reports], AnomalyKind.STUCK)
    assert reports[0][0] - 300 <= 25
    assert found.anomaly.parameters["limitHours"] == 24


# --- cross -----------------------------------------------------------------------------------------------------------------


def test_fields_of_one_element_that_freeze_together_are_one_anomaly() -> None:
    values = frozen(air(240), 100, 130, "temperature", "humidity")
    found, ended = only(folded(series(values, FEW_MINUTES_MS)), AnomalyKind.CROSS)
    assert found.anomaly.fields == ("humidity", "temperature")
    assert found.anomaly.key == "anomaly.crossFreeze"
    assert 112 <= hours_of(found) <= 113
    assert hours_of(ended) == 130
    assert sentence(found.anomaly).startswith("Humidity and Temperature stopped changing at the same time")


def test_freeze_is_no_natural_run_of_any_of_its_fields() -> None:
    values = frozen(frozen(air(240), 60, 90, "temperature", "humidity"), 120, 150, "temperature", "humidity")
    _, _, found, _ = folded(series(values, FEW_MINUTES_MS))
    assert found.anomaly.key == "anomaly.crossFreeze"
    assert 132 <= hours_of(found) <= 133


def test_fields_of_different_elements_that_freeze_together_are_two_anomalies() -> None:
    values = frozen(air(240), 100, 130, "temperature", "pm25")
    assert detected(folded(series(values, FEW_MINUTES_MS))) == [
        (AnomalyKind.STUCK, ("temperature",)),
        (AnomalyKind.STUCK, ("pm25",)),
    ]


def test_fields_of_one_element_that_jump_together_are_one_anomaly_until_both_are_back() -> None:
    values = changed(air(240, every_ms=MINUTE_MS), 100, 100.2, {"temperature": 31.0, "humidity": 85.0}, MINUTE_MS)
    found, ended = only(folded(series(values, MINUTE_MS)), AnomalyKind.CROSS)
    assert (found.anomaly.fields, found.anomaly.key) == (("humidity", "temperature"), "anomaly.crossJump")
    assert hours_of(found) == pytest.approx(100 + 2 / 60)
    assert 100.3 < hours_of(ended) < 100.6
    assert sentence(found.anomaly).startswith("Humidity and Temperature jumped at the same moment, Humidity from ")


# --- saturated -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("humidity", 100, "anomaly.saturatedHigh"),
        ("co2", 5000, "anomaly.saturatedHigh"),
        ("co2", 0, "anomaly.saturatedLow"),
        ("pm25", 999.9, "anomaly.saturatedHigh"),
        ("temperature", 85, "anomaly.saturatedHigh"),
    ],
)
def test_value_at_the_end_of_the_range_is_saturated_and_nothing_else(field: str, value: float, key: str) -> None:
    values = changed(air(240), 100, 130, {field: value})
    found, ended = only(folded(series(values, FEW_MINUTES_MS)), AnomalyKind.SATURATED)
    assert (found.anomaly.key, found.anomaly.fields) == (key, (field,))
    assert 100 < hours_of(found) <= 101.1
    assert 130.9 < hours_of(ended) <= 132
    assert "end of the sensor's range" in sentence(found.anomaly)


def test_single_values_at_the_end_of_the_range_are_not_saturated() -> None:
    values = [one | {"co2": 2000} if n % 50 == 0 else one for n, one in enumerate(air(100))]
    assert AnomalyKind.SATURATED not in {kind for kind, _ in detected(folded(series(values, FEW_MINUTES_MS)))}


def test_values_below_the_usual_range_that_change_are_not_saturated() -> None:
    values = [one | {"co2": 250 + n % 5} if 1200 <= n < 1560 else one for n, one in enumerate(air(240))]
    assert AnomalyKind.SATURATED not in {kind for kind, _ in detected(folded(series(values, FEW_MINUTES_MS)))}


def test_code_of_a_failed_sensor_is_not_judged() -> None:
    assert folded(series(changed(air(240), 100, 130, {"co2": 65_535}), FEW_MINUTES_MS)) == []


# --- spikes and steps ------------------------------------------------------------------------------------------------------


def spikes(count: int) -> Iterator[Values]:
    for n, one in enumerate(air(240)):
        hour = n * FEW_MINUTES_MS / HOUR_MS
        yield one | {"temperature": 55.5} if 100 <= hour < 100 + 2 * count and hour % 2 == 0 else one


def test_five_single_values_far_from_others_within_a_day_are_an_anomaly_until_a_day_has_none() -> None:
    found, ended = only(folded(series(spikes(5), FEW_MINUTES_MS)), AnomalyKind.SPIKE)
    assert found.anomaly.parameters["spikes"] == 5
    assert found.anomaly.began_ms == START_MS + 100 * HOUR_MS
    assert 132 <= hours_of(ended) <= 133
    assert sentence(found.anomaly).startswith("Temperature had 5 single values within 24 hours")


def test_four_single_values_far_from_others_are_no_anomaly() -> None:
    assert folded(series(spikes(4), FEW_MINUTES_MS)) == []


def test_level_that_jumps_and_stays_is_a_step_which_is_accepted_after_a_day() -> None:
    values = [one | {"temperature": one["temperature"] + 8} if n >= 100 * 12 else one for n, one in enumerate(air(240))]  # type: ignore[operator]
    found, ended = only(folded(series(values, FEW_MINUTES_MS)), AnomalyKind.STEP)
    assert hours_of(found) == 101
    assert ended.anomaly.outcome is AnomalyOutcome.ACCEPTED
    assert 124 <= hours_of(ended) <= 125
    assert found.anomaly.parameters["change"] == pytest.approx(8, abs=0.3)
    assert found.anomaly.parameters["natural"] < 1


def test_step_ends_when_the_level_returns() -> None:
    values = [one | {"temperature": one["temperature"] + 8} if 1200 <= n < 1236 else one for n, one in enumerate(air(240))]  # type: ignore[operator]
    _, ended = only(folded(series(values, FEW_MINUTES_MS)), AnomalyKind.STEP)
    assert ended.anomaly.outcome is AnomalyOutcome.ENDED
    assert hours_of(ended) == 104


def test_field_without_inertia_may_jump() -> None:
    values = [one | {"pm25": 300 + n % 7} if n >= 1200 else one for n, one in enumerate(air(240))]
    assert folded(series(values, FEW_MINUTES_MS)) == []


# --- warm-up ---------------------------------------------------------------------------------------------------------------


def paused(first: float) -> list[AnomalyEvent]:
    """Twenty days, a pause of two hours, then CO2 that begins at a value and settles within half an hour."""
    fold = AnomalyFold()
    before = list(series(air(20 * 24), FEW_MINUTES_MS))
    values = [one | {"co2": round(700 + (first - 700) * 0.5**n)} for n, one in enumerate(air(3, 5))]
    start_ms = START_MS + 20 * DAY_MS + 2 * HOUR_MS
    after = [reading("kitchen", start_ms + n * FEW_MINUTES_MS, one, 10_000 + n) for n, one in enumerate(values)]
    return folded([*before, *after], fold)


def test_value_after_a_pause_beyond_all_before_is_warm_up_until_it_has_settled() -> None:
    found, ended = only(paused(1700), AnomalyKind.WARM_UP)
    assert found.anomaly.fields == ("co2",)
    assert found.at_ms == START_MS + 20 * DAY_MS + 2 * HOUR_MS
    assert 0 < ended.at_ms - found.at_ms < HOUR_MS
    assert found.anomaly.parameters["high"] < 1000


def test_usual_value_after_a_pause_is_no_warm_up() -> None:
    assert paused(850) == []


# --- unusual ---------------------------------------------------------------------------------------------------------------


def forecast(device_id: str, field: str, _: int) -> tuple[float, float] | None:
    return (400, 1000) if (device_id, field) == ("kitchen", "co2") else None


def test_three_hours_outside_of_the_forecast_are_unusual_until_two_are_inside() -> None:
    values = [one | {"co2": 1050 + n % 9} if 1296 <= n < 1296 + 60 else one for n, one in enumerate(air(240))]
    found, ended = only(folded(series(values, FEW_MINUTES_MS), AnomalyFold(forecast=forecast)), AnomalyKind.UNUSUAL)
    assert (hours_of(found), hours_of(ended)) == (111, 115)
    assert (found.anomaly.key, found.anomaly.began_ms) == ("anomaly.unusualHigh", START_MS + 108 * HOUR_MS)
    assert sentence(found.anomaly).endswith("where 400 to 1,000 ppm were expected.")


def test_two_hours_outside_of_the_forecast_are_not_unusual() -> None:
    values = [one | {"co2": 1050 + n % 9} if 1296 <= n < 1320 else one for n, one in enumerate(air(240))]
    assert folded(series(values, FEW_MINUTES_MS), AnomalyFold(forecast=forecast)) == []


def test_unusual_ends_when_there_is_no_forecast_any_more() -> None:
    ends_ms = START_MS + 118 * HOUR_MS
    fold = AnomalyFold(forecast=lambda *given: forecast(*given) if given[2] < ends_ms else None)
    values = [one | {"co2": 1050 + n % 9} if n >= 1296 else one for n, one in enumerate(air(240))]
    _, ended = only(folded(series(values, FEW_MINUTES_MS), fold), AnomalyKind.UNUSUAL)
    assert hours_of(ended) == 119
