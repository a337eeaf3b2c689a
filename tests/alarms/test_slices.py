"""Events of a flood are handled in order, and leave the event loop free in between."""

from __future__ import annotations

import asyncio
import time

from bridge.alarms.service.slices import SLICE_SECONDS, EventSlices
from bridge.core.events import Event, SystemEvent
from tests.servers import until

EVENTS: list[Event] = [SystemEvent("info", str(n)) for n in range(200)]


class Worker:
    """Handles events that take `seconds` each."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.handled: list[Event] = []
        self.slices = EventSlices(self.handle)

    def handle(self, event: Event) -> bool:
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        self.handled.append(event)
        return self.seconds > 0


async def test_ordinary_events_are_handled_at_once() -> None:
    worker = Worker(0)
    worker.slices.add(EVENTS)
    assert worker.handled == EVENTS


async def test_flood_is_handled_in_order_with_other_work_in_between() -> None:
    worker = Worker(SLICE_SECONDS / 4)
    worker.slices.add(EVENTS[:100])
    assert 0 < len(worker.handled) < 20
    worker.slices.add(EVENTS[100:])
    turns = 0
    while worker.slices:
        await asyncio.sleep(0)
        turns += 1
    assert worker.handled == EVENTS
    assert turns > 10


async def test_dropped_events_are_not_handled() -> None:
    worker = Worker(SLICE_SECONDS)
    worker.slices.add(EVENTS)
    handled = len(worker.handled)
    assert worker.slices.drop() == EVENTS[handled:]
    worker.slices.add(EVENTS[:1])
    await until(lambda: not worker.slices)
    await asyncio.sleep(0)
    assert worker.handled == EVENTS[:handled] + EVENTS[:1]
