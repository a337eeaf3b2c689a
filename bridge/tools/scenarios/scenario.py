"""A scenario for alarms: what sensors send while something happens, from the first reading to the last.

It is deterministic: readings with the time of their measurement, in seconds after the start, so that the same ones can be
published by a command and folded in a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from bridge.core.readings.measurements import Value
from bridge.core.timestamp import iso


@dataclass(frozen=True, slots=True)
class ScenarioReading:
    """A reading that a device measures `at_seconds` after the start."""

    device_id: str
    at_seconds: float
    values: Mapping[str, Value]

    @property
    def topic(self) -> str:
        return f"sensors/{self.device_id}/data"

    def payload(self, start_ms: int) -> bytes:
        """Return the JSON of a scenario that began at a time, in milliseconds since the epoch."""
        return orjson.dumps({**self.values, "timestamp": iso(start_ms + round(self.at_seconds * 1000))})


@dataclass(frozen=True, slots=True)
class AlarmScenario:
    """Readings in the order of their times. In an `outage`, seconds from the start, nothing can be sent until its end."""

    readings: tuple[ScenarioReading, ...]
    outage: tuple[float, float] | None = None

    @property
    def device_ids(self) -> list[str]:
        return sorted({one.device_id for one in self.readings})

    @property
    def seconds(self) -> float:
        return self.readings[-1].at_seconds

    def arrival(self, reading: ScenarioReading) -> float:
        """Return when a reading reaches the broker, in seconds after the start."""
        if self.outage is None or not self.outage[0] <= reading.at_seconds < self.outage[1]:
            return reading.at_seconds
        return self.outage[1]
