"""A newcomer: a folder, a shell, a browser; what they did, and what made them stumble."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from playwright.async_api import ConsoleMessage, Locator, Page, Response, expect
from playwright.async_api import Error as PlaywrightError

from tests.docs.site import Site
from tests.newcomer.commands import Command
from tests.servers import START_SECONDS

Role = Literal["button", "link", "checkbox", "combobox", "heading", "img", "region", "textbox", "row", "table", "status"]

PATIENCE_SECONDS = 10.0
"""A user who waits longer believes that it does not work; longer for a start, which prints what it does."""

_START_PATIENCE_SECONDS = 60.0

_DEADLINE_SECONDS = 60.0
_SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_DEAD_ENDS = re.compile(r"There is no such page|Page not found|could not be loaded|No readings in this time range")
_EXPECTED = re.compile(r"Failed to load resource|ERR_CONNECTION_REFUSED")  # the second while the bridge is restarted
_BROKEN = re.compile(r"Traceback|command not found|No such file")


class Newcomer:
    """Runs documented commands in one folder and uses one page of a browser. Counts steps, collects stumbles."""

    def __init__(self, folder: Path, site: Site, page: Page, *, default_ports: bool) -> None:
        self.folder, self.site, self.page = folder, site, page
        self.url = f"http://localhost:{site.port}"
        self.steps = 0
        self.stumbles: list[str] = []
        self.environ = {**site.environ}
        self.places: dict[str, str] = {}
        """Places of an example, such as `broker:1883`, and those that are meant here."""
        self._default_ports = default_ports
        self._service: asyncio.subprocess.Process | None = None
        self._printed = ""
        self._reading: asyncio.Task[None] | None = None
        page.set_default_timeout(_DEADLINE_SECONDS * 1000)
        self.watch(page)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.stop()

    def use_broker(self, port: int) -> None:
        """Let mosquitto's clients use this one, as their options `-h` and `-p` would."""
        for client in ("mosquitto_pub", "mosquitto_sub"):
            (self.folder.parent / client).write_text(f"-h 127.0.0.1\n-p {port}\n")

    # --- shell -------------------------------------------------------------------------------------------------------------

    async def run(self, command: Command, wanted: str = "") -> str:
        """Run to the end, and look for `wanted` in what it prints. What it exports stays."""
        kept = self.folder / ".environment"
        process = await self._spawn(f"set -a\n{self._text(command)}\nenv -0 > {kept}")
        async with asyncio.timeout(_DEADLINE_SECONDS):
            printed = (await process.communicate())[0].decode(errors="replace")
        assert process.returncode == 0, f"{command.text!r} ended with {process.returncode}:\n{printed}"
        pairs = (one.split("=", 1) for one in kept.read_bytes().decode().split("\0") if "=" in one)
        self.environ = {name: value for name, value in pairs if name not in ("SHLVL", "_")}
        self._read(command, printed, wanted)
        return printed

    async def start(self, command: Command, until: str) -> str:
        """Start what runs until it is stopped, and wait until it has printed `until`."""
        await self.stop()
        self._printed = ""
        process = self._service = await self._spawn(f"exec env {self._text(command)}")
        self._reading = asyncio.create_task(self._follow(process))
        async with self._patience(f"{command.text!r} to print {until!r}", _START_PATIENCE_SECONDS):
            while not re.search(until, self._printed):
                assert process.returncode is None, f"{command.text!r} ended:\n{self._printed}"
                await asyncio.sleep(0.05)
        self._read(command, self._printed, until)
        return self._printed

    async def stop(self) -> None:
        """Press Ctrl-C, if something runs."""
        if (process := self._service) is None:
            return
        self._service = None
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(START_SECONDS):
                code = await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            self.stumbles.append("Ctrl-C does not stop it")
            return
        if self._reading is not None:
            await self._reading
        if code not in (0, 130, -signal.SIGINT) or _BROKEN.search(self._printed):
            self.stumbles.append(f"it ended with {code}: {self._printed[-500:]}")

    async def _spawn(self, script: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=self.folder,
            env=self.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while part := await process.stdout.read(65536):
            self._printed += part.decode(errors="replace")

    def _text(self, command: Command) -> str:
        assert command.is_documented, f"{command.page} does not have {command.text!r}"
        text = command.text
        for place, ours in self.places.items():
            text = text.replace(place, ours)
        return text if self._default_ports else self.site.at(text)

    def _read(self, command: Command, printed: str, wanted: str) -> None:
        self.steps += 1
        assert re.search(wanted, printed, re.DOTALL), f"{command.text!r} did not print {wanted!r}:\n{printed}"
        if broken := _BROKEN.search(printed):
            self.stumbles.append(f"{command.text!r} printed {broken[0]!r}")

    # --- browser -----------------------------------------------------------------------------------------------------------

    def watch(self, page: Page) -> None:
        """Note what a page complains about."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.stumbles.append(f"error in the page: {error}"))
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _EXPECTED.search(message.text):
            self.stumbles.append(f"console: {message.text}")

    def _on_response(self, response: Response) -> None:
        is_login = response.status == 401  # a page asks whether somebody is logged in
        is_stopped = response.status == 503 and (self._service is None or "/health" in response.url)  # which asks just that
        if response.status >= 400 and not is_login and not is_stopped:
            self.stumbles.append(f"{response.status} {response.request.method} {response.url.split('?')[0]}")

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self._look()

    async def press(self, role: Role, name: str | re.Pattern[str], inside: Locator | None = None) -> None:
        await self._wait_for(self.find(role, name, inside))
        await self.find(role, name, inside).click()
        await self._look()

    async def unfold(self, summary: Locator) -> None:
        """Press the summary of a `details`, for which Playwright has no role."""
        await self._wait_for(summary)
        await summary.click()
        await self._look()

    async def fill(self, label: str, text: str) -> None:
        await self.page.get_by_label(label, exact=True).fill(text)
        await self._look()

    async def choose(self, label: str, option: str) -> None:
        await self.find("combobox", label).select_option(label=option)
        await self._look()

    async def see(self, what: Locator, text: str | re.Pattern[str] | None = None) -> None:
        """Wait until it is visible, and has this text."""
        await self._wait_for(what)
        if text is not None:
            async with self._patience(f"the text {text!r}"):
                await expect(what).to_contain_text(text, timeout=_DEADLINE_SECONDS * 1000)
        await self._look(is_step=False)

    def find(self, role: Role, name: str | re.Pattern[str], inside: Locator | None = None) -> Locator:
        """By role and visible name, all of it if it is a text."""
        return (inside or self.page.locator("body")).get_by_role(role, name=name, exact=isinstance(name, str)).first

    async def _wait_for(self, what: Locator) -> None:
        async with self._patience(str(what)):
            await what.wait_for()

    async def _look(self, *, is_step: bool = True) -> None:
        self.steps += is_step
        with suppress(PlaywrightError):  # another page is being loaded
            if dead_end := _DEAD_ENDS.search(await self.page.locator("body").inner_text()):
                self._note(f"{dead_end[0]!r} at {self.page.url}")
            if await self.page.evaluate(_SIDEWAYS):
                self._note(f"sideways scrolling at {self.page.url}")

    def _note(self, stumble: str) -> None:
        if stumble not in self.stumbles:
            self.stumbles.append(stumble)

    def _patience(self, what: str, seconds: float = PATIENCE_SECONDS) -> _Patience:
        return _Patience(self, what, seconds)


class _Patience:
    """Fails after the deadline; what takes longer than a newcomer's patience is a stumble."""

    def __init__(self, newcomer: Newcomer, what: str, seconds: float) -> None:
        self._newcomer, self._what, self._seconds = newcomer, what, seconds
        self._timeout = asyncio.timeout(_DEADLINE_SECONDS)

    async def __aenter__(self) -> None:
        self._began = asyncio.get_running_loop().time()
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self._timeout.__aexit__(kind, error, at)
        seconds = asyncio.get_running_loop().time() - self._began
        if seconds > self._seconds:
            self._newcomer.stumbles.append(f"waited {seconds:.0f} s for {self._what}")
