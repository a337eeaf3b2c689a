"""Planned changes: bridges are upgraded one by one, and one bridge becomes a cluster."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pymongo

from bridge.core.readings.identity import record_id
from tests.faults.cluster.cells import Outcome, Population, Progress, Run, loaded, notes, verdict
from tests.faults.cluster.stage import ClusterStage, cluster_stage, started
from tests.servers import until

UPGRADED = Population(40, 40, 6, 6, 2, 20)
_OLD_MS = 1_700_000_000_000
_OLD_DEVICES = 50
_BATCH = 10_000
_FOREVER = (1e9, 1e9)


async def upgrade(
    folder: Path, progress: Progress, *, bus: str = "mqtt", rate: float = 500, mqtt_share: float = 0.5,
    population: Population = UPGRADED, election_ms: int = 10_000, with_spare: bool = True,
) -> Outcome:  # fmt: skip
    """Replace every bridge. Clients stay until they are disconnected.

    With a spare: it starts first, the balancer sends no new client to the others, and these are stopped one after the other.
    So a client goes to a bridge that is not stopped later. Without: each bridge is stopped and started in turn.
    """
    async with cluster_stage(folder, bus=bus, election_ms=election_ms) as stage:
        async with loaded(stage, rate, population, mqtt_share, stay=_FOREVER, direct_share=0.0) as run:
            before = _connections(run)
            if with_spare:
                progress("the spare is started")
                await started([stage.spare])
                await until(lambda: stage.is_up(stage.spare), 60, "the balancer sees the spare")
                for bridge in stage.bridges:
                    stage.set_state(bridge, "drain")
            stops, outages = [], []
            for bridge in stage.bridges:
                await asyncio.sleep(3)
                progress(f"bridge {bridge.place} is stopped and started")
                begun = time.monotonic()
                await asyncio.to_thread(bridge.stop)
                stops.append(time.monotonic() - begun)
                await asyncio.to_thread(bridge.start)
                await until(bridge.is_ready, 60, f"bridge {bridge.place} is ready")
                outages.append(time.monotonic() - begun)
                if with_spare:
                    stage.set_state(bridge, "ready")
                await until(partial(stage.is_up, bridge), 60, f"the balancer sees bridge {bridge.place}")
            await asyncio.sleep(3)
            again = [after - first for first, after in zip(before, _connections(run), strict=True)]
        name = "upgrade with a spare" if with_spare else "upgrade in turn"
        outcome = Outcome(name, await verdict(run, tolerates_broker=False), notes=notes(run))
        outcome.measured = {
            "stop s": max(stops), "outage s": max(outages), "no answer": float(run.load.statuses[0]),
            **{f"HTTP {status}": float(count) for status, count in sorted(run.load.statuses.items()) if status},
            **{f"{count} reconnects": float(clients) for count, clients in sorted(Counter(again).items())},
        }  # fmt: skip
        return outcome


def _connections(run: Run) -> list[int]:
    return [client.connections for client in run.clients]


async def enable(
    folder: Path, progress: Progress, *, bus: str = "mqtt", readings: int = 1_000_000, rate: float = 100,
    population: Population = UPGRADED, election_ms: int = 10_000,
) -> Outcome:  # fmt: skip
    """One bridge with old readings becomes one of three; its clients resume with the cursors that it gave them.

    Readings come by HTTP: what the broker keeps for the session of one bridge is not delivered to the session of its place.
    """
    async with cluster_stage(folder, bus=bus, election_ms=election_ms, starts=False) as stage:
        first, others = stage.bridges[0], stage.bridges[1:]
        first.join(None, bus)
        await started([first])  # makes the indexes
        await asyncio.to_thread(first.stop)
        progress(f"{readings:,} readings are inserted")
        start = await asyncio.to_thread(_insert_old, stage, readings)
        await started([first])
        async with loaded(
            stage, rate, population, 0.0, stay=_FOREVER, direct_share=0.0, start=start, since=start, bridges=[first]
        ) as run:  # fmt: skip
            await asyncio.sleep(3)
            progress("the bridge is stopped, and started in a cluster")
            await asyncio.to_thread(first.stop)
            stage.join([first])
            begun = time.monotonic()
            await asyncio.to_thread(first.start)
            await until(first.is_ready, 300, "the bridge is ready")
            converted = time.monotonic() - begun
            await started(others)
            await asyncio.sleep(3)
        outcome = Outcome("cluster enabled", await verdict(run, tolerates_broker=False), notes=notes(run))
        outcome.measured = {"ready in the cluster after s": converted, "old readings": float(readings)}
        return outcome


def _insert_old(stage: ClusterStage, count: int) -> int:
    """Insert readings as one bridge stored them, and return the cursor above which clients have the last 1,000."""
    with stage.database() as database:
        collection = database["readings"].with_options(write_concern=pymongo.WriteConcern(w=1))
        for low in range(0, count, _BATCH):
            collection.insert_many([_old(n) for n in range(low, min(low + _BATCH, count))], ordered=False)
    return _cursor(max(count - 1001, 0))


def _old(number: int) -> dict[str, object]:
    device, at_ms, values = f"d{number % _OLD_DEVICES:02}", _OLD_MS + number, {"temperature": number % 40 + 0.5}
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return {
        "_id": record_id(device, at_ms, values), **values, "timestamp": at, "deviceId": device, "receivedAt": at,
        "seq": _cursor(number),
    }  # fmt: skip


def _cursor(number: int) -> int:
    return _OLD_MS * 1000 + number * 1000
