"""Advice: on the card of a device and on its page, while it is fresh, and until somebody dismisses it."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect

from bridge.core.timestamp import iso
from tests.page.conftest import LANGUAGES, Dashboard, expect_no_overflow
from tests.page.staged_analysis import HOUR_MS, MINUTE_MS, StagedAnalysis, now_ms, ventilate
from tests.page.test_accessibility import show, violations

AIR = "Air the room now: Carbon dioxide is likely to rise above 2,000 ppm within 1 h (62 %)."


def tip(dashboard: Dashboard) -> Locator:
    return dashboard.page.get_by_role("note", name="Advice")


async def test_advice_is_on_the_card_and_on_the_page_of_its_device(dashboard: Dashboard) -> None:
    analysis = StagedAnalysis()
    analysis.advice = [ventilate("1"), ventilate("0", at=iso(now_ms() - 90 * MINUTE_MS), message="Older.", key="")]
    await dashboard.post(deviceId="office", co2=1900)
    await dashboard.post(deviceId="hall", co2=600)
    await analysis.serve(dashboard.page)
    await dashboard.go()
    await expect(dashboard.card("office").locator(".tip p")).to_have_text(AIR)
    await expect(dashboard.card("hall").locator(".tip")).to_have_count(0)
    await expect(dashboard.card("office")).to_have_attribute("data-severity", "notice")  # of the air, as without advice
    await dashboard.page.get_by_role("link", name="office").click()
    await expect(tip(dashboard).locator("p")).to_contain_text(AIR)
    await expect(tip(dashboard)).to_contain_text("The limit is that of German guide values for CO₂ indoors, UBA (2008).")
    await expect(tip(dashboard)).to_contain_text("1m ago")


async def test_advice_that_the_page_does_not_know_is_in_the_words_of_the_bridge(dashboard: Dashboard) -> None:
    analysis = StagedAnalysis()
    analysis.advice = [ventilate("1", key="advice.dance", message="Dance.")]
    await dashboard.post(deviceId="office", co2=1900)
    await analysis.serve(dashboard.page)
    await dashboard.go()
    await expect(tip(dashboard)).to_have_text("Dance.")


async def test_advice_is_dismissed_in_this_browser_and_the_next_one_is_shown(dashboard: Dashboard) -> None:
    page, analysis = dashboard.page, StagedAnalysis()
    analysis.advice = [ventilate("1")]
    await dashboard.post(deviceId="office", co2=1900)
    await analysis.serve(page)
    await dashboard.go()
    await tip(dashboard).get_by_role("button", name="Dismiss: Air the room now").click()
    await expect(tip(dashboard)).to_have_count(0)
    await expect(page.get_by_role("heading", level=3, name="office")).to_be_visible()  # not followed as a link
    await page.reload()
    await expect(dashboard.card("office").locator(".values")).to_be_visible()
    await show(page, f"{dashboard.base}/#/device/office")
    await expect(tip(dashboard)).to_have_count(0)
    await expect(page.locator(".connection")).to_have_text("Live")
    analysis.send("action", ventilate("2"))
    await expect(tip(dashboard)).to_have_count(1)


async def test_new_advice_is_shown_at_once_and_replaces_the_one_before(dashboard: Dashboard) -> None:
    analysis = StagedAnalysis()
    await dashboard.post(deviceId="office", co2=1900)
    await analysis.serve(dashboard.page)
    await dashboard.go()
    await expect(dashboard.page.locator(".connection")).to_have_text("Live")
    analysis.send("action", ventilate("1", at=iso(now_ms() - 3 * MINUTE_MS)))
    await expect(tip(dashboard)).to_have_text(AIR)
    analysis.send("action", ventilate("2", key="", message="Close the windows."))
    await expect(tip(dashboard)).to_have_text("Close the windows.")


async def test_stale_advice_is_not_shown(dashboard: Dashboard) -> None:
    analysis = StagedAnalysis()
    analysis.advice = [ventilate("1", "hall"), ventilate("0", at=iso(now_ms() - 2 * HOUR_MS))]
    await dashboard.post(deviceId="office", co2=1900)
    await dashboard.post(deviceId="hall", co2=1900)
    await analysis.serve(dashboard.page)
    await dashboard.go()
    await expect(dashboard.card("hall").locator(".tip")).to_have_count(1)
    await expect(dashboard.card("office").locator(".tip")).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_advice_is_accessible_and_fits_a_phone_in_every_language(
    browser: Browser, dashboard: Dashboard, language: str
) -> None:
    analysis = StagedAnalysis()
    analysis.advice = [ventilate("1")]
    await dashboard.post(deviceId="office", co2=1900)
    context = await browser.new_context(locale=language, viewport={"width": 360, "height": 780})
    await analysis.serve(context)
    page = await context.new_page()
    for view in ("#/", "#/device/office"):
        await show(page, f"{dashboard.base}/{view}")
        await expect(page.locator(".tip")).to_have_count(1)
        assert await violations(page) == [], view
        await expect_no_overflow(page)
    await context.close()
