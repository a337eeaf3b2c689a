"""`make faults`: run the long form of every scenario and print a table. The soak, of an hour, runs only by name.

Several bridges have a matrix of their own, see `tests/faults/cluster/`: `make faults ARGS=cluster`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.cluster import __main__ as cluster
from tests.faults.files import FILE_FAULTS, file_fault
from tests.faults.scenarios import SCENARIOS, Report, Scenario
from tests.faults.soak import soak

ALL: dict[str, Scenario] = {
    **SCENARIOS,
    **{f"sqlite-{name}": partial(file_fault, fault=fault) for name, fault in FILE_FAULTS.items()},
}
BY_NAME = {**ALL, "soak": soak}


def main() -> int:
    """Run the named scenarios, or all; return 1 if one did not pass."""
    if sys.argv[1:] and sys.argv[1].startswith("cluster"):
        return cluster.main(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BY_NAME], default=[])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and databases here")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the harness aborts connections, about which asyncio warns
    console = Console(width=max(Console().width, 140))
    reports = {name: _run(name, arguments.keep, console) for name in arguments.names or ALL}
    done = [report for report in reports.values() if report is not None]
    console.print(table(done))
    return 0 if len(done) == len(reports) and all(report.passed for report in done) else 1


def _run(name: str, keep: Path | None, console: Console) -> Report | None:
    """Run a scenario and print its outcome; None if it did not reach its end."""
    start = time.monotonic()
    with _folder(keep, name) as folder, console.status(name) as status:
        progress = status.update if console.is_terminal else partial(_print_progress, name)
        try:
            report = asyncio.run(BY_NAME[name](folder, progress))
        except Exception as error:
            console.print((folder / "bridge.log").read_text()[-3000:], markup=False)
            console.print(f"FAILS {name}: {error!r}", markup=False)
            return None
    console.print(f"{'ok   ' if report.passed else 'FAILS'} {name} in {time.monotonic() - start:.0f} s: {report}", markup=False)
    return report


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep:
        (keep / name).mkdir(parents=True)
        yield keep / name
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _print_progress(name: str, text: str) -> None:
    print(time.strftime("%H:%M:%S"), f"{name}:", text, file=sys.stderr, flush=True)


def table(reports: list[Report]) -> Table:
    """Return a table with a row per fault."""
    title = f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    result = Table(title=title, title_justify="left")
    for name in (
        "fault", "load", "acknowledged", "stored", "lost by the bridge", "lost by the broker: bridge / witness", "duplicates",
        "PUBACK early / order / session", "client: twice / order / early", "measured", "",
    ):  # fmt: skip
        result.add_column(name, justify="left" if name in ("fault", "load", "measured") else "right")
    for report in reports:
        verdict, received, acks = report.verdict, report.verdict.received, report.verdict.acks
        result.add_row(
            report.fault, report.load, f"{verdict.acknowledged:,}", f"{verdict.stored:,}", str(verdict.lost_by_bridge),
            f"{verdict.lost_by_broker} / {verdict.lost_to_witness}", str(verdict.stored_twice),
            f"{acks.before_store} / {acks.out_of_order} / {acks.wrong_session} of {acks.acknowledged:,}",
            f"{received.twice} / {received.out_of_order} / {received.before_stored} of {received.total:,}",
            ", ".join(f"{name} {value:.1f}" for name, value in report.measured.items()), "ok" if report.passed else "FAILS",
        )  # fmt: skip
    return result


if __name__ == "__main__":
    sys.exit(main())
