"""Records that a client has missed: out of memory, or out of the store where memory does not reach back far enough."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery
from bridge.ports import Store
from bridge.realtime.hub.publication import Publication
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.subscriptions import Subscription

PAGE_SIZE = 500
"""Records read and sent at once: some 150 KB, a few milliseconds of the event loop."""

_QUERIES = 4  # at once; a thousand clients that come back together must not keep the store from writing

_NAMES = 10_000  # in a query, well below what SQLite takes; past that all are read, and those that are not wished are left out


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """Records by rising cursor. There are no others up to the cursor `reached`."""

    records: Sequence[Publication]
    reached: int


class ReplaySource:
    """Published records only: what is being written now will be published, and is not shown before."""

    def __init__(self, store: Store, recent: RecentPublications) -> None:
        """`store` is asked for what `recent` does not reach."""
        self._store = store
        self._recent = recent
        self._queries = asyncio.Semaphore(_QUERIES)

    def recent_page(self, cursor: int, until: int, subscription: Subscription, limit: int = PAGE_SIZE) -> ReplayPage:
        """The first wished records after `cursor`, which is covered by memory, and up to `until`; at most `limit`."""
        found = self._recent.after(cursor, limit)
        reached = found[-1].seq if len(found) == limit else until
        return ReplayPage([one for one in found if one.seq <= until and subscription.matches(one)], min(reached, until))

    async def page(self, cursor: int, until: int, subscription: Subscription, limit: int = PAGE_SIZE) -> ReplayPage:
        """The same wherever `cursor` is; raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return self.recent_page(cursor, until, subscription, limit)
        query = _query(cursor, until, subscription, limit)
        if query.devices == ():
            return ReplayPage([], until)
        async with self._queries:
            found = await self._store.readings(query)
        records = [one for one in map(Publication, found) if subscription.matches(one)]
        return ReplayPage(records, found[-1].seq if len(found) == limit else until)

    async def count(self, cursor: int, until: int, subscription: Subscription) -> int:
        """How many records are wished after `cursor` and up to `until`; raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return sum(one.seq <= until and subscription.matches(one) for one in self._recent.after(cursor))
        query, counted = _query(cursor, until, subscription), 0
        if query.devices is not None or subscription.device_filter is None:
            async with self._queries:
                return await self._store.count(query) if query.devices != () else 0
        while cursor < until:  # more devices are seen than can be named to the store
            page = await self.page(cursor, until, subscription)
            cursor, counted = page.reached, counted + len(page.records)
        return counted


def _query(cursor: int, until: int, subscription: Subscription, limit: int = PAGE_SIZE) -> ReadingsQuery:
    named = subscription.device_ids()
    devices = None if named is None or len(named) > _NAMES else tuple(sorted(named))
    return ReadingsQuery(devices, since=cursor, until=until, limit=limit)
