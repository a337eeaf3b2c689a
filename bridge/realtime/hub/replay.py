"""Records that a client has missed: out of memory, or out of the store where memory does not reach back far enough."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery
from bridge.ports import Store
from bridge.realtime.hub.publication import Published
from bridge.realtime.hub.recent import Recent
from bridge.realtime.hub.subscriptions import Wish

PAGE = 500
"""Records read and sent at once: some 150 KB, a few milliseconds of the event loop."""

_QUERIES = 4  # at once; a thousand clients that come back together must not keep the store from writing

_NAMES = 10_000  # in a query, well below what SQLite takes; past that all are read, and those that are not wished are left out


@dataclass(frozen=True, slots=True)
class Page:
    """Records by rising cursor. There are no others up to the cursor `reached`."""

    records: Sequence[Published]
    reached: int


class History:
    """Published records only: what is being written now will be published, and is not shown before."""

    def __init__(self, store: Store, recent: Recent) -> None:
        """`store` is asked for what `recent` does not reach."""
        self._store = store
        self._recent = recent
        self._queries = asyncio.Semaphore(_QUERIES)

    def page(self, cursor: int, until: int, wish: Wish, limit: int = PAGE) -> Page:
        """The first wished records after `cursor`, which is covered by memory, and up to `until`; at most `limit`."""
        found = self._recent.after(cursor, limit)
        reached = found[-1].seq if len(found) == limit else until
        return Page([one for one in found if one.seq <= until and wish.wants(one)], min(reached, until))

    async def stored_page(self, cursor: int, until: int, wish: Wish, limit: int = PAGE) -> Page:
        """The same wherever `cursor` is; raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return self.page(cursor, until, wish, limit)
        query = _query(cursor, until, wish, limit)
        if query.devices == ():
            return Page([], until)
        async with self._queries:
            found = await self._store.readings(query)
        records = [one for one in map(Published, found) if wish.wants(one)]
        return Page(records, found[-1].seq if len(found) == limit else until)

    async def count(self, cursor: int, until: int, wish: Wish) -> int:
        """How many records are wished after `cursor` and up to `until`; raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return sum(one.seq <= until and wish.wants(one) for one in self._recent.after(cursor))
        query, counted = _query(cursor, until, wish), 0
        if query.devices is not None or wish.sight is None:
            async with self._queries:
                return await self._store.count(query) if query.devices != () else 0
        while cursor < until:  # more devices are seen than can be named to the store
            page = await self.stored_page(cursor, until, wish)
            cursor, counted = page.reached, counted + len(page.records)
        return counted


def _query(cursor: int, until: int, wish: Wish, limit: int = PAGE) -> ReadingsQuery:
    named = wish.device_ids()
    devices = None if named is None or len(named) > _NAMES else tuple(sorted(named))
    return ReadingsQuery(devices, since=cursor, until=until, limit=limit)
