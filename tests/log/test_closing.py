"""Which ranges are overdue."""

from __future__ import annotations

import pytest

from bridge.log.closing import CLOSE_LIMIT_SECONDS, CloseWatch
from bridge.log.order import CursorRange, Order

FIRST, SECOND = CursorRange(0, 1, 10, "a"), CursorRange(10, 11, 20, "b")
BOTH = Order(20, (FIRST, SECOND))


def test_a_range_is_overdue_once_it_was_seen_open_for_the_time() -> None:
    watch = CloseWatch(1.0)
    assert watch.observe(Order(10, (FIRST,)), 100.0, ()) == []
    assert watch.observe(BOTH, 100.5, ()) == []
    assert watch.observe(BOTH, 101.0, ()) == [FIRST]
    assert watch.observe(BOTH, 101.5, ()) == [FIRST, SECOND]


def test_a_range_in_use_is_never_overdue() -> None:
    watch = CloseWatch(1.0)
    assert watch.observe(BOTH, 0.0, {10}) == []
    assert watch.observe(BOTH, 9.0, {10}) == [SECOND]


def test_the_time_of_a_range_begins_when_it_is_no_longer_in_use() -> None:
    watch = CloseWatch(1.0)
    watch.observe(BOTH, 0.0, {10, 20})
    assert watch.observe(BOTH, 5.0, ()) == []
    assert watch.observe(BOTH, 6.0, ()) == [FIRST, SECOND]


def test_a_range_that_is_gone_is_forgotten() -> None:
    watch = CloseWatch(1.0)
    watch.observe(BOTH, 0.0, ())
    watch.observe(Order(20), 0.5, ())
    assert watch._first_seen == {}
    assert watch.observe(BOTH, 1.0, ()) == []


@pytest.mark.parametrize(
    ("writes", "seconds"),
    [
        ([], 1.0),
        ([0.1] * 100, 1.0),
        ([0.5], 2.0),
        ([0.01] * 98 + [0.5] * 2, 2.0),
        ([0.01] * 99 + [0.5], 1.0),
        ([0.5] * 100 + [0.01] * 500, 1.0),
        ([60.0], CLOSE_LIMIT_SECONDS),
    ],
)
def test_the_time_adapts_to_slow_writes(writes: list[float], seconds: float) -> None:
    watch = CloseWatch(1.0)
    for write in writes:
        watch.wrote(write)
    assert watch.close_seconds == pytest.approx(seconds)
    watch.observe(BOTH, 0.0, ())
    assert watch.observe(BOTH, seconds * 0.99, ()) == []
    assert watch.observe(BOTH, seconds * 1.01, ()) == [FIRST, SECOND]


def test_a_setting_above_the_limit_is_limited() -> None:
    assert CloseWatch(120.0).close_seconds == CLOSE_LIMIT_SECONDS
