"""Assessments: in one word on the card, with the standard on the device page; the headline and the banner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Route, WebSocketRoute, expect

from tests.conftest import StartBridge
from tests.page.conftest import LANGUAGES, Dashboard, expect_no_overflow, running
from tests.page.stored import HOUR_MS, MINUTE_MS, every_minute, store_readings


def row(dashboard: Dashboard, name: str) -> Locator:
    return dashboard.page.locator(".assessments li").filter(has_text=name)


async def place(dashboard: Dashboard, device: str, **where: str) -> None:
    async with dashboard.session.patch(f"{dashboard.base}/api/v1/devices/{device}", json=where) as answer:
        assert answer.status == 200


async def test_bad_air_is_named_and_listed_before_good_air(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="attic", co2=600)
    await dashboard.post(deviceId="meeting", co2=2500)
    await dashboard.go()
    await expect(dashboard.page.locator(".card h3")).to_have_text(["meeting", "attic"])
    await expect(dashboard.card("meeting").locator(".level")).to_have_text("Unacceptable Carbon dioxide")
    await expect(dashboard.card("attic").locator(".level")).to_have_text("Harmless Carbon dioxide")
    await expect(dashboard.page.get_by_role("heading", name="1 room wants air")).to_be_visible()


async def test_device_that_needs_attention_is_counted_in_the_headline(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="boiler", coPpm=60)
    await dashboard.go()
    await expect(dashboard.page.get_by_role("heading", name="1 device needs attention")).to_be_visible()


async def test_all_is_well_only_when_every_device_is_judged_at_its_best_level(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="meeting", co2=600)
    await dashboard.go()
    headline = dashboard.page.get_by_role("heading", level=1)
    await expect(headline).to_have_text("All is well")
    await dashboard.post(deviceId="attic", temperature=20)
    await expect(headline).to_have_text("No alarm")
    for room in range(3):
        await dashboard.post(deviceId=f"class-{room}", co2=1400)
        await place(dashboard, f"class-{room}", site="School", room=f"Room {room // 2}")
    await dashboard.page.reload()
    await expect(headline).to_have_text("2 rooms want air")
    await dashboard.post(deviceId="class-2", co2=600)
    await expect(dashboard.card("class-2").locator(".level")).to_contain_text("Harmless")
    await expect(headline).to_have_text("2 rooms want air")  # held, so that it does not flip
    await expect(headline).to_have_text("1 room wants air", timeout=30_000)


async def test_device_page_shows_value_standard_and_averaging_and_updates_live(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="meeting", co2=2500, tvoc=100)
    await dashboard.go("#/device/meeting")
    co2 = row(dashboard, "Carbon dioxide")
    for words in (
        "2,500 ppm",
        "Unacceptable",
        "Ventilate the room now",
        "German guide values for CO₂ indoors, UBA (2008); latest reading.",
    ):
        await expect(co2).to_contain_text(words)
    await expect(row(dashboard, "Volatile")).to_contain_text("Indicative")
    await dashboard.post(deviceId="meeting", co2=2610)  # of the same rating, so that no event says so
    await expect(co2).to_contain_text("2,610 ppm")
    await dashboard.post(deviceId="meeting", co2=700)
    await expect(co2).to_contain_text("Harmless")


async def test_hourly_index_appears_once_enough_hours_are_stored(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    """NowCast needs two of the newest three hours, a daily mean 18 of 24, the last 10 minutes none."""
    await store_readings(tmp_path, every_minute("street", {"pm25": 40}, 4 * HOUR_MS))
    async with running(start_bridge, broker_url, tmp_path, port):
        await browser_page.post(deviceId="street", pm25=40)
        await browser_page.post(deviceId="new", pm25=40)
        await browser_page.go("#/device/street")
        now = row(browser_page, "PM2.5, NowCast (12 h)")
        for words in ("112", "from 40 µg/m³", "Unhealthy for sensitive groups", "NowCast", "low-cost particle counters"):
            await expect(now).to_contain_text(words)
        await expect(row(browser_page, "PM2.5 over 24 hours")).to_contain_text(
            re.compile("Hours of readings still needed: 1[45]")
        )
        await expect(row(browser_page, "PM2.5 in the last 10 minutes")).to_contain_text("Nothing unusual")
        await browser_page.go("#/device/new")
        await expect(row(browser_page, "PM2.5, NowCast (12 h)")).to_contain_text("Hours of readings still needed: 2")


async def test_smoke_of_the_last_minutes_is_named_before_any_index_knows_of_it(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    await store_readings(tmp_path, every_minute("kitchen", {"pm25": 300}, 12 * MINUTE_MS))
    async with running(start_bridge, broker_url, tmp_path, port):
        await browser_page.post(deviceId="kitchen", pm25=400)
        await browser_page.go()
        await expect(browser_page.card("kitchen").locator(".level")).to_contain_text("As high as in smoke")
        await expect(browser_page.page.get_by_role("heading", level=1)).to_have_text("1 high alarm")
        await browser_page.go("#/device/kitchen")
        recent = row(browser_page, "PM2.5 in the last 10 minutes")
        await expect(recent).to_contain_text("µg/m³")
        await expect(recent).to_contain_text("from a safe distance")


async def test_gas_near_its_explosive_limit_is_an_alarm_on_every_page_until_it_is_over_and_acknowledged(
    dashboard: Dashboard,
) -> None:
    page, banner = dashboard.page, dashboard.page.locator(".alarm")
    for _ in range(2):
        await dashboard.post(deviceId="boiler", ch4Ppm=9500)
    for view in ("#/", "#/feed", "#/device/boiler"):
        await dashboard.go(view)
        await expect(banner).to_contain_text("Methane 9,500 ppm at boiler")
    for _ in range(2):
        await dashboard.post(deviceId="boiler", ch4Ppm=20)
    await expect(banner).to_contain_text("over, not acknowledged")
    await page.locator(".bell").click()
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(banner).to_have_count(0)
    await page.get_by_role("button", name="Reset").click()
    await expect(page.locator(".alarms")).to_contain_text("No alarm stands.")


async def test_banner_says_value_place_since_when_and_what_to_do(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="boiler", coPpm=3)
    await place(dashboard, "boiler", name="Boiler", site="Home", room="Cellar")
    await dashboard.go("#/feed")
    await expect(dashboard.page.locator(".connection")).to_have_text("Live")
    for _ in range(2):
        await dashboard.post(deviceId="boiler", coPpm=212)
    banner = dashboard.page.locator(".alarm")
    for words in (
        "Carbon monoxide 212 ppm at Cellar, Home",
        "now 212 ppm",
        "Boiler",
        "Open windows and doors on your way",
        "NIOSH Pocket Guide",
        "Not a life-safety device.",
    ):
        await expect(banner).to_contain_text(words)
    await expect(banner.locator(".since")).to_have_text(re.compile(r"^since [\d:]+ \("))
    await expect(dashboard.page.locator("[aria-live=assertive]")).to_contain_text("Critical alarm: Carbon monoxide 212 ppm")
    for _ in range(2):
        await dashboard.post(deviceId="garage", ch4Ppm=9500)
    await expect(banner.locator("h2")).to_have_text("2 alarms")
    await expect(banner.locator("li")).to_have_count(2)
    await expect(banner.locator(".advice")).to_have_text(
        [re.compile("No flame, no switch"), re.compile("Open windows and doors")]
    )


async def test_keys_of_a_newer_bridge_get_neutral_words(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="meeting", co2=2500)

    async def rename(route: Route) -> None:
        answer = await route.fetch()
        body = (await answer.text()).replace("level.co2.unacceptable", "level.co2.later").replace("index.co2", "index.later")
        await route.fulfill(response=answer, body=body.replace("standard.ubaCo2", "standard.later"))

    await dashboard.page.route(re.compile("/api/v1/assessments"), rename)
    await dashboard.go()
    await expect(dashboard.card("meeting").locator(".level")).to_have_text("Level 3 of 5 Carbon dioxide")
    await dashboard.go("#/device/meeting")
    await expect(row(dashboard, "Level 3 of 5")).to_contain_text("A standard that this page does not know")


async def test_ratings_follow_the_registry_while_the_page_polls(dashboard: Dashboard) -> None:
    async def close(route: WebSocketRoute) -> None:
        await route.close()

    async def refuse(route: Route) -> None:
        await route.abort()

    await dashboard.page.route_web_socket(re.compile("socket.io"), close)
    await dashboard.page.route(re.compile("/socket.io/"), refuse)
    await dashboard.post(deviceId="meeting", co2=600)
    await dashboard.go()
    await expect(dashboard.page.locator(".connection")).to_have_text("Polling")
    await expect(dashboard.card("meeting").locator(".level")).to_contain_text("Harmless")
    await dashboard.post(deviceId="meeting", co2=2500)
    await expect(dashboard.card("meeting").locator(".level")).to_contain_text("Unacceptable", timeout=30_000)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_banner_fits_a_phone_in_every_language(browser: Browser, dashboard: Dashboard, language: str) -> None:
    for _ in range(2):
        await dashboard.post(deviceId="boiler", coPpm=200)
        await dashboard.post(deviceId="garage", ch4Ppm=9500, flameDetected=True)
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    page = await context.new_page()
    await page.goto(dashboard.base)
    await expect(page.locator(".alarm li")).to_have_count(3)
    await expect_no_overflow(page)
    await context.close()
