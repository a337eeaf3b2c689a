"""The most recent records in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.hub.recent import RecentPublications
from tests.realtime.parts import published


def seqs_after(recent: RecentPublications, cursor: int, limit: int | None = None) -> list[int]:
    return [record.seq for record in recent.after(cursor, limit)]


def test_records_after_a_cursor_are_returned_in_order() -> None:
    recent = RecentPublications(10)
    recent.start(4)
    recent.extend(published(5, 7, 9))
    assert (recent.start_offset, recent.last_offset) == (4, 9)
    assert seqs_after(recent, 4) == [5, 7, 9]
    assert seqs_after(recent, 6) == [7, 9]
    assert seqs_after(recent, 7) == [9]
    assert seqs_after(recent, 4, 2) == [5, 7]
    assert seqs_after(recent, 9) == seqs_after(recent, 99) == []


def test_records_stored_before_start_are_not_covered() -> None:
    recent = RecentPublications(10)
    recent.start(4)
    assert not recent.covers(3)
    assert recent.covers(4)


def test_start_below_the_last_offset_changes_nothing() -> None:
    recent = RecentPublications(10)
    recent.extend(published(5))
    recent.start(3)
    assert recent.last_offset == 5


def test_extending_with_nothing_changes_nothing() -> None:
    recent = RecentPublications(1)
    recent.extend([])
    assert (recent.start_offset, recent.last_offset) == (0, 0)


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=20))
def test_all_records_after_start_offset_are_held_and_at_most_a_quarter_above_capacity(capacity: int, sizes: list[int]) -> None:
    recent, everything = RecentPublications(capacity), [0]
    for size in sizes:
        batch = published(*range(everything[-1] + 1, everything[-1] + 1 + size))
        recent.extend(batch)
        everything += [record.seq for record in batch]
        assert recent.last_offset == everything[-1]
        assert recent.covers(recent.start_offset)
        assert not recent.covers(recent.start_offset - 1)
        held = seqs_after(recent, recent.start_offset)
        assert held == [seq for seq in everything if seq > recent.start_offset]
        assert min(capacity, len(everything) - 1) <= len(held) <= capacity * 1.25


def test_record_is_replaced_or_dropped_by_its_cursor() -> None:
    recent = RecentPublications(10)
    recent.extend(published(5, 7, 9))
    (other,) = published(7)
    recent.replace(7, other)
    assert recent.after(5, 1) == [other]
    recent.replace(5, None)
    recent.replace(8, None)
    recent.replace(1, other)
    assert seqs_after(recent, 0) == [7, 9]
    assert (recent.start_offset, recent.last_offset) == (0, 9)
