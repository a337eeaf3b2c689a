"""Judges the air at every device from its live readings, and says when a judgement changes.

A publisher between the alarms, whose memory of each device it reads, and the hub. Assessing takes at most a few milliseconds in
each quarter of a second, whatever the load: with thousands of devices each waits its turn.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from bridge.air.assessment import Assessment
from bridge.air.bands import field_bands
from bridge.air.hazards import EN_STANDARD, UL_STANDARD
from bridge.air.judge import HOURLY_FIELDS, AirInput, AirScale, assess
from bridge.air.score import global_score
from bridge.air.windows import MINUTE_MS, DeviceWindow
from bridge.alarms.co_dose import UL_2034, DoseProfile
from bridge.alarms.fold import LATE_SECONDS
from bridge.core.events import AirAssessed, Event
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.ports import Publisher

TICK_SECONDS = 0.25
_BUDGET_SECONDS = 0.005
_RECENT_MINUTES = 10
_LATE_MS = round(LATE_SECONDS * 1000)


class Windows(Protocol):
    """What the live readings of each device say."""

    def __contains__(self, device_id: object) -> bool: ...

    def device_ids(self) -> list[str]:
        """Return the ids of the devices that have been measured, sorted."""

    def window(self, device_id: str, /) -> DeviceWindow | None:
        """Return the window of a device, which must not be changed."""

    def co_dose(self, device_id: str, /) -> "DoseLevel | None":
        """Return the dose of carbon monoxide at a device; None if there is none."""


class DoseLevel(Protocol):
    @property
    def profile(self) -> DoseProfile:
        """What the dose is counted by."""

    @property
    def dose(self) -> float:
        """1 is an alarm."""

    @property
    def minutes_left(self) -> float | None:
        """The time to the alarm at the last concentration; None if the dose does not grow."""


class AirMonitor:
    """The air at every device. `next` receives the events that pass through, then the changed assessments."""

    next: Publisher

    def __init__(
        self, windows: Callable[[], Windows], scale: str, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """`scale` is a value of `AirScale`; `clock` gives milliseconds since the epoch."""
        self.scale = AirScale(scale)
        self._windows = windows
        self._clock = clock
        self._ratings: dict[str, tuple[tuple[str, str], ...]] = {}
        """What was last said of each device: the key and word of each complete assessment."""
        self._due: dict[str, None] = {}
        self._has_due = asyncio.Event()

    def publish(self, events: Sequence[Event]) -> None:
        """Pass all events on; the devices of the readings are assessed later. Those that came late change nothing."""
        self.next.publish(events)
        due = self._due
        for event in events:
            if type(event) is Reading and event.received_ms - event.timestamp_ms <= _LATE_MS:
                due[event.device_id] = None
        if due:
            self._has_due.set()

    # --- assessments -------------------------------------------------------------------------------------------------------

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._windows()

    def devices(self) -> list[str]:
        """Return the ids of the devices that have been measured, sorted."""
        return self._windows().device_ids()

    def assessments(self, device_id: str) -> list[Assessment]:
        """Return the assessments of a device now, the worst first; nothing for a device that is not known."""
        window = self._windows().window(device_id)
        return [] if window is None else self._assess(device_id, window, self._clock(), self.scale)

    def public(self, device_id: str, scale: str | None = None) -> dict[str, Any]:
        """Return the assessments of a device as JSON types: `deviceId`, `at`, `scale`, `score`, `assessments`.

        `scale` is a value of `AirScale`; None: that of the bridge.
        """
        by, now_ms = self.scale if scale is None else AirScale(scale), self._clock()
        window = self._windows().window(device_id)
        assessed = [] if window is None else self._assess(device_id, window, now_ms, by)
        return self._body(device_id, window, assessed, now_ms, by)

    def standards(self, scale: str | None = None) -> dict[str, Any]:
        """Return the bands of the standards as JSON types: `scale`, `standards`. `scale` as in `public`."""
        by = self.scale if scale is None else AirScale(scale)
        return {"scale": by.value, "standards": [one.public() for one in field_bands(by)]}

    def _body(
        self, device_id: str, window: DeviceWindow | None, assessed: Sequence[Assessment], now_ms: int, scale: AirScale
    ) -> dict[str, Any]:
        return {
            "deviceId": device_id,
            "at": iso(now_ms),
            "scale": scale.value,
            "score": None if window is None else global_score(window.current(now_ms)),
            "assessments": [one.public() for one in assessed],
        }

    def _assess(self, device_id: str, window: DeviceWindow, now_ms: int, scale: AirScale) -> list[Assessment]:
        fields = window.fields
        recent = {}
        particles = fields.get("pm25")
        if particles is not None and particles.is_current(now_ms):
            mean = particles.mean(MINUTE_MS, _RECENT_MINUTES)
            if mean is not None:
                recent["pm25"] = mean
        hours = {name: fields[name].hours() for name in HOURLY_FIELDS if name in fields}
        air = AirInput(now_ms, window.current(now_ms), hours, recent)
        meter = self._windows().co_dose(device_id) if "coPpm" in fields else None
        if meter is not None:
            standard = UL_STANDARD if meter.profile is UL_2034 else EN_STANDARD
            air = replace(air, co_dose=meter.dose, co_minutes_left=meter.minutes_left, co_standard=standard)
        return assess(air, scale)

    async def run(self) -> None:
        """Publish assessments that change. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        next_round = 0.0
        while True:
            if not self._due:
                self._has_due.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(next_round):
                        await self._has_due.wait()
            await asyncio.sleep(TICK_SECONDS)
            if loop.time() >= next_round:  # values become too old, and hours end, without a reading
                next_round = loop.time() + MINUTE_MS / 1000
                self._due |= dict.fromkeys(self.devices())
            events = list(self._changes(loop.time() + _BUDGET_SECONDS, loop.time))
            if events:
                self.next.publish(events)

    def _changes(self, until: float, clock: Callable[[], float]) -> Iterator[AirAssessed]:
        """Assess devices whose turn it is, until the time is over; yield those whose ratings have changed."""
        now_ms = self._clock()
        while self._due and clock() < until:
            device_id = next(iter(self._due))
            del self._due[device_id]
            window = self._windows().window(device_id)
            if window is None:
                self._ratings.pop(device_id, None)
                continue
            assessed = self._assess(device_id, window, now_ms, self.scale)
            ratings = tuple((one.indicator.key, one.rating.word) for one in assessed if one.rating is not None)
            if ratings != self._ratings.get(device_id):
                self._ratings[device_id] = ratings
                yield AirAssessed(device_id, now_ms, self._body(device_id, window, assessed, now_ms, self.scale))
