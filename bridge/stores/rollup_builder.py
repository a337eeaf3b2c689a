"""Builds the rollups of any store, in steps of about a second, each safe to repeat and to cancel anywhere.

A device's hours are rolled up in order, wholly, from its readings, five minutes after they end. Readings that arrive later are
found by their cursor, and their hours are rolled up again; hours of the last day only after a cooldown, since more
may follow, e.g. from a device that sends a buffer or whose clock is always slow. A second pass a day later covers readings that
were stored under an old cursor: by a bridge that could not reach the store for a while, or whose clock is slow. Of several
bridges, only the holder of the lease rolls up.
"""

import asyncio
import logging
import random
import time
import uuid
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from bridge.core.errors import StoreUnavailable
from bridge.core.query import Bucket, ReadingsQuery, RollupResult
from bridge.core.rollup import (
    DAY_MS,
    HOUR_MS,
    ChangedHour,
    Late,
    RollupProgress,
    RollupSegment,
    first_complete_ms,
    floor_to_hour,
    merge_hours,
)

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
_STEP_SECONDS = 1.0
_STEP_LIMIT_SECONDS = 30.0
"""A step ends or is cancelled well before the lease does."""
_PROGRESS_SECONDS = 60.0
_CLOSED_AFTER_MS = 5 * 60_000
SETTLE_MS = 30_000
"""Age of a cursor up to which readings are looked for: six times the default deadline of a write."""
_READINGS_AT_ONCE = 20_000
_CHANGED_AT_ONCE = 100
_COOLDOWN_SECONDS = 900.0
"""Cooldown of a device with late readings: with 1,000 late readings a second, rolling up an hour every 10 s took mongod 10 %
of a core after two minutes, and more each minute."""


class RollupTables(Protocol):
    async def lead(self, owner: str) -> int | None:
        """Take or extend the lease and return the cursor up to which late readings were handled; None: another has it."""

    async def save_cursor(self, owner: str, seq: int) -> None:
        """Store that cursor, provided that `owner` has the lease."""

    async def cursor(self) -> int:
        """Return that cursor; 0 before the first."""

    async def last_cursor(self, since: int, until: int, limit: int | None = None) -> int | None:
        """Return the cursor of the last reading after `since` and up to `until`, of the `limit`th if there are more."""

    async def late_hours(
        self, since: int, until: int | None, before_ms: int, from_ms: int = 0, devices: Sequence[str] | None = None
    ) -> Late:
        """Return devices and hours of the readings with these cursors that were measured in this time."""

    async def changed_hours(self, devices: Sequence[str] | None = None, limit: int = 0) -> list[ChangedHour]:
        """Return hours of these devices (None: all) with corrected readings, the first `limit` by time of correction."""

    async def rebuild(self, device_id: str, hour: int) -> None:
        """Delete the rollups of an hour and build them from its readings, of which there may be none left."""

    async def forget_changed(self, hour: ChangedHour) -> None:
        """Delete the mark of an hour, unless a reading in it was corrected again."""

    async def saved_progress(self, devices: Sequence[str] | None) -> list[RollupProgress]:
        """Return the stored progress of these devices (None: all)."""

    async def save_progress(self, progress: RollupProgress) -> None:
        """Insert or overwrite the progress of a device."""

    async def forget_lost(self) -> bool:
        """Delete all progress if there is some but no rollup is left, as after a dropped table; return whether it was so."""

    async def device_ids(self, limit: int | None = None) -> Collection[str]:
        """Return the devices that have readings, the first `limit` by name."""

    async def ends(self, devices: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        """Return the first and last time of measurement of each device that has readings."""

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """Return the times of the first reading in this span and of the `limit`th (with fewer: `to_ms`); None without any."""

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """Build the rollups of whole hours, of all widths, replacing existing ones; return the fields that were measured."""

    async def measured(self, segments: Sequence[RollupSegment], fields: Sequence[str]) -> Collection[str]:
        """Return those of the fields that the readings in these segments have."""

    async def summarize(
        self,
        query: ReadingsQuery,
        segments: Sequence[RollupSegment] | None,
        every_ms: int,
        fields: Sequence[str],
        offset_ms: int = 0,
    ) -> list[Bucket]:
        """Summarize the segments, or the readings that match the query if `segments` is None.

        Spans begin `offset_ms` earlier than in UTC.
        """

    async def progress(self, devices: Sequence[str] | None = None) -> list[RollupProgress]:
        saved = {progress.device_id: progress for progress in await self.saved_progress(devices)}
        names = set(saved) | set(await self.device_ids() if devices is None else devices)
        return [saved.get(name) or RollupProgress(name) for name in sorted(names)]


class RollupBuilder:
    def __init__(self, tables: RollupTables, retention_days: int | None) -> None:
        """Readings older than `retention_days` expire; their rollups stay unchanged."""
        self._tables = tables
        self._retention_days = retention_days
        self._owner = uuid.uuid4().hex
        self._step_lock = asyncio.Lock()
        self._is_over_limit = False
        self._reset()

    def _reset(self) -> None:
        """Discard the state in memory: it may differ from the store."""
        self._progress: dict[str, RollupProgress] = {}
        self._progress_until = 0.0
        self._due: deque[str] = deque()
        self._late: deque[tuple[str, int, int]] = deque()
        self._late_cursor = 0
        self._cooling: dict[str, float] = {}

    async def step(self, devices_limit: int) -> RollupResult:
        """Do at most about a second's work; a step that was cancelled ends before the next begins.

        Senders choose the names of devices, and the progress of each is held in memory: no new device is rolled up beyond
        `devices_limit`. Queries read its readings.
        """
        async with self._step_lock:
            try:
                async with asyncio.timeout(_STEP_LIMIT_SECONDS):
                    return await self._step(devices_limit)
            except TimeoutError:
                self._reset()
                raise StoreUnavailable(f"a step of the rollups took longer than {_STEP_LIMIT_SECONDS:g} s") from None
            except BaseException:
                self._reset()
                raise

    async def _step(self, devices_limit: int) -> RollupResult:
        cursor = await self._tables.lead(self._owner)
        if cursor is None:
            self._reset()
            return RollupResult()
        await self._read_progress(devices_limit)
        full = await self._find_late(cursor)
        end = time.monotonic() + _STEP_SECONDS
        hours, more_changed = await self._rebuild_changed(end)
        while (self._late or self._due) and time.monotonic() < end:
            hours += await (self._roll_late() if self._late else self._roll_next(self._progress[self._due.popleft()]))
        behind = sum(progress.until_ms < now_ms() - DAY_MS for progress in self._progress.values())
        return RollupResult(hours, behind, more=full or more_changed or bool(self._late or self._due))

    async def _read_progress(self, devices_limit: int) -> None:
        """Look for new devices once a minute, and for due ones when all that were due are done."""
        if time.monotonic() > self._progress_until:
            if await self._tables.forget_lost():
                log.warning("rollups: none is left of those that were built: building them again from the readings")
                self._reset()
            self._progress = await self._limited_progress(devices_limit)
            self._progress_until = time.monotonic() + _PROGRESS_SECONDS
            self._due = deque(name for name in self._due if name in self._progress)
            self._late = deque(span for span in self._late if span[0] in self._progress)
        if not self._due:
            now = time.monotonic()
            self._cooling = {name: until for name, until in self._cooling.items() if until > now}
            due = [name for name, progress in self._progress.items() if self._is_due(progress)]
            random.Random().shuffle(due)  # noqa: S311 - otherwise one that always fails would block the others forever
            self._due.extend(due)

    async def _limited_progress(self, devices_limit: int) -> dict[str, RollupProgress]:
        """Return the progress of every device that has some, and of new devices up to the limit."""
        progress = {saved.device_id: saved for saved in await self._tables.saved_progress(None)}
        limit = max(devices_limit, len(progress))
        for name in await self._tables.device_ids(limit + 1):  # as many as can be known, and one new
            if len(progress) < limit:
                progress.setdefault(name, RollupProgress(name))
            elif name not in progress:
                self._warn_of_limit(limit)
        return progress

    def _warn_of_limit(self, limit: int) -> None:
        if not self._is_over_limit:
            self._is_over_limit = True
            log.warning("rollups: more than %d devices: not built for further ones, whose long charts are slower", limit)

    # --- late readings ---

    async def _find_late(self, cursor: int) -> bool:
        """Look for late readings after the cursor; return whether there may be more."""
        if self._late:
            return True
        until = now_ms() * 1000 - SETTLE_MS * 1000
        rolled_ms = max((progress.until_ms for progress in self._progress.values()), default=0)
        if not rolled_ms:  # then no reading is late, even after years of readings
            newest = await self._tables.last_cursor(cursor, until)
            if newest is not None:
                await self._tables.save_cursor(self._owner, newest)
            return False
        last = await self._tables.last_cursor(cursor, until, _READINGS_AT_ONCE)
        if last is None:
            return False
        late = [hour for hour in await self._tables.late_hours(cursor, last, rolled_ms) if self._is_rebuilt(*hour)]
        self._late.extend(merge_hours(late))
        self._late_cursor = last
        if not self._late:
            await self._tables.save_cursor(self._owner, last)
        return await self._tables.last_cursor(last, until, 1) is not None

    def _is_rebuilt(self, device_id: str, hour: int) -> bool:
        progress = self._progress.get(device_id)
        return progress is not None and first_complete_ms(now_ms(), self._retention_days) <= hour < progress.until_ms

    async def _roll_late(self) -> int:
        """Roll up the first late span, or a part of it; after the last one, save the cursor."""
        device_id, from_ms, to_ms = self._late[0]
        if from_ms >= now_ms() - DAY_MS:
            await self._rewind(device_id, from_ms)
            hours, end_ms = 0, to_ms
        else:
            hours, end_ms = await self._roll(device_id, from_ms, to_ms)
        if end_ms < to_ms:
            self._late[0] = (device_id, end_ms, to_ms)
            return hours
        self._late.popleft()
        if not self._late:
            await self._tables.save_cursor(self._owner, self._late_cursor)
        return hours

    async def _rewind(self, device_id: str, hour: int) -> None:
        """Treat the device as not rolled up from this hour on: queries use its readings until the cooldown is over."""
        self._cooling[device_id] = time.monotonic() + _COOLDOWN_SECONDS
        progress = self._progress[device_id]
        if hour < progress.until_ms:
            await self._save(replace(progress, until_ms=hour, again_ms=min(progress.again_ms, hour)))

    # --- corrected readings ---

    async def _rebuild_changed(self, end: float) -> tuple[int, bool]:
        """Build the hours of corrected readings again, until `end`; return how many, and whether there are more.

        Hours of the last seconds are left out: their correction may still be in progress.
        """
        hours = 0
        changed = await self._tables.changed_hours(limit=_CHANGED_AT_ONCE)
        for hour in changed:
            if hour.at_ms > now_ms() - SETTLE_MS:
                return hours, False
            if time.monotonic() > end:
                return hours, True
            if self._is_rebuilt(hour.device_id, hour.start_ms):
                await self._tables.rebuild(hour.device_id, hour.start_ms)
                hours += 1
            await self._tables.forget_changed(hour)
        return hours, len(changed) == _CHANGED_AT_ONCE

    # --- in order ---

    def _is_due(self, progress: RollupProgress) -> bool:
        now = now_ms()
        return progress.device_id not in self._cooling and (
            progress.until_ms < _closed(now) or progress.again_ms < _day_old(now)
        )

    async def _roll_next(self, progress: RollupProgress) -> int:
        """Roll up the next hours of a device, in the first pass or in the second."""
        if not self._is_due(progress):  # it has had late readings since
            return 0
        now, day_old = now_ms(), _day_old(now_ms())
        if progress.until_ms < _closed(now):
            hours, end_ms = await self._roll(progress.device_id, progress.until_ms, _closed(now))
            again_ms = end_ms if progress.again_ms == progress.until_ms and end_ms <= day_old else progress.again_ms
            until_ms = end_ms
        else:
            from_ms = max(progress.again_ms, first_complete_ms(now, self._retention_days))
            hours, again_ms = await self._roll(progress.device_id, from_ms, day_old) if from_ms < day_old else (0, day_old)
            until_ms = progress.until_ms
        progress = replace(self._progress[progress.device_id], until_ms=until_ms, again_ms=again_ms)
        await self._save(progress)
        if self._is_due(progress):
            self._due.append(progress.device_id)
        return hours

    async def _roll(self, device_id: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Roll up the hours of the next readings in a span; return how many hours, and where to continue."""
        reach = await self._tables.reach(device_id, from_ms, to_ms, _READINGS_AT_ONCE)
        if reach is None:
            return 0, to_ms
        start_ms, last_ms = map(floor_to_hour, reach)
        end_ms = min(max(last_ms, start_ms + HOUR_MS), to_ms)
        fields = await self._tables.roll(device_id, start_ms, end_ms)
        progress = self._progress[device_id]
        first_ms = start_ms if progress.first_ms is None else min(progress.first_ms, start_ms)
        wider = replace(progress, first_ms=first_ms, fields=progress.fields | fields)
        if wider != progress:
            await self._save(wider)
        return (end_ms - start_ms) // HOUR_MS, end_ms

    async def _save(self, progress: RollupProgress) -> None:
        await self._tables.save_progress(progress)
        self._progress[progress.device_id] = progress


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _closed(now: int) -> int:
    return floor_to_hour(now - _CLOSED_AFTER_MS)


def _day_old(now: int) -> int:
    return floor_to_hour(now - DAY_MS)
