"""Follows the log of a cluster: delivers the readings of every bridge once, in the order of their cursors.

What the bus announces is delivered at once if nothing is missing before it. Whatever the bus loses, doubles or reorders is read
from the store, up to the first range that may still be written to; a range that its bridge does not finish is closed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import cast

from bridge.core.errors import StoreError, StoreUnavailable
from bridge.core.readings.reading import Reading
from bridge.log.closing import CloseWatch
from bridge.log.follower import Announcement, Follower
from bridge.log.order import Order
from bridge.ports import LogStore

log = logging.getLogger(__name__)

_PAGE = 500
_IDLE_SECONDS = 1.0
_RETRY_SECONDS = 0.25


@dataclass(slots=True)
class ReaderCounters:
    """Counts since the start: ranges of other bridges that were closed, and failed reads."""

    closed: int = 0
    failed: int = 0


class LogReader:
    """`deliver` receives readings, in order; it is also called for those of this bridge."""

    def __init__(
        self,
        order: LogStore,
        watch: CloseWatch,
        deliver: Callable[[list[Reading]], None],
        in_use: Callable[[], Collection[int]],
    ) -> None:
        """`in_use` gives the `high` of the ranges that this bridge writes into."""
        self._order = order
        self._in_use = in_use
        self._watch = watch
        self._deliver = deliver
        self._follower: Follower[Reading] | None = None
        self._woken = asyncio.Event()
        self._due = float("inf")
        self._reported = ""
        self.counts = ReaderCounters()

    @property
    def delivered(self) -> int:
        """The cursor up to which every reading was delivered."""
        return 0 if self._follower is None else self._follower.delivered

    @property
    def from_store(self) -> int:
        """Readings that were read from the store because they were not announced."""
        return 0 if self._follower is None else self._follower.from_store

    def announcements(self) -> dict[str, int]:
        """Return the number of announcements: taken, old, or dropped because too much waited."""
        follower = self._follower
        if follower is None:
            return {"taken": 0, "old": 0, "dropped": 0}
        taken = follower.announced - follower.dropped_old - follower.dropped_held
        return {"taken": taken, "old": follower.dropped_old, "dropped": follower.dropped_held}

    async def begin(self) -> int:
        """Begin at the first cursor that is not final, and return it. Raises `StoreUnavailable` and `StoreError`."""
        order = await self._order.order()
        self._follower = Follower(order.final_until, _seq_of)
        return order.final_until

    def offer(self, announcement: Announcement[Reading]) -> None:
        """Take the announcement of a range; before `begin` it is dropped."""
        follower = self._follower
        if follower is None:
            return
        readings = follower.offer(announcement, time.monotonic())
        if readings:
            self._deliver(readings)
        if follower.next_read_at() < self._due:
            self._woken.set()

    async def run(self) -> None:
        """Read from the store what was not announced. Runs until cancelled; `begin` was called."""
        follower = await self._begun()
        while True:
            await self._wait(follower)
            now = time.monotonic()
            if not follower.read_due(now):
                continue
            try:
                await self._read(follower)
            except StoreError as error:
                self.counts.failed += 1
                follower.end_read((), 0, time.monotonic())
                self._report(str(error), is_outage=isinstance(error, StoreUnavailable))
                await asyncio.sleep(_RETRY_SECONDS)

    def _report(self, reason: str, *, is_outage: bool) -> None:
        """Log once why the log cannot be read; an outage of the store is reported elsewhere."""
        is_new = not is_outage and reason != self._reported
        self._reported = reason
        log.log(logging.ERROR if is_new else logging.DEBUG, "cluster: readings of other bridges not read: %s: retrying", reason)

    async def _begun(self) -> Follower[Reading]:
        if self._follower is None:
            await self.begin()
        return cast("Follower[Reading]", self._follower)

    async def _wait(self, follower: Follower[Reading]) -> None:
        self._woken.clear()
        self._due = follower.next_read_at()
        left = self._due - time.monotonic()
        if left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _read(self, follower: Follower[Reading]) -> None:
        """Read the order, then the readings up to the first open range."""
        after = follower.begin_read(time.monotonic())
        order = await self._order.order()
        order = await self._close_overdue(order)
        until = order.final_until
        while True:
            readings = await self._order.records(after, until, _PAGE) if after < until else []
            complete = len(readings) < _PAGE
            delivered = follower.end_read(readings, until if complete else readings[-1].seq, time.monotonic())
            if delivered:
                self._deliver(delivered)
            if complete:
                self._reported = ""
                return
            after = follower.begin_read(time.monotonic())

    async def _close_overdue(self, order: Order) -> Order:
        for taken in self._watch.observe(order, time.monotonic(), self._in_use()):
            log.warning(
                "cluster: a range of %d cursors of bridge %s was not finished in time and is closed: that bridge stopped or is "
                "cut off; it writes what it has again",
                taken.count,
                taken.bridge,
            )
            order = await self._order.close(taken)
            self.counts.closed += 1
        return order


def _seq_of(reading: Reading) -> int:
    return reading.seq
