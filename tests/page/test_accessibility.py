"""Who can use the page: by keyboard, with a screen reader, in any colours, as an installed one, under a strict policy."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Route, expect

from bridge.app import Bridge
from tests.page.conftest import LANGUAGES, WAIT_MS, Seen
from tests.servers import REPO

AXE = REPO / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("#/", "#/device/meeting", "#/feed", "#/health", "#/device/nobody", "test")
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'"
)


async def fill(seen: Seen) -> None:
    """Something of all that is shown: good and bad air, a flag, an alarm, a rejected message, a device that was never heard."""
    await seen.post(deviceId="meeting", co2=2500, temperature=21.5, humidity=103, pm25=12, flameDetected=False)
    await seen.post(deviceId="attic", temperature=20, battery=4, tvoc=900)
    await seen.post(deviceId="boiler", temperature=60, ch4Ppm=9500)
    async with seen.session.post(f"{seen.base}/api/v1/devices", json={"id": "esp01", "site": "Home", "room": "Hall"}):
        pass
    async with seen.session.post(f"{seen.base}/api/v1/readings", json={"deviceId": "attic", "colour": "red"}):
        pass


async def violations(page: Page) -> list[str]:
    """What axe finds of serious or critical, each with where. It comes in as no script of the page could, by its policy."""
    await page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = await page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_on_any_view(browser: Browser, seen: Seen, scheme: Any, language: str) -> None:
    await fill(seen)
    context = await browser.new_context(color_scheme=scheme, locale=language)
    page = await context.new_page()
    for view in VIEWS:
        await page.goto("about:blank")
        await page.goto(f"{seen.base}/{view}")
        await expect(page.locator("main h1").first).to_be_visible()
        assert await violations(page) == [], view
    await context.close()


async def test_everything_is_reached_by_keyboard_alone(seen: Seen) -> None:
    """From the skip link to a card, its charts and back; where the focus is can always be seen."""
    await fill(seen)
    await seen.go()
    await expect(seen.card("attic")).to_be_visible()
    page, focused = seen.page, seen.page.locator(":focus")
    await page.keyboard.press("Tab")
    await expect(focused).to_have_text("Skip to content")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await tab_to(page, "attic")
    await expect(page.locator(".card:has(:focus)")).to_have_css("outline-style", "solid")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("attic")
    await tab_to(page, "6 h")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="6 h")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("region", name="Charts").focus()
    await page.keyboard.press("ArrowLeft")
    await tab_to(page, "Back to live")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Back to live")).to_have_count(0)
    await tab_to(page, "Send")
    await page.evaluate("document.querySelector('.bar a').focus()")
    await tab_to(page, "Health")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="The bridge is healthy")).to_be_visible()
    await tab_to(page, "Retry all")


async def tab_to(page: Page, text: str) -> None:
    """By the tab key, past no more than a screen reader's user would bear; each stop has an outline somewhere."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        said = await page.evaluate("document.activeElement.textContent || document.activeElement.ariaLabel || ''")
        if str(said).strip() == text:
            return
    raise AssertionError(f"{text!r} is not reached by the tab key")


async def test_a_reading_is_on_the_page_within_two_seconds(seen: Seen) -> None:
    await seen.post(deviceId="kitchen", temperature=1)
    await seen.go()
    await expect(seen.card("kitchen").locator(".figure")).to_have_text("1.0")
    await seen.post(deviceId="kitchen", temperature=2)
    await expect(seen.card("kitchen").locator(".figure")).to_have_text("2.0", timeout=2000)


async def test_nothing_breaks_under_a_strict_policy(seen: Seen) -> None:
    refused: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            refused.append(message.text)

    async def strict(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": STRICT})

    seen.page.on("console", hear)
    await seen.page.route(re.compile(r"/(test)?$"), strict)
    await fill(seen)
    for view in VIEWS:
        await seen.page.goto("about:blank")
        await seen.go(view)
        await expect(seen.page.locator("main h1").first).to_be_visible()
    await seen.go("#/device/meeting")
    await expect(seen.page.locator(".u-over").first).to_be_visible()
    assert refused == []


async def test_it_is_installable_and_says_when_the_bridge_is_away(bridge: Bridge, seen: Seen) -> None:
    await seen.go()
    await seen.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    address = await seen.page.locator("link[rel=manifest]").evaluate("link => link.href")
    async with seen.session.get(address) as answer:
        assert answer.content_type == "application/manifest+json"
        manifest = await answer.json()
    for icon in manifest["icons"]:
        async with seen.session.get(f"{seen.base}/{icon['src']}") as answer:
            assert answer.status == 200
            assert answer.content_type == icon["type"]
    controlled = "navigator.serviceWorker.controller !== null"
    await seen.page.wait_for_function(controlled)
    bridge.stop()
    async with asyncio.timeout(WAIT_MS / 1000):
        while await answers(seen):
            await asyncio.sleep(0.05)
    await seen.page.reload()
    await expect(seen.page.get_by_role("heading", name="The bridge is unreachable")).to_be_visible()


async def answers(seen: Seen) -> bool:
    """The bridge takes connections."""
    try:
        async with seen.session.get(f"{seen.base}/health/live"):
            return True
    except OSError:
        return False
