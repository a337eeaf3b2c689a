"""A burst to clients that read more slowly than it comes: do they receive all of it, and does another client wait for them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from bridge.tools.bench.clients.pool import SubscriberPool
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult, Figure
from tests.bench.clients.limited_process import LimitedClients, limited_clients

_SPARE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LaggingLoad(Load):
    """`pace` is how many readings a second each client that lags can read. One of the `clients` reads all at once."""

    pace: float = 5000


async def lagging(context: ScenarioContext) -> list[BenchResult]:
    """The same burst without and with clients that lag; while they catch up, latency is measured at the one that does not.

    Those that lag have a process of their own, so that they do not keep the one that is measured waiting.
    """
    async with context.subscribers(context.subscriber_class, 1) as quick, context.publisher() as publisher:
        await context.warm_up(publisher, quick)
        alone = await _round(context, publisher, quick, None, "alone")
        load = cast("LaggingLoad", context.load)
        async with limited_clients(context.target.address, load.way, load.clients - 1, load.pace) as limited:
            among = await _round(context, publisher, quick, limited, f"{load.clients - 1} lag")
    return [alone, among]


async def _round(
    context: ScenarioContext,
    publisher: MqttPublisher,
    quick: SubscriberPool[Any],
    limited: LimitedClients | None,
    part: str,
) -> BenchResult:
    load = cast("LaggingLoad", context.load)
    count = load.burst + load.paced_readings
    if limited is not None:
        await limited.expect(count)
    rss = context.target.usage.rss_bytes()
    quick.expect(load.burst)
    context.phase(f"{load.burst:,} readings at once, {part}")
    await context.publish(publisher, load.burst)
    await quick.complete()
    result = await context.measure_paced(f"{load.rate:g} readings/s meanwhile, {part}", publisher, quick, part=f" {part}")
    sizes = [sample.bridge_rss_bytes for sample in result.samples if sample.bridge_rss_bytes is not None]
    if limited is not None:
        lagged = (await limited.state()).lagging
        state = await limited.until_over(count / load.pace + _SPARE_SECONDS)
        wrong = {name: getattr(state, name) for name in ("disconnected", "gaps", "repeats", "inversions")}
        result.figures |= {
            "still lagging at the end of the paced readings": Figure(lagged),
            "delivered %": Figure(100 * state.delivered / (count * (load.clients - 1))),
            **{name: Figure(number, wrong=number > 0) for name, number in wrong.items()},
        }
    result.figures["RSS growth"] = Figure(max(sizes) - rss if sizes and rss else None, "bytes")
    return result
