"""`sensor-bridge probe`: from its options to its outcome."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from rich.console import Console

from bridge import __version__
from bridge.core.errors import BridgeError
from bridge.core.readings.identity import is_device_id
from bridge.settings import MqttSettings, Settings
from bridge.tools.bench.report.terminal import LiveScreen
from bridge.tools.bench.run import broker_settings
from bridge.tools.probe.run import Duration, Probe
from bridge.tools.probe.table import show, verdict
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.probe.ways_in import ProbeContext
from bridge.tools.probe.ways_out import ways_out

_HASHED = "sha256:"


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """As given; None is the default. `seconds` is None for once."""

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

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.device is not None and not is_device_id(self.device):
            raise BridgeError(f"--device {self.device[:64]!r}: is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
        if self.password is not None and (self.device_token is not None or self.device is None):
            raise BridgeError("--password goes with --device, and not with --device-token")

    def mqtt(self, settings: Settings) -> MqttSettings:
        """The broker that is named, else that of the settings; the topics are theirs."""
        if self.broker is None:
            return settings.mqtt
        return settings.mqtt.model_copy(update={"url": broker_settings(self.broker).url, "username": None, "password": None})

    def admin(self, settings: Settings) -> str | None:
        """The token given, else the first of the settings that stands there as it is."""
        kept = (one.get_secret_value() for one in settings.devices.admins.values())
        return self.admin_token or next((one for one in kept if not one.startswith(_HASHED)), None)


async def probe(options: ProbeOptions, settings: Settings, console: Console, errors: Console) -> bool:
    """Test, show and write; whether all held. Raises `BridgeError`.

    SIGINT or SIGTERM ends a long run with what it has found; the second one ends any at once, but for cleaning up.
    """
    stopped = asyncio.Event()
    job = asyncio.ensure_future(_probe(options, settings, stopped, console, errors))

    def stop() -> None:
        if options.seconds is None or stopped.is_set():
            job.cancel()
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        return await job
    except asyncio.CancelledError:
        errors.print("stopped; its device is not in the registry any more")
        return False


async def _probe(options: ProbeOptions, settings: Settings, stopped: asyncio.Event, console: Console, errors: Console) -> bool:
    device = options.device or f"probe-{secrets.token_hex(4)}"
    screen = LiveScreen(errors)
    mqtt, named = options.mqtt(settings), options.broker is not None
    started, began = datetime.now(UTC), time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        target = ProbeTarget(options.url, session, options.patience, options.token)
        await target.contact()
        duration = Duration(options.seconds, options.interval, stopped)
        run = Probe(target, ways_out(options.admin(settings)), duration, screen)
        with screen.shown():
            async with asyncio.TaskGroup() as tasks:
                await run.run(
                    ProbeContext(target, device, tasks, mqtt, named, options.device_token or options.token, options.password)
                )
    seconds = time.monotonic() - began
    console.print(f"Sensor Bridge at {target.url}, {started.isoformat(' ', 'seconds')}", highlight=False)
    show(run.findings, console)
    console.print(verdict(run.findings, seconds))
    if run.left:
        console.print(f"{run.left:,} readings of {device} stay in the store: no call removes readings", highlight=False)
    if options.json:
        about = {"url": target.url, "device": device, "started": started.isoformat(), "seconds": seconds, "left": run.left}
        _write(options.json, about | {"version": __version__, "held": run.findings.held} | run.findings.as_dict())
    return run.findings.held


def _write(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise BridgeError(f"cannot write {error.filename}: {error.strerror}") from None
