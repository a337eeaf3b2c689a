"""The commands: one thin function each."""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from bridge import __version__
from bridge.cli import cluster
from bridge.cli.accounts import devices, users
from bridge.cli.accounts.import_users import import_users
from bridge.cli.analysis import actions, alarms, anomalies, forecast
from bridge.cli.data import rejected, transfer
from bridge.cli.help import arrange
from bridge.cli.logs import log_to_stderr
from bridge.cli.options import (
    DEMO_DATABASE,
    DEMO_FOLDER,
    LOCAL_BRIDGE,
    JsonOption,
    TokenFileOption,
    TokenOption,
    UrlOption,
    seconds_between,
)
from bridge.cli.run import run
from bridge.cli.runner import (
    FAILED,
    WRONG_SETTINGS,
    ConfigOption,
    console,
    errors,
    print_line,
    run_loop,
    run_until_stopped,
    unusable_folder,
)
from bridge.cli.settings_file import settings_path
from bridge.core.errors import BridgeError, PatternError, RuleFileError, SettingsError
from bridge.core.formats.registry import FormatName
from bridge.core.topic import TopicPattern
from bridge.settings.loader import load_settings
from bridge.tools.stop_signals import on_stop_signals

_DAY = 86_400.0

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Bridge from MQTT, HTTP and WebSocket sensors to MongoDB or SQLite, and to Socket.IO, WebSocket and HTTP clients.",
)
app.add_typer(rejected.rejected, name="rejected")
app.add_typer(users.users, name="user")
app.add_typer(users.keys, name="key")
app.add_typer(devices.devices, name="device")
app.add_typer(actions.actions, name="actions")
app.add_typer(alarms.alarms, name="alarms")
app.add_typer(anomalies.anomalies, name="anomalies")
app.add_typer(cluster.cluster, name="cluster")
app.add_typer(forecast.forecast, name="forecast")


ReportOption = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, metavar="FILE", help="Write all results to this file, as JSON.")
]


def command_line() -> TyperGroup:
    """Return all commands, in the order of `--help`."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - an app of several commands is a group
    return arrange(group)


def run_command() -> None:
    """Run the command of the arguments. An expected error is one message and an exit code, never a traceback."""
    try:
        command_line()(prog_name="sensor-bridge")
    except SettingsError as error:
        print_line("wrong settings", errors, "bold red")
        print_line(str(error), errors)
        sys.exit(WRONG_SETTINGS)
    except RuleFileError as error:
        print_line("wrong rules file", errors, "bold red")
        print_line(str(error), errors)
        sys.exit(WRONG_SETTINGS)
    except BridgeError as error:
        print_line(str(error), errors, "bold red")
        sys.exit(FAILED)
    except OSError as error:
        if (reason := unusable_folder()) is None:
            raise
        print_line(f"{error.filename or error}: {reason}", errors, "bold red")
        sys.exit(FAILED)


def _print_version(value: bool) -> None:
    if value:
        console.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options that precede a command."""


@app.command()
def version() -> None:
    """Print the version."""
    _print_version(True)


app.command()(run)


@app.command()
def demo(
    config: ConfigOption = None,
    data: Annotated[Path, typer.Option(help="Folder of the database and the broker's files.")] = DEMO_FOLDER,
    sensors: Annotated[int, typer.Option(min=0, max=1000, help="Number of simulated sensors.")] = 3,
    history_days: Annotated[
        int,
        typer.Option(min=0, max=31, help="Days of simulated history that a new store begins with; 0 for none."),
    ] = 7,
) -> None:
    """Run a broker, the bridge with a SQLite store, and simulated sensors in one process."""
    from bridge.cli.demo import run_demo

    defaults = {"mqtt": {"url": "mqtt://127.0.0.1:1883"}, "store": {"url": f"sqlite:///{data / DEMO_DATABASE}"}}
    settings = load_settings(config, defaults=defaults)
    log_to_stderr(settings)

    async def run_until_signal() -> None:
        stop = asyncio.Event()
        on_stop_signals(stop.set)
        await run_demo(settings, data=data, count=sensors, history_days=history_days, stop=stop, print_line=print_line)

    run_loop(run_until_signal())


@app.command()
def simulate(
    context: typer.Context,
    config: ConfigOption = None,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="Number of devices.")] = 3,
    rate: Annotated[float, typer.Option(min=0.001, max=100_000, help="Readings per second, over all devices.")] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many readings.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random values.")] = None,
    scenario: Annotated[str | None, typer.Option(help="Instead: readings that raise known alarms, such as leak.")] = None,
) -> None:
    """Publish plausible readings to the configured broker, until Ctrl-C or COUNT; or a scenario, as it happens."""
    from bridge.tools.scenarios.catalog import SCENARIOS
    from bridge.tools.scenarios.player import play_by_name
    from bridge.tools.simulator import simulate as publish

    if scenario is not None:
        if scenario not in SCENARIOS:
            raise typer.BadParameter(f"{scenario!a} is unknown: must be one of {', '.join(SCENARIOS)}", param_hint="--scenario")
        if others := [f"--{name}" for name in ("devices", "rate", "count", "seed") if _is_given(context, name)]:
            raise typer.BadParameter(f"--scenario has its own devices and times: remove {', '.join(others)}")
        run_until_stopped(play_by_name(load_settings(config).mqtt, scenario, console, errors))
        return
    settings = load_settings(config)
    seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - not a secret
    print_line(f"{devices} devices, {rate:g} readings/s to {settings.mqtt.address}, seed {seed}; Ctrl-C stops")
    columns = (TextColumn("{task.completed:,} readings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*(columns if count else columns[:1]), console=console) as progress:
        task = progress.add_task("", total=count)

        def lost(reason: str) -> None:
            print_line(f"{reason}: waiting for the broker", errors)

        def sent(_: str) -> None:
            progress.advance(task)

        job = publish(settings.mqtt, devices=devices, rate=rate, count=count, seed=seed, sent=sent, lost=lost)
        run_until_stopped(job)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option is on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.command()
def tail(
    url: UrlOption = LOCAL_BRIDGE,
    plain: Annotated[bool, typer.Option("--json", "--plain", help="Print one JSON line per reading, as into a pipe.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many readings.")] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Show readings from a running bridge as they arrive."""
    from bridge.tools.api_client import read_token
    from bridge.tools.tail import tail as watch

    plain = plain or not console.is_terminal
    run_until_stopped(watch(url, console, plain=plain, count=count, token=read_token(token, token_file)))


@app.command()
def command(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Device id.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Command, as the device defines it.")],
    value: Annotated[str | None, typer.Argument(metavar="VALUE", help="Value of the command.")] = None,
    url: UrlOption = LOCAL_BRIDGE,
    queue: Annotated[bool, typer.Option("--queue", help="Queue the command if the device is offline.")] = False,
    expires: Annotated[
        float | None,
        typer.Option(parser=seconds_between(0.1, _DAY), metavar="DURATION", help="How long it may be sent, as 30s or 5m."),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            parser=seconds_between(0, _DAY),
            metavar="DURATION",
            help="How long to wait for the device's confirmation, as 10s. Exit code 1 if there is none.",
            show_default=False,
        ),
    ] = 0.0,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Send a device a command through a running bridge. With --wait, only a confirmed command is exit code 0."""
    from bridge.tools.api_client import read_token, send_command

    fields = {"command": name, "value": value, "queue": queue, "expires": expires}
    body = {key: field for key, field in fields.items() if field is not None}
    sent = run_loop(send_command(url, device, body, wait, read_token(token, token_file)))
    print_line(f"{sent['id']} {sent['state']}" + (f": {sent['error']}" if "error" in sent else ""))
    if wait and sent["state"] in ("queued", "sent"):
        print_line(f"not confirmed within {wait:g} s", errors)
    if sent["state"] in ("failed", "expired") or (wait and sent["state"] != "confirmed"):
        sys.exit(FAILED)


@app.command()
def bench(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO ...", help="Default: burst steady. --list describes all.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
    clients: Annotated[list[int] | None, typer.Option(min=1, max=50_000, help="Number of clients; may be repeated.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, max=100_000, help="Readings per second.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Readings in a burst.")] = None,
    seconds: Annotated[
        float | None, typer.Option(parser=seconds_between(0.1, 3600), metavar="DURATION", help="How long at the rate, as 30s.")
    ] = None,
    rooms: Annotated[int | None, typer.Option(min=1, max=1000, help="Number of devices.")] = None,
    way: Annotated[str | None, typer.Option(help="Protocol of the clients: socketio, polling, topics or channels.")] = None,
    url: Annotated[
        str | None, typer.Option(help="A running bridge. The readings of its devices bench-… stay in the store.")
    ] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt://…, the broker of the bridge. Default: one is started.")] = None,
    store: Annotated[str | None, typer.Option(help="Store of the started bridge. Default: a temporary SQLite file.")] = None,
    pid: Annotated[int | None, typer.Option(min=1, help="Process of the running bridge, to measure CPU and memory.")] = None,
    json: ReportOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random values.")] = 1,
    patience: Annotated[
        float,
        typer.Option(parser=seconds_between(0.1, 600), metavar="DURATION", help="Fail after this long without a delivery."),
    ] = 30.0,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Load-test a bridge: one that the command starts, or with --url a running one."""
    from bridge.tools.api_client import read_token
    from bridge.tools.bench.command import BenchOptions, print_scenarios
    from bridge.tools.bench.command import bench as measure

    if show_list:
        print_scenarios(console)
        return
    load = {"rate": rate, "burst": burst, "seconds": seconds, "rooms": rooms, "way": way}
    token = read_token(token, token_file)
    options = BenchOptions(scenarios, clients, load, url, broker, store, pid, json, seed, patience, token)
    sys.exit(0 if run_loop(measure(options, console, errors)) else FAILED)


@app.command()
def probe(
    url: Annotated[str, typer.Option(help="URL of a running bridge.")] = "http://127.0.0.1:3000",
    broker: Annotated[str | None, typer.Option(help="mqtt://…, the broker of the bridge. Default: from the settings.")] = None,
    config: ConfigOption = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=seconds_between(1, _DAY), metavar="DURATION", help="Repeat for this long, as 90s or 1h. Default: once."
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, max=1440, help="The same in minutes.")] = None,
    interval: Annotated[
        float, typer.Option(parser=seconds_between(0.1, 3600), metavar="DURATION", help="Time between rounds.")
    ] = 1.0,
    device: Annotated[
        str | None, typer.Option(help="Device id to publish as, used by the probe only. Default: probe-…")
    ] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    device_token: Annotated[str | None, typer.Option(envvar="PROBE_TOKEN", help="Token of the device, for /ws/device.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="PROBE_PASSWORD", help="Password of the device; needs --device.")
    ] = None,
    admin_token: Annotated[
        str | None, typer.Option(envvar="PROBE_ADMIN_TOKEN", help="Admin token, to listen at /ws/device.")
    ] = None,
    json: ReportOption = None,
    patience: Annotated[
        float, typer.Option(parser=seconds_between(0.1, 600), metavar="DURATION", help="Deadline of every answer.")
    ] = 5.0,
    clean: Annotated[bool, typer.Option("--clean", help="Remove the readings of the test; needs the right to manage.")] = False,
) -> None:
    """Test a running bridge end to end, through every input and output. Without arguments on a terminal, a menu is shown.

    The device of the test is removed afterwards; its readings stay in the store without --clean.
    """
    from bridge.tools.api_client import read_token
    from bridge.tools.probe import menu
    from bridge.tools.probe.command import ProbeOptions
    from bridge.tools.probe.command import probe as test

    if seconds is not None and minutes is not None:
        raise typer.BadParameter("give either --seconds or --minutes")
    duration = seconds if minutes is None else minutes * 60
    token = read_token(token, token_file)
    options = ProbeOptions(
        url, broker, duration, interval, device, token, device_token, password, admin_token, json, patience, clean
    )
    settings = load_settings(config)
    if sys.argv[1:] == ["probe"] and console.is_terminal and sys.stdin.isatty():
        options, choice = menu.ask_url(options, console), menu.ask_choice(console)
        if choice not in menu.RUNS:
            run_choice = menu.send_test_event if choice is menu.Choice.TEST_EVENT else menu.show_statistics
            sys.exit(0 if run_loop(run_choice(options, console)) else FAILED)
        options = menu.ask_options(choice, options, console)
    sys.exit(0 if run_loop(test(options, settings, console, errors)) else FAILED)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Test settings, broker, store and port one by one, and say how to fix what fails."""
    from bridge.cli.check import check as examine

    sys.exit(asyncio.run(examine(config, console)))


@app.command("map")
def map_message(
    config: ConfigOption = None,
    payload: Annotated[str | None, typer.Option(help="Payload of the message; - reads standard input.")] = None,
    topic: Annotated[str | None, typer.Option(help="Topic of the message; with --capture a topic filter.")] = None,
    capture: Annotated[bool, typer.Option("--capture", help="Take the next message from the configured broker.")] = False,
    seconds: Annotated[
        float, typer.Option(parser=seconds_between(0.1, _DAY), metavar="DURATION", help="How long --capture waits, as 5m.")
    ] = 30.0,
    only: Annotated[FormatName | None, typer.Option("--format", help="Try only this format.")] = None,
) -> None:
    """Show how each payload format decodes a message, and the settings for the best one."""
    from bridge.cli.map import capture_message, explain
    from bridge.core.discovery.attempts import try_formats

    if capture == (payload is not None) or (capture and not topic):
        raise typer.BadParameter("give either --payload, or --capture with --topic")
    if capture:
        topic, body = asyncio.run(capture_message(load_settings(config).mqtt, topic or "#", seconds))
        print_line(f"captured from {topic!a}, {len(body)} bytes")
    else:
        body = sys.stdin.buffer.read() if payload == "-" else (payload or "").encode("utf-8", "surrogateescape")
    sys.exit(0 if explain(console, try_formats(body, topic, time.time_ns() // 1_000_000, only)) else FAILED)


@app.command()
def discover(
    config: ConfigOption = None,
    seconds: Annotated[
        float, typer.Option(parser=seconds_between(0.1, _DAY), metavar="DURATION", help="How long to listen, as 60 or 5m.")
    ] = 60.0,
    topic: Annotated[list[str] | None, typer.Option(help="Topic filter; may be repeated. Default: # (every topic).")] = None,
    write: Annotated[bool, typer.Option("--write", help="Add the subscriptions to the settings file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Listen to the broker, show which topics carry readings, and propose subscriptions for those that nobody takes."""
    from bridge.cli import discover as discovery

    settings, filters = load_settings(config), _topic_filters(topic or ["#"])
    if not as_json:
        print_line(
            f"listening to {', '.join(filters)} at {settings.mqtt.address} for {seconds:g} s; Ctrl-C ends it early", errors
        )
    survey = asyncio.run(discovery.survey_broker(settings, filters, seconds))
    findings = discovery.findings_of(survey, settings, time.time_ns() // 1_000_000)
    if as_json:
        sys.stdout.buffer.write(discovery.as_json(survey, findings, seconds) + b"\n")
    else:
        discovery.print_findings(console, survey, findings, settings_path(config))
    if write:
        discovery.write_findings(errors if as_json else console, findings, config)


def _topic_filters(texts: list[str]) -> list[str]:
    try:
        return [TopicPattern.parse(text).topic_filter for text in texts]
    except PatternError as error:
        raise typer.BadParameter(str(error), param_hint="--topic") from None


app.command("export")(transfer.export_readings)
app.command("import")(transfer.import_readings)
app.command("import-users")(import_users)
