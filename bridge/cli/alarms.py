"""`sensor-bridge alarms …`: alarms and targets of a running bridge; rules tried on the stored readings."""

import re
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.table import Table

from bridge.alarms.record import AlarmRecord
from bridge.alarms.rules import Priority, amount
from bridge.cli.options import TokenFileOption, TokenOption, UrlOption
from bridge.cli.render import add_row
from bridge.cli.runner import FAILED, ConfigOption, console, errors, print_line, run_loop
from bridge.core.errors import BridgeError
from bridge.core.timestamp import iso
from bridge.settings.loader import load_settings
from bridge.stores import open_store

alarms = typer.Typer(no_args_is_help=True, help="List, acknowledge and shelve alarms, test targets, try rules.")

_PATH = "/api/v1/alarms"
_LOCAL = "http://localhost:3000"
_DURATION = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_IDS_LIMIT = 1000


class _Listed(StrEnum):
    STANDING = "standing"
    SHELVED = "shelved"
    ENDED = "ended"
    ALL = "all"


def _duration(text: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise typer.BadParameter("must be a number with s, m, h or d, as 30d or 8h")
    return int(found[1]) * _SECONDS[found[2]]


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm, as `alarms list` shows it.")]
CommentOption = Annotated[str | None, typer.Option(help="Why, for the history of the alarm.")]


@alarms.command("list")
def list_alarms(
    url: UrlOption = _LOCAL,
    state: Annotated[_Listed, typer.Option(help="Which alarms.")] = _Listed.STANDING,
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Only this priority.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of alarms.")] = 100,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """List the alarms of a running bridge, the newest first."""
    given = {"state": state.value, "device": device, "rule": rule, "priority": priority and priority.value, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    answer = _call(url, "GET", f"?{query}", None, token, token_file)
    table = Table("id", "priority", "state", "rule", "device", "value", "since", "message")
    for one in answer["alarms"]:
        value = _value(one["value"], one["unit"])
        since = (one["raisedAt"] or "")[:16].replace("T", " ")
        add_row(
            table, one["id"], one["priority"], one["state"], one["rule"], one["deviceId"] or "", value, since, one["message"]
        )
    console.print(table)
    if answer.get("next"):
        print_line(f"there are more: --limit shows up to {limit} of them", errors)
    if answer.get("catchingUp"):
        print_line("the bridge is still evaluating readings that arrived while it was down", errors)


@alarms.command("ack")
def acknowledge(
    ids: Annotated[list[str], typer.Argument(metavar="ID ...", help="Ids of alarms, as `alarms list` shows them.")],
    url: UrlOption = _LOCAL,
    comment: CommentOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Acknowledge alarms."""
    if len(ids) > _IDS_LIMIT:
        raise typer.BadParameter(f"{len(ids)} ids: at most {_IDS_LIMIT}")
    answer = _call(url, "POST", "/acknowledge", _body({"ids": ids, "comment": comment}), token, token_file)
    for one in answer["acknowledged"]:
        print_line(f"{one} acknowledged")
    for one in answer["refused"]:
        print_line(f"{one['id']} not acknowledged: {one['reason']}", errors)
    if answer["refused"]:
        sys.exit(FAILED)


@alarms.command("shelve")
def shelve(
    alarm: IdArgument,
    seconds: Annotated[
        int, typer.Option("--for", parser=_duration, metavar="TIME", help="How long, as 30m or 8h; critical: at most 8h.")
    ],
    url: UrlOption = _LOCAL,
    comment: CommentOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Hide an alarm for a while. It is announced anew if it still stands then."""
    body = _body({"seconds": seconds, "comment": comment})
    record = _call(url, "POST", f"/{quote(alarm, safe='')}/shelve", body, token, token_file)["alarm"]
    print_line(f"{record['id']} shelved until {record['shelvedUntil']}")


@alarms.command("test")
def send_test(
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="Name of a target. Default: all.")] = None,
    url: UrlOption = _LOCAL,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Send a test message to the targets of the rules file, and say which of them took it."""
    results = _call(url, "POST", "/test", _body({"target": target}), token, token_file)["results"]
    for one in results:
        print_line(f"{one['target']}: told" if one["ok"] else f"{one['target']}: not told: {one['error']}")
    if not results:
        print_line("no target is set: add [[notify]] to the rules file", errors)
    if not all(one["ok"] for one in results):
        sys.exit(FAILED)


@alarms.command("try")
def try_rules(
    config: ConfigOption = None,
    since: Annotated[int, typer.Option(parser=_duration, metavar="TIME", help="How far back, as 30d or 12h.")] = "30d",  # type: ignore[assignment]  # typer parses defaults too
    rules: Annotated[Path | None, typer.Option(dir_okay=False, help="Rules file. Default: that of the settings.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")] = 100,
) -> None:
    """Show which alarms the rules would have raised on the stored readings. Nothing is stored or sent."""
    from bridge.alarms.rules_file.reading import read_rules
    from bridge.alarms.trial import TrialResult
    from bridge.alarms.trial import try_rules as fold
    from bridge.cli.render import progress_bar

    settings = load_settings(config)
    file = read_rules(rules or settings.alarms.file)
    from_ms = time.time_ns() // 1_000_000 - since * 1000

    async def run() -> TrialResult:
        async with open_store(settings.store) as store:
            await store.prepare()
            return await fold(store, file.rules, from_ms, progress=progress)

    with progress_bar(errors, "trying") as progress:
        result = run_loop(run())
    _print_trial(result.announced, limit)
    shown, what = len(result.announced), f"{result.readings:,} readings of {result.devices:,} devices"
    span = "" if result.first_ms is None else f" from {_minute(result.first_ms)} to {_minute(result.last_ms)}"
    print_line(f"{shown:,} alarms in {what}{span}", errors)
    if shown > limit:
        print_line(f"the first {limit:,} are shown: --limit shows more", errors)
    if result.raised > len(result.alarms):
        print_line(f"{result.raised - len(result.alarms):,} more were raised: choose a shorter time", errors)


def _print_trial(records: Sequence[AlarmRecord], limit: int) -> None:
    table = Table("rule", "device", "priority", "from", "to", "peak")
    for one in records[:limit]:
        end = "too late to raise" if one.past is not None else "still standing" if one.is_active else _minute(one.cleared_ms)
        peak = "" if one.peak is None else _value(one.peak.value, one.unit)
        add_row(table, one.rule, one.device_id or "", one.priority.value, _minute(one.raised_ms), end, peak)
    console.print(table)


def _minute(at_ms: int | None) -> str:
    return "" if at_ms is None else iso(at_ms)[:16].replace("T", " ")


def _value(value: float | bool | None, unit: str | None) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"{amount(value)} {unit or ''}".strip()


def _body(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _call(
    url: str, method: str, path: str, body: dict[str, Any] | None, token: str | None, token_file: Path | None
) -> dict[str, Any]:
    from bridge.tools.api_client import call, read_token

    answer = run_loop(call(url, method, f"{_PATH}{path}", body, read_token(token, token_file)))
    if not isinstance(answer, dict):
        raise BridgeError(f"the bridge at {url} answers with something else: is it another program, or an older version?")
    return answer
