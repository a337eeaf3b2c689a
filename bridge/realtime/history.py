"""Records that a client has missed: out of memory, or out of the store where memory does not reach back far enough."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery
from bridge.ports import Store
from bridge.realtime.audience import Wish
from bridge.realtime.parcel import Published
from bridge.realtime.recent import Recent

PAGE = 500
"""Records read and sent at once: some 150 KB, a few milliseconds of the event loop."""

_QUERIES = 4  # at once; a thousand clients that come back together must not keep the store from writing


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
        async with self._queries:
            found = await self._store.readings(_query(cursor, until, wish, limit))
        records = [one for one in map(Published, found) if wish.wants(one)]
        return Page(records, found[-1].seq if len(found) == limit else until)

    async def count(self, cursor: int, until: int, wish: Wish) -> int:
        """How many records are wished after `cursor` and up to `until`; raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return sum(one.seq <= until and wish.wants(one) for one in self._recent.after(cursor))
        async with self._queries:
            return await self._store.count(_query(cursor, until, wish))


def _query(cursor: int, until: int, wish: Wish, limit: int = PAGE) -> ReadingsQuery:
    devices = None if wish.devices is None else tuple(sorted(wish.devices))
    return ReadingsQuery(devices, since=cursor, until=until, limit=limit)
