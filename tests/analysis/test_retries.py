"""A service of the analysis that fails: it runs again, and the bridge stores and answers meanwhile."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.analysis.anomaly.record import AnomalyEvent
from bridge.analysis.retries import keep_running
from bridge.core.readings.reading import Reading
from tests.analysis.posting import saturated
from tests.analysis.test_anomalies_on_servers import Asking
from tests.conftest import StartBridge
from tests.servers import until


async def test_service_that_fails_runs_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    runs, said = 0, list[str]()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise KeyError("fields")
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keep_running(run, "anomalies", said.append, first_seconds=0.01), name="service")
        await until(lambda: runs == 3, 5, "the third run")
        task.cancel()
    assert said == [f"failed with KeyError, see the log; runs again after {pause} s" for pause in ("0.01", "0.02")]
    assert [one.levelno for one in caplog.records if "anomalies: failed" in one.getMessage()] == [logging.ERROR] * 2


async def test_fault_of_the_analysis_stops_neither_storing_nor_answering(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_fold: AnomalyFold, _reading: Reading) -> list[AnomalyEvent]:
        raise ZeroDivisionError

    monkeypatch.setattr(AnomalyFold, "step", step)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        async with Asking.of(bridge) as asking:
            await asking.send(saturated("cellar"))
            await until(lambda: "anomalies" in bridge.health.parts, 10, "the note")
            await asking.send(saturated("attic"))
        assert bridge.health.ready
        assert "failed with" in bridge.health.parts["anomalies"].reason
        assert bridge.ledger.as_dict()["http"]["waiting"] == 0
