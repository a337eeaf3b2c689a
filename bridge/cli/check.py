"""Is everything there that the bridge needs? Each question by itself, and how to mend what fails."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from rich.console import Console

from bridge.core.errors import BridgeError, BrokerUnavailable, SettingsError
from bridge.settings import Settings
from bridge.settings.loader import load_settings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store


async def check(config: Path | None, console: Console) -> int:
    """Print a line for each question; the number of failures."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        _tell(console, "settings", str(error), "correct the lines named above")
        return 1
    _tell(console, "settings", None, "read and valid")
    failures = 0
    for name, question, remedy in (
        (
            f"broker {settings.mqtt.address}",
            _broker,
            "start it, or correct mqtt.url (BRIDGE_MQTT__URL), user and password",
        ),
        (f"store {settings.store.address}", _store, "start it, or correct store.url (BRIDGE_STORE__URL)"),
        (
            f"port {settings.http.port} on {settings.http.host}",
            _port,
            "end what uses it, or set http.port (BRIDGE_HTTP__PORT)",
        ),
    ):
        try:
            said = await question(settings)
        except (BridgeError, OSError) as error:
            failures += 1
            _tell(console, name, str(error), remedy)
        else:
            _tell(console, name, None, said)
    return failures


def _tell(console: Console, name: str, failure: str | None, said: str) -> None:
    if failure is None:
        console.print(f"[green]ok[/]    {name}: {said}", highlight=False, soft_wrap=True)
    else:
        console.print(f"[bold red]fails[/] {name}: ", end="", highlight=False, soft_wrap=True)
        console.print(failure, markup=False, highlight=False, soft_wrap=True)
        console.print(f"      → {said}", highlight=False, soft_wrap=True)


async def _broker(settings: Settings) -> str:
    async with asyncio.timeout(settings.mqtt.timeout_seconds * 2), mqtt_sender(settings.mqtt):
        return f"accepts us over MQTT {settings.mqtt.protocol}"
    raise BrokerUnavailable("no answer")


async def _store(settings: Settings) -> str:
    async with open_store(settings.store) as store:
        await store.prepare()
        await store.ping()
    return "answers and takes writes"


async def _port(settings: Settings) -> str:
    with socket.socket(socket.AF_INET6 if ":" in settings.http.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.http.host, settings.http.port))
    return "free"
