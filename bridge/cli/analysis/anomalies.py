"""`sensor-bridge anomalies …`: anomalies of a running bridge; the rules for them, tried on the stored readings."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from bridge.analysis.anomaly.changes import AnomalyRecord
from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import Anomaly, AnomalyEvent, AnomalyKind, AnomalyOutcome
from bridge.analysis.anomaly.sentences import sentence
from bridge.cli.analysis.api import LIST_LIMIT, call_bridge, print_more
from bridge.cli.options import (
    LOCAL_BRIDGE,
    JsonOption,
    TokenFileOption,
    TokenOption,
    UrlOption,
    load_store_settings,
    parse_since,
)
from bridge.cli.render import Column, local_time, local_time_of, print_json, print_list
from bridge.cli.runner import ConfigOption, console, errors, print_line, run_loop
from bridge.core.devices.device import Device
from bridge.core.errors import UnknownDevice
from bridge.core.query import ReadingsQuery
from bridge.core.readings.identity import normalize_device_id
from bridge.core.timestamp import iso
from bridge.ports import Store
from bridge.stores import open_store

anomalies = typer.Typer(no_args_is_help=True, help="List faults of sensors, mark one as wrong, try the rules.")

NEIGHBOURS_LIMIT = 8
"""How many other devices of the room are read."""

_PATH = "/api/v1/anomalies"
_ANOMALIES_LIMIT = 10_000
_DEVICES_LIMIT = 100_000
_PAGE = 5000


@dataclass(slots=True)
class AnomalyTrial:
    """The first `_ANOMALIES_LIMIT` anomalies of a device, as they were at last, and how many there were."""

    device_id: str
    neighbours: tuple[str, ...]
    readings: int = 0
    detected: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    anomalies: dict[str, Anomaly] = field(default_factory=dict)

    def add(self, event: AnomalyEvent) -> None:
        anomaly = event.anomaly
        if anomaly.device_id != self.device_id:
            return
        if anomaly.resolved_ms is None:
            self.detected += 1
        if anomaly.id in self.anomalies or len(self.anomalies) < _ANOMALIES_LIMIT:
            self.anomalies[anomaly.id] = anomaly


class _Listed(StrEnum):
    STANDING = "standing"
    ENDED = "ended"
    WRONG = "wrong"
    ALL = "all"


@anomalies.command("list")
def list_anomalies(
    url: UrlOption = LOCAL_BRIDGE,
    state: Annotated[_Listed, typer.Option(help="Which anomalies.")] = _Listed.STANDING,
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    kind: Annotated[AnomalyKind | None, typer.Option(help="Only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="Maximum number of anomalies.")] = 100,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the anomalies of a running bridge, the newest first."""
    given = {"state": state.value, "device": device, "kind": kind and kind.value, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    answer = call_bridge(url, "GET", f"{_PATH}?{query}", None, token, token_file)
    if as_json:
        print_json(console, answer["anomalies"])
    else:
        columns = ("id", "kind", "state", "device", "field", "detected", Column("what", prose=True))
        rows = [
            (
                one["id"],
                one["kind"],
                one["state"],
                one["deviceId"],
                ", ".join(one["fields"]),
                local_time_of(one["detectedAt"]),
                one["message"],
            )
            for one in answer["anomalies"]
        ]
        empty = "no anomalies" if state is _Listed.ALL else f"no {state} anomalies; --state all lists the others"
        print_list(console, columns, rows, empty)
    if answer.get("next"):
        print_more(limit)


@anomalies.command("wrong")
def mark_wrong(
    anomaly: Annotated[str, typer.Argument(metavar="ID", help="Id of the anomaly, as `anomalies list` shows it.")],
    url: UrlOption = LOCAL_BRIDGE,
    comment: Annotated[str | None, typer.Option(help="Why, kept with the anomaly.")] = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Mark an anomaly as wrong: it ends, and the thresholds that found it are doubled for the device."""
    marked = call_bridge(url, "POST", f"{_PATH}/{quote(anomaly, safe='')}/wrong", {"comment": comment}, token, token_file)
    print_line(f"{marked['id']} marked as wrong by {marked['markedBy']}")


@anomalies.command("try")
def try_anomalies(
    device: Annotated[str, typer.Option(help="Device whose readings are judged; others of its room are compared with it.")],
    config: ConfigOption = None,
    since: Annotated[int, typer.Option(parser=parse_since, metavar="TIME", help="How far back: 90d, or 2026-11-01.")] = "90d",  # type: ignore[assignment]  # typer parses defaults too
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show which faults of a device's sensors would have been found in the stored readings. Nothing is stored or sent."""
    from bridge.cli.render import progress_bar

    settings = load_store_settings(config)
    identity = normalize_device_id(device)
    from_ms = time.time_ns() // 1_000_000 - since * 1000

    async def run() -> AnomalyTrial:
        async with open_store(settings.store) as store:
            await store.prepare()
            return await try_device(store, identity, from_ms, progress)

    with progress_bar(errors, "trying") as progress:
        result = run_loop(run())
    _print_trial(result, limit, as_json=as_json)


async def try_device(
    store: Store, device_id: str, from_ms: int, progress: Callable[[int, int | None], None] = lambda _done, _total: None
) -> AnomalyTrial:
    """Fold the readings of a device and its neighbours that were measured since `from_ms`, in the order of their arrival.

    What is natural is learned from there on. Raises `StoreUnavailable`, and `UnknownDevice` if there is neither a reading nor a
    device with this id.
    """
    devices = {one.id: one for one in await store.devices.all(_DEVICES_LIMIT)}
    neighbours = _neighbours(devices, device_id)
    result = AnomalyTrial(device_id, neighbours)
    fold = AnomalyFold(room_of=lambda _: "room")
    query = ReadingsQuery((device_id, *neighbours), from_ms=from_ms, limit=_PAGE)
    total = await store.count(query)
    done = 0
    while page := await store.readings(query):
        for reading in page:
            if reading.device_id == device_id:
                result.readings += 1
                result.first_ms = reading.timestamp_ms if result.first_ms is None else result.first_ms
                result.last_ms = reading.timestamp_ms
            for event in fold.step(reading):
                result.add(event)
        done += len(page)
        progress(done, max(total, done))
        query = replace(query, since=page[-1].seq)
    if not result.readings and device_id not in devices:
        raise UnknownDevice(f"unknown device {device_id}: it has no stored readings since {iso(from_ms)}")
    return result


def _neighbours(devices: dict[str, Device], device_id: str) -> tuple[str, ...]:
    """The first devices of the same room and site, by id; none for a device without a room."""
    own = devices.get(device_id)
    if own is None or own.room is None:
        return ()
    others = (one.id for one in devices.values() if one.id != device_id and (one.site, one.room) == (own.site, own.room))
    return tuple(sorted(others)[:NEIGHBOURS_LIMIT])


def _print_trial(result: AnomalyTrial, limit: int, *, as_json: bool) -> None:
    shown = list(result.anomalies.values())[:limit]
    if as_json:
        print_json(console, [AnomalyRecord(one).public() for one in shown])
    else:
        rows = [(one.kind.value, ", ".join(one.fields), local_time(one.detected_ms), _end(one), sentence(one)) for one in shown]
        columns = ("kind", "field", "detected", "ended", Column("what", prose=True))
        print_list(console, columns, rows, "no anomaly would have been found")
    span = "" if result.first_ms is None else f" from {local_time(result.first_ms)} to {local_time(result.last_ms)}"
    beside = f", compared with {', '.join(result.neighbours)}" if result.neighbours else ", without a neighbour to compare with"
    found = "1 anomaly" if result.detected == 1 else f"{result.detected:,} anomalies"
    print_line(f"{found} in {result.readings:,} readings of {result.device_id}{span}{beside}", errors)
    if result.detected > len(shown):
        print_line(f"the first {len(shown):,} are shown: --limit shows up to {_ANOMALIES_LIMIT:,}", errors)


def _end(anomaly: Anomaly) -> str:
    if anomaly.resolved_ms is None:
        return "still standing"
    return local_time(anomaly.resolved_ms) + (" (accepted)" if anomaly.outcome is AnomalyOutcome.ACCEPTED else "")
