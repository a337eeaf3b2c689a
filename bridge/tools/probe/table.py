"""The report in the terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.report.text import UNKNOWN, duration
from bridge.tools.probe.results import PERCENTILES, CheckState, InputResult, PathResult, ProbeReport
from bridge.tools.terminal import printable

_WIDE_COLUMNS = 105
_LABELS = {
    CheckState.PASSED: Text("ok", style="green"),
    CheckState.FAILED: Text("fails", style="bold red"),
    CheckState.SKIPPED: Text("skipped", style="yellow"),
}


def print_report(report: ProbeReport, console: Console) -> None:
    console.print()
    console.print(_checks_table(report))
    console.print()
    if report.paths:
        repeated = any(path.latencies.count > 1 for path in report.paths.values())
        console.print(_paths_table(report) if repeated or console.width < _WIDE_COLUMNS else _matrix(report))
    for text in _complaints(report):
        console.print(Text(printable(f"fails  {text}")), style="bold red", soft_wrap=True)


def _checks_table(report: ProbeReport) -> Table:
    """All checks except the connections that passed, whose paths are in the next table."""
    results = [result for result in report.checks.values() if not (result.connects and result.state is CheckState.PASSED)]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for justify in ("left", "left", "left", "right"):
        table.add_column(justify=justify, overflow="fold")
    for result in results:
        text = result.failure or result.answer
        if result.failures and result.runs > 1 and not result.connects:
            text = f"{result.failures:,} of {result.runs:,} times: {text}"
        latency = duration(result.latencies.percentile(0.5)) if result.latencies.count else ""
        table.add_row(
            _LABELS[result.state], Text(result.name, no_wrap=True), Text(printable(text)), Text(latency, no_wrap=True)
        )
        if result.remedy:
            table.add_row("", "", Text(printable(f"→ {result.remedy}"), style="yellow"))
    return table


def _latency_table() -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="latency from sending to receiving", title_justify="left")


def _matrix(report: ProbeReport) -> Table:
    output_names = list(dict.fromkeys(path.output for path in report.paths.values()))
    table = _latency_table()
    table.add_column("input")
    for name in ("acknowledged", *output_names, "stored as sent"):
        table.add_column(name.replace(" ", "\n", 1), justify="right", vertical="bottom")
    for result in report.inputs.values():
        paths = (report.paths.get((result.name, name)) for name in output_names)
        cells = (Text(UNKNOWN) if path is None else _path_cell(path) for path in paths)
        stored = Text("yes", style="green") if result.passed else Text("no", style="bold red")
        table.add_row(Text(result.name, no_wrap=True), _acknowledged_cell(result), *cells, stored)
    return table


def _path_cell(path: PathResult) -> Text:
    if path.passed:
        return Text(duration(path.latencies.percentile(0.5)))
    return Text("lost" if path.lost else "twice" if path.repeated else "differs", style="bold red")


def _acknowledged_cell(result: InputResult) -> Text:
    if result.refused:
        return Text("refused", style="bold red")
    return Text(duration(result.latencies.percentile(0.5)) if result.acknowledges else UNKNOWN)


def _paths_table(report: ProbeReport) -> Table:
    """A row per output, below a row of its input. Without errors their columns are left out: the table fits 80 columns."""
    table = _latency_table()
    table.add_column("input", overflow="fold")
    faulty = any(path.lost or path.repeated or path.different for path in report.paths.values())
    for name in ("accepted", "received", *(("lost", "twice", "differ") if faulty else ()), *PERCENTILES):
        table.add_column(name, justify="right", no_wrap=True)
    for result in report.inputs.values():
        paths = [path for path in report.paths.values() if path.input == result.name]
        blanks = [""] * (4 if faulty else 1)
        if result.acknowledges:
            table.add_row(result.name, f"{result.sent - result.refused:,}", *blanks, *_percentiles(result.latencies))
        else:
            table.add_row(result.name, "", *blanks, *[""] * len(PERCENTILES))
        for n, path in enumerate(paths):
            counts, end = _counts(path, faulty=faulty), n == len(paths) - 1
            table.add_row(f"  {path.output}", *counts, *_percentiles(path.latencies), end_section=end)
    return table


def _counts(path: PathResult, *, faulty: bool) -> Iterator[Text]:
    yield Text(f"{path.accepted:,}")
    yield Text(f"{path.received:,}")
    for errors in (path.lost, path.repeated, path.different) if faulty else ():
        yield Text(f"{errors:,}", style="bold red" if errors else "dim")


def _percentiles(latencies: Latencies) -> Iterator[str]:
    return (duration(latencies.percentile(part)) for part in PERCENTILES.values())


def _complaints(report: ProbeReport) -> Iterator[str]:
    for result in report.inputs.values():
        if result.complaint:
            yield f"{result.name}: {result.complaint}"
    for path in report.paths.values():
        for text in path.complaints:
            yield f"{path.input} to {path.output}: {text}"


def summary(report: ProbeReport, seconds: float) -> Text:
    skipped = sum(check.state is CheckState.SKIPPED for check in report.checks.values())
    counts = f"{report.sent:,} readings sent, {report.received:,} received; {duration(seconds)}"
    if skipped:
        counts += f"; {skipped} skipped"
    if report.passed:
        return Text(f"all checks passed: {counts}", style="bold green")
    return Text(f"{report.failed:,} failed: {counts}", style="bold red")
