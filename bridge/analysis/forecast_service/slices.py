"""Work in slices, between which the loop has time for readings."""

import asyncio
import time

_SLICE_SECONDS = 0.001
"""A slice ends after the step that goes beyond; the longest, reading the state of a device, takes 1.5 ms."""

PAUSE_SECONDS = 0.002
"""After each slice the loop has as much time for everything else."""


class Slices:
    """Lets the loop run between slices of work."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + _SLICE_SECONDS

    async def pause_if_over(self) -> None:
        """Pause if the slice is over. Call it after each step that takes less than a millisecond."""
        if time.perf_counter() >= self._end:
            await asyncio.sleep(PAUSE_SECONDS)
            self.begin()

    def begin(self) -> None:
        """Begin a slice after an await of something else."""
        self._end = time.perf_counter() + _SLICE_SECONDS
