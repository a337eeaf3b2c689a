"""`python -m tests.page.screenshots [group …]`: screenshots of every view in light, dark, phone width, 4K and at 200 % zoom."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
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
    "overview": "#/?view=cards",
    "table": "#/?view=table",
    "device": "#/device/workshop",
    "meeting": "#/device/meeting",
    "kitchen": "#/device/kitchen",
    "compare": "#/compare?measurement=temperature&range=24h&with=workshop,kitchen,meeting",
    "measurement": "#/measurement/temperature",
    "feed": "#/feed",
    "discovery": "#/discovery",
    "alarms": "#/alarms",
    "health": "#/health",
    "nowhere": "#/device/nobody",
    "test": "test",
    "reference": "api/docs",
}
PRINTED = ("overview", "table", "device", "compare", "alarms", "health")
ADMIN_VIEWS = ("people", "keys", "devices", "subscriptions", "retention", "links")
SIZES = {"light": (1280, 860), "dark": (1280, 860), "phone": (360, 780), "4k": (3840, 2160), "zoom": (640, 430)}
"""`zoom` is `light` at 200 %."""
WALL_SIZES = {"tablet": (1024, 768), "hd": (1920, 1080), "4k": (3840, 2160), "phone": (360, 780)}
TIMEOUT_MS = 90_000
LANGUAGES = ("ru", "es", "fr", "de")


@asynccontextmanager
async def household() -> AsyncIterator[tuple[str, Household]]:
    """The address of a bridge with sample data."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        devices = DevicesSettings.model_validate({"open": True})
        async with (
            start_bridge(broker, f"sqlite:///{folder}/bridge.db", devices=devices) as bridge,
            aiohttp.ClientSession() as session,
        ):
            base = f"http://127.0.0.1:{bridge.port}"
            rooms = Household(base, session)
            await rooms.populate()
            living = asyncio.create_task(rooms.live(), name="household")
            try:
                yield base, rooms
            finally:
                living.cancel()


@asynccontextmanager
async def secured_bridge() -> AsyncIterator[str]:
    """The address of a bridge that requires authentication, with refused requests in its audit log."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        async with guarded(start_bridge, broker, f"sqlite:///{folder}/bridge.db") as made:
            await made.as_("operator", "POST", "/api/v1/devices/hall/commands", {"command": "on", "queue": True})
            await made.as_("viewer", "GET", "/api/v1/users")
            await made.ask("GET", "/api/v1/readings", {"X-API-Key": "sbk_no"})
            await made.login("viewer", "a wrong password")
            for title, view in (("hall", "#/device/hall?range=24h"), ("Kitchen", "#/?view=cards&search=kitchen")):
                link = {"title": title, "view": view, "devices": ["hall", "stove"], "days": 7}
                await made.as_("admin", "POST", "/api/v1/links", link)
            yield made.base


@asynccontextmanager
async def sized_page(
    browser: Browser, name: str, language: str = "en", size: tuple[int, int] | None = None
) -> AsyncIterator[Page]:
    """A browser page with this size and colour scheme."""
    width, height = size or SIZES[name]
    scheme: Literal["dark", "light"] = "dark" if name == "dark" else "light"
    context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale=language)
    try:
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        yield page
    finally:
        await context.close()


async def capture(page: Page, url: str, file: Path, *, whole: bool = True) -> None:
    """Waits until the page and its history are drawn."""
    await page.goto("about:blank")
    await page.goto(url)
    await expect(page.locator("h1").first).to_be_visible()
    await page.wait_for_load_state("networkidle" if "test" in url else "load")
    await page.wait_for_timeout(2500)
    file.parent.mkdir(exist_ok=True)
    size = page.viewport_size
    assert size
    for _ in range(2 if whole else 0):  # off-screen content is not rendered, so the viewport covers the whole page
        height = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": size["width"], "height": height})
        await page.wait_for_timeout(700)
    await page.screenshot(path=file)
    if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        print(f"{file.name}: scrolls sideways")
    await page.set_viewport_size(size)


async def capture_auth_pages(page: Page, base: str, suffix: str) -> None:
    """The login page, the views of admins, and the audit log."""
    await capture(page, base, FOLDER / f"login-{suffix}.png", whole=False)
    await log_in(page, "admin", PASSWORD)
    await expect(page.locator(".account")).to_be_visible()
    for view in ADMIN_VIEWS:
        await capture(page, f"{base}/#/admin/{view}", FOLDER / f"admin-{view}-{suffix}.png", whole=False)
    await capture(page, f"{base}/#/audit", FOLDER / f"audit-{suffix}.png", whole=False)
    await page.goto(f"{base}/#/device/hall")
    await page.locator("header button[aria-haspopup=dialog]").first.click()
    await page.wait_for_timeout(500)
    await page.screenshot(path=FOLDER / f"share-{suffix}.png")


async def capture_wall(browser: Browser, base: str, name: str) -> None:
    """Wall mode on each kind of screen."""
    for size, pixels in WALL_SIZES.items():
        for scheme in ("dark", "light"):
            async with sized_page(browser, scheme, size=pixels) as page:
                await page.goto(f"{base}/?wall&theme={scheme}")
                await page.wait_for_timeout(2500)
                await page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}-controls.png")
                await expect(page.locator(".wall[data-used=false]")).to_be_visible()
                await page.wait_for_timeout(1000)  # the controls fade
                await page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png")


async def capture_print(browser: Browser, base: str) -> None:
    """What is printed, from dark colours; as the print dialog does, without backgrounds."""
    async with sized_page(browser, "dark") as page:
        for view in PRINTED:
            await page.goto("about:blank")
            await page.goto(f"{base}/{VIEWS[view]}")
            await page.wait_for_timeout(2500)
            await page.pdf(path=FOLDER / f"print-{view}.pdf", prefer_css_page_size=True, print_background=False)


async def capture_units(browser: Browser, base: str) -> None:
    """The choice of units, open."""
    for size in ("light", "phone"):
        async with sized_page(browser, size) as page:
            await page.goto(f"{base}/#/device/meeting")
            await page.locator(".units summary").click()
            await page.wait_for_timeout(1000)
            await page.screenshot(path=FOLDER / f"units-{size}.png")


async def capture_views(browser: Browser, base: str, size: str, languages: tuple[str, ...] = ("en",)) -> None:
    """Every view in this size."""
    for language in languages:
        suffix = size if language == "en" else f"{size}-{language}"
        async with sized_page(browser, size, language) as page:
            for view, where in VIEWS.items():
                await capture(page, f"{base}/{where}", FOLDER / f"{view}-{suffix}.png")


async def capture_alarm(browser: Browser, base: str) -> None:
    """What a fire looks like."""
    await capture_wall(browser, base, "wall-alarm")
    for size in SIZES:
        async with sized_page(browser, size) as page:
            await capture(page, f"{base}/#/", FOLDER / f"alarm-{size}.png")
            await capture(page, f"{base}/#/alarms", FOLDER / f"alarms-standing-{size}.png")


async def capture_readme(browser: Browser, base: str) -> None:
    """The two images of the README."""
    async with sized_page(browser, "light") as page:
        await capture(page, f"{base}/#/", README / "overview.png", whole=False)
    async with sized_page(browser, "dark") as page:
        await capture(page, f"{base}/#/device/meeting", README / "device.png", whole=False)


async def capture_access(browser: Browser, base: str) -> None:
    """What only a bridge that requires authentication shows."""
    for size in SIZES:
        async with sized_page(browser, size) as page:
            await capture_auth_pages(page, base, size)
    for language in LANGUAGES:
        async with sized_page(browser, "phone", language) as page:
            await capture_auth_pages(page, base, f"phone-{language}")


GROUPS: dict[str, Callable[[Browser, str], Awaitable[None]]] = {
    **{size: partial(capture_views, size=size) for size in SIZES},
    "languages": partial(capture_views, size="phone", languages=LANGUAGES),
    "wall": partial(capture_wall, name="wall"),
    "print": capture_print,
    "units": capture_units,
    "readme": capture_readme,
}
"""Of a bridge with sample data. The groups `alarm` and `access` change or need another one."""


async def main(groups: Collection[str]) -> None:
    """Writes these groups, or all, to `web/screenshots/`, and the two images of the README to `web/readme/`."""
    known = {*GROUPS, "alarm", "access"}
    if unknown := set(groups) - known:
        raise SystemExit(f"unknown groups: {', '.join(sorted(unknown))}; known are: {', '.join(sorted(known))}")
    chosen = set(groups) or known
    if chosen - {"access"}:
        async with household() as (base, rooms), chromium() as browser:
            for name in [name for name in GROUPS if name in chosen]:
                await GROUPS[name](browser, base)
            if "alarm" in chosen:
                await rooms.start_fire()
                await capture_alarm(browser, base)
    if "access" in chosen:
        async with secured_bridge() as base, chromium() as browser:
            await capture_access(browser, base)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
