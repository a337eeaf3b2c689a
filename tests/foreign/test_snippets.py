"""The snippets of the examples' README, each run as it stands there; those for the ESP32 compiled, for there is none here."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser import chromium
from tests.foreign.clients import SCRIPTS, program, run
from tests.foreign.conftest import Stage
from tests.servers import REPO, until

README = REPO / "web" / "public" / "examples" / "README.md"
SECTIONS = ("MQTT", "HTTP", "/ws/device", "Socket.IO", "/ws", "/api/v1/ws")
LANGUAGES = ("sh", "python", "js", "html", "cpp")
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of code under a heading."""

    section: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.section} {self.language}"

    def at(self, stage: Stage) -> str:
        """With the addresses of this test's servers."""
        broker = urlsplit(stage.broker_url).netloc
        host, port = broker.split(":")
        text = self.text.replace("localhost:3000", f"127.0.0.1:{stage.bridge.port}").replace("localhost:1883", broker)
        return text.replace("-h localhost -p 1883", f"-h {host} -p {port}").replace('"localhost", 1883', f'"{host}", {port}')


def snippets(text: str) -> list[Snippet]:
    """Every block of code in Markdown."""
    found, section = [], ""
    for heading, language, block in re.findall(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        section = heading or section
        if language:
            found.append(Snippet(section, language, block))
    return found


SNIPPETS = snippets(README.read_text())


# --- running -----------------------------------------------------------------------------------------------------------

Printed = list[str]


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[Printed]:
    """What a program prints while it runs. It may go on for ever; if it ends, it must be well."""
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=REPO / "web", start_new_session=True
    )
    assert child.stdout is not None
    printed: Printed = []

    async def read(stream: asyncio.StreamReader) -> None:
        while part := await stream.read(65536):
            printed.append(part.decode(errors="replace"))
        assert await child.wait() == 0, "".join(printed)

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read(child.stdout))
        try:
            yield printed
        finally:
            reading.cancel()
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


@asynccontextmanager
async def page(stage: Stage, text: str) -> AsyncIterator[Printed]:
    """What a page of the bridge's origin prints on its console."""
    printed: Printed = []
    async with chromium() as browser:
        shown = await browser.new_page()
        shown.on("console", lambda message: printed.append(message.text))
        shown.on("pageerror", lambda error: printed.append(f"error: {error}"))
        await shown.goto(f"{stage.url}/websocket/status")
        await shown.set_content(f"<!doctype html><title>snippet</title>{text}")
        yield printed


def running(stage: Stage, snippet: Snippet) -> AbstractAsyncContextManager[Printed]:
    text = snippet.at(stage)
    match snippet.language:
        case "sh":
            return process(program("bash"), "-euo", "pipefail", "-c", text)
        case "python":
            return process(sys.executable, "-uc", text)
        case "js":
            return process(program("node", package="nodejs"), "--input-type=module", "-e", text)
        case _:
            return page(stage, text)


# --- what each must come to ----------------------------------------------------------------------------------------------


async def is_stored(stage: Stage, printed: Printed) -> None:
    await until(lambda: stage.database["readings"].find_one({"deviceId": "esp01", "temperature": 21.5}), SECONDS, "it stored")
    assert "error" not in "".join(printed)


async def is_stored_and_shown(stage: Stage, printed: Printed) -> None:
    await is_stored(stage, printed)
    await until(lambda: "21.5" in "".join(printed), SECONDS, f"shown: {printed}")


async def obeys(stage: Stage, printed: Printed) -> None:
    await is_stored(stage, printed)
    await stage.until("/api/v1/devices/esp01", status="online")
    await until(lambda: stage.bridge.health.ready)
    command = (await stage.post("/api/v1/devices/esp01/commands", '{"command": "servo1", "value": "90"}')).json
    await stage.until(f"/api/v1/devices/esp01/commands/{command['id']}", state="confirmed")
    await until(lambda: re.search("servo1.*90", "".join(printed)), SECONDS, "the command shown")


async def asks(stage: Stage, printed: Printed) -> None:
    await until(lambda: "".join(printed).count('"command":"servo1"') == 2, SECONDS, f"queued, and listed: {printed}")
    assert stage.database["commands"].count_documents({"state": "queued"}) == 1


async def hears(stage: Stage, printed: Printed) -> None:
    """It may not listen yet, so there is a reading again and again."""

    async def heard() -> bool:
        await stage.publish("sensors/esp01/data", '{"temperature": 21.5}')
        return "21.5" in "".join(printed)

    await until(heard, SECONDS, f"a reading shown: {printed}")


def purpose(snippet: Snippet) -> Callable[[Stage, Printed], Awaitable[None]]:
    by_shell = snippet.language == "sh"
    match snippet.section:
        case "MQTT":
            return is_stored if by_shell else obeys
        case "HTTP":
            return is_stored_and_shown
        case "/ws/device":
            return asks if by_shell else obeys
        case _:
            return hears


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if one.language != "cpp"], ids=str)
async def test_a_snippet_does_what_its_section_says(stage: Stage, snippet: Snippet) -> None:
    if purpose(snippet) is asks:
        await stage.post("/api/v1/devices", '{"id": "esp01"}')
    async with running(stage, snippet) as printed:
        await purpose(snippet)(stage, printed)


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if one.language == "cpp" and one.section], ids=str)
async def test_a_sketch_is_cpp_that_uses_its_libraries_as_they_are_declared(snippet: Snippet) -> None:
    """Against headers of our own, with the declarations that the sketches use."""
    first = next(one for one in SNIPPETS if not one.section)
    text = f'#include "Arduino.h"\n{first.text}\n{snippet.text}'
    options = ("-std=gnu++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror")
    await run(program("g++"), *options, "-I", str(SCRIPTS / "arduino"), "-x", "c++", "-", sent=text.encode())


def test_every_way_has_a_snippet_for_everyone_who_can_go_it() -> None:
    found: dict[str, Any] = {section: [] for section in SECTIONS}
    for one in SNIPPETS:
        if one.section:
            found[one.section].append(one.language)
    assert found == {section: list(LANGUAGES) for section in SECTIONS} | {"MQTT": [one for one in LANGUAGES if one != "html"]}
