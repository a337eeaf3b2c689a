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
from bridge.tools.terminal import printable

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
        self._console.print(Text(printable(text)), soft_wrap=True)

    def progress(self, text: str) -> None:
        """Show progress; takes 0.3 ms in a terminal."""
        if self._console.is_terminal:
            self._live.update(Text(printable(f"  {text}")), refresh=True)


def print_report(report: Report, console: Console) -> None:
    console.print(Text(printable(text.machine(report), "\n")))
    if report.measurements:
        console.print(_table(report, console.width))
        console.print(Text(text.LEGEND))
    for result in report.measurements:
        figures = "; ".join(f"{name} {value}" for name, value in text.figures(result))
        console.print(Text(printable(f"{result.scenario}, {result.system}, {result.clients:,} clients: {figures}")))
    for reason in report.notes:
        console.print(Text(printable(f"note: {reason}", "\n")), style="yellow")
    for failure in report.failures:
        console.print(Text(printable(f"failed: {failure}", "\n")), style="bold red")


def _table(report: Report, width: int) -> Table:
    columns = [name for name in text.COLUMNS if width >= _WIDE_COLUMNS or name not in text.OPTIONAL_COLUMNS]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in text.TEXT_COLUMNS else "right", vertical="bottom")
    for result in report.measurements:
        cells = dict(zip(text.COLUMNS, text.row(result), strict=True))
        table.add_row(*(Text(printable(cells[name], "\n"), no_wrap=True) for name in columns))
    return table
