"""The readings that a probe sends."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.core.timestamp import iso


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """A reading identified by its timestamp, which is unique within a probe."""

    device: str
    timestamp_ms: int
    values: Mapping[str, float]

    @property
    def key(self) -> str:
        """The timestamp as every output writes it."""
        return iso(self.timestamp_ms)


class ProbeReadings:
    """Values of clean air, so that no alarm is raised. The five fields have the same names on every output."""

    def __init__(self, device: str, clock: Callable[[], int]) -> None:
        """`clock` returns milliseconds since the epoch."""
        self.device = device
        self._clock = clock
        self._last_ms = 0
        self._random = random.Random()  # noqa: S311 - not a secret

    def next(self) -> ProbeReading:
        self._last_ms = max(self._clock(), self._last_ms + 1)
        values = {
            "temperature": round(self._random.uniform(20, 22), 2),
            "humidity": round(self._random.uniform(42, 48), 1),
            "tvoc": self._random.randint(20, 60),
            "co2": self._random.randint(420, 600),
            "pm25": round(self._random.uniform(1, 4), 1),
        }
        return ProbeReading(self.device, self._last_ms, values)
