"""Forecasts on the device page: the fan, its words, the toggle, and what is said where there is none."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from bridge.core.timestamp import iso
from tests.page.conftest import LANGUAGES, Dashboard, expect_no_overflow
from tests.page.staged_analysis import HOUR_MS, MINUTE_MS, StagedAnalysis, learning, now_ms, prediction
from tests.page.test_accessibility import violations
from tests.servers import until

CO2 = "Carbon dioxide"
RECORD = (
    "Forecast: over the last 30 days it was off by 22 ppm on average, 40 % less than assuming no change; "
    "90 % of the values were within the band."
)


async def post_hours(dashboard: Dashboard, hours: float = 3) -> None:
    """CO2 and temperature of the office, every minute until now."""
    now = now_ms()
    readings = [
        {"deviceId": "office", "co2": 600 + (at // MINUTE_MS) % 30, "temperature": 21.5, "humidity": 40, "timestamp": iso(at)}
        for at in range(now - round(hours * HOUR_MS), now, MINUTE_MS)
    ]
    async with dashboard.session.post(f"{dashboard.base}/api/v1/readings", json=readings) as answer:
        assert answer.status < 300, await answer.text()


def staged() -> StagedAnalysis:
    """CO2 has a forecast; the temperature is no better than its last value; humidity is being learned."""
    analysis = StagedAnalysis()
    analysis.predictions = [
        prediction("office", "co2", "ppm", mean=640, spread=60),
        prediction("office", "temperature", "°C", mean=21, spread=1, model="persistence"),
        learning("office", "humidity", "%", 9),
    ]
    return analysis


def chart(page: Page, label: str) -> Locator:
    return page.locator(".chart").filter(has=page.locator("h3", has_text=re.compile(f"^{label}$")))


async def open_office(dashboard: Dashboard, analysis: StagedAnalysis, length: str = "6 h") -> None:
    await post_hours(dashboard)
    await analysis.serve(dashboard.page)
    await dashboard.go("#/device/office")
    await dashboard.page.get_by_role("button", name=length, exact=True).click()


async def colours_at(plot: Locator, x: float) -> set[tuple[int, ...]]:
    """The colours in a column of a chart's canvas, at a fraction of the width of its plot."""
    found: list[list[int]] = await plot.evaluate(
        """(plot, x) => {
            const canvas = plot.querySelector("canvas"), over = plot.querySelector(".u-over");
            const scale = canvas.width / canvas.getBoundingClientRect().width;
            const left = over.getBoundingClientRect().left - canvas.getBoundingClientRect().left;
            const at = Math.round((left + x * over.clientWidth) * scale);
            const { data } = canvas.getContext("2d").getImageData(at, 0, 1, canvas.height);
            return Array.from({ length: data.length / 4 }, (_, n) => [...data.slice(4 * n, 4 * n + 4)]);
        }""",
        x,
    )
    return {tuple(one) for one in found}


async def test_forecast_continues_the_chart_for_six_hours_with_its_track_record(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    co2 = chart(dashboard.page, CO2)
    await expect(co2.locator(".forecast-record")).to_have_text(RECORD)
    await expect(co2.get_by_role("img")).to_have_accessible_name(
        re.compile(r"forecast for the next 6 hr: 580 ppm to 1,170 ppm, at the end about 960 ppm")
    )
    hours = co2.get_by_role("list", name=f"Forecast of {CO2}").locator("li")
    await expect(hours).to_have_count(6)
    await expect(hours.first).to_have_text(re.compile(r"^\d\d:00 to \d\d:00: about 640 ppm, between 580 ppm and 700 ppm$"))
    await expect(dashboard.page.get_by_text("Band: 90 % of the values are expected in it.")).to_be_visible()
    await expect(co2.locator(".u-over")).to_be_visible()

    async def has_fan() -> bool:
        past, future = await colours_at(co2, 0.4), await colours_at(co2, 0.75)
        return len(future) > 2 and bool(future - past)

    await until(has_fan, 30, "a fan that does not look like measured values")


async def test_chart_without_a_forecast_ends_now_and_says_why(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    page = dashboard.page
    await expect(chart(page, "Temperature").locator(".forecast-record")).to_have_text(
        "Forecast: no better than the last value, so it is not shown"
    )
    await expect(chart(page, "Humidity").locator(".forecast-record")).to_have_text("Forecast: learning, 9 of 14 days")
    for label in ("Temperature", "Humidity"):
        await expect(chart(page, label).get_by_role("list")).to_have_count(0)
        name = await chart(page, label).get_by_role("img").get_attribute("aria-label")
        assert "forecast" not in (name or "")


async def test_pointer_shows_the_hour_of_the_forecast(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    co2 = chart(dashboard.page, CO2)
    await expect(co2.locator(".forecast-record")).to_be_visible()
    over = co2.locator(".u-over")
    box = await over.bounding_box()
    assert box is not None
    await over.hover(position={"x": box["width"] * 0.97, "y": box["height"] / 2})
    await expect(co2.locator(".hovered time")).to_have_text(re.compile(r"^Forecast \d\d:00 – \d\d:00$"))
    await expect(co2.locator(".value")).to_have_attribute("data-forecast", "true")
    await expect(co2.locator(".value .figure")).to_have_text("960")
    await expect(co2.locator(".hovered .band")).to_have_text("750 – 1,170")
    await over.hover(position={"x": box["width"] * 0.4, "y": box["height"] / 2})
    await expect(co2.locator(".value")).to_have_attribute("data-forecast", "false")
    await expect(co2.locator(".hovered time")).not_to_contain_text("Forecast")


async def test_forecast_is_only_in_ranges_that_end_now_and_have_room_for_it(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    page = dashboard.page
    record = chart(page, CO2).locator(".forecast-record")
    toggle = page.get_by_role("button", name="Forecast")
    for length, shown in (("15 min", 0), ("1 h", 1), ("24 h", 1), ("7 d", 1), ("30 d", 0), ("6 h", 1)):
        await page.get_by_role("button", name=length, exact=True).click()
        await expect(record).to_have_count(shown)
        await expect(toggle).to_have_count(shown)
    await page.get_by_role("button", name="Earlier").click()
    await expect(record).to_have_count(0)
    await page.get_by_role("button", name="Back to live").click()
    await expect(record).to_have_count(1)


async def test_zooming_into_the_forecast_stays_live(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    page = dashboard.page
    over = chart(page, CO2).locator(".u-over")
    await expect(chart(page, CO2).locator(".forecast-record")).to_be_visible()
    box = await over.bounding_box()
    assert box is not None
    start, end = ({"x": part * box["width"], "y": box["height"] / 2} for part in (0.3, 0.9))
    await over.drag_to(over, source_position=start, target_position=end)  # type: ignore[arg-type]
    await expect(page.get_by_role("button", name="6 h", exact=True)).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_role("button", name="Back to live")).to_have_count(0)
    await expect(chart(page, CO2).locator(".forecast-record")).to_be_visible()


async def test_toggle_hides_all_of_it_and_the_browser_remembers(dashboard: Dashboard) -> None:
    await open_office(dashboard, staged())
    page = dashboard.page
    toggle = page.get_by_role("button", name="Forecast")
    await expect(page.locator(".forecast-record")).to_have_count(3)
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    await toggle.focus()
    await page.keyboard.press("Enter")
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await expect(page.locator(".forecast-record")).to_have_count(0)
    await page.reload()
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await expect(page.locator(".forecast-record")).to_have_count(0)
    await toggle.click()
    await expect(page.locator(".forecast-record")).to_have_count(3)


async def test_new_prediction_is_shown_at_once(dashboard: Dashboard) -> None:
    analysis = staged()
    analysis.predictions = [learning("office", "co2", "ppm", 13)]
    await open_office(dashboard, analysis)
    record = chart(dashboard.page, CO2).locator(".forecast-record")
    await expect(record).to_have_text("Forecast: learning, 13 of 14 days")
    await expect(dashboard.page.locator(".connection")).to_have_text("Live")
    analysis.predictions = [prediction("office", "co2", "ppm", mean=640, spread=60)]
    asked_at = time.monotonic()
    analysis.send("prediction", analysis.predictions[0])
    await expect(record).to_have_text(RECORD)
    assert time.monotonic() - asked_at < 20, "sooner than the next poll"


@pytest.mark.parametrize("over", [{"values": []}, {"made": iso(0), "values": [{"at": iso(0), "mean": 5, "low": 4, "high": 6}]}])
async def test_prediction_that_is_over_is_not_shown(dashboard: Dashboard, over: dict[str, Any]) -> None:
    analysis = StagedAnalysis()
    analysis.predictions = [
        prediction("office", "co2", "ppm", mean=640, spread=60, **over),
        learning("office", "humidity", "%", 3),
    ]
    await open_office(dashboard, analysis)
    await expect(chart(dashboard.page, "Humidity").locator(".forecast-record")).to_be_visible()
    await expect(chart(dashboard.page, CO2).locator(".forecast-record")).to_have_count(0)


async def test_bridge_without_forecasts_shows_none(dashboard: Dashboard) -> None:
    await post_hours(dashboard, 0.2)
    async with dashboard.session.get(f"{dashboard.base}/api/v1/devices") as answer:
        assert answer.status == 200
    await dashboard.page.route(re.compile("/api/v1/(predictions|anomalies|actions)"), lambda route: route.fulfill(status=404))
    await dashboard.go("#/device/office")
    await expect(chart(dashboard.page, CO2)).to_be_visible()
    await expect(dashboard.page.locator(".forecast-record, .forecast-toggle, .sensor-health, .tip")).to_have_count(0)
    await expect(dashboard.page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_forecasts_are_accessible_and_fit_a_phone_in_every_language(
    browser: Browser, dashboard: Dashboard, language: str
) -> None:
    await post_hours(dashboard)
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    await staged().serve(context)
    page = await context.new_page()
    await page.goto(f"{dashboard.base}/#/device/office")
    await expect(page.locator(".forecast-record")).to_have_count(3)
    assert await violations(page) == []
    await expect_no_overflow(page)
    await context.close()
