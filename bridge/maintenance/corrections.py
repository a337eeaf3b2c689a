"""Corrections of stored readings: changed or deleted by a person, in the store, in memory and for live clients."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bson.objectid import ObjectId

from bridge.core.errors import StoreUnavailable, UnknownReading
from bridge.core.events import EntityEvent, EntityEventType
from bridge.core.readings.correction import corrected
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import parse_record
from bridge.devices.registry import Registry
from bridge.ports import Publisher, ReadingEditor


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class RecentReadings(Protocol):
    def replace_recent(self, reading: Reading, after: Reading | None) -> None:
        """Replace a reading that is kept in memory for clients that reconnect, or drop it."""


class Corrections:
    def __init__(
        self,
        store: ReadingEditor,
        registry: Registry,
        recent: RecentReadings,
        publisher: Publisher,
        clock: Callable[[], int] = _now_ms,
    ) -> None:
        """`clock` gives milliseconds since the epoch."""
        self._store = store
        self._registry = registry
        self._recent = recent
        self._publisher = publisher
        self._clock = clock
        self._lock = asyncio.Lock()

    async def get(self, identity: ObjectId) -> Reading:
        """Return a reading. Raises `UnknownReading` and `StoreUnavailable`."""
        reading = await self._store.reading(identity)
        if reading is None:
            raise UnknownReading(f"no reading {identity} is stored")
        return reading

    async def change(self, identity: ObjectId, changes: Mapping[str, Any]) -> Reading:
        """Change fields of a reading. Raises as `get` does, and `ReadingError`."""
        async with self._lock:
            before = await self.get(identity)
            after = corrected(before, changes, self._clock())
            await self._replace(before, after, "updated", "update_reading")
        return after

    async def delete(self, identity: ObjectId) -> Reading:
        """Delete a reading and return it. Raises as `get` does."""
        async with self._lock:
            before = await self.get(identity)
            await self._replace(before, None, "deleted", "delete_reading")
        return before

    async def _replace(self, before: Reading, after: Reading | None, event_type: EntityEventType, action: str) -> None:
        if not await self._store.replace(before, after):
            raise UnknownReading(f"no reading {before.id} is stored")
        self._recent.replace_recent(before, after)
        newest = await self._store.latest((before.device_id,))
        self._registry.set_last_reading(before.device_id, newest[0] if newest else None)
        event = EntityEvent("reading", event_type, str(before.id), (after or before).public(), {"action": action})
        self._publisher.publish([event])


class RemoteCorrections:
    """Applies the corrections of other bridges to what this one has in memory."""

    def __init__(self, store: ReadingEditor, registry: Registry, recent: RecentReadings) -> None:
        self._store = store
        self._registry = registry
        self._recent = recent
        self._devices: set[str] = set()

    def apply(self, event: EntityEvent) -> None:
        """Apply the event of a correction. The newest readings of the devices are read by `reread`."""
        after = parse_record(event.data)
        after.seq = int(event.data["seq"])
        self._recent.replace_recent(after, None if event.event_type == "deleted" else after)
        if after.device_id in self._registry:
            self._devices.add(after.device_id)

    async def reread(self) -> None:
        """Read the newest readings of the devices whose readings were corrected. Raises `StoreUnavailable`."""
        devices, self._devices = self._devices, set()  # one that is corrected meanwhile is read again
        if not devices:
            return
        try:
            newest = {reading.device_id: reading for reading in await self._store.latest(tuple(devices))}
        except StoreUnavailable:
            self._devices |= devices
            raise
        for device_id in devices:
            self._registry.set_last_reading(device_id, newest.get(device_id))
