"""What the bridge measures of itself: writes of readings into the store, and the delay of its event loop."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf

from bridge.core.errors import StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.reading import Reading
from bridge.pipeline.clock import monotonic_seconds
from bridge.ports import ReadingWriter

_WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_WRITE_READINGS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
_DELAY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_PERIOD_SECONDS = 0.5


class Histogram:
    """Observed values, counted in fixed buckets as Prometheus expects them.

    `bounds` are the upper bounds of the buckets, rising and inclusive; the last bucket has no bound.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, inf)
        self._counts = [0] * len(self._bounds)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """Number of observed values."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """For each upper bound, the number of values that are not above it."""
        total = 0
        result = []
        for bound, count in zip(self._bounds, self._counts, strict=True):
            total += count
            result.append((bound, total))
        return result


class WriteMeter:
    """A `ReadingWriter` around another. Only successful writes are in the histograms; `failures` counts the others."""

    def __init__(self, store: ReadingWriter, *, clock: Callable[[], float] = monotonic_seconds) -> None:
        """`clock` gives seconds and never goes back."""
        self._store = store
        self._clock = clock
        self._pending_since: float | None = None
        self.seconds = Histogram(_WRITE_SECONDS)
        self.readings = Histogram(_WRITE_READINGS)
        self.failures = 0

    @property
    def pending_seconds(self) -> float:
        """Time since the first attempt to write the batch that is not stored yet; 0 while no batch waits."""
        return 0.0 if self._pending_since is None else self._clock() - self._pending_since

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """As `ReadingWriter.write`."""
        started = self._clock()
        if self._pending_since is None:
            self._pending_since = started
        try:
            written = await self._store.write(readings, rejections, statuses)
        except StoreUnavailable:
            self.failures += 1
            raise
        self._pending_since = None
        self.seconds.observe(self._clock() - started)
        self.readings.observe(len(readings))
        return written


class LoopDelay:
    """How late the event loop runs its timers: a loop that is late delays every client and every write."""

    def __init__(self, *, clock: Callable[[], float] = monotonic_seconds, period_seconds: float = _PERIOD_SECONDS) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._period_seconds = period_seconds
        self.seconds = Histogram(_DELAY_SECONDS)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + self._period_seconds
            await asyncio.sleep(self._period_seconds)
            self.seconds.observe(max(0.0, self._clock() - due))
