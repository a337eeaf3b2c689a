"""When each device will have been silent for too long: a heap of times, so that devices cost nothing while none is due.

Looking at every device in turn, four times a second, took a millisecond for each 2,000 of them. A reading does not move its
device in the heap: the time is computed anew when the earlier one has come, at most once per silence and device.
"""

import asyncio
from heapq import heapify, heappop, heappush

_REPLACED_LIMIT = 100  # entries, besides as many as there are devices


class SilenceTimes:
    """The time at which to look at each device again, in monotonic seconds; never later than when its silence ends."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        """Every entry of `_times`, and earlier ones that were replaced."""
        self.changed = asyncio.Event()
        """Set when `next` became earlier."""

    def __len__(self) -> int:
        return len(self._times)

    @property
    def next(self) -> float | None:
        """The earliest time; None without devices. It may be that of an entry that was replaced."""
        return self._heap[0][0] if self._heap else None

    def look_at(self, device_id: str, time: float) -> None:
        """Look at a device at this time, unless it will be looked at earlier."""
        if time >= self._times.get(device_id, float("inf")):
            return
        if not self._heap or time < self._heap[0][0]:
            self.changed.set()
        self._times[device_id] = time
        heappush(self._heap, (time, device_id))
        if len(self._heap) > 2 * len(self._times) + _REPLACED_LIMIT:
            self._heap = [(at, name) for name, at in self._times.items()]
            heapify(self._heap)

    def take(self, now: float, limit: int | None = None) -> list[str]:
        """Remove and return the devices whose time is before `now`, at most `limit`."""
        taken: list[str] = []
        while self._heap and self._heap[0][0] < now and (limit is None or len(taken) < limit):
            time, device_id = heappop(self._heap)
            if self._times.get(device_id) == time:
                del self._times[device_id]
                taken.append(device_id)
        return taken

    def remove(self, device_id: str) -> None:
        self._times.pop(device_id, None)
