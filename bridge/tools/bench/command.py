"""`sensor-bridge bench`: options, run and report."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.settings import MqttSettings
from bridge.tools.bench.report.terminal import TerminalDisplay, print_report
from bridge.tools.bench.run import Plan, open_system, run_plans, select_scenarios, write_json
from bridge.tools.bench.scenarios.catalog import DEFAULT, SCENARIOS
from bridge.tools.stop_signals import on_stop_signals


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of the command; None is the default. `load` holds fields of `Load`; each number in `clients` is a run."""

    scenarios: Sequence[str] | None = None
    clients: Sequence[int] | None = None
    load: Mapping[str, float | str | None] | None = None
    url: str | None = None
    broker: str | None = None
    store: str | None = None
    pid: int | None = None
    json: Path | None = None
    seed: int = 1
    patience: float = 30.0
    token: str | None = field(default=None, repr=False)

    @property
    def loads(self) -> list[dict[str, Any]]:
        """The given fields of the load, once per number of clients."""
        load = {name: value for name, value in (self.load or {}).items() if value is not None}
        return [load | {"clients": count} for count in self.clients] if self.clients else [load]

    def as_dict(self) -> dict[str, object]:
        """Return the options for the report, without secrets."""
        broker = MqttSettings.model_validate({"url": self.broker}).address if self.broker else "our own"
        store = f"{self.store.partition('://')[0]}://…" if self.store else "SQLite" if not self.url else "the bridge's"
        plain = {name: value for name, value in asdict(self).items() if name in ("scenarios", "clients", "load", "url", "pid")}
        return plain | {"broker": broker, "store": store, "seed": self.seed, "patience_seconds": self.patience}


async def bench(options: BenchOptions, console: Console, errors: Console) -> bool:
    """Run, print and write the report; return whether nothing failed. Raises `BridgeError`.

    A stop signal ends the run and every process that it started.
    """
    job = asyncio.ensure_future(_bench(options, console, errors))
    on_stop_signals(job.cancel)
    try:
        return await job
    except asyncio.CancelledError:
        errors.print(Text("stopped, with every process that the bench started"))
        return False


async def _bench(options: BenchOptions, console: Console, errors: Console) -> bool:
    display = TerminalDisplay(errors)
    scenarios = select_scenarios(options.scenarios or DEFAULT)
    with tempfile.TemporaryDirectory(prefix="sensor-bridge-bench-") as folder, display.live():
        opening = open_system(options.url, options.broker, options.store, options.pid, Path(folder), options.token)
        async with opening as system:
            plans = [Plan(scenario, system, load) for scenario in scenarios for load in options.loads]
            report = await run_plans(plans, options.as_dict(), options.seed, options.patience, display)
    print_report(report, console)
    if options.json:
        write_json(options.json, report.as_dict())
    return not report.failures


def print_scenarios(console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for scenario in SCENARIOS.values():
        table.add_row(Text(scenario.name, style="bold"), Text(scenario.summary))
    console.print(table)
