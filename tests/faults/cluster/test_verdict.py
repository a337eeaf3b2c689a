"""The verdict finds what it is there to find."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest

from tests.faults.cluster.__main__ import matrix, selected
from tests.faults.cluster.clients import Address, Received, Topics
from tests.faults.cluster.verdict import Counts, Moment, Stored, Verdict, judge
from tests.faults.readings import id_of

STORED = Stored([(10, "a"), (20, "b"), (30, "a"), (40, "b"), (50, "a")])


def counts_of(cursors: Sequence[int], devices: str = "", *, since: int = 0, to_the_end: bool = True) -> Counts:
    counts = Counts()
    received = Received(frozenset(devices) if devices else None, since, array("q", cursors))
    judge(counts, received, STORED, to_the_end=to_the_end)
    return counts


def test_run_of_what_is_stored_has_no_errors() -> None:
    assert counts_of([20, 30, 40, 50]).errors == 0
    assert counts_of([10, 30, 50], "a").errors == 0
    assert counts_of([20, 30], to_the_end=False).errors == 0


@pytest.mark.parametrize(
    ("cursors", "found"),
    [
        ([10, 30, 40, 50], Counts(received=4, holes=1)),
        ([10, 20, 30], Counts(received=3, holes=2)),
        ([10, 20, 20, 30, 40, 50], Counts(received=6, repeats=1)),
        ([10, 30, 20, 40, 50], Counts(received=5, inversions=1)),
        ([10, 20, 30, 35, 40, 50], Counts(received=6, unknown=1)),
    ],
)
def test_hole_repeat_inversion_and_unknown_record_are_counted(cursors: list[int], found: Counts) -> None:
    assert counts_of(cursors) == found


def test_client_that_began_after_a_cursor_must_be_sent_everything_after_it() -> None:
    assert counts_of([30, 40, 50], since=10).holes == 1
    assert counts_of([], since=10).holes == 4


def test_lost_reading_repeated_command_or_open_range_is_not_clean() -> None:
    assert Verdict(clients={"/ws": Counts(received=5)}).clean
    assert not Verdict(lost=1).clean
    assert not Verdict(commands_twice=1).clean
    assert not Verdict(commands_vanished=1).clean
    assert not Verdict(open_ranges=1).clean
    assert not Verdict(clients={"/ws": Counts(gaps=1)}).clean


MOMENTS = [Moment(at_us=15, posted=100, published=1000), Moment(at_us=35, posted=200, published=2000)]


def test_errors_are_attributed_to_the_repetition_in_which_they_were_sent() -> None:
    client = Topics(Address("", []), 0, None, (1.0, 1.0))
    client.sequences = [Received(None, 0, array("q", [10, 30, 30, 50]))]
    verdict = Verdict()
    verdict.locate([client], STORED, MOMENTS)
    assert verdict.located == ["repetition 1: /ws: holes × 1", "repetition 1: /ws: repeats × 1", "repetition 2: /ws: holes × 1"]


def test_lost_readings_are_attributed_to_the_repetition_in_which_they_were_begun() -> None:
    class Load:
        posted, published = {99, 100, 101}, {2000}

    verdict = Verdict()
    verdict.locate_lost(Load(), {id_of(99), id_of(101), id_of(2000)}, MOMENTS)
    assert verdict.located == [
        "repetition 0: lost by HTTP × 1", "repetition 1: lost by HTTP × 1", "repetition 2: lost by MQTT × 1",
    ]  # fmt: skip


def test_cells_are_selected_by_name_or_part_of_it() -> None:
    cells = list(matrix("mqtt", 0.5))
    assert len(cells) == 40
    assert [cell.name for cell in selected(cells, ["bus-kill", "bridge-kill-5"])] == [
        "bus-kill-500",
        "bus-kill-5",
        "bridge-kill-5",
    ]
    assert len(selected(cells, [""])) == 40
