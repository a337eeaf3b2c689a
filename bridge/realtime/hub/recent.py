"""The most recent records in memory, so that a short reconnect needs neither a store query nor a second encoding."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from bridge.realtime.hub.encoding import Publication

_SLACK = 1.25  # trimmed in strides: moving 10,000 references once per 2,500 records instead of on each
_cursor = attrgetter("seq")


class RecentPublications:
    """Every record after the cursor `start_offset`, ordered by cursor. Beyond `capacity` the oldest are evicted."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is in records; up to a quarter more are held between two trims."""
        self._capacity = capacity
        self._records: list[Publication] = []
        self._evicted = 0
        self.start_offset = 0
        self.last_offset = 0

    def start(self, cursor: int) -> None:
        """Set both offsets to the highest stored cursor. Called before anything is published."""
        self.start_offset = self.last_offset = max(cursor, self.last_offset)

    def extend(self, records: Sequence[Publication]) -> None:
        """Append records, ordered by cursor and all above `last_offset`."""
        if not records:
            return
        self._records.extend(records)
        self.last_offset = records[-1].seq
        excess = len(self._records) - self._capacity
        if excess > self._capacity * (_SLACK - 1):
            self.start_offset = self._records[excess - 1].seq
            del self._records[:excess]
            self._evicted += excess

    def replace(self, cursor: int, record: Publication | None) -> None:
        """Replace the record with this cursor by another with the same, or drop it; do nothing if it is not held."""
        place = bisect_right(self._records, cursor, key=_cursor) - 1
        if place >= 0 and self._records[place].seq == cursor:
            self._records[place : place + 1] = [] if record is None else [record]

    def would_evict(self, cursor: int, count: int) -> bool:
        """Return whether appending `count` records might evict a record after `cursor`."""
        return len(self._records) - bisect_right(self._records, cursor, key=_cursor) + count > self._capacity

    def covers(self, cursor: int) -> bool:
        return cursor >= self.start_offset

    def after(self, cursor: int, limit: int | None = None) -> Sequence[Publication]:
        """Return the records after `cursor`, which must be covered."""
        start = bisect_right(self._records, cursor, key=_cursor)
        return self._records[start : None if limit is None else start + limit]

    def page_after(self, cursor: int, size: int) -> tuple[Sequence[Publication], bool]:
        """Return at most `size` records after `cursor`, which must be covered, and whether the page is complete.

        A complete page ends at a multiple of `size`, so clients that started at different records share all pages after their
        first.
        """
        start = bisect_right(self._records, cursor, key=_cursor)
        end = start + size - (self._evicted + start) % size
        return self._records[start:end], end <= len(self._records)
