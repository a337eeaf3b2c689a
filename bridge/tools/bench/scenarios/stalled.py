"""Some clients stop reading: the others by turns without them and with them, who then read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.crowd import Crowd, wait_until
from bridge.tools.bench.clients.listeners import StallingSubscriber
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.subscriber import Subscriber
from bridge.tools.bench.meter import Meter
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.stage import Stage

_RECEIVE_BYTES = 16 * 1024  # the kernel's buffer of a stalled client: small, so that the bridge feels soon that it is full
_PONG_SECONDS = 5.0
_RELEASE_SECONDS = 20.0
_SETTLE_SECONDS = 1.0
PAIRS = 3


async def stalled(stage: Stage) -> list[BenchResult]:
    """Half of the stalled ones look alive: they send what answers a ping. The other half is silent.

    One pause of the disk decides the p99 of a round, so there are `PAIRS` of them, and the middle one's ratio is told.
    """
    load = stage.load
    if load.stalled >= load.clients:
        raise BridgeError(f"{load.stalled} stalled clients of {load.clients}: that leaves none to measure")
    async with stage.crowd(Subscriber, load.clients - load.stalled, paced=True) as healthy, stage.publisher() as publisher:
        await stage.warm_up(publisher, healthy)
        pairs = [await _pair(stage, publisher, healthy, n) for n in range(1, PAIRS + 1)]
    ratios = sorted(ratio for pair in pairs if (ratio := _ratio(*pair)))
    pairs[-1][1].figures["p99 with / without, the middle of all"] = Figure(ratios[len(ratios) // 2] if ratios else None)
    return [row for pair in pairs for row in pair]


async def _pair(stage: Stage, publisher: MqttPublisher, healthy: Crowd[Subscriber], n: int) -> tuple[BenchResult, BenchResult]:
    load = stage.load
    before = await _round(stage, publisher, healthy, f"{n}: none", [])
    async with stage.crowd(StallingSubscriber, load.stalled, receive_bytes=_RECEIVE_BYTES) as others:
        others.expect(load.paced)
        for one in others.subscribers:
            one.stall()
        during = await _round(stage, publisher, healthy, f"{n}: {load.stalled}", others.subscribers[::2])
        stage.phase("the stalled ones read again")
        await _released(others)
        during.figures |= _ends(others)
    await asyncio.sleep(_SETTLE_SECONDS)
    during.figures["RSS after"] = Figure(stage.target.usage.rss_bytes(), "bytes")
    during.figures["p99 with / without"] = Figure(_ratio(before, during))
    return before, during


async def _round(
    stage: Stage, publisher: MqttPublisher, healthy: Crowd[Subscriber], part: str, alive: Sequence[StallingSubscriber]
) -> BenchResult:
    latencies, count = Latencies(), stage.load.paced
    streams = stage.streams(latencies)[:1]
    async with (
        stage.measuring(f"{stage.load.rate:g} readings/s, stalled {part}", healthy) as meter,
        asyncio.TaskGroup() as tasks,
    ):
        ponging = tasks.create_task(_pong(alive), name="pongs")
        healthy.expect(count, streams)
        await stage.pace(publisher, streams, count)
        meter.until = await healthy.complete()
        ponging.cancel()
    return stage.measurement(meter, healthy, count, latencies, _memory(meter), f" {part}")


def _memory(meter: Meter) -> dict[str, Figure]:
    return {"RSS before": Figure(meter.samples[0].bridge_rss_bytes, "bytes"), "RSS growth": meter.rss_growth}


async def _pong(alive: Sequence[StallingSubscriber]) -> None:
    while alive:
        for one in alive:
            one.pong()
        await asyncio.sleep(_PONG_SECONDS)


async def _released(others: Crowd[StallingSubscriber]) -> None:
    """Until each is cut, was told of its gap, or has all; no longer than 20 s."""
    for one in others.subscribers:
        one.resume()
    await wait_until(lambda: all(one.lost or one.missing <= one.missed for one in others.subscribers), _RELEASE_SECONDS)


def _ends(others: Crowd[StallingSubscriber]) -> dict[str, Figure]:
    """How each ended. `told`: of each reading that it did not get; `uncertain`: not cut, and some are missing untold."""
    ends = [_end(one) for one in others.subscribers]
    return {
        f"stalled: {end}": Figure(ends.count(end), wrong=end == "uncertain") for end in ("told", "cut", "got all", "uncertain")
    }


def _end(one: StallingSubscriber) -> str:
    if one.lost:
        return "cut"
    if one.missing <= 0:
        return "got all"
    return "told" if one.gaps and one.missing == one.missed else "uncertain"


def _ratio(before: BenchResult, during: BenchResult) -> float | None:
    first, second = before.percentile(0.99), during.percentile(0.99)
    return second / first if first and second else None
