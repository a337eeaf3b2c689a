"""Ranges of cursors: one document of the store hands them out and lists those that are not final."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, TypeGuard

from bridge.core.errors import OrderError
from bridge.core.readings.identity import CURSOR_LIMIT

MAX_RANGE = 10_000
"""Cursors in a range at most: the largest batch that the settings allow. Closing a range writes at most as many tombstones."""

MAX_OPEN = 1000
"""Open ranges at most. 64 bridges with a range in use and the next one have 128."""

BRIDGE_LENGTH = 64
"""Characters in the name of a bridge at most."""

_ORDER_KEYS = frozenset({"last", "open"})
_RANGE_KEYS = frozenset({"previous", "low", "high", "bridge"})


@dataclass(frozen=True, slots=True)
class CursorRange:
    """The cursors `low` to `high`, inclusive, handed out to one bridge.

    `previous` is the `high` of the range handed out before, so these link all ranges into a chain. The cursors between
    `previous` and `low` belong to no range and are never written.
    """

    previous: int
    low: int
    high: int
    bridge: str

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    def to_document(self) -> dict[str, Any]:
        return {"previous": self.previous, "low": self.low, "high": self.high, "bridge": self.bridge}


@dataclass(frozen=True, slots=True)
class Order:
    """The last cursor that was handed out, and the ranges that may still be written to, in rising order."""

    last: int = 0
    open: tuple[CursorRange, ...] = ()

    @property
    def final_until(self) -> int:
        """The cursor up to which nothing can be written any more. Followers begin here, and read the store up to here."""
        return self.open[0].previous if self.open else self.last

    def hand_out(self, now_us: int, count: int, bridge: str, finished: Collection[int] = ()) -> tuple[Order, CursorRange]:
        """Hand out `count` cursors above `last` and `now_us` (microseconds since the epoch), in one atomic step of the store.

        `finished` holds the `high` of ranges that leave `open` in the same step. Raises `OrderError` if `count` or the name of
        the bridge is not allowed, or if there are no more cursors or too many open ranges.
        """
        check_request(count, bridge)
        low = max(self.last, now_us) + 1
        new = CursorRange(self.last, low, low + count - 1, bridge)
        if new.high >= CURSOR_LIMIT:
            raise OrderError(f"no cursors left after {low - 1}: must stay below 2**53; check the clock of {bridge}")
        rest = self.without(finished).open
        if len(rest) >= MAX_OPEN:
            raise OrderError(f"{len(rest)} ranges are open: must be less than {MAX_OPEN}; close those that are overdue")
        return Order(new.high, (*rest, new)), new

    def without(self, highs: Collection[int]) -> Order:
        """The order in which the ranges that end at `highs` are no longer open. Unknown ones are ignored."""
        return Order(self.last, tuple(one for one in self.open if one.high not in highs)) if highs else self

    def to_document(self) -> dict[str, Any]:
        return {"last": self.last, "open": [one.to_document() for one in self.open]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Order:
        """The inverse of `to_document`; `_id` is ignored. Raises `OrderError` if the document is damaged."""
        fields = _fields({key: value for key, value in document.items() if key != "_id"}, _ORDER_KEYS, "the document")
        last = _cursor(fields["last"], "last")
        if not isinstance(fields["open"], list):
            raise _damaged("open", fields["open"], "a list of ranges")
        return cls(last, tuple(_linked_ranges(fields["open"], last)))


def check_request(count: int, bridge: str) -> None:
    """Raises `OrderError` if a bridge must not take so many cursors, or if its name is not allowed."""
    if not 1 <= count <= MAX_RANGE:
        raise OrderError(f"{count} cursors were requested: must be 1 to {MAX_RANGE}")
    if not is_bridge_name(bridge):
        raise OrderError(f"the name of the bridge is {bridge[:80]!r}: must be a text of 1 to {BRIDGE_LENGTH} characters")


def _linked_ranges(documents: list[object], last: int) -> Iterator[CursorRange]:
    end = 0
    for number, document in enumerate(documents):
        one = _range(document, f"open[{number}]")
        if not end <= one.previous < one.low <= one.high <= last:
            shown = f"{one.previous}, {one.low}, {one.high}"
            raise _damaged(f"open[{number}]", shown, f"{end} <= previous < low <= high <= {last}")
        end = one.high
        yield one


def _range(document: object, where: str) -> CursorRange:
    fields = _fields(document, _RANGE_KEYS, where)
    previous, low, high = (_cursor(fields[key], f"{where}.{key}") for key in ("previous", "low", "high"))
    if not is_bridge_name(fields["bridge"]):
        raise _damaged(f"{where}.bridge", fields["bridge"], f"a text of 1 to {BRIDGE_LENGTH} characters")
    return CursorRange(previous, low, high, fields["bridge"])


def _fields(document: object, keys: Set[str], where: str) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != keys:
        shown = list(document) if isinstance(document, dict) else document
        raise _damaged(where, shown, f"an object of {', '.join(sorted(keys))}")
    return document


def _cursor(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < CURSOR_LIMIT:
        raise _damaged(where, value, "an integer from 0 to 2**53 - 1")
    return int(value)


def is_bridge_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 1 <= len(value) <= BRIDGE_LENGTH


def _damaged(where: str, value: object, allowed: str) -> OrderError:
    return OrderError(f"the order of cursors is damaged: {where} is {str(value)[:80]}: must be {allowed}")
