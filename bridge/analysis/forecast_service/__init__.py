"""The forecasts of a running bridge: each hour learned once, from the stored history, and each prediction told once.

A round follows each hour. It feeds the hourly means since the hour up to which the state of a device goes, writes the
prediction together with these means, once a day also the state, and only then publishes. So a round that was killed is repeated
from what is stored and gives the same state; a prediction that is stored is not published again. The states of as many devices
as there is memory for stay in it between rounds: see `learner.py`.

Of several bridges, the leader does this. Every bridge answers from the store.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Protocol, TypeVar

import orjson

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast_service.hourly_means import BUCKETS_AT_ONCE, HourlyMeans
from bridge.analysis.forecast_service.interval_log import INTERVAL_HOURS, Interval, IntervalLog
from bridge.analysis.forecast_service.learner import Learner, LearnerCache, NewPredictions, learned_hours
from bridge.analysis.forecast_service.predictions import (
    CURRENT_MS,
    Body,
    DevicePredictions,
    Limits,
    bodies_of,
    is_current,
)
from bridge.analysis.forecast_service.slices import PAUSE_SECONDS, Slices
from bridge.core.devices.device import Device
from bridge.core.errors import ForecastStateError, StoreError
from bridge.core.events import PredictionMade
from bridge.ports import DeviceRecord, Publisher, Store

log = logging.getLogger(__name__)
_T = TypeVar("_T")

SETTLE_MS = 5 * 60_000
"""An hour is fed this long after its end: late readings have arrived by then, and rollups close their hours at the same age."""

HISTORY_HOURS = 90 * 24
"""How far back a device without a state learns. The gate looks at 30 days; the profile of working days takes three months."""

TICK_SECONDS = 5.0
RETRY_SECONDS = 10.0
_DEVICES_AT_ONCE = 8
"""Devices whose states are read together: a megabyte."""

_CACHED_AT_ONCE = 50
"""Devices in memory whose hours are read together: a query costs as much as the answers of 20 devices."""

_PREDICTIONS_AT_ONCE = 32
"""Devices whose predictions are written in one transaction: each takes 0.03 ms of the loop to encode."""

_STATES_AT_ONCE = 2
"""States that are written in one transaction: each takes 0.7 ms of the loop to encode."""

_LOAD_AT_ONCE = 50
_AHEAD_HOURS = 24
"""A state so far ahead of the clock was made under a clock that was wrong: the device learns anew."""


class ForecastDevices(Protocol):
    """The registry."""

    def __contains__(self, device_id: object) -> bool: ...

    def get(self, device_id: str) -> Device:
        """Return a device."""

    def all(self) -> Iterable[Device]:
        """Iterate over the devices."""


@dataclass(slots=True)
class ForecastCounters:
    """Since the start: rounds that failed, states that could not be read, predictions that were published."""

    failures: int = 0
    damaged: int = 0
    published: int = 0


class ForecastService:
    publisher: Publisher
    """Receives `PredictionMade`."""

    def __init__(
        self,
        store: Store,
        devices: ForecastDevices,
        *,
        limits: Limits,
        zone: Callable[[str], tzinfo] = lambda _device_id: UTC,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`limits` are those whose probabilities are told, `zone` gives the time zone of a device; `clock` gives milliseconds
        since the epoch.
        """
        self._store = store
        self._devices = devices
        self._limits = limits
        self._zone = zone
        self._clock = clock
        self._means = HourlyMeans(store)
        self._hours: dict[str, int] = {}
        """The last hour that the state of each device has learned; states that were not read in this run are missing."""
        self._cache = LearnerCache()
        self._intervals: dict[str, IntervalLog] = {}
        self._standing: dict[str, bytes] = {}
        self._removed: dict[str, None] = {}
        self._untold: dict[str, NewPredictions] = {}
        """Of devices whose predictions were written, or nearly: to be published once the state is written too."""
        self._wake_up = asyncio.Event()
        self._done_until = -1
        self._last_error = ""
        self.listeners: list[Callable[[PredictionMade], object]] = []
        """Called with each prediction that is published, after it."""
        self.counts = ForecastCounters()
        self.round_seconds = 0.0
        """How long the last round took."""

    def __len__(self) -> int:
        """Return the number of devices that have forecasts."""
        return len(self._standing)

    # --- answers -----------------------------------------------------------------------------------------------------------

    def interval(self, device_id: str, name: str, hour_start_ms: int) -> Interval | None:
        """Return the 99.5 % interval that was forecast for the mean of an hour of the last three days, also after a restart.

        None where there was no forecast, or its model was not shown.
        """
        intervals = self._intervals.get(device_id)
        return None if intervals is None else intervals.get(name, hour_start_ms // HOUR_MS)

    def standing(self) -> Iterator[Body]:
        """Iterate over the last predictions of all devices that have values and an hour to come."""
        now_ms = self._clock()
        for text in self._standing.values():
            yield from (body for body in orjson.loads(text) if body["values"] and is_current(body, now_ms))

    # --- lifetime ----------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the last predictions. Raises `StoreUnavailable`."""
        self._hours, self._intervals, self._standing, self._untold = {}, {}, {}, {}
        self._cache.clear()
        self._done_until = -1
        slices = Slices()
        for some in _batches((one.id for one in self._devices.all()), _LOAD_AT_ONCE):
            for record in await self._store.predictions.get(some):
                last = self._read_predictions(record)
                self._set_last(record.device_id, last.intervals, last.to_bytes())
                await slices.pause_if_over()

    def on_removed(self, device_id: str) -> None:
        """Forget a device that was removed from the registry."""
        self._removed[device_id] = None
        self._wake_up.set()

    async def run(self) -> None:
        """Learn each hour until cancelled."""
        self._cache.clear()  # an earlier run may have failed in between
        while True:
            is_done = await self._step()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS if is_done else RETRY_SECONDS):
                    await self._wake_up.wait()
            self._wake_up.clear()

    async def _step(self) -> bool:
        """Do what is due; return whether the store was available."""
        try:
            await self._delete_removed()
            if self._until() > self._done_until:
                await self.round()
        except StoreError as error:
            self.counts.failures += 1
            if str(error) != self._last_error:
                log.warning("forecasts: the last hours not learned (%s): retrying every %g s", error, RETRY_SECONDS)
            self._last_error = str(error)
            return False
        self._last_error = ""
        return True

    async def _delete_removed(self) -> None:
        """Delete what is stored of removed devices. A device with readings that is registered again learns from these."""
        while self._removed:
            device_id = next(iter(self._removed))
            for of in (self._hours, self._intervals, self._standing, self._untold):
                of.pop(device_id, None)
            self._cache.take(device_id)
            await self._store.predictions.remove(device_id)
            await self._store.forecast_states.remove(device_id)
            self._removed.pop(device_id, None)

    # --- rounds ------------------------------------------------------------------------------------------------------------

    def _until(self) -> int:
        """Return the first hour that is not over, or not long enough."""
        return (self._clock() - SETTLE_MS) // HOUR_MS

    async def round(self) -> None:
        """Learn every hour that is over. Raises `StoreUnavailable`; what was done until then stays done."""
        began, until = time.monotonic(), self._until()
        due = [one.id for one in self._devices.all() if self._is_due(one, until)]
        cached = [one for one in due if one in self._cache]
        other = [one for one in due if one not in self._cache]
        for some in (*_batches(cached, _CACHED_AT_ONCE), *_batches(other, _DEVICES_AT_ONCE)):
            await self._delete_removed()
            await self._advance(some, until)
        self._cache.drop_silent(until)
        self._done_until = until
        self.round_seconds = time.monotonic() - began

    def _is_due(self, device: Device, until: int) -> bool:
        """Whether a device has a reading after the hours that it has learned, or these are not known yet."""
        last, hour = device.last_reading, self._hours.get(device.id)
        if last is None or hour is None:
            return last is not None
        first = max(hour + 1, until - HISTORY_HOURS)
        return first < until and last.timestamp_ms >= first * HOUR_MS

    async def _advance(self, device_ids: Sequence[str], until: int) -> None:
        """Bring some devices up to date: read, feed, write, publish. After a failure they are read again."""
        slices = Slices()
        learners, unread = [], []
        for device_id in device_ids:
            learner = self._cache.take(device_id)
            if learner is None:
                unread.append(device_id)
            elif device_id in self._devices:  # and was not removed meanwhile
                self._resume(learner)
                learners.append(learner)
                await slices.pause_if_over()
        learners += await self._read(unread, until, slices)
        await self._feed(learners, until, slices)
        for one in learners:
            self._predict(one)
            one.decide(is_cached=self._cache.has_place(one))
        changed = [one for one in learners if one.is_changed or one.id in self._untold]
        await self._write([one for one in changed if one.id not in self._removed], slices)
        for one in learners:
            if one.id not in self._removed:
                self._hours[one.id] = one.device.hour
                self._cache.put(one)

    def _resume(self, learner: Learner) -> None:
        """Take up a device that stayed in memory. What others read of it must not change before it is stored."""
        learner.predictions.intervals = learner.predictions.intervals.copy()
        learner.device.zone = self._zone(learner.id)
        learner.follow(self._devices.get(learner.id), learner.room)

    async def _read(self, device_ids: Sequence[str], until: int, slices: Slices) -> list[Learner]:
        """Return devices as they are stored."""
        if not device_ids:
            return []
        states = {one.device_id: one for one in await self._store.forecast_states.get(device_ids)}
        predicted = {one.device_id: one for one in await self._store.predictions.get(device_ids)}
        slices.begin()
        learners = []
        for device_id in device_ids:
            if device_id in self._devices:  # and was not removed meanwhile
                device, state = self._devices.get(device_id), states.get(device_id)
                found = await self._restore(device, state, predicted.get(device_id), slices)
                if found.device.hour > until + _AHEAD_HOURS:
                    found = self._new(device, None)
                found.follow(device, None if state is None else state.body.get("room"))
                learners.append(found)
            await slices.pause_if_over()
        return learners

    def _new(self, device: Device, predicted: DeviceRecord | None) -> Learner:
        """Return a device that has learned nothing."""
        predictions = DevicePredictions() if predicted is None else self._read_predictions(predicted)
        return Learner(device.id, DeviceForecasts(self._zone(device.id)), predictions)

    async def _restore(
        self, device: Device, state: DeviceRecord | None, predicted: DeviceRecord | None, slices: Slices
    ) -> Learner:
        """Return a device with its stored state, to which the hours are added that are stored with its predictions."""
        learner = self._new(device, predicted)
        if state is None:
            return learner
        try:
            learner.restore(str(state.body.get("state")))
        except ForecastStateError as error:
            self.counts.damaged += 1
            log.warning("forecasts: %s: %r learns from its history again", error, device.id)
            return learner
        for hour, means in learned_hours(predicted, learner.device.hour):
            learner.relearn(hour, means)
            await slices.pause_if_over()
        learner.is_changed = learner.predictions.hour < learner.device.hour  # damaged ones are made again
        return learner

    def _read_predictions(self, record: DeviceRecord) -> DevicePredictions:
        try:
            return DevicePredictions.from_record(record)
        except ForecastStateError as error:
            self.counts.damaged += 1
            log.warning("forecasts: %s: intervals of %r begin again", error, record.device_id)
            return DevicePredictions.from_record(replace(record, body=record.body | {"intervals": {}}))

    async def _feed(self, learners: Sequence[Learner], until: int, slices: Slices) -> None:
        """Feed the hours since each state. Devices that are due for few hours are read together."""
        first = {one.id: max(one.device.hour + 1, until - HISTORY_HOURS) for one in learners}
        few = BUCKETS_AT_ONCE // max(len(learners), 1)
        together = [one for one in learners if 0 < until - first[one.id] <= few]
        if together:
            await self._feed_page(together, min(first[one.id] for one in together), until, until, slices)
        for one in learners:
            if until - first[one.id] > few:
                start = max(first[one.id], await self._means.first_hour(one.id) or until)
                for at in range(start, until, BUCKETS_AT_ONCE):
                    await self._feed_page([one], at, min(at + BUCKETS_AT_ONCE, until), until, slices)

    async def _feed_page(self, learners: Sequence[Learner], first: int, end: int, until: int, slices: Slices) -> None:
        found = await self._means.between([one.id for one in learners], first, end)
        slices.begin()
        for one in learners:
            for hour, means in found.get(one.id, ()):
                if one.feed(hour, means) and until - INTERVAL_HOURS <= hour > one.predictions.hour:  # earlier ones are stored
                    one.predictions.intervals.add(hour + 1, one.device.outer_intervals())
                if hour < until - 1:
                    await slices.pause_if_over()
            if end == until:
                self._predict(one)  # at once: it takes half as long while the state is in the processor's cache
                await slices.pause_if_over()

    # --- what is written and told ------------------------------------------------------------------------------------------

    async def _write(self, learners: Sequence[Learner], slices: Slices) -> None:
        """Write new predictions, then the states that are due; publish what is stored."""
        for some in _batches(learners, _PREDICTIONS_AT_ONCE):
            records = []
            for one in some:
                if one.made is not None:
                    self._untold[one.id] = one.made
                    records.append(one.predictions_record())
                    await slices.pause_if_over()
            await self._store.predictions.save(records)
            slices.begin()
            await self._tell([one for one in some if not one.is_state_due], slices)
        for some in _batches([one for one in learners if one.is_state_due], _STATES_AT_ONCE):
            states = [one.state_record() for one in some]
            await asyncio.sleep(PAUSE_SECONDS)
            await self._store.forecast_states.save(states)
            slices.begin()
            for one in some:
                one.on_state_stored()
            await self._tell(some, slices)

    async def _tell(self, learners: Sequence[Learner], slices: Slices) -> None:
        """Publish what is stored now."""
        for one in learners:
            untold = self._untold.pop(one.id, None)
            if untold is not None and one.id not in self._removed:
                self._set_last(one.id, one.predictions.intervals, untold.encoded)
                self._publish(untold.events)
                await slices.pause_if_over()

    def _predict(self, learner: Learner) -> None:
        """Make the predictions after the last hour, in place of those before, unless this was done."""
        hour = learner.device.hour
        if hour <= learner.predictions.hour:
            return
        before, now_ms = learner.predictions.has_values, self._clock()
        events = [_updated(body, learner, now_ms) for name, body in before.items() if name in learner.actual]
        bodies = bodies_of(learner.id, learner.device, self._limits)
        made_ms = (hour + 1) * HOUR_MS
        for body in bodies:
            if body["values"] and made_ms > now_ms - CURRENT_MS:
                events.append(PredictionMade(learner.id, made_ms, body))
            elif body["field"] in before and not body["values"]:
                events.append(PredictionMade(learner.id, made_ms, body, "retired"))
        learner.predictions.hour, learner.predictions.bodies = hour, bodies
        learner.made = NewPredictions(events, learner.predictions.to_bytes())

    def _set_last(self, device_id: str, intervals: IntervalLog, bodies: bytes) -> None:
        self._intervals[device_id], self._standing[device_id] = intervals, bodies

    def _publish(self, events: Sequence[PredictionMade]) -> None:
        self.counts.published += len(events)
        self.publisher.publish(events)
        for event in events:
            for listener in self.listeners:
                listener(event)


def _updated(body: Body, learner: Learner, now_ms: int) -> PredictionMade:
    """Return the event of a prediction whose first hour is over."""
    actual, first = round(learner.actual[body["field"]], 3), body["values"][0]
    is_within = first["low"] <= actual <= first["high"]
    return PredictionMade(learner.id, now_ms, {**body, "actual": actual, "within": is_within}, "updated")


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Return the items in lists of at most `size`. They are read at once, as their source may change meanwhile."""
    whole = list(items)
    return (whole[at : at + size] for at in range(0, len(whole), size))
