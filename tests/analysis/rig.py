"""A bridge's feed and anomaly service over a store in memory, killed and started again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bridge.analysis.anomaly_service import AnomalyService, DeviceLookups, Pace
from bridge.analysis.feed import ReadingFeed
from bridge.core.events import AnomalyChanged, Event
from bridge.core.readings.reading import Reading
from tests.fakes import MemoryAlarms, MemoryDeviceRecords, MemoryStore, RecordingPublisher
from tests.servers import until

QUICK = Pace(tick_seconds=0.01, save_seconds=0.2, save_readings=500)


class ArmedStore(MemoryStore):
    """Each call of the analysis waits a moment. `on_call` is called before it takes effect, and after.

    With `is_dead` no call has an effect or returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_part_saved: Callable[[], None] | None = None
        """Called once every second state of a checkpoint is saved."""
        self.is_dead = False
        self.on_call: Callable[[], None] = lambda: None
        self.anomalies: Any = _Armed(self, MemoryAlarms())
        self.anomaly_states: Any = _Armed(self, MemoryDeviceRecords())

    async def put(self, key: str, value: str) -> None:
        await self.called()
        await super().put(key, value)
        await self.called()

    async def called(self) -> None:
        self.on_call()
        if self.is_dead:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


class _Armed:
    """A store whose calls are those of another one."""

    def __init__(self, store: ArmedStore, inner: Any) -> None:
        self._store = store
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self.inner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._store.called()
            if name == "save" and self._store.on_part_saved is not None:
                await inner(arguments[0][::2])
                self._store.on_part_saved()
                await self._store.called()
            result = await inner(*arguments, **named)
            await self._store.called()
            return result

        return call


class Rig:
    """One bridge at a time. `told` counts what clients were told, over all runs."""

    def __init__(
        self, store: MemoryStore, rooms: Callable[[str], str | None], *, has_alarm: bool = False, pace: Pace = QUICK
    ) -> None:
        self.store = store
        self.rooms = rooms
        self.has_alarm = has_alarm
        self.pace = pace
        self.hub = RecordingPublisher()
        self.outgoing = _Told(store)
        self.feed: ReadingFeed
        self.service: AnomalyService
        self.now_ms = 1_800_000_000_000

    @property
    def told(self) -> Counter[str]:
        return self.outgoing.told

    @asynccontextmanager
    async def running(self, *, waiting_limit: int = 20_000) -> AsyncIterator[asyncio.Task[None]]:
        """A bridge from its start; it is killed at the end, without any farewell."""
        self.feed = ReadingFeed(self.store, waiting_limit=waiting_limit)
        self.feed.next = self.hub
        self.feed.start_after(max((one.seq for one in self.store.by_id.values()), default=0))
        lookups = DeviceLookups(room=lambda one: self.rooms(one) or "", has_alarm=lambda *_: self.has_alarm)
        self.service = AnomalyService(
            self.store,
            self.feed,
            self.outgoing,
            lookups,
            devices_limit=100,
            pace=self.pace,
            clock=lambda: self.now_ms,
        )
        task = asyncio.create_task(self.service.run(), name="anomalies")
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def publish(self, readings: Iterable[Reading], batch: int = 60) -> None:
        """Store readings, and publish them as the pipeline does, in batches."""
        waiting = list(readings)
        for start in range(0, len(waiting), batch):
            events: list[Event] = list(waiting[start : start + batch])
            await self.store.write([one for one in events if isinstance(one, Reading)], [], [])
            self.feed.publish(events)
            await asyncio.sleep(0)

    async def folded(self, seq: int) -> None:
        await until(lambda: self.service._offset >= seq and not self.service._changing.locked(), 30, "all is folded")

    def documents(self) -> Mapping[str, dict[str, Any]]:
        fold = self.service.fold
        return {one: document for one in fold.device_ids() if (document := fold.document(one)) is not None}


class _Told:
    """Checks that a change is stored before it is told."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.told: Counter[str] = Counter()
        self.events: list[AnomalyChanged] = []

    def publish(self, events: Iterable[Event]) -> None:
        inner = getattr(self._store.anomalies, "inner", self._store.anomalies)
        for event in events:
            assert isinstance(event, AnomalyChanged)
            stored = inner.alarms[event.body["id"]]
            kinds = {one.body["kind"] for one in inner.log.values() if one.alarm_id == event.body["id"]}
            assert event.kind in kinds
            assert stored.body["anomaly"]["id"] == event.body["id"]
            self.told[f"{event.body['id']} {event.kind}"] += 1
            self.events.append(event)


class Killer:
    """Kills a task at a chosen call of the store."""

    def __init__(self, store: ArmedStore, chance: random.Random) -> None:
        self._store = store
        self._chance = chance
        self._left = 0
        self.task: asyncio.Task[None] | None = None
        store.on_call = self._count

    def arm(self, task: asyncio.Task[None], calls: int) -> None:
        self._store.is_dead = False
        self.task, self._left = task, self._chance.randrange(1, calls)

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0 and self.task is not None:
            self._store.is_dead = True
            self.task.cancel()
