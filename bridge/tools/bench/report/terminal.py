"""Progress on standard error, and the report as tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.tools.bench.report import text
from bridge.tools.bench.report.results import Report

_WIDE_COLUMNS = 110


class TerminalDisplay:
    """Prints a line per phase; in a terminal, also a line of progress below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # No refresh thread: it would hold the interpreter for milliseconds during a measurement.
        self._live = Live(console=console, auto_refresh=False, transient=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    def phase(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """Show progress; takes 0.3 ms in a terminal."""
        if self._console.is_terminal:
            self._live.update(Text(f"  {text}"), refresh=True)


def print_report(report: Report, console: Console) -> None:
    console.print(text.machine(report), highlight=False)
    if report.measurements:
        console.print(_table(report, console.width))
        console.print(text.LEGEND, highlight=False)
    for result in report.measurements:
        figures = "; ".join(f"{name} {value}" for name, value in text.figures(result))
        console.print(
            f"{result.scenario}, {result.system}, {result.clients:,} clients: {figures}", highlight=False, markup=False
        )
    for reason in report.notes:
        console.print(f"note: {reason}", style="yellow", markup=False, highlight=False)
    for failure in report.failures:
        console.print(f"failed: {failure}", style="bold red", markup=False, highlight=False)


def _table(report: Report, width: int) -> Table:
    columns = [name for name in text.COLUMNS if width >= _WIDE_COLUMNS or name not in text.OPTIONAL_COLUMNS]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in text.TEXT_COLUMNS else "right", vertical="bottom")
    for result in report.measurements:
        cells = dict(zip(text.COLUMNS, text.row(result), strict=True))
        table.add_row(*(Text(cells[name], no_wrap=True) for name in columns))
    return table
