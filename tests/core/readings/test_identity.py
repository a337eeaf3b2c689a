"""Record identity, device ids, and the cursor."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.readings.identity import CURSOR_LIMIT, Cursor, is_device_id, message_id, record_id
from bridge.core.readings.measurements import Value

NOW_MS = 1_767_000_000_000


@pytest.mark.parametrize("text", ["a", "A0", "esp32-01", "a.b_c:d-e", "0" * 128, "...", ".a", "a..", "-", "30:AE:A4:07:0D:64"])
def test_device_id_has_1_to_128_plain_characters(text: str) -> None:
    assert is_device_id(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a b", "a/b", "a\n", "\na", "ä", "a+", "0" * 129, "٣", "a\0", None, 5, True, b"a", ["a"]], ids=repr
)
def test_any_other_value_is_not_a_device_id(text: object) -> None:
    assert not is_device_id(text)


@given(st.text(max_size=140))
def test_only_allowed_characters_are_valid_in_a_device_id(text: str) -> None:
    allowed = set(string.ascii_letters + string.digits + "._:-")
    assert is_device_id(text) == (1 <= len(text) <= 128 and set(text) <= allowed and text not in (".", ".."))


def test_same_reading_has_the_same_id() -> None:
    assert record_id("a", NOW_MS, {"temperature": 21.5}) == record_id("a", NOW_MS, {"temperature": 21.5})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 25}, {"temperature": 25.0}),
        ({"temperature": 0}, {"temperature": -0.0}),
        ({"humidity": 100, "pm25": 1}, {"humidity": 100.0, "pm25": 1.0}),
    ],
)
def test_values_are_compared_as_numbers(one: dict[str, Value], other: dict[str, Value]) -> None:
    assert record_id("a", NOW_MS, one) == record_id("a", NOW_MS, other)


@pytest.mark.parametrize(
    ("device", "own_ms", "values"),
    [
        ("b", NOW_MS, {"temperature": 21.5}),
        ("a", NOW_MS + 1, {"temperature": 21.5}),
        ("a", NOW_MS, {"temperature": 21.500000000000004}),
        ("a", NOW_MS, {"humidity": 21.5}),
        ("a", NOW_MS, {"temperature": 21.5, "humidity": 40}),
    ],
)
def test_different_device_time_or_value_is_a_different_record(device: str, own_ms: int, values: dict[str, Value]) -> None:
    assert record_id(device, own_ms, values) != record_id("a", NOW_MS, {"temperature": 21.5})


def test_index_on_two_scales_is_two_records() -> None:
    assert record_id("a", NOW_MS, {"aqi": 3, "aqiScale": "uba"}) != record_id("a", NOW_MS, {"aqi": 3, "aqiScale": "epa"})


def test_record_id_contains_the_time_of_measurement() -> None:
    assert record_id("a", NOW_MS, {"temperature": 1}).generation_time.timestamp() == NOW_MS // 1000


def test_ids_of_many_readings_differ() -> None:
    ids = {record_id(f"d{device}", NOW_MS, {"eco2": n}) for device in range(50) for n in range(200)}
    assert len(ids) == 50 * 200


@given(st.lists(st.integers(0, 2**52), min_size=1))
def test_cursor_increases_whatever_the_clock_does(clock_us: list[int]) -> None:
    cursor = Cursor()
    cursors = [cursor.next(now_us) for now_us in clock_us]
    assert all(before < after for before, after in pairwise(cursors))
    assert all(assigned >= now_us for assigned, now_us in zip(cursors, clock_us, strict=True))
    assert cursor.last == cursors[-1]


def test_cursor_equals_the_clock_while_that_is_ahead() -> None:
    cursor = Cursor()
    assert [cursor.next(10), cursor.next(20)] == [10, 20]


def test_cursor_increases_by_one_while_the_clock_stands() -> None:
    cursor = Cursor()
    assert [cursor.next(10), cursor.next(10), cursor.next(9)] == [10, 11, 12]


def test_cursor_resumes_above_the_stores_and_never_goes_back() -> None:
    cursor = Cursor(last=50)
    cursor.resume_above(100)
    cursor.resume_above(30)
    assert cursor.next(10) == 101


def test_cursors_of_this_century_are_exact_in_javascript() -> None:
    assert CURSOR_LIMIT == 2**53
    assert CURSOR_LIMIT > 4_102_444_800_000_000  # 2100-01-01 in microseconds


def test_seed_identifies_a_reading_without_a_timestamp() -> None:
    first = message_id("a", "k/0", {"temperature": 25})
    assert first == message_id("a", "k/0", {"temperature": 25.0})
    others = [("b", "k/0", 25), ("a", "k/1", 25), ("a", "l/0", 25), ("a", "k/0", 26)]
    assert first not in [message_id(device, seed, {"temperature": value}) for device, seed, value in others]
