"""Test everything that the bridge needs, one by one, and say how to fix what fails."""

import asyncio
import errno
from collections.abc import Sized
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bridge.alarms.rules_file.reading import read_rules
from bridge.cli.options import load_store_settings
from bridge.cli.runner import FAILED, WRONG_SETTINGS, print_line
from bridge.core.errors import BridgeError, BrokerUnavailable, RuleFileError, SettingsError, Unavailable
from bridge.settings import Settings
from bridge.settings.certificates import check_certificates
from bridge.settings.section import in_url
from bridge.sources.mqtt.client import mqtt_sender
from bridge.sources.mqtt.subscriptions import SubscriptionPlan
from bridge.stores import open_store
from bridge.tools.api_client import call
from bridge.tools.bind_once import bind_once
from bridge.tools.terminal import printable

_BROKER_SECONDS = 15.0  # a connection that fails is diagnosed with a few more
_BRIDGE_SECONDS = 3.0
_PROTOCOL_REMARK = 'the broker does not support MQTT 5: set mqtt.protocol (BRIDGE_MQTT__PROTOCOL) to "3.1.1"'

_NO_TARGET = "nobody is told of alarms but the page: add a [[notify]] target to the rules file"


async def check(config: Path | None, console: Console) -> int:
    """Print a line per check; return the exit code: wrong settings count more than what is unavailable."""
    try:
        settings = load_store_settings(config)
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
        ("alarms", _alarms, "correct the lines listed above, or alarms.file (BRIDGE_ALARMS__FILE): the bridge does not start"),
    ):
        try:
            result = await test(settings)
        except (BridgeError, OSError) as error:
            code = max(code, WRONG_SETTINGS if isinstance(error, SettingsError) else FAILED)
            fault, known = (error.fault, error.remedy) if isinstance(error, Unavailable) else (str(error), "")
            _print_failure(console, name, fault.removeprefix(f"{settings.mqtt.address}: "), known or remedy)
        else:
            _print_success(console, name, result)
    return code


def _print_success(console: Console, name: str, result: str) -> None:
    """Print a result; its further lines are remarks."""
    result, *remarks = result.split("\n")
    console.print(Text.assemble(("ok", "green"), printable(f"    {name}: {result}")), soft_wrap=True)
    for remark in remarks:
        print_line(f"      → {remark}", console)


def _print_failure(console: Console, name: str, reason: str, remedy: str) -> None:
    console.print(Text.assemble(("fails", "bold red"), printable(f" {name}: {reason}", "\n")), soft_wrap=True)
    print_line(f"      → {remedy}", console)


async def _broker(settings: Settings) -> str:
    """Connect, and subscribe to everything in the settings, with a session that ends with the connection."""
    mqtt = settings.mqtt
    plan = SubscriptionPlan.of(mqtt.subscriptions)
    try:
        async with asyncio.timeout(_BROKER_SECONDS + mqtt.timeout_seconds * 2), mqtt_sender(mqtt) as sender:
            answers = {one.text: await sender.subscribe(one.text, one.qos) for one in plan.filters}
            protocol = sender.protocol
    except TimeoutError:
        raise BrokerUnavailable("no answer") from None
    if refusals := [f"{text} ({refusal})" for text, refusal in answers.items() if refusal]:
        fault = f"the broker refuses to subscribe to {', '.join(refusals)}"
        raise BrokerUnavailable(fault, "permit it for this user, or change mqtt.subscriptions")
    remarks = [*plan.remarks, *([_PROTOCOL_REMARK] if protocol != mqtt.protocol else [])]
    return "\n".join([f"accepts connections and {len(answers)} subscriptions, MQTT {protocol}", *remarks])


async def _store(settings: Settings) -> str:
    async with open_store(settings.store) as store:
        await store.prepare()
        await store.ping()
    return "answers and accepts writes"


async def _port(settings: Settings) -> str:
    """The port is free, or in use by a bridge: a user also checks one that is running."""
    try:
        bind_once(settings.http.host, settings.http.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and await _is_bridge(settings):
            return "in use by a running bridge"
        raise
    return "free"


async def _is_bridge(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http.host, settings.http.host)
    with suppress(BridgeError, TimeoutError):
        async with asyncio.timeout(_BRIDGE_SECONDS):
            return await call(f"http://{in_url(host)}:{settings.http.port}", "GET", "/health/live") == {"status": "ok"}
    return False


async def _alarms(settings: Settings) -> str:
    path = settings.alarms.file
    try:
        file = read_rules(path)
    except RuleFileError as error:
        raise SettingsError(str(error)) from None
    source = f"rules file {path}" if path is not None else "no rules file (alarms.file is not set)"
    result = f"{source}: profile {file.profile}, {_count(file.rules, 'rule')} on, {_count(file.notify, 'target')}"
    return result if file.notify else f"{result}\n{_NO_TARGET}"


def _count(items: Sized, noun: str) -> str:
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"
