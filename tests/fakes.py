"""Small classes that stand in for parts; each passes the contract of the part it stands in for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import fmean
from types import TracebackType
from typing import Self

from bson.objectid import ObjectId

from bridge.core.decode import DeviceStatus, Rejection
from bridge.core.errors import StoreUnavailable
from bridge.core.events import Event
from bridge.core.message import Message, Outcome
from bridge.core.query import Bucket, ReadingsQuery, Summary, Written
from bridge.core.reading import Reading


class MemoryStore:
    """Readings in a dictionary. `fail` makes the next writes fail, before or after they happened; `refuse` names devices."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, Reading] = {}
        self.rejections: dict[ObjectId, Rejection] = {}
        self.statuses: dict[str, DeviceStatus] = {}
        self.failures: list[str] = []
        self.refuse: set[str] = set()
        self.writes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def prepare(self) -> int:
        return max((reading.seq for reading in self.by_id.values()), default=0)

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> Written:
        await asyncio.sleep(0)
        self.writes += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise StoreUnavailable("away, nothing was written")
        self.rejections |= {rejection.id: rejection for rejection in rejections}
        self.statuses |= {status.device_id: status for status in statuses}
        refused = {reading.seq: "not welcome" for reading in readings if reading.device_id in self.refuse}
        for reading in readings:
            if reading.seq not in refused:
                self.by_id.setdefault(reading.id, reading)
        if failure == "after":
            raise StoreUnavailable("away, though all was written")
        return Written(frozenset(one.seq for one in readings if self._holds(one)), refused)

    def _holds(self, reading: Reading) -> bool:
        there = self.by_id.get(reading.id)
        return there is not None and there.seq == reading.seq

    def _matching(self, query: ReadingsQuery) -> list[Reading]:
        return [
            one
            for one in sorted(self.by_id.values(), key=lambda one: one.seq)
            if (query.devices is None or one.device_id in query.devices)
            and (query.from_ms is None or one.timestamp_ms >= query.from_ms)
            and (query.to_ms is None or one.timestamp_ms < query.to_ms)
            and (query.since is None or one.seq > query.since)
        ]

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        found = self._matching(query)
        return found[-query.limit :] if query.newest else found[: query.limit]

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        grouped: dict[tuple[int, str], list[Reading]] = {}
        for one in self._matching(query):
            grouped.setdefault((one.timestamp_ms - one.timestamp_ms % every_ms, one.device_id), []).append(one)
        found = [
            Bucket(device, start, len(group), {name: summary for name in fields if (summary := _summary(name, group))})
            for (start, device), group in sorted(grouped.items())
        ]
        return found[-query.limit :] if query.newest else found[: query.limit]

    async def latest(self) -> list[Reading]:
        newest: dict[str, Reading] = {}
        for one in self.by_id.values():
            if one.device_id not in newest or one.timestamp_ms > newest[one.device_id].timestamp_ms:
                newest[one.device_id] = one
        return [newest[device] for device in sorted(newest)]

    async def ping(self) -> None:
        if self.failures:
            raise StoreUnavailable("away")


def _summary(name: str, group: Sequence[Reading]) -> Summary | None:
    values = [float(one.values[name]) for one in group if name in one.values]
    return Summary(min(values), fmean(values), max(values), len(values)) if values else None


class RecordingOrigin:
    """Remembers how messages were settled."""

    def __init__(self) -> None:
        self.settled: list[tuple[Message, Outcome]] = []

    def settle(self, message: Message, outcome: Outcome) -> None:
        self.settled.append((message, outcome))


class RecordingPublisher:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, events: Sequence[Event]) -> None:
        self.events.extend(events)
