"""Choices are in the address: links show the same view, "back" returns to it, and public links show only their devices."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.access.leaks import LEAKS
from tests.access.parts import PASSWORD, Guarded
from tests.page.conftest import Dashboard, log_in
from tests.page.test_access import browser_context
from tests.page.test_accessibility import violations

ROOM = 40


@pytest_asyncio.fixture(loop_scope="session")
async def house(dashboard: Dashboard) -> AsyncIterator[Dashboard]:
    """Devices that fill several screens."""
    for number in range(ROOM):
        await dashboard.post(deviceId=f"room{number:02}", temperature=20 + number / 10, co2=450)
    await dashboard.post(deviceId="cellar", temperature=12)
    yield dashboard


async def elsewhere(browser: Browser, page: Page) -> Page:
    """The address of the page in a browser of another person."""
    other = await (await browser.new_context()).new_page()
    await other.goto(page.url)
    return other


async def test_address_shows_others_the_same_view_and_back_returns_to_the_list(house: Dashboard, browser: Browser) -> None:
    page = house.page
    await house.go()
    await expect(page.locator(".card")).to_have_count(ROOM + 1)
    await page.get_by_role("searchbox").fill("room")
    await expect(page.locator(".card")).to_have_count(ROOM)
    await expect(page).to_have_url(re.compile(r"#/\?q=room$"))
    card = house.card("room35").get_by_role("link").first
    await page.evaluate("addEventListener('click', () => { window.leftAt = scrollY }, { capture: true, once: true })")
    await card.click()  # scrolls to it, by a distance that differs
    await expect(page.get_by_role("heading", name="room35")).to_be_visible()
    at = float(await page.evaluate("leftAt"))
    assert at > 300
    await page.wait_for_function("scrollY === 0")
    await page.get_by_role("button", name="24 h", exact=True).click()
    await expect(page).to_have_url(re.compile(r"#/device/room35\?range=24h$"))
    other = await elsewhere(browser, page)
    await expect(other.get_by_role("button", name="24 h", exact=True)).to_have_attribute("aria-pressed", "true")

    # A fixed range is in the address too, and is not what the next device begins with.
    await page.get_by_role("button", name="Earlier").click()
    await expect(page).to_have_url(re.compile(r"range=2.*Z\.\.2.*Z$"))
    shown = await page.locator(".range-picker > p").inner_text()
    other = await elsewhere(browser, page)
    await expect(other.locator(".range-picker > p")).to_have_text(shown)

    await page.get_by_role("link", name="All devices").click()
    await expect(page).to_have_url(re.compile(r"#/\?q=room$"))
    await expect(page.locator(".card")).to_have_count(ROOM)
    await expect(card).to_be_in_viewport()
    await page.wait_for_function("at => Math.abs(scrollY - at) < 200", arg=at)
    other = await elsewhere(browser, page)
    await expect(other.get_by_role("searchbox")).to_have_value("room")
    await expect(other.locator(".card")).to_have_count(ROOM)

    await house.go("#/device/cellar")
    await expect(page.get_by_role("button", name="24 h", exact=True)).to_have_attribute("aria-pressed", "true")
    await house.go("#/feed?device=cellar&grouped=1&paused=1")
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await expect(page.locator(".group h2")).to_have_text("cellar")
    await house.go("#/alarms/history?priority=high&range=nonsense")
    await expect(page.get_by_role("combobox", name="Priority")).to_have_value("high")


async def test_public_link_shows_its_device_without_a_login_until_it_is_revoked(browser: Browser, made: Guarded) -> None:
    async with browser_context(browser, made.base) as admin, browser_context(browser, made.base) as visitor:
        await log_in(admin, "admin", PASSWORD)
        await admin.goto("/#/device/hall?range=24h")
        await admin.get_by_role("button", name="Share").click()
        dialog = admin.get_by_role("dialog", name="Share this view")
        await expect(dialog.get_by_label("Address of this view")).to_have_value(f"{made.base}/#/device/hall?range=24h")
        await expect(dialog.get_by_text("of hall only")).to_be_visible()
        await dialog.get_by_label("Valid for").select_option("30 days")
        await dialog.get_by_role("button", name="Create public link").click()
        address = await dialog.get_by_role("textbox", name="Public link").input_value()
        LEAKS.hide(address.partition("link=")[2])
        assert await violations(admin) == []

        sent: list[str] = []
        visitor.on("request", lambda request: sent.append(request.url))
        await visitor.goto("about:blank")
        await visitor.goto(address)
        await expect(visitor.get_by_role("heading", name="hall")).to_be_visible()
        await expect(visitor.locator(".banner.shared")).to_contain_text("Shared view, until")
        await expect(visitor.get_by_role("button", name="24 h", exact=True)).to_have_attribute("aria-pressed", "true")
        await expect(visitor.locator(".connection")).to_have_text("Live")
        for gone in (".account", ".bell", "#commands"):
            await expect(visitor.locator(gone)).to_have_count(0)
        reading = {"deviceId": "hall", "temperature": 33.5}
        assert (await made.as_("send", "POST", "/api/v1/readings", reading))[0] == 201
        await expect(visitor.locator(".chart").first).to_contain_text("33.5")
        assert await violations(visitor) == []

        # The token stays in the address on every page; the rest of the house is not there.
        await visitor.get_by_role("link", name="Overview").click()
        await expect(visitor.locator(".card")).to_have_count(1)
        await expect(visitor.locator(".summary")).not_to_contain_text("not known")
        await expect(visitor.locator(".summary")).not_to_contain_text("No alarm")
        await visitor.reload()
        await expect(visitor.locator(".card")).to_have_count(1)
        await visitor.evaluate("location.hash = '#/device/stove'")
        await expect(visitor.get_by_text("stove")).to_be_visible()
        await expect(visitor.locator(".chart")).to_have_count(0)
        assert not any("sbl_" in urlsplit(url).path + urlsplit(url).query for url in sent)

        await admin.get_by_role("link", name="All public links").click()
        row = admin.get_by_role("row").filter(has_text="hall")
        assert await violations(admin) == []
        await row.get_by_role("button", name="Revoke hall").click()
        await admin.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
        await expect(admin.get_by_text("There are no public links")).to_be_visible()
        await expect(visitor.get_by_role("heading", name="This link does not work")).to_be_visible()
        await visitor.get_by_role("button", name="Log in").click()
        await expect(visitor.get_by_label("Name")).to_be_visible()
