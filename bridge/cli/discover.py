"""`sensor-bridge discover`: what the topics of the broker carry, and the subscriptions for it."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bridge.cli.runner import print_line
from bridge.cli.settings_file import add_subscriptions, settings_path
from bridge.core.discovery.findings import Finding, unit_of
from bridge.core.discovery.survey import Survey
from bridge.core.formats.suggest import subscription_toml
from bridge.core.payload import join_names
from bridge.settings import Settings, SubscriptionSettings
from bridge.sources.mqtt.listener import listen
from bridge.tools.stop_signals import on_stop_signals
from bridge.tools.terminal import printable

_LISTED = 5  # topics and devices of one row
_HEADINGS = ("topics", "family", "devices and values", "not taken")
_WIDE = 140  # columns of a table that is not shown on a terminal
_UNLIMITED = 100_000  # columns, for the width that a table needs


async def survey_broker(settings: Settings, topics: Sequence[str], seconds: float) -> Survey:
    """Listen for some seconds, or until a stop signal. Raises `BrokerUnavailable`."""
    survey = Survey(prefix=settings.mqtt.discovery_prefix)

    def on_message(topic: str, payload: bytes, retained: bool) -> None:
        survey.add(topic, payload, retained=retained)

    listening = asyncio.ensure_future(listen(settings.mqtt, topics, seconds, on_message))
    on_stop_signals(listening.cancel)
    with suppress(asyncio.CancelledError):
        await listening
    return survey


def findings_of(survey: Survey, settings: Settings, now_ms: int) -> list[Finding]:
    return survey.findings(now_ms, (*settings.own_routes, *settings.mqtt.routes), discovery=settings.mqtt.discovery)


def as_json(survey: Survey, findings: Sequence[Finding], seconds: float) -> bytes:
    report: dict[str, Any] = {
        "seconds": seconds,
        "messages": survey.messages,
        "topics": survey.topic_count,
        "dropped": survey.dropped,
        "findings": [finding.public() for finding in findings],
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2)


def new_subscriptions(findings: Sequence[Finding]) -> list[SubscriptionSettings]:
    """Return the subscriptions for topics that carry readings and that nobody takes."""
    return [
        SubscriptionSettings(pattern=finding.pattern, format=finding.format)
        for finding in findings
        if finding.is_new and finding.format is not None
    ]


def print_findings(console: Console, survey: Survey, findings: Sequence[Finding], path: Path) -> None:
    """Print the table, and the subscriptions as text for the settings file."""
    if not survey.messages:
        print_line("No message arrived. A sensor that sends every five minutes needs --seconds 300.", console)
        return
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _WIDE
    rows = [(_topics(one), Text(printable(one.family)), _devices(one), _not_taken(one)) for one in findings]
    _print_rows(console, rows)
    print_line(f"{survey.messages:,} messages on {survey.topic_count:,} topics", console)
    if survey.dropped:
        print_line(
            f"{survey.dropped:,} of them were beyond the limits and are not shown: repeat with a narrower --topic", console
        )
    if any(finding.is_announced for finding in findings):
        print_line("Announced sensors are taken in with mqtt.discovery = true (--write sets it).", console)
    subscriptions = [f"    {subscription_toml(one.pattern, one.format, {})}," for one in new_subscriptions(findings)]
    if not subscriptions:
        print_line("No topic carries readings that are not taken already.", console)
        return
    print_line(f"\nIn {path}, under [mqtt], together with your other subscriptions (--write does it):\n", console)
    print_line("\n".join(["subscriptions = [", *subscriptions, "]"]), console)


def _print_rows(console: Console, rows: Sequence[Sequence[Text]]) -> None:
    """Print a table if its columns can be as wide as their longest words, else the cells of each row below each other."""
    table = Table(*_HEADINGS, show_lines=True)
    for row in rows:
        table.add_row(*row)
    unlimited = console.options.update(width=_UNLIMITED)
    if Measurement.get(console, unlimited, table).minimum <= console.width:
        console.print(table)
        return
    for topics, *others in rows:
        console.print(topics, soft_wrap=True)
        for heading, cell in zip(("family: ", "", "not taken: "), others, strict=True):
            for line in cell.split() if cell else ():
                console.print(Text(f"  {heading}") + line, soft_wrap=True)
        console.print()


def write_findings(console: Console, findings: Sequence[Finding], path: Path | None) -> None:
    """Add the new subscriptions to the settings file. Raises `SettingsError`."""
    added, place = new_subscriptions(findings), settings_path(path)
    discovery = any(finding.is_announced for finding in findings)
    if not added and not discovery:
        print_line(f"{place} is unchanged: there is nothing to add", console)
        return
    backup = add_subscriptions(place, added, discovery=discovery)
    changes = ["1 subscription" if len(added) == 1 else f"{len(added)} subscriptions"] if added else []
    changes += ["mqtt.discovery = true"] if discovery else []
    copy = "" if backup is None else f"; the previous file is {backup}"
    print_line(f"{' and '.join(changes)} added to {place}{copy}. Restart the bridge.", console)


def _topics(finding: Finding) -> Text:
    lines = [finding.pattern] if finding.pattern else []
    if finding.is_subscribed:
        lines.append("already subscribed")
    elif finding.is_announced:
        lines.append("announced, not taken in")
    elif finding.is_new:
        lines.append(f"new, format {finding.format}")
    if not finding.pattern or (len(finding.topics) > 1 and finding.is_new):
        lines += finding.topics[:_LISTED]
        lines += [f"and {len(finding.topics) - _LISTED:,} more"] if len(finding.topics) > _LISTED else []
    if finding.also_matches:
        lines.append(f"also matches {finding.also_matches} topics without readings")
    return Text("\n".join(map(printable, lines)), "bold green" if finding.is_new else "" if finding.is_subscribed else "dim")


def _devices(finding: Finding) -> Text:
    lines = [
        f"{device}: " + ", ".join(f"{name} {value} {unit_of(name)}".rstrip() for name, value in values.items())
        for device, values in list(finding.devices.items())[:_LISTED]
    ]
    if len(finding.devices) > _LISTED:
        lines.append(f"and {len(finding.devices) - _LISTED:,} more devices")
    if finding.reason:
        lines.append(f"{'some: ' if finding.devices else ''}{finding.reason}")
    return Text("\n".join(map(printable, lines)), "" if finding.devices else "dim")


def _not_taken(finding: Finding) -> Text:
    by_reason: dict[str, list[str]] = {}
    for key, reason in finding.not_taken.items():
        by_reason.setdefault(reason, []).append(key)
    lines = [f"{join_names(keys)}: {reason}" for reason, keys in by_reason.items()]
    lines += [f"{name} is {fault}" for name, fault in finding.quality.items()]
    return Text("\n".join(map(printable, lines)), "dim")
