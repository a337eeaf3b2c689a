"""The page in a real browser, against a real bridge: what a person sees."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from playwright.async_api import Route, WebSocketRoute, expect
from pydantic import SecretStr
from websockets.asyncio.client import connect

from bridge.app import Bridge
from bridge.settings import MqttSettings
from bridge.sources.mqtt_client import mqtt_sender
from tests.conftest import StartBridge
from tests.page.conftest import WAIT_MS, Seen, running
from tests.servers import free_port, until

NOON_MS = 1_767_009_600_000  # 2025-12-29T12:00:00Z


async def test_an_empty_page_says_how_to_begin_and_a_first_reading_ends_that(seen: Seen) -> None:
    await seen.go()
    await expect(seen.page.get_by_role("heading", name="No devices yet")).to_be_visible()
    await seen.post(deviceId="kitchen", temperature=21.5)
    await expect(seen.card("kitchen")).to_contain_text("21.5")
    await expect(seen.page.get_by_role("heading", name="All is well")).to_be_visible()


async def test_zero_is_a_value_and_what_is_missing_is_not_shown(seen: Seen) -> None:
    await seen.post(deviceId="cold", temperature=0)
    await seen.go()
    await expect(seen.card("cold").locator(".figure")).to_have_text("0.0")
    await expect(seen.card("cold").locator("dt")).to_have_text("Temperature")


async def test_names_from_outside_are_text_and_nothing_else(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=21.5)
    name = "<img src=x onerror=document.title='taken'>"
    async with seen.session.patch(f"{seen.base}/api/v1/devices/kitchen", json={"name": name, "site": "<b>x</b>"}) as answer:
        assert answer.status == 200
    await seen.go()
    await expect(seen.page.get_by_role("link", name=name)).to_be_visible()
    assert await seen.page.locator("main img, main b").count() == 0
    assert await seen.page.title() == "Overview · Sensor Bridge"


async def test_a_flame_is_unmistakable_on_every_view_and_comes_first(seen: Seen) -> None:
    await seen.post(deviceId="attic", temperature=20)
    await seen.post(deviceId="boiler", temperature=60, flameDetected=True)
    for view in ("#/", "#/feed", "#/health", "#/device/attic"):
        await seen.go(view)
        await expect(seen.page.get_by_role("alert")).to_contain_text("Flame detected")
        await expect(seen.page).to_have_title(re.compile(r"^\(!\) Alarm"))
    await seen.go()
    await expect(seen.page.locator(".card h3").first).to_have_text("boiler")
    await seen.post(deviceId="boiler", temperature=40, flameDetected=False)
    await expect(seen.page.get_by_role("alert")).to_have_count(0)


async def test_a_bad_value_is_told_in_words(seen: Seen) -> None:
    await seen.post(deviceId="odd", eco2=120, humidity=44, temperature="NaN", timestamp="1990-01-01T00:00:00Z")
    await seen.go("#/device/odd")
    for words in ("outside 400 to 65,000", "Temperature: not a number", "Clock: before 2020"):
        await expect(seen.page.locator(".device > header")).to_contain_text(words)


async def test_the_bridge_restarts_and_the_page_shows_every_reading_of_a_stream_once(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, window: Seen
) -> None:
    """Numbered, by MQTT with QoS 1: before, while the bridge is away, and after."""
    async with mqtt_sender(MqttSettings(url=SecretStr(broker_url), client_id="numbers")) as sender:

        async def publish(numbers: range) -> None:
            for number in numbers:
                reading = {"temperature": number, "timestamp": NOON_MS + number}
                await sender.publish("sensors/kitchen/data", orjson.dumps(reading))

        rows = window.page.locator(".row")
        async with running(start_bridge, broker_url, tmp_path, port):
            await window.go("#/feed")
            await expect(window.page.locator(".connection")).to_have_text("Live")
            await publish(range(1, 11))
            await expect(rows).to_have_count(10)
        await expect(window.page.locator(".connection")).to_have_text("Reconnecting")
        await publish(range(11, 21))
        async with running(start_bridge, broker_url, tmp_path, port):
            await publish(range(21, 31))
            await expect(window.page.locator(".connection")).to_have_text("Live")
            await publish(range(31, 41))
            await expect(rows).to_have_count(40)
    shown = await rows.locator("ul").all_text_contents()
    assert [round(float(text.split()[1])) for text in shown] == list(range(40, 0, -1))


async def test_what_is_looked_up_between_two_connections_hides_nothing_that_was_missed(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, window: Seen
) -> None:
    """The devices' last readings come by HTTP; they are newer than what the page has to catch up with."""
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

    await window.page.route(re.compile("/api/v1/devices"), look_up)
    await window.page.route_web_socket(re.compile("socket.io"), open_socket)
    await window.page.route(re.compile("/socket.io/"), poll)
    rows = window.page.locator(".row")
    async with running(start_bridge, broker_url, tmp_path, port):
        await window.go("#/feed")
        await expect(window.page.locator(".connection")).to_have_text("Live")
        await window.post(deviceId="kitchen", temperature=1)
        await expect(rows).to_have_count(1)
        await until(lambda: asked > 1, what="the page looking up its devices again")
        connects = False
    async with running(start_bridge, broker_url, tmp_path, port):
        for temperature in range(2, 7):
            await window.post(deviceId="kitchen", temperature=temperature)
        looks.set()
        await expect(rows.first).to_contain_text("6")
        connects = True
        await expect(rows).to_have_count(6)


async def test_where_websockets_end_as_they_begin_readings_come_by_long_polling(seen: Seen) -> None:
    async def close(route: WebSocketRoute) -> None:
        await route.close()

    await seen.page.route_web_socket(re.compile("socket.io"), close)
    await seen.go()
    await expect(seen.page.locator(".banner")).to_contain_text("long-polling", timeout=40_000)
    await expect(seen.page.locator(".connection")).to_have_text("Polling")
    await seen.post(deviceId="kitchen", temperature=21.5)
    await expect(seen.card("kitchen")).to_contain_text("21.5")


async def test_where_nothing_else_works_readings_come_by_plain_http(seen: Seen) -> None:
    async def close(route: WebSocketRoute) -> None:
        await route.close()

    async def refuse(route: Route) -> None:
        await route.abort()

    await seen.page.route_web_socket(re.compile("socket.io"), close)
    await seen.page.route(re.compile("/socket.io/"), refuse)
    await seen.post(deviceId="kitchen", temperature=20)
    await seen.go("#/feed")
    await expect(seen.page.locator(".connection")).to_have_text("Polling")
    for value in (21, 22, 23):
        await seen.post(deviceId="kitchen", temperature=value)
    await expect(seen.page.locator(".row ul")).to_have_text([f"Temperature {value}.0 °C" for value in range(23, 19, -1)])


async def test_a_command_from_the_page_reaches_the_device_and_its_confirmation_the_page(bridge: Bridge, seen: Seen) -> None:
    async with connect(f"ws://127.0.0.1:{bridge.port}/ws/device") as device:
        await device.send(orjson.dumps({"type": "auth", "name": "esp01", "password": "x"}).decode())
        await device.send(orjson.dumps({"type": "telemetry", "status": "работает", "temperature": 20}).decode())
        await seen.go("#/device/esp01")
        await seen.page.get_by_role("combobox", name="Command").fill("servo1")
        await seen.page.get_by_role("textbox", name="Value").fill("90")
        await seen.page.get_by_role("button", name="Send").click()
        async with asyncio.timeout(WAIT_MS / 1000):
            while (command := orjson.loads(await device.recv())).get("command") != "servo1":
                pass
        assert command["value"] == "90"
        await expect(seen.page.locator(".commands li")).to_contain_text("sent")
        await device.send(orjson.dumps({"type": "ack", "id": command["id"], "ok": True}).decode())
        await expect(seen.page.locator(".commands li")).to_contain_text("confirmed")


async def test_a_device_that_is_offline_is_said_to_be_and_the_command_may_wait(seen: Seen) -> None:
    async with seen.session.post(f"{seen.base}/api/v1/devices", json={"id": "esp01"}) as answer:
        assert answer.status == 201
    await seen.go("#/device/esp01")
    await seen.page.get_by_role("combobox", name="Command").fill("restart")
    await seen.page.get_by_role("button", name="Send").click()
    await expect(seen.page.locator(".queue-choice")).to_contain_text("offline")
    await seen.page.get_by_role("button", name="Queue command").click()
    await expect(seen.page.locator(".commands li")).to_contain_text("queued")


async def test_name_and_place_of_a_device_are_changed_on_its_page(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=21.5)
    await seen.go("#/device/kitchen")
    await seen.page.get_by_role("button", name="Edit").click()
    for label, text in (("Name", "Kitchen window"), ("Site", "Home"), ("Room", "Kitchen")):
        await seen.page.get_by_label(label, exact=True).fill(text)
    await seen.page.get_by_role("button", name="Save").click()
    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Kitchen window")
    await seen.page.get_by_role("link", name="All devices").click()
    await expect(seen.page.get_by_role("heading", level=2, name="Kitchen")).to_be_visible()


async def test_a_device_has_a_chart_of_each_measurement_and_the_range_is_zoomed_moved_and_live_again(
    seen: Seen,
) -> None:
    await seen.post(deviceId="kitchen", temperature=21.5, humidity=40, flameDetected=False)
    await seen.go("#/device/kitchen")
    await expect(seen.page.locator(".chart h3")).to_have_text(["Temperature", "Humidity", "Flame"])
    summary = seen.page.locator(".chart").first.get_by_role("img")
    await expect(summary).to_have_attribute("aria-label", re.compile("21.5 °C"))
    await seen.post(deviceId="kitchen", temperature=25)
    await expect(summary).to_have_attribute("aria-label", re.compile("21.5 °C to 25.0 °C"))

    plot = await seen.page.locator(".u-over").first.bounding_box()
    assert plot is not None
    await seen.page.mouse.move(plot["x"] + 20, plot["y"] + 20)
    await seen.page.mouse.down()
    await seen.page.mouse.move(plot["x"] + 120, plot["y"] + 20, steps=4)
    await seen.page.mouse.up()
    back = seen.page.get_by_role("button", name="Back to live")
    await expect(back).to_be_visible()
    await expect(summary).to_have_attribute("aria-label", "No readings in this time range.")
    await back.click()
    await expect(back).to_have_count(0)

    charts = seen.page.get_by_role("region", name="Charts")
    await charts.focus()
    await charts.press("ArrowLeft")
    await expect(back).to_be_visible()
    await charts.press("End")
    await expect(back).to_have_count(0)


async def test_the_feed_is_filtered_paused_and_gone_on_with(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=1)
    await seen.post(deviceId="attic", humidity=50)
    await seen.go("#/feed")
    await expect(seen.page.locator(".row")).to_have_count(2)
    await seen.page.get_by_label("Field").select_option("humidity")
    await expect(seen.page.locator(".row a")).to_have_text(["attic"])
    await seen.page.get_by_label("Field").select_option("")
    await seen.page.get_by_label("Device").fill("kit")
    await expect(seen.page.locator(".row a")).to_have_text(["kitchen"])
    await seen.page.get_by_role("button", name="Pause").click()
    await seen.post(deviceId="kitchen", temperature=2)
    await expect(seen.page.locator(".paused")).to_have_text("Paused; 1 new reading")
    await expect(seen.page.locator(".row")).to_have_count(1)
    await seen.page.get_by_role("button", name="Resume").click()
    await expect(seen.page.locator(".row")).to_have_count(2)


async def test_health_shows_the_account_and_what_was_rejected_as_it_came(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=1)
    raw = '{"deviceId": "kitchen", "colour": "<b>red</b>"}'
    async with seen.session.post(
        f"{seen.base}/api/v1/readings", data=raw, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 422
    await seen.go("#/health")
    await expect(seen.page.get_by_role("heading", name="The bridge is healthy")).to_be_visible()
    await expect(seen.page.locator(".ledger tbody tr td")).to_have_text(
        [re.compile(r"[\d.–]+"), "2", "1", "0", "1", "0", "0", "yes"]
    )
    await seen.page.locator(".rejected summary").click()
    await expect(seen.page.locator(".rejected pre")).to_contain_text("<b>red</b>")


async def test_behind_a_proxy_with_a_path_of_its_own_everything_is_found(seen: Seen) -> None:
    """The proxy cuts `/air` off, and passes WebSockets on to nowhere: what needs none must be relative too."""
    async with proxy(seen.base, "/air") as base:
        await seen.post(deviceId="kitchen", temperature=21.5)
        await seen.page.goto(f"{base}/air/#/device/kitchen")
        await expect(seen.page.locator(".chart .figure").first).to_have_text("21.5")
        await expect(seen.page.locator(".connection")).to_have_text("Polling")
        await seen.post(deviceId="kitchen", temperature=22.5)
        await expect(seen.page.locator(".chart .figure").first).to_have_text("22.5")


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
async def test_nothing_runs_over_the_side_at_any_width(seen: Seen, width: int) -> None:
    await seen.post(deviceId="greenhouse.north:row-12:plant-humidity-sensor-0001", humidity=103, temperature=31.2)
    await seen.page.set_viewport_size({"width": width, "height": 800})
    for view in ("#/", "#/device/greenhouse.north:row-12:plant-humidity-sensor-0001", "#/feed", "#/health"):
        await seen.go(view)
        await expect(seen.page.locator("main h1").first).to_be_visible()
        over = await seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, view
