"""The dashboard in a real browser, against a real bridge."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import orjson
import pytest
from aiohttp import web
from playwright.async_api import Route, WebSocketRoute, expect
from pydantic import SecretStr
from websockets.asyncio.client import connect

from bridge.app import Bridge
from bridge.settings import HttpSettings, MqttSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.cli.test_discover import publishing
from tests.conftest import StartBridge
from tests.page.conftest import WAIT_MS, Dashboard, expect_no_overflow, running
from tests.servers import Mosquitto, free_port, until

ODD_NAMES = (
    "floor1/kitchen/air",
    "кухня",
    "غرفة المعيشة",
    "🌡 attic",
    "a;b|c&d=e?f",
    "%41",
    "100%",
    '<b>"hi"</b>',
    "$SYS",
    "a,b",
)
NOON_MS = 1_767_009_600_000  # 2025-12-29T12:00:00Z


async def test_empty_overview_shows_instructions_until_the_first_reading(dashboard: Dashboard) -> None:
    await dashboard.go()
    await expect(dashboard.page.get_by_role("heading", name="No devices yet")).to_be_visible()
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    await expect(dashboard.card("kitchen")).to_contain_text("21.5")
    await expect(dashboard.page.get_by_role("heading", name="No alarm")).to_be_visible()


async def test_zero_is_shown_and_missing_values_are_not(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="cold", temperature=0)
    await dashboard.go()
    await expect(dashboard.card("cold").locator(".figure")).to_have_text("0.0")
    await expect(dashboard.card("cold").locator("dt")).to_have_text("Temperature")


async def test_names_are_rendered_as_text(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    name = "<img src=x onerror=document.title='taken'>"
    async with dashboard.session.patch(
        f"{dashboard.base}/api/v1/devices/kitchen", json={"name": name, "site": "<b>x</b>"}
    ) as answer:
        assert answer.status == 200
    await dashboard.go()
    await expect(dashboard.page.get_by_role("link", name=name)).to_be_visible()
    assert await dashboard.page.locator("main img, main b").count() == 0
    await expect(dashboard.page).to_have_title("Overview · Sensor Bridge")


async def test_flame_raises_an_alarm_on_every_page_and_is_listed_first(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="attic", temperature=20)
    for _ in range(2):
        await dashboard.post(deviceId="boiler", temperature=40, flameDetected=True)
    for view in ("#/", "#/feed", "#/health", "#/device/attic"):
        await dashboard.go(view)
        await expect(dashboard.page.locator(".alarm")).to_contain_text("Flame detected at boiler")
        await expect(dashboard.page).to_have_title(re.compile(r"^\(!\) Alarm"))
    await dashboard.go()
    await expect(dashboard.page.locator(".card h3").first).to_have_text("boiler")
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("1 critical alarm")


async def test_quality_flags_are_shown_in_words(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="odd", eco2=120, humidity=44, temperature="NaN", timestamp="1990-01-01T00:00:00Z")
    await dashboard.go("#/device/odd")
    for words in ("outside 400 to 65,000", "Temperature: not a number", "Clock: before 2020"):
        await expect(dashboard.page.locator(".device > header")).to_contain_text(words)


async def test_page_shows_every_reading_once_across_a_restart_of_the_bridge(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    """Readings are numbered and sent by MQTT with QoS 1 before, during and after the restart."""
    async with mqtt_sender(MqttSettings(url=SecretStr(broker_url), client_id="numbers")) as sender:

        async def publish(numbers: range) -> None:
            for number in numbers:
                reading = {"temperature": number, "timestamp": NOON_MS + number}
                await sender.publish("sensors/kitchen/data", orjson.dumps(reading))

        rows = browser_page.page.locator(".row")
        async with running(start_bridge, broker_url, tmp_path, port):
            await browser_page.go("#/feed")
            await expect(browser_page.page.locator(".connection")).to_have_attribute("data-transport", "websocket")
            await publish(range(1, 11))
            await expect(rows).to_have_count(10)
        await expect(browser_page.page.locator(".connection")).to_have_text("Bridge unreachable")
        await publish(range(11, 21))
        async with running(start_bridge, broker_url, tmp_path, port):
            await publish(range(21, 31))
            await expect(browser_page.page.locator(".connection")).to_have_text("Live")
            await expect(browser_page.page.get_by_text("the bridge is stopping")).to_have_count(0)
            await publish(range(31, 41))
            await expect(rows).to_have_count(40)
    shown = await rows.locator("ul").all_text_contents()
    assert [round(float(text.split()[1])) for text in shown] == list(range(40, 0, -1))


async def test_device_list_loaded_while_disconnected_does_not_hide_missed_readings(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    """The devices' last readings are loaded over HTTP; they are newer than the readings still to be replayed."""
    asked, looks, connects = 0, asyncio.Event(), True

    async def look_up(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await looks.wait()
        await route.continue_()

    async def open_socket(route: WebSocketRoute) -> None:
        if connects:
            route.connect_to_server()
        else:
            await route.close()

    async def poll(route: Route) -> None:
        await (route.continue_() if connects else route.abort())

    await browser_page.page.route(re.compile("/api/v1/devices"), look_up)
    await browser_page.page.route_web_socket(re.compile("socket.io"), open_socket)
    await browser_page.page.route(re.compile("/socket.io/"), poll)
    rows = browser_page.page.locator(".row")
    async with running(start_bridge, broker_url, tmp_path, port):
        await browser_page.go("#/feed")
        await expect(browser_page.page.locator(".connection")).to_have_attribute("data-transport", "websocket")
        await browser_page.post(deviceId="kitchen", temperature=1)
        await expect(rows).to_have_count(1)
        await until(lambda: asked > 1, what="the page reloading its devices")
        connects = False
    async with running(start_bridge, broker_url, tmp_path, port):
        for temperature in range(2, 7):
            await browser_page.post(deviceId="kitchen", temperature=temperature)
        looks.set()
        await expect(rows.first).to_contain_text("6.0 °C")
        connects = True
        await expect(rows).to_have_count(6)


async def test_page_falls_back_to_long_polling_when_websockets_are_closed(dashboard: Dashboard) -> None:
    async def close(route: WebSocketRoute) -> None:
        await route.close()

    await dashboard.page.route_web_socket(re.compile("socket.io"), close)
    await dashboard.go()
    await expect(dashboard.page.locator(".banner")).to_contain_text("long-polling", timeout=40_000)
    await expect(dashboard.page.locator(".connection")).to_have_text("No data yet")
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    await expect(dashboard.card("kitchen")).to_contain_text("21.5")
    await expect(dashboard.page.locator(".connection")).to_have_text("Polling")


async def test_page_falls_back_to_http_polling_without_socket_io(dashboard: Dashboard) -> None:
    async def close(route: WebSocketRoute) -> None:
        await route.close()

    async def refuse(route: Route) -> None:
        await route.abort()

    await dashboard.page.route_web_socket(re.compile("socket.io"), close)
    await dashboard.page.route(re.compile("/socket.io/"), refuse)
    await dashboard.post(deviceId="kitchen", temperature=20)
    await dashboard.go("#/feed")
    await expect(dashboard.page.locator(".connection")).to_have_text("Polling")
    for value in (21, 22, 23):
        await dashboard.post(deviceId="kitchen", temperature=value)
    await expect(dashboard.page.locator(".row ul")).to_have_text([f"Temperature {value}.0 °C" for value in range(23, 19, -1)])


async def test_command_reaches_the_device_and_its_confirmation_reaches_the_page(bridge: Bridge, dashboard: Dashboard) -> None:
    async with connect(f"ws://127.0.0.1:{bridge.port}/ws/device") as device:
        await device.send(orjson.dumps({"type": "auth", "name": "esp01", "password": "x"}).decode())
        await device.send(orjson.dumps({"type": "telemetry", "status": "работает", "temperature": 20}).decode())
        await dashboard.go("#/device/esp01")
        await dashboard.page.get_by_role("combobox", name="Command").fill("servo1")
        await dashboard.page.get_by_role("textbox", name="Value").fill("90")
        await dashboard.page.get_by_role("button", name="Send").click()
        async with asyncio.timeout(WAIT_MS / 1000):
            while (command := orjson.loads(await device.recv())).get("command") != "servo1":
                pass
        assert command["value"] == "90"
        await expect(dashboard.page.locator(".commands li")).to_contain_text("sent")
        await device.send(orjson.dumps({"type": "ack", "id": command["id"], "ok": True}).decode())
        await expect(dashboard.page.locator(".commands li")).to_contain_text("confirmed")


async def test_device_of_any_id_has_its_card_page_feed_and_commands(dashboard: Dashboard) -> None:
    page = dashboard.page
    for number, name in enumerate(ODD_NAMES):
        await dashboard.post(deviceId=name, temperature=number, humidity=50)
    await dashboard.go()
    for number, name in enumerate(ODD_NAMES):
        await page.get_by_role("link", name=name, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await page.reload()  # the address alone names the device
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await expect(page.locator(".chart .figure").first).to_have_text(f"{number}.0")
        await page.get_by_role("combobox", name="Command").fill("restart")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".commands li")).to_contain_text("sent")
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Room", exact=True).fill(f"room {number}")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("link", name="All devices").click()
        await expect(page.get_by_role("heading", level=2, name=f"room {number}")).to_be_visible()
    await dashboard.go(f"#/feed?{urlencode({'device': ODD_NAMES[0]})}")
    await expect(page.locator(".row a")).to_have_text([ODD_NAMES[0]])


async def test_command_to_an_offline_device_can_be_queued(dashboard: Dashboard) -> None:
    async with dashboard.session.post(f"{dashboard.base}/api/v1/devices", json={"id": "esp01"}) as answer:
        assert answer.status == 201
    await dashboard.go("#/device/esp01")
    await dashboard.page.get_by_role("combobox", name="Command").fill("restart")
    await dashboard.page.get_by_role("button", name="Send").click()
    await expect(dashboard.page.locator(".queue-choice")).to_contain_text("offline")
    await dashboard.page.get_by_role("button", name="Queue command").click()
    await expect(dashboard.page.locator(".commands li")).to_contain_text("queued")


async def test_device_name_and_room_can_be_edited(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    await dashboard.go("#/device/kitchen")
    await dashboard.page.get_by_role("button", name="Edit").click()
    for label, text in (("Name", "Kitchen window"), ("Site", "Home"), ("Room", "Kitchen")):
        await dashboard.page.get_by_label(label, exact=True).fill(text)
    await dashboard.page.get_by_role("button", name="Save").click()
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Kitchen window")
    await dashboard.page.get_by_role("link", name="All devices").click()
    await expect(dashboard.page.get_by_role("heading", level=2, name="Kitchen")).to_be_visible()


async def test_device_page_has_a_chart_per_measurement_that_zooms_pans_and_returns_to_live(
    dashboard: Dashboard,
) -> None:
    await dashboard.post(deviceId="kitchen", temperature=21.5, humidity=40, flameDetected=False)
    await dashboard.go("#/device/kitchen")
    await expect(dashboard.page.locator(".chart h3")).to_have_text(["Temperature", "Humidity", "Flame"])
    summary = dashboard.page.locator(".chart").first.get_by_role("img")
    await expect(summary).to_have_attribute("aria-label", re.compile("21.5 °C"))
    await dashboard.post(deviceId="kitchen", temperature=25)
    await expect(summary).to_have_attribute("aria-label", re.compile("21.5 °C to 25.0 °C"))

    plot = dashboard.page.locator(".u-over").first
    await plot.drag_to(plot, source_position={"x": 20, "y": 20}, target_position={"x": 120, "y": 20})
    back = dashboard.page.get_by_role("button", name="Back to live")
    await expect(back).to_be_visible()
    await expect(summary).to_have_attribute("aria-label", "No readings in this time range.")
    await back.click()
    await expect(back).to_have_count(0)

    charts = dashboard.page.get_by_role("region", name="Charts")
    await charts.focus()
    await charts.press("ArrowLeft")
    await expect(back).to_be_visible()
    await charts.press("End")
    await expect(back).to_have_count(0)


async def test_feed_can_be_filtered_paused_and_resumed(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=1)
    await dashboard.post(deviceId="attic", humidity=50)
    await dashboard.go("#/feed")
    await expect(dashboard.page.locator(".row")).to_have_count(2)
    await dashboard.page.get_by_label("Field").select_option("humidity")
    await expect(dashboard.page.locator(".row a")).to_have_text(["attic"])
    await dashboard.page.get_by_label("Field").select_option("")
    await dashboard.page.get_by_label("Device").fill("kit")
    await expect(dashboard.page.locator(".row a")).to_have_text(["kitchen"])
    await dashboard.page.get_by_role("button", name="Pause").click()
    await dashboard.post(deviceId="kitchen", temperature=2)
    await expect(dashboard.page.locator(".paused")).to_have_text("Paused; 1 new reading")
    await expect(dashboard.page.locator(".row")).to_have_count(1)
    await dashboard.page.get_by_role("button", name="Resume").click()
    await expect(dashboard.page.locator(".row")).to_have_count(2)


async def test_feed_can_be_grouped_by_device_with_the_newest_on_top(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="attic", humidity=50)
    await dashboard.go("#/feed")
    await expect(dashboard.page.locator(".row")).to_have_count(1)
    for n in range(1, 8):
        await dashboard.post(deviceId="kitchen", temperature=n)
    await expect(dashboard.page.locator(".row")).to_have_count(8)
    await dashboard.page.get_by_role("button", name="Group by device").click()
    groups = dashboard.page.locator(".group")
    await expect(groups.locator("h2")).to_have_text(["attic", "kitchen"])
    temperatures = groups.nth(1).locator(".row ul")
    await expect(temperatures).to_have_text([re.compile(f"{n}.0 °C") for n in (7, 6, 5, 4, 3)])
    await dashboard.post(deviceId="kitchen", temperature=8)
    await expect(temperatures.first).to_contain_text("8.0 °C")
    await expect(temperatures).to_have_count(5)
    await dashboard.page.reload()
    await expect(groups).to_have_count(2)
    await dashboard.page.get_by_role("button", name="Group by device").click()
    await expect(groups).to_have_count(0)


async def test_card_shows_the_battery_beside_the_status(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=1, battery=98)
    await dashboard.post(deviceId="attic", temperature=1)
    await dashboard.go()
    await expect(dashboard.card("kitchen").locator(".battery")).to_have_text("Battery 98 %")
    await expect(dashboard.card("attic").locator(".figure")).to_have_count(1)
    await expect(dashboard.card("attic").locator(".battery")).to_have_count(0)
    await expect(dashboard.card("kitchen").locator(".more")).to_have_count(0)


async def test_health_page_shows_the_ledger_and_raw_rejected_messages(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=1)
    raw = '{"deviceId": "kitchen", "colour": "<b>red</b>"}'
    async with dashboard.session.post(
        f"{dashboard.base}/api/v1/readings", data=raw, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 422
    await dashboard.go("#/health")
    await expect(dashboard.page.get_by_role("heading", name="The bridge is healthy")).to_be_visible()
    await expect(dashboard.page.locator(".ledger tbody tr td")).to_have_text(
        [re.compile(r"[\d.–]+"), "2", "1", "0", "1", "0", "0", "0", "yes", "1"]
    )
    await dashboard.page.locator(".rejected summary").click()
    await expect(dashboard.page.locator(".rejected pre")).to_contain_text("<b>red</b>")


async def test_keys_that_are_not_taken_are_shown_by_device_and_in_health(dashboard: Dashboard) -> None:
    for minute in range(3):
        await dashboard.post(deviceId="kitchen", temperature=1, uptime=1000 + minute, fw="<b>1.2</b>", target_temperature=22)
    await dashboard.go("#/device/kitchen")
    rows = dashboard.page.locator(".also-sends li")
    await expect(rows).to_have_text(
        [re.compile("uptime.*1,002"), re.compile("fw.*<b>1.2</b>"), re.compile("target_temperature.*22")]
    )
    await expect(rows.first.locator("polyline")).to_have_count(1)
    await expect(rows.nth(1).locator("svg")).to_have_count(0)
    await dashboard.go("#/health")
    await expect(dashboard.page.locator(".ignored-keys tbody tr")).to_have_count(3)
    await expect(dashboard.page.locator(".ignored-keys tbody tr").first).to_have_text(
        re.compile("kitchen.*uptime.*1,002.*unknown key")
    )


async def test_parts_are_shown_with_their_device(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="cold", probe1={"temperature": 4.5}, probe2={"temperature": -18})
    async with dashboard.session.patch(
        f"{dashboard.base}/api/v1/devices/cold", json={"name": "Cold room", "timezone": "Europe/Paris"}
    ) as answer:
        assert answer.status == 200
    await dashboard.go()
    await expect(dashboard.card("Cold room · probe2").locator(".figure")).to_have_text("−18.0")
    await dashboard.go("#/device/cold")
    await expect(dashboard.page.locator(".parts li")).to_have_text(
        [re.compile("probe1.*4.5 °C"), re.compile("probe2.*−18.0 °C")]
    )
    await expect(dashboard.page.locator(".device-details")).to_contain_text("Europe/Paris")
    await dashboard.page.get_by_role("link", name="probe2").click()
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Cold room · probe2")
    await expect(dashboard.page.get_by_role("link", name="Part of Cold room")).to_be_visible()


async def test_page_works_behind_a_proxy_with_a_path_prefix(dashboard: Dashboard) -> None:
    """The proxy strips `/air` and does not forward WebSockets, so every URL must be relative and polling must work."""
    async with proxy(dashboard.base, "/air") as base:
        await dashboard.post(deviceId="kitchen", temperature=21.5)
        await dashboard.page.goto(f"{base}/air/#/device/kitchen")
        await expect(dashboard.page.locator(".chart .figure").first).to_have_text("21.5")
        await expect(dashboard.page.locator(".connection")).to_have_text("Polling")
        await dashboard.post(deviceId="kitchen", temperature=22.5)
        await expect(dashboard.page.locator(".chart .figure").first).to_have_text("22.5")


@asynccontextmanager
async def proxy(target: str, prefix: str) -> AsyncIterator[str]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            url = target + request.path_qs.removeprefix(prefix)
            headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Origin", "Upgrade")}
            body = await request.read()
            async with session.request(request.method, url, data=body, headers=headers) as answer:
                kept = {
                    name: value
                    for name, value in answer.headers.items()
                    if name not in ("Transfer-Encoding", "Content-Length", "Connection")
                }
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        app = web.Application()
        app.router.add_route("*", prefix + "/{path:.*}", pass_on)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("width", [360, 390, 768, 1920])
async def test_pages_fit_every_screen_width(dashboard: Dashboard, width: int) -> None:
    await dashboard.post(deviceId="greenhouse.north:row-12:plant-humidity-sensor-0001", humidity=103, temperature=31.2)
    await dashboard.page.set_viewport_size({"width": width, "height": 800})
    for view in ("#/", "#/device/greenhouse.north:row-12:plant-humidity-sensor-0001", "#/feed", "#/discovery", "#/health"):
        await dashboard.go(view)
        await expect(dashboard.page.locator("main h1").first).to_be_visible()
        await expect_no_overflow(dashboard.page)


async def test_topics_that_nobody_takes_are_listed_and_taken_in_with_one_click(dashboard: Dashboard, broker_url: str) -> None:
    page = dashboard.page
    body = {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3.5, "Rpm": 7}, "TempUnit": "C"}
    async with publishing(broker_url, {"tele/cold/SENSOR": body}):
        await dashboard.go("#/discovery")
        await expect(page.locator(".subscriptions li")).to_have_count(4)
        await page.get_by_role("button", name="Listen for 30 seconds").click()
        finding = page.locator(".finding").filter(has_text="tele/{deviceId}/SENSOR")
        await expect(finding).to_contain_text("cold: Temperature 3.5 °C")
        await expect(finding).to_contain_text("AM2301.Rpm")
        await finding.get_by_role("button", name="Add").click()
        added = page.locator(".subscriptions li").filter(has_text="tele/{deviceId}/SENSOR")
        await expect(added).to_contain_text("tasmota")
        await dashboard.go("#/")
        await expect(dashboard.card("cold")).to_be_visible()
        await dashboard.go("#/discovery")
        await added.get_by_role("button", name="Remove").click()
        await expect(page.locator(".subscriptions li")).to_have_count(4)


async def test_banner_names_why_the_broker_is_unavailable_until_it_is_available(
    start_bridge: StartBridge, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    async with start_bridge(broker.url, f"sqlite:///{tmp_path}/bridge.db", http=HttpSettings(port=port), ready=False):
        try:
            await browser_page.go()
            banner = browser_page.page.locator(".banner[data-level=error]")
            await expect(banner).to_contain_text(f"no program listens on port {broker.port} of 127.0.0.1")
            await expect(banner).to_contain_text("mqtt.url (BRIDGE_MQTT__URL)")
            await expect(banner).to_contain_text(re.compile(r"The broker is unavailable since \d\d:\d\d:\d\d"))
            await expect(browser_page.page.get_by_role("link", name="Health 1 issue needs attention")).to_be_visible()
            await expect(browser_page.page.locator("p[role=status]").first).to_contain_text("The broker is unavailable")
            await banner.get_by_role("link", name="Health").click()
            await expect(browser_page.page.locator(".findings li").first).to_contain_text("Check that it is running")
            await expect(banner).to_have_count(1)
            broker.start()
            await expect(banner).to_have_count(0)
            await expect(browser_page.page.locator("nav .badge")).to_have_count(0)
        finally:
            broker.kill()
