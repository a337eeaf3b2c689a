"""The records published last, for clients that were away for a moment: no query of the store, no second encoding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from bridge.realtime.hub.publication import Published

_SLACK = 1.25  # trimmed in strides: moving 10,000 references once in 2,500 records instead of at each
_cursor = attrgetter("seq")


class Recent:
    """Every record after the cursor `floor`, by rising cursor; past `capacity` the oldest go."""

    def __init__(self, capacity: int) -> None:
        """`capacity` in records; a quarter more may be held for a while."""
        self._capacity = capacity
        self._records: list[Published] = []
        self.floor = 0
        self.last = 0

    def begin(self, cursor: int) -> None:
        """Nothing up to here is known; called before anything is published."""
        self.floor = self.last = max(cursor, self.last)

    def extend(self, records: Sequence[Published]) -> None:
        """Records by rising cursor, all above `last`."""
        if not records:
            return
        self._records.extend(records)
        self.last = records[-1].seq
        over = len(self._records) - self._capacity
        if over > self._capacity * (_SLACK - 1):
            self.floor = self._records[over - 1].seq
            del self._records[:over]

    def would_lose(self, cursor: int, count: int) -> bool:
        """Whether with `count` more it would perhaps no longer cover `cursor`."""
        return len(self._records) - bisect_right(self._records, cursor, key=_cursor) + count > self._capacity

    def covers(self, cursor: int) -> bool:
        """Whether every record after `cursor` is here."""
        return cursor >= self.floor

    def after(self, cursor: int, limit: int | None = None) -> Sequence[Published]:
        """The records after a cursor that is covered."""
        start = bisect_right(self._records, cursor, key=_cursor)
        return self._records[start : None if limit is None else start + limit]
