"""Which open ranges are overdue: their owner may be dead, paused or cut off from the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from math import ceil

from bridge.log.order import CursorRange, Order

CLOSE_LIMIT_SECONDS = 30.0
"""However slow writes are, a range is overdue after this time: nothing after it is delivered until it is closed."""

_WRITES = 500
_FACTOR = 4


class CloseWatch:
    """Watches the open ranges on the observer's own monotonic clock. Closing a range in use costs its owner time, not records.

    An overdue range is closed by durable tombstones in all of its free cursors, and only then removed from `Order.open`.
    """

    __slots__ = ("_close_seconds", "_first_seen", "_writes")

    def __init__(self, close_seconds: float = 1.0) -> None:
        self._close_seconds = close_seconds
        self._first_seen: dict[int, float] = {}  # by `high`
        self._writes: deque[float] = deque(maxlen=_WRITES)

    def wrote(self, seconds: float) -> None:
        """Record how long a write of a batch took, from handing out its range to the result."""
        self._writes.append(seconds)

    @property
    def close_seconds(self) -> float:
        """The time after which a range is overdue: at least four times the 99th percentile of the latest 500 writes."""
        if not self._writes:
            return min(self._close_seconds, CLOSE_LIMIT_SECONDS)
        p99 = sorted(self._writes)[ceil(len(self._writes) * 0.99) - 1]
        return min(max(self._close_seconds, _FACTOR * p99), CLOSE_LIMIT_SECONDS)

    def observe(self, order: Order, now: float, in_use: Collection[int]) -> list[CursorRange]:
        """The ranges that were open for `close_seconds` whenever this observer looked, without those that it uses itself.

        `in_use` holds the `high` of every range that the observer's bridge will still write or finish. The name in a range does
        not say that: if the reply that handed it out was lost, or if the bridge was restarted, nobody uses it.
        """
        candidates = [one for one in order.open if one.high not in in_use]
        self._first_seen = {one.high: self._first_seen.get(one.high, now) for one in candidates}
        if not candidates:
            return []
        overdue_since = now - self.close_seconds
        return [one for one in candidates if self._first_seen[one.high] <= overdue_since]
