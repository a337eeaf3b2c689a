"""A burst to clients that read more slowly than it comes: do they receive all of it, and does another client wait for them?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from bridge.tools.bench.clients.pool import SubscriberPool, wait_until
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult, Figure
from tests.bench.clients.limited import LIMITED, LimitedSubscriber

_READING_BYTES = 360
_STEP_SECONDS = 0.01
_SPARE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LaggingLoad(Load):
    """`pace` is how many readings a second each client that lags can read. One of the `clients` reads all at once."""

    pace: float = 5000


async def lagging(context: ScenarioContext) -> list[BenchResult]:
    """The same burst without and with clients that lag; while they catch up, latency is measured at the one that does not."""
    async with context.subscribers(context.subscriber_class, 1) as quick, context.publisher() as publisher:
        await context.warm_up(publisher, quick)
        alone = await _round(context, publisher, quick, [], "alone")
        load = cast("LaggingLoad", context.load)
        async with context.subscribers(LIMITED[load.way], load.clients - 1) as pool:
            for client in pool.subscribers:
                client.pause()
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(_read(pool.subscribers, load.pace), name="limited reads")
                among = await _round(context, publisher, quick, pool.subscribers, f"{len(pool.subscribers)} lag")
                reading.cancel()
    return [alone, among]


async def _read(clients: Sequence[LimitedSubscriber], pace: float) -> None:
    """Let each client read at the pace, one after the other so that none delays the one that is measured; never returns."""
    step_bytes, due = max(round(pace * _READING_BYTES * _STEP_SECONDS), 1), perf_counter()
    while True:
        for client in clients:
            client.poll(step_bytes)
            await asyncio.sleep(0)
        due += _STEP_SECONDS
        await asyncio.sleep(max(due - perf_counter(), 0))


async def _round(
    context: ScenarioContext,
    publisher: MqttPublisher,
    quick: SubscriberPool[Any],
    clients: Sequence[LimitedSubscriber],
    part: str,
) -> BenchResult:
    load = cast("LaggingLoad", context.load)
    count = load.burst + load.paced_readings
    for client in clients:
        client.expect(count, None, lambda _: None)
    rss = context.target.usage.rss_bytes()
    quick.expect(load.burst)
    context.phase(f"{load.burst:,} readings at once, {part}")
    await context.publish(publisher, load.burst)
    await quick.complete()
    result = await context.measure_paced(f"{load.rate:g} readings/s meanwhile, {part}", publisher, quick, part=f" {part}")
    lagged = sum(client.missing > 0 for client in clients)
    longest = count / load.pace + _SPARE_SECONDS
    await wait_until(lambda: all(client.disconnected or client.missing <= 0 for client in clients), longest)
    sizes = [sample.bridge_rss_bytes for sample in result.samples if sample.bridge_rss_bytes is not None]
    delivered = sum(min(client.expected - client.missing, count) for client in clients)
    wrong = {
        "disconnected": sum(client.disconnected for client in clients),
        "gaps": sum(len(client.gaps) for client in clients),
        "repeats": sum(client.repeats + max(-client.missing, 0) for client in clients),
        "inversions": sum(client.inversions for client in clients),
    }
    result.figures |= {
        "still lagging at the end of the paced readings": Figure(lagged),
        "delivered %": Figure(100 * delivered / (count * len(clients)) if clients else None),
        **{name: Figure(number, wrong=number > 0) for name, number in wrong.items()},
        "RSS growth": Figure(max(sizes) - rss if sizes and rss else None, "bytes"),
    }
    return result
