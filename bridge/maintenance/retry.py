"""Rejected messages again, by the way of every message; in a running bridge those who listen hear of them too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from rich.table import Table

from bridge.core.errors import OutcomeUnknown, ShuttingDown
from bridge.core.events import Event
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Decoded, Message, Outcome, Rejection, RejectionReason, StaleRetained
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import QuarantinedMessage, QuarantineQuery
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.devices.registry import RegisteredOnlyDecoder
from bridge.maintenance.quarantine import FIRST, STEP, Advance, add_row
from bridge.pipeline.intake import Intake
from bridge.pipeline.loop import Pipeline
from bridge.pipeline.pending import PendingBatch
from bridge.ports import MessageDecoder, QuarantineStore, Store
from bridge.settings import DevicesSettings

SOURCE = "quarantine"
_PATIENCE_SECONDS = 30.0  # of a command, for a store that went away meanwhile


@dataclass(slots=True)
class RetryResult:
    """What became of the messages; `bad` counts those that are still bad, by code and field."""

    stored: int = 0
    duplicate: int = 0
    outdated: int = 0
    bad: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def table(self) -> Table:
        """The account, for people."""
        table = Table("outcome", "why")
        table.add_column("messages", justify="right")
        add_row(table, "stored", "", f"{self.stored:,}")
        add_row(table, "duplicate", "stored before", f"{self.duplicate:,}")
        if self.outdated:
            add_row(table, "out of date", "news of the past", f"{self.outdated:,}")
        for (code, at), count in self.bad.most_common():
            add_row(table, "still bad", f"{code}: {at}" if at else code, f"{count:,}")
        return table


class QuarantineRetry:
    """Puts messages into the intake again that are good by today's rules and the time they were received.

    A message is stored, then leaves the quarantine, so it can be stopped at any moment and repeated. What has no identity of
    its own gets that of its rejected message, so the repetition finds it stored.
    """

    def __init__(
        self,
        quarantine: QuarantineStore,
        decoder: MessageDecoder,
        intake: Intake,
        closed: asyncio.Event,
        patience_seconds: float,
    ) -> None:
        """`decoder` is the pipeline's; `closed` tells that nothing more is settled."""
        self._quarantine = quarantine
        self._decoder = decoder
        self._intake = intake
        self._closed = closed
        self._patience_seconds = patience_seconds

    async def retry(self, query: QuarantineQuery, advance: Advance = lambda _: None) -> RetryResult:
        """`advance` is told how many are done. Raises `StoreUnavailable` and `NotNow`; what was done until then is done."""
        retried = RetryResult()
        after = FIRST
        while kept := await self._quarantine.messages(replace(query, after=after, limit=STEP)):
            await self._retry(kept, retried)
            after = kept[-1].id
            advance(len(kept))
        return retried

    async def _retry(self, kept: Sequence[QuarantinedMessage], retried: RetryResult) -> None:
        results = await self._settled(kept)
        bad = [
            replace(one, code=str(meaning.code), reason=meaning.reason, field=meaning.field)
            for one, (_, meaning) in zip(kept, results, strict=True)
            if isinstance(meaning, Rejection)
        ]
        await self._quarantine.revise([one for one in bad if one not in kept])
        await self._quarantine.release([one.id for one in kept if one.id not in {still.id for still in bad}])
        for outcome, meaning in results:
            _count(retried, outcome, meaning)

    async def _settled(self, kept: Sequence[QuarantinedMessage]) -> list[tuple[Outcome, Decoded | None]]:
        """What became of each. Only readings are put into the intake: a status or an event of the past is no news."""
        if self._intake.closed:
            raise ShuttingDown("the bridge is stopping")
        settlement = PendingBatch(len(kept), lambda _, outcome, meaning: (outcome, meaning))
        for place, one in enumerate(kept):
            message = Message(
                SOURCE, one.topic, one.payload, one.received_ms, settlement, packet_id=place, retained=one.retained, id=one.id
            )
            meaning = self._read(one, message)
            if isinstance(meaning, Reading):
                self._intake.put(message)
            else:
                settlement.acknowledge(
                    message, Outcome.REJECTED if isinstance(meaning, Rejection) else Outcome.DUPLICATE, meaning
                )
        if not await settlement.wait(self._patience_seconds, self._closed):
            raise OutcomeUnknown("some were not stored in time, and may be later; try them again")
        return settlement.results

    def _read(self, one: QuarantinedMessage, message: Message) -> Decoded:
        if one.code == RejectionReason.TOO_LARGE and len(one.payload) >= PAYLOAD_LIMIT_BYTES:  # cut: what it was, nobody knows
            return Rejection(one.id, message, RejectionReason.TOO_LARGE, one.reason, one.field)
        return self._decoder.decode(message)


def _count(retried: RetryResult, outcome: Outcome, meaning: Decoded | None) -> None:
    match meaning:
        case Rejection(code=code, field=at):
            retried.bad[str(code), at or ""] += 1
        case Reading() if outcome is Outcome.STORED:
            retried.stored += 1
        case Reading() | StaleRetained():
            retried.duplicate += 1
        case _:
            retried.outdated += 1


# --- without a bridge ------------------------------------------------------------------------------------------------


async def strict(decoder: MessageDecoder, settings: DevicesSettings, store: Store) -> MessageDecoder:
    """The same decoder, or one that lets in only those who are registered now, as the settings have it."""
    if settings.registration != "required":
        return decoder
    return RegisteredOnlyDecoder(decoder, {device.id for device in await store.devices.all(settings.limit)})


class _Nobody:
    """Who hears of what a command stores."""

    def publish(self, events: Sequence[Event]) -> None:
        """Nothing."""


@asynccontextmanager
async def alone(store: Store, cursor: Cursor, decoder: MessageDecoder) -> AsyncIterator[QuarantineRetry]:
    """With a pipeline of its own, for a command; `cursor` is above all that is stored."""
    ledger = Ledger()
    intake = Intake(ledger, qos0_limit=1, batch_limit=STEP)
    pipeline = Pipeline(
        intake=intake, decoder=decoder, store=store, publisher=_Nobody(), ledger=ledger, health=Health(()), cursor=cursor
    )
    async with asyncio.TaskGroup() as tasks:
        moving = tasks.create_task(pipeline.run(), name="pipeline")
        try:
            yield QuarantineRetry(store.quarantine, decoder, intake, asyncio.Event(), _PATIENCE_SECONDS)
        finally:
            moving.cancel()
