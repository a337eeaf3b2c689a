"""What values mean, as a person reads it: in a word on the card, with its standard on the device's page."""

from __future__ import annotations

import time

from playwright.async_api import expect

from bridge.core.timestamp import iso
from tests.page.conftest import Seen

HOUR_MS = 3_600_000


async def test_bad_air_is_said_in_a_word_and_comes_before_good_air(seen: Seen) -> None:
    await seen.post(deviceId="attic", co2=600)
    await seen.post(deviceId="meeting", co2=2500)
    await seen.go()
    await expect(seen.page.locator(".card h3")).to_have_text(["meeting", "attic"])
    await expect(seen.card("meeting").locator(".level")).to_have_text("Unacceptable Carbon dioxide")
    await expect(seen.card("attic").locator(".level")).to_have_text("Harmless Carbon dioxide")
    await expect(seen.page.get_by_role("heading", name="1 device needs attention")).to_be_visible()


async def test_the_device_page_names_value_standard_and_averaging_and_follows_live(seen: Seen) -> None:
    await seen.post(deviceId="meeting", co2=2500, tvoc=100)
    await seen.go("#/device/meeting")
    row = seen.page.locator(".assessments li").filter(has_text="Carbon dioxide")
    for words in (
        "2,500 ppm",
        "Unacceptable",
        "Ventilate the room now",
        "German guide values for CO₂ indoors, UBA (2008); latest reading.",
    ):
        await expect(row).to_contain_text(words)
    await expect(seen.page.locator(".assessments li").filter(has_text="Volatile")).to_contain_text("Indicative")
    await seen.post(deviceId="meeting", co2=700)
    await expect(row).to_contain_text("Harmless")


async def test_an_index_of_hours_is_there_when_there_are_enough_of_them(seen: Seen) -> None:
    """NowCast needs two of the newest three hours, a daily mean 18 of 24."""
    hour = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    await seen.post(deviceId="street", pm25=40)
    await seen.go("#/device/street")
    now, day = (seen.page.locator(".assessments li").filter(has_text=name) for name in ("PM2.5 now", "PM2.5 over 24 hours"))
    await expect(now).to_contain_text("Hours of readings still needed: 2")
    for ago in range(1, 4):
        await seen.post(deviceId="street", pm25=40, timestamp=iso(hour - ago * HOUR_MS + 60_000))
    await seen.page.reload()
    await expect(now).to_contain_text("Unhealthy for sensitive groups")
    await expect(now).to_contain_text("NowCast")
    await expect(day).to_contain_text("Hours of readings still needed: 15")


async def test_gas_near_its_explosive_limit_is_an_alarm_on_every_view(seen: Seen) -> None:
    await seen.post(deviceId="boiler", ch4Ppm=9500)
    for view in ("#/", "#/feed", "#/device/boiler"):
        await seen.go(view)
        await expect(seen.page.get_by_role("alert")).to_contain_text("Methane (explosive limit): Second alarm threshold")
    await seen.post(deviceId="boiler", ch4Ppm=20)
    await expect(seen.page.get_by_role("alert")).to_have_count(0)
