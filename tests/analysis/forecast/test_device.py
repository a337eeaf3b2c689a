"""The forecasts of a device: what is fed, what is said, and the state in between."""

from __future__ import annotations

import math
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.analysis.forecast.calendar import HOUR_MS, LAST_HOUR, slot_of
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import ForecastModel
from bridge.core.errors import ForecastStateError
from tests.analysis.forecast.synthetic import START, daily, fed, first

DAY = 24
STATE_OF_VERSION_1 = Path(__file__).with_name("state-of-version-1.json")
"""Of a device that has learned two days, as versions before 2026-11-30 stored it."""

NEVER = ("coPpm", "ch4Ppm", "lpgPpm", "flameDetected", "eco2", "h2")


def trained(days: int = 30) -> DeviceForecasts:
    device = DeviceForecasts(UTC)
    fed(device, "co2", first(daily(14), days * DAY, 1))
    return device


def test_the_next_six_hours_are_forecast_with_their_times() -> None:
    (forecast,) = trained().forecasts()
    assert (forecast.field, forecast.unit, forecast.model) == ("co2", "ppm", ForecastModel.PROFILE)
    assert forecast.made_ms == (START + 30 * DAY) * HOUR_MS
    assert [one.at_ms for one in forecast.values] == [forecast.made_ms + ahead * HOUR_MS for ahead in range(6)]
    assert all(400 < one.low < one.mean < one.high < 1500 for one in forecast.values)
    assert forecast.days == 29


def test_carbon_monoxide_gas_and_flame_are_never_forecast() -> None:
    device = DeviceForecasts(UTC)
    for hour in range(20 * DAY):
        device.feed(START + hour, dict.fromkeys((*NEVER, "pm25"), 10.0 + hour % 24))
    assert [one.field for one in device.forecasts()] == ["pm25"]
    assert not FORECAST_FIELDS.keys() & set(NEVER)
    assert [device.probability_above(name, 1) for name in NEVER] == [None] * len(NEVER)


def test_hours_that_were_fed_change_nothing_when_they_are_fed_again() -> None:
    device = trained()
    before = device.to_json()
    assert not device.feed(START + 30 * DAY - 1, {"co2": 2000.0, "temperature": 20.0})
    assert not device.feed(START, {"co2": 2000.0})
    assert device.to_json() == before
    assert device.feed(START + 30 * DAY, {"co2": 500.0})
    assert device.to_json() != before


def test_a_field_without_a_value_in_the_last_hour_is_not_forecast() -> None:
    device = trained()
    assert device.probability_above("co2", 1000) is not None
    device.feed(START + 30 * DAY, {"temperature": 20.0, "co2": math.nan})
    assert [one.field for one in device.forecasts()] == ["temperature"]
    assert device.probability_above("co2", 1000) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 20_000.0])
def test_a_value_that_cannot_be_is_a_missing_one(value: float) -> None:
    device, other = trained(), trained()
    device.feed(START + 30 * DAY, {"co2": value})
    other.feed(START + 30 * DAY, {})
    assert device.to_json() == other.to_json()


@pytest.mark.parametrize("hour", [-1, LAST_HOUR + 1])
def test_an_hour_that_is_no_time_is_refused(hour: int) -> None:
    with pytest.raises(ValueError, match=f"allowed are 0 to {LAST_HOUR}"):
        DeviceForecasts(UTC).feed(hour, {})


def test_the_probability_of_a_limit_falls_with_it_and_follows_the_day() -> None:
    device = trained()
    limits = [-1.0, 0.0, 450.0, 500.0, 600.0, 800.0, 1000.0, 5000.0, 20_000.0]
    found = [device.probability_above("co2", limit) for limit in limits]
    assert found == sorted(found, key=lambda one: -(one or 0))
    assert found[0] == 1
    assert found[-1] == 0
    night = device.probability_above("co2", 900)
    fed(device, "co2", first(daily(14), 31 * DAY, 1)[30 * DAY : 30 * DAY + 12], START + 30 * DAY)
    noon = device.probability_above("co2", 900)
    assert night is not None
    assert noon is not None
    assert night < 0.05 < 0.9 < noon


def test_working_days_and_weekends_have_their_own_slots_in_local_time() -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    assert slot_of(START, UTC) == 0
    assert slot_of(START + 2 * DAY, UTC) == 24
    assert slot_of(START + DAY + 12, auckland) == 25  # Saturday, 1 o'clock, while it is Friday in UTC
    assert 0 <= slot_of(0, auckland) < slot_of(LAST_HOUR + 6, UTC) + 48


# --- state -----------------------------------------------------------------------------------------------------------


def test_a_device_that_is_restored_each_hour_gives_the_same_state() -> None:
    device = restored = DeviceForecasts(UTC)
    for hour, value in enumerate(first(daily(14), 18 * DAY, 1)):
        means = {"co2": value, "temperature": 20 + value / 100} | ({"pm25": 5.0} if hour % 5 else {})
        device.feed(START + hour, means)
        restored = DeviceForecasts.from_json(restored.to_json(), UTC)
        restored.feed(START + hour, means)
    assert restored.to_json() == device.to_json()
    assert restored.forecasts() == device.forecasts()


def test_the_state_of_a_device_with_all_fields_is_bounded() -> None:
    device = DeviceForecasts(UTC)
    for hour in range(40 * DAY):
        device.feed(START + hour, {name: 1 / 3 + (hour % 24) / 7 + (300 if name == "co2" else 0) for name in FORECAST_FIELDS})
    assert len(device.to_json()) < 150_000


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), 3, "version"),
        (("hour",), -2, "hour"),
        (("hour",), 10**12, "hour"),
        (("fields", "coPpm"), {}, "'coPpm' is not forecast; allowed: co2"),
        (("fields", "co2", "covariance"), [0.0], "fields.co2.covariance"),
        (("fields", "co2", "profile", "means"), None, "fields.co2.profile.means"),
        (("fields", "co2", "errors", "horizons", 5, 3), -1, "fields.co2.errors.horizons.5.3"),
        (("fields", "co2", "pending", 0, "future"), [], "fields.co2.pending.0.future"),
        (("more",), 1, "more"),
        (("hour",), START, "co2 has an hour after the last one"),
        (("fields", "co2", "pending", 0, "hour"), START + 2 * DAY - 1, "co2 has hours or days out of order"),
        (("fields", "co2", "record", "days", 0, "day"), START, "co2 has an hour after the last one"),
        (("fields", "co2", "record", "hidden_since"), START + 2 * DAY, "co2 has an hour after the last one"),
    ],
)
def test_a_state_that_was_changed_is_refused(path: tuple[Any, ...], value: object, message: str) -> None:
    document = orjson.loads(trained(2).to_json())
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ForecastStateError, match=f"^state of forecasts: .*{message}"):
        DeviceForecasts.from_json(orjson.dumps(document).decode(), UTC)


def test_a_state_of_version_1_goes_on_as_if_it_had_never_been_stored() -> None:
    values = first(daily(14), 3 * DAY, 1)
    device = DeviceForecasts.from_json(STATE_OF_VERSION_1.read_text(), UTC)
    assert device.hour == START + 2 * DAY - 1
    for hour, value in enumerate(values[2 * DAY :], START + 2 * DAY):
        device.feed(hour, {"co2": value})
    whole = DeviceForecasts(UTC)
    fed(whole, "co2", values)
    assert device.to_json() == whole.to_json()


@pytest.mark.parametrize(
    ("old", "new"), [('"sizes"', '"size"'), ('"naive_highs":[', '"naive_highs":[1,'), ('"fields":{', '"fields":{"o3":1,')]
)
def test_a_changed_state_of_version_1_is_refused(old: str, new: str) -> None:
    with pytest.raises(ForecastStateError, match=r"^state of forecasts: version 1: "):
        DeviceForecasts.from_json(STATE_OF_VERSION_1.read_text().replace(old, new), UTC)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', " " * 600_000])
def test_a_text_that_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ForecastStateError, match=r"^state of forecasts: "):
        DeviceForecasts.from_json(text, UTC)


steps = st.lists(
    st.tuples(
        st.integers(0, 40) | st.integers(0, 2000),
        st.dictionaries(
            st.sampled_from([*FORECAST_FIELDS, "coPpm"]),
            st.floats() | st.floats(allow_nan=False, allow_infinity=False, min_value=-100, max_value=10_000),
            max_size=3,
        ),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(steps, st.floats(allow_nan=False))
def test_nothing_raises_or_is_no_number_and_the_state_is_exact(
    changes: list[tuple[int, dict[str, float]]], limit: float
) -> None:
    device, hour = DeviceForecasts(ZoneInfo("Asia/Kolkata")), START
    for step, means in changes:
        hour += step
        device.feed(hour, means)
        for name, series in device._fields.items():
            of, last = FORECAST_FIELDS[name], series.pending[-1] if series.pending else None
            if last is None:
                continue
            for unit_mean, _, mean, low, high, _, _ in last.future:
                assert of.low <= unit_mean <= of.high
                assert math.isfinite(low)
                assert math.isfinite(high)
                assert low <= mean <= high
            probability = series.probability_above(of, limit)
            assert probability is not None
            assert 0 <= probability <= 1
    text = device.to_json()
    assert DeviceForecasts.from_json(text, UTC).to_json() == text
    assert device.forecasts() == DeviceForecasts.from_json(text, UTC).forecasts()
