"""A killed bridge misses no anomaly, invents none and tells none twice; the long form is `python -m tests.analysis.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.kills import SHORT, kill_many
from tests.servers import wants_containers


@pytest.mark.skipif(wants_containers(), reason="kills local processes")
async def test_killed_bridge_misses_no_anomaly_doubles_none_and_has_the_states_of_an_undisturbed_fold(tmp_path: Path) -> None:
    outcome = await kill_many(tmp_path, SHORT, rate=200)
    assert outcome.kills.total() == len(SHORT)
    assert outcome.kinds >= {"saturated", "spike", "step", "cross", "stuck", "drift"}
    assert (outcome.missed, outcome.false, outcome.doubled) == (set(), set(), 0)
    assert outcome.different == []
    assert outcome.standing[0] == outcome.standing[1]
    assert outcome.told > outcome.expected / 4
    assert "Traceback" not in (tmp_path / "bridge.log").read_text()
