"""What the tests of the hub are made with: records, a link that remembers, a clock that is moved by hand."""

from __future__ import annotations

from typing import Any

import orjson
from bson.objectid import ObjectId

from bridge.core.decode import DeviceStatus
from bridge.core.reading import Reading
from bridge.realtime.parcel import Parcel, Published
from bridge.settings import RealtimeSettings

EPOCH_MS = 1_767_000_000_000


def reading(seq: int, device: str = "a") -> Reading:
    return Reading(ObjectId(), device, {"temperature": seq % 80}, EPOCH_MS, EPOCH_MS, seq=seq)


def readings(*seqs: int, device: str = "a") -> list[Reading]:
    return [reading(seq, device) for seq in seqs]


def published(*seqs: int, device: str = "a") -> list[Published]:
    return [Published(reading(seq, device)) for seq in seqs]


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
    """A client that has read at once what is written to it, or, when `stalled`, lets it wait."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.cuts: list[str] = []
        self.parcels: list[Parcel] = []
        self.waiting = 0
        self.stalled = False

    def waiting_bytes(self) -> int:
        return self.waiting

    def write(self, parcel: Parcel) -> None:
        self.parcels.append(parcel)
        for text in parcel.texts:
            name, body = orjson.loads(text.removeprefix("42"))
            self.heard.append((name, body))
        if self.stalled:
            self.waiting += len(parcel.wire)

    def cut(self, reason: str) -> None:
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
