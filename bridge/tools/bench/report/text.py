"""Figures for people: the same in the terminal and on the page."""

from __future__ import annotations

from bridge.tools.bench.clients.crowd import WATCHED
from bridge.tools.bench.report.results import BenchResult, Figure, Report

UNKNOWN = "–"

COLUMNS = (
    "scenario", "system", "clients", "readings/s", "deliveries/s", "bridge CPU a reading", "bridge CPU", "bench CPU",
    "p50", "p99", "max",
)  # fmt: skip
TEXT_COLUMNS = ("scenario", "system")
LESSER_COLUMNS = ("system", "deliveries/s", "bridge CPU", "max")
"""Not shown where there is no room."""

LEGEND = (
    "readings/s: stored and delivered to all; CPU: share of a core; bench CPU: publisher and subscribers, near 100% they were "
    "the limit; p50, p99, max: from publish to a client"
)


def row(one: BenchResult) -> tuple[str, ...]:
    """A cell for each column."""
    return (
        one.scenario,
        one.system,
        f"{one.clients:,}",
        rate(one.readings_per_second),
        rate(one.deliveries_per_second),
        duration(one.cpu_seconds_per_reading),
        share(one.bridge_cores),
        share(one.bench_cores),
        *(duration(one.percentile(part)) for part in (0.5, 0.99, 1.0)),
    )


def duration(seconds: float | None) -> str:
    """Three digits, in the unit that suits."""
    if seconds is None:
        return UNKNOWN
    if seconds == 0:
        return "0 s"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1, 1e3, "ms")):
        if seconds < limit:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds)} s"


def _digits(value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def rate(per_second: float | None) -> str:
    """A second."""
    return UNKNOWN if per_second is None else f"{per_second:,.0f}"


def share(cores: float | None) -> str:
    """Of one core."""
    return UNKNOWN if cores is None else f"{cores:.0%}"


def size(count: float | None) -> str:
    """Bytes in the unit that suits."""
    if count is None:
        return UNKNOWN
    for limit, factor, unit in ((10_000, 1, "B"), (10_000_000, 1e3, "kB")):
        if abs(count) < limit:
            return f"{count / factor:,.0f} {unit}"
    return f"{count / 1e6:,.1f} MB"


def figure(one: Figure) -> str:
    """In its unit."""
    match one.unit:
        case "s":
            return duration(one.value)
        case "bytes":
            return size(one.value)
        case "/s":
            return rate(one.value)
    return UNKNOWN if one.value is None else f"{one.value:,.2f}".removesuffix(".00")


def figures(one: BenchResult) -> list[tuple[str, str]]:
    """What only this row has, and what receiving cost."""
    cost = one.bench_seconds_per_byte
    shown = [(name, figure(value)) for name, value in one.figures.items()]
    if one.latencies and one.clients > (heard_by := one.heard_by or WATCHED):
        shown.append(("latency measured at", f"{heard_by} of the clients"))
    if cost is not None:
        shown.append(("received", size(one.received_bytes)))
        shown.append(("bench CPU for each MB", duration(cost * 1e6)))
    return shown


def machine(report: Report) -> str:
    """On one line."""
    of = report.machine
    return f"{of['cores']} cores, {of['system']}, {of['python']}, sensor-bridge {of['sensor-bridge']}, {report.started}"
