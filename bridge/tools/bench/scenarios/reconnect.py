"""All clients are cut at once and come back at once, each with its cursor, to get exactly what it missed."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.crowd import Crowd, together, wait_until
from bridge.tools.bench.clients.listeners import CursorSubscriber
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.subscriber import Stream
from bridge.tools.bench.load import READINGS_LIMIT
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.stage import Stage

REPLAY_LIMIT = 100_000
_ATTEMPTS = 5
_AFTER_SECONDS = 1.0  # of live readings when all have caught up
_ROUND_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ReconnectAudit:
    """How a client came back, in readings. `early` came live, before the replay, which then leaves them out."""

    early: int
    holes: int
    repeats: int
    misordered: int


def audit_reconnect(truth: Sequence[int], since: int, got: Sequence[int], at_answer: int, replayed: int) -> ReconnectAudit:
    """Of the cursors a client `got`, `at_answer` of them before its acknowledgement, which said `replayed`; `truth` is all."""
    early = max(at_answer - replayed, 0)
    owed = truth[bisect_right(truth, since) :]
    return ReconnectAudit(
        early=early,
        holes=len(set(owed) - set(got)),
        repeats=len(got) - len(set(got)),
        misordered=sum(after < before for before, after in pairwise(got[early:])),
    )


@dataclass(slots=True)
class _Back:
    """A client that came back."""

    since: int
    subscriber: CursorSubscriber
    replayed: int
    seconds: float
    attempts: int


async def reconnect(stage: Stage) -> list[BenchResult]:
    """A witness that is never cut tells what there was to hear."""
    load = stage.load
    async with stage.crowd(CursorSubscriber, 1) as witness, stage.publisher() as publisher:
        stage.phase(f"{load.clients:,} clients connect")
        async with stage.crowd(CursorSubscriber, load.clients) as crowd:
            await stage.warm_up(publisher, witness)
            await crowd.has(witness.least)
            cursors = [one.cursors[-1] for one in crowd.subscribers]
        stage.phase(f"all cut; {load.burst:,} readings without them")
        witness.expect(load.burst)
        await stage.publish(publisher, load.burst)
        await witness.complete()
        return [await _coming_back(stage, publisher, cursors, witness)]


async def _coming_back(
    stage: Stage, publisher: MqttPublisher, cursors: Sequence[int], witness: Crowd[CursorSubscriber]
) -> BenchResult:
    latencies, before = Latencies(), stage.published
    witness.expect(READINGS_LIMIT, streams := stage.streams(latencies)[:1])
    crowd = Crowd(stage.target.name, list(witness.subscribers), stage.patience)
    try:
        async with stage.measuring(f"{len(cursors):,} clients come back", crowd) as meter:
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_live(stage, publisher, streams, enough), name="live readings")
                back = await together(_back(stage, crowd, since, meter.start) for since in cursors)
                await asyncio.sleep(_AFTER_SECONDS)
                enough.set()
        await witness.has(stage.published)
        truth = witness.subscribers[0].cursors
        await _caught_up([one.subscriber for one in back], truth[-1], stage.patience)
        row = stage.measurement(meter, crowd, stage.published - before, latencies, _figures(back, truth))
        row.clients, row.heard_by = len(back), 1
        return row
    finally:
        crowd.close()


async def _live(stage: Stage, publisher: MqttPublisher, streams: list[Stream], enough: asyncio.Event) -> None:
    """Readings go on coming, at the load's rate."""
    a_round = max(round(stage.load.rate * _ROUND_SECONDS), 1)
    while not enough.is_set():
        await stage.pace(publisher, streams, a_round)


async def _back(stage: Stage, crowd: Crowd[CursorSubscriber], since: int, start: float) -> _Back:
    """As a real client: it tries again when the server is too busy to take it. Raises `BridgeError` at the last time."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            subscriber = await CursorSubscriber.connect(crowd.arena, stage.target.address)
            break
        except BridgeError:
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - not a secret
    crowd.subscribers.append(subscriber)
    answer = await subscriber.subscribe(stage.devices, since, REPLAY_LIMIT)
    return _Back(since, subscriber, answer["replayed"], perf_counter() - start, attempt)


async def _caught_up(subscribers: Sequence[CursorSubscriber], last: int, patience: float) -> None:
    """Until all have the last reading; who has not, has holes, and they are counted."""
    await wait_until(lambda: all(one.lost or (one.cursors and one.cursors[-1] >= last) for one in subscribers), patience)


def _figures(back: Sequence[_Back], truth: Sequence[int]) -> dict[str, Figure]:
    accounts = [
        audit_reconnect(truth, one.since, one.subscriber.cursors, one.subscriber.at_answer, one.replayed) for one in back
    ]
    times = sorted(one.seconds for one in back)
    return {
        "all caught up in": Figure(times[-1], "s"),
        "half caught up in": Figure(times[(len(times) - 1) // 2], "s"),
        "readings replayed": Figure(sum(one.replayed for one in back)),
        "holes": Figure(sum(one.holes for one in accounts), wrong=True),
        "repeats": Figure(sum(one.repeats for one in accounts), wrong=True),
        "out of order": Figure(sum(one.misordered for one in accounts), wrong=True),
        "cut again": Figure(sum(one.subscriber.lost for one in back)),
        "live before the replay": Figure(sum(one.early for one in accounts)),
        "attempts to connect": Figure(sum(one.attempts for one in back)),
    }
