"""Killed bridges miss no alarm, invent none and tell none twice; the long form is `python -m tests.alarms.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alarms.kills import kill_many
from tests.servers import wants_containers


@pytest.mark.skipif(wants_containers(), reason="kills local processes")
async def test_killed_bridge_misses_no_alarm_and_invents_and_doubles_none(tmp_path: Path) -> None:
    outcome = await kill_many(tmp_path, ("bridge", "trap", "mongod", "broker"), rate=250)
    assert outcome.expected > 100
    assert (outcome.missed, outcome.false, outcome.doubled) == ([], [], 0)
    assert outcome.raised > 50
    assert (outcome.untold, outcome.told_again_most <= outcome.kills.total()) == ([], True)
    assert "Traceback" not in (tmp_path / "bridge.log").read_text()
