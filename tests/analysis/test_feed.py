"""The feed yields every stored reading once, in order, from the store and then from memory, and holds a bounded number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from bridge.analysis.feed import PAGE, ReadingFeed
from bridge.core.events import EntityEvent, Event
from bridge.core.readings.reading import Reading
from tests.analysis.faulty import readings
from tests.fakes import MemoryStore, RecordingPublisher
from tests.servers import until


class Consumer:
    def __init__(self, feed: ReadingFeed, after: int = 0) -> None:
        self._feed = feed
        self._after = after
        self.seqs: list[int] = []
        self.pages: list[int] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def run(self) -> None:
        async with aclosing(self._feed.pages(self._after)) as pages:
            async for page in pages:
                await self.may_go_on.wait()
                self.seqs += [one.seq for one in page]
                self.pages.append(len(page))


def feed_of(store: MemoryStore, limit: int = 20_000) -> ReadingFeed:
    feed = ReadingFeed(store, waiting_limit=limit)
    feed.next = RecordingPublisher()
    return feed


async def publish(store: MemoryStore, feed: ReadingFeed, events: Sequence[Event]) -> None:
    await store.write([one for one in events if isinstance(one, Reading)], [], [])
    feed.publish(events)


async def test_readings_come_from_the_store_then_from_memory_each_once_and_in_order() -> None:
    feed = feed_of(store := MemoryStore())
    stored = list(readings(3, range(500)))
    await publish(store, feed, stored[:700])
    consumer = Consumer(feed, 100)
    task = asyncio.create_task(consumer.run())
    for start in range(700, 1500, 40):
        await publish(store, feed, stored[start : start + 40])
        await asyncio.sleep(0)
    await until(lambda: len(consumer.seqs) == 1400 and feed.is_following, 5, "all readings")
    assert consumer.seqs == list(range(101, 1501))
    assert max(consumer.pages) <= PAGE
    assert feed.counts.dropped == 0
    task.cancel()


async def test_batch_that_is_larger_than_a_page_is_split() -> None:
    feed = feed_of(store := MemoryStore())
    consumer = Consumer(feed)
    task = asyncio.create_task(consumer.run())
    await until(lambda: feed.is_following, 5, "it follows")
    await publish(store, feed, list(readings(1, range(450))))
    await until(lambda: len(consumer.seqs) == 450, 5, "all readings")
    assert consumer.pages == [200, 200, 50]
    assert feed.counts.from_store == 0
    task.cancel()


async def test_readings_beyond_the_limit_are_dropped_counted_and_read_from_the_store() -> None:
    feed = feed_of(store := MemoryStore(), limit=100)
    consumer = Consumer(feed)
    task = asyncio.create_task(consumer.run())
    await until(lambda: feed.is_following, 5, "it follows")
    consumer.may_go_on.clear()
    stored = list(readings(1, range(600)))
    for start in range(0, 600, 30):
        await publish(store, feed, stored[start : start + 30])
        await asyncio.sleep(0)
    assert not feed.is_following
    assert 100 < feed.counts.dropped <= 130
    consumer.may_go_on.set()
    await until(lambda: len(consumer.seqs) == 600 and feed.is_following, 5, "all readings")
    assert consumer.seqs == list(range(1, 601))
    task.cancel()


async def test_nothing_is_kept_without_a_consumer() -> None:
    feed = feed_of(store := MemoryStore())
    await publish(store, feed, [*readings(1, range(10)), EntityEvent("sensor", "deleted", "d00")])
    assert (feed.newest, len(feed._batches), feed.take_deleted()) == (10, 0, [])


@pytest.mark.parametrize("is_dropped", [False, True])
async def test_deleted_devices_are_taken_once_also_after_a_drop(is_dropped: bool) -> None:
    feed = feed_of(store := MemoryStore(), limit=5 if is_dropped else 100)
    consumer = Consumer(feed)
    task = asyncio.create_task(consumer.run())
    await until(lambda: feed.is_following, 5, "it follows")
    deleted = EntityEvent("sensor", "deleted", "d00")
    await publish(store, feed, [*readings(1, range(10)), deleted, EntityEvent("sensor", "updated", "d01"), deleted])
    await until(lambda: len(consumer.seqs) == 10, 5, "all readings")
    assert feed.take_deleted() == ["d00"]
    assert feed.take_deleted() == []
    task.cancel()


async def test_second_consumer_is_refused_until_the_first_has_ended() -> None:
    feed = feed_of(MemoryStore())
    task = asyncio.create_task(Consumer(feed).run())
    await until(lambda: feed.is_following, 5, "it follows")
    with pytest.raises(RuntimeError, match="has a consumer"):
        await Consumer(feed).run()
    task.cancel()
    await asyncio.wait((task,))
    again = asyncio.create_task(Consumer(feed).run())
    await until(lambda: feed.is_following, 5, "it follows")
    again.cancel()
