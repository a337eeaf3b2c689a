"""Record identity, device ids, and the cursor."""

from __future__ import annotations

import re
import string
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.devices.profiles import hashed_part_id, part_id
from bridge.core.errors import DeviceIdError
from bridge.core.readings.identity import (
    COMMAND_ID_PATTERN,
    CURSOR_LIMIT,
    DEVICE_ID_PATTERN,
    DEVICE_ID_RULE,
    Cursor,
    is_command_id,
    is_device_id,
    message_id,
    parse_device_id,
    record_id,
)
from bridge.core.readings.measurements import Value
from tests.device_ids import ACCEPTED, REFUSED

NOW_MS = 1_767_000_000_000


@pytest.mark.parametrize("text", ACCEPTED)
def test_printable_text_of_any_script_is_a_device_id(text: str) -> None:
    assert is_device_id(text)
    assert parse_device_id(text) == text
    assert re.search(DEVICE_ID_PATTERN, text)


@pytest.mark.parametrize(("text", "fault"), REFUSED)
def test_refused_device_id_is_named_with_its_fault(text: str, fault: str) -> None:
    assert not is_device_id(text)
    with pytest.raises(DeviceIdError) as caught:
        parse_device_id(text)
    assert caught.value.fault == fault
    assert str(caught.value) == f"{fault}: must be {DEVICE_ID_RULE}"


@pytest.mark.parametrize("value", [None, 5, True, b"a", ["a"]], ids=repr)
def test_value_of_another_type_is_not_a_device_id(value: object) -> None:
    assert not is_device_id(value)
    with pytest.raises(DeviceIdError, match="is not a text"):
        parse_device_id(value)


@pytest.mark.parametrize(
    ("written", "device_id"),
    [
        ("Ku\u0308che", "Küche"),
        ("\u212b", "Å"),  # the sign of the ångström
        ("\u1112\u1161\u11ab", "한"),
        ("e\u0301" * 128, "é" * 128),
    ],
)
def test_two_spellings_of_a_text_are_one_device(written: str, device_id: str) -> None:
    assert parse_device_id(written) == parse_device_id(device_id) == device_id
    assert not is_device_id(written)
    assert is_device_id(device_id)


def test_length_is_that_of_the_normalized_text() -> None:
    assert unicodedata.normalize("NFC", "\u0958") == "\u0915\u093c"  # one of the few that NFC makes longer
    with pytest.raises(DeviceIdError, match="has 130 characters"):
        parse_device_id("\u0958" * 65)


def test_text_far_too_long_is_refused_without_normalizing_it() -> None:
    with pytest.raises(DeviceIdError, match="has 1000000 characters"):
        parse_device_id("e\u0301" * 500_000)


@given(st.text(max_size=140) | st.text("ab/.+# é\u0301\u200b", max_size=12))
def test_valid_device_id_follows_each_part_of_the_rule(text: str) -> None:
    valid = is_device_id(text)
    assert valid == (
        1 <= len(text) <= 128
        and text.isprintable()
        and not re.search("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]", text)
        and not set("+#") & set(text)
        and text.strip(" ") == text
        and not {"", ".", ".."} & set(text.split("/"))
        and unicodedata.normalize("NFC", text) == text
    )
    assert not valid or re.search(DEVICE_ID_PATTERN, text)


@given(st.text(max_size=300))
def test_parsed_device_id_is_valid_and_stays_the_same(text: str) -> None:
    try:
        device_id = parse_device_id(text)
    except DeviceIdError:
        return
    assert is_device_id(device_id)
    assert parse_device_id(device_id) == device_id


@given(st.sampled_from(ACCEPTED), st.text(st.characters(), max_size=140) | st.sampled_from([text for text, _ in REFUSED]))
def test_part_of_a_device_has_a_device_id_whatever_it_is_called(device_id: str, part: str) -> None:
    assert is_device_id(part_id(device_id, part))
    assert is_device_id(hashed_part_id(device_id, part))


@given(st.text(max_size=140))
def test_command_id_has_plain_characters_only(text: str) -> None:
    allowed = set(string.ascii_letters + string.digits + "._:-")
    assert is_command_id(text) == (1 <= len(text) <= 128 and set(text) <= allowed and text not in (".", ".."))
    assert bool(re.search(COMMAND_ID_PATTERN.replace("$", r"\Z"), text)) == (
        is_command_id(text) or (len(text) > 128 and set(text) <= allowed)
    )


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
