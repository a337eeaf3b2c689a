"""An upgrade: a second bridge starts beside the first, which is stopped. No reading is lost or repeated, for any client."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pymongo
import socketio

from bridge.pipeline.lease import LEASE_SECONDS
from tests.cli.test_cli import Command, running
from tests.faults.readings import START_MS, body_of
from tests.faults.stage import Publisher
from tests.servers import Mosquitto, free_port, until
from tests.upgrade.balancer import Balancer

READINGS_PER_SECOND = 200
TRANSPORTS = ["websocket"] * 3 + ["polling"] * 2
BEFORE, MEANWHILE, AFTER = 200, 300, 300
"""Readings: before the second bridge starts, while it waits, and from when the first is stopped."""


class ResumingClient:
    """A Socket.IO client as in docs/socketio.md: it reconnects, and resumes with the cursor of its last record."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.client = socketio.AsyncClient(http_session=session, reconnection_delay=0.2, reconnection_delay_max=0.5)
        self.numbers: list[int] = []
        self.gaps: list[Any] = []
        self.connections = 0
        self.cursor = 0
        self._answers: list[Any] = []
        self.client.on("connect", self._resume)
        self.client.on("sensorData", self._take)
        self.client.on("gap", self.gaps.append)

    async def _resume(self) -> None:
        self.connections += 1
        await self.client.emit("subscribe", {"since": self.cursor, "limit": 100_000}, callback=self._answers.append)

    def _take(self, event: dict[str, Any]) -> None:
        assert event["cursor"] > self.cursor
        self.cursor = event["cursor"]
        self.numbers.append(number_of(event["data"]))

    @property
    def is_subscribed(self) -> bool:
        return len(self._answers) == self.connections > 0 and all(answer["ok"] for answer in self._answers)


def number_of(reading: dict[str, Any]) -> int:
    """Number of a reading: its time is `START_MS` plus that number of milliseconds."""
    seconds, milliseconds = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d)\.(\d{3})Z", reading["timestamp"]).groups()  # type: ignore[union-attr]
    return (int(seconds) * 1000 + int(milliseconds)) - START_MS % 60_000


@asynccontextmanager
async def resuming(port: int) -> AsyncIterator[list[ResumingClient]]:
    async with AsyncExitStack() as stack:
        clients = [ResumingClient(await stack.enter_async_context(aiohttp.ClientSession())) for _ in TRANSPORTS]
        try:
            for one, transport in zip(clients, TRANSPORTS, strict=True):
                await one.client.connect(f"http://127.0.0.1:{port}", transports=[transport], wait_timeout=30)
            await until(lambda: all(one.is_subscribed for one in clients), what="subscriptions")
            yield clients
        finally:
            for one in clients:
                await one.client.shutdown()


async def publish(publisher: Publisher, first: int, count: int) -> None:
    """Publish at `READINGS_PER_SECOND`, whatever happens to the bridge."""
    began = time.monotonic()
    for sent in range(count):
        device, payload = body_of(first + sent)
        publisher.publish(first + sent, f"sensors/{device}/data".encode(), payload)
        await asyncio.sleep(max(0.0, began + (sent + 1) / READINGS_PER_SECOND - time.monotonic()))


async def metric(port: int, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", await answer.text(), re.MULTILINE)
    return float(found)


async def test_no_reading_is_lost_or_repeated_when_a_second_bridge_takes_over(
    tmp_path: Path, mongo_url: str, database: pymongo.database.Database[dict[str, object]]
) -> None:
    ports = free_port(), free_port()
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()

    def bridge(port: int) -> Any:
        return running(
            tmp_path / str(port),
            "run",
            BRIDGE_HTTP__PORT=str(port),
            BRIDGE_MQTT__URL=broker.url,
            BRIDGE_STORE__URL=mongo_url,
            BRIDGE_STORE__WAIT_SECONDS="60",
        )

    try:
        async with AsyncExitStack() as bridges, AsyncExitStack() as stack:
            balancer = await stack.enter_async_context(Balancer(ports).running())
            first: Command = await bridges.enter_async_context(bridge(ports[0]))
            await until(lambda: "bridge: ready" in first.err and balancer.ready == [ports[0]], what="the first bridge")
            clients = await stack.enter_async_context(resuming(balancer.port))
            publisher = await stack.enter_async_context(Publisher(broker.port).running())

            await publish(publisher, 0, BEFORE)
            second: Command = await bridges.enter_async_context(bridge(ports[1]))
            publishing = asyncio.create_task(publish(publisher, BEFORE, MEANWHILE))
            await until(lambda: "waiting until its lease ends" in second.err, what="the second bridge")
            await publishing
            assert second.running
            assert (await metric(ports[1], 'bridge_part_up{part="store"}')) == 0

            publishing = asyncio.create_task(publish(publisher, BEFORE + MEANWHILE, AFTER))
            stopped = time.monotonic()
            first.signal(signal.SIGTERM)
            await until(lambda: "store: ready" in second.err, what="the lease")
            paused = time.monotonic() - stopped
            assert await first.end() == 0
            await publishing

            total = BEFORE + MEANWHILE + AFTER
            await until(lambda: len(publisher.acknowledged) == total, what="acknowledgements of the broker")
            # The last reading may be in a replay, which comes before the answer to `subscribe`.
            everywhere = "every reading at every client"
            await until(lambda: all(len(one.numbers) >= total and one.is_subscribed for one in clients), what=everywhere)
            for one in clients:
                assert sorted(one.numbers) == list(range(total))
                assert one.gaps == []
                assert one.connections == 2
            assert [port for port, _ in groupby(balancer.chosen)] == list(ports)
            assert database["readings"].count_documents({}) == total
            assert paused < LEASE_SECONDS, "released, not expired"
    finally:
        broker.kill()
