"""The path of a reading: intake, decode, store, acknowledge, publish. In that order, for a batch at a time.

While a write is under way the next batch gathers in the intake by itself, so the batches grow with the load and the
waits shrink with it: group commit without a timer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from bson.objectid import ObjectId

from bridge.core.errors import StoreUnavailable
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import CommandAck, Decoded, DeviceStatus, Message, Outcome, Rejection, RejectionReason, TopicEvent
from bridge.core.query import WriteResult
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import MessageDecoder, Publisher, Store

log = logging.getLogger(__name__)

RETRY_FIRST_SECONDS = 0.1
RETRY_CAP_SECONDS = 2.0
"""A store that is back is found within this time; with its own time-outs, within five seconds."""


def now_us() -> int:
    """Microseconds since the epoch by the wall clock."""
    return time.time_ns() // 1000


class Pipeline:
    """The loop. It owns the order of the steps; each step belongs to a part that knows nothing of the others."""

    def __init__(
        self,
        *,
        intake: Intake,
        decoder: MessageDecoder,
        store: Store,
        publisher: Publisher,
        ledger: Ledger,
        health: Health,
        cursor: Cursor,
        clock: Callable[[], int] = now_us,
        retry_seconds: tuple[float, float] = (RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS),
    ) -> None:
        """`clock` gives microseconds since the epoch; `retry_seconds` are the first and the longest wait for the store."""
        self._intake = intake
        self._decoder = decoder
        self._store = store
        self._publisher = publisher
        self._ledger = ledger
        self._health = health
        self._cursor = cursor
        self._clock = clock
        self._retry_seconds = retry_seconds

    async def run(self) -> None:
        """Until the intake is closed and empty."""
        async for messages in self._intake:
            decoded = [self._decoder.decode(message) for message in messages]
            outcomes = await self._keep(messages, decoded)
            self._acknowledge(messages, decoded, outcomes)
            self._publish(decoded, outcomes)

    async def _keep(self, messages: Sequence[Message], decoded: list[Decoded]) -> list[Outcome]:
        """Put a batch where nothing is lost, however long that takes, and tell what became of each message.

        A reading that the store refuses for its own sake means a rejection from then on.
        """
        readings = [item for item in decoded if type(item) is Reading]
        for reading in readings:
            reading.seq = self._cursor.next(self._clock())
        rejections = [item for item in decoded if type(item) is Rejection]
        statuses = [item for item in decoded if type(item) is DeviceStatus]
        written = await self._write(readings, rejections, statuses)
        if written.refused:
            await self._write((), _refuse(messages, decoded, written), ())
        return [_outcome(item, written) for item in decoded]

    async def _write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        """Try until the store has it. What a failed attempt wrote all the same is recognised by its `_id` and `seq`."""
        if not (readings or rejections or statuses):
            return WriteResult()
        for delay in delays(*self._retry_seconds):
            try:
                written = await self._store.write(readings, rejections, statuses)
            except StoreUnavailable as error:
                if self._health.down("store", str(error)):
                    log.warning("store away, %d messages wait: %s", len(readings) + len(rejections) + len(statuses), error)
                await asyncio.sleep(delay)
            else:
                if self._health.up("store"):
                    log.info("store is back")
                return written
        raise AssertionError("delays never end")

    def _acknowledge(self, messages: Sequence[Message], decoded: Sequence[Decoded], outcomes: Sequence[Outcome]) -> None:
        for (source, outcome), count in Counter(zip((message.source for message in messages), outcomes, strict=True)).items():
            self._ledger.count_outcome(source, outcome, count)
        for message, meaning, outcome in zip(messages, decoded, outcomes, strict=True):
            message.origin.acknowledge(message, outcome, meaning)

    def _publish(self, decoded: Sequence[Decoded], outcomes: Sequence[Outcome]) -> None:
        events = [
            item
            for item, outcome in zip(decoded, outcomes, strict=True)
            if outcome is Outcome.STORED and isinstance(item, Reading | DeviceStatus | CommandAck | TopicEvent)
        ]
        if events:
            self._publisher.publish(events)


def _outcome(item: Decoded, written: WriteResult) -> Outcome:
    match item:
        case Reading(seq=seq):
            return Outcome.STORED if seq in written.stored else Outcome.DUPLICATE
        case DeviceStatus() | CommandAck() | TopicEvent():  # of an event nothing is stored: it is taken over, and goes out
            return Outcome.STORED
        case Rejection():
            return Outcome.REJECTED
        case _:  # Stale: a retained message that is no new reading
            return Outcome.DUPLICATE


def _refuse(messages: Sequence[Message], decoded: list[Decoded], written: WriteResult) -> list[Rejection]:
    """Put rejections in the place of the readings that the store refused; those rejections."""
    rejections = []
    for place, (message, item) in enumerate(zip(messages, decoded, strict=True)):
        if isinstance(item, Reading) and item.seq in written.refused:
            reason = f"the store refused it: {written.refused[item.seq]}"
            decoded[place] = rejection = Rejection(message.id or ObjectId(), message, RejectionReason.REFUSED_BY_STORE, reason)
            rejections.append(rejection)
    return rejections
