"""Following a log in a real database: announcements that get lost, ranges that nobody finishes, a store that fails."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pymongo
import pytest

from bridge.cluster.log_reader import LogReader
from bridge.cluster.shared_writer import SharedWriter
from bridge.core.errors import StoreError, StoreUnavailable
from bridge.core.readings.reading import Reading
from bridge.log.closing import CloseWatch
from bridge.log.follower import Announcement
from bridge.log.order import CursorRange
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.cluster.shared_log import FaultyLog, FaultyWriter, log_of, readings, stored
from tests.servers import until


@dataclass
class Reader:
    """A bridge that reads, and what it has delivered."""

    log: FaultyLog
    reader: LogReader
    delivered: list[Reading] = field(default_factory=list)


@dataclass
class Writer:
    """A bridge that writes; its announcements reach the readers in `readers`."""

    store: FaultyWriter
    log: FaultyLog
    writer: SharedWriter
    readers: list[Reader] = field(default_factory=list)

    def announce(self, taken: CursorRange, found: list[Reading]) -> None:
        for reader in self.readers:
            reader.reader.offer(Announcement(taken.previous, taken.high, found))

    async def write(self, batch: list[Reading]) -> list[Reading]:
        await self.writer.write(batch, [], [])
        return batch


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        await store.prepare()
        await log_of(store).prepare()
        yield store


def writer_of(store: Store, *readers: Reader) -> Writer:
    faulty, log = FaultyWriter(store), FaultyLog(log_of(store))
    writer = Writer(faulty, log, SharedWriter(faulty, log, secrets.token_hex(8), lambda: 0), list(readers))
    writer.writer.on_written = writer.announce
    return writer


def reader_of(store: Store, close_seconds: float = 2.0, in_use: SharedWriter | None = None) -> Reader:
    log, delivered = FaultyLog(log_of(store)), list[Reading]()
    watch = CloseWatch(close_seconds)
    used = (lambda: set[int]()) if in_use is None else in_use.in_use
    return Reader(log, LogReader(log, watch, delivered.extend, used), delivered)


@asynccontextmanager
async def running(*readers: Reader) -> AsyncIterator[None]:
    """Begun, and reading."""
    for reader in readers:
        await reader.reader.begin()
    tasks = [asyncio.create_task(reader.reader.run()) for reader in readers]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def has_delivered(reader: Reader, count: int) -> None:
    await until(lambda: len(reader.delivered) >= count, 10, f"{count} readings")


# --- beginning -------------------------------------------------------------------------------------------------------------


async def test_reader_begins_after_the_last_range_that_is_final(store: Store) -> None:
    writer, reader = writer_of(store), reader_of(store)
    assert await reader.reader.begin() == 0
    first = await writer.write(readings(3))
    assert await reader.reader.begin() == 0, "the range is open"
    await writer.writer.finish()
    assert await reader.reader.begin() == reader.reader.delivered == first[-1].seq


async def test_reader_that_begins_while_a_range_is_open_delivers_it(store: Store) -> None:
    writer, reader = writer_of(store), reader_of(store)
    earlier = await writer.write(readings(1))
    batch = await writer.write(readings(3))
    async with running(reader):
        await writer.writer.finish()
        await has_delivered(reader, 3)
    assert reader.delivered == batch
    assert earlier[0].seq < batch[0].seq


async def test_announcement_before_the_beginning_is_read_from_the_store(store: Store) -> None:
    reader = reader_of(store)
    writer = writer_of(store, reader)
    batch = await writer.write(readings(2))
    assert reader.delivered == []
    async with running(reader):
        await writer.writer.finish()
        await has_delivered(reader, 2)
    assert reader.delivered == batch


async def test_reader_of_a_database_that_is_not_prepared_says_so(mongo_url: str) -> None:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        with pytest.raises(StoreError, match="not prepared for a cluster"):
            await reader_of(store).reader.begin()


# --- announcements ---------------------------------------------------------------------------------------------------------


async def test_announced_readings_are_delivered_without_reading_the_store(store: Store) -> None:
    reader = reader_of(store)
    writer = writer_of(store, reader)
    await reader.reader.begin()
    batches = [await writer.write(readings(3)) for _ in range(4)]
    assert reader.delivered == [one for batch in batches for one in batch]
    assert reader.reader.from_store == 0
    assert reader.reader.announcements() == {"taken": 4, "old": 0, "dropped": 0}


async def test_readings_whose_announcement_is_lost_are_read_from_the_store_in_order(store: Store) -> None:
    reader = reader_of(store)
    writer = writer_of(store)
    async with running(reader):
        first = await writer.write(readings(3))
        writer.readers = [reader]
        second = await writer.write(readings(3))
        await writer.writer.finish()
        await has_delivered(reader, 6)
    assert reader.delivered == [*first, *second]
    assert reader.reader.from_store >= 3


async def test_readings_without_any_announcement_are_read_from_the_store(store: Store) -> None:
    writer, reader = writer_of(store), reader_of(store)
    async with running(reader):
        batches = [await writer.write(readings(3)) for _ in range(4)]
        await writer.writer.finish()
        await has_delivered(reader, 12)
    assert reader.delivered == [one for batch in batches for one in batch]


async def test_many_readings_are_read_in_pages(store: Store) -> None:
    writer, reader = writer_of(store), reader_of(store)
    await reader.reader.begin()
    batches = [await writer.write(readings(700)) for _ in range(3)]
    await writer.writer.finish()
    async with running_again(reader):
        await has_delivered(reader, 2100)
    assert reader.delivered == [one for batch in batches for one in batch]


@asynccontextmanager
async def running_again(reader: Reader) -> AsyncIterator[None]:
    """As `running`, from where it was."""
    task = asyncio.create_task(reader.reader.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_readers_deliver_the_same_whatever_the_bus_loses_repeats_and_reorders(store: Store) -> None:
    """Two bridges write at once; each reader's bus has its own faults."""
    readers = [reader_of(store) for _ in range(3)]
    writers = [writer_of(store), writer_of(store)]
    chance = random.Random(7)
    late: list[tuple[Reader, Announcement[Reading]]] = []

    def announce(taken: CursorRange, found: list[Reading]) -> None:
        for reader in readers:
            late.extend([(reader, Announcement(taken.previous, taken.high, found))] * chance.choice([0, 1, 1, 2]))
        while len(late) > 6:
            reader, announcement = late.pop(chance.randrange(len(late)))
            reader.reader.offer(announcement)

    for writer in writers:
        writer.writer.on_written = announce
    async with running(*readers):
        finishing = [asyncio.create_task(writer.writer.run()) for writer in writers]
        for _ in range(30):
            await asyncio.gather(*(writer.write(readings(chance.randrange(1, 20))) for writer in writers))
        expected = await stored(store)
        for reader in readers:
            await has_delivered(reader, len(expected))
            assert reader.delivered == expected
        for task in finishing:
            task.cancel()


# --- ranges that nobody finishes -------------------------------------------------------------------------------------------


async def test_range_of_a_dead_bridge_is_closed_and_later_readings_are_delivered(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    reader = reader_of(store)
    writer = writer_of(store, reader)
    await log_of(store).hand_out(5, "d" * 16, [])
    async with running(reader):
        batch = await writer.write(readings(3))
        assert reader.delivered == []
        await writer.writer.finish()
        await has_delivered(reader, 3)
    assert reader.delivered == batch
    assert reader.reader.counts.closed == 1
    assert "a range of 5 cursors of bridge dddddddddddddddd was not finished in time and is closed" in caplog.text


async def test_readings_of_a_dead_bridge_that_were_stored_are_delivered_when_its_range_is_closed(store: Store) -> None:
    reader = reader_of(store)
    _, taken = await log_of(store).hand_out(5, "d" * 16, [])
    batch = readings(2)
    batch[0].seq, batch[1].seq = taken.low + 1, taken.high
    await store.write(batch, [], [])
    async with running(reader):
        await has_delivered(reader, 2)
        assert (await log_of(store).order()).open == ()
    assert reader.delivered == batch


async def test_range_that_this_bridge_writes_into_is_not_closed_however_long_it_takes(store: Store) -> None:
    writer = writer_of(store)
    reader = reader_of(store, 0.05, in_use=writer.writer)
    writer.readers = [reader]
    writer.store.gate = asyncio.Event()
    async with running(reader):
        writing = asyncio.create_task(writer.write(readings(2)))
        await writer.store.begun.wait()
        reads = reader.log.orders
        await until(lambda: reader.log.orders > reads + 2, 10, "some reads of the order")
        assert reader.reader.counts.closed == 0
        writer.store.gate.set()
        batch = await writing
    assert reader.delivered == batch


async def test_range_that_this_bridge_took_and_does_not_know_of_is_closed(store: Store) -> None:
    """The answer of the hand-out was lost, and no further readings came."""
    writer = writer_of(store)
    reader = reader_of(store, 0.1, in_use=writer.writer)
    writer.log.lost = 1
    with pytest.raises(StoreUnavailable):
        await writer.write(readings(2))
    async with running(reader):
        await until(lambda: reader.reader.counts.closed, 10, "the range is closed")
    assert (await log_of(store).order()).open == ()


async def test_readings_that_are_rewritten_after_their_range_was_closed_are_delivered_once_by_every_reader(
    store: Store,
) -> None:
    readers = [reader_of(store, 1.0), reader_of(store, 1.5)]
    writer = writer_of(store, *readers)
    writer.store.gate = asyncio.Event()
    async with running(*readers):
        writing = asyncio.create_task(writer.write(readings(4)))
        await until(lambda: any(one.reader.counts.closed for one in readers), 10, "the range is closed")
        writer.store.gate.set()
        batch = await writing
        await writer.writer.finish()
        for reader in readers:
            await has_delivered(reader, 4)
            assert reader.delivered == batch
    assert writer.writer.counts.rewritten == 4


# --- a store that fails ----------------------------------------------------------------------------------------------------


async def test_reader_goes_on_when_the_store_is_available_again(store: Store) -> None:
    writer, reader = writer_of(store), reader_of(store)
    async with running(reader):
        reader.log.unavailable = True
        batch = await writer.write(readings(3))
        await writer.writer.finish()
        await until(lambda: reader.reader.counts.failed >= 2, 10, "failed reads")
        reader.log.unavailable = False
        await has_delivered(reader, 3)
    assert reader.delivered == batch


async def test_damaged_order_is_logged_once_and_read_again(
    store: Store, database: pymongo.database.Database[dict[str, object]], caplog: pytest.LogCaptureFixture
) -> None:
    writer, reader = writer_of(store), reader_of(store)
    async with running(reader):
        batch = await writer.write(readings(3))
        await writer.writer.finish()
        [before] = database["order"].find()
        database["order"].update_one({}, {"$set": {"last": "7"}})
        await until(lambda: reader.reader.counts.failed >= 2, 10, "failed reads")
        database["order"].replace_one({}, before)
        await has_delivered(reader, 3)
    assert reader.delivered == batch
    assert caplog.text.count("the order of cursors is damaged") == 1
