"""Work in slices of time, so that a flood of alarms does not keep the event loop from anything else."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from bridge.core.events import Event

SLICE_SECONDS = 0.002


class EventSlices:
    """Handles events in their order, at once if possible, but not for longer than `SLICE_SECONDS` at a time.

    `handle` returns whether it has done more than usual: the clock is looked at only then, and ordinary events cost nothing.
    """

    def __init__(self, handle: Callable[[Event], bool]) -> None:
        self._handle = handle
        self._waiting: deque[Event] = deque()

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._waiting)

    def add(self, events: Sequence[Event]) -> None:
        """Handle events, or let them wait for their turn."""
        if self._waiting:
            self._waiting.extend(events)
            return
        end, handle = perf_counter() + SLICE_SECONDS, self._handle
        remaining = iter(events)
        for event in remaining:
            if handle(event) and perf_counter() > end:
                self._waiting.extend(remaining)
                if self._waiting:
                    asyncio.get_running_loop().call_soon(self._go_on)
                return

    def _go_on(self) -> None:
        end = perf_counter() + SLICE_SECONDS
        while self._waiting:
            if self._handle(self._waiting.popleft()) and perf_counter() > end and self._waiting:
                asyncio.get_running_loop().call_soon(self._go_on)
                return

    def drop(self) -> list[Event]:
        """Forget the events that wait, and return them."""
        dropped = list(self._waiting)
        self._waiting.clear()
        return dropped
