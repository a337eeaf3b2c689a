"""A model of the store and of a client that follows: each call is one atomic step, each broken promise a `Violation`."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from operator import itemgetter
from typing import Any

from bridge.log.follower import Announcement, Follower
from bridge.log.order import Order

Record = tuple[int, str]  # seq, _id
seq_of = itemgetter(0)


class Violation(AssertionError):
    """A promise of the log is broken."""


class Insert(Enum):
    STORED = 1
    MINE = 2  # stored under this cursor by an earlier attempt
    DUPLICATE = 3  # the `_id` is stored under another cursor
    REFUSED = 4  # the cursor is occupied


class State:
    """What one member of the replica set has: readings with unique `_id` and `seq`, and the document `order`."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.by_seq: dict[int, str | None] = {}  # None: a tombstone
        self.by_id: dict[str, int] = {}
        self.records: list[Record] = []  # rising

    def copy(self) -> State:
        new = State(self.order)
        new.by_seq, new.by_id, new.records = self.by_seq.copy(), self.by_id.copy(), self.records.copy()
        return new

    def put(self, seq: int, name: str) -> None:
        self.by_seq[seq] = name
        self.by_id[name] = seq
        insort(self.records, (seq, name))

    def close(self, seq: int) -> None:
        self.by_seq.setdefault(seq)

    def set_order(self, order: Order) -> None:
        self.order = order

    def read(self, above: int, until: int, limit: int | None = None) -> list[Record]:
        low = bisect_right(self.records, above, key=seq_of)
        high = bisect_right(self.records, until, lo=low, key=seq_of)
        return self.records[low : high if limit is None else min(high, low + limit)]


class Store:
    """A replica set: writes go to the primary, become durable in order, and are rolled back by a failover until then."""

    def __init__(self, last: int = 0, *, is_replicated: bool = False) -> None:
        self.durable = State(Order(last))
        self.primary = self.durable.copy() if is_replicated else self.durable
        self.term = 0
        self.delivered = 0
        """The highest cursor that any follower has delivered past."""
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._durable_writes = 0

    def insert(self, seq: int, name: str) -> Insert:
        if self.primary.by_id.get(name) == seq:
            return Insert.MINE
        if name in self.primary.by_id:
            return Insert.DUPLICATE
        if seq in self.primary.by_seq:
            return Insert.REFUSED
        return self.put(seq, name)

    def put(self, seq: int, name: str) -> Insert:
        if seq <= self.delivered:
            raise Violation(f"cursor {seq} was filled after {self.delivered} was delivered")
        self._write(State.put, seq, name)
        return Insert.STORED

    def close(self, seq: int) -> None:
        """Put a tombstone into the cursor if it is free."""
        self._write(State.close, seq)

    def set_order(self, order: Order) -> None:
        self._write(State.set_order, order)

    def _write(self, change: Callable[..., None], *arguments: Any) -> None:
        change(self.primary, *arguments)
        if self.primary is not self.durable:
            self._waiting.append((change, arguments))

    @property
    def writes(self) -> int:
        """The number of the latest write on the primary."""
        return self._durable_writes + len(self._waiting)

    def is_durable(self, write: int) -> bool:
        return write <= self._durable_writes

    def replicate(self, count: int) -> None:
        """Make the oldest `count` writes durable."""
        for change, arguments in self._waiting[:count]:
            change(self.durable, *arguments)
            self._durable_writes += 1
        del self._waiting[:count]

    def fail_over(self) -> None:
        self.primary = self.durable.copy()
        self._waiting.clear()
        self.term += 1


class Client:
    """What a follower delivered, and what it has to be: exactly the stored records above its start, in rising order."""

    def __init__(self, store: Store, follower: Follower[Record]) -> None:
        self._store = store
        self.follower = follower
        self.start = follower.delivered
        self.seen: list[Record] = []
        self.take([])

    def offer(self, announcement: Announcement[Record], now: float) -> None:
        self.take(self.follower.offer(announcement, now))

    def take(self, records: Sequence[Record]) -> None:
        self.seen += records
        self._store.delivered = max(self._store.delivered, self.follower.delivered)

    def check(self) -> None:
        """Raises `Violation` if a record is missing, repeated, out of order or not stored."""
        if self.seen != (expected := self._store.durable.read(self.start, self.follower.delivered)):
            raise Violation(f"{_kind(self.seen, expected)}: delivered {self.seen} instead of {expected}")


def _kind(seen: list[Record], expected: list[Record]) -> str:
    if len(set(seen)) < len(seen):
        return "repeat"
    if seen != sorted(seen):
        return "order"
    return "hole" if set(seen) < set(expected) else "content"


def check_agreement(clients: Sequence[Client]) -> None:
    """Raises `Violation` if two clients saw different records between the same cursors."""
    for one, other in pairwise(clients):
        low, high = max(one.start, other.start), min(one.follower.delivered, other.follower.delivered)
        if _between(one.seen, low, high) != _between(other.seen, low, high):
            raise Violation(f"disagreement from {low} to {high}: {one.seen} and {other.seen}")


def _between(records: list[Record], low: int, high: int) -> list[Record]:
    return [record for record in records if low < record[0] <= high]
