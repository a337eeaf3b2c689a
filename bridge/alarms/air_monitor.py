"""Judges the air at every device from its stored readings, and says when a judgement changes.

A publisher between the registry and the hub: readings pass on first. Each device's minutes and hours are kept in memory and
saved once a minute; at the start they are read, and the readings stored after them are added. Assessing takes at most a few
milliseconds in each quarter of a second, whatever the load: with thousands of devices each waits its turn.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bridge.air.assessment import Assessment
from bridge.air.averaging import HOUR_MS
from bridge.air.judge import HOURLY_FIELDS, AirInput, AirScale, assess
from bridge.air.score import global_score
from bridge.air.windows import MINUTE_MS, DeviceWindow
from bridge.core.errors import StoreUnavailable
from bridge.core.events import AirAssessed, Event
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.ports import AirRecord, Publisher, Store

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
SAVE_SECONDS = 60.0
LATE_MS = 60_000
"""A reading that came later than this after its time says nothing about the air now."""

REPLAY_LIMIT = 200_000
"""The most readings that are added at the start; a bridge that was down for long begins its averages anew."""

_MARK = "air.cursor"
_BUDGET_SECONDS = 0.005
_BATCH = 200
_PAGE = 5000
_RECENT_MINUTES = 10
_DAY_MS = 25 * HOUR_MS


@dataclass(slots=True)
class _MonitoredDevice:
    """`seq` is the cursor of the last reading that is in the window."""

    window: DeviceWindow = field(default_factory=DeviceWindow)
    last_ms: int = 0
    seq: int = 0
    ratings: tuple[tuple[str, str], ...] | None = None
    """What was last said of it: the key and word of each complete assessment."""


@dataclass(slots=True)
class AirCounters:
    """Counts since the start: readings that were too late or retained, and those of devices beyond the limit."""

    late: int = 0
    unwatched: int = 0


class AirMonitor:
    """The air at every device. `next` receives the events that pass through, then the changed assessments."""

    next: Publisher

    def __init__(
        self,
        store: Store,
        scale: str,
        *,
        limit: int,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`scale` is a value of `AirScale`, `limit` the number of devices; `clock` gives milliseconds since the epoch."""
        self.scale = AirScale(scale)
        self.counts = AirCounters()
        self._store = store
        self._limit = limit
        self._clock = clock
        self._seq = 0
        self._devices: dict[str, _MonitoredDevice] = {}
        self._due: dict[str, None] = {}
        self._unsaved: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def publish(self, events: Sequence[Event]) -> None:
        """Pass all events on, then add the readings to their devices."""
        self.next.publish(events)
        for event in events:
            if type(event) is Reading:
                self._add(event)

    def _add(self, reading: Reading) -> None:
        device = self._devices.get(reading.device_id) or self._new(reading.device_id)
        if device is None:
            self.counts.unwatched += 1
            return
        at_ms = reading.timestamp_ms
        device.seq = self._seq = reading.seq
        if reading.retained or at_ms < device.last_ms or reading.received_ms - at_ms > LATE_MS:
            self.counts.late += 1
            return
        device.last_ms = at_ms
        device.window.add(reading.values, at_ms, reading.quality)
        self._due[reading.device_id] = self._unsaved[reading.device_id] = None

    def _new(self, device_id: str) -> _MonitoredDevice | None:
        if len(self._devices) >= self._limit:
            return None
        device = self._devices[device_id] = _MonitoredDevice()
        return device

    # --- assessments -------------------------------------------------------------------------------------------------------

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def devices(self) -> list[str]:
        """Return the ids of the devices that have been measured, sorted."""
        return sorted(self._devices)

    def assessments(self, device_id: str) -> list[Assessment]:
        """Return the assessments of a device now, the worst first; nothing for a device that is not known."""
        device = self._devices.get(device_id)
        return [] if device is None else self._assess(device, self._clock())

    def public(self, device_id: str) -> dict[str, Any]:
        """Return the assessments of a device as JSON types: `deviceId`, `at`, `scale`, `score`, `assessments`."""
        now_ms = self._clock()
        device = self._devices.get(device_id)
        return self._body(device_id, device, [] if device is None else self._assess(device, now_ms), now_ms)

    def _body(
        self, device_id: str, device: _MonitoredDevice | None, assessed: Sequence[Assessment], now_ms: int
    ) -> dict[str, Any]:
        return {
            "deviceId": device_id,
            "at": iso(now_ms),
            "scale": self.scale.value,
            "score": None if device is None else global_score(device.window.current(now_ms)),
            "assessments": [one.public() for one in assessed],
        }

    def _assess(self, device: _MonitoredDevice, now_ms: int) -> list[Assessment]:
        fields = device.window.fields
        recent = {}
        particles = fields.get("pm25")
        if particles is not None and particles.is_current(now_ms):
            mean = particles.mean(MINUTE_MS, _RECENT_MINUTES)
            if mean is not None:
                recent["pm25"] = mean
        hours = {name: fields[name].hours() for name in HOURLY_FIELDS if name in fields}
        return assess(AirInput(now_ms, device.window.current(now_ms), hours, recent), self.scale)

    async def run(self) -> None:
        """Publish assessments that change, and save. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        next_save, next_round = loop.time() + SAVE_SECONDS, 0.0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if loop.time() >= next_round:  # values become too old, and hours end, without a reading
                next_round = loop.time() + MINUTE_MS / 1000
                self._due |= dict.fromkeys(self._devices)
            events = list(self._changes(loop.time() + _BUDGET_SECONDS, loop.time))
            if events:
                self.next.publish(events)
            if loop.time() >= next_save:
                next_save = loop.time() + SAVE_SECONDS
                await self._save()

    def _changes(self, until: float, clock: Callable[[], float]) -> Iterator[AirAssessed]:
        """Assess devices whose turn it is, until the time is over; yield those whose ratings have changed."""
        now_ms = self._clock()
        while self._due and clock() < until:
            device_id = next(iter(self._due))
            del self._due[device_id]
            device = self._devices[device_id]
            assessed = self._assess(device, now_ms)
            ratings = tuple((one.indicator.key, one.rating.word) for one in assessed if one.rating is not None)
            if ratings != device.ratings:
                device.ratings = ratings
                yield AirAssessed(device_id, now_ms, self._body(device_id, device, assessed, now_ms))

    # --- memory ------------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what was saved, and add the readings stored since. Raises `StoreUnavailable`."""
        now_ms = self._clock()
        self._devices = {
            record.device_id: _MonitoredDevice(DeviceWindow.restored(record.body["fields"]), record.body["last"], record.seq)
            for record in await self._store.air.all(self._limit)
            if record.body["last"] > now_ms - _DAY_MS
        }
        mark = await self._store.get(_MARK)
        replayed = await self._replay(0 if mark is None else int(mark), now_ms - _DAY_MS)
        if replayed:
            log.info("air: %d readings stored since the last save added", replayed)
        self._due = dict.fromkeys(self._devices)

    async def _replay(self, since: int, from_ms: int) -> int:
        """Add the readings after a cursor, each to its device unless it is there already; return how many."""
        added = 0
        while added < REPLAY_LIMIT:
            page = await self._store.readings(ReadingsQuery(since=since, from_ms=from_ms, limit=_PAGE))
            for reading in page:
                device = self._devices.get(reading.device_id)
                if device is None or device.seq < reading.seq:
                    self._add(reading)
                    added += 1
            if len(page) < _PAGE:
                return added
            since = page[-1].seq
        log.warning("air: more than %d readings stored since the last save: averages begin anew", REPLAY_LIMIT)
        self._devices.clear()
        return 0

    async def _save(self) -> None:
        """Save the devices that have changed, then up to which reading. What the store does not take is saved later."""
        mark, changed, self._unsaved = self._seq, self._unsaved, {}
        try:
            while changed:
                ids = list(islice(changed, _BATCH))
                await self._store.air.save([self._record(device_id) for device_id in ids if device_id in self._devices])
                for device_id in ids:
                    del changed[device_id]
            await self._store.put(_MARK, str(mark))
        except StoreUnavailable:
            self._unsaved |= changed

    def _record(self, device_id: str) -> AirRecord:
        device = self._devices[device_id]
        return AirRecord(device_id, device.seq, {"last": device.last_ms, "fields": device.window.public()})

    async def close(self) -> None:
        """Save once more."""
        await self._save()

    async def remove(self, device_id: str) -> None:
        """Forget a device. Raises `StoreUnavailable`."""
        self._devices.pop(device_id, None)
        self._due.pop(device_id, None)
        self._unsaved.pop(device_id, None)
        await self._store.air.remove(device_id)
