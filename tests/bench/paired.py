"""`make bench ARGS='burst --against ../before'`: this checkout beside another one, in alternating pairs of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.report.results import BenchResult
from bridge.tools.bench.run import Plan
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


def paired_plans(
    scenarios: Sequence[Scenario], now: OwnBridge, before: OtherBridge, load: dict[str, Any], pairs: int
) -> list[Plan]:
    """Plan each scenario `pairs` times on both; each pair starts with the other one, so that a drift cancels out."""
    return [
        Plan(scenario, system, load)
        for scenario in scenarios
        for n in range(pairs)
        for system in ((now, before) if n % 2 else (before, now))
    ]


def ratios(results: Sequence[BenchResult]) -> dict[str, dict[str, list[float]]]:
    """Return now / before per scenario, figure and pair; figures that a pair lacks are left out."""
    ratios: dict[str, dict[str, list[float]]] = {}
    for scenario in dict.fromkeys(result.scenario for result in results):
        now = [result for result in results if result.scenario == scenario and result.system != BEFORE]
        before = [result for result in results if result.scenario == scenario and result.system == BEFORE]
        for one, other in zip(now, before, strict=True):
            for name, value, base in (
                ("readings/s", one.readings_per_second, other.readings_per_second),
                ("CPU per reading", one.cpu_seconds_per_reading, other.cpu_seconds_per_reading),
                ("p50", one.percentile(0.5), other.percentile(0.5)),
                ("p99", one.percentile(0.99), other.percentile(0.99)),
            ):
                if value and base:
                    ratios.setdefault(scenario, {}).setdefault(name, []).append(value / base)
    return ratios


def print_ratios(results: Sequence[BenchResult], console: Console) -> None:
    table = Table("scenario", "now / before", "median", "pairs")
    for scenario, figures in ratios(results).items():
        for name, values in figures.items():
            table.add_row(scenario, name, f"{median(values):.3f}", "  ".join(f"{value:.3f}" for value in values))
    console.print(table)
