"""What the tests of the hub are made with: records, a link that remembers, a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from bson.objectid import ObjectId

from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.realtime.hub.publication import EncodedBatch, Publication
from bridge.realtime.hub.session import NO_LIMIT
from bridge.realtime.socketio.codec import CODEC
from bridge.settings import RealtimeSettings

EPOCH_MS = 1_767_000_000_000


def reading(seq: int, device: str = "a") -> Reading:
    return Reading(ObjectId(), device, {"temperature": seq % 80}, EPOCH_MS, EPOCH_MS, seq=seq)


def readings(*seqs: int, device: str = "a") -> list[Reading]:
    return [reading(seq, device) for seq in seqs]


def published(*seqs: int, device: str = "a") -> list[Publication]:
    return [Publication(reading(seq, device)) for seq in seqs]


def batch(*seqs: int) -> EncodedBatch:
    return EncodedBatch(published(*seqs), CODEC, "2026-01-01T00:00:00.000Z")


def status(device: str = "a", word: str = "online") -> DeviceStatus:
    return DeviceStatus(device, word, EPOCH_MS)


def small(**settings: Any) -> RealtimeSettings:
    """Settings below what a bridge would take, so that few records fill them."""
    return RealtimeSettings.model_construct(**settings)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeLink:
    """A client that has read at once what is written to it, or, when `stalled`, lets it wait.

    When it has drained it tells; one that is not `telling` has to be looked at.
    """

    def __init__(self, *, telling: bool = True) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.cuts: list[str] = []
        self.parcels: list[EncodedBatch] = []
        self.stalled = False
        self.asked = 0
        self._waiting = 0
        self._telling = telling
        self._drained: tuple[int, Callable[[], None]] | None = None

    @property
    def waiting(self) -> int:
        return self._waiting

    @waiting.setter
    def waiting(self, count: int) -> None:
        self._waiting = count
        if self._drained is not None and count <= self._drained[0]:
            (_, tell), self._drained = self._drained, None
            tell()

    def waiting_bytes(self) -> int:
        self.asked += 1
        return self.waiting

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        if self._telling:
            self._drained = waiting_bytes, then

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        self.asked += 1
        if self.waiting >= limit_bytes:
            return False
        self.parcels.append(batch)
        for text in batch.texts:
            name, body = orjson.loads(text.removeprefix("42"))
            self.heard.append((name, body))
        if self.stalled:
            self._waiting += len(batch.frames)
        return True

    def disconnect(self, reason: str) -> None:
        self.cuts.append(reason)

    def drain(self) -> None:
        self.stalled, self.waiting = False, 0

    def of(self, name: str) -> list[Any]:
        return [body for event, body in self.heard if event == name]

    @property
    def cursors(self) -> list[int]:
        return [body["cursor"] for body in self.of("sensorData")]

    @property
    def gaps(self) -> list[tuple[int, int, int]]:
        return [(body["from"], body["to"], body["missed"]) for body in self.of("gap")]
