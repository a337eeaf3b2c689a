"""A killed bridge misses nothing, invents nothing, tells nothing twice; the long form is `python -m tests.analysis.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.kills import SHORT, kill_many
from tests.servers import wants_containers


@pytest.mark.skipif(wants_containers(), reason="kills local processes")
async def test_killed_bridge_finds_forecasts_and_advises_what_one_does_that_nobody_disturbs(
    tmp_path: Path,
) -> None:
    outcome = await kill_many(tmp_path, SHORT, rate=200)
    assert outcome.kills.total() == len(SHORT)
    assert outcome.kinds >= {"saturated", "spike", "step", "cross", "stuck", "drift"}
    assert (outcome.missed, outcome.false, outcome.doubled) == (set(), set(), 0)
    assert outcome.different == []
    assert outcome.standing[0] == outcome.standing[1]
    assert outcome.told > outcome.expected / 4
    assert outcome.forecasts == []
    assert outcome.predictions_told > 0
    assert outcome.advised == outcome.rooms
    assert outcome.unknown_commands == []
    assert all(number == 1 for number in outcome.commands.values()), "QoS 1 on a connection that was not lost"
    assert len(outcome.commands) >= len(outcome.rooms) - 1, "one was killed between the mark of its command and sending it"
    assert "Traceback" not in (tmp_path / "bridge.log").read_text()
