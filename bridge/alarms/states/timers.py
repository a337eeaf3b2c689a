"""Due times, the earliest first. One that no longer holds is not taken out: whoever gets it compares it with what is stored."""

from enum import IntEnum
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

BRIDGE = ""
"""The device of the bridge's own timers; no device has this id."""


class TimerKind(IntEnum):
    """What is due, in the order in which it happens at the same time."""

    PAST = 0
    SILENCE = 1
    UNAVAILABLE = 2
    REPEAT = 3
    SHELVING = 4
    CONFIRM = 5


class Timer(NamedTuple):
    due_ms: int
    device: str
    kind: TimerKind
    rule: str


class Timers:
    """A heap without duplicates. Its size is at most that of the stored due times, and of those that were replaced since."""

    __slots__ = ("_heap", "_set", "due_ms")

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._set: set[Timer] = set()
        self.due_ms: float = inf
        """When the next timer is due; infinite if there is none."""

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, timer: Timer) -> None:
        if timer not in self._set:
            self._set.add(timer)
            heappush(self._heap, timer)
            self.due_ms = self._heap[0].due_ms

    def pop(self, now_ms: int) -> Timer | None:
        """Return the next timer that is due, if there is one."""
        if self.due_ms > now_ms:
            return None
        timer = heappop(self._heap)
        self._set.discard(timer)
        self.due_ms = self._heap[0].due_ms if self._heap else inf
        return timer
