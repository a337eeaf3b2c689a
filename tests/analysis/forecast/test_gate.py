"""When the model is shown: series whose best forecast is known."""

from __future__ import annotations

from datetime import UTC
from random import Random
from zoneinfo import ZoneInfo

import pytest

from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.prediction import Forecast, ForecastModel
from tests.analysis.forecast.synthetic import START, Series, daily, fed, first, office, random_walk, share_shown, white_noise

DAY = 24
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("series", [white_noise, random_walk])
def test_noise_and_a_random_walk_are_never_forecast_by_the_model(series: Series, seed: int) -> None:
    forecasts = fed(DeviceForecasts(UTC), "temperature", first(series, 60 * DAY, seed))
    assert share_shown(forecasts) == 0
    assert forecasts[-1].model is ForecastModel.PERSISTENCE
    last = first(series, 60 * DAY, seed)[-1]
    assert [value.mean for value in forecasts[-1].values] == pytest.approx([last] * 6)


@pytest.mark.parametrize("seed", range(3))
def test_a_daily_course_is_shown_after_two_weeks_and_better_than_persistence(seed: int) -> None:
    values = first(daily(14), 60 * DAY, seed)
    forecasts = fed(DeviceForecasts(UTC), "co2", values)
    assert {one.model for one in forecasts[: 14 * DAY]} == {ForecastModel.LEARNING}
    assert all(one.values == () and one.mase is None for one in forecasts[: 14 * DAY])
    assert share_shown(forecasts[20 * DAY :]) > 0.98
    errors, persistence = mean_errors(values, forecasts, 20 * DAY)
    assert errors < 0.5 * persistence
    assert forecasts[-1].mase is not None
    assert forecasts[-1].mase < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_nine_of_ten_values(seed: int) -> None:
    values = first(daily(14), 100 * DAY, seed)
    forecasts = fed(DeviceForecasts(UTC), "co2", values)
    assert 0.88 <= coverage(values, forecasts[20 * DAY :], 20 * DAY) <= 0.92
    assert forecasts[-1].coverage == pytest.approx(coverage(values, forecasts[70 * DAY :], 70 * DAY), abs=0.02)


def test_bounds_of_persistence_hold_nine_of_ten_values() -> None:
    values = first(random_walk, 100 * DAY, 1)
    forecasts = fed(DeviceForecasts(UTC), "temperature", values)
    assert 0.88 <= coverage(values, forecasts[20 * DAY :], 20 * DAY) <= 0.92
    assert forecasts[-1].coverage == pytest.approx(coverage(values, forecasts[70 * DAY :], 70 * DAY), abs=0.02)


@pytest.mark.parametrize("peak", [2, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_forecast_of_a_device_that_moved_retires_within_three_days(peak: int, seed: int) -> None:
    moved = 50 * DAY + Random(seed).randrange(7 * DAY)
    values = first(daily(14), moved, seed) + first(daily(peak), moved + 60 * DAY, seed)[moved:]
    forecasts = fed(DeviceForecasts(UTC), "co2", values)
    assert forecasts[moved - 1].model is ForecastModel.PROFILE
    assert any(one.model is ForecastModel.PERSISTENCE for one in forecasts[moved : moved + 3 * DAY])
    assert share_shown(forecasts[moved + 30 * DAY :]) > 0.95


def test_the_forecast_of_a_room_without_a_daily_course_stays_retired_for_a_week() -> None:
    values = first(daily(14), 50 * DAY, 1) + first(daily(14, base=700, height=0), 10 * DAY, 1)
    forecasts = fed(DeviceForecasts(UTC), "co2", values)
    assert forecasts[50 * DAY - 1].model is ForecastModel.PROFILE
    assert share_shown(forecasts[53 * DAY : 60 * DAY]) < 0.05


def test_an_office_is_forecast_by_its_local_time_through_the_change_of_the_clocks() -> None:
    values = first(office(BERLIN), 120 * DAY, 1)
    after = slice(88 * DAY, 116 * DAY)  # Summer time begins on 2026-03-29, the 88th day.
    local, utc = (fed(DeviceForecasts(zone), "co2", values) for zone in (BERLIN, UTC))
    errors = [mean_errors(values[: after.stop], forecasts[: after.stop], after.start)[0] for forecasts in (local, utc)]
    assert errors[0] < 0.8 * errors[1]
    assert share_shown(local[20 * DAY :]) > 0.95


def test_a_restarted_device_learns_for_two_weeks() -> None:
    device = DeviceForecasts(UTC)
    fed(device, "co2", first(daily(14), 30 * DAY, 1))
    device.restart()
    assert device.forecasts() == []
    forecasts = fed(device, "co2", first(daily(14), 20 * DAY, 2), START + 30 * DAY)
    assert [one.model for one in forecasts].index(ForecastModel.PROFILE) >= 14 * DAY


def test_gaps_of_days_neither_lose_the_model_nor_spoil_it() -> None:
    device, values = DeviceForecasts(UTC), first(daily(14), 80 * DAY, 1)
    fed(device, "co2", values[: 40 * DAY])
    (forecast,) = fed(device, "co2", values[45 * DAY : 45 * DAY + 1], START + 45 * DAY)
    assert forecast.model is ForecastModel.PROFILE
    forecasts = fed(device, "co2", values[45 * DAY + 1 :], START + 45 * DAY + 1)
    assert share_shown(forecasts) > 0.95


def test_a_gap_of_a_month_begins_anew() -> None:
    device, values = DeviceForecasts(UTC), first(daily(14), 80 * DAY, 1)
    fed(device, "co2", values[: 30 * DAY])
    forecasts = fed(device, "co2", values[61 * DAY :], START + 61 * DAY)
    assert {one.model for one in forecasts[: 14 * DAY]} == {ForecastModel.LEARNING}


def mean_errors(values: list[float], forecasts: list[Forecast], start: int) -> tuple[float, float]:
    """Mean absolute errors of the forecasts with values, and of persistence, from hour `start`."""
    errors, persistence = [], []
    for number, forecast in enumerate(forecasts[start:-6], start):
        for ahead, value in enumerate(forecast.values, 1):
            errors.append(abs(value.mean - values[number + ahead]))
            persistence.append(abs(values[number] - values[number + ahead]))
    return sum(errors) / len(errors), sum(persistence) / len(persistence)


def coverage(values: list[float], forecasts: list[Forecast], start: int) -> float:
    inside = [
        one.low <= values[number + ahead] <= one.high
        for number, forecast in enumerate(forecasts[:-6], start)
        for ahead, one in enumerate(forecast.values, 1)
    ]
    return sum(inside) / len(inside)


@pytest.mark.parametrize("series", [daily(20), office(BERLIN)])
def test_outer_interval_holds_995_of_a_thousand_hours_on_both_sides(series: Series) -> None:
    device, below, above, count = DeviceForecasts(BERLIN), 0, 0, 0
    interval = None
    for number, value in enumerate(first(series, 9000, 5)):
        if interval is not None:
            count, below, above = count + 1, below + (value < interval[0]), above + (value > interval[1])
        device.feed(START + number, {"co2": value})
        interval = device.outer_intervals().get("co2")
    assert count > 8000
    assert 0.001 < below / count < 0.004
    assert 0.001 < above / count < 0.004


def test_outer_interval_needs_a_model_that_is_shown() -> None:
    device = DeviceForecasts(BERLIN)
    for number, value in enumerate(first(random_walk, 60 * 24, 3)):
        device.feed(START + number, {"temperature": value})
    assert device.forecasts()[0].model is ForecastModel.PERSISTENCE
    assert device.outer_intervals() == {}


def test_error_is_that_of_the_model_that_is_named_and_the_ratio_that_of_the_profile() -> None:
    shown, hidden = DeviceForecasts(BERLIN), DeviceForecasts(BERLIN)
    fed(shown, "co2", first(daily(20), 60 * 24, 1))
    fed(hidden, "temperature", first(random_walk, 60 * 24, 3))
    (good,), (naive,) = shown.forecasts(), hidden.forecasts()
    assert good.error is not None
    assert good.of_persistence is not None
    assert good.of_persistence < 0.97
    (as_naive,) = shown.forecasts(ForecastModel.PERSISTENCE)
    assert as_naive.error is not None
    assert good.error == pytest.approx(as_naive.error * good.of_persistence)
    assert as_naive.of_persistence == good.of_persistence
    assert naive.model is ForecastModel.PERSISTENCE
    assert naive.of_persistence is not None
    assert naive.of_persistence > 0.97
