"""`python -m tests.bench.inputs`: throughput of readings by HTTP and over device WebSockets, on mongod."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bridge.tools.bench.clients.readings import Readings
from bridge.tools.bench.run import broker_settings
from bridge.tools.bench.systems import BenchTarget, OwnBridge
from tests.bench.servers import broker_and_database

POSTS, PER_POST = 400, 100
SOCKETS, RATE, SECONDS = 100, 1000, 20
CONNECT_SECONDS = 1.0


async def by_http(target: BenchTarget, readings: Readings) -> tuple[int, float]:
    """Post lists of 100 over one connection; return the accepted readings and the seconds."""
    connector = aiohttp.TCPConnector(limit=1)
    bodies = [
        b"[%b]" % b",".join(b'{"deviceId":"http-%d",' % (n % 10) + readings[post * PER_POST + n][1:] for n in range(PER_POST))
        for post in range(POSTS)
    ]
    headers, accepted = {"Content-Type": "application/json"}, 0
    async with aiohttp.ClientSession(connector=connector) as session:
        start = time.perf_counter()
        for body in bodies:
            async with session.post(f"{target.address}/api/v1/readings", data=body, headers=headers) as response:
                assert response.status == 201, await response.text()
                accepted += len((await response.json())["results"])
        return accepted, time.perf_counter() - start


async def by_sockets(target: BenchTarget, readings: Readings) -> tuple[int, float]:
    """Send at a steady rate over all sockets; return the readings sent and the seconds until all were stored."""
    before = await target.stored() or 0
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        start = time.perf_counter()
        for n in range(SOCKETS):
            tasks.create_task(_device(session, target, n, readings, start), name=f"device {n}")
    count = RATE * SECONDS
    while (await target.stored() or 0) - before < count:
        await asyncio.sleep(0.02)
        assert time.perf_counter() - start < SECONDS * 2, "readings are missing"
    return count, time.perf_counter() - start - CONNECT_SECONDS


async def _device(session: aiohttp.ClientSession, target: BenchTarget, n: int, readings: Readings, start: float) -> None:
    async with session.ws_connect(f"{target.address}/ws/device") as socket:
        await socket.send_json({"type": "AUTH", "payload": {"token": f"token-{n}"}})
        assert (await socket.receive_json())["type"] == "AUTH_OK"
        each = RATE * SECONDS // SOCKETS
        for k in range(each):
            await asyncio.sleep(max(start + CONNECT_SECONDS + (k * SOCKETS + n) / RATE - time.perf_counter(), 0))
            values = orjson.loads(readings[1_000_000 + k * SOCKETS + n])
            await socket.send_json({"type": "TELEMETRY", "payload": {"device_id": f"socket-{n}", **values}})


INPUTS: dict[str, Callable[[BenchTarget, Readings], Awaitable[tuple[int, float]]]] = {
    f"HTTP, one connection, lists of {PER_POST}": by_http,
    f"/ws/device, {SOCKETS} sockets, {RATE}/s": by_sockets,
}


async def main() -> int:
    table = Table("input", "readings", "readings/s", "bridge CPU per reading", "bridge CPU")
    with broker_and_database() as (broker, database, folder):
        url = database.url.replace("/?", "/inputs?")
        async with OwnBridge(broker_settings(broker.url), url, folder).started() as target:
            for name, measure in INPUTS.items():
                before, start = target.usage.cpu_seconds() or 0, time.perf_counter()
                count, seconds = await measure(target, Readings(1))
                cpu = (target.usage.cpu_seconds() or 0) - before
                busy = cpu / (time.perf_counter() - start)
                table.add_row(name, f"{count:,}", f"{count / seconds:,.0f}", f"{cpu / count * 1e6:.0f} µs", f"{busy:.0%}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
