"""The scenarios that audit the hub's delivery promises: their audits, and a short run of each on a real bridge."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from tests.bench.clients.gaps import ReportedGap
from tests.bench.scenarios.visits import SubscriptionChange, Visit, audit_visits
from tests.bench.stand_in import Faults
from tests.servers import REPO
from tests.tools.test_bench import figure, measured

# Cursors of devices a and b; those of a are odd.
PUBLISHED = {"a": range(101, 200, 2), "b": range(102, 200, 2)}
A, B = frozenset("a"), frozenset("b")


def visited(received: Sequence[int]) -> Visit:
    """Subscribe to a after 110, receive 4, to b after 118, receive 4 more, unsubscribe from b at 126, disconnect at 131."""
    visit = Visit(received)
    visit.subscribed(A, 110, SubscriptionChange(0, 4))
    visit.subscribed(B, 118, SubscriptionChange(4, 6))
    visit.unsubscribed(B, 126, SubscriptionChange(12, 12))
    visit.disconnected(131)
    return visit


RECEIVED = [111, 113, 115, 117, 119, 120, *range(121, 128), 129, 131]


@pytest.mark.parametrize(
    ("received", "counts"),
    [
        (RECEIVED, (0, 0, 0, 0)),
        ([cursor for cursor in RECEIVED if cursor != 124], (1, 0, 0, 0)),
        ([*RECEIVED, 131], (0, 1, 0, 0)),
        ([*RECEIVED, 132], (0, 0, 1, 0)),
        ([102, *RECEIVED], (0, 0, 0, 0)),  # before its first acknowledgement it received every device
        ([111, 113, 115, 117, 119, 121, 120, *RECEIVED[7:]], (0, 0, 0, 0)),  # the replay of b started late
        ([111, 115, 113, *RECEIVED[3:]], (0, 0, 0, 0)),  # so did the first replay
        ([*RECEIVED[:8], RECEIVED[9], RECEIVED[8], *RECEIVED[10:]], (0, 0, 0, 1)),
        ([111, 110, 113, 112, *RECEIVED[2:]], (0, 0, 0, 1)),  # one step back starts a replay, a second does not
    ],
)
def test_audit_of_a_client_that_changed_its_subscription(received: list[int], counts: tuple[int, ...]) -> None:
    audit = audit_visits([visited(received)], PUBLISHED)
    assert (audit.holes, audit.repeats, audit.unrequested, audit.misordered) == counts


def test_missed_reading_is_not_a_hole_if_it_was_reported() -> None:
    visit = visited([cursor for cursor in RECEIVED if not 120 < cursor <= 124])
    visit.gaps = [ReportedGap(120, 123, 3)]
    audit = audit_visits([visit], PUBLISHED)
    assert (audit.reported, audit.holes) == (3, 1)


def test_reading_received_on_two_connections_is_a_repeat() -> None:
    second = Visit([131, 133])
    second.subscribed(A, 131, SubscriptionChange(0, 2))
    second.disconnected(134)
    audit = audit_visits([visited(RECEIVED), second], PUBLISHED)
    assert (audit.holes, audit.repeats) == (0, 1)


@pytest.mark.parametrize(
    ("faults", "end"),
    [(Faults(gap_after=100_000), "told"), (Faults(cut_after=100_000), "cut"), (Faults(), "got all")],
)
async def test_end_of_a_stalled_client_is_classified(faults: Faults, end: str) -> None:
    report = await measured("stalled", faults, clients=4, stalled=2, rate=4000, seconds=0.5)
    ends = {name: figure(report, f"stalled: {name}") for name in ("told", "cut", "got all", "uncertain")}
    assert ends == {"told": 0, "cut": 0, "got all": 0, "uncertain": 0} | {end: 2}


async def test_stalled_and_churn_run_on_a_real_bridge(tmp_path: Path) -> None:
    few = ("--clients", "4", "--stalled", "2", "--rooms", "2", "--rate", "200", "--seconds", "0.3")
    command = (sys.executable, "-m", "tests.bench", "stalled", "churn", *few, "--json", str(tmp_path / "b.json"))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=REPO, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    rows = {row["scenario"]: row for row in orjson.loads((tmp_path / "b.json").read_bytes())["measurements"]}
    rounds = [f"stalled {n}: {count}" for n in (1, 2, 3) for count in ("none", 2)]
    assert list(rows) == [*rounds, "churn"]
    assert [rows[name]["deliveries"] for name in rounds] == [120] * 6
    churned = rows["churn"]["figures"]
    assert [churned[name]["value"] for name in ("holes", "repeats", "not asked for", "out of order", "cut")] == [0, 0, 0, 0, 0]
    assert churned["upgraded from polling"]["value"] > 0
