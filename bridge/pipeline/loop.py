"""The path of a reading: intake, decode, store, acknowledge, publish; in that order, one batch at a time.

While a write is in progress, the next batch collects in the intake, so batches grow with the load: group commit without a
timer.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from bson.objectid import ObjectId

from bridge.core.errors import StoreUnavailable
from bridge.core.events import Event
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import (
    CommandAck,
    Decoded,
    DeviceStatus,
    Ignored,
    Message,
    Outcome,
    ReadingBatch,
    Rejection,
    RejectionReason,
    TopicEvent,
)
from bridge.core.query import WriteResult
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import MessageDecoder, Publisher, ReadingWriter

log = logging.getLogger(__name__)

RETRY_FIRST_SECONDS = 0.1
RETRY_CAP_SECONDS = 2.0
"""An available store is noticed within this time; including the store's own timeouts, within five seconds."""


def now_us() -> int:
    return time.time_ns() // 1000


class Pipeline:
    """The loop. It defines the order of the steps; each step is a component that is independent of the others."""

    def __init__(
        self,
        *,
        intake: Intake,
        decoder: MessageDecoder,
        store: ReadingWriter,
        publisher: Publisher,
        ledger: Ledger,
        health: Health,
        cursor: Cursor,
        clock: Callable[[], int] = now_us,
        retry_seconds: tuple[float, float] = (RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS),
    ) -> None:
        """`clock` returns microseconds since the epoch; `retry_seconds` are the first and the longest delay between writes."""
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
        """Process batches until the intake is closed and empty."""
        async for messages in self._intake:
            decoded = [self._decoder.decode(message) for message in messages]
            outcomes = await self._store_batch(messages, decoded)
            self._acknowledge(messages, decoded, outcomes)
            if log.isEnabledFor(logging.DEBUG):
                _log_messages(messages, decoded, outcomes)
            self._publish(decoded, outcomes)

    async def _store_batch(self, messages: Sequence[Message], decoded: list[Decoded]) -> list[Outcome]:
        """Store a batch, however long that takes, and return the outcome of each message.

        A reading the store refuses is replaced by a rejection in `decoded`.
        """
        readings = [item for item in decoded if type(item) is Reading]
        rejections = [item for item in decoded if type(item) is Rejection]
        if len(readings) + len(rejections) < len(decoded):
            for batch in decoded:
                if type(batch) is ReadingBatch:
                    readings += batch.readings
                    rejections += batch.rejections
        for reading in readings:
            reading.seq = self._cursor.next(self._clock())
        statuses = [item for item in decoded if type(item) is DeviceStatus]
        written = await self._write(readings, rejections, statuses)
        if written.refused:
            await self._write((), _refuse(messages, decoded, written), ())
        return [_outcome(item, written) for item in decoded]

    async def _write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        """Write until the store succeeds. Records of a failed attempt are recognised by `_id` and `seq`.

        Until then the store is down: one that cannot be written to, as on a full disk, may well answer pings.
        """
        if not (readings or rejections or statuses):
            return WriteResult()
        for delay in delays(*self._retry_seconds):
            try:
                written = await self._store.write(readings, rejections, statuses)
            except StoreUnavailable as error:
                if self._health.down("store", str(error), "write"):
                    waiting = len(readings) + len(rejections) + len(statuses)
                    log.warning("pipeline: store unavailable (%s): %d messages wait, retrying", error, waiting)
                await asyncio.sleep(delay)
            else:
                if self._health.up("store", "write"):
                    log.info("pipeline: store available again")
                return written
        raise AssertionError("delays never end")

    def _acknowledge(self, messages: Sequence[Message], decoded: Sequence[Decoded], outcomes: Sequence[Outcome]) -> None:
        sources = (message.source for message in messages)
        for (source, outcome, kind), count in Counter(zip(sources, outcomes, map(type, decoded), strict=True)).items():
            self._ledger.count_outcome(source, outcome, count)
            if kind is Reading and outcome is Outcome.STORED:
                self._ledger.count_readings(source, count)
        for message, meaning, outcome in zip(messages, decoded, outcomes, strict=True):
            if type(meaning) is ReadingBatch:
                self._ledger.count_readings(message.source, len(meaning.stored))
            message.origin.acknowledge(message, outcome, meaning)

    def _publish(self, decoded: Sequence[Decoded], outcomes: Sequence[Outcome]) -> None:
        events: list[Event] = []
        for item, outcome in zip(decoded, outcomes, strict=True):
            if outcome is Outcome.STORED:
                if isinstance(item, Reading | DeviceStatus | CommandAck | TopicEvent):
                    events.append(item)
                elif isinstance(item, ReadingBatch):
                    events += item.stored
        if events:
            self._publisher.publish(events)


def _log_messages(messages: Sequence[Message], decoded: Sequence[Decoded], outcomes: Sequence[Outcome]) -> None:
    """Log each message of a batch by its source, topic and size, never its payload; and what became of it."""
    for message, meaning, outcome in zip(messages, decoded, outcomes, strict=True):
        log.debug("%s: %r, %d bytes: %s%s", message.source, message.topic, len(message.payload), outcome, _ids(meaning))


def _ids(meaning: Decoded) -> str:
    match meaning:
        case Reading():
            return f": {meaning.id} of {meaning.device_id!r}"
        case ReadingBatch():
            return f": {len(meaning.stored)} of {len(meaning.readings)} readings"
        case Rejection():
            return f": {meaning.id}: {meaning.code}"
        case _:
            return ""


def _outcome(item: Decoded, written: WriteResult) -> Outcome:
    match item:
        case Reading(seq=seq):
            return Outcome.STORED if seq in written.stored else Outcome.DUPLICATE
        case DeviceStatus() | CommandAck() | TopicEvent():  # acks and events have nothing to store
            return Outcome.STORED
        case ReadingBatch(readings=readings):
            item.stored = [reading for reading in readings if reading.seq in written.stored]
            return Outcome.STORED if item.stored else Outcome.DUPLICATE
        case Rejection():
            return Outcome.REJECTED
        case Ignored():
            return Outcome.IGNORED
        case _:  # StaleRetained: not a new reading
            return Outcome.DUPLICATE


def _refuse(messages: Sequence[Message], decoded: list[Decoded], written: WriteResult) -> list[Rejection]:
    """Replace the readings the store refused by rejections in `decoded`, and return these."""
    rejections = []
    for index, (message, item) in enumerate(zip(messages, decoded, strict=True)):
        readings = item.readings if isinstance(item, ReadingBatch) else (item,) if isinstance(item, Reading) else ()
        refused = [reading for reading in readings if reading.seq in written.refused]
        if refused:
            reason = f"the store refused it: {written.refused[refused[0].seq]}"
            rejection = Rejection(message.id or ObjectId(), message, RejectionReason.REFUSED_BY_STORE, reason)
            rejections.append(rejection)
            if len(refused) == len(readings):
                decoded[index] = rejection
            elif isinstance(item, ReadingBatch):
                item.readings = [reading for reading in readings if reading.seq not in written.refused]
                item.rejections = (*item.rejections, rejection)
    return rejections
