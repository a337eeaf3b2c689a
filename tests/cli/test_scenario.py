"""`simulate --scenario` as a process."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bridge.tools.scenarios.catalog import SCENARIOS
from tests.cli.test_cli import ended, running
from tests.conftest import StartBridge
from tests.servers import until


async def test_unknown_scenario_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "simulate", "--scenario", "leek", COLUMNS="400")
    assert code == 2
    assert "'leek' is unknown: must be one of " + ", ".join(SCENARIOS) in err


async def test_scenario_with_options_of_other_readings_is_refused(tmp_path: Path) -> None:
    code, _, err = await ended(tmp_path, "simulate", "--scenario", "leak", "--rate", "1", "--seed", "4")
    assert code == 2
    assert "remove --rate, --seed" in err


@pytest.mark.parametrize(("name", "text"), [("leak", "takes 0:10:00"), ("broker-outage", "stop the broker after 0:02:05")])
async def test_scenario_is_published_until_it_is_stopped(
    tmp_path: Path, broker_url: str, start_bridge: StartBridge, name: str, text: str
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        running(tmp_path / "run", "simulate", "--scenario", name, BRIDGE_MQTT__URL=broker_url) as command,
    ):
        account = bridge.ledger.account("mqtt")
        await until(lambda: account.stored >= 1, what="the first reading")
        command.signal(signal.SIGINT)
        assert await command.end() == 0
        assert command.err == ""
        assert text in command.out
        assert account.rejected == 0
