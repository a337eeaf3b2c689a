"""`sensor-bridge cluster …`: prepare a database for several bridges, and see how they do."""

import sys
from typing import TYPE_CHECKING

import typer

from bridge.cli.options import JsonOption
from bridge.cli.render import local_time, local_time_of, print_json, print_list
from bridge.cli.runner import FAILED, ConfigOption, console, errors, print_line, run_loop
from bridge.log.order import Order
from bridge.log.preparation import PrepareProgress, Renumbered
from bridge.settings.loader import load_settings
from bridge.stores import open_store

if TYPE_CHECKING:
    from bridge.cluster.status import ClusterState

cluster = typer.Typer(no_args_is_help=True, help="Prepare a database for several bridges, and show their state.")


@cluster.command("prepare")
def prepare(config: ConfigOption = None) -> None:
    """Prepare the database for several bridges. Safe to repeat, and while a bridge runs."""
    from bridge.cluster.status import log_of

    settings = load_settings(config).store
    renumbered: list[Renumbered] = []

    def converting(readings: int) -> None:
        print_line(f"making the index on seq unique: {readings:,} readings; this reads the index once", errors)

    def moved(one: Renumbered) -> None:
        renumbered.append(one)
        print_line(f"reading {one.reading_id} of {one.device_id}: seq {one.before} is that of another: now {one.after}")

    async def run() -> Order:
        async with open_store(settings) as store:
            log = log_of(store)
            await store.prepare()
            return await log.prepare(PrepareProgress(converting, moved))

    order = run_loop(run())
    print_line(f"{settings.address} is prepared for a cluster: last cursor {order.last}, {len(renumbered):,} renumbered")


@cluster.command("status")
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show bridges, leader and open ranges. Exit code 1 if no bridge leads or receives, or a range is open for too long."""
    from bridge.cluster.status import read_status

    settings = load_settings(config)

    async def read() -> "ClusterState":
        async with open_store(settings.store) as store:
            return await read_status(store, settings.cluster.close_seconds)

    found = run_loop(read())
    if as_json:
        print_json(console, found.to_json())
    else:
        _print_status(found)
    for fault in found.faults:
        print_line(fault, errors, "bold red")
    sys.exit(FAILED if found.faults else 0)


def _print_status(found: "ClusterState") -> None:
    columns = ("bridge", "place", "leads", "receives", "host", "pid", "version", "since", "last sign")
    rows = []
    for one in found.bridges:
        sign = f"{one.silent_seconds:.1f} s ago" if one.is_alive else f"none in {one.silent_seconds:.1f} s"
        host = f"{one.host} {one.address}".rstrip()
        leads, receives = ("yes" if is_so else "" for is_so in (one.leads, one.receives))
        since = local_time_of(one.since)
        rows.append((one.id, str(one.place or ""), leads, receives, host, str(one.pid or ""), one.version, since, sign))
    print_list(console, columns, rows, "no bridge runs on this database")
    last = f"{found.last_cursor} ({local_time(found.last_cursor // 1000, seconds=True)})" if found.last_cursor else "none"
    print_line(f"cluster {found.cluster or '?'}: last cursor {last}, {len(found.open)} open ranges")
    for taken in found.open:
        print_line(f"open: {taken.low} to {taken.high} of {taken.bridge}, for {taken.age_seconds:.2f} s")
