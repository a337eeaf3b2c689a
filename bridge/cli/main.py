"""The command line: one function a command, each a few lines over the part that does the work."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge import __version__
from bridge.cli import data, devices, users
from bridge.cli.runner import FAILED, ConfigOption, console, errors, on_stop_signals, run_loop, run_until_stopped, say
from bridge.core.errors import BridgeError, SettingsError
from bridge.core.formats.registry import FormatName
from bridge.settings import Settings
from bridge.settings.loader import load_settings

WRONG_SETTINGS = 2

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(data.rejected, name="rejected")
app.add_typer(users.users, name="user")
app.add_typer(users.keys, name="key")
app.add_typer(devices.devices, name="device")

TokenOption = Annotated[
    str | None,
    typer.Option("--token", envvar="BRIDGE_TOKEN", help="A token or key, where access is required; better not as an argument."),
]
TokenFileOption = Annotated[Path | None, typer.Option("--token-file", help="A file that holds it.")]


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
        on_stop_signals(running.stop)
        await running.run()
        # All is closed and said. Python would still wait for threads of the drivers, which wait for a server that is away.
        logging.shutdown()
        os._exit(0)

    run_loop(bridge())


@app.command()
def demo(
    config: ConfigOption = None,
    data: Annotated[Path, typer.Option(help="Folder of the database and the broker's files.")] = Path("data"),
    sensors: Annotated[int, typer.Option(min=0, max=1000, help="Simulated sensors.")] = 3,
) -> None:
    """Try the bridge with nothing installed: a broker, a SQLite store and simulated sensors in one process."""
    from bridge.cli.demo import run_demo

    defaults = {"mqtt": {"url": "mqtt://127.0.0.1:1883"}, "store": {"url": f"sqlite:///{data / 'bridge.db'}"}}
    settings = load_settings(config, defaults=defaults)
    _log_to_stderr(settings)

    async def demonstration() -> None:
        stop = asyncio.Event()
        on_stop_signals(stop.set)
        await run_demo(settings, data=data, sensors=sensors, stop=stop, say=say)

    run_loop(demonstration())


@app.command()
def simulate(
    config: ConfigOption = None,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices.")] = 3,
    rate: Annotated[float, typer.Option(min=0.001, max=100_000, help="Readings a second, over all devices.")] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many readings.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same air.")] = None,
) -> None:
    """Publish believable readings to the broker of the settings, until Ctrl-C or COUNT."""
    from bridge.tools.simulator import simulate as publish

    settings = load_settings(config)
    seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - not a secret
    console.print(f"{devices} devices, {rate:g} readings/s to {settings.mqtt.address}, seed {seed}; Ctrl-C stops")
    columns = (TextColumn("{task.completed:,} readings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*(columns if count else columns[:1]), console=console) as progress:
        task = progress.add_task("", total=count)
        job = publish(settings.mqtt, devices=devices, rate=rate, count=count, seed=seed, sent=lambda _: progress.advance(task))
        run_until_stopped(job)


@app.command()
def tail(
    url: Annotated[str, typer.Option(help="A running bridge.")] = "http://localhost:3000",
    plain: Annotated[bool, typer.Option(help="One JSON line a reading, for pipes.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many readings.")] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Watch readings as they come, from a running bridge's Socket.IO."""
    from bridge.tools.api_client import read_token
    from bridge.tools.tail import tail as watch

    shown = read_token(token, token_file)
    run_until_stopped(watch(url, console, plain=plain or not console.is_terminal, count=count, token=shown))


@app.command()
def command(
    device: Annotated[str, typer.Argument(help="Its id.")],
    name: Annotated[str, typer.Argument(help="What to do, in the device's own words.")],
    value: Annotated[str | None, typer.Argument(help="With what.")] = None,
    url: Annotated[str, typer.Option(help="A running bridge.")] = "http://localhost:3000",
    queue: Annotated[bool, typer.Option("--queue", help="Let it wait if the device is offline.")] = False,
    expires: Annotated[float | None, typer.Option(min=0.1, help="How long it is worth sending, in seconds.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Wait so many seconds for the device's answer.")] = 0.0,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Send a device a command, by a running bridge."""
    from bridge.tools.api_client import read_token, send_command

    asked = {"command": name, "value": value, "queue": queue, "expires": expires}
    body = {key: one for key, one in asked.items() if one is not None}
    sent = run_loop(send_command(url, device, body, wait, read_token(token, token_file)))
    console.print(f"{sent['id']} {sent['state']}" + (f": {sent['error']}" if "error" in sent else ""), markup=False)
    if sent["state"] in ("failed", "expired"):
        sys.exit(FAILED)


@app.command()
def bench(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO ...", help="Default: burst steady. --list describes all.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Name and describe the scenarios.")] = False,
    clients: Annotated[list[int] | None, typer.Option(min=1, max=50_000, help="May be repeated.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, max=100_000, help="Readings a second.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Readings at once.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, max=3600, help="How long the rate is held.")] = None,
    rooms: Annotated[int | None, typer.Option(min=1, max=1000, help="Devices.")] = None,
    stalled: Annotated[int | None, typer.Option(min=1, max=5000, help="Clients of all that stop reading.")] = None,
    way: Annotated[str | None, typer.Option(help="How clients hear: socketio, topics or channels.")] = None,
    url: Annotated[str | None, typer.Option(help="A running bridge; its readings of bench-… stay in its store.")] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt://…; the one that bridge reads from. Default: our own.")] = None,
    store: Annotated[str | None, typer.Option(help="Of our own bridge. Default: SQLite in a temporary folder.")] = None,
    pid: Annotated[int | None, typer.Option(min=1, help="Of the running bridge, to know its CPU and memory.")] = None,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a page with plots.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="Write every figure.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same values.")] = 1,
    patience: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds without a delivery are a failure.")] = 30.0,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Put load on a bridge and measure it: one of its own, or with --url one that runs. Only to the hosts you name."""
    from bridge.tools.api_client import read_token
    from bridge.tools.bench.command import BenchOptions
    from bridge.tools.bench.command import bench as measure
    from bridge.tools.bench.report.terminal import show_scenarios

    if show_list:
        show_scenarios(console)
        return
    load = {"rate": rate, "burst": burst, "seconds": seconds, "rooms": rooms, "stalled": stalled, "way": way}
    shown = read_token(token, token_file)
    options = BenchOptions(scenarios, clients, load, url, broker, store, pid, html, json, seed, patience, shown)
    sys.exit(0 if run_loop(measure(options, console, errors)) else FAILED)


@app.command()
def probe(
    url: Annotated[str, typer.Option(help="The bridge to test.")] = "http://127.0.0.1:3000",
    broker: Annotated[str | None, typer.Option(help="mqtt://…; the one it reads from. Default: that of the settings.")] = None,
    config: ConfigOption = None,
    seconds: Annotated[float | None, typer.Option(min=1, max=86_400, help="Again and again for so long; else once.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, max=1440, help="The same in minutes.")] = None,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds from one round to the next.")] = 1.0,
    device: Annotated[str | None, typer.Option(help="To send as; of its own for the probe. Default: probe-…")] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    device_token: Annotated[str | None, typer.Option(envvar="PROBE_TOKEN", help="Of the device, for /ws/device.")] = None,
    password: Annotated[str | None, typer.Option(envvar="PROBE_PASSWORD", help="The same, with --device.")] = None,
    admin_token: Annotated[str | None, typer.Option(envvar="PROBE_ADMIN_TOKEN", help="To listen at /ws/device.")] = None,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="Write every figure.")] = None,
    patience: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds that every answer may take.")] = 5.0,
) -> None:
    """Test a running bridge from outside by every way in and out. Its readings stay in the store, its device does not."""
    from bridge.tools.api_client import read_token
    from bridge.tools.probe.command import ProbeOptions
    from bridge.tools.probe.command import probe as test

    if seconds is not None and minutes is not None:
        raise typer.BadParameter("give either --seconds or --minutes")
    duration = seconds if minutes is None else minutes * 60
    shown = read_token(token, token_file)
    options = ProbeOptions(url, broker, duration, interval, device, shown, device_token, password, admin_token, json, patience)
    sys.exit(0 if run_loop(test(options, load_settings(config), console, errors)) else FAILED)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Test settings, broker, database and port one by one, and say how to mend what fails."""
    from bridge.cli.check import check as examine

    sys.exit(FAILED if asyncio.run(examine(config, console)) else 0)


@app.command("map")
def map_message(
    config: ConfigOption = None,
    payload: Annotated[str | None, typer.Option(help="The message; - reads it from standard input.")] = None,
    topic: Annotated[str | None, typer.Option(help="Its topic; with --capture the topic filter to listen on.")] = None,
    captured: Annotated[bool, typer.Option("--capture", help="Take the next message from the broker of the settings.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=86400, help="How long --capture waits.")] = 30.0,
    only: Annotated[FormatName | None, typer.Option("--format", help="Try this format only.")] = None,
) -> None:
    """Show what each payload format makes of a message, and the settings that would read it."""
    from bridge.cli.map import capture, explain, try_formats

    if captured == (payload is not None) or (captured and not topic):
        raise typer.BadParameter("give either --payload, or --capture with --topic")
    if captured:
        topic, body = asyncio.run(capture(load_settings(config).mqtt, topic or "#", seconds))
        say(f"captured from {topic!a}, {len(body)} bytes")
    else:
        body = sys.stdin.buffer.read() if payload == "-" else (payload or "").encode("utf-8", "surrogateescape")
    sys.exit(0 if explain(console, try_formats(body, topic, time.time_ns() // 1_000_000, only)) else FAILED)


app.command("export")(data.export_readings)
app.command("import")(data.import_readings)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__, highlight=False)


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=settings.log.level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    for chatty in ("socketio", "engineio", "aiohttp.access", "pymongo", "bridge.sources.mqtt.client"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
