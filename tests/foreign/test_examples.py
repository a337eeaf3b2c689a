"""The pages under `/examples/`, each opened in Chromium: it shows a reading, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser import chromium
from tests.foreign.clients import curl
from tests.foreign.conftest import Stage
from tests.servers import REPO, until

SOURCES = REPO / "web" / "public" / "examples"
PAGES = sorted(SOURCES.glob("*.html"))
READING = '{"temperature": 21.5, "co2": 640}'


@asynccontextmanager
async def shown(stage: Stage, name: str, scheme: str = "light") -> AsyncIterator[Page]:
    """A page of the examples; it fails on a mistake of the page, and on a request to elsewhere."""
    async with chromium() as browser:
        context = await browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
        page = await context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if stage.url in request.url else wrong.append(request.url))
        page.on("response", lambda response: wrong.append(response.url) if response.status >= 400 else None)
        await page.goto(f"{stage.url}/examples/{name}")
        yield page
        assert wrong == []


UPGRADED = "5"
"""What an Engine.IO client says at last when it changes over from polling."""


async def through_us(page: Page) -> tuple[list[WebSocketRoute], list[str | bytes]]:
    """From now on the page's Socket.IO goes through us: the servers' sides, and what the page said to them."""
    servers: list[WebSocketRoute] = []
    said: list[str | bytes] = []

    def connected(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        servers.append(server)

        def pass_on(message: str | bytes) -> None:
            server.send(message)
            said.append(message)

        line.on_message(pass_on)

    await page.route_web_socket(re.compile("/socket.io/"), connected)
    return servers, said


async def test_by_socketio_a_reading_appears_and_after_a_lost_connection_what_was_missed(stage: Stage) -> None:
    await stage.publish("sensors/attic/data", READING)
    await stage.until("/get_telemetry?device=attic", temperature=21.5)
    async with shown(stage, "socketio.html") as page:
        await expect(page.get_by_role("row", name="attic")).to_contain_text("temperature 21.5, co2 640")
        await stage.publish("sensors/hall/data", READING)
        await expect(page.get_by_role("row", name="hall")).to_contain_text("temperature 21.5, co2 640")
        servers, said = await through_us(page)
        await page.reload()
        await until(lambda: UPGRADED in said, what="a WebSocket to cut")
        await expect(page.get_by_role("status")).to_contain_text("connected as")
        before = await page.get_by_role("status").text_content()
        await servers[0].close()
        await expect(page.get_by_role("status")).not_to_have_text(before or "")
        await stage.publish("sensors/hall/data", '{"temperature": 22.5}')
        await expect(page.get_by_role("row", name="hall")).to_contain_text("temperature 22.5", timeout=20_000)


async def test_by_topic_a_measurement_appears_and_the_topics_that_are_ticked(stage: Stage) -> None:
    async with shown(stage, "topics.html") as page:
        await expect(page.get_by_role("status")).to_have_text("measurements, alerts")
        await stage.publish("sensors/hall/data", READING)
        await expect(page.get_by_role("listitem").filter(has_text="hall")).to_contain_text("CO2 640, Temperature 21.5")
        await stage.publish("events/predictions", '{"forecast": "not asked for"}')
        await until(lambda: stage.bridge.ledger.account("mqtt").stored == 2, what="both messages sent to the page")
        await page.get_by_label("predictions").check()
        await expect(page.get_by_role("status")).to_have_text("measurements, predictions, alerts")
        await stage.publish("events/predictions", '{"forecast": "warm"}')
        await expect(page.locator("#events li")).to_have_count(1)
        await expect(page.locator("#events")).to_contain_text("warm")


async def test_by_channel_a_reading_appears_and_a_test_event_on_the_channel_chosen(stage: Stage) -> None:
    async with shown(stage, "channels.html") as page:
        await expect(page.get_by_role("status")).to_have_text("connected to general")
        await stage.publish("sensors/hall/data", READING)
        await expect(page.locator("#events li").filter(has_text="reading created")).to_contain_text('"temperature":21.5')
        await page.get_by_label("channel").select_option("sensors")
        await expect(page.get_by_role("status")).to_have_text("connected to sensors")
        await page.get_by_role("button").click()
        await expect(page.locator("#events")).to_contain_text("hello")


@pytest.mark.parametrize(("dialect", "name", "secret"), [("auth", "esp01", "1234"), ("AUTH", "device001", "abc123")])
async def test_the_device_sends_its_readings_and_obeys(stage: Stage, dialect: str, name: str, secret: str) -> None:
    async with shown(stage, "device.html") as page:
        await page.get_by_label("dialect").select_option(dialect)
        await page.get_by_label("name").fill(name)
        await page.get_by_label("password or token").fill(secret)
        await page.get_by_role("button", name="Connect").click()
        for degrees in ("21.5", "22"):
            await page.get_by_label("temperature").fill(degrees)
            await expect(page.locator("#stored")).to_have_text(re.compile(rf"^{degrees} °C at \d"), timeout=20_000)
        await stage.until(f"/api/v1/devices/{name}", status="online", connection="socket")
        for command, value, state in (("servo1", "45", "confirmed"), ("led", "on", "confirmed"), ("fly", "up", "failed")):
            asked = await stage.post(f"/api/v1/devices/{name}/commands", f'{{"command": "{command}", "value": "{value}"}}')
            await stage.until(f"/api/v1/devices/{name}/commands/{asked.json['id']}", state=state)
        await expect(page.get_by_label("servo1")).to_have_value("45")
        await expect(page.get_by_label("led")).to_be_checked()
        assert (await stage.until(f"/api/v1/devices/{name}", state={"status": "ok", "servo1": 45, "led": True}))["id"] == name


async def test_a_device_with_a_wrong_password_is_told_so(stage: Stage) -> None:
    async with shown(stage, "device.html") as page:
        await page.get_by_label("password or token").fill("guess")
        await page.get_by_role("button", name="Connect").click()
        await expect(page.locator("#state")).to_contain_text("unauthorized")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_index_leads_to_every_page_each_readable_in_light_and_dark(stage: Stage, scheme: str) -> None:
    assert (await curl(f"{stage.url}/examples")).headers["location"] == "examples/"
    async with shown(stage, "", scheme) as page:
        links = await page.locator("ul a").evaluate_all("links => links.map((one) => one.getAttribute('href'))")
        assert sorted([*links, "index.html"]) == [one.name for one in PAGES]
        for name in (*links, ""):
            await page.goto(f"{stage.url}/examples/{name}")
            for width in (360, 1280):
                await page.set_viewport_size({"width": width, "height": 800})
                fits = "width => innerWidth === width && document.documentElement.scrollWidth <= width"
                await page.wait_for_function(fits, arg=width)
            ink, paper = [await page.evaluate(f"getComputedStyle(document.body).{one}") for one in ("color", "backgroundColor")]
            assert (brightness(ink) > brightness(paper)) is (scheme == "dark"), name
            assert contrast(ink, paper) > 7, name


def brightness(color: str) -> float:
    """Relative luminance, as WCAG 2 has it, of `rgb(…)`."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", color)[:3]]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short_and_names_no_other_host(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) < 100
    assert set(re.findall(r"(?:https?|wss?)://[\w.:]+", text)) <= {"http://bridge:3000"}
