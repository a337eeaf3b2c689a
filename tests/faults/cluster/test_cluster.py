"""One cell of the matrix, with few clients and a short fault.

`make faults` runs the others (`cluster`), upgrades (`cluster-upgrade`) and the switch to a cluster (`cluster-enable`).
"""

from __future__ import annotations

from pathlib import Path
from pprint import pformat

import pytest

from tests.faults.cluster.cells import SHORT, Cell, Fault, Outcome, Target, run_cell
from tests.faults.cluster.stage import cluster_stage
from tests.servers import wants_containers

pytestmark = pytest.mark.skipif(wants_containers(), reason="kills local processes")

ELECTION_MS = 2000
_BRIDGE_KILLED = Cell(Target.BRIDGE, Fault.KILL, 50, SHORT, repetitions=1, before_seconds=0.5, dead_seconds=1)


async def test_moving_clients_miss_and_repeat_nothing_when_a_bridge_is_killed(tmp_path: Path) -> None:
    async with cluster_stage(tmp_path, election_ms=ELECTION_MS) as stage:
        _check(await run_cell(stage, lambda _: None, _BRIDGE_KILLED))


def _check(outcome: Outcome) -> None:
    assert outcome.passed, pformat(outcome, width=120)
    assert outcome.verdict.acknowledged > 100
    assert outcome.verdict.total().received > 500
    assert outcome.verdict.commands > 0
