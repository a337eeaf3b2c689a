"""Writing readings under cursors of a shared log, in a real database whose answers are lost or late."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pymongo
import pytest

from bridge.cluster.shared_writer import FINISH_SECONDS, NoCursor, SharedWriter
from bridge.core.errors import OrderError, StoreUnavailable
from bridge.core.readings.reading import Reading
from bridge.log.order import CursorRange
from bridge.pipeline.intake import LARGE
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.cluster.shared_log import FaultyLog, FaultyWriter, log_of, readings, seqs, stored
from tests.servers import until


@dataclass
class Bridge:
    """A bridge that writes, and what it has announced."""

    store: FaultyWriter
    log: FaultyLog
    writer: SharedWriter
    name: str
    waiting: list[int]
    announced: list[tuple[CursorRange, list[Reading]]] = field(default_factory=list)

    async def write(self, batch: list[Reading]) -> None:
        result = await self.writer.write(batch, [], [])
        assert result.stored == {one.seq for one in batch}

    async def write_until_stored(self, batch: list[Reading]) -> None:
        """As the pipeline does."""
        while True:
            with suppress(StoreUnavailable):
                return await self.write(batch)

    def records(self) -> list[Reading]:
        """What it has announced, of all ranges in the order of the log."""
        in_order = sorted(self.announced, key=lambda one: one[0].low)
        assert len({taken.low for taken, _ in in_order}) == len(in_order), "a range was announced twice"
        return [reading for _, found in in_order for reading in found]


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        await store.prepare()
        await log_of(store).prepare()
        yield store


def bridge_of(store: Store) -> Bridge:
    faulty_store, log, name, waiting = FaultyWriter(store), FaultyLog(log_of(store)), secrets.token_hex(8), [0]
    bridge = Bridge(faulty_store, log, SharedWriter(faulty_store, log, name, lambda: waiting[0]), name, waiting)
    bridge.writer.on_written = lambda taken, found: bridge.announced.append((taken, found))
    return bridge


@pytest.fixture
def bridge(store: Store) -> Bridge:
    return bridge_of(store)


@asynccontextmanager
async def running(bridge: Bridge) -> AsyncIterator[None]:
    task = asyncio.create_task(bridge.writer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def no_open_ranges(store: Store) -> bool:
    return not (await log_of(store).order()).open


# --- writing ---------------------------------------------------------------------------------------------------------------


async def test_batch_is_written_in_its_order_under_one_range_and_announced_when_it_is_stored(
    store: Store, bridge: Bridge
) -> None:
    batch = readings(5)
    await bridge.write(batch)
    assert seqs(batch) == list(range(batch[0].seq, batch[0].seq + 5))
    assert await stored(store) == batch
    [(taken, announced)] = bridge.announced
    assert (taken.previous, taken.low, taken.high, taken.bridge) == (0, batch[0].seq, batch[-1].seq, bridge.name)
    assert announced == batch


async def test_batch_without_readings_takes_no_range(store: Store, bridge: Bridge) -> None:
    await bridge.writer.write([], [], [])
    assert (await log_of(store).order()).last == bridge.log.hand_outs == 0


async def test_cursor_of_the_pipeline_gives_none() -> None:
    assert NoCursor().next(5) == 0


async def test_duplicates_are_not_announced(store: Store, bridge: Bridge) -> None:
    first, again = readings(2), readings(3)
    await bridge.write(first)
    again[1].id = first[0].id
    result = await bridge.writer.write(again, [], [])
    assert result.stored == {again[0].seq, again[2].seq}
    assert bridge.announced[-1][1] == [again[0], again[2]]
    assert await stored(store) == [*first, again[0], again[2]]


async def test_ranges_of_two_bridges_form_one_chain(store: Store, bridge: Bridge) -> None:
    other = bridge_of(store)
    for _ in range(5):
        await asyncio.gather(bridge.write(readings(3)), other.write(readings(2, "b")))
    ranges = sorted((taken for taken, _ in bridge.announced + other.announced), key=lambda taken: taken.low)
    assert [taken.previous for taken in ranges] == [0, *(taken.high for taken in ranges[:-1])]
    assert len(await stored(store)) == 25


async def test_range_is_finished_with_the_next_one(store: Store, bridge: Bridge) -> None:
    await bridge.write(readings(2))
    [done] = (await log_of(store).order()).open
    assert bridge.writer.in_use() == {done.high}
    await bridge.write(readings(2))
    [last] = (await log_of(store).order()).open
    assert last.previous == done.high
    assert bridge.writer.in_use() == {last.high}


async def test_range_is_finished_when_no_more_readings_come(store: Store, bridge: Bridge) -> None:
    async with running(bridge):
        await bridge.write(readings(2))
        await until(lambda: no_open_ranges(store), 5, "no open ranges")
        await until(lambda: not bridge.writer.in_use(), 5, "nothing in use")


async def test_ranges_of_writes_that_follow_each_other_are_finished_without_calls_of_their_own(
    store: Store, bridge: Bridge
) -> None:
    async with running(bridge):
        begun = time.monotonic()
        while time.monotonic() < begun + 10 * FINISH_SECONDS:
            await bridge.write(readings(1))
        assert bridge.log.finishes == 0
        await until(lambda: no_open_ranges(store), 5, "no open ranges")


# --- failures --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [["before"], ["after"], ["before", "after", "before"]])
async def test_write_that_failed_is_repeated_under_the_same_cursors(store: Store, bridge: Bridge, failures: list[str]) -> None:
    batch = readings(4)
    bridge.store.failures = failures
    with pytest.raises(StoreUnavailable):
        await bridge.write(batch)
    cursors = seqs(batch)
    [open_range] = (await log_of(store).order()).open
    assert bridge.writer.in_use() == {open_range.high}, "a range that may have been written was given up"
    assert bridge.announced == []
    await bridge.write_until_stored(batch)
    assert seqs(batch) == cursors
    assert bridge.log.hand_outs == 1
    assert bridge.records() == await stored(store) == batch


async def test_lost_answer_of_a_hand_out_is_found_with_the_next_one_and_its_range_given_back(
    store: Store, bridge: Bridge
) -> None:
    batch = readings(3)
    bridge.log.lost = 1
    with pytest.raises(StoreUnavailable):
        await bridge.write(batch)
    assert seqs(batch) == [0, 0, 0]
    await bridge.write(batch)
    lost, used = bridge.announced
    assert (lost[0].count, lost[1]) == (3, [])
    assert used[1] == batch
    await bridge.writer.finish()
    assert await no_open_ranges(store)
    assert await stored(store) == batch


async def test_lost_answer_is_not_taken_for_a_range_of_another_bridge(store: Store, bridge: Bridge) -> None:
    other = bridge_of(store)
    other.store.failures = ["before"]
    with pytest.raises(StoreUnavailable):
        await other.write(batch := readings(2, "b"))
    await bridge.write(readings(2))
    assert len(bridge.announced) == 1
    await other.write(batch)
    assert other.records() == batch


async def test_batch_of_which_only_a_part_has_cursors_gets_the_others(store: Store, bridge: Bridge) -> None:
    batch = readings(10_005)
    hand_out = bridge.log.hand_out
    calls = 0

    async def second_is_lost(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        bridge.log.lost = int(calls == 2)
        return await hand_out(*arguments)  # type: ignore[arg-type]

    bridge.log.hand_out = second_is_lost  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await bridge.write(batch)
    assert seqs(batch).count(0) == 5
    await bridge.write(batch)
    assert bridge.records() == batch
    assert await stored(store) == batch
    await bridge.writer.finish()
    assert await no_open_ranges(store)


async def test_damaged_order_ends_the_write(bridge: Bridge, database: pymongo.database.Database[dict[str, object]]) -> None:
    """And is no outage of the store, which a bridge waits for."""
    database["order"].update_one({}, {"$set": {"last": "7"}})
    with pytest.raises(OrderError, match="the order of cursors is damaged: last is 7"):
        await bridge.write(readings(1))


# --- closed ranges ---------------------------------------------------------------------------------------------------------


async def test_readings_of_a_range_that_was_closed_are_written_again_elsewhere(store: Store, bridge: Bridge) -> None:
    batch = readings(4)
    bridge.store.gate = asyncio.Event()
    writing = asyncio.create_task(bridge.write(batch))
    await bridge.store.begun.wait()
    [taken] = (await log_of(store).order()).open
    await log_of(store).close(taken)
    bridge.store.gate.set()
    await writing
    assert bridge.writer.counts.rewritten == 4
    assert all(one.seq > taken.high for one in batch)
    closed, used = bridge.announced
    assert (closed, used[1]) == ((taken, []), batch)
    assert await stored(store) == batch


async def test_range_that_was_closed_after_a_part_of_it_was_stored_is_announced_with_that_part(
    store: Store, bridge: Bridge
) -> None:
    batch = readings(4)
    bridge.store.failures = ["before"]
    with pytest.raises(StoreUnavailable):
        await bridge.write(batch)
    await store.write(batch[1:3], [], [])
    [taken] = (await log_of(store).order()).open
    await log_of(store).close(taken)
    await bridge.write(batch)
    closed, used = bridge.announced
    assert closed == (taken, batch[1:3])
    assert used[1] == [batch[0], batch[3]]
    assert await stored(store) == [*batch[1:3], batch[0], batch[3]]


async def test_rewrite_that_fails_is_repeated_and_each_reading_is_announced_once(store: Store, bridge: Bridge) -> None:
    batch = readings(4)
    bridge.store.failures = ["before", "", "after", "", "before"]
    with pytest.raises(StoreUnavailable):
        await bridge.write(batch)
    await store.write(batch[:1], [], [])
    [taken] = (await log_of(store).order()).open
    await log_of(store).close(taken)
    with pytest.raises(StoreUnavailable):  # everything was rewritten, and the answer was lost
        await bridge.write(batch)
    await bridge.write_until_stored(batch)
    assert sorted(seqs(bridge.records())) == sorted(seqs(batch))
    assert await stored(store) == bridge.records()


async def test_range_that_is_closed_again_and_again_is_written_in_the_end(store: Store, bridge: Bridge) -> None:
    batch = readings(2)
    bridge.store.gate = asyncio.Event()
    writing = asyncio.create_task(bridge.write(batch))
    for _ in range(3):
        await bridge.store.begun.wait()
        bridge.store.begun.clear()
        for taken in (await log_of(store).order()).open:
            await log_of(store).close(taken)
        gate, bridge.store.gate = bridge.store.gate, asyncio.Event()
        gate.set()
    await bridge.store.begun.wait()
    bridge.store.gate.set()
    await writing
    assert bridge.writer.counts.rewritten == 6
    assert bridge.records() == await stored(store) == batch


# --- ranges ahead ----------------------------------------------------------------------------------------------------------


async def test_range_is_taken_ahead_while_readings_wait_and_used_for_them(store: Store, bridge: Bridge) -> None:
    bridge.waiting[0] = 3
    bridge.store.gate = asyncio.Event()
    first, second = readings(2), readings(3)
    writing = asyncio.create_task(bridge.write(first))
    await bridge.store.begun.wait()
    await until(lambda: bridge.log.hand_outs == 2, 5, "a range ahead")
    bridge.store.gate.set()
    await writing
    bridge.waiting[0] = 0
    await bridge.write(second)
    assert (bridge.log.hand_outs, bridge.writer.counts.ahead) == (2, 1)
    assert bridge.records() == await stored(store) == [*first, *second]


async def test_range_ahead_that_is_too_small_or_too_large_is_used(store: Store, bridge: Bridge) -> None:
    sizes, batches = [4, 1, 9 + LARGE, 2], list[Reading]()
    for size in sizes:
        bridge.waiting[0] = 3
        await bridge.write(batch := readings(size))
        batches += batch
    bridge.waiting[0] = 0
    await bridge.writer.close()
    assert await stored(store) == bridge.records() == batches
    assert await no_open_ranges(store)


async def test_range_that_was_taken_ahead_and_is_not_needed_is_finished(store: Store, bridge: Bridge) -> None:
    async with running(bridge):
        bridge.waiting[0] = 7
        await bridge.write(batch := readings(2))
        bridge.waiting[0] = 0
        await until(lambda: no_open_ranges(store), 5, "no open ranges")
    assert [(taken.count, found) for taken, found in bridge.announced] == [(2, batch), (7 + LARGE, [])]
    await bridge.write(later := readings(1))
    assert await stored(store) == [*batch, *later]


async def test_range_ahead_that_comes_after_the_last_write_is_finished(store: Store, bridge: Bridge) -> None:
    bridge.waiting[0] = 7
    bridge.store.gate, bridge.log.hand_out_gate = asyncio.Event(), asyncio.Event()
    bridge.log.hand_out_gate.set()
    async with running(bridge):
        writing = asyncio.create_task(bridge.write(batch := readings(2)))
        await bridge.store.begun.wait()
        bridge.log.hand_out_gate.clear()
        bridge.waiting[0] = 0
        bridge.store.gate.set()
        await writing
        await until(lambda: bridge.writer.in_use() == set(), 5, "the range that was written is finished")
        bridge.log.hand_out_gate.set()
        await until(lambda: no_open_ranges(store), 5, "no open ranges")
    assert [(taken.count, found) for taken, found in bridge.announced] == [(2, batch), (7 + LARGE, [])]


async def test_lost_answer_of_a_range_ahead_fails_the_next_write_and_then_it_is_given_back(
    store: Store, bridge: Bridge
) -> None:
    bridge.waiting[0] = 3
    bridge.store.gate = asyncio.Event()
    first, second = readings(2), readings(3)
    writing = asyncio.create_task(bridge.write(first))
    await bridge.store.begun.wait()
    bridge.log.lost = 1
    await until(lambda: bridge.log.hand_outs == 2 and not bridge.log.lost, 5, "the range ahead")
    bridge.waiting[0] = 0
    bridge.store.gate.set()
    await writing
    await bridge.write_until_stored(second)
    await bridge.writer.close()
    assert await no_open_ranges(store)
    assert bridge.records() == await stored(store) == [*first, *second]


async def test_range_that_is_finished_while_another_is_taken_is_not_announced_again(store: Store, bridge: Bridge) -> None:
    """The answer of the hand-out lists the range as open, and arrives after that of the call that has finished it."""
    bridge.waiting[0] = 3
    await bridge.write(first := readings(2))
    assert bridge.writer._ahead is not None
    await bridge.writer._ahead
    bridge.log.hand_out_gate = asyncio.Event()
    await bridge.write(second := readings(2))  # takes a range ahead, whose answer is late
    await until(lambda: bridge.log.hand_outs == 3, 5, "the hand-out")
    await bridge.writer.finish()
    bridge.waiting[0] = 0
    bridge.log.hand_out_gate.set()
    await bridge.writer._ahead
    await bridge.writer.close()
    assert bridge.records() == await stored(store) == [*first, *second]


# --- end -------------------------------------------------------------------------------------------------------------------


async def test_stop_leaves_no_open_range(store: Store, bridge: Bridge) -> None:
    bridge.waiting[0] = 5
    await bridge.write(readings(2))
    await bridge.writer.close()
    assert await no_open_ranges(store)
    assert bridge.writer.in_use() == set()


async def test_stop_without_the_store_ends(bridge: Bridge) -> None:
    bridge.waiting[0] = 5
    await bridge.write(readings(2))
    bridge.log.unavailable = True
    async with asyncio.timeout(3):
        await bridge.writer.close()


async def test_ranges_are_finished_once_the_store_is_available_again(store: Store, bridge: Bridge) -> None:
    bridge.waiting[0] = 4
    async with running(bridge):
        await bridge.write(readings(2))
        bridge.waiting[0] = 0
        bridge.log.unavailable = True
        await until(lambda: bridge.log.refused, 5, "a call that failed")
        assert bridge.writer.in_use()
        bridge.log.unavailable = False
        await until(lambda: no_open_ranges(store), 5, "no open ranges")


async def test_writer_of_a_command_leaves_no_open_range_and_its_readings_are_not_published(store: Store) -> None:
    writer, cursor = await SharedWriter.for_command(store, "import")
    batch = readings(3)
    for one in batch:
        one.seq = cursor.next(1)
    result = await writer.write(batch, [], [])
    assert result.stored == set(seqs(batch))
    assert await no_open_ranges(store)
    assert await stored(store) == []
    assert len(await store.latest()) == 1


async def test_writer_of_a_command_in_a_database_without_a_cluster_takes_no_ranges(mongo_url: str) -> None:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        writer, cursor = await SharedWriter.for_command(store, "import")
        [one] = readings(1)
        one.seq = cursor.next(7)
        assert (await writer.write([one], [], [])).stored == {7}
