"""Worlds with one wrong rule each. A model that does not catch them proves nothing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from bridge.log.closing import CloseWatch
from bridge.log.follower import Announcement, Follower
from bridge.log.order import CursorRange, Order
from tests.log.model_store import Client, Insert, Record
from tests.log.world import Bridge, Steps, World


def at_once() -> Generator[None, None, bool]:
    """Not to wait until a write is durable."""
    return True
    yield


# --- handing out ---


class HandsOutByClockAlone(World):
    def order_hand_out(self, now_us: int, count: int, name: str, finished: frozenset[int]) -> CursorRange:
        order = self.store.primary.order.without(finished)
        low = max(1, now_us)
        new = CursorRange(order.last, low, low + count - 1, name)
        self.store.set_order(Order(new.high, (*order.open, new)))
        return new


class HandsOutFromAnOldRead(World):
    """Reads the document and writes it in two steps."""

    old: Order | None = None

    def order_hand_out(self, now_us: int, count: int, name: str, finished: frozenset[int]) -> CursorRange:
        order = self.old if self.old and self.random.random() < 0.2 else self.store.primary.order
        self.old = self.store.primary.order
        order, new = order.hand_out(now_us, count, name, finished)
        self.store.set_order(order)
        return new


class HandsOutWithoutMajority(World):
    """A failover hands the same cursors out again."""

    def range_is_durable(self, _: int) -> Generator[None, None, bool]:
        return at_once()


# --- writing ---


class FinishesWithoutMajority(World):
    def batch_is_durable(self, _: int) -> Generator[None, None, bool]:
        return at_once()


class InsertsWithoutUniqueSeq(World):
    def store_insert(self, seq: int, name: str) -> Insert:
        result = self.store.insert(seq, name)
        return self.store.put(seq, name) if result is Insert.REFUSED else result


class FinishesBeforeTheWriteIsDone(World):
    def write_batch(self, bridge: Bridge, current: CursorRange) -> Steps:
        bridge.finished.add(current.high)
        yield from self.remove_finished(bridge)
        yield from super().write_batch(bridge, current)


class AnnouncesBeforeTheWriteIsDone(World):
    def write_batch(self, bridge: Bridge, current: CursorRange) -> Steps:
        rows = zip(range(current.low, current.high + 1), bridge.batch, strict=False)
        self.announce(Announcement(current.previous, current.high, list(rows)))
        yield from super().write_batch(bridge, current)


class FinishesARangeOfUnknownResult(World):
    """Takes a new range although the first attempt may still be written."""

    def give_up(self, bridge: Bridge, current: CursorRange) -> Steps:
        yield from super().give_up(bridge, current)
        yield from self.finish(bridge, current, [])


class AnnouncesOnlyTheLastAttempt(World):
    def is_announced(self, result: Insert) -> bool:
        return result is Insert.STORED


class AnnouncesDuplicates(World):
    def is_announced(self, result: Insert) -> bool:
        return result is not Insert.REFUSED


class AcknowledgesWhatAClosedRangeRefused(World):
    def refused(self, _: dict[Record, Insert]) -> list[str]:
        return []


# --- closing ---


class ClosesWithoutTombstones(World):
    def put_tombstones(self, _: CursorRange) -> Steps:
        yield


class PutsTombstonesIntoHalfOfTheRange(World):
    def put_tombstones(self, overdue: CursorRange) -> Steps:
        yield from super().put_tombstones(replace(overdue, high=(overdue.low + overdue.high) // 2))


class RemovesBeforeTheTombstones(World):
    def close(self, overdue: CursorRange) -> Steps:
        self.remove({overdue.high})
        yield
        yield from self.put_tombstones(overdue)


class ClosesWithAnOldRead(World):
    """Writes back the whole document that it read before the tombstones."""

    def close(self, overdue: CursorRange) -> Steps:
        order = self.store.primary.order
        yield from self.put_tombstones(overdue)
        self.store.set_order(order.without({overdue.high}))


class ClosesWithoutMajority(World):
    def tombstones_are_durable(self, _: int) -> Generator[None, None, bool]:
        return at_once()


class SparesRangesOfItsOwnName(World):
    """A lone bridge waits forever for a range whose reply was lost, or that it had before a restart."""

    def overdue(self, bridge: Bridge) -> list[CursorRange]:
        return [one for one in super().overdue(bridge) if one.bridge != bridge.name]


# --- following ---


class BeginsAtTheLastCursor(World):
    def begin_cursor(self, order: Order) -> int:
        return order.last


class IgnoresOpenRanges(World):
    def final_until(self, order: Order) -> int:
        return order.last


class ReadsRecordsBeforeTheOrder(World):
    def read(self, client: Client) -> Steps:
        above = client.follower.begin_read(self.now)
        yield
        durable = self.store.durable
        records = durable.read(above, durable.order.last)
        yield
        client.take(client.follower.end_read(records, durable.order.final_until, self.now))


class EndsAFullPageAtTheEndOfTheRead(World):
    def read_pages(self, client: Client, above: int, until: int) -> Steps:
        page = self.store.durable.read(above, until, 2)
        yield
        client.take(client.follower.end_read(page, until, self.now))


class _RepeatsTheRestOfAPage(Follower[Record]):
    def _take(self, announcement: Announcement[Record]) -> list[Record]:
        self._delivered = announcement.high
        return list(announcement.records)


class DeliversWholeAnnouncements(World):
    follower = _RepeatsTheRestOfAPage


class _DropsTheRestOfAPage(Follower[Record]):
    def _take(self, announcement: Announcement[Record]) -> list[Record]:
        is_next = announcement.previous == self._delivered
        self._delivered = announcement.high
        return list(announcement.records) if is_next else []


class DropsTheRestOfAPage(World):
    follower = _DropsTheRestOfAPage


class _IgnoresGaps(Follower[Record]):
    def offer(self, announcement: Announcement[Record], now: float) -> list[Record]:
        return super().offer(replace(announcement, previous=min(announcement.previous, self._delivered)), now)


class DeliversBehindAGap(World):
    follower = _IgnoresGaps


class _RepeatsWhatWasAnnouncedDuringARead(Follower[Record]):
    def end_read(self, records: Sequence[Record], until: int, now: float) -> list[Record]:
        before = self._delivered
        rest = super().end_read(records, until, now)
        return [*(record for record in records if record[0] <= before), *rest]


class RepeatsWhatWasAnnouncedDuringARead(World):
    follower = _RepeatsWhatWasAnnouncedDuringARead


class _NeverReadsWhileItHolds(Follower[Record]):
    def next_read_at(self) -> float:
        return float("inf") if self.held else super().next_read_at()


class WaitsForLostAnnouncements(World):
    follower = _NeverReadsWhileItHolds


# --- rules that only cost time ---


class ClosesRangesInUse(World):
    """Takes every range that it ever saw before for overdue."""

    def start_bridge(self, name: str) -> None:
        super().start_bridge(name)
        self.bridges[-1].watch = CloseWatch(0.0)

    def overdue(self, bridge: Bridge) -> list[CursorRange]:
        return bridge.watch.observe(self.store.durable.order, self.now, ())


class ReadsTheOrderOfThePrimary(World):
    """Without majority. A range is removed only once its records are durable, so those that are read next are complete."""

    def begin_cursor(self, _: Order) -> int:
        return self.store.primary.order.final_until

    def final_until(self, _: Order) -> int:
        return self.store.primary.order.final_until


VARIANTS: tuple[type[World], ...] = (ClosesRangesInUse, ReadsTheOrderOfThePrimary)
"""Worlds with another rule that is right as well."""

HOLE = "^hole|^cursor [0-9]+ was filled"
ORDER = "^order|^repeat|^cursor [0-9]+ was filled"
REPEAT = "^repeat|^order"
CONTENT = "^content|^cursor [0-9]+ was filled"
LOST = "^acknowledged and not stored|^cursor [0-9]+ was filled"
STUCK = "^stuck"

MUTANTS: dict[type[World], str] = {
    HandsOutByClockAlone: ORDER,
    HandsOutFromAnOldRead: HOLE,
    HandsOutWithoutMajority: HOLE,
    FinishesWithoutMajority: LOST,
    ClosesWithoutMajority: HOLE,
    InsertsWithoutUniqueSeq: HOLE,
    FinishesBeforeTheWriteIsDone: HOLE,
    AnnouncesBeforeTheWriteIsDone: CONTENT,
    FinishesARangeOfUnknownResult: HOLE,
    AnnouncesOnlyTheLastAttempt: HOLE,
    AnnouncesDuplicates: CONTENT,
    AcknowledgesWhatAClosedRangeRefused: LOST,
    ClosesWithoutTombstones: HOLE,
    PutsTombstonesIntoHalfOfTheRange: HOLE,
    RemovesBeforeTheTombstones: HOLE,
    ClosesWithAnOldRead: HOLE,
    SparesRangesOfItsOwnName: STUCK,
    BeginsAtTheLastCursor: HOLE,
    IgnoresOpenRanges: HOLE,
    ReadsRecordsBeforeTheOrder: HOLE,
    EndsAFullPageAtTheEndOfTheRead: HOLE,
    DeliversWholeAnnouncements: REPEAT,
    DropsTheRestOfAPage: HOLE,
    DeliversBehindAGap: HOLE,
    RepeatsWhatWasAnnouncedDuringARead: REPEAT,
    WaitsForLostAnnouncements: STUCK,
}
"""Each with the promise that it breaks, as a regular expression of the violation."""
