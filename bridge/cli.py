"""The command line: one function a command, each a few lines over the part that does the work."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge import __version__
from bridge.core.errors import BridgeError, SettingsError
from bridge.settings import Settings, load_settings

FAILED, WRONG_SETTINGS = 1, 2

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console()
errors = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default config/bridge.toml if it exists.")]


def main() -> None:
    """Run a command; what goes wrong on purpose is one clear message and an exit code, never a traceback."""
    try:
        app()
    except SettingsError as error:
        errors.print("wrong settings", style="bold red")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(WRONG_SETTINGS)
    except BridgeError as error:
        errors.print(str(error), style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(FAILED)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the bridge: MQTT in, the store, Socket.IO and HTTP out."""
    from bridge.app import Bridge

    settings = load_settings(config)
    _log_to_stderr(settings)

    async def bridge() -> None:
        running = Bridge(settings)
        _on_stop_signals(running.stop)
        await running.run()

    _run_loop(bridge())


@app.command()
def demo(
    config: ConfigOption = None,
    data: Annotated[Path, typer.Option(help="Folder of the database and the broker's files.")] = Path("data"),
    sensors: Annotated[int, typer.Option(min=0, max=1000, help="Simulated sensors.")] = 3,
) -> None:
    """Try the bridge with nothing installed: a broker, a SQLite store and simulated sensors in one process."""
    from bridge.demo import run_demo

    defaults = {"mqtt": {"url": "mqtt://127.0.0.1:1883"}, "store": {"url": f"sqlite:///{data / 'bridge.db'}"}}
    settings = load_settings(config, defaults=defaults)
    _log_to_stderr(settings)

    async def demonstration() -> None:
        stop = asyncio.Event()
        _on_stop_signals(stop.set)
        await run_demo(settings, data=data, sensors=sensors, stop=stop, say=_say)

    _run_loop(demonstration())


@app.command()
def simulate(
    config: ConfigOption = None,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices.")] = 3,
    rate: Annotated[float, typer.Option(min=0.001, max=100_000, help="Readings a second, over all devices.")] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many readings.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same air.")] = None,
) -> None:
    """Publish believable readings to the broker of the settings, until Ctrl-C or COUNT."""
    from bridge.simulator import simulate as publish

    settings = load_settings(config)
    seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - not a secret
    console.print(f"{devices} devices, {rate:g} readings/s to {settings.mqtt.address}, seed {seed}; Ctrl-C stops")
    columns = (TextColumn("{task.completed:,} readings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*(columns if count else columns[:1]), console=console) as progress:
        task = progress.add_task("", total=count)
        job = publish(settings.mqtt, devices=devices, rate=rate, count=count, seed=seed, sent=lambda _: progress.advance(task))
        _run_until_stopped(job)


@app.command()
def tail(
    url: Annotated[str, typer.Option(help="A running bridge.")] = "http://localhost:3000",
    plain: Annotated[bool, typer.Option(help="One JSON line a reading, for pipes.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many readings.")] = None,
) -> None:
    """Watch readings as they come, from a running bridge's Socket.IO."""
    from bridge.tail import tail as watch

    _run_until_stopped(watch(url, console, plain=plain or not console.is_terminal, count=count))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Test settings, broker, database and port one by one, and say how to mend what fails."""
    from bridge.check import check as examine

    sys.exit(FAILED if asyncio.run(examine(config, console)) else 0)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__, highlight=False)


def _say(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=settings.log.level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    for chatty in ("socketio", "engineio", "aiohttp.access", "pymongo", "bridge.sources.mqtt.client"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _run_loop(job: Coroutine[Any, Any, None]) -> None:
    """On uvloop where it installs."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(job)
        except* BridgeError as group:
            raise group.exceptions[0] from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def _on_stop_signals(stop: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _run_until_stopped(job: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C ends a command that watches or sends; that is no error."""

    async def supervised() -> None:
        task = asyncio.ensure_future(job)
        _on_stop_signals(task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    _run_loop(supervised())
