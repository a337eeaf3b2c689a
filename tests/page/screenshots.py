"""`python -m tests.page.screenshots`: every view of a household in light, dark and phone width, to look at."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
from playwright.async_api import Browser, Page, expect

from bridge.settings import DevicesSettings
from tests.access.parts import PASSWORD, guarded
from tests.browser import chromium
from tests.page.conftest import log_in
from tests.page.household import Household
from tests.running import start_bridge
from tests.servers import REPO, mosquitto

FOLDER = REPO / "web" / "screenshots"
README = REPO / "web" / "readme"
VIEWS = {
    "overview": "#/",
    "device": "#/device/workshop",
    "meeting": "#/device/meeting",
    "kitchen": "#/device/kitchen",
    "feed": "#/feed",
    "health": "#/health",
    "nowhere": "#/device/nobody",
    "test": "test",
}
SIZES = {"light": (1280, 860), "dark": (1280, 860), "phone": (360, 780), "wall": (1920, 1080)}
LANGUAGES = ("ru", "es", "fr")


@asynccontextmanager
async def household() -> AsyncIterator[tuple[str, Household]]:
    """The address of a bridge with a household on it."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        devices = DevicesSettings.model_validate({"open": True})
        async with (
            start_bridge(broker, f"sqlite:///{folder}/bridge.db", devices=devices) as bridge,
            aiohttp.ClientSession() as session,
        ):
            base = f"http://127.0.0.1:{bridge.port}"
            rooms = Household(base, session)
            await rooms.acknowledge()
            living = asyncio.create_task(rooms.live(), name="household")
            try:
                yield base, rooms
            finally:
                living.cancel()


@asynccontextmanager
async def closed_to_strangers() -> AsyncIterator[str]:
    """The address of a bridge whose access is required, where somebody tried what he may not."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        async with guarded(start_bridge, broker, f"sqlite:///{folder}/bridge.db") as made:
            await made.as_("operator", "POST", "/api/v1/devices/hall/commands", {"command": "on", "queue": True})
            await made.as_("viewer", "GET", "/api/v1/users")
            await made.ask("GET", "/api/v1/readings", {"X-API-Key": "sbk_no"})
            await made.login("viewer", "a wrong password")
            yield made.base


@asynccontextmanager
async def window(browser: Browser, name: str, language: str = "en") -> AsyncIterator[Page]:
    """A page of that size and colours."""
    width, height = SIZES[name]
    scheme: Literal["dark", "light"] = "dark" if name == "dark" else "light"
    context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale=language)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def shoot(page: Page, url: str, file: Path, *, whole: bool = True) -> None:
    """When the view is there and its history is drawn."""
    await page.goto("about:blank")
    await page.goto(url)
    await expect(page.locator("h1").first).to_be_visible()
    await page.wait_for_load_state("networkidle" if "test" in url else "load")
    await page.wait_for_timeout(2500)
    file.parent.mkdir(exist_ok=True)
    size = page.viewport_size
    if whole and size:  # what is out of sight is not drawn, so everything is brought into sight
        height = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": size["width"], "height": height})
        await page.wait_for_timeout(700)
    await page.screenshot(path=file)
    if size:
        await page.set_viewport_size(size)


async def shoot_access(page: Page, base: str, suffix: str) -> None:
    """Before the door, and what an admin sees of those who came through."""
    await shoot(page, base, FOLDER / f"login-{suffix}.png", whole=False)
    await log_in(page, "admin", PASSWORD)
    await expect(page.locator(".account")).to_be_visible()
    await shoot(page, f"{base}/#/audit", FOLDER / f"audit-{suffix}.png", whole=False)


async def main() -> None:
    """Into `web/screenshots/`; the two of the README into `web/readme/`."""
    async with household() as (base, rooms), chromium() as browser:
        for size in SIZES:
            async with window(browser, size) as page:
                for view, where in VIEWS.items():
                    await shoot(page, f"{base}/{where}", FOLDER / f"{view}-{size}.png")
        for language in LANGUAGES:
            async with window(browser, "phone", language) as page:
                for view, where in VIEWS.items():
                    await shoot(page, f"{base}/{where}", FOLDER / f"{view}-phone-{language}.png")
        async with window(browser, "light") as page:
            await shoot(page, f"{base}/#/", README / "overview.png", whole=False)
        async with window(browser, "dark") as page:
            await shoot(page, f"{base}/#/device/meeting", README / "device.png", whole=False)
        await rooms.burn()
        for size in SIZES:
            async with window(browser, size) as page:
                await shoot(page, f"{base}/#/", FOLDER / f"alarm-{size}.png")
    async with closed_to_strangers() as base, chromium() as browser:
        for size in SIZES:
            async with window(browser, size) as page:
                await shoot_access(page, base, size)
        for language in LANGUAGES:
            async with window(browser, "phone", language) as page:
                await shoot_access(page, base, f"phone-{language}")


if __name__ == "__main__":
    asyncio.run(main())
