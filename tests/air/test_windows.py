"""The minutes and hours of a field."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.air.averaging import HOUR_MS, last_day
from bridge.air.windows import MINUTE_MS, DeviceWindow, FieldWindow

START_MS = 1_768_478_400_000  # a whole hour
SECOND_MS = 1000


def filled(name: str, values: list[float], interval_ms: int, start_ms: int = START_MS) -> FieldWindow:
    window = FieldWindow(name)
    for number, value in enumerate(values):
        window.add(value, start_ms + number * interval_ms, is_flagged=False)
    return window


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=900))
def test_mean_over_minutes_is_that_of_the_readings_in_them(values: list[float]) -> None:
    window = filled("co2", values, SECOND_MS)
    mean = window.mean(MINUTE_MS, 15)
    inside = values[-(len(values) - (len(values) - 1) // 60 * 60 + 14 * 60) :]
    if len(values) < 0.75 * 15 * 60:
        assert mean is None
    else:
        assert mean == pytest.approx(sum(inside) / len(inside))


def test_mean_over_minutes_needs_three_quarters_of_them() -> None:
    assert filled("co2", [500.0] * 11, MINUTE_MS).mean(MINUTE_MS, 15) is None
    assert filled("co2", [500.0] * 12, MINUTE_MS).mean(MINUTE_MS, 15) == 500


def test_mean_that_is_first_asked_for_within_a_minute_is_not_too_low() -> None:
    device = DeviceWindow()
    for second in range(60 * 20):
        device.add({"temperature": 20.0}, START_MS + second * SECOND_MS)
        if second == 60 * 5 + 58:
            device.keep("temperature", [MINUTE_MS])
    assert device.fields["temperature"].mean(MINUTE_MS, 15) == pytest.approx(20)


def test_device_that_measures_every_five_minutes_has_a_mean_too() -> None:
    assert filled("pm25", [5.0, 7.0], 5 * MINUTE_MS).mean(MINUTE_MS, 10) == 6


def test_hours_are_those_of_the_readings() -> None:
    window = filled("pm25", [float(number // 60) for number in range(26 * 60)], MINUTE_MS)
    now_ms = START_MS + 26 * HOUR_MS
    assert last_day(window.hours(), now_ms) == [float(hour) for hour in range(25, 1, -1)]


def test_flagged_values_are_in_no_mean_and_too_many_take_the_hour_away() -> None:
    window = FieldWindow("pm10")
    for number in range(3 * 60):
        hour, minute = divmod(number, 60)
        is_flagged = (hour == 1 and minute < 10) or (hour == 2 and minute < 20)
        window.add(5000.0 if is_flagged else 10.0, START_MS + number * MINUTE_MS, is_flagged=is_flagged)
    assert last_day(window.hours(), START_MS + 3 * HOUR_MS)[:3] == [None, 10.0, 10.0]


def test_flagged_value_leaves_the_one_before_as_old_as_it_is() -> None:
    window = filled("co2", [640.0], MINUTE_MS)
    for number in range(1, 60):
        window.add(0.0, START_MS + number * MINUTE_MS, is_flagged=True)
    assert window.value == 640
    assert window.is_current(START_MS + 10 * MINUTE_MS)
    assert not window.is_current(START_MS + 60 * MINUTE_MS)


def test_gap_is_noticed_by_the_usual_interval() -> None:
    window = filled("co2", [400.0] * 20, 10 * SECOND_MS)
    last = START_MS + 19 * 10 * SECOND_MS
    window.add(400.0, last + 30 * SECOND_MS, is_flagged=False)
    assert window.is_continuous
    window.add(400.0, last + 120 * SECOND_MS, is_flagged=False)
    assert not window.is_continuous


def test_value_of_a_slow_device_stands_for_longer() -> None:
    window = filled("co2", [400.0] * 3, HOUR_MS)
    assert window.is_current(START_MS + 4 * HOUR_MS)
    assert not window.is_current(START_MS + 6 * HOUR_MS)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["co2", "pm25", "o3", "flameDetected"]), st.floats(0, 1e4), st.integers(0, 10**7), st.booleans()
        ),
        max_size=60,
    )
)
def test_restored_window_goes_on_as_the_saved_one(readings: list[tuple[str, float, int, bool]]) -> None:
    one, other, at_ms = DeviceWindow(), DeviceWindow(), START_MS
    for name, value, after_ms, is_flagged in readings:
        at_ms += after_ms
        other = DeviceWindow.restored(orjson.loads(orjson.dumps(one.public())))
        for window in (one, other):
            window.add({name: value}, at_ms, {name: "flagged"} if is_flagged else {})
        assert one.public() == other.public()


@given(st.lists(st.tuples(st.floats(0, 1e4) | st.booleans(), st.integers(0, 90_000)), max_size=200), st.floats(0, 1e4))
def test_device_counts_values_within_bounds_as_the_field_does(readings: list[tuple[float, int]], bound: float) -> None:
    device, field, at_ms = DeviceWindow(), FieldWindow("co2"), START_MS
    device.watch("co2", (-1.0, bound))
    for value, after_ms in readings:
        at_ms += after_ms
        unusual = device.add({"co2": value, "aqiScale": "uba"}, at_ms)
        field.add(value, at_ms, is_flagged=False)
        if at_ms % 3:
            assert device.fields["co2"].public() == field.public()
        assert value < bound or device.fields["co2"] in unusual
    assert device.fields["co2"].public() == field.public()


def test_mean_of_a_device_that_starts_needs_three_quarters_of_the_time() -> None:
    evening = START_MS + HOUR_MS - MINUTE_MS
    assert filled("coPpm", [20.0] * 6 * 60, MINUTE_MS, evening).mean(HOUR_MS, 8) == 20
    assert filled("coPpm", [20.0] * (6 * 60 - 1), MINUTE_MS, evening).mean(HOUR_MS, 8) is None


def test_device_that_measures_more_slowly_is_continuous_again_after_a_while() -> None:
    window = filled("co2", [400.0] * 600, SECOND_MS)
    noticed = []
    for number in range(1, 60):
        window.add(400.0, START_MS + 600 * SECOND_MS + number * MINUTE_MS, is_flagged=False)
        noticed.append(window.is_continuous)
    assert noticed == [False, *[True] * 58]


def test_text_is_kept_and_never_counted() -> None:
    device = DeviceWindow()
    for number in range(3):
        device.add({"aqiScale": "uba", "aqi": 2.0}, START_MS + number * SECOND_MS)
    assert device.current(START_MS + 3 * SECOND_MS) == {"aqiScale": "uba", "aqi": 2.0}
    assert device.fields["aqiScale"].count == 0


def test_interval_of_a_text_is_known_as_soon_as_that_of_a_number() -> None:
    device = DeviceWindow()
    for number in range(3):
        device.add({"aqiScale": "uba", "aqi": 2.0}, START_MS + number * SECOND_MS)
    assert [one.interval_ms for one in device.fields.values()] == [SECOND_MS, SECOND_MS]
