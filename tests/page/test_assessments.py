"""Assessments: in one word on the card, with the standard on the device page."""

from __future__ import annotations

import time

from playwright.async_api import expect

from bridge.core.timestamp import iso
from tests.page.conftest import Dashboard

HOUR_MS = 3_600_000


async def test_bad_air_is_named_and_listed_before_good_air(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="attic", co2=600)
    await dashboard.post(deviceId="meeting", co2=2500)
    await dashboard.go()
    await expect(dashboard.page.locator(".card h3")).to_have_text(["meeting", "attic"])
    await expect(dashboard.card("meeting").locator(".level")).to_have_text("Unacceptable Carbon dioxide")
    await expect(dashboard.card("attic").locator(".level")).to_have_text("Harmless Carbon dioxide")
    await expect(dashboard.page.get_by_role("heading", name="1 device needs attention")).to_be_visible()


async def test_device_page_shows_value_standard_and_averaging_and_updates_live(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="meeting", co2=2500, tvoc=100)
    await dashboard.go("#/device/meeting")
    row = dashboard.page.locator(".assessments li").filter(has_text="Carbon dioxide")
    for words in (
        "2,500 ppm",
        "Unacceptable",
        "Ventilate the room now",
        "German guide values for CO₂ indoors, UBA (2008); latest reading.",
    ):
        await expect(row).to_contain_text(words)
    await expect(dashboard.page.locator(".assessments li").filter(has_text="Volatile")).to_contain_text("Indicative")
    await dashboard.post(deviceId="meeting", co2=700)
    await expect(row).to_contain_text("Harmless")


async def test_hourly_index_appears_once_enough_hours_are_stored(dashboard: Dashboard) -> None:
    """NowCast needs two of the newest three hours, a daily mean 18 of 24."""
    hour = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    await dashboard.post(deviceId="street", pm25=40)
    await dashboard.go("#/device/street")
    now, day = (
        dashboard.page.locator(".assessments li").filter(has_text=name) for name in ("PM2.5 now", "PM2.5 over 24 hours")
    )
    await expect(now).to_contain_text("Hours of readings still needed: 2")
    for ago in range(1, 4):
        await dashboard.post(deviceId="street", pm25=40, timestamp=iso(hour - ago * HOUR_MS + 60_000))
    await dashboard.page.reload()
    await expect(now).to_contain_text("Unhealthy for sensitive groups")
    await expect(now).to_contain_text("NowCast")
    await expect(day).to_contain_text("Hours of readings still needed: 15")


async def test_gas_near_its_explosive_limit_raises_an_alarm_on_every_page(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="boiler", ch4Ppm=9500)
    for view in ("#/", "#/feed", "#/device/boiler"):
        await dashboard.go(view)
        await expect(dashboard.page.get_by_role("alert")).to_contain_text("Methane (explosive limit): Second alarm threshold")
    await dashboard.post(deviceId="boiler", ch4Ppm=20)
    await expect(dashboard.page.get_by_role("alert")).to_have_count(0)
