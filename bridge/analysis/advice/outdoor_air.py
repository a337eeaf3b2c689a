"""The air outside, as the devices that the rules file names there have measured it."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from statistics import median
from typing import Protocol

from bridge.alarms.scope import UNKNOWN_FACTS, RuleScope
from bridge.analysis.advice.policy import INDOORS, POLLUTANTS, Surroundings
from bridge.core.readings.reading import Reading

FRESH_MS = 3_600_000
"""An older value says nothing about the air now."""

DEVICES_LIMIT = 50
"""The most devices outdoors that are looked at."""


class LatestReadings(Protocol):
    async def latest(self, devices: Sequence[str] | None = None, /) -> list[Reading]:
        """Return the newest reading of each of these devices."""


class OutdoorAir:
    def __init__(
        self,
        store: LatestReadings,
        outdoors: Callable[[], Sequence[str]],
        neighbours: Callable[[str], Iterable[str]],
        clock: Callable[[], int],
    ) -> None:
        """`outdoors` are ids and globs, `neighbours` are the devices at the site of a device."""
        self._store = store
        self._outdoors = outdoors
        self._neighbours = neighbours
        self._clock = clock

    async def around(self, device_id: str, field: str | None) -> Surroundings:
        """Return what is known of the air outside: the median of the newest values. Raises `StoreUnavailable`."""
        patterns = tuple(self._outdoors())
        if not patterns:
            return INDOORS
        scope = RuleScope(devices=patterns)
        if scope.includes(device_id, UNKNOWN_FACTS):
            return Surroundings(is_outdoors=True)
        if field not in POLLUTANTS:
            return INDOORS
        there = (one for one in self._neighbours(device_id) if scope.includes(one, UNKNOWN_FACTS))
        devices = list(islice(there, DEVICES_LIMIT))
        if not devices:
            return INDOORS
        readings, now_ms = await self._store.latest(devices), self._clock()
        values = [
            float(one.values[field])
            for one in readings
            if field in one.values and field not in one.quality and 0 <= now_ms - one.received_ms < FRESH_MS
        ]
        return Surroundings(outside=median(values)) if values else INDOORS
