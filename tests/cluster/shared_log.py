"""A log that several bridges share, in a real database: its stores, with faults that a test asks for, and readings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId

from bridge.core.errors import StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.reading import Reading
from bridge.log.order import CursorRange, Order
from bridge.ports import LogStore, ReadingWriter, Store

MS = 1_767_000_000_000


def readings(count: int, device: str = "a") -> list[Reading]:
    """Readings without cursors, each with an id of its own."""
    return [Reading(ObjectId(), device, {"temperature": n}, MS + n, MS + n) for n in range(count)]


def log_of(store: Store) -> LogStore:
    assert store.log is not None
    return store.log


class FaultyLog:
    """A `LogStore` that loses the answers of hand-outs while `lost` is above 0, and holds them back until `hand_out_gate`."""

    def __init__(self, log: LogStore) -> None:
        self._log = log
        self.lost = 0
        self.unavailable = False
        self.refused = 0
        self.hand_outs = self.orders = self.finishes = 0
        self.hand_out_gate: asyncio.Event | None = None
        self.prepare, self.is_prepared, self.records = log.prepare, log.is_prepared, log.records

    async def order(self) -> Order:
        self._check()
        self.orders += 1
        return await self._log.order()

    async def hand_out(self, count: int, bridge: str, finished: Sequence[int], /) -> tuple[Order, CursorRange]:
        self._check()
        answer = await self._log.hand_out(count, bridge, finished)
        self.hand_outs += 1
        if self.hand_out_gate is not None:
            await self.hand_out_gate.wait()
        if self.lost:
            self.lost -= 1
            raise StoreUnavailable("the answer was lost")
        return answer

    async def finish(self, highs: Sequence[int], /) -> Order:
        self._check()
        self.finishes += 1
        return await self._log.finish(highs)

    async def close(self, taken: CursorRange, /) -> Order:
        self._check()
        return await self._log.close(taken)

    def _check(self) -> None:
        if self.unavailable:
            self.refused += 1
            raise StoreUnavailable("unavailable")


class FaultyWriter:
    """A `ReadingWriter` that fails `before` or `after` writing, as `failures` says, and waits for `gate` before it writes."""

    def __init__(self, store: ReadingWriter) -> None:
        self._store = store
        self.failures: list[str] = []
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise StoreUnavailable("nothing was written")
        result = await self._store.write(readings, rejections, statuses)
        if failure == "after":
            raise StoreUnavailable("everything was written")
        return result


async def stored(store: Store) -> list[Reading]:
    """Every reading of the log, in order."""
    return await log_of(store).records(0, 2**53 - 1, 100_000)


def seqs(found: Sequence[Any]) -> list[int]:
    return [one.seq for one in found]
