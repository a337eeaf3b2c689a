"""The scenarios."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.tools.bench.clients.subscriber import Subscriber
from bridge.tools.bench.context import WARM_UP, ScenarioContext
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.scenarios.reconnect import reconnect

_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`load` is the default load; the scenario uses the fields named in `uses`."""

    name: str
    question: str
    load: Load
    uses: tuple[str, ...]
    run: Callable[[ScenarioContext], Awaitable[list[BenchResult]]]

    @property
    def summary(self) -> str:
        fields = ((name, getattr(self.load, name)) for name in self.uses)
        load = ", ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in fields)
        return f"{self.question} ({load})"


async def burst(context: ScenarioContext) -> list[BenchResult]:
    """Measure from the first publish to the last delivery at the last client."""
    count = context.load.burst
    async with (
        context.subscribers(context.subscriber_class, context.load.clients) as pool,
        context.publisher() as publisher,
    ):
        await context.warm_up(publisher, pool)
        async with context.measuring(f"{count:,} readings at once", pool) as measurement:
            pool.expect(count)
            await context.publish(publisher, count, pool)
            measurement.until = await pool.complete()
        return [context.result(measurement, pool, count)]


async def steady(context: ScenarioContext) -> list[BenchResult]:
    load = context.load
    async with (
        context.subscribers(context.subscriber_class, load.clients, polled=True) as pool,
        context.publisher() as publisher,
    ):
        await context.warm_up(publisher, pool)
        return [await context.measure_paced(f"{load.rate:g} readings/s for {load.seconds:g} s", publisher, pool)]


async def many(context: ScenarioContext) -> list[BenchResult]:
    clients, before = context.load.clients, context.target.usage.rss_bytes()
    context.phase(f"{clients:,} clients connect")
    start = asyncio.get_running_loop().time()
    async with (
        context.subscribers(context.subscriber_class, clients, polled=True) as pool,
        context.publisher() as publisher,
    ):
        connected = asyncio.get_running_loop().time() - start
        await asyncio.sleep(_SETTLE_SECONDS)
        after = context.target.usage.rss_bytes()
        per_client = None if before is None or after is None else (after - before) / clients
        figures = {"bridge memory per client": Figure(per_client, "bytes"), "all connected in": Figure(connected, "s")}
        await context.warm_up(publisher, pool)
        text = f"{context.load.rate:g} readings/s to {clients:,} clients"
        return [await context.measure_paced(text, publisher, pool, figures=figures)]


async def rooms(context: ScenarioContext) -> list[BenchResult]:
    """Each client subscribes to one device of several and must receive only that one."""
    load, devices = context.load, len(context.devices)
    async with (
        context.subscribers(Subscriber, load.clients, rooms=devices, polled=True) as pool,
        context.publisher() as publisher,
    ):
        pool.expect(WARM_UP)
        await context.publish(publisher, WARM_UP * devices)
        await pool.complete()
        text, figures = f"{load.rate:g} readings/s, {devices} devices", {"devices": Figure(devices)}
        return [await context.measure_paced(text, publisher, pool, by_device=True, figures=figures)]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "burst",
            "many readings at once: how many per second are stored and delivered, and how much CPU does each take?",
            Load(),
            ("clients", "burst", "way"),
            burst,
        ),
        Scenario(
            "steady",
            "readings at a constant rate: how long from publish to each client?",
            Load(),
            ("clients", "rate", "seconds", "way"),
            steady,
        ),
        Scenario(
            "many",
            "thousands of clients: latency, and memory per client",
            Load(clients=2000, rate=50),
            ("clients", "rate", "seconds", "way"),
            many,
        ),
        Scenario(
            "reconnect",
            "all clients are disconnected, miss a burst and return at once: when have they caught up, with holes or repeats? "
            "Latency is measured at one client that stays",
            Load(clients=1000, burst=1000),
            ("clients", "burst", "rate"),
            reconnect,
        ),
        Scenario(
            "rooms",
            "each client subscribes to one device of several: does it receive only that one, and how soon?",
            Load(rooms=10),
            ("clients", "rooms", "rate", "seconds"),
            rooms,
        ),
    )
}
DEFAULT = ("burst", "steady")
