"""Units and index as each browser chooses; without a choice, as the settings say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from bridge.core.readings.measurements import MEASUREMENTS
from bridge.core.readings.units import conversion
from bridge.settings import HttpSettings, PageSettings
from tests.conftest import StartBridge
from tests.page.conftest import OPEN, Dashboard, running
from tests.page.stored import HOUR_MS, every_minute, store_readings
from tests.page.test_accessibility import violations
from tests.servers import REPO

AIR = {"temperature": 21.5, "pressure": 1013.25, "no2": 100, "co2": 600}
SOURCE = (REPO / "web" / "src" / "model" / "units.ts").read_text("utf-8")


def values(dashboard: Dashboard) -> Locator:
    return dashboard.page.locator(".card", has_text="office").locator("dd")


async def choose(dashboard: Dashboard, **choices: str) -> None:
    menu = dashboard.page.locator("details.units")
    await menu.locator("summary").click()
    for label, option in choices.items():
        await menu.get_by_label(label.replace("_", " ")).select_option(option)
    await dashboard.page.keyboard.press("Escape")
    await expect(menu.locator("summary")).to_be_focused()


async def test_chosen_units_are_shown_everywhere_and_kept_while_stored_values_stay(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="office", **AIR)
    await dashboard.go()
    await expect(values(dashboard)).to_contain_text(["600 ppm", "21.5 °C", "100 ppb", "1,013.3 hPa"])
    await dashboard.page.locator("details.units summary").click()
    await expect(dashboard.page.locator("details.units select")).to_have_count(4)
    assert await violations(dashboard.page) == []
    await dashboard.page.keyboard.press("Escape")
    await choose(dashboard, Temperature="°F", Air_pressure="inHg", Gases="µg/m³")
    shown = ["600 ppm", "70.7 °F", "188.2 µg/m³", "29.92 inHg"]
    await expect(values(dashboard)).to_contain_text(shown)
    await dashboard.page.reload()
    await expect(values(dashboard)).to_contain_text(shown)
    await dashboard.go("#/?view=table")
    await expect(dashboard.page.get_by_role("columnheader", name="Temperature")).to_have_text("Temperature°F")
    await expect(dashboard.page.get_by_role("cell", name="70.7")).to_be_visible()
    await dashboard.page.goto(f"{dashboard.base}/#/device/office")
    chart = dashboard.page.locator(".chart").filter(has_text="Temperature")
    await expect(chart.locator(".value")).to_have_text("70.7 °F")
    await expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile("70.7 °F to 70.7 °F"))
    async with dashboard.session.get(f"{dashboard.base}/api/v1/readings?device=office") as answer:
        assert (await answer.json())["readings"][0]["temperature"] == 21.5
    await choose(dashboard, Temperature="")
    await expect(chart.locator(".value")).to_have_text("21.5 °C")


async def test_units_of_the_settings_are_shown_until_a_browser_chooses(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    page = PageSettings.model_validate({"temperature": "fahrenheit", "pressure": "mmHg", "gases": "ug/m3"})
    store = f"sqlite:///{tmp_path}/bridge.db"
    async with start_bridge(broker_url, store, http=HttpSettings(port=port), devices=OPEN, page=page):
        await browser_page.post(deviceId="office", **AIR)
        await browser_page.go()
        await expect(values(browser_page)).to_contain_text(["600 ppm", "70.7 °F", "188.2 µg/m³", "760.0 mmHg"])
        await choose(browser_page, Temperature="°C")
        await expect(values(browser_page).nth(1)).to_contain_text("21.5 °C")
        await browser_page.page.get_by_label("Language").select_option("Русский")
        units = ["600 млн⁻¹", "21,5 °C", "188,2 мкг/м³", "760,0 мм рт. ст."]
        await expect(values(browser_page)).to_contain_text(units)


async def test_chosen_index_judges_the_air_in_this_browser(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int, browser_page: Dashboard
) -> None:
    await store_readings(tmp_path, every_minute("street", {"pm25": 60}, 4 * HOUR_MS))
    async with running(start_bridge, broker_url, tmp_path, port):
        await browser_page.post(deviceId="street", pm25=60)
        await browser_page.go()
        level = browser_page.card("street").locator(".level")
        await expect(level).to_contain_text("Unhealthy")
        await choose(browser_page, Air_quality_index="european")
        await expect(level).to_contain_text("Poor")
        await browser_page.page.reload()
        await expect(level).to_contain_text("Poor")
        await browser_page.go("#/device/street")
        await expect(browser_page.page.locator(".assessments")).to_contain_text("European Air Quality Index")
        await choose(browser_page, Air_quality_index="")
        await expect(browser_page.page.locator(".assessments")).to_contain_text("NowCast")


@pytest.mark.parametrize("field", ["no2", "o3", "so2", "hcho", "tvoc"])
def test_page_and_bridge_convert_gases_alike(field: str) -> None:
    mass = re.search(rf"\b{field}: ([\d.]+)( \* MOLE_LITRES)?", SOURCE.partition("MOLAR_MASS")[2])
    litres = re.search(r"const MOLE_LITRES = ([\d.]+);", SOURCE)
    assert mass is not None
    assert litres is not None
    per_ppb = float(mass[1]) / (1 if mass[2] else float(litres[1]))
    assert per_ppb * conversion(field, "µg/m³").scale == pytest.approx(1, rel=1e-12)


def test_page_and_bridge_convert_pressures_alike() -> None:
    for unit in ("inHg", "mmHg"):
        found = re.search(rf"\b{unit}: ([\d.]+)", SOURCE)
        assert found is not None
        assert float(found[1]) == conversion("pressure", unit).scale


def test_page_has_a_name_for_every_unit_in_every_language() -> None:
    units = {one.unit for one in MEASUREMENTS if one.unit} | {"°F", "inHg", "mmHg", "µg/m³"}
    for language in ("en", "ru", "es", "fr", "de"):
        text = (REPO / "web" / "src" / "i18n" / f"{language}.ts").read_text("utf-8")
        assert units <= set(re.findall(r'"unit\.name\.(.+?)":', text)), language
