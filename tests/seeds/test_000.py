"""Document 000, token telemetry: its simulator, its gateway, its admin and its page, unchanged, against a bridge."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pymongo
import pytest
from playwright.async_api import Browser, Page, expect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bridge.app import Bridge
from bridge.settings import DevicesSettings, RealtimeSettings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.seeds.conftest import with_each_driver
from tests.seeds.placed import address_of, live_server, opened_from_disk, placed, running
from tests.servers import until

Database = pymongo.database.Database[dict[str, Any]]
AUTH = {"type": "AUTH", "payload": {"token": "abc123"}}
PAYLOAD = {"device_id": "device001", "temperature": 22.5, "humidity": 45.0, "battery": 98}
TELEMETRY = {"type": "TELEMETRY", "payload": PAYLOAD}
SUBSCRIBE = {"type": "SUBSCRIBE", "payload": {"device_id": "device001"}}
DEVICES = ["device001", "device002", "device003"]
WAIT_MS = 30_000


@pytest.fixture
def devices() -> DevicesSettings:
    """As shipped: the document names no setting."""
    return DevicesSettings()


@pytest.fixture
async def bridge(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, driver: str, devices: DevicesSettings
) -> AsyncIterator[Bridge]:
    realtime = RealtimeSettings(settle_seconds=0)
    async with start_bridge(broker_url, mongo_url, driver=driver, devices=devices, realtime=realtime) as started:
        yield started


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


def client_of(bridge: Bridge) -> AbstractAsyncContextManager[ClientConnection]:
    return connect(f"ws://{address_of(bridge)}")


async def say(socket: ClientConnection, *messages: object) -> None:
    for message in messages:
        await socket.send(json.dumps(message))


async def heard(socket: ClientConnection) -> Any:
    async with asyncio.timeout(30):
        return json.loads(await socket.recv())


async def logged_in(socket: ClientConnection) -> ClientConnection:
    await say(socket, AUTH)
    assert await heard(socket) == {"type": "AUTH_OK"}
    return socket


async def until_stored(database: Database, count: int, **having: object) -> list[dict[str, Any]]:
    await until(lambda: database.readings.count_documents(having) >= count, what=f"{count} readings")
    return list(database.readings.find(having).sort("seq"))


async def assert_shows_the_devices(page: Page) -> None:
    """Grouped by device, with new data on top."""
    await expect(page.locator("#status")).to_have_text("подключено", timeout=WAIT_MS)
    await expect(page.locator(".device")).to_have_count(3, timeout=WAIT_MS)
    assert sorted(await page.locator(".device h3").all_text_contents()) == DEVICES
    rows = page.locator("#device001 li")
    first = await rows.first.text_content()
    assert first is not None
    assert first.startswith("T: ")
    assert first.endswith(" %")
    before = await rows.count()
    await until(lambda: _more(page, before), what="a new row")
    texts = await rows.all_text_contents()
    assert first in texts[1:], "the earlier row is below"


async def _more(page: Page, before: int) -> bool:
    return await page.locator("#device001 li").count() > before


async def test_simulator_page_and_dashboard_work_end_to_end(
    bridge: Bridge, browser: Browser, database: Database, tmp_path: Path
) -> None:
    address = address_of(bridge)
    async with opened_from_disk(browser, placed("000/client.html", address, tmp_path)) as page:
        await expect(page.locator("#status")).to_have_text("подключено", timeout=WAIT_MS)
        async with running(sys.executable, placed("000/device_sim_000.py", address, tmp_path)) as simulator:
            await simulator.until(lambda lines: sum("authenticated" in line for line in lines) == 3)
            await assert_shows_the_devices(page)
            dashboard = await browser.new_page()
            await dashboard.goto(f"http://{address}/")
            for device in DEVICES:
                card = dashboard.locator(".card").filter(has_text=device)
                await expect(card.locator(".battery")).to_contain_text("%", timeout=WAIT_MS)
                await expect(card).to_contain_text("online", timeout=WAIT_MS)
            await dashboard.goto(f"http://{address}/#/feed")
            await dashboard.get_by_role("button", name="Group by device").click()
            await expect(dashboard.locator(".group h2")).to_have_text(DEVICES, timeout=WAIT_MS)
            await page.locator("#device").fill("device002")
            await page.get_by_role("button").click()
            await until(lambda: _only_grows(page, "device002", "device001"), what="only device002 on the page")
        for device in DEVICES:
            (first, *_) = await until_stored(database, 1, deviceId=device)
            assert {"temperature", "humidity", "battery", "timestamp"} <= first.keys()
    assert bridge.ledger.account("device").rejected == 0


async def _only_grows(page: Page, growing: str, still: str) -> bool:
    before = [await page.locator(f"#{one} li").count() for one in (growing, still)]
    await page.wait_for_function(
        "([id, count]) => document.querySelectorAll(`#${id} li`).length >= count + 2", arg=[growing, before[0]], timeout=WAIT_MS
    )
    return await page.locator(f"#{still} li").count() == before[1]


async def test_page_works_from_a_development_server_too(bridge: Bridge, browser: Browser, tmp_path: Path) -> None:
    placed("000/client.html", address_of(bridge), tmp_path)
    simulator = placed("000/device_sim_000.py", address_of(bridge), tmp_path)
    async with live_server(tmp_path) as server, running(sys.executable, simulator):
        page = await browser.new_page()
        await page.goto(f"{server}/client.html")
        await assert_shows_the_devices(page)


async def test_gateway_sends_for_several_devices_over_one_connection(
    bridge: Bridge, database: Database, tmp_path: Path
) -> None:
    async with running(sys.executable, placed("000/gateway_000.py", address_of(bridge), tmp_path)) as gateway:
        await gateway.until(lambda _: gateway.ended)
        assert [json.loads(line) for line in gateway.lines] == [{"type": "AUTH_OK"}]
    stored = await until_stored(database, 3)
    assert [one["deviceId"] for one in stored] == DEVICES


def devices_of(lines: list[str]) -> set[str]:
    return {json.loads(line)["device_id"] for line in lines}


async def test_admin_hears_every_device_or_those_it_subscribes_to(bridge: Bridge, tmp_path: Path) -> None:
    program = placed("000/admin_000.py", address_of(bridge), tmp_path)
    async with (
        running(sys.executable, program) as everyone,
        running(sys.executable, program, "device001", "device003") as some,
        client_of(bridge) as device,
    ):
        for admin in (everyone, some):
            await admin.until(lambda lines: lines)
        await logged_in(device)
        # `some` hears every device until it has sent its subscriptions, so its last lines count.
        wanted = [set(DEVICES), {"device001", "device003"}]
        async with asyncio.timeout(60):
            while [devices_of(everyone.lines[1:]), devices_of(some.lines[1:][-4:])] != wanted:
                for n, name in enumerate(DEVICES):
                    await say(device, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": name, "temperature": 20.5 + n}})
                await asyncio.sleep(0.5)


async def test_valid_token_is_answered_with_auth_ok(bridge: Bridge) -> None:
    async with client_of(bridge) as socket:
        await say(socket, AUTH)
        assert await heard(socket) == {"type": "AUTH_OK"}


ERROR = {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}
WITH_CREDENTIALS = [
    DevicesSettings.model_validate(
        {"credentials": dict.fromkeys(DEVICES, "abc123"), "admins": {"admin": "abc123"}, "open": False}
    ),
    DevicesSettings.model_validate({"credentials": dict.fromkeys(DEVICES, "abc123")}),
    DevicesSettings.model_validate({"admins": {"admin": "abc123"}}),
    DevicesSettings.model_validate({"admins": {"admin": "abc123"}, "open": True}),
]


@pytest.mark.parametrize("devices", WITH_CREDENTIALS)
async def test_invalid_token_is_answered_with_auth_error(bridge: Bridge) -> None:
    for token in ("abc124", "", None, 123):
        async with client_of(bridge) as socket:
            await say(socket, {"type": "AUTH", "payload": {"token": token}})
            assert await heard(socket) == ERROR
            with pytest.raises(ConnectionClosed):
                await heard(socket)


@pytest.mark.parametrize("devices", WITH_CREDENTIALS)
async def test_one_token_serves_devices_and_admins(bridge: Bridge, tmp_path: Path, database: Database) -> None:
    """The first telemetry or SUBSCRIBE decides."""
    address = address_of(bridge)
    async with (
        running(sys.executable, placed("000/admin_000.py", address, tmp_path), "device002") as admin,
        client_of(bridge) as device,
    ):
        await admin.until(lambda lines: lines)
        assert json.loads(admin.lines[0]) == {"type": "AUTH_OK"}
        await logged_in(device)
        while len(admin.lines) < 2:
            await say(device, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": "device002"}})
            await asyncio.sleep(0.3)
        assert json.loads(admin.lines[1])["device_id"] == "device002"
    assert await until_stored(database, 1, deviceId="device002")


@with_each_driver
async def test_telemetry_is_stored_with_its_fields_and_types(bridge: Bridge, database: Database) -> None:
    async with client_of(bridge) as socket:
        await say(await logged_in(socket), TELEMETRY)
        (stored,) = await until_stored(database, 1)
    assert stored["deviceId"] == "device001"
    assert {name: stored[name] for name in ("temperature", "humidity", "battery")} == {
        "temperature": 22.5, "humidity": 45.0, "battery": 98,
    }  # fmt: skip


async def test_admins_receive_telemetry_as_it_was_sent(bridge: Bridge) -> None:
    async with client_of(bridge) as admin, client_of(bridge) as other, client_of(bridge) as device:
        for socket in (admin, other, device):
            await logged_in(socket)
        await say(device, TELEMETRY)
        for socket in (admin, other):
            message = await heard(socket)
            assert message["type"] == "TELEMETRY"
            assert list(message["payload"])[:4] == list(PAYLOAD)
            assert PAYLOAD.items() <= message["payload"].items()


async def test_admin_without_subscribe_receives_every_device(bridge: Bridge) -> None:
    async with client_of(bridge) as admin, client_of(bridge) as device:
        for socket in (admin, device):
            await logged_in(socket)
        for name in DEVICES:
            await say(device, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": name}})
        assert [(await heard(admin))["payload"]["device_id"] for _ in DEVICES] == DEVICES


async def test_subscribed_admin_receives_only_the_devices_it_named(bridge: Bridge) -> None:
    async with client_of(bridge) as admin, client_of(bridge) as device:
        for socket in (admin, device):
            await logged_in(socket)
        await say(admin, SUBSCRIBE, {"type": "SUBSCRIBE", "payload": {"device_id": 5}})
        assert (await heard(admin))["type"] == "ERROR", "the one before it was taken"
        for name in ("device002", "device001"):
            await say(device, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": name}})
        assert (await heard(admin))["payload"]["device_id"] == "device001"


async def test_devices_do_not_receive_telemetry(bridge: Bridge, database: Database) -> None:
    async with client_of(bridge) as first, client_of(bridge) as second:
        for socket, name in ((first, "device001"), (second, "device002")):
            await logged_in(socket)
            await say(socket, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": name}})
            await until_stored(database, 1, deviceId=name)
        await say(second, {"type": "TELEMETRY", "payload": PAYLOAD | {"device_id": "device002"}})
        await until_stored(database, 2, deviceId="device002")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first.recv(), 0.2)


@pytest.mark.parametrize("first", [TELEMETRY, SUBSCRIBE, {"hello": 1}])
async def test_unauthenticated_client_is_refused(bridge: Bridge, first: object, database: Database) -> None:
    async with client_of(bridge) as socket:
        await say(socket, first)
        assert await heard(socket) in (
            {"type": "AUTH_ERROR", "payload": {"error": "auth_required"}},
            {"error": "auth_required"},
        )
        with pytest.raises(ConnectionClosed):
            await heard(socket)
    assert database.readings.count_documents({}) == 0


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (PAYLOAD | {"battery": 0}, {"battery": 0}),
        (PAYLOAD | {"temperature": "22.5"}, {"temperature": 22.5}),
        ({"device_id": "device001", "battery": 55}, {"battery": 55}),
    ],
)
async def test_values_are_optional_and_zero_is_a_value(
    bridge: Bridge, database: Database, payload: dict[str, Any], stored: dict[str, Any]
) -> None:
    async with client_of(bridge) as socket:
        await say(await logged_in(socket), {"type": "TELEMETRY", "payload": payload})
        (record,) = await until_stored(database, 1)
    assert stored.items() <= record.items()


async def test_path_of_the_socket_does_not_matter_and_the_page_stays(bridge: Bridge) -> None:
    for path in ("", "/", "/ws/device"):
        async with connect(f"ws://{address_of(bridge)}{path}") as socket:
            await logged_in(socket)
    async with aiohttp.ClientSession() as session, session.get(f"http://{address_of(bridge)}/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")


async def test_telemetry_reaches_admins_within_a_second(bridge: Bridge) -> None:
    loop = asyncio.get_running_loop()
    async with client_of(bridge) as admin, client_of(bridge) as device:
        for socket in (admin, device):
            await logged_in(socket)
        delays = []
        for _ in range(20):
            began = loop.time()
            await say(device, TELEMETRY)
            await heard(admin)
            delays.append(loop.time() - began)
    assert sorted(delays)[10] < 1.0
