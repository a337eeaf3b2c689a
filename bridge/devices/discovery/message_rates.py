"""How many messages each subscription brings in: counted by the decoder, and sampled here for a rate."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

SAMPLE_SECONDS = 5.0
_SAMPLES = 13  # a minute, and one more
_LEAST_SECONDS = 4.0


class Counted(Protocol):
    @property
    def messages(self) -> int:
        """How many there were since the pattern was added."""


class MessageRates:
    def __init__(self, counts: Callable[[], Mapping[str, Counted]], clock: Callable[[], float] = time.monotonic) -> None:
        """`counts` returns the messages by pattern; `clock` gives seconds."""
        self._counts = counts
        self._clock = clock
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=_SAMPLES)

    def messages(self, pattern: str) -> int:
        """How many messages a pattern has matched since it was added, at this bridge."""
        count = self._counts().get(pattern)
        return 0 if count is None else count.messages

    def per_minute(self, pattern: str) -> float | None:
        """Return the messages per minute over the last minute; None until some seconds after the start."""
        if not self._samples:
            return None
        at, before = self._samples[0]
        seconds = self._clock() - at
        if seconds < _LEAST_SECONDS:
            return None
        arrived = self.messages(pattern) - before.get(pattern, 0)
        return round(max(arrived, 0) * 60 / seconds, 1)

    async def run(self) -> None:
        """Take a sample every `SAMPLE_SECONDS`, until cancelled."""
        while True:
            counts = {pattern: count.messages for pattern, count in self._counts().items()}
            self._samples.append((self._clock(), counts))
            await asyncio.sleep(SAMPLE_SECONDS)
