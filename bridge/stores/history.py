"""Summaries of readings from rollups, and from readings where there are none yet; shared by all stores."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from bridge.core.query import Bucket, FieldSummary, ReadingsQuery, RollupResult
from bridge.core.readings.reading import Reading
from bridge.core.rollup import (
    DEVICES_LIMIT,
    HistoryRange,
    Late,
    RollupProgress,
    RollupSegment,
    first_complete_ms,
    fits_rollups,
    floor_to_hour,
    is_time_query,
    plan,
    unrolled_query,
)
from bridge.stores.rollup_builder import RollupBuilder, RollupTables, now_ms

PARTS = ("min", "max", "sum", "count")
"""The parts of each field in a rollup."""


class RollupHistory:
    def __init__(
        self,
        tables: RollupTables,
        builder_tables: RollupTables,
        retention_days: int | None,
        errors: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        """Queries use `tables`, the builder `builder_tables`; `errors` translates those of the driver."""
        self._tables = tables
        self._builder = RollupBuilder(builder_tables, retention_days)
        self._retention_days = retention_days
        self._errors = errors

    async def roll_up(self, devices_limit: int = DEVICES_LIMIT) -> RollupResult:
        async with self._errors():
            return await self._builder.step(devices_limit)

    async def extent(self, devices: Sequence[str] | None) -> HistoryRange | None:
        """Read the first and last index entry of each device, and how far its rollups reach back."""
        async with self._errors():
            ends = (await self._tables.ends(devices)).values()
            saved = await self._tables.saved_progress(devices)
        firsts = [progress.first_ms for progress in saved if progress.first_ms is not None]
        if not ends and not firsts:
            return None
        readings_ms = min((oldest for oldest, _ in ends), default=now_ms())
        last_ms = max((newest for _, newest in ends), default=readings_ms)
        return HistoryRange(min([readings_ms, *firsts]), last_ms, readings_ms)

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str], offset_ms: int = 0) -> list[Bucket]:
        """Group in the database, within the deadline of every call."""
        async with self._errors():
            if not is_time_query(query):
                return await self._tables.summarize(query, None, every_ms, fields, offset_ms)
            progress, late = await self._progress(query)
            if not progress:
                return []
            fields = await self._measured_fields(fields, unrolled_query(query, progress, late), progress)
            is_rolled = fits_rollups(every_ms) and fits_rollups(offset_ms)
            segments = plan(query, every_ms, progress, late, offset_ms) if is_rolled else None
            return [] if segments == [] else await self._tables.summarize(query, segments, every_ms, fields, offset_ms)

    async def _progress(self, query: ReadingsQuery) -> tuple[list[RollupProgress], Late]:
        """Read cursor, progress and late readings, in this order: nothing is missed or counted twice during a roll-up.

        Hours whose readings were corrected are treated as late too.
        """
        cursor = await self._tables.cursor()
        progress = await self._tables.progress(query.devices)
        rolled_ms = min(query.to_ms or now_ms(), max((device.until_ms for device in progress), default=0))
        since_ms = max(query.from_ms or 0, first_complete_ms(now_ms(), self._retention_days))
        late: Late = ()
        if since_ms < rolled_ms:
            changed = await self._tables.changed_hours(query.devices)
            late = await self._tables.late_hours(cursor, None, rolled_ms, since_ms, query.devices)
            late = {*late, *((hour.device_id, hour.start_ms) for hour in changed if since_ms <= hour.start_ms < rolled_ms)}
        return progress, late

    async def _measured_fields(
        self, fields: Sequence[str], unrolled: Sequence[RollupSegment] | None, progress: Sequence[RollupProgress]
    ) -> Sequence[str]:
        """Leave out fields that were never measured: each costs time to summarize, 0.8 µs a reading in MongoDB."""
        if unrolled is None:
            return fields
        measured = frozenset[str]().union(*(device.fields for device in progress))
        if unrolled and not measured.issuperset(fields):
            measured |= frozenset(await self._tables.measured(unrolled, fields))
        return [name for name in fields if name in measured]


def changed_hours(before: Reading, after: Reading | None) -> set[tuple[str, int]]:
    """Return device and hour of a reading before and after its correction: their rollups are to be built again."""
    return {(reading.device_id, floor_to_hour(reading.timestamp_ms)) for reading in (before, after) if reading is not None}


def bucket(device_id: str, start_ms: int, count: int, numbers: Sequence[Any], fields: Sequence[str]) -> Bucket:
    parts = {name: numbers[len(PARTS) * place :][: len(PARTS)] for place, name in enumerate(fields)}
    return Bucket(
        device_id,
        start_ms,
        count,
        {
            name: FieldSummary(low, total / measured, high, measured)
            for name, (low, high, total, measured) in parts.items()
            if measured
        },
    )
