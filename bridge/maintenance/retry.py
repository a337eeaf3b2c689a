"""Put rejected messages through the pipeline again. In a running bridge, clients receive the readings that are now stored."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from bridge.cluster.shared_writer import SharedWriter
from bridge.core.devices.profiles import Profiles
from bridge.core.errors import OutcomeUnknown, ShuttingDown
from bridge.core.events import Event
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Decoded, Message, Outcome, ReadingBatch, Rejection, RejectionReason, StaleRetained
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import QuarantinedMessage, QuarantineQuery
from bridge.core.readings.reading import Reading
from bridge.devices.profile_service import load_profiles
from bridge.devices.registered_only_decoder import RegisteredOnlyDecoder
from bridge.maintenance.quarantine import FIRST, PAGE_SIZE, Advance
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.pending import PendingBatch
from bridge.ports import MessageDecoder, QuarantineStore, Store
from bridge.settings import DevicesSettings

SOURCE = "quarantine"
_STANDALONE_TIMEOUT_SECONDS = 30.0


@dataclass(slots=True)
class RetryResult:
    """The outcomes, in messages. `bad` counts messages that are still rejected, by code and field."""

    stored: int = 0
    duplicate: int = 0
    outdated: int = 0
    bad: Counter[tuple[str, str]] = field(default_factory=Counter)


class QuarantineRetry:
    """Puts messages into the intake again if they are valid under the current settings at the time they were received.

    A message is stored first and leaves the quarantine afterwards, so a retry can be interrupted and repeated at any time. A
    reading without its own identity takes the `_id` of its rejected message, so a repetition is a duplicate.
    """

    def __init__(
        self,
        quarantine: QuarantineStore,
        decoder: MessageDecoder,
        intake: Intake,
        closed: asyncio.Event,
        timeout_seconds: float,
    ) -> None:
        """`decoder` is the pipeline's; `closed` is set when the pipeline settles no more batches."""
        self._quarantine = quarantine
        self._decoder = decoder
        self._intake = intake
        self._closed = closed
        self._timeout_seconds = timeout_seconds

    async def retry(self, query: QuarantineQuery, advance: Advance = lambda _: None) -> RetryResult:
        """Retry the matching messages; `advance` receives the number of finished messages after each page.

        Raises `StoreUnavailable` and `NotNow`; the pages before the error are finished.
        """
        result = RetryResult()
        after = FIRST
        while page := await self._quarantine.messages(replace(query, after=after, limit=PAGE_SIZE)):
            await self._retry_page(page, result)
            after = page[-1].id
            advance(len(page))
        return result

    async def _retry_page(self, page: Sequence[QuarantinedMessage], result: RetryResult) -> None:
        outcomes = await self._process(page)
        still_bad = [
            replace(rejected, code=str(fault.code), reason=fault.reason, field=fault.field)
            for rejected, (_, decoded) in zip(page, outcomes, strict=True)
            if (fault := _fault(decoded)) is not None
        ]
        bad_ids = {rejected.id for rejected in still_bad}
        await self._quarantine.revise([rejected for rejected in still_bad if rejected not in page])
        await self._quarantine.release([rejected.id for rejected in page if rejected.id not in bad_ids])
        for outcome, decoded in outcomes:
            _count(result, outcome, decoded)

    async def _process(self, page: Sequence[QuarantinedMessage]) -> list[tuple[Outcome, Decoded | None]]:
        """Return the outcome of each message. Only readings enter the intake: an old status or event is out of date."""
        if self._intake.closed:
            raise ShuttingDown("the bridge is stopping")
        batch = PendingBatch(len(page), lambda _, outcome, decoded: (outcome, decoded))
        for index, rejected in enumerate(page):
            message = Message(
                SOURCE,
                rejected.topic,
                rejected.payload,
                rejected.received_ms,
                batch,
                packet_id=index,
                retained=rejected.retained,
                id=rejected.id,
            )
            decoded = self._decode(rejected, message)
            if isinstance(decoded, Reading | ReadingBatch):
                self._intake.put(message)
            else:
                batch.acknowledge(message, Outcome.REJECTED if isinstance(decoded, Rejection) else Outcome.DUPLICATE, decoded)
        if not await batch.wait(self._timeout_seconds, self._closed):
            raise OutcomeUnknown("some messages were not stored in time and may be stored later; retry them")
        return batch.results

    def _decode(self, rejected: QuarantinedMessage, message: Message) -> Decoded:
        if rejected.code == RejectionReason.TOO_LARGE and len(rejected.payload) >= PAYLOAD_LIMIT_BYTES:  # it was truncated
            return Rejection(rejected.id, message, RejectionReason.TOO_LARGE, rejected.reason, rejected.field)
        return self._decoder.decode(message)


def _fault(decoded: Decoded | None) -> Rejection | None:
    """Return why a message, or a part of it, stays in the quarantine; None if it does not."""
    if isinstance(decoded, ReadingBatch):
        return next(iter(decoded.rejections), None)
    return decoded if isinstance(decoded, Rejection) else None


def _count(result: RetryResult, outcome: Outcome, decoded: Decoded | None) -> None:
    match decoded:
        case Rejection(code=code, field=name):
            result.bad[str(code), name or ""] += 1
        case ReadingBatch(readings=readings, rejections=rejections, stored=stored):
            result.stored += len(stored)
            result.duplicate += len(readings) - len(stored)
            for fault in rejections:
                result.bad[str(fault.code), fault.field or ""] += 1
        case Reading() if outcome is Outcome.STORED:
            result.stored += 1
        case Reading() | StaleRetained():
            result.duplicate += 1
        case _:
            result.outdated += 1


# --- without a running bridge ----------------------------------------------------------------------------------------


async def stored_profiles(store: Store) -> Profiles:
    """Return the profiles of all devices: a message that is retried means what it would have meant."""
    return await load_profiles(store.profiles, Profiles())


async def enforce_registration(decoder: MessageDecoder, settings: DevicesSettings, store: Store) -> MessageDecoder:
    """Return a decoder that accepts only devices registered now if the settings require it, else `decoder` itself."""
    if settings.registration != "required":
        return decoder
    return RegisteredOnlyDecoder(decoder, {device.id for device in await store.devices.all(settings.limit)})


class _NullPublisher:
    """Drops the events of a standalone pipeline: it has no clients."""

    def publish(self, events: Sequence[Event]) -> None:
        """Do nothing."""


@asynccontextmanager
async def standalone_retry(store: Store, decoder: MessageDecoder) -> AsyncIterator[QuarantineRetry]:
    """Run a pipeline for one command."""
    writer, cursor = await SharedWriter.for_command(store, "retry")
    ledger = Ledger()
    intake = Intake(ledger, qos0_limit=1, batch_limit=PAGE_SIZE)
    pipeline = Pipeline(
        intake=intake,
        decoder=decoder,
        store=writer,
        publisher=_NullPublisher(),
        ledger=ledger,
        health=Health(()),
        cursor=cursor,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pipeline.run(), name="pipeline")
        try:
            yield QuarantineRetry(store.quarantine, decoder, intake, asyncio.Event(), _STANDALONE_TIMEOUT_SECONDS)
        finally:
            running.cancel()
