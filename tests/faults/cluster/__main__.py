"""`make faults ARGS=cluster`: every component of a cluster × every fault × two loads, with a table and JSON.

`cluster-upgrade` replaces the bridges with the help of a spare, `cluster-restart` one after the other. `cluster-enable` makes a
bridge with a million readings one of three.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.faults.cluster.cells import IDLE, IDLE_RATE, LOADED, Cell, Fault, Outcome, Target, run_cell
from tests.faults.cluster.changes import UPGRADED, enable, upgrade
from tests.faults.cluster.network import enter
from tests.faults.cluster.stage import cluster_stage

LOADED_RATE = 500.0
MATRIX, UPGRADE, RESTART, ENABLE = "cluster", "cluster-upgrade", "cluster-restart", "cluster-enable"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix or a change; return 1 if something did not pass."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("name", choices=[MATRIX, UPGRADE, RESTART, ENABLE])
    parser.add_argument("--only", default="", metavar="TEXT", help="cells with this in their name, such as bridge-kill,broker")
    parser.add_argument("--times", type=int, default=3, help="how often each cell has its fault")
    parser.add_argument("--bus", choices=["mqtt", "redis", "none"], default="mqtt", help="of the cells that do not need Redis")
    parser.add_argument("--mqtt", type=float, default=0.5, metavar="SHARE", help="share of the readings that come by MQTT")
    parser.add_argument("--clients", type=float, default=1.0, metavar="FACTOR", help="less than 1 on a slow machine")
    parser.add_argument("--readings", type=int, default=1_000_000, help="stored readings of cluster-enable")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and databases here")
    options = parser.parse_args(arguments)
    can_cut = enter()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    outcomes: list[Outcome] = []
    try:
        asyncio.run(_run(options, can_cut=can_cut, outcomes=outcomes))
    except asyncio.CancelledError:
        print("ended by SIGTERM: this is what was done until then", file=sys.stderr)
    finally:
        _print(outcomes)
        if options.json:
            options.json.write_bytes(orjson.dumps([one.to_document() for one in outcomes], option=orjson.OPT_INDENT_2))
    return 0 if outcomes and all(one.passed for one in outcomes) else 1


async def _run(options: argparse.Namespace, *, can_cut: bool, outcomes: list[Outcome]) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # ends what it started
    with _folder(options.keep) as folder:
        if options.name in (UPGRADE, RESTART):
            outcome = await upgrade(
                folder, _progress, bus=options.bus, rate=LOADED_RATE, mqtt_share=options.mqtt,
                population=UPGRADED.scaled(options.clients), with_spare=options.name == UPGRADE,
            )  # fmt: skip
            outcomes.append(outcome)
        elif options.name == ENABLE:
            outcomes.append(await enable(folder, _progress, bus=options.bus, readings=options.readings))
        else:
            await _matrix(folder, options, can_cut=can_cut, outcomes=outcomes)


async def _matrix(folder: Path, options: argparse.Namespace, *, can_cut: bool, outcomes: list[Outcome]) -> None:
    if not can_cut:
        print("no network namespaces here: nothing is cut off", file=sys.stderr)
    cells = [
        replace(cell, population=cell.population.scaled(options.clients), repetitions=options.times)
        for cell in selected(list(matrix(options.bus, options.mqtt)), options.only.split(","))
    ]
    for bus in dict.fromkeys(cell.bus for cell in cells):
        chosen = [cell for cell in cells if cell.bus == bus and (can_cut or cell.fault is not Fault.CUT)]
        await _cells(folder / bus, chosen, outcomes)


def selected(cells: Sequence[Cell], parts: Sequence[str]) -> list[Cell]:
    """Return the cells of each part of a name, in the order of the parts; a whole name selects only its cell."""
    names = {cell.name for cell in cells}
    found = [cell for part in parts for cell in cells if (cell.name == part if part in names else part in cell.name)]
    return list(dict.fromkeys(found))


def matrix(bus: str, mqtt_share: float) -> Iterator[Cell]:
    """Yield every cell. The broker is the bus, unless `bus` says otherwise; the cells of the bus have Redis."""
    for (rate, population), target, fault in product(((LOADED_RATE, LOADED), (IDLE_RATE, IDLE)), Target, Fault):
        cell = Cell(target, fault, rate, population, bus=bus, mqtt_share=mqtt_share)
        yield replace(cell, bus="redis") if target is Target.BUS else cell


async def _cells(folder: Path, cells: Sequence[Cell], outcomes: list[Outcome]) -> None:
    """Run cells on one stage; a stage that does not recover ends with its cell, and the next cell has a new one."""
    waiting = list(cells)
    stages = 0
    while waiting:
        stages += 1
        (folder / f"stage{stages}").mkdir(parents=True)
        try:
            async with cluster_stage(folder / f"stage{stages}", bus=cells[0].bus) as stage:
                while waiting:
                    _progress(f"{waiting[0].name}, {len(waiting)} to go")
                    begun = time.monotonic()
                    outcomes.append(await run_cell(stage, _progress, waiting[0]))
                    outcomes[-1].measured["took s"] = time.monotonic() - begun
                    _progress(f"{'ok   ' if outcomes[-1].passed else 'FAILS'} {outcomes[-1].summary}")
                    del waiting[0]
        except AssertionError as error:
            outcomes.append(Outcome.failed(waiting.pop(0).name, str(error)))
            _progress(f"FAILS {outcomes[-1]}")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _progress(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def _print(outcomes: Sequence[Outcome]) -> None:
    title = f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    table = Table(title=title, title_justify="left")
    for name in (
        "cell", "acknowledged", "lost: bridge / broker", "tombstones", "commands: twice / vanished / failed / unheard / all",
        "received",
        "holes", "repeats", "inversions", "unknown", "gaps", "measured", "",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in ("cell", "measured") else "right", no_wrap=name == "cell")
    for one in outcomes:
        verdict, total = one.verdict, one.verdict.total()
        table.add_row(
            one.name, f"{verdict.acknowledged:,}", f"{verdict.lost} / {verdict.lost_by_broker}", f"{verdict.tombstones:,}",
            f"{verdict.commands_twice} / {verdict.commands_vanished} / {verdict.commands_failed} / "
            f"{verdict.commands_unheard} / {verdict.commands}", f"{total.received:,}",
            str(total.holes), str(total.repeats), str(total.inversions), str(total.unknown), str(total.gaps),
            ", ".join(f"{name} {value:.1f}" for name, value in one.measured.items()), "ok" if one.passed else "FAILS",
        )  # fmt: skip
    Console(width=max(Console().width, 160)).print(table)
    for one in outcomes:
        for note in (*one.verdict.located, *one.verdict.commands_told, *one.notes):
            print(f"{one.name}: {note}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
