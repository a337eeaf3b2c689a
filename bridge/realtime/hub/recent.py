"""The records published last, for clients that were away for a moment: no query of the store, no second encoding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from bridge.realtime.hub.publication import Publication

_SLACK = 1.25  # trimmed in strides: moving 10,000 references once in 2,500 records instead of at each
_cursor = attrgetter("seq")


class RecentPublications:
    """Every record after the cursor `start_offset`, by rising cursor; past `capacity` the oldest go."""

    def __init__(self, capacity: int) -> None:
        """`capacity` in records; a quarter more may be held for a while."""
        self._capacity = capacity
        self._records: list[Publication] = []
        self.start_offset = 0
        self.last_offset = 0

    def start(self, cursor: int) -> None:
        """Nothing up to here is known; called before anything is published."""
        self.start_offset = self.last_offset = max(cursor, self.last_offset)

    def extend(self, records: Sequence[Publication]) -> None:
        """Records by rising cursor, all above `last_offset`."""
        if not records:
            return
        self._records.extend(records)
        self.last_offset = records[-1].seq
        over = len(self._records) - self._capacity
        if over > self._capacity * (_SLACK - 1):
            self.start_offset = self._records[over - 1].seq
            del self._records[:over]

    def would_evict(self, cursor: int, count: int) -> bool:
        """Whether with `count` more it would perhaps no longer cover `cursor`."""
        return len(self._records) - bisect_right(self._records, cursor, key=_cursor) + count > self._capacity

    def covers(self, cursor: int) -> bool:
        """Whether every record after `cursor` is here."""
        return cursor >= self.start_offset

    def after(self, cursor: int, limit: int | None = None) -> Sequence[Publication]:
        """The records after a cursor that is covered."""
        start = bisect_right(self._records, cursor, key=_cursor)
        return self._records[start : None if limit is None else start + limit]
