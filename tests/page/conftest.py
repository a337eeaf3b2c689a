"""Fixtures of the page tests: a bridge, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from bridge.app import Bridge
from bridge.settings import DevicesSettings, HttpSettings
from tests.access.parts import Guarded, guarded
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.servers import free_port, until

OPEN = DevicesSettings.model_validate({"open": True})
WAIT_MS = 30_000
LANGUAGES = ("en", "ru", "es", "fr", "de")
expect.set_options(timeout=WAIT_MS)


class Dashboard:
    """An open page and its bridge. The test fails on any JavaScript error."""

    def __init__(self, page: Page, port: int, session: aiohttp.ClientSession) -> None:
        self.page = page
        self.base = f"http://127.0.0.1:{port}"
        self.session = session
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_default_timeout(WAIT_MS)

    async def post(self, **reading: object) -> None:
        async with self.session.post(f"{self.base}/api/v1/readings", json=reading) as answer:
            assert answer.status == 201, await answer.text()

    async def go(self, where: str = "#/") -> None:
        await self.page.goto(f"{self.base}/{where}")

    def card(self, name: str) -> Any:
        return self.page.locator(".card").filter(has_text=name)


async def log_in(page: Page, name: str, password: str) -> None:
    """Works in every language."""
    await page.locator("[name=username]").fill(name)
    await page.locator("[name=password]").fill(password)
    await page.locator("[type=submit]").click()


async def expect_no_overflow(page: Page) -> None:
    """Wait until the page is no wider than the screen: charts follow a new size a moment later."""

    async def fits() -> bool:
        return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))

    await until(fits, WAIT_MS / 1000, f"no overflow of {page.url}")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest_asyncio.fixture(loop_scope="session")
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int) -> AsyncIterator[Bridge]:
    async with running(start_bridge, broker_url, tmp_path, port) as bridge:
        yield bridge


@asynccontextmanager
async def running(start_bridge: StartBridge, broker_url: str, tmp_path: Path, port: int) -> AsyncIterator[Bridge]:
    store = f"sqlite:///{tmp_path}/bridge.db"
    async with start_bridge(
        broker_url, store, http=HttpSettings(port=port), devices=OPEN, client_id=f"bridge-{port}"
    ) as bridge:
        yield bridge


@pytest_asyncio.fixture(loop_scope="session")
async def made(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    """A bridge with users of every role, and devices."""
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests in one event loop, so that they share Playwright: to start it takes half a second of CPU."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def browser(shared_browser: Browser) -> AsyncIterator[Browser]:
    """Without contexts of a test before."""
    before = set(shared_browser.contexts)
    yield shared_browser
    for context in set(shared_browser.contexts) - before:
        await close(context)


async def close(context: BrowserContext) -> None:
    """Close a context whose requests may still be in the hands of the test."""
    for page in context.pages:
        await page.unroute_all(behavior="ignoreErrors")
    await context.unroute_all(behavior="ignoreErrors")
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser_page(browser: Browser, port: int) -> AsyncIterator[Dashboard]:
    """A browser page; the bridge may not be running."""
    async with aiohttp.ClientSession() as session:
        dashboard = Dashboard(await browser.new_page(), port, session)
        yield dashboard
        assert dashboard.errors == []


@pytest.fixture
def dashboard(bridge: Bridge, browser_page: Dashboard) -> Dashboard:  # noqa: ARG001 - must be running
    return browser_page
