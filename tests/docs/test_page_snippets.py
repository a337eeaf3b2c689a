"""The snippet for browsers in README.md, as it stands there, in pages that are not the bridge's own."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.docs.blocks import Block, blocks
from tests.docs.site import READING, Site, publish
from tests.servers import REPO

SECONDS = 60.0
[SNIPPET] = [block for block in blocks(REPO / "README.md") if block.language == "html"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def saved(open_site: Site, tmp_path: Path) -> Path:
    """A file with the snippet and nothing else."""
    file = tmp_path / "readings.html"
    file.write_text(open_site.at(SNIPPET.text), "utf-8")
    return file


@pytest.fixture
def other_port(saved: Path) -> Iterator[str]:
    """The address of the file on a server of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=saved.parent))
    thread = threading.Thread(target=server.serve_forever, name="other port")
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/{saved.name}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def show_readings(site: Site, address: str, snippet: Block) -> None:
    """Open a page, and publish until it prints what the block promises."""
    printed: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(f"error: {error}"))
        await page.goto(address)
        deadline = time.monotonic() + SECONDS
        while not re.search(snippet.marks["listens"], "\n".join(printed)):
            assert time.monotonic() < deadline, f"{address} printed {printed}"
            await asyncio.to_thread(publish, site, *READING)
            await asyncio.sleep(0.05)
        await page.close()


def test_snippet_of_the_readme_receives_readings_in_a_page_opened_from_a_file(open_site: Site, saved: Path) -> None:
    asyncio.run(show_readings(open_site, saved.as_uri(), SNIPPET))


def test_snippet_of_the_readme_receives_readings_in_a_page_of_another_port(open_site: Site, other_port: str) -> None:
    asyncio.run(show_readings(open_site, other_port, SNIPPET))
