"""Anomalies of a running bridge, the one that leads: the fold over its stored readings, beside their way to the clients.

It takes readings from the feed in pages. What they change is stored, then published, and only then the next page is folded.
Every minute a checkpoint is written. After a restart the readings behind it are folded again, with the inputs in between, and
give the same changes with the same ids: see `anomaly_inputs.py`, `anomaly_journal.py` and `anomaly_checkpoints.py`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import perf_counter

from bridge.analysis.anomaly.changes import AnomalyChange, AnomalyRecord, ChangeKind, change_of
from bridge.analysis.anomaly.device import Forecast
from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyOutcome
from bridge.analysis.anomaly_checkpoints import AnomalyCheckpoints, RestoredDevice
from bridge.analysis.anomaly_inputs import AnomalyInputs, InputKind
from bridge.analysis.anomaly_journal import AnomalyJournal
from bridge.analysis.feed import ReadingFeed
from bridge.analysis.retries import until_stored
from bridge.core.errors import RecordError, StoreUnavailable
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.ports import AlarmInput, Publisher, Store

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.003
"""For so long readings are folded without a break."""

REPLAY_LIMIT = 1_000_000
"""About the most readings that are folded again; of more, the oldest are left out."""

_CHECK_READINGS = 8
"""So often the clock is looked at: the first reading of an hour costs 0.1 ms, any other 4 µs."""

_ROOMS_A_TICK = 500
_RESTORED_A_SLICE = 20
_HOUR_MS = 3_600_000
_CLOSE_SECONDS = 3.0


@dataclass(slots=True)
class AnomalyCounters:
    """Readings folded since the start."""

    folded: int = 0


def _no_room(_device_id: str) -> str | None:
    return ""


def _no_alarm(_device_id: str, _field: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Pace:
    """How often inputs are read, and when a checkpoint is written: after a time, or after as many readings at the latest, so
    that not more are folded again after a restart.
    """

    tick_seconds: float = 1.0
    save_seconds: float = 60.0
    save_readings: int = 100_000


@dataclass(frozen=True, slots=True)
class DeviceLookups:
    """What the service asks of other parts of the bridge.

    `room` gives a text that names the site and the room of a device, empty for none, and None if the device is not registered.
    `has_alarm` tells whether a rule for alarms watches a field of a device for being stuck. `forecast` must give the same
    answer whenever it is asked about an hour.
    """

    room: Callable[[str], str | None] = _no_room
    has_alarm: Callable[[str, str], bool] = _no_alarm
    forecast: Forecast | None = None


class AnomalyService:
    """Call `run` while this bridge leads."""

    def __init__(
        self,
        store: Store,
        feed: ReadingFeed,
        publisher: Publisher,
        lookups: DeviceLookups,
        *,
        devices_limit: int,
        pace: Pace = Pace(),
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`publisher` receives the changes; `clock` gives milliseconds since the epoch."""
        self.counts = AnomalyCounters()
        self.journal = AnomalyJournal(store.anomalies, publisher, lookups.has_alarm)
        self._store = store
        self._feed = feed
        self._lookups = lookups
        self._devices_limit = devices_limit
        self._pace = pace
        self._clock = clock
        self._inputs = AnomalyInputs(store.anomalies, clock)
        self._checkpoints = AnomalyCheckpoints(store, devices_limit)
        self.fold = self._new_fold()
        self._changing = asyncio.Lock()
        """Held while the fold changes or is saved."""
        self._offset = 0
        """The cursor of the last reading that was folded."""
        self._is_loaded = self._is_reconciled = False
        self._unsaved = 0
        """Readings folded since the last checkpoint."""
        self._saved_at = 0.0
        self._unwritten: list[AnomalyChange] = []
        self._removed: set[str] = set()
        self._ahead: dict[str, int] = {}
        """The cursors of devices whose states are ahead of the mark."""
        self._to_check: deque[str] = deque()

    @property
    def is_up_to_date(self) -> bool:
        """Whether the readings are folded that were stored while no bridge led."""
        return self._is_reconciled

    async def run(self) -> None:
        """Continue from the last checkpoint, until cancelled."""
        try:
            await self._load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="anomaly readings")
                tasks.create_task(self._tick_regularly(), name="anomaly inputs")
        finally:
            self._is_reconciled = False
            self.journal.forget_standing()

    async def _follow(self) -> None:
        async with aclosing(self._feed.pages(self._offset)) as pages:
            async for page in pages:
                async with self._changing:
                    await self.fold_page(page)
                    if self._unsaved >= self._pace.save_readings:
                        await self._save()

    async def fold_page(self, page: Sequence[Reading]) -> None:
        """Fold readings in slices of time; store and publish what they change."""
        end, step = perf_counter() + SLICE_SECONDS, self.fold.step
        for number, reading in enumerate(page):
            if self._inputs.are_waiting:
                self._apply(self._inputs.take_before(reading.seq))
            if events := step(reading):
                self._unwritten += map(change_of, events)
            self._offset = reading.seq
            if number % _CHECK_READINGS == 0 and perf_counter() > end:
                await asyncio.sleep(0)
                end = perf_counter() + SLICE_SECONDS
        self.counts.folded += len(page)
        self._unsaved += len(page)
        await self._write()

    async def _write(self) -> None:
        if self._unwritten:
            await self.journal.write(self._unwritten)
            self._unwritten = []

    # --- inputs ------------------------------------------------------------------------------------------------------------

    async def _tick_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._pace.tick_seconds)
            await self.tick()

    async def tick(self) -> None:
        """Apply inputs other than readings, and write a checkpoint if one is due."""
        if not (self._is_reconciled or self._feed.is_following):
            return
        async with self._changing:
            self._apply(self._inputs.take_before(self._offset + 1))
            await self._write()
            if not self._is_reconciled:
                await self._reconcile()
            for device_id in self._feed.take_deleted():
                await self._give({"kind": InputKind.REMOVE.value, "device": device_id, "at": self._clock()})
            await self._give_rooms()
            await self._give_marks()
            await self._write()
            if self._inputs.are_applied or (self._unsaved and perf_counter() - self._saved_at >= self._pace.save_seconds):
                await self._save()

    async def _give(self, body: dict[str, object], of: AlarmInput | None = None) -> None:
        self._apply([await self._inputs.record(body, self._offset, of)])

    async def _give_rooms(self) -> None:
        """Follow the registry: each tick some of the devices are compared."""
        if not self._to_check:
            self._to_check.extend(self.fold.device_ids())
        rooms: dict[str, str | None] = {}
        for device_id in [self._to_check.popleft() for _ in range(min(_ROOMS_A_TICK, len(self._to_check)))]:
            room = self._lookups.room(device_id)
            if room is not None and device_id in self.fold and (room or None) != self.fold.room(device_id):
                rooms[device_id] = room or None
        if rooms:
            await self._give({"kind": InputKind.ROOMS.value, "rooms": rooms})

    async def _give_marks(self) -> None:
        try:
            marks = await self._inputs.new_marks()
        except StoreUnavailable as error:
            log.debug("anomalies: marks not read (%s): retrying", error)
            return
        for mark in marks:
            await self._give(mark.body, mark)

    def _apply(self, inputs: Sequence[AlarmInput]) -> None:
        for given in inputs:
            body = given.body
            match body["kind"]:
                case InputKind.ROOMS:
                    for device_id, room in body["rooms"].items():
                        if self._is_due(device_id, body["after"]):
                            self.fold.set_room(device_id, room)
                            self.fold.changed.add(device_id)
                case InputKind.REMOVE:
                    if self._is_due(body["device"], body["after"]):
                        self._removed.add(body["device"])
                        self._unwritten += map(change_of, self.fold.remove(body["device"], body["at"]))
                case InputKind.MARK:
                    if self._is_due(body["device"], body["after"]):
                        events = self.fold.mark_wrong(body["device"], body["anomaly"], body["at"])
                        self._unwritten += [change_of(one, body["by"], body.get("comment")) for one in events]

    def _is_due(self, device_id: str, after: int) -> bool:
        """Whether the state of a device does not contain an input that was applied after this cursor."""
        return device_id in self.fold and self._ahead.get(device_id, 0) <= after

    # --- memory ------------------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Restore the last checkpoint. The first start begins with the reading that is published next."""
        self._is_loaded = self._is_reconciled = False
        self._unwritten, self._removed, self._ahead, self._unsaved = [], set(), {}, 0
        self._to_check.clear()
        self.fold = self._new_fold()
        mark = await until_stored(self._checkpoints.mark, "anomalies")
        if mark is None:
            mark = first = self._feed.newest
            await until_stored(lambda: self._checkpoints.set_mark(first), "anomalies")
        await self._restore(mark)
        await self._inputs.load()
        self._offset = await self._replay_from(mark)
        self._saved_at = perf_counter()
        self._is_loaded = True

    def _new_fold(self) -> AnomalyFold:
        return AnomalyFold(forecast=self._lookups.forecast, devices_limit=self._devices_limit)

    async def _restore(self, mark: int) -> None:
        devices: list[RestoredDevice] = await until_stored(self._checkpoints.devices, "anomalies")
        failures = list[str]()
        for number, one in enumerate(devices):
            try:
                self.fold.restore(one.state)
            except RecordError as error:
                failures.append(str(error))
                continue
            self.fold.set_room(one.device_id, one.room)
            if one.seq > mark:
                self._ahead[one.device_id] = one.seq
            if number % _RESTORED_A_SLICE == 0:
                await asyncio.sleep(0)
        if failures:
            log.warning("anomalies: %d devices start again without a state: %s", len(failures), failures[0])

    async def _replay_from(self, mark: int) -> int:
        waiting = await until_stored(lambda: self._store.count(ReadingsQuery(since=mark)), "anomalies")
        if waiting <= REPLAY_LIMIT:
            return mark
        log.warning("anomalies: %d readings stored since the last checkpoint: the oldest are left out", waiting)
        newest = self._feed.newest
        return newest - (newest - mark) * REPLAY_LIMIT // waiting  # cursors rise with the time

    async def _reconcile(self) -> None:
        """End anomalies whose state was lost, and those of devices that were deleted while no bridge led."""
        self._ahead = {}
        now_ms = self._clock()
        for device_id in self.fold.device_ids():
            if self._lookups.room(device_id) is None and self.fold.last_ms(device_id) < now_ms - _HOUR_MS:
                await self._give({"kind": InputKind.REMOVE.value, "device": device_id, "at": now_ms})
        await self._write()
        standing = {one.id for one in self.fold.standing()}
        lost = [one for one in await self.journal.load_standing() if one.id not in standing]
        for record in lost:
            anomaly = replace(record.anomaly, resolved_ms=now_ms, outcome=AnomalyOutcome.ENDED)
            self._unwritten.append(AnomalyChange(ChangeKind.RESOLVED, now_ms, AnomalyRecord(anomaly)))
        await self._write()
        self._is_reconciled = True

    async def _save(self) -> None:
        """Write a checkpoint, however long it takes."""
        removed = set(self._removed)
        await until_stored(lambda: self._checkpoints.save(self.fold, self._offset, removed), "checkpoints of anomalies")
        await until_stored(self._inputs.drop_applied, "inputs of anomalies")
        self._removed -= removed
        self._unsaved, self._saved_at = 0, perf_counter()

    async def close(self) -> None:
        """Write a last checkpoint, of a bridge that is alone and has ended `run`."""
        if not self._is_loaded or self._unwritten:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS), self._changing:
                await self._save()
        except TimeoutError:
            log.warning("anomalies: no checkpoint at the end: readings since the last one are folded again at the next start")
