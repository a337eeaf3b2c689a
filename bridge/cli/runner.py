"""What the commands share: where they print, and how a job of theirs runs."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.core.errors import BridgeError

T = TypeVar("T")

FAILED = 1

console = Console()
errors = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default config/bridge.toml if it exists.")]


def say(line: str) -> None:
    """One line as it is."""
    console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, and how to advance it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


_COLLECT_AFTER = (5_000, 100, 50)  # objects more than there were, then rounds of each generation; 700, 10, 10 by default
_SWITCH_SECONDS = 0.0001  # 0.005 by default


def run_loop(job: Coroutine[Any, Any, T]) -> T:
    """On uvloop where it installs, with the garbage collector looking less often, and threads that are let in sooner.

    What a reading leaves behind goes by its reference count. The collector, as it is set by default, walks over the readings
    that are under way again and again: 4 of 10 µs of encoding one. Were it to wait for 50,000 objects, it would hold up all
    for 45 ms once a minute at 200 readings/s; so it is 1 to 2 ms every 3 s, and a reading in a burst costs the same.

    A busy loop gives a thread its turn only after the switch interval, and SQLite's writer needs several turns for each write:
    while 1,000 clients came at once, readings were 180 ms late, with a fiftieth of that interval 30. It costs nothing that can
    be measured.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_SECONDS)
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


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Call it on SIGINT and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def run_until_stopped(job: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C ends a command that watches or sends; that is no error."""

    async def supervised() -> None:
        task = asyncio.ensure_future(job)
        on_stop_signals(task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    run_loop(supervised())
