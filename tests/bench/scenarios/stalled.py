"""Some clients stop reading: measure the others without and with them, then let the stalled ones read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.pool import SubscriberPool, wait_until
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.subscriber import Subscriber
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult, Figure
from tests.bench.clients.gaps import StallingSubscriber

_RECEIVE_BYTES = 16 * 1024  # kernel buffer of a stalled client: small, so that the bridge soon notices that it is full
_PONG_SECONDS = 5.0
_RESUME_SECONDS = 20.0
_SETTLE_SECONDS = 1.0
PAIRS = 3


@dataclass(frozen=True, slots=True)
class StalledLoad(Load):
    """`stalled` is the number of clients that stop reading."""

    stalled: int = 50


async def stalled(context: ScenarioContext) -> list[BenchResult]:
    """Half of the stalled clients send pongs, the other half nothing.

    One pause of the disk decides the p99 of a round, so there are `PAIRS` of rounds, and the median ratio is reported.
    """
    load = cast("StalledLoad", context.load)
    if load.stalled >= load.clients:
        raise BridgeError(f"{load.stalled} stalled of {load.clients} clients: at least one must keep reading")
    async with (
        context.subscribers(Subscriber, load.clients - load.stalled, polled=True) as healthy,
        context.publisher() as publisher,
    ):
        await context.warm_up(publisher, healthy)
        pairs = [await _pair(context, publisher, healthy, n) for n in range(1, PAIRS + 1)]
    ratios = sorted(ratio for pair in pairs if (ratio := _p99_ratio(*pair)))
    pairs[-1][1].figures["p99 with / without, median"] = Figure(ratios[len(ratios) // 2] if ratios else None)
    return [result for pair in pairs for result in pair]


async def _pair(
    context: ScenarioContext, publisher: MqttPublisher, healthy: SubscriberPool[Subscriber], n: int
) -> tuple[BenchResult, BenchResult]:
    load = cast("StalledLoad", context.load)
    before = await _round(context, publisher, healthy, f"{n}: none", [])
    async with context.subscribers(StallingSubscriber, load.stalled, receive_bytes=_RECEIVE_BYTES) as stalling:
        stalling.expect(load.paced_readings)
        for client in stalling.subscribers:
            client.stall()
        during = await _round(context, publisher, healthy, f"{n}: {load.stalled}", stalling.subscribers[::2])
        context.phase("the stalled clients read again")
        for client in stalling.subscribers:
            client.resume()
        await wait_until(lambda: all(_is_settled(client) for client in stalling.subscribers), _RESUME_SECONDS)
        ends = [_end(client) for client in stalling.subscribers]
    during.figures |= {
        f"stalled: {end}": Figure(ends.count(end), wrong=end == "uncertain") for end in ("told", "cut", "got all", "uncertain")
    }
    await asyncio.sleep(_SETTLE_SECONDS)
    during.figures["RSS after"] = Figure(context.target.usage.rss_bytes(), "bytes")
    during.figures["p99 with / without"] = Figure(_p99_ratio(before, during))
    return before, during


async def _round(
    context: ScenarioContext,
    publisher: MqttPublisher,
    healthy: SubscriberPool[Subscriber],
    part: str,
    live: Sequence[StallingSubscriber],
) -> BenchResult:
    async with asyncio.TaskGroup() as tasks:
        pongs = tasks.create_task(_send_pongs(live), name="pongs")
        text = f"{context.load.rate:g} readings/s, stalled {part}"
        result = await context.measure_paced(text, publisher, healthy, part=f" {part}")
        pongs.cancel()
    sizes = [sample.bridge_rss_bytes for sample in result.samples if sample.bridge_rss_bytes is not None]
    result.figures["RSS before"] = Figure(result.samples[0].bridge_rss_bytes, "bytes")
    result.figures["RSS growth"] = Figure(max(sizes) - sizes[0] if sizes else None, "bytes")
    return result


async def _send_pongs(clients: Sequence[StallingSubscriber]) -> None:
    while clients:
        for client in clients:
            client.pong()
        await asyncio.sleep(_PONG_SECONDS)


def _is_settled(client: StallingSubscriber) -> bool:
    return client.disconnected or client.missing <= client.missed


def _end(client: StallingSubscriber) -> str:
    """`told`: every missing reading was reported in a gap; `uncertain`: still connected, and some were not reported."""
    if client.disconnected:
        return "cut"
    if client.missing <= 0:
        return "got all"
    return "told" if client.gaps and client.missing == client.missed else "uncertain"


def _p99_ratio(before: BenchResult, during: BenchResult) -> float | None:
    first, second = before.percentile(0.99), during.percentile(0.99)
    return second / first if first and second else None
