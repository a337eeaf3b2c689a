"""Figures as text."""

from bridge.tools.bench.report.results import BenchResult, Figure, Report

UNKNOWN = "–"

COLUMNS = (
    "scenario", "system", "clients", "readings/s", "deliveries/s", "bridge CPU per reading", "bridge CPU", "bench CPU",
    "p50", "p99", "max",
)  # fmt: skip
TEXT_COLUMNS = ("scenario", "system")
OPTIONAL_COLUMNS = ("system", "deliveries/s", "bridge CPU", "max")
"""Left out in narrow terminals."""

LEGEND = (
    "readings/s: stored and delivered to all clients; CPU: share of a core; bench CPU: publisher and subscribers, near 100% "
    "it is the limit; p50, p99, max: latency from publish to client"
)


def row(result: BenchResult) -> tuple[str, ...]:
    return (
        result.scenario,
        result.system,
        f"{result.clients:,}",
        rate(result.readings_per_second),
        rate(result.deliveries_per_second),
        duration(result.cpu_seconds_per_reading),
        share(result.bridge_cores),
        share(result.bench_cores),
        *(duration(result.percentile(part)) for part in (0.5, 0.99, 1.0)),
    )


def duration(seconds: float | None) -> str:
    """Return three digits and a unit from µs to s."""
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
    return UNKNOWN if per_second is None else f"{per_second:,.0f}"


def share(cores: float | None) -> str:
    return UNKNOWN if cores is None else f"{cores:.0%}"


def size(count: float | None) -> str:
    if count is None:
        return UNKNOWN
    for limit, factor, unit in ((10_000, 1, "B"), (10_000_000, 1e3, "kB")):
        if abs(count) < limit:
            return f"{count / factor:,.0f} {unit}"
    return f"{count / 1e6:,.1f} MB"


def figure(value: Figure) -> str:
    match value.unit:
        case "s":
            return duration(value.value)
        case "bytes":
            return size(value.value)
        case "/s":
            return rate(value.value)
    return UNKNOWN if value.value is None else f"{value.value:,.2f}".removesuffix(".00")


def figures(result: BenchResult) -> list[tuple[str, str]]:
    pairs = [(name, figure(value)) for name, value in result.figures.items()]
    if result.latencies and result.latency_clients and result.clients > result.latency_clients:
        pairs.append(("latency measured at", f"{result.latency_clients} of the clients"))
    cost = result.bench_seconds_per_byte
    if cost is not None:
        pairs.append(("received", size(result.received_bytes)))
        pairs.append(("bench CPU per MB", duration(cost * 1e6)))
    return pairs


def machine(report: Report) -> str:
    facts = report.machine
    bridge = f"sensor-bridge {facts['sensor-bridge']}"
    return f"{facts['cores']} cores, {facts['system']}, {facts['python']}, {bridge}, {report.started}"
