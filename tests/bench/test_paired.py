"""Benchmarks of this checkout beside another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.errors import BridgeError
from bridge.settings import MqttSettings
from bridge.tools.bench.load import Load
from bridge.tools.bench.report.results import BenchResult
from bridge.tools.bench.scenarios.catalog import SCENARIOS
from bridge.tools.bench.systems import OwnBridge
from tests.bench.paired import BEFORE, OtherBridge, paired_plans, ratios
from tests.servers import REPO


def result(system: str, seconds: float, cpu_seconds: float) -> BenchResult:
    return BenchResult("burst", system, 50, Load(), 1000, seconds, 50_000, 1, cpu_seconds, 0.1)


def test_ratios_are_those_of_each_pair_whichever_ran_first() -> None:
    results = [result(BEFORE, 2, 0.2), result("bridge", 1, 0.1), result("bridge", 4, 0.3), result(BEFORE, 2, 0.1)]
    assert ratios(results) == {"burst": {"readings/s": [2, 0.5], "CPU per reading": [0.5, pytest.approx(3)]}}


def test_pairs_alternate_which_system_runs_first(tmp_path: Path) -> None:
    broker = MqttSettings()
    here, before = OwnBridge(broker, "x", tmp_path), OtherBridge(broker, "x", tmp_path, REPO)
    pairs = paired_plans([SCENARIOS["burst"]], here, before, {}, 3)
    names = [(first.system.name, second.system.name) for first, second in pairs]
    assert names == [(BEFORE, "bridge"), ("bridge", BEFORE), (BEFORE, "bridge")]


def test_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="not a checkout of the bridge"):
        OtherBridge(MqttSettings(), "x", tmp_path, tmp_path)
