"""The readings that arrive from one output."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.tools.probe.readings import ProbeReading


@dataclass(frozen=True, slots=True)
class ReceivedReading:
    """A reading received `at` a monotonic time; `_id` and cursor only if the output has them."""

    at: float
    body: Mapping[str, Any]
    id: str | None = None
    cursor: int | None = None

    def difference(self, reading: ProbeReading, record: Mapping[str, Any] | None) -> str:
        """Describe the first difference from the sent reading and, if known, the stored one; empty if there is none."""
        for name, value in reading.values.items():
            if self.body.get(name) != value:
                return f"{name} is {self.body.get(name)!r}, sent was {value!r}"
        if record is not None:
            if self.id not in (None, record["_id"]):
                return f"its _id is {self.id}, that of the record {record['_id']}"
            if self.cursor not in (None, record["seq"]):
                return f"its cursor is {self.cursor}, that of the record {record['seq']}"
        return ""


class Listener:
    """Records what arrives from an output. `closed` is the reason why it is disconnected, or empty."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = ""
        self.repeats: Counter[str] = Counter()
        """Number of repeated readings by input."""
        self._input_of: dict[str, str] = {}
        self._received: dict[str, ReceivedReading] = {}
        self._taken: set[str] = set()
        self._changed = asyncio.Event()

    def expect(self, key: str, input_name: str) -> None:
        self._input_of[key] = input_name

    def add(self, key: object, reading: ReceivedReading) -> None:
        """Record a reading; an unexpected reading is ignored."""
        if not isinstance(key, str) or key not in self._input_of:
            return
        if key in self._received or key in self._taken:
            self.repeats[self._input_of[key]] += 1
            return
        self._received[key] = reading
        self._changed.set()

    def close(self, reason: str) -> None:
        """Expect no more readings; the first reason is kept."""
        self.closed = self.closed or reason
        self._changed.set()

    async def wait(self, key: str) -> None:
        """Wait until a reading has arrived or the listener is closed."""
        while key not in self._received and not self.closed:
            self._changed.clear()
            await self._changed.wait()

    def take(self, key: str) -> ReceivedReading | None:
        """Remove and return a reading; from now on it counts as a repeat."""
        reading = self._received.pop(key, None)
        if reading is not None:
            self._taken.add(key)
        return reading
