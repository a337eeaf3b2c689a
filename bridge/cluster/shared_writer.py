"""Writes readings under cursors that the store hands out, so that several bridges write one log.

A batch is written within one range of cursors, announced, and the range is finished with the next hand-out, or shortly after if
no more readings come. While a batch is written and more readings wait, the range of the next batch is taken already.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.core.errors import StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.log.order import MAX_RANGE, CursorRange
from bridge.pipeline.free_cursors import FreeCursorWriter
from bridge.pipeline.intake import LARGE
from bridge.ports import LogStore, ReadingWriter, Store

log = logging.getLogger(__name__)

FINISH_SECONDS = 0.02
"""The last range is finished after this time without a write: until then, others cannot read beyond it. A write that comes
earlier finishes the ranges before it."""

_RETRY_SECONDS = 0.5
_CLOSE_SECONDS = 0.5


class NoCursor(Cursor):
    """The pipeline's cursor in a cluster: readings have none until they are written."""

    def next(self, now_us: int) -> int:  # noqa: ARG002 - as `Cursor.next`
        return 0


@dataclass(slots=True)
class WriterCounters:
    """Counts since the start: ranges taken, of which ahead of need; and readings that had to be written again because another
    bridge had closed their range.
    """

    ranges: int = 0
    ahead: int = 0
    rewritten: int = 0


class SharedWriter:
    """`on_written` receives each range with its readings that are stored, by rising cursor, when nobody writes there any more.

    `waiting` gives the number of messages that wait to be written.
    """

    def __init__(self, store: ReadingWriter, order: LogStore, bridge: str, waiting: Callable[[], int]) -> None:
        self._store = store
        self._order = order
        self._bridge = bridge
        self._waiting = waiting
        self.on_written: Callable[[CursorRange, list[Reading]], None] = lambda _range, _readings: None
        self.on_write_seconds: Callable[[float], None] = lambda _seconds: None
        self.counts = WriterCounters()
        self._current: list[CursorRange] = []
        self._ahead: asyncio.Task[CursorRange] | None = None
        self._finished: dict[int, None] = {}
        self._has_finished = asyncio.Event()
        self._is_writing = False
        self._changed_at = 0.0  # when a range was last done, or taken ahead

    @classmethod
    async def for_command(cls, store: Store, name: str) -> "tuple[ReadingWriter, Cursor]":
        """Return a writer for a command of its own process, and the cursor of its readings.

        If bridges of a cluster share the store, it takes its cursors as they do; `name` is shown while it writes. Raises
        `StoreUnavailable`.
        """
        last = await store.prepare()
        if store.log is None or not await store.log.is_prepared():
            cursor = Cursor(last)
            return FreeCursorWriter(store, cursor), cursor  # the database may be prepared while the command runs
        return _FinishingWriter(store, store.log, f"{name}-{secrets.token_hex(8)}", lambda: 0), NoCursor()

    def in_use(self) -> set[int]:
        """Return the `high` of each range that is written into, or that is done and not finished."""
        ahead = self._ahead
        taken = {ahead.result().high} if ahead is not None and ahead.done() and not ahead.exception() else set()
        return taken | self._known()

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """As `ReadingWriter.write`; sets `seq` of the readings. A repeated call writes under the cursors that they have."""
        if not readings:
            return await self._store.write(readings, rejections, statuses)
        self._is_writing = True
        try:
            await self._assign([reading for reading in readings if not reading.seq])
            self._take_ahead(len(readings))
            return await self._write(readings, rejections, statuses)
        finally:
            self._is_writing = False

    async def _write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        started = time.monotonic()
        result = await self._store.write(readings, rejections, statuses)
        self.on_write_seconds(time.monotonic() - started)
        stored, refused = set(result.stored), dict(result.refused)
        while result.closed:
            again = [reading for reading in readings if reading.seq in result.closed]
            self.counts.rewritten += len(again)
            log.warning("cluster: %d readings written again: another bridge had closed their cursors", len(again))
            for reading in again:
                reading.seq = 0
            await self._assign(again)
            result = await self._store.write(again, (), ())
            stored |= result.stored
            refused |= result.refused
        self._announce([reading for reading in readings if reading.seq in stored])
        return WriteResult(frozenset(stored), refused)

    def _announce(self, stored: Sequence[Reading]) -> None:
        ranges, self._current = self._current, []
        in_order = sorted(stored, key=lambda reading: reading.seq)
        for taken in ranges:
            self._done(taken, [reading for reading in in_order if taken.low <= reading.seq <= taken.high])

    def _done(self, taken: CursorRange, readings: list[Reading]) -> None:
        self._finished[taken.high] = None
        self._on_changed()
        self.on_written(taken, readings)

    def _on_changed(self) -> None:
        self._changed_at = time.monotonic()
        self._has_finished.set()

    # --- ranges ------------------------------------------------------------------------------------------------------------

    async def _assign(self, readings: Sequence[Reading]) -> None:
        """Give readings cursors in their order. Raises `StoreUnavailable`; some may have theirs then."""
        waiting = list(readings)
        while waiting:
            taken = await self._next_range(len(waiting))
            self._current.append(taken)
            for cursor, reading in zip(range(taken.low, taken.high + 1), waiting, strict=False):
                reading.seq = cursor
            del waiting[: taken.count]

    async def _next_range(self, count: int) -> CursorRange:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self.counts.ahead += 1
            return await ahead
        return await self._take(count)

    async def _take(self, count: int) -> CursorRange:
        """Take a range, and finish those that are done. What an earlier call took, whose answer was lost, is given back."""
        finished, known = list(self._finished), self._known()
        order, taken = await self._order.hand_out(min(count, MAX_RANGE), self._bridge, finished)
        self.counts.ranges += 1
        self._drop_finished(finished)
        # A range that was known before may have been finished and forgotten since the order was read.
        known |= self._known() | {taken.high}
        for lost in [one for one in order.open if one.bridge == self._bridge and one.high not in known]:
            self._done(lost, [])
        return taken

    def _known(self) -> set[int]:
        return {one.high for one in self._current} | self._finished.keys()

    def _drop_finished(self, finished: Iterable[int]) -> None:
        for high in finished:
            self._finished.pop(high, None)
        if not self._finished and not self._is_ahead_taken():
            self._has_finished.clear()

    def _is_ahead_taken(self) -> bool:
        return self._ahead is not None and self._ahead.done()

    def _take_ahead(self, size: int) -> None:
        """Under load, take the next range while this batch is written. More readings may have come when it is needed."""
        waiting = self._waiting()
        if waiting and self._ahead is None:
            self._ahead = asyncio.create_task(self._take(max(waiting, size) + LARGE), name="cluster: next range")
            self._ahead.add_done_callback(lambda _: self._on_changed())  # it may not be needed any more

    # --- time --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Finish ranges for which no further write comes. Runs until cancelled."""
        while True:
            await self._has_finished.wait()
            early = self._changed_at + FINISH_SECONDS - time.monotonic()
            if self._is_writing or early > 0:
                await asyncio.sleep(early if early > 0 else FINISH_SECONDS)
                continue
            try:
                await self.finish()
            except StoreUnavailable as error:
                log.debug("cluster: ranges not finished (%s): retrying", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def finish(self) -> None:
        """Finish what is done, and the range that was taken ahead and is not needed. Raises `StoreUnavailable`."""
        ahead = self._ahead
        if ahead is not None and self._is_ahead_taken() and not self._is_writing:
            self._ahead = None
            with suppress(StoreUnavailable):  # then a later call gives it back
                self._done(ahead.result(), [])
        finished = list(self._finished)
        if finished:
            await self._order.finish(finished)
        self._drop_finished(finished)

    async def close(self) -> None:
        """Finish everything that is done, so that others need not wait for it. Does nothing if the store is unavailable."""
        if self._ahead is not None:
            await asyncio.wait((self._ahead,), timeout=_CLOSE_SECONDS)
            self._ahead.cancel()  # does nothing to one that is done
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.finish()


class _FinishingWriter(SharedWriter):
    """Finishes each range when it is written, and writes readings that are not published: what a command stores is old."""

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        for reading in readings:
            reading.is_quiet = True
        written = await super().write(readings, rejections, statuses)
        await self.finish()
        return written
