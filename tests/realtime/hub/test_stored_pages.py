"""Pages of the store that clients share."""

from __future__ import annotations

import asyncio

import pytest

from bridge.core.errors import StoreUnavailable
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.realtime.hub import stored_pages
from bridge.realtime.hub.stored_pages import StoredPages
from tests.fakes import MemoryStore
from tests.realtime.parts import readings


class CountingStore(MemoryStore):
    """Counts its queries, which take some steps of the loop; raises `StoreUnavailable` while `unavailable`."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.by_id |= {record.id: record for record in readings(*range(1, count + 1))}
        self.queries = 0
        self.unavailable = False

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        self.queries += 1
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        found = await super().readings(query)
        await asyncio.sleep(0)
        return found


async def read_all(pages: StoredPages, until: int, *, start: int = 0, limit: int = 100) -> list[int]:
    """The cursors of all records, read page after page."""
    found: list[int] = []
    while start < until:
        records, end = await pages.read(None, start, until, limit)
        assert len(records) <= limit
        assert start < end <= until
        assert all(start < record.seq <= end for record in records)
        found += [record.seq for record in records]
        start = end
    return found


@pytest.mark.parametrize("limit", [1, 99, 100, 200, 201, 500])
@pytest.mark.parametrize(("start", "until"), [(0, 1000), (0, 1), (150, 151), (199, 401), (0, 1200)])
async def test_pages_hold_every_record_once(limit: int, start: int, until: int) -> None:
    pages = StoredPages(CountingStore(1000))
    await read_all(pages, 1000)
    assert await read_all(pages, until, start=start, limit=limit) == list(range(start + 1, min(until, 1000) + 1))


async def test_fifty_clients_at_about_the_same_offset_cost_one_query_each_page() -> None:
    store = CountingStore(2000)
    pages = StoredPages(store)
    found = await asyncio.gather(*(read_all(pages, 2000) for _ in range(50)))
    assert all(one == list(range(1, 2001)) for one in found)
    assert store.queries == 20


async def test_clients_of_other_devices_have_pages_of_their_own() -> None:
    pages = StoredPages(CountingStore(10))
    await read_all(pages, 10)
    records, end = await pages.read(("b",), 0, 10, 100)
    assert (list(records), end) == ([], 10)


async def test_page_that_was_read_before_a_change_is_not_used_after_it() -> None:
    store = CountingStore(10)
    pages = StoredPages(store)
    reading = asyncio.create_task(pages.read(None, 0, 10, 100))
    await asyncio.sleep(0)
    del store.by_id[next(one for one, record in store.by_id.items() if record.seq == 5)]
    pages.clear()
    await reading
    assert await read_all(pages, 10) == [1, 2, 3, 4, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("limit", [25, 100])
async def test_memory_has_a_limit_and_is_given_back(limit: int) -> None:
    pages, kept = StoredPages(CountingStore(20_000)), stored_pages._RECORDS_LIMIT // limit
    await read_all(pages, 20_000, limit=limit)
    assert len(pages) == kept
    for _ in range(stored_pages._UNUSED_TICKS):
        pages.tick()
    assert len(pages) == kept
    await pages.read(None, 19_999, 20_000, limit)
    pages.tick()
    assert len(pages) == 1


async def test_pages_without_records_are_limited_too() -> None:
    pages, kept = StoredPages(CountingStore(0)), stored_pages._RECORDS_LIMIT // stored_pages._PAGE_COST
    for cursor in range(kept + 10):
        await pages.read(("nobody",), cursor, cursor + 1, 100)
    assert len(pages) == kept


async def test_unavailable_store_is_asked_again() -> None:
    store = CountingStore(10)
    pages, store.unavailable = StoredPages(store), True
    with pytest.raises(StoreUnavailable):
        await pages.read(None, 0, 10, 100)
    store.unavailable = False
    assert await read_all(pages, 10) == list(range(1, 11))
