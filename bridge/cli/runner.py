"""Shared by the commands: consoles, options, and running an asyncio job."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from bridge.core.errors import BridgeError
from bridge.tools.stop_signals import on_stop_signals
from bridge.tools.terminal import PlainConsole, printable

T = TypeVar("T")

FAILED = 1
WRONG_SETTINGS = 2

console = PlainConsole()
errors = PlainConsole(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file. Default: config/bridge.toml if it exists.")]


def print_line(text: str, to: Console = console, style: str | None = None) -> None:
    """Print text without wrapping, markup, highlighting or control characters."""
    to.print(Text(printable(text, "\n\t")), style=style, soft_wrap=True)


def unusable_folder() -> str | None:
    """Return why relative paths cannot be used in the working folder and what to do; None if they can."""
    try:
        folder = os.getcwd()  # noqa: PTH109 - `Path.cwd` is the same
    except OSError:
        return "the working folder was removed: start the command in another folder"
    if os.access(folder, os.X_OK):
        return None
    return f"the working folder {folder} must not be read by this user: start the command in another folder"


_GC_THRESHOLDS = (5_000, 100, 50)  # new objects, then rounds of each generation; Python's default is 700, 10, 10
_SWITCH_INTERVAL_SECONDS = 0.0001  # Python's default is 0.005


def run_loop(job: Coroutine[Any, Any, T]) -> T:
    """Run `job` on uvloop where it is installed, with fewer garbage collections and a shorter thread switch interval.

    Reference counting frees the objects of a reading. With the default thresholds the collector walks over the readings in
    flight again and again: 4 of the 10 µs of encoding one. With a threshold of 50,000 objects it would block the loop for 45 ms
    once a minute at 200 readings/s. With these thresholds it blocks for 1 to 2 ms every 3 s, and a burst costs the same.

    A busy loop yields to other threads only after the switch interval, and SQLite's writer thread needs several turns per
    write: while 1,000 clients connected at once, readings were 180 ms late, with a fiftieth of the interval 30 ms. The shorter
    interval has no measurable cost.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(job)
        except* BridgeError as group:
            raise group.exceptions[0] from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def run_until_stopped(job: Coroutine[Any, Any, None]) -> None:
    """Run a job that a stop signal ends without an error."""

    async def supervised() -> None:
        task = asyncio.ensure_future(job)
        on_stop_signals(task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    run_loop(supervised())
