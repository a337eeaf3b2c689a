"""`make bench ARGS='cluster'` and `workers`: several bridges beside one, in turns of one run.

`cluster` is CPU at a fixed rate: one bridge with all clients, and bridges of a cluster with a share of the clients each.
`workers` is a burst to clients on this machine: `sensor-bridge run`, and `run --workers N`.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.pool import SubscriberPool
from bridge.tools.bench.clients.protocols import PROTOCOLS
from bridge.tools.bench.clients.subscriber import Subscriber
from bridge.tools.bench.context import ProgressDisplay, ScenarioContext
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.load import Load
from bridge.tools.bench.systems import BenchTarget, child_process, free_port, wait_until_ready
from bridge.tools.bench.usage import Usage
from tests.servers import until

CLUSTER, WORKERS = "cluster", "workers"
_BRIDGES = 3
_PATIENCE_SECONDS = 60.0
_WARM_UP_READINGS = 100
_LISTEN = "0A"
_CLUSTER_LOAD = Load(clients=30, rate=400, seconds=10)
_WORKERS_LOAD = Load(clients=50, burst=100_000)


class SummedUsage(Usage):
    """The usage of several processes together."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(None)
        self.each = [Usage(pid) for pid in pids]

    def cpu_seconds(self) -> float | None:
        return sum(one.cpu_seconds() or 0.0 for one in self.each)

    def rss_bytes(self) -> int | None:
        return sum(one.rss_bytes() or 0 for one in self.each)


@dataclass(frozen=True, slots=True)
class Bridges:
    """Bridges of one store and broker that are ready."""

    addresses: Sequence[Address]
    usage: SummedUsage
    target: BenchTarget


@dataclass(frozen=True, slots=True)
class Servers:
    broker: MqttSettings
    mongo_url: str
    folder: Path

    def environment(self, name: str, **more: str) -> dict[str, str]:
        return {
            "BRIDGE_MQTT__URL": self.broker.url.get_secret_value(),
            "BRIDGE_MQTT__CLIENT_ID": name,
            "BRIDGE_MQTT__SESSION_EXPIRY_SECONDS": "60",
            "BRIDGE_MQTT__SUBSCRIPTIONS": orjson.dumps([{"pattern": f"{name}/{{deviceId}}/data"}]).decode(),
            "BRIDGE_STORE__URL": self.mongo_url.replace("/?", f"/{name}?"),
            "BRIDGE_LOG__LEVEL": "warning",
            **more,
        }

    @asynccontextmanager
    async def bridges(self, count: int, receive: str | None) -> AsyncIterator[Bridges]:
        """Start bridges: those of a cluster, or one alone without `receive`."""
        name = f"bench-{secrets.token_hex(4)}"
        cluster = {} if receive is None else {"BRIDGE_CLUSTER__NAME": name, "BRIDGE_CLUSTER__RECEIVE": receive}
        addresses, pids = [], []
        async with AsyncExitStack() as stack:
            for number in range(count):
                address = Address("127.0.0.1", free_port())
                environment = self.environment(name, BRIDGE_HTTP__PORT=str(address.port), **cluster)
                pids.append(await self._start(stack, ["run"], environment, f"{name}-{number}", address))
                addresses.append(address)
            usage = SummedUsage(pids)
            yield Bridges(addresses, usage, BenchTarget(name, addresses[0], self.broker, usage, root=name, ledger=False))

    @asynccontextmanager
    async def workers(self, count: int) -> AsyncIterator[Bridges]:
        """Start a bridge, or several as workers behind one port."""
        name, address = f"bench-{secrets.token_hex(4)}", Address("127.0.0.1", free_port())
        environment = self.environment(name, BRIDGE_HTTP__PORT=str(address.port))
        arguments = ["run"] if count == 1 else ["run", "--workers", str(count)]
        async with AsyncExitStack() as stack:
            pid = await self._start(stack, arguments, environment, name, address)
            await until(lambda: _listeners(address.port) == count, what="workers that accept clients")
            usage = SummedUsage([pid] if count == 1 else _children(pid))
            yield Bridges([address], usage, BenchTarget(name, address, self.broker, usage, root=name, ledger=False))

    async def _start(
        self, stack: AsyncExitStack, arguments: list[str], environment: dict[str, str], name: str, address: Address
    ) -> int:
        folder = self.folder / name
        folder.mkdir()
        command = [sys.executable, "-m", "bridge", *arguments]
        process = await stack.enter_async_context(child_process(command, environment, folder))
        await wait_until_ready(f"{address}/health/ready", process, folder)
        return process.pid


def _listeners(port: int) -> int:
    """Return how many sockets listen on a port."""
    columns = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(own.endswith(f":{port:04X}") and state == _LISTEN for _, own, _, state, *_ in columns)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def _subscribers(bridges: Bridges, load: Load) -> AsyncIterator[SubscriberPool[Subscriber]]:
    """Connect clients to the bridges in turn."""
    each = [len(range(number, load.clients, len(bridges.addresses))) for number in range(len(bridges.addresses))]
    pools = [
        await SubscriberPool.connect(PROTOCOLS[load.way], address, share, name=bridges.target.name, patience=_PATIENCE_SECONDS)
        for address, share in zip(bridges.addresses, each, strict=True)
    ]
    try:
        yield SubscriberPool(bridges.target.name, [one for pool in pools for one in pool.subscribers], _PATIENCE_SECONDS)
    finally:
        for pool in pools:
            pool.close()


@dataclass(frozen=True, slots=True)
class ClusterResult:
    """CPU seconds per reading of each bridge, and latencies in seconds."""

    system: str
    each: Sequence[float]
    p50: float
    p99: float


async def _measure_at_rate(system: str, bridges: Bridges, load: Load, display: ProgressDisplay) -> ClusterResult:
    context = ScenarioContext(CLUSTER, bridges.target, load, 1, _PATIENCE_SECONDS, display)
    async with _subscribers(bridges, load) as pool, context.publisher() as publisher:
        pool.expect(_WARM_UP_READINGS)
        await context.publish(publisher, _WARM_UP_READINGS)
        await pool.complete()
        before = [one.cpu_seconds() or 0.0 for one in bridges.usage.each]
        result = await context.measure_paced(f"{system}: {load.rate:g} readings/s for {load.seconds:g} s", publisher, pool)
        after = [one.cpu_seconds() or 0.0 for one in bridges.usage.each]
    each = [(end - start) / load.paced_readings for start, end in zip(before, after, strict=True)]
    latencies: Latencies | None = result.latencies
    if latencies is None:
        raise BridgeError("no latencies were measured")
    return ClusterResult(system, each, result.percentile(0.5) or 0.0, result.percentile(0.99) or 0.0)


async def run_cluster(servers: Servers, load: dict[str, Any], rounds: int, display: ProgressDisplay, console: Console) -> None:
    """Measure one bridge, a cluster of which one receives, and one of which all do, in turns; print a table."""
    own = replace(_CLUSTER_LOAD, **load)
    systems = {
        "one bridge": (1, None),
        f"{_BRIDGES}, one receives": (_BRIDGES, "one"),
        f"{_BRIDGES}, all receive": (_BRIDGES, "all"),
    }
    results: dict[str, list[ClusterResult]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, (count, receive) in systems.items():
            async with servers.bridges(count, receive) as bridges:
                results[name].append(await _measure_at_rate(name, bridges, own, display))
    console.print(_cluster_table(results, own))


def _cluster_table(results: dict[str, list[ClusterResult]], load: Load) -> Table:
    table = Table(
        "bridges",
        "CPU a reading, each",
        "mean",
        "one / mean, each round",
        "p50",
        "p99",
        title=f"{load.rate:g} readings/s, {load.clients} clients",
    )
    [alone, *_] = results.values()
    for name, rounds in results.items():
        each = ", ".join(f"{median(one.each[n] for one in rounds) * 1e6:.0f}" for n in range(len(rounds[0].each)))
        ratios = [mean(one.each) / mean(several.each) for one, several in zip(alone, rounds, strict=True)]
        table.add_row(
            name,
            f"{each} µs",
            f"{median(mean(one.each) for one in rounds) * 1e6:.0f} µs",
            f"{median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})",
            f"{median(one.p50 for one in rounds) * 1e3:.1f} ms",
            f"{median(one.p99 for one in rounds) * 1e3:.1f} ms",
        )
    return table


async def run_workers(servers: Servers, load: dict[str, Any], rounds: int, display: ProgressDisplay, console: Console) -> None:
    """Measure a burst to one bridge and to two workers, in turns; print a table."""
    own = replace(_WORKERS_LOAD, **load)
    results: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for n in range(rounds):
        for count in sorted(results, reverse=bool(n % 2)):
            async with servers.workers(count) as bridges:
                results[count].append(await _measure_burst(count, bridges, own, display))
    table = Table(
        "workers",
        "deliveries/s",
        "each round",
        "CPU of the bridges",
        title=f"{own.burst:,} readings to {own.clients} clients of {own.way}",
    )
    for count, rounds_of in results.items():
        rates = [rate for rate, _ in rounds_of]
        cores = f"{median(cores for _, cores in rounds_of):.2f} cores"
        table.add_row(str(count), f"{median(rates):,.0f}", ", ".join(f"{rate:,.0f}" for rate in rates), cores)
    ratios = [two / one for (one, _), (two, _) in zip(results[1], results[2], strict=True)]
    table.add_row("2 / 1", f"{median(ratios):.2f}", ", ".join(f"{ratio:.2f}" for ratio in ratios), "")
    console.print(table)


async def _measure_burst(count: int, bridges: Bridges, load: Load, display: ProgressDisplay) -> tuple[float, float]:
    """Return deliveries per second, and the cores that the bridges used."""
    context = ScenarioContext(WORKERS, bridges.target, load, 1, _PATIENCE_SECONDS, display)
    async with _subscribers(bridges, load) as pool, context.publisher() as publisher:
        pool.expect(_WARM_UP_READINGS)
        await context.publish(publisher, _WARM_UP_READINGS)
        await pool.complete()
        async with context.measuring(f"{count}: {load.burst:,} readings at once", pool) as measurement:
            pool.expect(load.burst)
            await context.publish(publisher, load.burst, pool)
            measurement.until = await pool.complete()
        cpu_seconds = (bridges.usage.cpu_seconds() or 0.0) - (measurement.bridge_cpu_start or 0.0)
    return load.burst * load.clients / measurement.seconds, cpu_seconds / measurement.seconds
