"""`sensor-bridge bench`: from its options to its outcome."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bridge.settings import MqttSettings
from bridge.tools.bench.report.terminal import LiveScreen, show
from bridge.tools.bench.run import Plan, chosen, opened, run_plans, write_files
from bridge.tools.bench.scenarios.catalog import DEFAULT


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """As given; None is the default. `load` holds fields of `Load`, `clients` numbers of them to try one after the other."""

    scenarios: Sequence[str] | None = None
    clients: Sequence[int] | None = None
    load: Mapping[str, float | str | None] | None = None
    url: str | None = None
    broker: str | None = None
    store: str | None = None
    pid: int | None = None
    html: Path | None = None
    json: Path | None = None
    seed: int = 1
    patience: float = 30.0
    token: str | None = field(default=None, repr=False)

    @property
    def loads(self) -> list[dict[str, Any]]:
        """What is given of the load, once for each number of clients."""
        given = {name: value for name, value in (self.load or {}).items() if value is not None}
        return [given | {"clients": count} for count in self.clients] if self.clients else [given]

    def as_dict(self) -> dict[str, object]:
        """What the report says of them: no secrets."""
        broker = MqttSettings.model_validate({"url": self.broker}).address if self.broker else "our own"
        store = f"{self.store.partition('://')[0]}://…" if self.store else "SQLite" if not self.url else "the bridge's"
        given = {name: value for name, value in asdict(self).items() if name in ("scenarios", "clients", "load", "url", "pid")}
        return given | {"broker": broker, "store": store, "seed": self.seed, "patience_seconds": self.patience}


async def bench(options: BenchOptions, console: Console, errors: Console) -> bool:
    """Measure, show and write; whether nothing failed. SIGINT and SIGTERM end it and all it started. Raises `BridgeError`."""
    job = asyncio.ensure_future(_bench(options, console, errors))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, job.cancel)
    try:
        return await job
    except asyncio.CancelledError:
        errors.print("stopped; what it started has ended")
        return False


async def _bench(options: BenchOptions, console: Console, errors: Console) -> bool:
    screen = LiveScreen(errors)
    scenarios = chosen(options.scenarios or DEFAULT)
    with tempfile.TemporaryDirectory(prefix="sensor-bridge-bench-") as folder, screen.shown():
        opening = opened(options.url, options.broker, options.store, options.pid, Path(folder), options.token)
        async with opening as system:
            plans = [Plan(scenario, system, load) for scenario in scenarios for load in options.loads]
            report = await run_plans(plans, options.as_dict(), options.seed, options.patience, screen)
    show(report, console)
    write_files(report, options.html, options.json)
    return not report.failures
