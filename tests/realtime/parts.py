"""Fixtures of the hub's tests: records, a transport that records what it is sent, and a clock set by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from bson.objectid import ObjectId

from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.realtime.hub.encoding import EncodedBatch, Messages, Publication
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
    return EncodedBatch(Messages(published(*seqs), CODEC), "2026-01-01T00:00:00.000Z")


def status(device: str = "a", word: str = "online") -> DeviceStatus:
    return DeviceStatus(device, word, EPOCH_MS)


def small(**settings: Any) -> RealtimeSettings:
    """Settings below the allowed minimum, so that few records fill a buffer."""
    return RealtimeSettings.model_construct(**settings)


class Clock:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeTransport:
    """A client that reads everything at once, or nothing while `stalled`.

    Without `has_drain_events` it never calls the callback of `when_drained`.
    """

    def __init__(self, *, has_drain_events: bool = True) -> None:
        self.received: list[tuple[str, Any]] = []
        self.disconnects: list[str] = []
        self.batches: list[EncodedBatch] = []
        self.stalled = False
        self.calls = 0
        self._waiting = 0
        self._has_drain_events = has_drain_events
        self._drained: tuple[int, Callable[[], None]] | None = None

    @property
    def waiting(self) -> int:
        return self._waiting

    @waiting.setter
    def waiting(self, count: int) -> None:
        self._waiting = count
        if self._drained is not None and count <= self._drained[0]:
            (_, callback), self._drained = self._drained, None
            callback()

    def waiting_bytes(self) -> int:
        self.calls += 1
        return self.waiting

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        if self._has_drain_events:
            self._drained = waiting_bytes, callback

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        self.calls += 1
        if self.waiting >= limit_bytes:
            return False
        self.batches.append(batch)
        for text in batch.texts:
            name, body = orjson.loads(text.removeprefix("42"))
            self.received.append((name, body))
        if self.stalled:
            self._waiting += len(batch.frames)
        return True

    def disconnect(self, reason: str) -> None:
        self.disconnects.append(reason)

    def drain(self) -> None:
        self.stalled, self.waiting = False, 0

    def of(self, name: str) -> list[Any]:
        return [body for event, body in self.received if event == name]

    @property
    def cursors(self) -> list[int]:
        return [body["cursor"] for body in self.of("sensorData")]

    @property
    def gaps(self) -> list[tuple[int, int, int]]:
        return [(body["from"], body["to"], body["missed"]) for body in self.of("gap")]
