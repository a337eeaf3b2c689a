"""`sensor-bridge alarms …`: alarms and targets of a running bridge; rules tried on the stored readings."""

import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from bridge.alarms.record import AlarmRecord
from bridge.alarms.rules import Priority, amount
from bridge.cli.analysis.api import LIST_LIMIT, call_bridge, print_more
from bridge.cli.options import (
    LOCAL_BRIDGE,
    JsonOption,
    TokenFileOption,
    TokenOption,
    UrlOption,
    load_store_settings,
    parse_duration,
    parse_since,
)
from bridge.cli.render import Column, local_time, local_time_of, print_json, print_list
from bridge.cli.runner import FAILED, ConfigOption, console, errors, print_line, run_loop
from bridge.stores import open_store

alarms = typer.Typer(no_args_is_help=True, help="List, acknowledge and shelve alarms, test targets, try rules.")

_PATH = "/api/v1/alarms"
_IDS_LIMIT = 1000


class _Listed(StrEnum):
    STANDING = "standing"
    SHELVED = "shelved"
    ENDED = "ended"
    ALL = "all"


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm, as `alarms list` shows it.")]
CommentOption = Annotated[str | None, typer.Option(help="Why, for the history of the alarm.")]


@alarms.command("list")
def list_alarms(
    url: UrlOption = LOCAL_BRIDGE,
    state: Annotated[_Listed, typer.Option(help="Which alarms.")] = _Listed.STANDING,
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Only this priority.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="Maximum number of alarms.")] = 100,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the alarms of a running bridge, the newest first."""
    given = {"state": state.value, "device": device, "rule": rule, "priority": priority and priority.value, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    answer = call_bridge(url, "GET", f"{_PATH}?{query}", None, token, token_file)
    if as_json:
        print_json(console, answer["alarms"])
    else:
        _print_alarms(answer["alarms"], state)
    if answer.get("next"):
        print_more(limit)
    if answer.get("catchingUp"):
        print_line("the bridge is still evaluating readings that arrived while it was down", errors)


@alarms.command("ack")
def acknowledge(
    ids: Annotated[list[str], typer.Argument(metavar="ID ...", help="Ids of alarms, as `alarms list` shows them.")],
    url: UrlOption = LOCAL_BRIDGE,
    comment: CommentOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Acknowledge alarms."""
    if len(ids) > _IDS_LIMIT:
        raise typer.BadParameter(f"{len(ids)} ids: at most {_IDS_LIMIT}")
    answer = call_bridge(url, "POST", f"{_PATH}/acknowledge", {"ids": ids, "comment": comment}, token, token_file)
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
        int,
        typer.Option("--for", parser=parse_duration, metavar="DURATION", help="How long, as 30m or 8h; critical: at most 8h."),
    ],
    url: UrlOption = LOCAL_BRIDGE,
    comment: CommentOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Hide an alarm for a while. It is announced anew if it still stands then."""
    body = {"seconds": seconds, "comment": comment}
    record = call_bridge(url, "POST", f"{_PATH}/{quote(alarm, safe='')}/shelve", body, token, token_file)["alarm"]
    print_line(f"{record['id']} shelved until {record['shelvedUntil']}")


@alarms.command("test")
def send_test(
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="Name of a target. Default: all.")] = None,
    url: UrlOption = LOCAL_BRIDGE,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Send a test message to the targets of the rules file, and say which of them took it."""
    results = call_bridge(url, "POST", f"{_PATH}/test", {"target": target}, token, token_file)["results"]
    for one in results:
        print_line(f"{one['target']}: told" if one["ok"] else f"{one['target']}: not told: {one['error']}")
    if not results:
        print_line("no target is set: add [[notify]] to the rules file", errors)
    if not all(one["ok"] for one in results):
        sys.exit(FAILED)


@alarms.command("try")
def try_rules(
    config: ConfigOption = None,
    since: Annotated[int, typer.Option(parser=parse_since, metavar="TIME", help="How far back: 30d, or 2026-11-01.")] = "30d",  # type: ignore[assignment]  # typer parses defaults too
    rules: Annotated[Path | None, typer.Option(dir_okay=False, help="Rules file. Default: that of the settings.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show which alarms the rules would have raised on the stored readings. Nothing is stored or sent."""
    from bridge.alarms.rules_file.reading import read_rules
    from bridge.alarms.trial import TrialResult
    from bridge.alarms.trial import try_rules as fold
    from bridge.cli.render import progress_bar

    settings = load_store_settings(config)
    file = read_rules(rules or settings.alarms.file)
    from_ms = time.time_ns() // 1_000_000 - since * 1000

    async def run() -> TrialResult:
        async with open_store(settings.store) as store:
            await store.prepare()
            return await fold(store, file.rules, from_ms, progress=progress)

    with progress_bar(errors, "trying") as progress:
        result = run_loop(run())
    if as_json:
        print_json(console, [record.public() for record in result.announced[:limit]])
    else:
        _print_trial(result.announced[:limit])
    shown, what = (
        len(result.announced),
        f"{result.readings:,} readings of {_count(result.devices, 'device')}",
    )
    span = "" if result.first_ms is None else f" from {local_time(result.first_ms)} to {local_time(result.last_ms)}"
    print_line(f"{_count(shown, 'alarm')} in {what}{span}", errors)
    if shown > limit:
        print_line(f"the first {limit:,} are shown: --limit shows more", errors)
    if result.raised > len(result.alarms):
        print_line(f"{result.raised - len(result.alarms):,} more were raised: choose a shorter time", errors)


def _print_alarms(alarms: Sequence[Mapping[str, Any]], state: _Listed) -> None:
    rows = []
    for one in alarms:
        value, since = _value(one["value"], one["unit"]), local_time_of(one["raisedAt"])
        device = one["deviceId"] or ""
        rows.append((one["id"], one["priority"], one["state"], one["rule"], device, value, since, one["message"]))
    columns = ("id", "priority", "state", "rule", "device", "value", "since", Column("message", prose=True))
    empty = "no alarms" if state is _Listed.ALL else f"no {state} alarms; --state all lists the others"
    print_list(console, columns, rows, empty)


def _print_trial(records: Sequence[AlarmRecord]) -> None:
    rows = []
    for one in records:
        end = "too late to raise" if one.past is not None else "still standing" if one.is_active else local_time(one.cleared_ms)
        peak = "" if one.peak is None else _value(one.peak.value, one.unit)
        rows.append((one.rule, one.device_id or "", one.priority.value, local_time(one.raised_ms), end, peak))
    print_list(console, ("rule", "device", "priority", "from", "to", "peak"), rows, "no alarm would have been raised")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _value(value: float | bool | None, unit: str | None) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"{amount(value)} {unit or ''}".strip()
