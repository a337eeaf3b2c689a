"""How rollups come about, whichever store: by steps of about a second, each safe to repeat and to break off anywhere.

A device's hours are rolled up in order, wholly, from its readings, five minutes after their end. Readings that come later than
that are found by their cursor, and their hours rolled up again: those of the last day when the device has rested, for more may
be coming, as from one that sends what it kept, or whose clock is behind for good. Once more a day later, for what was stored
under an old cursor: by a bridge that could not reach the store for a while, or whose clock is behind. One of several bridges
does it, by a lease.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from dataclasses import replace
from typing import Protocol

from bridge.core.errors import StoreUnavailable
from bridge.core.query import RollupResult
from bridge.core.rollup import DAY_MS, HOUR_MS, Late, RollupProgress, first_complete_ms, floor_to_hour, merge_hours

LEASE_SECONDS = 60
_STEP_SECONDS = 1.0
_STEP_LIMIT_SECONDS = 30.0
"""Well before the lease ends a step has ended, or is broken off."""
_PLACES_SECONDS = 60.0
_CLOSED_AFTER_MS = 5 * 60_000
SETTLE_MS = 30_000
"""So long after its cursor a reading is looked for in the store: six times the usual deadline of a write."""
_READINGS_AT_ONCE = 20_000
_REST_SECONDS = 900.0
"""So long a device rests that had late readings: at 1,000 of them a second, an hour made again every 10 s took mongod 10 % of a
core after two minutes, and more each minute."""


class RollupTables(Protocol):
    """What a store does for it."""

    async def lead(self, owner: str) -> int | None:
        """Take or keep the lease; the cursor up to which late readings were looked for. None: another has it."""
        ...

    async def keep_cursor(self, owner: str, seq: int) -> None:
        """Keep it, as long as the lease is ours."""
        ...

    async def settled(self, since: int, until: int, limit: int | None = None) -> int | None:
        """Of the readings after and up to these cursors the last one's, or the `limit`th's if there are more; None: no such."""
        ...

    async def touched(self, since: int, until: int, before_ms: int) -> Late:
        """Devices and hours of the readings with these cursors that were measured before."""
        ...

    async def places(self) -> list[RollupProgress]:
        """One for each device that has readings or rollups."""
        ...

    async def keep_place(self, place: RollupProgress) -> None:
        """Over what was there."""
        ...

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """When the first reading of this span was measured, and the `limit`th (with fewer: `to_ms`); None: there is none."""
        ...

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """Make the rollups of whole hours, of all widths, in place of what was there; the fields that were measured."""
        ...


class RollupBuilder:
    """Makes the rollups of one store."""

    def __init__(self, tables: RollupTables, retention_days: int | None) -> None:
        """Readings older than `retention_days` expire; their rollups stay as they were."""
        self._tables = tables
        self._retention_days = retention_days
        self._owner = uuid.uuid4().hex
        self._one = asyncio.Lock()
        self._forget()

    def _forget(self) -> None:
        """What is in memory may not be what is in the store."""
        self._places: dict[str, RollupProgress] = {}
        self._places_until = 0.0
        self._due: deque[str] = deque()
        self._late: deque[tuple[str, int, int]] = deque()
        self._late_cursor = 0
        self._resting: dict[str, float] = {}

    async def step(self) -> RollupResult:
        """About a second's work, or none; `StoreUnavailable` if the store is. One that was cancelled ends first."""
        async with self._one:
            return await self._whole_step()

    async def _whole_step(self) -> RollupResult:
        try:
            async with asyncio.timeout(_STEP_LIMIT_SECONDS):
                return await self._step()
        except TimeoutError:
            self._forget()
            raise StoreUnavailable(f"a step of the rollups took longer than {_STEP_LIMIT_SECONDS:g} s") from None
        except BaseException:
            self._forget()
            raise

    async def _step(self) -> RollupResult:
        cursor = await self._tables.lead(self._owner)
        if cursor is None:
            self._forget()
            return RollupResult()
        await self._read_places()
        full = await self._find_late(cursor)
        hours, end = 0, time.monotonic() + _STEP_SECONDS
        while (self._late or self._due) and time.monotonic() < end:
            hours += await (self._roll_late() if self._late else self._go_on(self._places[self._due.popleft()]))
        behind = sum(place.until_ms < now_ms() - DAY_MS for place in self._places.values())
        return RollupResult(hours, behind, more=full or bool(self._late or self._due))

    async def _read_places(self) -> None:
        """New devices are found once a minute; what is due is looked for when all that was due is done."""
        if time.monotonic() > self._places_until:
            self._places = {place.device_id: place for place in await self._tables.places()}
            self._places_until = time.monotonic() + _PLACES_SECONDS
        if not self._due:
            now = time.monotonic()
            self._resting = {name: until for name, until in self._resting.items() if until > now}
            due = [name for name, place in self._places.items() if self._is_due(place)]
            random.shuffle(due)  # or one that always fails would keep the others waiting for ever
            self._due.extend(due)

    # --- late readings ---

    async def _find_late(self, cursor: int) -> bool:
        """Look at the readings after the cursor; whether there may be more."""
        if self._late:
            return True
        until = now_ms() * 1000 - SETTLE_MS * 1000
        rolled_ms = max((place.until_ms for place in self._places.values()), default=0)
        if not rolled_ms:  # then nothing is late, be it years of readings
            newest = await self._tables.settled(cursor, until)
            if newest is not None:
                await self._tables.keep_cursor(self._owner, newest)
            return False
        last = await self._tables.settled(cursor, until, _READINGS_AT_ONCE)
        if last is None:
            return False
        late = [one for one in await self._tables.touched(cursor, last, rolled_ms) if self._is_made_again(*one)]
        self._late.extend(merge_hours(late))
        self._late_cursor = last
        if not self._late:
            await self._tables.keep_cursor(self._owner, last)
        return await self._tables.settled(last, until, 1) is not None

    def _is_made_again(self, device_id: str, hour: int) -> bool:
        place = self._places.get(device_id)
        return place is not None and first_complete_ms(now_ms(), self._retention_days) <= hour < place.until_ms

    async def _roll_late(self) -> int:
        """The first of the late spans, or a part of it; after the last of them all up to the cursor is done."""
        device_id, from_ms, to_ms = self._late[0]
        if from_ms >= now_ms() - DAY_MS:
            await self._take_back(device_id, from_ms)
            hours, end_ms = 0, to_ms
        else:
            hours, end_ms = await self._roll(device_id, from_ms, to_ms)
        if end_ms < to_ms:
            self._late[0] = (device_id, end_ms, to_ms)
            return hours
        self._late.popleft()
        if not self._late:
            await self._tables.keep_cursor(self._owner, self._late_cursor)
        return hours

    async def _take_back(self, device_id: str, hour: int) -> None:
        """From this hour on the device counts as not rolled up; its readings are read themselves until it has rested."""
        self._resting[device_id] = time.monotonic() + _REST_SECONDS
        place = self._places[device_id]
        if hour < place.until_ms:
            await self._keep(replace(place, until_ms=hour, again_ms=min(place.again_ms, hour)))

    # --- in order ---

    def _is_due(self, place: RollupProgress) -> bool:
        now = now_ms()
        return place.device_id not in self._resting and (place.until_ms < _closed(now) or place.again_ms < _old(now))

    async def _go_on(self, place: RollupProgress) -> int:
        """The next hours of a device, for the first time or for the second."""
        if not self._is_due(place):  # it had late readings since
            return 0
        now, old = now_ms(), _old(now_ms())
        if place.until_ms < _closed(now):
            hours, end_ms = await self._roll(place.device_id, place.until_ms, _closed(now))
            again_ms = end_ms if place.again_ms == place.until_ms and end_ms <= old else place.again_ms
            until_ms = end_ms
        else:
            from_ms = max(place.again_ms, first_complete_ms(now, self._retention_days))
            hours, again_ms = await self._roll(place.device_id, from_ms, old) if from_ms < old else (0, old)
            until_ms = place.until_ms
        place = replace(self._places[place.device_id], until_ms=until_ms, again_ms=again_ms)
        await self._keep(place)
        if self._is_due(place):
            self._due.append(place.device_id)
        return hours

    async def _roll(self, device_id: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """The hours of the next readings of a span: how many, and where it goes on."""
        reached = await self._tables.reach(device_id, from_ms, to_ms, _READINGS_AT_ONCE)
        if reached is None:
            return 0, to_ms
        start_ms, end_ms = (
            floor_to_hour(reached[0]),
            min(max(floor_to_hour(reached[1]), floor_to_hour(reached[0]) + HOUR_MS), to_ms),
        )
        fields = await self._tables.roll(device_id, start_ms, end_ms)
        place = self._places[device_id]
        first_ms = start_ms if place.first_ms is None else min(place.first_ms, start_ms)
        wider = replace(place, first_ms=first_ms, fields=place.fields | fields)
        if wider != place:
            await self._keep(wider)
        return (end_ms - start_ms) // HOUR_MS, end_ms

    async def _keep(self, place: RollupProgress) -> None:
        await self._tables.keep_place(place)
        self._places[place.device_id] = place


def now_ms() -> int:
    """The bridge's clock."""
    return time.time_ns() // 1_000_000


def _closed(now: int) -> int:
    return floor_to_hour(now - _CLOSED_AFTER_MS)


def _old(now: int) -> int:
    return floor_to_hour(now - DAY_MS)
