"""The bench in the terminal: how it goes on standard error, the table in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.tools.bench.report import text
from bridge.tools.bench.report.results import Report
from bridge.tools.bench.scenarios.catalog import SCENARIOS

_ROOMY = 110  # columns


class LiveScreen:
    """A line for each phase, and below it how it goes; the latter in a terminal only."""

    def __init__(self, console: Console) -> None:
        """Nothing is shown yet."""
        self._console = console
        # No refreshing thread: it would take the interpreter for milliseconds in the midst of a measurement.
        self._live = Live(console=console, auto_refresh=False, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While it is measured."""
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    def phase(self, text: str) -> None:
        """Something begins."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """How it goes: 0.3 ms in a terminal."""
        if self._console.is_terminal:
            self._live.update(Text(f"  {text}"), refresh=True)


def show(report: Report, console: Console) -> None:
    """The table, what only single rows have, and what went wrong."""
    console.print(text.machine(report), highlight=False)
    if report.measurements:
        console.print(_table(report, console.width))
        console.print(text.LEGEND, highlight=False)
    for one in report.measurements:
        shown = "; ".join(f"{name} {value}" for name, value in text.figures(one))
        console.print(f"{one.scenario}, {one.system}, {one.clients:,} clients: {shown}", highlight=False, markup=False)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    for failure in report.failures:
        console.print(f"failed: {failure}", style="bold red", markup=False, highlight=False)


def _table(report: Report, width: int) -> Table:
    shown = [name for name in text.COLUMNS if width >= _ROOMY or name not in text.LESSER_COLUMNS]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in shown:
        table.add_column(name, justify="left" if name in text.TEXT_COLUMNS else "right", vertical="bottom")
    for one in report.measurements:
        cells = dict(zip(text.COLUMNS, text.row(one), strict=True))
        table.add_row(*(Text(cells[name], no_wrap=True) for name in shown))
    return table


def show_scenarios(console: Console) -> None:
    """Name, idea and load of each."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for one in SCENARIOS.values():
        table.add_row(Text(one.name, style="bold"), Text(one.summary))
    console.print(table)
