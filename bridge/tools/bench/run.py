"""A run: every scenario on every system, one after the other, each on a system freshly started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
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
from bridge.tools.bench.report.html import html_page
from bridge.tools.bench.report.results import BenchResult, Report
from bridge.tools.bench.scenarios.catalog import SCENARIOS, Scenario
from bridge.tools.bench.stage import Screen, Stage
from bridge.tools.bench.systems import OwnBridge, RunningBridge, System, free_port
from bridge.tools.bench.usage import NO_PROC
from bridge.tools.local_broker import embedded_broker

_FILES_BESIDE_CLIENTS = 200
LIMIT_NEAR = 0.85  # of a core, from which on the bench may be what limits


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario under a load, on one system."""

    scenario: Scenario
    system: System
    load: dict[str, Any]
    """What is given of the load; the scenario's own stands for the rest."""

    async def measure(self, seed: int, patience: float, screen: Screen) -> list[BenchResult]:
        """Its rows. Raises `BridgeError`."""
        load = replace(self.scenario.load, **self.load)
        allow_open_files(load.clients + _FILES_BESIDE_CLIENTS)
        async with self.system.started() as target:
            stage = Stage(self.scenario.name, target, load, seed, patience, screen)
            rows = await self.scenario.run(stage)
            stored = await target.stored()
        if stored is not None and stored != stage.published:
            raise BridgeError(f"{target.name}: stored {stored:,} of {stage.published:,} readings that it delivered")
        return rows


async def run_plans(plans: Sequence[Plan], settings: dict[str, Any], seed: int, patience: float, screen: Screen) -> Report:
    """What fails is noted, and the next one is tried."""
    report = Report(datetime.now(UTC).isoformat(timespec="seconds"), settings)
    for plan in plans:
        try:
            rows = await plan.measure(seed, patience, screen)
            report.measurements += rows
            report.failures += [text for row in rows for text in wrongs(row)]
        except BridgeError as error:
            report.failures.append(f"{plan.scenario.name}: {error}")
            screen.phase(f"{plan.scenario.name} failed: {error}")
    report.notes = notes(report.measurements)
    return report


def wrongs(row: BenchResult) -> list[str]:
    """What was found that may not be."""
    found = [(name, one.value) for name, one in row.figures.items() if one.wrong and one.value]
    return [f"{row.scenario}: {row.system}: {name}: {value:,.0f}" for name, value in found]


def notes(rows: Sequence[BenchResult]) -> list[str]:
    """What a reader must know to believe the numbers."""
    said = [NO_PROC] if NO_PROC else []
    for row in rows:
        if row.bench_cores > LIMIT_NEAR:
            said.append(f"{row.scenario}, {row.system}: the bench used {row.bench_cores:.0%} of a core; it may be the limit")
        late = row.seconds - row.load.seconds
        if row.latencies and row.readings == row.load.paced and late > 0.05 * row.load.seconds + 0.25:
            said.append(
                f"{row.scenario}, {row.system}: the rate was not held; latencies grow with the queue, not with the load"
            )
    return said


def chosen(names: Sequence[str]) -> list[Scenario]:
    """By name. Raises `BridgeError`."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise BridgeError(f"no scenario {', '.join(map(repr, unknown))}; there are {', '.join(SCENARIOS)}")
    return [SCENARIOS[name] for name in names]


@asynccontextmanager
async def opened(
    url: str | None, broker: str | None, store: str | None, pid: int | None, folder: Path, token: str | None = None
) -> AsyncIterator[System]:
    """The system that the options mean; with neither URL nor broker a broker too. Raises `BridgeError`."""
    if url is not None:
        if broker is None:
            raise BridgeError("--url needs --broker: the broker that this bridge reads from")
        yield RunningBridge(Address.parse(url, token), broker_settings(broker), pid)
    elif broker is not None:
        yield OwnBridge(broker_settings(broker), store, folder)
    else:
        port = free_port()
        async with embedded_broker("127.0.0.1", port, folder) as (_, protocol):
            settings = broker_settings(f"mqtt://127.0.0.1:{port}").model_copy(update={"protocol": protocol})
            yield OwnBridge(settings, store, folder)


def broker_settings(url: str) -> MqttSettings:
    """Raises `BridgeError` without showing the URL: it may hold a password."""
    try:
        return MqttSettings.model_validate({"url": url})
    except ValidationError as error:  # as a whole its text holds what was given
        raise BridgeError(f"--broker: {'; '.join(one['msg'] for one in error.errors())}") from None


def allow_open_files(count: int) -> None:
    """For us and the processes we start. Raises `BridgeError`."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise BridgeError(f"so many clients need {count:,} open files, and the limit is {hard:,} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def write_files(report: Report, html: Path | None, json: Path | None) -> None:
    """Raises `BridgeError`."""
    try:
        if json:
            json.write_bytes(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2))
        if html:
            html.write_text(html_page(report), "utf-8")
    except OSError as error:
        raise BridgeError(f"cannot write {error.filename}: {error.strerror}") from None
