"""Pages of the log as they were read from the store, shared by the clients that read the same part of it within seconds.

After a burst many clients lag at about the same offset, and after a restart many resume there. With a query for each, 49
clients at 5,000 records/s took 97 % of a core; so they take 35 %.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from bridge.core.query import ReadingsQuery
from bridge.ports import ReadingStore
from bridge.realtime.hub.encoding import Publication

_RECORDS_LIMIT = 6400
"""About 8 MB with the messages of one protocol."""

_PAGE_COST = 25
"""The fewest records that a page counts as. It limits the number of pages, which are searched one by one."""

_UNUSED_TICKS = 100
_CONCURRENT_QUERIES = 4  # a thousand clients that reconnect together must not keep the store from writing
_cursor = attrgetter("seq")

Devices = tuple[str, ...] | None


@dataclass(slots=True)
class StoredPage:
    """All records of some devices (None: all) in (`after`, `until`], by cursor."""

    devices: Devices
    after: int
    until: int
    records: Sequence[Publication]
    unused_ticks: int = field(default=0)


class StoredPages:
    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self._pages: list[StoredPage] = []
        """The one used last is the last."""
        self._locks = tuple(asyncio.Lock() for _ in range(_CONCURRENT_QUERIES))
        self._changes = 0

    def __len__(self) -> int:
        return len(self._pages)

    async def read(self, devices: Devices, cursor: int, until: int, limit: int) -> tuple[Sequence[Publication], int]:
        """Return at most `limit` records of these devices in (`cursor`, `until`], and the cursor up to which there are no more.

        Raises `StoreUnavailable`.
        """
        page = self._find(devices, cursor)
        if page is None:
            async with self._locks[hash((devices, cursor)) % _CONCURRENT_QUERIES]:
                page = self._find(devices, cursor) or await self._read(devices, cursor, until, limit)
        start = bisect_right(page.records, cursor, key=_cursor)
        end = min(start + limit, bisect_right(page.records, until, key=_cursor))
        has_more = end < len(page.records) and page.records[end].seq <= until
        return page.records[start:end], page.records[end - 1].seq if has_more else min(page.until, until)

    def _find(self, devices: Devices, cursor: int) -> StoredPage | None:
        for index in reversed(range(len(self._pages))):
            page = self._pages[index]
            if page.after <= cursor < page.until and page.devices == devices:
                self._pages.append(self._pages.pop(index))
                page.unused_ticks = 0
                return page
        return None

    async def _read(self, devices: Devices, cursor: int, until: int, limit: int) -> StoredPage:
        changes = self._changes
        stored = await self._store.readings(ReadingsQuery(devices, since=cursor, until=until, limit=limit))
        end = stored[-1].seq if len(stored) == limit else until
        page = StoredPage(devices, cursor, end, [Publication(reading) for reading in stored])
        if changes == self._changes:
            self._pages.append(page)
            self._limit()
        return page

    def _limit(self) -> None:
        """Forget the pages used longest ago, beyond the limit."""
        excess = sum(max(len(page.records), _PAGE_COST) for page in self._pages) - _RECORDS_LIMIT
        while excess > 0:
            excess -= max(len(self._pages.pop(0).records), _PAGE_COST)

    def clear(self) -> None:
        """Forget all pages: a record was changed or removed."""
        self._changes += 1
        self._pages.clear()

    def tick(self) -> None:
        """Forget the pages that were not used for some time. Called periodically."""
        for page in self._pages:
            page.unused_ticks += 1
        self._pages = [page for page in self._pages if page.unused_ticks <= _UNUSED_TICKS]
