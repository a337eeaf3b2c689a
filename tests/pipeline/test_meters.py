"""Writes are measured while they last, when they fail and when they succeed; the event loop is measured too."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import StoreUnavailable
from bridge.core.query import WriteResult
from bridge.pipeline.meters import Histogram, LoopDelay, WriteMeter
from tests.servers import until

BOUNDS = (0.1, 1.0, 10.0)


def test_bucket_includes_its_upper_bound_and_the_last_one_has_none() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0.1, 0.11, 1.0, 10.0, 10.1, 1e9):
        histogram.observe(value)
    assert histogram.cumulative() == [(0.1, 1), (1.0, 3), (10.0, 4), (inf, 6)]
    assert histogram.sum == 0.1 + 0.11 + 1.0 + 10.0 + 10.1 + 1e9


@given(st.lists(st.floats(0, 100)))
def test_cumulative_counts_are_the_numbers_of_values_not_above_each_bound(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    assert histogram.cumulative() == [(bound, bisect_right(sorted(values), bound)) for bound in (*BOUNDS, inf)]
    assert histogram.count == len(values)


class SlowStore:
    """Takes `seconds` for a write, by a clock that it moves itself; unavailable while `fails`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seconds = 0.0
        self.fails = False
        self.pending: list[float] = []
        self.meter = WriteMeter(self, clock=lambda: self.now)

    async def write(self, *_: object) -> WriteResult:
        self.now += self.seconds
        self.pending.append(self.meter.pending_seconds)
        if self.fails:
            raise StoreUnavailable("the disk is full")
        return WriteResult()


async def test_successful_write_is_counted_with_its_duration() -> None:
    store = SlowStore()
    store.seconds = 0.03
    await store.meter.write((), (), ())
    assert store.meter.seconds.cumulative()[3:6] == [(0.01, 0), (0.025, 0), (0.05, 1)]
    assert (store.meter.seconds.count, store.meter.readings.count, store.meter.failures) == (1, 1, 0)
    assert store.meter.seconds.sum == pytest.approx(0.03)


async def test_failed_writes_are_counted_apart_and_the_batch_stays_pending_until_it_is_stored() -> None:
    store = SlowStore()
    store.seconds, store.fails = 2.0, True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.meter.write((), (), ())
        store.now += 1.0
    assert (store.meter.failures, store.meter.seconds.count, store.meter.pending_seconds) == (2, 0, 6.0)
    store.fails = False
    await store.meter.write((), (), ())
    assert store.pending == [2.0, 5.0, 8.0]
    assert (store.meter.pending_seconds, store.meter.seconds.sum) == (0.0, 2.0)


async def test_event_loop_that_is_blocked_is_late_by_that_time() -> None:
    delay = LoopDelay(period_seconds=0.01)
    running = asyncio.create_task(delay.run(), name="loop delay")
    try:
        await until(lambda: delay.seconds.count > 0, what="a first measurement")
        before = delay.seconds.sum
        time.sleep(0.3)  # noqa: ASYNC251 - this blocks the loop, which is the point
        await until(lambda: delay.seconds.sum - before > 0.25, seconds=5, what="a delay of 0.25 s or more")
    finally:
        running.cancel()
