"""The page in each of its languages: chosen by the browser or by hand, complete, within the narrowest screen."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from bridge.core.readings.measurements import MEASUREMENTS
from tests.page.conftest import LANGUAGES, Seen
from tests.servers import REPO


@pytest.mark.parametrize(
    ("locale", "heading", "label"),
    [
        ("ru-RU", "Всё в порядке", "Температура"),
        ("es-MX", "Todo en orden", "Temperatura"),
        ("fr", "Tout va bien", "Température"),
    ],
)
async def test_the_page_speaks_the_language_of_the_browser(
    browser: Browser, seen: Seen, locale: str, heading: str, label: str
) -> None:
    await seen.post(deviceId="kitchen", temperature=21.5)
    context = await browser.new_context(locale=locale)
    page = await context.new_page()
    await page.goto(seen.base)
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await expect(page.locator(".card dt")).to_have_text(label)
    await expect(page.locator("html")).to_have_attribute("lang", locale[:2])
    await context.close()


async def test_a_language_that_was_chosen_is_kept(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=21.5)
    await seen.go()
    await seen.page.get_by_label("Language").select_option("Русский")
    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Всё в порядке")
    await seen.page.reload()
    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Всё в порядке")
    await expect(seen.page).to_have_title("Обзор · Sensor Bridge")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nothing_runs_over_the_side_of_the_narrowest_screen(browser: Browser, seen: Seen, language: str) -> None:
    await seen.post(
        deviceId="greenhouse.north:row-12:plant-humidity-sensor-0001", humidity=103, co2=2500, pm25=60, temperature=31.2
    )
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    page = await context.new_page()
    for view in ("#/", "#/device/greenhouse.north:row-12:plant-humidity-sensor-0001", "#/feed", "#/health", "test"):
        await page.goto(f"{seen.base}/{view}")
        await expect(page.locator("main h1").first).to_be_visible()
        over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, view
    await context.close()


def test_every_measurement_of_the_table_has_a_name_in_each_language() -> None:
    text = (REPO / "web" / "src" / "i18n" / "fields.ts").read_text("utf-8")
    listed = re.findall(r'"(\w+)"', text.partition("FIELDS = [")[2].partition("]")[0])
    assert sorted(listed) == sorted(one.name for one in MEASUREMENTS)
