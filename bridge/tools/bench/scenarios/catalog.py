"""The scenarios: each one idea. Those with a story of their own stand in their own files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.tools.bench.clients.subscriber import Subscriber
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.scenarios.churn import churn
from bridge.tools.bench.scenarios.reconnect import reconnect
from bridge.tools.bench.scenarios.stalled import stalled
from bridge.tools.bench.stage import WARM_UP, Stage

_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`load` is what it does unless told otherwise, of which it uses what `uses` names."""

    name: str
    idea: str
    load: Load
    uses: tuple[str, ...]
    run: Callable[[Stage], Awaitable[list[BenchResult]]]

    @property
    def summary(self) -> str:
        """The idea, and the load it puts on unless told otherwise."""
        return f"{self.idea} ({', '.join(f'{name} {_shown(getattr(self.load, name))}' for name in self.uses)})"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


async def burst(stage: Stage) -> list[BenchResult]:
    """From the first publish to the last client having the last reading."""
    count = stage.load.burst
    async with stage.crowd(stage.subscribers, stage.load.clients) as crowd, stage.publisher() as publisher:
        await stage.warm_up(publisher, crowd)
        async with stage.measuring(f"{count:,} readings at once", crowd) as meter:
            crowd.expect(count)
            await stage.publish(publisher, count, crowd)
            meter.until = await crowd.complete()
        return [stage.measurement(meter, crowd, count)]


async def steady(stage: Stage) -> list[BenchResult]:
    """Latency from publish to each client."""
    async with stage.crowd(stage.subscribers, stage.load.clients, paced=True) as crowd, stage.publisher() as publisher:
        await stage.warm_up(publisher, crowd)
        latencies, count = Latencies(), stage.load.paced
        streams = stage.streams(latencies)[:1]
        async with stage.measuring(f"{stage.load.rate:g} readings/s for {stage.load.seconds:g} s", crowd) as meter:
            crowd.expect(count, streams)
            await stage.pace(publisher, streams, count)
            meter.until = await crowd.complete()
        return [stage.measurement(meter, crowd, count, latencies)]


async def many(stage: Stage) -> list[BenchResult]:
    """As steady, and what a client costs in memory."""
    clients, before = stage.load.clients, stage.target.usage.rss_bytes()
    stage.phase(f"{clients:,} clients connect")
    start = asyncio.get_running_loop().time()
    async with stage.crowd(stage.subscribers, clients, paced=True) as crowd, stage.publisher() as publisher:
        connected = asyncio.get_running_loop().time() - start
        await asyncio.sleep(_SETTLE_SECONDS)
        after = stage.target.usage.rss_bytes()
        await stage.warm_up(publisher, crowd)
        latencies, count = Latencies(), stage.load.paced
        streams = stage.streams(latencies)[:1]
        async with stage.measuring(f"{stage.load.rate:g} readings/s to {clients:,} clients", crowd) as meter:
            crowd.expect(count, streams)
            await stage.pace(publisher, streams, count)
            meter.until = await crowd.complete()
        each = None if before is None or after is None else (after - before) / clients
        figures = {"bridge's memory for each client": Figure(each, "bytes"), "all connected in": Figure(connected, "s")}
        return [stage.measurement(meter, crowd, count, latencies, figures)]


async def rooms(stage: Stage) -> list[BenchResult]:
    """Each client hears one device of several, and nothing else."""
    load, devices = stage.load, len(stage.devices)
    async with stage.crowd(Subscriber, load.clients, rooms=devices, paced=True) as crowd, stage.publisher() as publisher:
        crowd.expect(WARM_UP)
        await stage.publish(publisher, WARM_UP * devices)
        await crowd.complete()
        latencies, count = Latencies(), load.paced
        streams = stage.streams(latencies)
        shares = [count // devices + (device < count % devices) for device in range(devices)]
        async with stage.measuring(f"{load.rate:g} readings/s, {devices} devices", crowd) as meter:
            crowd.expect([shares[n % devices] for n in range(load.clients)], streams)
            await stage.pace(publisher, streams, count)
            meter.until = await crowd.complete()
        return [stage.measurement(meter, crowd, count, latencies, {"devices": Figure(devices)})]


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            "burst",
            "a heap of readings at once: how many a second are stored and delivered, and what one costs",
            Load(),
            ("clients", "burst", "way"),
            burst,
        ),
        Scenario(
            "steady",
            "readings at a constant rate: how long from publish to each client",
            Load(),
            ("clients", "rate", "seconds", "way"),
            steady,
        ),
        Scenario(
            "many",
            "very many clients: latency, and the memory of each",
            Load(clients=2000, rate=50),
            ("clients", "rate", "seconds", "way"),
            many,
        ),
        Scenario(
            "reconnect",
            "all clients are cut, miss a burst and come back at once: when have they caught up, with holes or repeats? "
            "Latency is of one client that stays",
            Load(clients=1000, burst=1000),
            ("clients", "burst", "rate"),
            reconnect,
        ),
        Scenario(
            "stalled",
            "some clients stop reading: what do the others notice, and how does each stalled one end?",
            Load(clients=200, rate=1000),
            ("clients", "stalled", "rate", "seconds"),
            stalled,
        ),
        Scenario(
            "churn",
            "clients come, go, change over from polling and ask for other devices: does each hear all it asked for, once and "
            "in order? Latency is of one client that stays",
            Load(clients=200, rate=1000, seconds=60, rooms=10),
            ("clients", "rooms", "rate", "seconds"),
            churn,
        ),
        Scenario(
            "rooms",
            "each client hears one device of several: does it hear that one only, and how soon?",
            Load(rooms=10),
            ("clients", "rooms", "rate", "seconds"),
            rooms,
        ),
    )
}
DEFAULT = ("burst", "steady")
