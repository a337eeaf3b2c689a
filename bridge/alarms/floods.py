"""Floods: more alarms than people can read. Within one, targets are told of several in one message.

After EEMUA 191: a flood begins with more than 10 alarms in 10 minutes and ends with fewer than 5. The times are those of the
transitions.
"""

from collections import deque

FLOOD_MS = 600_000
FLOOD_BEGINS_ABOVE = 10
FLOOD_ENDS_BELOW = 5


class RaiseRate:
    """The alarms of the last 10 minutes, as many as matter, and whether they are a flood."""

    __slots__ = ("_times", "is_flood")

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=FLOOD_BEGINS_ABOVE + 1)
        self.is_flood = False

    def add(self, at_ms: int) -> None:
        self._times.append(at_ms)
        self.update(at_ms)

    def update(self, now_ms: int) -> None:
        while self._times and self._times[0] <= now_ms - FLOOD_MS:
            self._times.popleft()
        self.is_flood = len(self._times) > FLOOD_BEGINS_ABOVE or (self.is_flood and len(self._times) >= FLOOD_ENDS_BELOW)

    def __len__(self) -> int:
        return len(self._times)
