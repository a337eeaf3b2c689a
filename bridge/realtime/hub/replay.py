"""Missed records in pages, from memory or, where memory does not reach back far enough, from the store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.query import ReadingsQuery
from bridge.ports import ReadingStore
from bridge.realtime.hub.encoding import Publication
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.stored_pages import StoredPages
from bridge.realtime.hub.subscriptions import Subscription

PAGE_SIZE = 500
"""Records read and sent at once: about 150 KB and a few milliseconds of the event loop."""

_CONCURRENT_COUNTS = 4  # a thousand clients that reconnect together must not keep the store from writing

_DEVICES_PER_QUERY = 10_000  # well below SQLite's limit; with more devices all records are read and filtered here


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """Matching records ordered by cursor. No further ones exist up to the cursor `end_offset`."""

    records: Sequence[Publication]
    end_offset: int


class ReplaySource:
    """Reads published records only: `until` never exceeds the last published cursor."""

    def __init__(self, store: ReadingStore, recent: RecentPublications) -> None:
        self._store = store
        self._recent = recent
        self.stored = StoredPages(store)
        self._counts = asyncio.Semaphore(_CONCURRENT_COUNTS)

    def recent_page(self, cursor: int, until: int, subscription: Subscription, limit: int = PAGE_SIZE) -> ReplayPage:
        """Return at most `limit` matching records in (`cursor`, `until`] from memory, which must cover `cursor`."""
        recent = self._recent.after(cursor, limit)
        end_offset = recent[-1].seq if len(recent) == limit else until
        records = [record for record in recent if record.seq <= until and subscription.matches(record)]
        return ReplayPage(records, min(end_offset, until))

    async def page(self, cursor: int, until: int, subscription: Subscription, limit: int = PAGE_SIZE) -> ReplayPage:
        """Return at most `limit` matching records in (`cursor`, `until`]. Raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return self.recent_page(cursor, until, subscription, limit)
        devices = _devices(subscription)
        if devices == ():
            return ReplayPage([], until)
        stored, end_offset = await self.stored.read(devices, cursor, until, limit)
        return ReplayPage([record for record in stored if subscription.matches(record)], end_offset)

    async def count(self, cursor: int, until: int, subscription: Subscription) -> int:
        """Return the number of matching records in (`cursor`, `until`]. Raises `StoreUnavailable`."""
        if self._recent.covers(cursor):
            return sum(record.seq <= until and subscription.matches(record) for record in self._recent.after(cursor))
        devices, count = _devices(subscription), 0
        if devices is not None or subscription.device_filter is None:
            async with self._counts:
                return await self._store.count(ReadingsQuery(devices, since=cursor, until=until)) if devices != () else 0
        while cursor < until:  # the device filter allows more devices than a query can name
            page = await self.page(cursor, until, subscription)
            cursor, count = page.end_offset, count + len(page.records)
        return count


def _devices(subscription: Subscription) -> tuple[str, ...] | None:
    """Return the devices to ask the store for; None: all."""
    device_ids = subscription.device_ids()
    return None if device_ids is None or len(device_ids) > _DEVICES_PER_QUERY else tuple(sorted(device_ids))
