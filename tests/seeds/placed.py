"""The programs of a document, run as they are: only the address of the server is changed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page

from bridge.app import Bridge
from tests.seeds.rows import FOLDER
from tests.servers import REPO, until

_ADDRESS = re.compile(r"localhost:\d+")


def placed(program: str, address: str, folder: Path) -> Path:
    """A copy of `<number>/<name>` with this address instead of its own."""
    text = (FOLDER / program).read_text("utf-8")
    assert len(set(_ADDRESS.findall(text))) == 1, "one server"
    copy = folder / Path(program).name
    copy.write_text(_ADDRESS.sub(address, text), "utf-8")
    return copy


def address_of(bridge: Bridge) -> str:
    return f"localhost:{bridge.port}"


class Running:
    """A running program, and the lines that it has printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended = False

    async def until(self, condition: Callable[[list[str]], object], what: str = "output") -> None:
        await until(lambda: condition(self.lines), what=f"{what} in {self.lines}")


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[Running]:
    """Run a program until the context ends. Node finds the packages of the page."""
    environment = os.environ | {"NODE_PATH": str(REPO / "web" / "node_modules"), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    program = Running()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read(process, program))
        try:
            yield program
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await reading


async def _read(process: asyncio.subprocess.Process, program: Running) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        program.lines.append(line.decode().rstrip())
    program.ended = True


@asynccontextmanager
async def opened_from_disk(browser: Browser, file: Path) -> AsyncIterator[Page]:
    """A page as by a double click. The test fails on a mistake of its script."""
    page, mistakes = await browser.new_page(), list[str]()
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    await page.goto(file.as_uri())
    try:
        yield page
    finally:
        await page.close()
    assert mistakes == []


@asynccontextmanager
async def live_server(folder: Path) -> AsyncIterator[str]:
    """A development server for the pages of a folder, on a port of its own; yields its address."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
