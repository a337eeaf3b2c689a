"""Document 002, Socket.IO: its Node client, its test page and its shell command, unchanged, against a bridge."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pymongo
import pytest
from playwright.async_api import Browser, Page, expect
from websockets.exceptions import ConnectionClosed

from bridge.app import Bridge
from bridge.settings import AccessSettings, HttpSettings, RealtimeSettings
from tests.access.parts import access_settings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.foreign.clients import mosquitto_pub, program, run
from tests.realtime.clients import Bare, listening, publish_many
from tests.seeds.conftest import with_each_driver
from tests.seeds.placed import Running, address_of, live_server, opened_from_disk, placed, running
from tests.servers import until

Database = pymongo.database.Database[dict[str, Any]]
WAIT_MS = 30_000
TIMESTAMP = "2026-01-15T10:30:00.000Z"
VALUES: dict[str, Any] = {
    "temperature": 25.5,
    "humidity": 60.2,
    "aqi": 45,
    "eco2": 400,
    "tvoc": 100,
    "coPpm": 0,
    "ch4Ppm": 0,
    "lpgPpm": 0,
    "co2": 400,
    "alcohol": 0,
    "toluene": 0,
    "acetone": 0,
    "flameDetected": False,
    "flameIntensity": 0,
    "timestamp": TIMESTAMP,
}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FRONTEND, FOREIGN = "https://your-frontend-domain.com", "https://elsewhere.example"


@pytest.fixture
def http() -> HttpSettings:
    return HttpSettings(port=0)


@pytest.fixture
async def bridge(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, driver: str, http: HttpSettings, access: AccessSettings
) -> AsyncIterator[Bridge]:
    realtime = RealtimeSettings(settle_seconds=0)
    async with start_bridge(broker_url, mongo_url, driver=driver, http=http, access=access, realtime=realtime) as started:
        yield started


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


async def publish(broker_url: str, **values: object) -> None:
    await mosquitto_pub(broker_url, "sensors/esp32/data", json.dumps(VALUES | values))


async def status_of(bridge: Bridge, folder: Path) -> dict[str, Any]:
    """The answer to the document's shell command."""
    script = placed("002/status.sh", address_of(bridge), folder)
    body: dict[str, Any] = json.loads(await run(program("sh"), str(script)))
    return body


def _shows(client: Running, text: str) -> Any:
    return client.until(lambda lines: any(text in line for line in lines), text)


async def test_node_client_and_test_page_work_end_to_end(
    bridge: Bridge, browser: Browser, broker_url: str, database: Database, tmp_path: Path
) -> None:
    address = address_of(bridge)
    expected = {"success": True, "connectedClients": 0, "websocketEnabled": True}
    assert expected.items() <= (await status_of(bridge, tmp_path)).items()
    async with (
        running(program("node", package="nodejs"), placed("002/client.js", address, tmp_path)) as client,
        opened_from_disk(browser, placed("002/websocket-test.html", address, tmp_path)) as page,
    ):
        await _shows(client, "Total clients: 1")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Connected", timeout=WAIT_MS)
        await expect(page.locator("#total")).to_have_text("2", timeout=WAIT_MS)
        await publish(broker_url)
        await _shows(client, "New sensor data: {")
        await _shows(client, "temperature: 25.5")
        entry = page.locator("#data pre")
        await expect(entry).to_have_count(1, timeout=WAIT_MS)
        event = json.loads(await entry.text_content() or "")
        assert list(event)[:2] == ["timestamp", "data"]
        assert list(event["data"])[: 1 + len(VALUES)][0] == "_id"
        assert VALUES.items() <= event["data"].items()
        stored = database.readings.find_one({"temperature": 25.5})
        assert stored is not None
        assert str(stored["_id"]) == event["data"]["_id"]
        await page.get_by_role("button", name="Status").click()
        await expect(page.locator("#answer")).to_contain_text('"connectedClients":2', timeout=WAIT_MS)
        await page.get_by_role("button", name="Disconnect").click()
        await expect(page.locator("#state")).to_have_text("Disconnected", timeout=WAIT_MS)
        await until(lambda: _has_clients(bridge, tmp_path, 1), what="one client left")
        bridge.stop()
        await _shows(client, "Disconnected from WebSocket server")
    assert client.lines[0] == "Connected to WebSocket server"
    assert re.fullmatch(r"Client ID: [\w-]{20}", client.lines[1])


async def _has_clients(bridge: Bridge, folder: Path, count: int) -> bool:
    return bool((await status_of(bridge, folder))["connectedClients"] == count)


async def test_page_from_a_development_server_reads_too(
    bridge: Bridge, browser: Browser, broker_url: str, tmp_path: Path
) -> None:
    placed("002/websocket-test.html", address_of(bridge), tmp_path)
    async with live_server(tmp_path) as server:
        page = await browser.new_page()
        await page.goto(f"{server}/websocket-test.html")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Connected", timeout=WAIT_MS)
        await publish(broker_url)
        await expect(page.locator("#data pre")).to_have_count(1, timeout=WAIT_MS)
        assert await _written_by(page, address_of(bridge)) == "refused"


async def _written_by(page: Page, address: str) -> str:
    """Send a command by a form request, as a page of any site could."""
    status: int | str = await page.evaluate(
        """url => fetch(url, {method: "POST", body: new URLSearchParams({device_name: "esp32", command: "on"})})
          .then((answer) => answer.status, (error) => String(error))""",
        f"http://{address}/send_command",
    )
    return "refused" if status == 403 else str(status)


async def test_page_from_disk_may_not_write(bridge: Bridge, browser: Browser, tmp_path: Path) -> None:
    file = placed("002/websocket-test.html", address_of(bridge), tmp_path)
    async with opened_from_disk(browser, file) as page:
        assert await _written_by(page, address_of(bridge)) == "refused"


async def test_status_has_the_documented_members_and_types(bridge: Bridge, tmp_path: Path) -> None:
    async with AsyncExitStack() as clients:
        for count in (0, 1, 2):
            body = await status_of(bridge, tmp_path)
            assert [body["success"], body["connectedClients"], body["websocketEnabled"]] == [True, count, True]
            await (await clients.enter_async_context(Bare.connected(bridge))).event()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_connection_info_is_the_first_event(bridge: Bridge, transport: str) -> None:
    async with listening(bridge, transports=[transport]) as first, listening(bridge, transports=[transport]) as second:
        await until(lambda: first.received and second.received)
        for listener, total in ((first, 1), (second, 2)):
            name, info = listener.received[0]
            assert (name, info) == ("connectionInfo", {"clientId": listener.client.get_sid(), "totalClients": total})


@with_each_driver
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_sensor_data_is_sent_with_every_field_after_it_is_stored(
    bridge: Bridge, broker_url: str, database: Database, transport: str
) -> None:
    async with listening(bridge, transports=[transport]) as listener:
        stored: list[int] = []

        def take(event: Any) -> None:
            stored.append(database.readings.count_documents({}))
            listener.received.append(("sensorData", event))

        listener.client.on("sensorData", take)
        await publish(broker_url)
        await until(lambda: listener.of("sensorData"))
    (event,) = listener.of("sensorData")
    assert stored == [1], "it was stored before it was sent"
    assert list(event)[:2] == ["timestamp", "data"]
    assert ISO.fullmatch(event["timestamp"])
    data = event["data"]
    assert re.fullmatch("[0-9a-f]{24}", data["_id"])
    ordered = [name for name in data if name in VALUES or name == "_id"]
    assert ordered == ["_id", *VALUES]
    assert {name: data[name] for name in VALUES} == VALUES
    assert [type(data[name]) for name in VALUES] == [type(value) for value in VALUES.values()]


async def test_every_client_receives_the_broadcast(bridge: Bridge, broker_url: str) -> None:
    async with listening(bridge) as first, listening(bridge) as second, listening(bridge, transports=["polling"]) as third:
        await publish_many(broker_url, 50)
        for listener in (first, second, third):
            await until(lambda: len(listener.cursors) == 50, what="50 readings")  # noqa: B023
            assert listener.temperatures == [n / 10 for n in range(50)]


async def test_client_script_is_served_on_the_same_port(bridge: Bridge) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{address_of(bridge)}/socket.io/socket.io.js") as answer:
            assert answer.status == 200
            assert answer.content_type.endswith("/javascript")
            assert "io" in await answer.text()
        async with session.get(f"http://{address_of(bridge)}/api/v1/readings") as answer:
            assert answer.status == 200


def test_port_is_3000_by_default() -> None:
    assert HttpSettings().port == 3000


async def polled(bridge: Bridge, origin: str) -> tuple[int, str | None]:
    async with aiohttp.ClientSession(headers={"Origin": origin}) as session:
        url = f"http://{address_of(bridge)}/socket.io/?EIO=4&transport=polling"
        async with session.get(url) as answer:
            allowed = answer.headers.get("Access-Control-Allow-Origin")
        async with session.options(url) as preflight:
            if allowed:
                assert {"GET", "POST"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
        return answer.status, allowed


@pytest.mark.parametrize("http", [HttpSettings(port=0, cors_origins=("*",))])
async def test_all_origins_may_be_allowed(bridge: Bridge) -> None:
    for origin in (FRONTEND, FOREIGN, "null"):
        assert await polled(bridge, origin) == (200, origin)


@pytest.mark.parametrize("http", [HttpSettings(port=0, cors_origins=(FRONTEND,))])
async def test_origins_may_be_restricted_to_the_frontend(bridge: Bridge) -> None:
    assert await polled(bridge, FRONTEND) == (200, FRONTEND)
    assert await polled(bridge, FOREIGN) == (400, None)


async def test_refused_origin_is_one_log_line_with_the_setting(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await polled(bridge, FOREIGN)
    lines = [record.getMessage() for record in caplog.records if FOREIGN in record.getMessage()]
    assert len(lines) == 1
    assert "http.cors_origins" in lines[0]


async def test_debug_log_tells_of_connections_messages_and_broadcasts(
    bridge: Bridge, broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge")
    async with listening(bridge) as listener, Bare.connected(bridge):
        sid = listener.client.get_sid()
        await publish(broker_url, password="hunter2")
        await mosquitto_pub(broker_url, "sensors/esp32/data", '{"token": "hunter2"}')
        await until(lambda: listener.of("sensorData"))
        await until(lambda: bridge.ledger.account("mqtt").rejected == 1)
    await until(lambda: f"{sid} disconnected: " in caplog.text)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    for pattern in (
        rf"socket\.io: {sid} connected from 127\.0\.0\.1: \d clients",
        r"mqtt: 'sensors/esp32/data', \d+ bytes: stored: [0-9a-f]{24} of 'esp32'",
        r"mqtt: 'sensors/esp32/data', 20 bytes: rejected: [0-9a-f]{24}: \w+",
        r"hub: 1 records and \d other events for \d of \d clients, up to cursor \d{16}",
        rf"socket\.io: {sid} disconnected: [\w ]+: \d clients",
    ):
        assert any(re.fullmatch(pattern, line) for line in lines), (pattern, lines)
    assert "hunter2" not in caplog.text
    assert "25.5" not in caplog.text


async def test_connections_and_messages_are_rate_limited(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, driver: str
) -> None:
    realtime = RealtimeSettings(max_clients_per_address=1, message_burst=5, message_rate=0.1)
    async with (
        start_bridge(broker_url, mongo_url, driver=driver, realtime=realtime) as bridge,
        Bare.connected(bridge) as client,
    ):
        assert (await polled(bridge, f"http://{address_of(bridge)}"))[0] == 503
        for _ in range(10):
            await client.send('42["subscribe"]')
        with pytest.raises(ConnectionClosed, match="rate"):
            await _ended(client)


async def _ended(client: Bare) -> None:
    """Read until the connection ends, which raises `ConnectionClosed`."""
    while True:
        await client.receive()


@pytest.mark.parametrize("access", [access_settings()])
async def test_authentication_may_be_required(bridge: Bridge) -> None:
    async with Bare.connected(bridge, joins=False, additional_headers={}) as client:
        await client.send("40")
        assert (await client.receive()).startswith("44{")
    async with Bare.connected(bridge) as client:
        assert (await client.event())[0] == "connectionInfo"


async def test_messages_of_clients_are_validated(bridge: Bridge) -> None:
    async with Bare.connected(bridge) as client:
        assert (await client.call('["subscribe", {"devices": 5}]'))["ok"] is False
        assert (await client.call('["nonsense", {}]'))["ok"] is False
        assert (await client.call('["subscribe", {"devices": ["a"]}]'))["ok"] is True


async def test_client_may_ask_for_some_devices_only(bridge: Bridge, broker_url: str) -> None:
    async with listening(bridge) as some, listening(bridge) as everyone:
        assert (await some.client.call("subscribe", {"devices": ["b"]}))["ok"]
        await publish_many(broker_url, 10, devices=("a", "b"))
        await until(lambda: len(everyone.cursors) == 10, what="10 readings")
        await until(lambda: len(some.cursors) == 5, what="5 readings")
        assert {event["data"]["deviceId"] for event in some.of("sensorData")} == {"b"}


async def test_hundreds_of_connections_receive_a_broadcast(bridge: Bridge, broker_url: str) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Bare.connected(bridge)) for _ in range(200)]
        await publish(broker_url)
        for client in clients:
            while (event := await client.event())[0] != "sensorData":
                pass
            assert event[1]["data"]["temperature"] == 25.5


async def test_memory_and_connections_can_be_monitored(bridge: Bridge) -> None:
    async with Bare.connected(bridge), aiohttp.ClientSession() as session:
        async with session.get(f"http://{address_of(bridge)}/metrics") as answer:
            text = await answer.text()
    assert re.search(r"^bridge_clients 1(\.0)?$", text, re.MULTILINE)
    assert "process_resident_memory_bytes" in text
