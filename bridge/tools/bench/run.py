"""Run scenarios one after the other, each on a freshly started system."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.address import Address
from bridge.tools.bench.context import ProgressDisplay, ScenarioContext
from bridge.tools.bench.report.results import BenchResult, Report
from bridge.tools.bench.scenarios.catalog import SCENARIOS, Scenario
from bridge.tools.bench.systems import OwnBridge, RunningBridge, System, free_port
from bridge.tools.bench.usage import NO_PROC
from bridge.tools.local_broker import embedded_broker

_OTHER_OPEN_FILES = 200
_CPU_WARNING = 0.85  # share of a core above which the bench itself may be the limit


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario on a system; `load` holds the fields that differ from the scenario's own."""

    scenario: Scenario
    system: System
    load: dict[str, Any]

    async def measure(self, seed: int, patience: float, display: ProgressDisplay) -> list[BenchResult]:
        """Return the results. Raises `BridgeError`."""
        load = replace(self.scenario.load, **self.load)
        allow_open_files(load.clients + _OTHER_OPEN_FILES)
        async with self.system.started() as target:
            context = ScenarioContext(self.scenario.name, target, load, seed, patience, display)
            results = await self.scenario.run(context)
            stored = await target.stored()
        if stored is not None and stored != context.published:
            raise BridgeError(f"{target.name}: stored {stored:,} of {context.published:,} delivered readings")
        return results


async def run_plans(
    plans: Sequence[Plan], settings: dict[str, Any], seed: int, patience: float, display: ProgressDisplay
) -> Report:
    """Run all plans. A failed one is recorded, and the next one runs."""
    report = Report(datetime.now(UTC).isoformat(timespec="seconds"), settings)
    for plan in plans:
        try:
            results = await plan.measure(seed, patience, display)
            report.measurements += results
            report.failures += [text for result in results for text in _errors(result)]
        except BridgeError as error:
            report.failures.append(f"{plan.scenario.name}: {error}")
            display.phase(f"{plan.scenario.name} failed: {error}")
    report.notes = _notes(report.measurements)
    return report


def _errors(result: BenchResult) -> list[str]:
    figures = [(name, figure.value) for name, figure in result.figures.items() if figure.wrong and figure.value]
    return [f"{result.scenario}: {result.system}: {name}: {value:,.0f}" for name, value in figures]


def _notes(results: Sequence[BenchResult]) -> list[str]:
    notes = [NO_PROC] if NO_PROC else []
    for result in results:
        name = f"{result.scenario}, {result.system}"
        if result.bench_cores > _CPU_WARNING:
            notes.append(f"{name}: the bench used {result.bench_cores:.0%} of a core and may be the limit")
        late = result.seconds - result.load.seconds
        paced = result.latencies and result.readings == result.load.paced_readings
        if paced and late > 0.05 * result.load.seconds + 0.25:
            notes.append(f"{name}: the rate was not held, so the latencies include the time in a growing queue")
    return notes


def select_scenarios(names: Sequence[str], scenarios: Mapping[str, Scenario] = SCENARIOS) -> list[Scenario]:
    """Return scenarios by name. Raises `BridgeError`."""
    unknown = [name for name in names if name not in scenarios]
    if unknown:
        raise BridgeError(f"unknown scenario {', '.join(map(repr, unknown))}: choose from {', '.join(scenarios)}")
    return [scenarios[name] for name in names]


@asynccontextmanager
async def open_system(
    url: str | None, broker: str | None, store: str | None, pid: int | None, folder: Path, token: str | None = None
) -> AsyncIterator[System]:
    """Yield the system that the options select; without URL and broker, start a broker. Raises `BridgeError`."""
    if url is not None:
        if broker is None:
            raise BridgeError("--url needs --broker: the broker of this bridge")
        yield RunningBridge(Address.parse(url, token), broker_settings(broker), pid)
    elif broker is not None:
        yield OwnBridge(broker_settings(broker), store, folder)
    else:
        port = free_port()
        async with embedded_broker("127.0.0.1", port, folder) as (_, protocol):
            settings = broker_settings(f"mqtt://127.0.0.1:{port}").model_copy(update={"protocol": protocol})
            yield OwnBridge(settings, store, folder)


def broker_settings(url: str) -> MqttSettings:
    """Return the settings of a broker. Raises `BridgeError` without the URL, which may contain a password."""
    try:
        return MqttSettings.model_validate({"url": url})
    except ValidationError as error:  # pydantic's own text contains the URL
        raise BridgeError(f"--broker: {'; '.join(detail['msg'] for detail in error.errors())}") from None


def allow_open_files(count: int) -> None:
    """Raise the limit of open files for this process and its children. Raises `BridgeError`."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise BridgeError(f"{count:,} open files needed for the clients: the limit is {hard:,} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report. Raises `BridgeError`."""
    try:
        path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise BridgeError(f"{error.filename}: cannot be written: {error.strerror}") from None
