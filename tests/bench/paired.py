"""`make bench ARGS='burst --against ../before'`: this checkout beside another one, in alternating pairs of one run.

`--without-analysis` compares it with itself, without forecasts, anomalies and advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.context import ProgressDisplay
from bridge.tools.bench.report.results import BenchResult, Report
from bridge.tools.bench.run import Plan, run_plans
from bridge.tools.bench.scenarios.catalog import Scenario
from bridge.tools.bench.systems import OwnBridge

BEFORE = "before"


class OtherBridge(OwnBridge):
    """The bridge of another checkout, run by this Python with that checkout's code."""

    name = BEFORE

    def __init__(self, broker: MqttSettings, store: str, folder: Path, checkout: Path) -> None:
        if not (checkout / "bridge" / "__init__.py").is_file():
            raise BridgeError(f"--against {checkout}: not a checkout of the bridge: it has no bridge/__init__.py")
        super().__init__(broker, store, folder, environment={"PYTHONPATH": str(checkout.resolve())})


class PlainBridge(OwnBridge):
    """The same bridge without forecasts, anomalies and advice: what they add to the way of a reading."""

    name = BEFORE

    def __init__(self, broker: MqttSettings, store: str, folder: Path) -> None:
        off = {f"BRIDGE_ANALYSIS__{name}": "false" for name in ("FORECASTS", "ANOMALIES", "ADVICE")}
        super().__init__(broker, store, folder, environment=off)


def paired_plans(
    scenarios: Sequence[Scenario], now: OwnBridge, before: OwnBridge, load: dict[str, Any], pairs: int
) -> list[tuple[Plan, Plan]]:
    """Plan each scenario `pairs` times on both; the order alternates, so that a drift of the machine cancels out."""
    return [
        (Plan(scenario, first, load), Plan(scenario, second, load))
        for scenario in scenarios
        for n in range(pairs)
        for first, second in [(now, before) if n % 2 else (before, now)]
    ]


async def run_pairs(pairs: Sequence[tuple[Plan, Plan]], settings: dict[str, Any], display: ProgressDisplay) -> Report:
    """Run every pair; a pair of which one run fails has no results."""
    reports = [await run_plans(pair, settings, 1, 60, display) for pair in pairs]
    whole = reports[0]
    whole.measurements = [result for report in reports if len(report.measurements) == 2 for result in report.measurements]
    whole.failures = [text for report in reports for text in report.failures]
    return whole


def ratios(results: Sequence[BenchResult]) -> dict[str, dict[str, list[float]]]:
    """Return now / before per scenario, figure and pair. `results` are of complete pairs, in order."""
    ratios: dict[str, dict[str, list[float]]] = {}
    for first, second in zip(results[::2], results[1::2], strict=True):
        now, before = (second, first) if first.system == BEFORE else (first, second)
        for name, value, base in (
            ("readings/s", now.readings_per_second, before.readings_per_second),
            ("CPU per reading", now.cpu_seconds_per_reading, before.cpu_seconds_per_reading),
            ("p50", now.percentile(0.5), before.percentile(0.5)),
            ("p99", now.percentile(0.99), before.percentile(0.99)),
        ):
            if value and base:
                ratios.setdefault(now.scenario, {}).setdefault(name, []).append(value / base)
    return ratios


def print_ratios(results: Sequence[BenchResult], console: Console) -> None:
    table = Table("scenario", "now / before", "median", "pairs")
    for scenario, figures in ratios(results).items():
        for name, values in figures.items():
            table.add_row(scenario, name, f"{median(values):.3f}", "  ".join(f"{value:.3f}" for value in values))
    console.print(table)
