"""A real Chromium for the tests."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from playwright.async_api import Browser, async_playwright

from tests.servers import free_port, missing

_WHOLE = ("chromium", "chromium-browser", "google-chrome")
_WITHOUT_WINDOWS = ("chromium-headless-shell", "chrome-headless-shell")
"""Chromium without windows: the page tests take 530 s of CPU instead of 960, as windows are rendered like pages."""
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_START_SECONDS = 180.0


def environ_at_noon() -> dict[str, str]:
    """This process's environment, with a time zone where it is between 11:00 and 12:00, without summer time.

    A page shows times of yesterday with their date, and the clocks of some zones jump by an hour in the night. Here the last
    hours are always of today, at whatever time the tests run.
    """
    east_hours = 11 - datetime.now(UTC).hour
    return {**os.environ, "TZ": f"Etc/GMT{-east_hours:+d}"}  # in these names a zone east of Greenwich is negative


class SharedChromium:
    """One for all tests of a process, each of which has contexts of its own: to start one takes two seconds of CPU."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._port = free_port()
        self._error: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._runs = threading.Event()
        self._ends = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="chromium", daemon=True)
        self._thread.start()
        if not self._runs.wait(_START_SECONDS) or self._error:
            raise AssertionError(f"{program} did not start within {_START_SECONDS:g} s: {self._error}")
        atexit.register(self._end)

    async def _run(self) -> None:
        try:
            async with async_playwright() as playwright:
                arguments = [*_ARGUMENTS, f"--remote-debugging-port={self._port}"]
                browser = await playwright.chromium.launch(
                    executable_path=self._program, args=arguments, env={**environ_at_noon()}, timeout=1000 * _START_SECONDS
                )
                self._runs.set()
                await self._ends.wait()
                await browser.close()
        except Exception as error:  # of the thread, for the one that waits
            self._error = error
            self._runs.set()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(_START_SECONDS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"


_shared: dict[str, SharedChromium] = {}


def _program(whole: bool = False) -> str:
    programs = _WHOLE if whole else (*_WITHOUT_WINDOWS, *_WHOLE)
    program = next((path for name in programs if (path := shutil.which(name))), None)
    if program is None:
        missing("there is no Chromium; on Debian: apt-get install chromium")
    return program


@asynccontextmanager
async def unattended_chromium(url: str, *arguments: str) -> AsyncIterator[int]:
    """A Chromium of its own with this page, to which nothing is attached; yields the port of its DevTools protocol.

    A browser that Playwright started has its DevTools attached to every page, which keep messages of the console, requests and
    errors: the memory of such a page is not what its users have.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = (*_ARGUMENTS, *arguments, f"--remote-debugging-port={port}", f"--user-data-dir={profile}")
        nowhere = asyncio.subprocess.DEVNULL
        # In a group of its own: the program may be a shell script, whose end is not that of the browser.
        browser = await asyncio.create_subprocess_exec(
            _program(), *options, url, env=environ_at_noon(), stdout=nowhere, stderr=nowhere, start_new_session=True
        )
        try:
            yield port
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            await browser.wait()


@asynccontextmanager
async def chromium(*arguments: str, whole: bool = False) -> AsyncIterator[Browser]:
    """The one on this machine, without a screen; `arguments` are more of its options, for one of its own.

    Only the `whole` one shows notifications.
    """
    program = _program(whole)
    async with async_playwright() as playwright:
        if arguments:
            browser = await playwright.chromium.launch(
                executable_path=program, args=[*_ARGUMENTS, *arguments], env={**environ_at_noon()}
            )
        else:
            if program not in _shared:
                _shared[program] = await asyncio.to_thread(SharedChromium, program)
            browser = await playwright.chromium.connect_over_cdp(_shared[program].url)
        try:
            yield browser
        finally:
            await browser.close()
