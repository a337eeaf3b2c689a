"""`sensor-bridge probe`: options, run and report."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.text import Text

from bridge import __version__
from bridge.core.errors import BridgeError, DeviceIdError
from bridge.core.readings.identity import normalize_device_id, parse_device_id
from bridge.settings import MqttSettings, Settings
from bridge.tools.bench.report.terminal import TerminalDisplay
from bridge.tools.bench.run import broker_settings, write_json
from bridge.tools.probe.cleaning import newest_cursor
from bridge.tools.probe.inputs import InputContext
from bridge.tools.probe.outputs import outputs
from bridge.tools.probe.run import Probe, Schedule
from bridge.tools.probe.table import print_report, summary
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.stop_signals import on_stop_signals
from bridge.tools.terminal import printable

_HASH_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The options of the command; None is the default. Without `seconds` there is one round. `clean` removes its readings."""

    url: str
    broker: str | None = None
    seconds: float | None = None
    interval: float = 1.0
    device: str | None = None
    token: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)
    json: Path | None = None
    patience: float = 5.0
    clean: bool = False

    def __post_init__(self) -> None:
        """Validate. Raises `BridgeError`."""
        if self.device is not None:
            try:
                parse_device_id(self.device)
            except DeviceIdError as error:
                raise BridgeError(f"--device {self.device[:64]!r} {error}") from None
        if self.password is not None and (self.device_token is not None or self.device is None):
            raise BridgeError("--password needs --device and cannot be combined with --device-token")

    def mqtt(self, settings: Settings) -> MqttSettings:
        """Return the settings' broker and topics; with --broker, another broker."""
        if self.broker is None:
            return settings.mqtt
        return settings.mqtt.model_copy(update={"url": broker_settings(self.broker).url, "username": None, "password": None})

    def admin(self, settings: Settings) -> str | None:
        """Return --admin-token, or the first admin token that is in plain text in the settings."""
        tokens = (token.get_secret_value() for token in settings.devices.admins.values())
        return self.admin_token or next((token for token in tokens if not token.startswith(_HASH_PREFIX)), None)


async def probe(options: ProbeOptions, settings: Settings, console: Console, errors: Console) -> bool:
    """Run, print and write the report; return whether everything passed. Raises `BridgeError`.

    The first stop signal ends a run with --seconds early, with its report; the second one, or any during a single round,
    cancels it. The device is removed from the registry in any case.
    """
    stopped = asyncio.Event()
    job = asyncio.ensure_future(_probe(options, settings, stopped, console, errors))

    def stop() -> None:
        if options.seconds is None or stopped.is_set():
            job.cancel()
        stopped.set()

    on_stop_signals(stop)
    try:
        return await job
    except asyncio.CancelledError:
        errors.print(Text("stopped; the probe's device is removed from the registry"))
        return False


async def _probe(options: ProbeOptions, settings: Settings, stopped: asyncio.Event, console: Console, errors: Console) -> bool:
    device = normalize_device_id(options.device or f"probe-{secrets.token_hex(4)}")
    display = TerminalDisplay(errors)
    mqtt, broker_required = options.mqtt(settings), options.broker is not None
    started, start = datetime.now(UTC), time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        target = ProbeTarget(options.url, session, options.patience, options.token)
        await target.check_is_bridge()
        schedule = Schedule(options.seconds, options.interval, stopped)
        run = Probe(target, outputs(options.admin(settings)), schedule, display)
        token = options.device_token or options.token
        before = await newest_cursor(target, device) if options.clean else 0
        with display.live():
            async with asyncio.TaskGroup() as tasks:
                await run.run(InputContext(target, device, tasks, mqtt, broker_required, token, options.password))
        if options.clean:
            await run.clean(device, before)
    seconds, report = time.monotonic() - start, run.report
    console.print(Text(printable(f"Sensor Bridge at {target.url}, {started.isoformat(' ', 'seconds')}")))
    print_report(report, console)
    console.print(summary(report, seconds))
    if run.remaining:
        console.print(Text(f"{run.remaining:,} readings of {device} stay in the store: with --clean they are removed"))
    if options.json:
        head = {"url": target.url, "device": device, "started": started.isoformat(), "seconds": seconds, "left": run.remaining}
        write_json(options.json, head | {"version": __version__, "held": report.passed} | report.as_dict())
    return report.passed
