"""`sensor-bridge forecast …`: how good forecasts would have been, on the stored readings."""

import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Annotated, Any

import typer

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.scores import FieldScore, Replay
from bridge.cli.options import JsonOption, load_store_settings, parse_since
from bridge.cli.render import Column, print_json, print_list
from bridge.cli.runner import ConfigOption, console, errors, print_line, run_loop
from bridge.core.devices.local_time import parse_zone
from bridge.core.errors import UnknownDevice
from bridge.core.query import ReadingsQuery
from bridge.core.readings.identity import normalize_device_id
from bridge.core.timestamp import iso
from bridge.ports import HistoryStore
from bridge.stores import open_store

forecast = typer.Typer(no_args_is_help=True, help="Try forecasts on the stored readings.")

_PAGE = 1000
_SECONDS_LIMIT = 10 * 366 * 86_400


def _parse_since(text: str) -> int:
    seconds = parse_since(text)
    if seconds > _SECONDS_LIMIT:
        raise typer.BadParameter("must be at most 3660d")
    return seconds


def _parse_zone(text: str) -> tzinfo:
    try:
        return parse_zone(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@forecast.callback()
def _commands() -> None:
    """Keep `try` a command of its own: a group of one command would have none."""


@forecast.command("try")
def try_forecasts(
    device: Annotated[str, typer.Option(help="Device whose readings are used.")],
    config: ConfigOption = None,
    since: Annotated[int, typer.Option(parser=_parse_since, metavar="TIME", help="How far back: 90d, or 2026-11-01.")] = "90d",  # type: ignore[assignment]  # typer parses defaults too
    timezone: Annotated[
        tzinfo, typer.Option(parser=_parse_zone, metavar="ZONE", help="Zone of the device, as Europe/Berlin or +02:00.")
    ] = "UTC",  # type: ignore[assignment]
    as_json: JsonOption = False,
) -> None:
    """Show how good forecasts of a device would have been, hour by hour. Nothing is stored or sent."""
    from bridge.cli.render import progress_bar

    settings = load_store_settings(config)
    identity = normalize_device_id(device)
    now = time.time_ns() // 1_000_000 // HOUR_MS
    first = now - -(-since // 3600)

    async def run() -> Replay:
        async with open_store(settings.store) as store:
            await store.prepare()
            return await _replay(store.history, identity, (first, now), Replay(timezone), progress)

    with progress_bar(errors, "trying") as progress:
        replay = run_loop(run())
    if replay.device.hour < 0:
        raise UnknownDevice(
            f"{device}: no readings since {_minute(first)} before the current hour, which is left out; --since goes further "
            "back, `tail` shows devices"
        )
    _print_scores(replay.scores, as_json=as_json)


async def _replay(
    history: HistoryStore, device: str, hours: tuple[int, int], replay: Replay, progress: Callable[[int, int | None], None]
) -> Replay:
    """Feed the hourly means of a device from the first to before the second hour, page by page."""
    first, end = hours
    fields, at = list(FORECAST_FIELDS), first
    while at < end:
        until = min(at + _PAGE, end)
        query = ReadingsQuery((device,), at * HOUR_MS, until * HOUR_MS, limit=_PAGE)
        for bucket in await history.buckets(query, HOUR_MS, fields):
            means: Mapping[str, float] = {name: summary.mean for name, summary in bucket.fields.items()}
            replay.feed(bucket.start_ms // HOUR_MS, means)
        at = until
        progress(at - first, end - first)
    return replay


def _print_scores(scores: Mapping[str, FieldScore], *, as_json: bool) -> None:
    listed = [(name, scores[name]) for name in FORECAST_FIELDS if name in scores]
    if as_json:
        print_json(console, [_public(name, score) for name, score in listed])
    elif listed:
        figures = ("hours", "error 1 h", "error 6 h", "of hour before", "of day before", "in 90% bounds", "shown")
        columns = (Column("field"), *(Column(name, number=True) for name in figures), Column("now"))
        print_list(console, columns, [_row(name, score) for name, score in listed], "")
    if not scores:
        print_line("the device has no field that is forecast: " + ", ".join(FORECAST_FIELDS), errors)
    elif all(score.count == 0 for score in scores.values()):
        print_line("too few hours to compare: forecasts need two days, and 14 days to be shown", errors)


def _row(name: str, score: FieldScore) -> tuple[str, ...]:
    label, shown = f"{name} {score.unit}".strip(), f"{score.shown / score.hours:.0%}"
    if not all(score.counts):
        return label, str(score.hours), "", "", "", "", "", shown, score.last.value
    first, last = (f"{score.model[at] / score.counts[at]:.3g}" for at in (0, -1))
    ratios = ("" if ratio is None else f"{ratio:.0%}" for ratio in (score.persistence_ratio, score.seasonal_ratio))
    return label, str(score.hours), first, last, *ratios, f"{score.coverage:.1%}", shown, score.last.value


def _public(name: str, score: FieldScore) -> dict[str, Any]:
    """Return the row as JSON types: `errors` by hour ahead, in `unit`; None where too few hours were compared."""
    compared = all(score.counts)
    return {
        "field": name,
        "unit": score.unit,
        "hours": score.hours,
        "errors": [total / count for total, count in zip(score.model, score.counts, strict=True)] if compared else None,
        "ofPersistence": score.persistence_ratio if compared else None,
        "ofDayBefore": score.seasonal_ratio if compared else None,
        "inBounds": score.coverage if compared else None,
        "shown": score.shown / score.hours,
        "now": score.last.value,
    }


def _minute(hour: int) -> str:
    return iso(hour * HOUR_MS)[:16].replace("T", " ")
