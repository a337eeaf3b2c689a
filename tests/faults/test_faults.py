"""The short form of the scenarios; `make faults` runs the long form of all, with the full disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from pprint import pformat

import pytest

from tests.faults import scenarios
from tests.faults.files import FILE_FAULTS, file_fault
from tests.faults.proxy import Fault
from tests.faults.scenarios import Scenario
from tests.faults.soak import soak
from tests.servers import wants_containers

pytestmark = [
    pytest.mark.skipif(wants_containers(), reason="kills local processes"),
    # The harness aborts connections, about which asyncio warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SOAKED = ("short-lived clients", "new names by MQTT", "collection dropped", "new names by HTTP")
"""Those that have no scenario of their own."""

RATE = 200
"""Readings a second, a fifth of that of `make faults`: what fails here fails at any rate, and the servers share two cores."""

SHORT: dict[str, Scenario] = {
    "bridge killed": partial(scenarios.bridge_killed, times=3, count=2000, rate=RATE),
    "mongod killed": partial(scenarios.mongod_killed, kills=1, stops=1, stop_seconds=8, rate=RATE),
    "broker killed": partial(scenarios.broker_killed, kills=1, rate=RATE),
    "links faulty": partial(scenarios.links_faulty, faults=(Fault.SLICES, Fault.RESET), seconds=2, rate=RATE),
    "hostile": partial(scenarios.hostile_fifth, count=4000, rate=2000),
    "terminated": partial(scenarios.bridge_terminated, times=2, rate=RATE),
    "clock": partial(scenarios.clock_jumps, rate=50, seconds=1, offsets=(3600, -3600)),
    "readings dropped": partial(scenarios.readings_dropped, times=1, retention_seconds=2, rate=RATE),
    **{
        f"sqlite {name}": partial(file_fault, fault=fault, times=1, seconds=1, rate=RATE) for name, fault in FILE_FAULTS.items()
    },
    "store down": partial(scenarios.store_down, seconds=5, rate=RATE, flood_rate=4000, flood_seconds=4),
    "soak": partial(soak, kinds=SOAKED, faults=len(SOAKED), seconds=3, growth_limit=None),
}


@pytest.mark.parametrize("name", SHORT)
async def test_fault_loses_and_duplicates_nothing(name: str, tmp_path: Path) -> None:
    progress: list[str] = []
    report = await SHORT[name](tmp_path, progress.append)
    report.limits = {
        what: limit * (3 if what.endswith(" s") else 1) for what, limit in report.limits.items()
    }  # as other tests run
    assert report.passed, pformat(report, width=120)
    assert report.verdict.acknowledged > 500
    assert report.verdict.received.total > 100
    log = (tmp_path / "bridge.log").read_text()
    assert "Traceback" not in log, log[-2000:]
