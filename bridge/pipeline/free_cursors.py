"""Writes by one process, under cursors of its own, into a store that may refuse a cursor that is used.

A database that is prepared for a cluster does. Without a cluster two processes may still choose the same cursor: the bridge,
and an import beside it.
"""

from collections.abc import Callable, Sequence

from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.pipeline.loop import now_us
from bridge.ports import ReadingWriter


class FreeCursorWriter:
    """Readings whose cursor is used are written again with the next ones of `cursor`, so `WriteResult.closed` is empty."""

    def __init__(self, store: ReadingWriter, cursor: Cursor, clock: Callable[[], int] = now_us) -> None:
        """`clock` returns microseconds since the epoch."""
        self._store = store
        self._cursor = cursor
        self._clock = clock

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """As `ReadingWriter.write`; may change `seq` of the readings."""
        result = await self._store.write(readings, rejections, statuses)
        if not result.closed:
            return result
        stored, refused = set(result.stored), dict(result.refused)
        while result.closed:
            again = [reading for reading in readings if reading.seq in result.closed]
            for reading in again:
                reading.seq = self._cursor.next(self._clock())
            result = await self._store.write(again, (), ())
            stored |= result.stored
            refused |= result.refused
        return WriteResult(frozenset(stored), refused)
