"""The system of document 001: its accounts, imported, bridges that use them, its programs, and clients with a cookie jar."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pymongo

from bridge.app import Bridge
from bridge.settings import AccessSettings, DevicesSettings
from bridge.settings.loader import load_settings
from tests import forked
from tests.conftest import StartBridge
from tests.servers import until

FOLDER = Path(__file__).parent / "001"
ADMIN, OPERATOR = ("admin", "admin"), ("smena", "1q2w3e4r")
WAIT_SECONDS = 60.0
_ADDRESS = re.compile(r"localhost:\d+")


class Program:
    """A running program of the document, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self._process = process

    async def read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.lines.append(line.decode().rstrip())

    async def until(self, line: str) -> None:
        await until(lambda: line in self.lines, WAIT_SECONDS, what=f"{line!r} in {self.lines}")

    async def ended(self) -> list[str]:
        async with asyncio.timeout(WAIT_SECONDS):
            await self._process.wait()
        return self.lines


@asynccontextmanager
async def running(bridge: Bridge, folder: Path, name: str, *arguments: str) -> AsyncIterator[Program]:
    """Run a program of the document, with the address of the bridge in place of its own, until the context ends."""
    placed = folder / name
    placed.write_text(_ADDRESS.sub(f"127.0.0.1:{bridge.port}", (FOLDER / name).read_text("utf-8")), "utf-8")
    runner = "sh" if name.endswith(".sh") else sys.executable
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = await asyncio.create_subprocess_exec(
        runner, placed, *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    program = Program(process)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(program.read())
        try:
            yield program
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await reading


async def output_of(bridge: Bridge, folder: Path, name: str, *arguments: str) -> list[str]:
    async with running(bridge, folder, name, *arguments) as program:
        return await program.ended()


@dataclass
class System:
    """The accounts of the document's `data.json`, imported, and bridges that use them."""

    start_bridge: StartBridge
    broker_url: str
    mongo_url: str
    driver: str
    folder: Path
    printed: str = ""

    @property
    def settings_file(self) -> Path:
        return self.folder / "bridge.toml"

    async def import_data(self, *options: str, data: Path = FOLDER / "data.json") -> int:
        """Run `sensor-bridge import-users`; returns its exit code."""
        environment = os.environ | {"BRIDGE_STORE__URL": self.mongo_url, "BRIDGE_STORE__DRIVER": self.driver}
        arguments = ("import-users", str(data), "--config", str(self.settings_file), *options)
        code = await asyncio.to_thread(forked.run, self.folder, environment, *arguments)
        self.printed = "".join((self.folder / name).read_text("utf-8") for name in ("out.txt", "err.txt"))
        return code

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[Bridge]:
        devices = load_settings(self.settings_file, {}).devices if self.settings_file.exists() else DevicesSettings()
        async with self.start_bridge(
            self.broker_url,
            self.mongo_url,
            driver=self.driver,
            devices=devices,
            access=AccessSettings(mode="required"),
        ) as bridge:
            yield bridge

    def stored_users(self) -> dict[str, Any]:
        with pymongo.MongoClient[dict[str, Any]](self.mongo_url) as client:
            return {user["_id"]: user for user in client.get_default_database()["users"].find()}


class Client:
    """A client with a cookie jar that follows no redirects, as a browser (`pages`) or as a program."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession, *, pages: bool = False) -> None:
        self.base = f"http://127.0.0.1:{bridge.port}"
        self._session = session
        self._headers = {"Accept": "text/html,application/xhtml+xml"} if pages else {}

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> tuple[int, str, Any]:
        """Status, `Location` and body of the answer to a form."""
        return await self._ask("POST", path, form, headers)

    async def _ask(self, method: str, path: str, form: dict[str, str] | None, headers: dict[str, str]) -> tuple[int, str, Any]:
        sent = self._headers | {name.replace("_", "-"): text for name, text in headers.items()}
        async with self._session.request(method, self.base + path, data=form, headers=sent, allow_redirects=False) as answer:
            body = await answer.read()
            return (
                answer.status,
                answer.headers.get("Location", ""),
                orjson.loads(body) if "json" in answer.content_type else body.decode(),
            )

    async def login(self, name: str, password: str, **headers: str) -> tuple[int, str]:
        return (await self.post("/login", {"username": name, "password": password}, **headers))[:2]

    async def telemetry(self, device: str) -> Any:
        return (await self.get(f"/get_telemetry?device={device}"))[2]


@asynccontextmanager
async def client(bridge: Bridge, *, pages: bool = False) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Client(bridge, session, pages=pages)
