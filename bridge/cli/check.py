"""Test everything that the bridge needs, one by one, and say how to fix what fails."""

import asyncio
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bridge.cli.runner import FAILED, WRONG_SETTINGS, print_line
from bridge.core.errors import BridgeError, BrokerUnavailable, SettingsError
from bridge.settings import Settings
from bridge.settings.certificates import check_certificates
from bridge.settings.loader import load_settings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store
from bridge.tools.bind_once import bind_once
from bridge.tools.terminal import printable


async def check(config: Path | None, console: Console) -> int:
    """Print a line per check; return the exit code: wrong settings count more than what is unavailable."""
    try:
        settings = load_settings(config)
        check_certificates(settings)
    except SettingsError as error:
        _print_failure(console, "settings", str(error), "correct the lines listed above")
        return WRONG_SETTINGS
    _print_success(console, "settings", "valid")
    code = 0
    for name, test, remedy in (
        (
            f"broker {settings.mqtt.address}",
            _broker,
            "start it, or correct mqtt.url (BRIDGE_MQTT__URL), mqtt.username and mqtt.password",
        ),
        (f"store {settings.store.address}", _store, "start it, or correct store.url (BRIDGE_STORE__URL)"),
        (
            f"port {settings.http.port} on {settings.http.host}",
            _port,
            "stop the program that uses it, or set http.port (BRIDGE_HTTP__PORT)",
        ),
    ):
        try:
            result = await test(settings)
        except (BridgeError, OSError) as error:
            code = max(code, WRONG_SETTINGS if isinstance(error, SettingsError) else FAILED)
            _print_failure(console, name, str(error), remedy)
        else:
            _print_success(console, name, result)
    return code


def _print_success(console: Console, name: str, result: str) -> None:
    console.print(Text.assemble(("ok", "green"), printable(f"    {name}: {result}")), soft_wrap=True)


def _print_failure(console: Console, name: str, reason: str, remedy: str) -> None:
    console.print(Text.assemble(("fails", "bold red"), printable(f" {name}: {reason}", "\n")), soft_wrap=True)
    print_line(f"      → {remedy}", console)


async def _broker(settings: Settings) -> str:
    async with asyncio.timeout(settings.mqtt.timeout_seconds * 2), mqtt_sender(settings.mqtt):
        return f"accepts connections, MQTT {settings.mqtt.protocol}"
    raise BrokerUnavailable("no answer")


async def _store(settings: Settings) -> str:
    async with open_store(settings.store) as store:
        await store.prepare()
        await store.ping()
    return "answers and accepts writes"


async def _port(settings: Settings) -> str:
    bind_once(settings.http.host, settings.http.port)
    return "free"
