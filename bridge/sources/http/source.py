"""Readings by HTTP: each item of a request is a message like any other, and the request waits until all are settled."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.core.errors import IntakeFull, OutcomeUnknown, ShuttingDown, StoreUnavailable
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Decoded, Ignored, Message, Outcome, ReadingBatch, Rejection
from bridge.core.readings.reading import Reading
from bridge.pipeline.intake import Intake
from bridge.pipeline.pending import PendingBatch
from bridge.settings import HTTP_TOPIC, HttpSettings
from bridge.sources.http.idempotency import IdempotencyKeys

SOURCE = "http"
_STORE = "store"
_UNKNOWN = (
    "not stored before the deadline or before the bridge stopped; it may be stored later. Repeat the request: "
    "a reading with a timestamp, or any with the same Idempotency-Key, is stored once"
)


class IngestItem(NamedTuple):
    """One item of a request: its bytes, and the JSON value parsed from them, if it is kept."""

    payload: bytes
    body: object | None


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """The items to store, messages of `topic`. `key` is the `Idempotency-Key`, if any; `digest` distinguishes the bodies of its
    requests.
    """

    items: Sequence[IngestItem]
    topic: str = HTTP_TOPIC
    key: str | None = None
    digest: bytes = b""


IngestBatch = PendingBatch[dict[str, Any]]
"""The items of one request on their way to the store; the result of each has `index`, `status` and details: the `_id` of
a reading, the `readings` of a message with several, or the `reason` why there is none.
"""


def _result(message: Message, outcome: Outcome, meaning: Decoded | None) -> dict[str, Any]:
    return {"index": message.packet_id, "status": str(outcome), **_details(meaning)}


def _details(meaning: Decoded | None) -> dict[str, Any]:
    match meaning:
        case Reading():
            return _reading(meaning)
        case ReadingBatch(readings=readings, rejections=rejections, stored=stored):
            new = {reading.id for reading in stored}
            states = (Outcome.STORED if reading.id in new else Outcome.DUPLICATE for reading in readings)
            listed = [
                {"deviceId": reading.device_id, "status": str(state), **_reading(reading)}
                for reading, state in zip(readings, states, strict=True)
            ]
            return {"readings": listed, **(_rejection(rejections[0]) if rejections else {})}
        case Rejection():
            return _rejection(meaning)
        case Ignored(reason=reason):
            return {"reason": reason}
        case _:
            return {}


def _reading(reading: Reading) -> dict[str, Any]:
    optional = {"quality": reading.quality, "ignored": dict(reading.ignored)}
    return {"_id": str(reading.id), **{key: value for key, value in optional.items() if value}}


def _rejection(rejection: Rejection) -> dict[str, Any]:
    optional = {"field": rejection.field, "quality": dict(rejection.quality or {})}
    return {"reason": rejection.reason, **{key: value for key, value in optional.items() if value}}


class HttpSource:
    """Accepts requests, limited in number and in how many of their readings wait for the store."""

    def __init__(self, settings: HttpSettings, intake: Intake, ledger: Ledger, health: Health, closed: asyncio.Event) -> None:
        """`closed` is set when the pipeline settles no more messages."""
        self._settings = settings
        self._intake = intake
        self._ledger = ledger
        self._health = health
        self._in_progress = 0
        self._closed = closed
        self.keys: IdempotencyKeys[IngestBatch] = IdempotencyKeys()
        self.refused: Counter[str] = Counter({"requests": 0, "readings": 0, "store_away": 0, "stopping": 0, "deadline": 0})
        """Requests answered 503, by reason."""

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request while it is in progress, body included. Raises `TemporarilyUnavailable` or `StoreUnavailable`."""
        self._check_open()
        if self._in_progress >= self._settings.post_limit:
            self.refused["requests"] += 1
            raise IntakeFull(f"the limit of {self._in_progress} concurrent requests is reached; nothing was stored")
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1

    def _check_open(self) -> None:
        if self._intake.closed:
            self.refused["stopping"] += 1
            raise ShuttingDown("the bridge is stopping; nothing was stored")
        store = self._health.parts[_STORE]
        if not store.up:
            self.refused["store_away"] += 1
            raise StoreUnavailable(f"{store.reason}; nothing was stored")

    def put(self, request: IngestRequest) -> IngestBatch:
        """Put the items into the intake; a known key returns the earlier batch.

        Raises `IdempotencyKeyReused`, `TemporarilyUnavailable` or `StoreUnavailable`.
        """
        now = time.monotonic()
        batch = self.keys.find(request.key, request.digest, now) if request.key else None
        if batch is None:
            batch = self._put(request)
            if request.key:
                self.keys.add(request.key, request.digest, batch, now)
        return batch

    async def wait(self, batch: IngestBatch) -> None:
        """Return when all items are settled. Raises `OutcomeUnknown` after the deadline."""
        if not await batch.wait(self._settings.post_seconds, self._closed):
            self.refused["stopping" if self._closed.is_set() else "deadline"] += 1
            raise OutcomeUnknown(_UNKNOWN)

    def _put(self, request: IngestRequest) -> IngestBatch:
        self._check_open()
        count = len(request.items)
        waiting = self._ledger.account(SOURCE).waiting
        if waiting + count > self._settings.posted_readings_limit:
            self.refused["readings"] += 1
            raise IntakeFull(f"{waiting} readings wait for the store, too many for {count} more; none of these was stored")
        batch = IngestBatch(count, _result)
        received_ms = time.time_ns() // 1_000_000
        for index, (payload, body) in enumerate(request.items):
            seed = f"{request.key}/{index}" if request.key else ""
            message = Message(SOURCE, request.topic, payload, received_ms, batch, packet_id=index, seed=seed, body=body)
            self._intake.put(message)
        return batch
