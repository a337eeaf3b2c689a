"""What one way out has brought of the readings that were sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.tools.probe.samples import ProbeReading


@dataclass(frozen=True, slots=True)
class ReceivedReading:
    """A reading that came, `at` by the monotonic clock; `_id` and cursor only where the way out has them."""

    at: float
    body: Mapping[str, Any]
    id: str | None = None
    cursor: int | None = None

    def difference(self, sample: ProbeReading, record: Mapping[str, Any] | None) -> str:
        """From what was sent and, if that is known, from what is stored; empty if there is none."""
        for name, value in sample.values.items():
            if self.body.get(name) != value:
                return f"{name} is {self.body.get(name)!r}, sent was {value!r}"
        if record is not None:
            if self.id not in (None, record["_id"]):
                return f"its _id is {self.id}, that of the record {record['_id']}"
            if self.cursor not in (None, record["seq"]):
                return f"its cursor is {self.cursor}, that of the record {record['seq']}"
        return ""


class Listener:
    """Remembers what came by one way out. `closed` says why it hears no more."""

    def __init__(self, name: str) -> None:
        """Nothing is expected yet."""
        self.name = name
        self.closed = ""
        self.repeats: Counter[str] = Counter()
        """What came again, by the way in."""
        self._way_in: dict[str, str] = {}
        self._heard: dict[str, ReceivedReading] = {}
        self._judged: set[str] = set()
        self._news = asyncio.Event()

    def expect(self, key: str, way_in: str) -> None:
        """It is about to be sent."""
        self._way_in[key] = way_in

    def note(self, key: object, heard: ReceivedReading) -> None:
        """It came. What was not expected is none of ours."""
        if not isinstance(key, str) or key not in self._way_in:
            return
        if key in self._heard or key in self._judged:
            self.repeats[self._way_in[key]] += 1
            return
        self._heard[key] = heard
        self._news.set()

    def end(self, why: str) -> None:
        """Nothing more will come."""
        self.closed = self.closed or why
        self._news.set()

    async def wait(self, key: str) -> None:
        """Until it came, or nothing will."""
        while key not in self._heard and not self.closed:
            self._news.clear()
            await self._news.wait()

    def take(self, key: str) -> ReceivedReading | None:
        """What came; from now on it is a repeat."""
        heard = self._heard.pop(key, None)
        if heard is not None:
            self._judged.add(key)
        return heard
