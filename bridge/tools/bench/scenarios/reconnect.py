"""All clients are disconnected and return at once, each with its cursor, to receive exactly what it missed."""

import asyncio
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

from bridge.tools.bench.clients.pool import SubscriberPool, connect_with_retries, gather, wait_until
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.recording import CursorSubscriber
from bridge.tools.bench.clients.subscriber import Stream
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.load import READINGS_LIMIT
from bridge.tools.bench.report.results import BenchResult, Figure

REPLAY_LIMIT = 100_000
_LIVE_SECONDS = 1.0  # of live readings after all have caught up
_ROUND_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ReconnectAudit:
    """In readings. `early` arrived live before the replay, which leaves them out."""

    early: int
    holes: int
    repeats: int
    misordered: int


def audit_reconnect(
    published: Sequence[int], since: int, received: Sequence[int], before_ack: int, replayed: int
) -> ReconnectAudit:
    """Audit the cursors of a client, `before_ack` of them before its acknowledgement, which reported `replayed`."""
    early = max(before_ack - replayed, 0)
    expected = published[bisect_right(published, since) :]
    return ReconnectAudit(
        early=early,
        holes=len(set(expected) - set(received)),
        repeats=len(received) - len(set(received)),
        misordered=sum(after < before for before, after in pairwise(received[early:])),
    )


@dataclass(slots=True)
class _Reconnected:
    since: int
    subscriber: CursorSubscriber
    replayed: int
    seconds: float
    attempts: int


async def reconnect(context: ScenarioContext) -> list[BenchResult]:
    """A reference client that stays connected records every publication."""
    load = context.load
    async with context.subscribers(CursorSubscriber, 1) as reference, context.publisher() as publisher:
        context.phase(f"{load.clients:,} clients connect")
        async with context.subscribers(CursorSubscriber, load.clients) as pool:
            await context.warm_up(publisher, reference)
            await pool.wait_for(reference.least)
            cursors = [client.cursors[-1] for client in pool.subscribers]
        context.phase(f"all disconnected; {load.burst:,} readings meanwhile")
        reference.expect(load.burst)
        await context.publish(publisher, load.burst)
        await reference.complete()
        return [await _measure_return(context, publisher, cursors, reference)]


async def _measure_return(
    context: ScenarioContext, publisher: MqttPublisher, cursors: Sequence[int], reference: SubscriberPool[CursorSubscriber]
) -> BenchResult:
    latencies, before = Latencies(), context.published
    streams = [Stream([], latencies)]
    reference.expect(READINGS_LIMIT, streams)
    pool = SubscriberPool(context.target.name, list(reference.subscribers), context.patience)
    try:
        async with context.measuring(f"{len(cursors):,} clients return", pool) as measurement:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_publish_live(context, publisher, streams, stop), name="live readings")
                clients = await gather(_return(context, pool, since, measurement.start) for since in cursors)
                await asyncio.sleep(_LIVE_SECONDS)
                stop.set()
        await reference.wait_for(context.published)
        published = reference.subscribers[0].cursors
        last = published[-1]  # a client that does not receive it has holes, which are counted

        def caught_up() -> bool:
            subscribers = (client.subscriber for client in clients)
            return all(one.disconnected or (one.cursors and one.cursors[-1] >= last) for one in subscribers)

        await wait_until(caught_up, context.patience)
        figures = _figures(clients, published)
        result = context.result(measurement, pool, context.published - before, latencies, figures)
        result.clients, result.latency_clients = len(clients), 1
        return result
    finally:
        pool.close()


async def _publish_live(context: ScenarioContext, publisher: MqttPublisher, streams: list[Stream], stop: asyncio.Event) -> None:
    count = max(round(context.load.rate * _ROUND_SECONDS), 1)
    while not stop.is_set():
        await context.pace(publisher, streams, count)


async def _return(context: ScenarioContext, pool: SubscriberPool[CursorSubscriber], since: int, start: float) -> _Reconnected:
    rng = random.Random()  # noqa: S311 - not a secret
    subscriber, attempts = await connect_with_retries(
        lambda: CursorSubscriber.connect(pool.receive_buffer, context.target.address), rng
    )
    pool.subscribers.append(subscriber)
    ack = await subscriber.subscribe(context.devices, since, REPLAY_LIMIT)
    return _Reconnected(since, subscriber, ack["replayed"], perf_counter() - start, attempts)


def _figures(clients: Sequence[_Reconnected], published: Sequence[int]) -> dict[str, Figure]:
    audits = [
        audit_reconnect(published, client.since, client.subscriber.cursors, client.subscriber.before_response, client.replayed)
        for client in clients
    ]
    times = sorted(client.seconds for client in clients)
    return {
        "all caught up in": Figure(times[-1], "s"),
        "half caught up in": Figure(times[(len(times) - 1) // 2], "s"),
        "readings replayed": Figure(sum(client.replayed for client in clients)),
        "holes": Figure(sum(audit.holes for audit in audits), wrong=True),
        "repeats": Figure(sum(audit.repeats for audit in audits), wrong=True),
        "out of order": Figure(sum(audit.misordered for audit in audits), wrong=True),
        "cut again": Figure(sum(client.subscriber.disconnected for client in clients)),
        "live before the replay": Figure(sum(audit.early for audit in audits)),
        "attempts to connect": Figure(sum(client.attempts for client in clients)),
    }
