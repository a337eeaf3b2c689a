"""The languages of the page: selection, completeness, and layout on narrow screens."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from bridge.core.readings.measurements import MEASUREMENTS
from tests.page.conftest import LANGUAGES, Dashboard, expect_no_overflow
from tests.servers import REPO


@pytest.mark.parametrize(
    ("locale", "heading", "label"),
    [
        ("ru-RU", "Тревог нет", "Температура"),
        ("es-MX", "Sin alarmas", "Temperatura"),
        ("fr", "Aucune alarme", "Température"),
        ("de-AT", "Kein Alarm", "Temperatur"),
    ],
)
async def test_page_uses_the_language_of_the_browser(
    browser: Browser, dashboard: Dashboard, locale: str, heading: str, label: str
) -> None:
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    context = await browser.new_context(locale=locale)
    page = await context.new_page()
    await page.goto(dashboard.base)
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await expect(page.locator(".card dt")).to_have_text(label)
    await expect(page.locator("html")).to_have_attribute("lang", locale[:2])
    await context.close()


async def test_selected_language_is_kept_after_a_reload(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="kitchen", temperature=21.5)
    await dashboard.go()
    await dashboard.page.get_by_label("Language").select_option("Русский")
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Тревог нет")
    await dashboard.page.reload()
    await expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Тревог нет")
    await expect(dashboard.page).to_have_title("Обзор · Sensor Bridge")


OVERFLOWING = """links => links
    .filter((one) => one.scrollWidth > one.clientWidth || one.getBoundingClientRect().right > innerWidth)
    .map((one) => one.textContent)"""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_pages_fit_the_narrowest_screen_in_every_language(browser: Browser, dashboard: Dashboard, language: str) -> None:
    await dashboard.post(
        deviceId="greenhouse.north:row-12:plant-humidity-sensor-0001",
        humidity=103,
        co2=2500,
        pm25=60,
        temperature=31.2,
        battery=98,
    )
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    page = await context.new_page()
    device = "#/device/greenhouse.north:row-12:plant-humidity-sensor-0001"
    views = (
        "#/?view=cards",
        "#/?view=table",
        device,
        "#/compare",
        "#/measurement/humidity",
        "#/feed",
        "#/discovery",
        "#/alarms",
    )
    for view in (*views, "#/health", "#/admin", "test"):
        await page.goto(f"{dashboard.base}/{view}")
        await expect(page.locator("main h1").first).to_be_visible()
        await expect_no_overflow(page)
        assert await page.locator("nav a").evaluate_all(OVERFLOWING) == [], view
    await context.close()


def test_every_measurement_has_a_label_in_every_language() -> None:
    text = (REPO / "web" / "src" / "i18n" / "fields.ts").read_text("utf-8")
    listed = re.findall(r'"(\w+)"', text.partition("FIELDS = [")[2].partition("]")[0])
    assert sorted(listed) == sorted(one.name for one in MEASUREMENTS)
