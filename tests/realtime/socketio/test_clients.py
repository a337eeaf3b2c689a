"""Independent Socket.IO clients: each receives all 1,000 readings, in order, none before it was stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pymongo
import pytest
import socketio
from aiohttp import web
from bson.objectid import ObjectId

from bridge.app import Bridge
from bridge.settings import HttpSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.foreign.clients import SCRIPTS, program
from tests.senders import patient
from tests.servers import free_port, until

COUNT = 1000
DEADLINE_SECONDS = 60.0


@dataclass
class Stage:
    """A bridge with a broker and MongoDB, which allows the origin of the test page."""

    bridge: Bridge
    broker_url: str
    database: pymongo.database.Database[dict[str, Any]]
    page_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"

    async def publish(self) -> None:
        async with mqtt_sender(patient(self.broker_url)) as sender:
            for n in range(COUNT):
                body = {"temperature": n / 10, "humidity": 40, "timestamp": 1_767_000_000_000 + n}
                await sender.publish("sensors/esp32-1/data", orjson.dumps(body))

    def assert_all_received(self, result: dict[str, Any]) -> None:
        assert result["temperatures"] == [n / 10 for n in range(COUNT)], "all, in order"
        assert result["cursors"] == sorted(set(result["cursors"]))
        assert result["early"] == [], "stored before it was sent"
        stored = {str(record["_id"]) for record in self.database["readings"].find({}, {"_id": 1})}
        assert stored == set(result["ids"])
        assert len(stored) == COUNT
        (info,) = result["info"]
        assert info == {"clientId": info["own"], "totalClients": 1, "own": info["own"]}


@pytest.fixture
async def stage(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, database: pymongo.database.Database[dict[str, Any]]
) -> AsyncIterator[Stage]:
    page_port = free_port()
    http = HttpSettings(port=0, cors_origins=(f"http://127.0.0.1:{page_port}",))
    async with start_bridge(broker_url, mongo_url, http=http) as bridge:
        yield Stage(bridge, broker_url, database, page_port)


async def run_node(stage: Stage, transport: str) -> dict[str, Any]:
    command = (program("node", package="nodejs"), str(SCRIPTS / "node.mjs"), stage.url, str(COUNT), transport)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await process.stdout.readline() == b"connected\n"
            await stage.publish()
            result: dict[str, Any] = orjson.loads(await process.stdout.read())
            assert await process.wait() == 0
            return result
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run_python(stage: Stage, transport: str) -> dict[str, Any]:
    result: dict[str, Any] = {"info": [], "ids": [], "temperatures": [], "cursors": [], "early": []}
    readings: pymongo.collection.Collection[dict[str, Any]] = stage.database["readings"]
    async with aiohttp.ClientSession() as session:
        client = socketio.AsyncClient(http_session=session)

        def on_data(body: dict[str, Any]) -> None:
            data = body["data"]
            result["ids"].append(data["_id"])
            result["temperatures"].append(data["temperature"])
            result["cursors"].append(body["cursor"])
            if readings.count_documents({"_id": ObjectId(data["_id"])}) != 1:
                result["early"].append(data["_id"])

        client.on("sensorData", on_data)
        client.on("connectionInfo", lambda info: result["info"].append(info | {"own": client.get_sid()}))
        await client.connect(stage.url, transports=[transport], wait_timeout=30)
        try:
            await until(lambda: result["info"], what="connectionInfo")
            await stage.publish()
            await until(lambda: len(result["ids"]) >= COUNT, DEADLINE_SECONDS, "all readings")
            result["transport"] = client.transport()
        finally:
            await client.disconnect()
    return result


async def run_browser(stage: Stage, transport: str) -> dict[str, Any]:
    assert transport == "websocket", "a browser starts with polling and upgrades by itself"
    async with serving_page(stage.page_port), chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{stage.page_port}/?bridge={stage.url}&count={COUNT}")
        await page.wait_for_function("result.info.length == 1")
        await stage.publish()
        await page.wait_for_function("result.done", timeout=DEADLINE_SECONDS * 1000)
        result: dict[str, Any] = await page.evaluate("result")
        return result


@asynccontextmanager
async def serving_page(port: int) -> AsyncIterator[None]:
    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(SCRIPTS / "page.html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


Run = Callable[[Stage, str], Coroutine[Any, Any, dict[str, Any]]]


@pytest.mark.parametrize(
    ("run", "transport"),
    [
        pytest.param(run_node, "websocket", id="Node, WebSocket"),
        pytest.param(run_node, "polling", id="Node, long-polling"),
        pytest.param(run_python, "websocket", id="Python, WebSocket"),
        pytest.param(run_python, "polling", id="Python, long-polling"),
        pytest.param(run_browser, "websocket", id="browser"),
    ],
)
async def test_client_receives_all_1000_readings_in_order_after_they_are_stored(stage: Stage, run: Run, transport: str) -> None:
    result = await run(stage, transport)
    assert result["transport"] == transport
    stage.assert_all_received(result)
