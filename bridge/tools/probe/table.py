"""What was found out, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.report.text import UNKNOWN, duration
from bridge.tools.probe.findings import PERCENTILES, CheckState, Findings, PathResult, WayInResult

_ROOMY = 105  # columns
_COLOURS = {CheckState.HELD: "green", CheckState.FAILED: "bold red", CheckState.SKIPPED: "yellow"}


def show(findings: Findings, console: Console) -> None:
    """Every question, then how long each way took, then what went wrong."""
    console.print()
    console.print(_questions(findings))
    console.print()
    if findings.deliveries:
        again = any(one.latencies.count > 1 for one in findings.deliveries.values())
        console.print(_pairs(findings) if again or console.width < _ROOMY else _matrix(findings))
    for text in _complaints(findings):
        console.print(f"fails  {text}", style="bold red", markup=False, highlight=False, soft_wrap=True)


def _questions(findings: Findings) -> Table:
    """Without the ways that can be used: below is told what came by them."""
    shown = [one for one in findings.questions.values() if not (one.of_way and one.state is CheckState.HELD)]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for justify in ("left", "left", "left", "right"):
        table.add_column(justify=justify, overflow="fold")
    for one in shown:
        said = one.failure or one.said
        if one.failed and one.asked > 1 and not one.of_way:
            said = f"{one.failed:,} of {one.asked:,} times: {said}"
        table.add_row(
            Text(one.state, style=_COLOURS[one.state]),
            Text(one.name, no_wrap=True),
            Text(said),
            Text(duration(one.latencies.percentile(0.5)) if one.latencies.count else "", no_wrap=True),
        )
        if one.remedy:
            table.add_row("", "", Text(f"→ {one.remedy}", style="yellow"))
    return table


def _matrix(findings: Findings) -> Table:
    """Each way in once: a row; each way out: a column."""
    ways_out = list(dict.fromkeys(one.way_out for one in findings.deliveries.values()))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="from sending to hearing", title_justify="left")
    table.add_column("way in")
    for name in ("acknowledged", *ways_out, "stored as sent"):
        table.add_column(name.replace(" ", "\n", 1), justify="right", vertical="bottom")
    for entry in findings.entries.values():
        cells = (findings.deliveries.get((entry.name, name)) for name in ways_out)
        heard = (Text(UNKNOWN) if one is None else _cell(one) for one in cells)
        table.add_row(Text(entry.name, no_wrap=True), _acknowledged(entry), *heard, _stored(entry))
    return table


def _cell(one: PathResult) -> Text:
    if one.held:
        return Text(duration(one.latencies.percentile(0.5)))  # or nothing, if nothing was to be heard
    return Text("lost" if one.lost else "twice" if one.repeated else "differs", style="bold red")


def _acknowledged(entry: WayInResult) -> Text:
    if entry.refused:
        return Text("not taken", style="bold red")
    return Text(duration(entry.acknowledged.percentile(0.5)) if entry.acknowledges else UNKNOWN)


def _stored(entry: WayInResult) -> Text:
    return Text("yes", style="green") if entry.held else Text("no", style="bold red")


def _pairs(findings: Findings) -> Table:
    """Each way in to each way out: a row."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="from sending to hearing", title_justify="left")
    for name in ("way in", "way out"):
        table.add_column(name)
    for name in ("taken", "heard", "lost", "twice", "differ", *PERCENTILES):
        table.add_column(name, justify="right")
    for entry in findings.entries.values():
        rows = [one for one in findings.deliveries.values() if one.way_in == entry.name]
        if entry.acknowledges:
            table.add_row(entry.name, Text("acknowledged", style="dim"), f"{entry.sent - entry.refused:,}", *_nothing(4),
                          *_spread(entry.acknowledged))  # fmt: skip
        for n, one in enumerate(rows):
            first = entry.name if n == 0 and not entry.acknowledges else ""
            table.add_row(first, one.way_out, *_counts(one), *_spread(one.latencies), end_section=n == len(rows) - 1)
    return table


def _counts(one: PathResult) -> Iterator[Text]:
    yield Text(f"{one.taken:,}")
    yield Text(f"{one.heard:,}")
    for wrong in (one.lost, one.repeated, one.different):
        yield Text(f"{wrong:,}", style="bold red" if wrong else "dim")


def _spread(latencies: Latencies) -> Iterator[str]:
    return (duration(latencies.percentile(part)) for part in PERCENTILES.values())


def _nothing(count: int) -> list[str]:
    return [""] * count


def _complaints(findings: Findings) -> Iterator[str]:
    for entry in findings.entries.values():
        if entry.complaint:
            yield f"{entry.name}: {entry.complaint}"
    for one in findings.deliveries.values():
        for text in one.complaints:
            yield f"{one.way_in} to {one.way_out}: {text}"


def verdict(findings: Findings, seconds: float) -> Text:
    """All of it in a line."""
    heard = sum(one.heard for one in findings.deliveries.values())
    sent = sum(one.sent for one in findings.entries.values())
    skipped = sum(one.state is CheckState.SKIPPED for one in findings.questions.values())
    told = f"{sent:,} readings sent, heard {heard:,} times; {duration(seconds)}" + (f"; {skipped} skipped" if skipped else "")
    if findings.held:
        return Text(f"everything tested held: {told}", style="bold green")
    return Text(f"{_count(findings.failed)} not hold: {told}", style="bold red")


def _count(failed: int) -> str:
    return "1 thing does" if failed == 1 else f"{failed:,} things do"
