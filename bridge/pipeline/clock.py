"""A clock that nobody sets, and a watch that notices when somebody sets the other one."""

import time
from collections.abc import Callable

JUMP_SECONDS = 5.0
"""A smaller difference between two checks is a correction that time synchronization makes in passing."""


def monotonic_seconds() -> float:
    """Seconds of a clock that nobody sets and that also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ClockWatch:
    """Compares the clock with a monotonic one, both in seconds."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._now = clock()
        self._difference = self._now - monotonic()

    @property
    def now_ms(self) -> int:
        """Milliseconds since the epoch at the last check."""
        return round(self._now * 1000)

    def jump(self) -> float | None:
        """Return by how many seconds the clock was set forward since the last check; None if it was not."""
        self._now, before = self._clock(), self._difference
        self._difference = self._now - self._monotonic()
        jump = self._difference - before
        return jump if abs(jump) > JUMP_SECONDS else None
