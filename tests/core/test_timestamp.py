"""Timestamps: parsing, plausibility and writing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.timestamp import AHEAD_MS, EARLIEST_MS, MeasurementTime, iso, parse_time, resolve_time

NOW_MS = 1_767_000_000_000  # 2025-12-29T09:20:00Z
AT_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    ("raw", "milliseconds"),
    [
        ("2026-01-31T12:00:00Z", AT_MS),
        ("2026-01-31T12:00:00.000Z", AT_MS),
        ("2026-01-31T12:00:00.250Z", AT_MS + 250),
        ("2026-01-31T12:00:00.250999Z", AT_MS + 250),
        ("2026-01-31T12:00:00+00:00", AT_MS),
        ("2026-01-31T13:00:00+01:00", AT_MS),
        ("2026-01-31T06:30:00-05:30", AT_MS),
        ("2026-01-31T12:00:00", AT_MS),
        ("2026-01-31 12:00", AT_MS),
        ("  2026-01-31T12:00:00Z ", AT_MS),
        ("20260131T120000Z", AT_MS),
        ("2026-01-31", AT_MS - 12 * 3_600_000),
        (AT_MS // 1000, AT_MS),
        (AT_MS / 1000 + 0.25, AT_MS + 250),
        (float(AT_MS), AT_MS),
        (AT_MS, AT_MS),
        (AT_MS + 0.75, AT_MS),
        (str(AT_MS // 1000), AT_MS),
        (f"{AT_MS // 1000}.25", AT_MS + 250),
        (str(AT_MS), AT_MS),
        (0, 0),
        (AT_MS * 1000, AT_MS),
        (AT_MS * 1_000_000, AT_MS),
        (str(AT_MS * 1_000_000), AT_MS),
        ("2026/01/31 12:00:00", AT_MS),
        ("2026/01/31 13:00:00 +01:00", AT_MS),
        ("31.01.2026 12:00:00", AT_MS),
        ("2026-01-31T12:00:00Z\0", AT_MS),
    ],
)
def test_time_is_parsed(raw: object, milliseconds: int) -> None:
    assert parse_time(raw) == milliseconds


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            "now",
            "12:00",
            "31.13.2026",
            "2026/13/01 10:00",
            "01/31/2026",
            "2026-13-01",
            "2026-01-31T25:00:00Z",
            "1e9",
            "-1769860800",
            "12",
            "x" * 65,
            "٢٠٢٦-٠١-٣١",
        ),
        *(None, True, False, [], {}, -1, -0.5, 1e20, 10**21, float("nan"), float("inf"), float("-inf")),
    ],
    ids=repr,
)
def test_invalid_time_is_none(raw: object) -> None:
    assert parse_time(raw) is None


MOMENTS = st.integers(0, 4_102_444_800_000)


@given(MOMENTS)
def test_written_time_is_parsed_back_to_the_millisecond(milliseconds: int) -> None:
    assert parse_time(iso(milliseconds)) == milliseconds


@given(st.integers(EARLIEST_MS, 4_102_444_800_000))
def test_every_notation_of_one_moment_is_the_same_time(milliseconds: int) -> None:
    seconds = f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
    for raw in (milliseconds, milliseconds / 1000, str(milliseconds), seconds, iso(milliseconds)):
        assert parse_time(raw) == milliseconds


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-840, 840))  # noqa: DTZ001 - the zone is drawn too
def test_any_iso_time_is_parsed_to_the_millisecond(local: datetime, offset_minutes: int) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    local_ms = (local.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(local.replace(tzinfo=zone).isoformat()) == local_ms - offset_minutes * 60_000


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_any_value_is_a_time_or_none(raw: object) -> None:
    parsed = parse_time(raw)
    assert parsed is None or isinstance(parsed, int)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert iso(AT_MS) == "2026-01-31T12:00:00.000Z"
    assert iso(AT_MS + 7) == "2026-01-31T12:00:00.007Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"


def test_missing_time_becomes_the_time_of_receipt_without_an_issue() -> None:
    assert resolve_time(None, NOW_MS) == MeasurementTime(NOW_MS, None)


@pytest.mark.parametrize("own_ms", [EARLIEST_MS, NOW_MS - 1, NOW_MS, NOW_MS + AHEAD_MS])
def test_plausible_time_is_used(own_ms: int) -> None:
    assert resolve_time(own_ms, NOW_MS) == MeasurementTime(own_ms, own_ms)


def test_bounds_are_those_of_the_contract() -> None:
    assert iso(EARLIEST_MS) == "2020-01-01T00:00:00.000Z"
    assert AHEAD_MS == 300_000


def test_time_of_an_unset_clock_is_not_used() -> None:
    assert resolve_time(EARLIEST_MS - 1, NOW_MS) == MeasurementTime(NOW_MS, None, EARLIEST_MS - 1, "before 2020-01-01")
    assert resolve_time("1970-01-01T00:00:42Z", NOW_MS) == MeasurementTime(
        NOW_MS, None, "1970-01-01T00:00:42Z", "before 2020-01-01"
    )
    assert resolve_time(0, NOW_MS) == MeasurementTime(NOW_MS, None, 0, "before 2020-01-01")


def test_time_too_far_ahead_is_not_used_but_identifies_the_record() -> None:
    ahead = NOW_MS + AHEAD_MS + 1
    assert resolve_time(ahead, NOW_MS) == MeasurementTime(NOW_MS, ahead, ahead, "more than 5 minutes ahead")


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("soon", "soon"),
        ("zwölf", "zw\\xf6lf"),
        (True, "True"),
        ([1, 2], "list"),
        ({"a": 1}, "dict"),
        (2**70, str(2**70)),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (-1, -1),
        (-0.5, -0.5),
    ],
    ids=repr,
)
def test_invalid_time_is_stored_in_a_form_every_store_accepts(raw: object, stored: object) -> None:
    assert resolve_time(raw, NOW_MS) == MeasurementTime(NOW_MS, None, stored, "not a time")  # type: ignore[arg-type]


def test_long_device_timestamp_is_cut() -> None:
    stored = resolve_time("x" * 10_000, NOW_MS).device_timestamp
    assert isinstance(stored, str)
    assert len(stored) == 64
