"""The stored readings, in their order, for a service that folds them beside the pipeline.

A reading on its way to the clients costs an entry in a list and no more. One consumer takes the readings in pages, from the
store until it has caught up, then from that list. If it is too slow the list is dropped, and it reads on from the store.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from bridge.analysis.retries import until_stored
from bridge.core.events import EntityEvent, Event
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.ports import Publisher, ReadingStore

log = logging.getLogger(__name__)

WAITING_LIMIT = 20_000
"""How many events may wait for the consumer."""

PAGE = 200
GATHER_SECONDS = 0.1
"""The pause after a page that is not full, in which readings gather: one by one they cost twice as much, and wake the loop."""

_STORED_PAGE = 1000
_DELETED_LIMIT = 10_000


@dataclass(slots=True)
class FeedCounters:
    """Counts since the start: readings taken from the store, and events dropped because too many waited."""

    from_store: int = 0
    dropped: int = 0


class ReadingFeed:
    """A stage of publishers: it passes events on first. Cursors rise from reading to reading."""

    next: Publisher

    def __init__(self, store: ReadingStore, *, waiting_limit: int = WAITING_LIMIT) -> None:
        self.counts = FeedCounters()
        self._store = store
        self._waiting_limit = waiting_limit
        self._newest = 0
        self._is_consumed = False
        self._is_following = False
        self._batches: deque[Sequence[Event]] = deque()
        self._waiting = 0
        self._rest: list[Reading] = []
        """Readings of a batch that was larger than a page."""
        self._arrived = asyncio.Event()
        self._deleted: deque[str] = deque(maxlen=_DELETED_LIMIT)

    @property
    def newest(self) -> int:
        """The cursor of the last reading that was published."""
        return self._newest

    @property
    def is_following(self) -> bool:
        """Whether the consumer has caught up with what is published."""
        return self._is_following

    def start_after(self, newest: int) -> None:
        """Treat the readings up to this cursor as published by an earlier run."""
        self._newest = max(self._newest, newest)

    def publish(self, events: Sequence[Event]) -> None:
        """Pass all events on, then let them wait for the consumer."""
        self.next.publish(events)
        for event in reversed(events):
            if type(event) is Reading:
                self._newest = event.seq
                break
        if not self._is_consumed:
            return
        if not self._is_following:
            self._collect_deleted(events)
            return
        self._batches.append(events)
        self._waiting += len(events)
        if self._waiting > self._waiting_limit:
            self._drop()
        self._arrived.set()

    def take_deleted(self) -> list[str]:
        """Return the devices that were deleted since the last call; only as long as there is a consumer."""
        deleted = list(dict.fromkeys(self._deleted))
        self._deleted.clear()
        return deleted

    async def pages(self, after: int) -> AsyncGenerator[Sequence[Reading]]:
        """Yield all readings after a cursor, by rising cursor, at most `PAGE` at a time; wait for new ones without end.

        There may be one consumer at a time.
        """
        if self._is_consumed:
            raise RuntimeError("the feed has a consumer")
        self._is_consumed = True
        try:
            while True:
                async for page in self._stored(after):
                    yield page
                    after = page[-1].seq
                self._is_following = True  # the next reading that is published waits in the list
                while self._is_following:
                    page = self._take(after)
                    if page:
                        yield page
                        after = page[-1].seq
                        await asyncio.sleep(0 if len(page) == PAGE else GATHER_SECONDS)
                    else:
                        self._arrived.clear()
                        await self._arrived.wait()
        finally:
            self._is_consumed = self._is_following = False
            self._clear()
            self._deleted.clear()

    async def _stored(self, after: int) -> AsyncIterator[Sequence[Reading]]:
        """Yield the stored readings up to the newest published one, also those that are published meanwhile."""
        while after < (until := self._newest):
            query = ReadingsQuery(since=after, until=until, limit=_STORED_PAGE)
            readings = await until_stored(lambda query=query: self._store.readings(query), "readings")  # type: ignore[misc]
            self.counts.from_store += len(readings)
            for start in range(0, len(readings), PAGE):
                yield readings[start : start + PAGE]
                await asyncio.sleep(0)
            after = readings[-1].seq if readings else until  # none: they were deleted

    def _take(self, after: int) -> list[Reading]:
        page, self._rest = self._rest, []
        while self._batches and len(page) < PAGE:
            events = self._batches.popleft()
            self._waiting -= len(events)
            readings = [event for event in events if type(event) is Reading]
            if len(readings) < len(events):
                self._collect_deleted(events)
            page += readings if not readings or readings[0].seq > after else [one for one in readings if one.seq > after]
        page, self._rest = page[:PAGE], page[PAGE:]
        return page

    def _collect_deleted(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is EntityEvent and event.entity_type == "sensor" and event.event_type == "deleted":
                self._deleted.append(event.entity_id)

    def _drop(self) -> None:
        """The consumer is too slow: it reads on from the store."""
        self.counts.dropped += self._waiting
        self._is_following = False
        for events in self._batches:
            self._collect_deleted(events)
        self._clear()

    def _clear(self) -> None:
        self._batches.clear()
        self._waiting, self._rest = 0, []
        self._arrived.set()
