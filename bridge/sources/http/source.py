"""Readings by HTTP: each item of a request is a message like any other, and the request waits until all are settled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import IntakeFull, OutcomeUnknown, ShuttingDown, StoreUnavailable
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Decoded, Message, Outcome, Rejection
from bridge.core.readings.reading import Reading
from bridge.pipeline.intake import Intake
from bridge.pipeline.pending import PendingBatch
from bridge.settings import HTTP_TOPIC, HttpSettings
from bridge.sources.http.idempotency import IdempotencyKeys

SOURCE = "http"
_STORE = "store"


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What a request asks to store: a payload for each item. With a `key`, `digest` tells one body from another."""

    payloads: Sequence[bytes]
    key: str | None = None
    digest: bytes = b""


IngestBatch = PendingBatch[dict[str, Any]]
"""One request; of each of its items `index`, `status` and what there is to say of it."""


def _result(message: Message, outcome: Outcome, meaning: Decoded | None) -> dict[str, Any]:
    return {"index": message.packet_id, "status": str(outcome), **_said_of(meaning)}


def _said_of(meaning: Decoded | None) -> dict[str, Any]:
    match meaning:
        case Reading(id=identity, quality=quality):
            return {"_id": str(identity), **({"quality": quality} if quality else {})}
        case Rejection(reason=reason, field=at, quality=quality):
            return {"reason": reason, **({"field": at} if at else {}), **({"quality": dict(quality)} if quality else {})}
        case _:
            return {}


class HttpSource:
    """Takes requests in, bounded by their number and by how many of their readings wait."""

    def __init__(self, settings: HttpSettings, intake: Intake, ledger: Ledger, health: Health, closed: asyncio.Event) -> None:
        """`ledger` knows how many readings wait, `health` whether the store is there, `closed` that nothing more is settled."""
        self._settings = settings
        self._intake = intake
        self._ledger = ledger
        self._health = health
        self._under_way = 0
        self._closed = closed
        self.keys: IdempotencyKeys[IngestBatch] = IdempotencyKeys()
        self.refused: Counter[str] = Counter({"requests": 0, "readings": 0, "store_away": 0, "stopping": 0, "deadline": 0})
        """Requests answered 503, by why."""

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for a request, from before its body is read; raises `NotNow` or `StoreUnavailable`."""
        self._check_open()
        if self._under_way >= self._settings.post_limit:
            self.refused["requests"] += 1
            raise IntakeFull(f"{self._under_way} requests with readings are under way, as many as may be; nothing was stored")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _check_open(self) -> None:
        if self._intake.closed:
            self.refused["stopping"] += 1
            raise ShuttingDown("the bridge is stopping; nothing of this request was stored")
        store = self._health.parts[_STORE]
        if not store.up:
            self.refused["store_away"] += 1
            raise StoreUnavailable(f"{store.reason}; nothing of this request was stored")

    async def take(self, body: IngestRequest) -> IngestBatch:
        """Put readings into the intake and wait until all are settled.

        A key seen before gives the post of then. Raises `KeyReused`, `NotNow`, or `OutcomeUnknown` past the deadline.
        """
        now = time.monotonic()
        post = self.keys.find(body.key, body.digest, now) if body.key else None
        if post is None:
            post = self._put(body)
            if body.key:
                self.keys.add(body.key, body.digest, post, now)
        if not await post.wait(self._settings.post_seconds, self._closed):
            self.refused["stopping" if self._closed.is_set() else "deadline"] += 1
            raise OutcomeUnknown(_UNKNOWN)
        return post

    def _put(self, body: IngestRequest) -> IngestBatch:
        self._check_open()
        waiting = self._ledger.account(SOURCE).waiting
        if waiting + len(body.payloads) > self._settings.posted_readings_limit:
            self.refused["readings"] += 1
            raise IntakeFull(f"{waiting} readings wait for the store, too many for {len(body.payloads)} more; none was stored")
        post = IngestBatch(len(body.payloads), _result)
        received_ms = time.time_ns() // 1_000_000
        for index, payload in enumerate(body.payloads):
            seed = f"{body.key}/{index}" if body.key else ""
            self._intake.put(Message(SOURCE, HTTP_TOPIC, payload, received_ms, post, packet_id=index, seed=seed))
        return post


_UNKNOWN = (
    "not stored before the deadline, or before the bridge stopped; it may be later. Send the same again: "
    "a reading with a timestamp, or any with the same Idempotency-Key, is stored once"
)
