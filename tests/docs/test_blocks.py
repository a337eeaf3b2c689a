"""Every block of README.md and docs/ that can run is run, in the order of its page; JSON is parsed, settings are loaded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest

from bridge.alarms.rules_file import load
from bridge.settings.loader import load_settings
from tests.browser import chromium
from tests.docs.blocks import INERT, MARKS, PAGES, PARSED, RUN, Block, blocks, wants_login
from tests.docs.site import READING, Site, publish, send_command
from tests.foreign.clients import program
from tests.servers import REPO

SECONDS = 30.0
BLOCKS = [block for page in PAGES for block in blocks(page)]
RUNNABLE = [block for block in BLOCKS if block.language in RUN and "not run" not in block.marks]

NOT_RUN = {
    "README.md": ["runs until it is stopped; the second command needs Docker"],
    "docs/access.md": ["runs until it is stopped; the other blocks of this page run against such a bridge", "needs Docker"],
    "docs/alarms.md": ["runs until it is stopped"],
    "docs/benchmarks.md": ["loads the machine for minutes"],
    "docs/cluster.md": ["needs Docker", "needs MongoDB", "needs MongoDB", "needs MongoDB", "needs MongoDB", "needs Docker"],
    "docs/getting-started.md": [
        "starts servers on the default ports and runs until it is stopped",
        "needs Docker",
        "needs a broker and a database on other hosts",
    ],
    "docs/kubernetes.md": ["needs a cluster", "needs a cluster"],
    "docs/monitoring.md": ["needs Docker"],
    "docs/operations.md": [
        "needs Docker",
        "installs a service on this machine, as root",
        "tests a bridge on another host, for ten minutes",
    ],
    "docs/sensors.md": ["listens to a broker for a minute", "waits for the next message of a Tasmota device"],
}
"""Every block that is not run, by page. One more is one more line here, for a reviewer to see."""


def name_of(page: Path) -> str:
    return str(page.relative_to(REPO))


# --- running -----------------------------------------------------------------------------------------------------------


class Shell:
    """What one reader does along one page: a folder, and the variables that earlier blocks have set."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.environ = dict(site.environ)
        self._state = folder / ".environment"

    def run(self, block: Block) -> str:
        """What it prints; it must succeed."""
        with self._started(block) as process:
            printed, _ = process.communicate(timeout=SECONDS)
        text = printed.decode(errors="replace")
        assert process.returncode == 0, f"{block} ended with {process.returncode}:\n{text}"
        if block.language == "sh":
            kept = self._state.read_bytes().decode().split("\0")
            self.environ = dict(one.split("=", 1) for one in kept if "=" in one)
        return text

    def stimulate(self, block: Block) -> str:
        """Publish readings, or send commands, until it prints what is expected of it."""
        until = block.marks.get("listens") or block.marks["obeys"]
        with self._started(block) as process:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            deadline, text = time.monotonic() + SECONDS, ""
            while not re.search(until, text, re.DOTALL):
                assert time.monotonic() < deadline, f"{block} did not print {until!r}:\n{text}"
                assert process.poll() is None, f"{block} ended:\n{text}"
                if "listens" in block.marks:
                    publish(self.site, *READING)
                else:
                    with suppress(HTTPError):  # it is not known yet
                        send_command(self.site, "esp01")
                time.sleep(0.1)
                text += (process.stdout.read() or b"").decode(errors="replace")
            return text

    @contextmanager
    def _started(self, block: Block) -> Iterator[subprocess.Popen[bytes]]:
        text = self.site.at(block.text)
        match block.language:
            case "sh":
                script = f"set -a\n{text}\nenv -0 > {self._state}"
                command = [program("bash"), "-euo", "pipefail", "-c", script]
            case "python":
                command = [sys.executable, "-uc", text]
            case _:
                command = [program("node", package="nodejs"), "--input-type=module", "-e", text]
        folder = REPO / "web" if block.language == "js" else self.folder  # where Node finds its packages
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, env=self.environ, cwd=folder, start_new_session=True, **output) as process:  # type: ignore[call-overload]
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


async def in_a_browser(site: Site, block: Block, until: str) -> None:
    """A page of the bridge's origin, which prints on its console."""
    printed: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(f"error: {error}"))
        await page.goto(f"{site.url}/websocket/status")
        await page.set_content(f"<!doctype html><title>docs</title>{site.at(block.text)}")
        deadline = time.monotonic() + SECONDS
        while not re.search(until, "\n".join(printed)):
            assert time.monotonic() < deadline, f"{block} did not print {until!r}: {printed}"
            await asyncio.to_thread(publish, site, *READING)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.page == page for block in RUNNABLE)], ids=name_of)
def test_every_block_of_a_page_runs_as_it_stands(page: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    site: Site = request.getfixturevalue("required_site" if wants_login(page) else "open_site")
    shell = Shell(site, tmp_path)
    for block in (one for one in RUNNABLE if one.page == page):
        if block.language == "html":
            asyncio.run(in_a_browser(site, block, block.marks["listens"]))
        elif {"listens", "obeys"} & block.marks.keys():
            shell.stimulate(block)
        else:
            printed = shell.run(block)
            wanted = block.marks.get("prints", "")
            assert re.search(wanted, printed, re.DOTALL), f"{block} did not print {wanted!r}:\n{printed}"


# --- what is not run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    """One value, or several, one after the other."""
    decoder, rest = json.JSONDecoder(), block.text.strip()
    while rest:
        _, end = decoder.raw_decode(rest)
        rest = rest[end:].strip()


RULES_PAGES = ("actions.md", "alarms.md")
TOML = [block for block in BLOCKS if block.language == "toml"]


@pytest.mark.parametrize("block", [one for one in TOML if one.page.name in RULES_PAGES], ids=str)
def test_rules_load(block: Block) -> None:
    load(block.text)


@pytest.mark.parametrize("block", [one for one in TOML if one.page.name not in RULES_PAGES], ids=str)
def test_settings_load(block: Block, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(block.text)
    load_settings(tmp_path / "bridge.toml", {})


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_has_a_known_language_and_known_marks(block: Block) -> None:
    assert block.language in (*RUN, *PARSED, *INERT)
    assert set(block.marks) <= set(MARKS)
    assert not block.marks or block.language in RUN, "only a block that runs is marked"


def test_the_blocks_that_are_not_run_are_these() -> None:
    found: dict[str, list[str]] = {}
    for block in BLOCKS:
        if "not run" in block.marks:
            found.setdefault(name_of(block.page), []).append(block.marks["not run"])
    assert found == NOT_RUN
