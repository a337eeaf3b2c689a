"""What every test of the page has: a bridge, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from bridge.app import Bridge
from bridge.settings import DevicesSettings, HttpSettings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.servers import free_port

OPEN = DevicesSettings.model_validate({"open": True})
WAIT_MS = 15_000
LANGUAGES = ("en", "ru", "es", "fr")
expect.set_options(timeout=WAIT_MS)


class Seen:
    """A page that is open, and the bridge it shows. What the page complains of is a failure."""

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
    """In any language."""
    await page.locator("[name=username]").fill(name)
    await page.locator("[name=password]").fill(password)
    await page.locator("[type=submit]").click()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
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


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def window(browser: Browser, port: int) -> AsyncIterator[Seen]:
    """A browser, whether there is a bridge or not."""
    async with aiohttp.ClientSession() as session:
        seen = Seen(await browser.new_page(), port, session)
        yield seen
        assert seen.errors == []


@pytest.fixture
def seen(bridge: Bridge, window: Seen) -> Seen:  # noqa: ARG001 - it runs
    return window
