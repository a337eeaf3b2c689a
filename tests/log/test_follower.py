"""A follower: each record once, in order, whatever the bus does; and when it reads the store."""

from __future__ import annotations

from math import inf
from operator import itemgetter

import pytest

from bridge.log.follower import Announcement, Follower

Record = tuple[int, str]


def announced(previous: int, high: int, *seqs: int) -> Announcement[Record]:
    return Announcement(previous, high, records(*seqs))


def records(*seqs: int) -> list[Record]:
    return [(seq, f"record {seq}") for seq in seqs]


def follower(start: int = 10, *, held_limit: int = 100) -> Follower[Record]:
    """A follower whose first read has found nothing, at time 0."""
    new: Follower[Record] = Follower(start, itemgetter(0), held_limit=held_limit, hold_seconds=0.03, silence_seconds=0.25)
    new.begin_read(0.0)
    new.end_read([], start, 0.0)
    return new


def test_announcements_in_order_are_delivered_at_once() -> None:
    one = follower()
    assert one.offer(announced(10, 20, 11, 20), 0.0) == records(11, 20)
    assert one.offer(announced(20, 30), 0.0) == []
    assert one.offer(announced(30, 40, 35), 0.0) == records(35)
    assert (one.delivered, one.announced, one.held) == (40, 3, 0)


def test_reordered_announcements_are_delivered_in_order() -> None:
    one = follower()
    assert one.offer(announced(30, 40, 31), 0.0) == []
    assert one.offer(announced(20, 30, 21), 0.0) == []
    assert one.held == 2
    assert one.offer(announced(10, 20, 11), 0.0) == records(11, 21, 31)
    assert (one.delivered, one.held) == (40, 0)


def test_repeated_announcements_are_dropped_and_counted() -> None:
    one = follower()
    one.offer(announced(20, 30, 21), 0.0)
    assert one.offer(announced(20, 30, 21), 0.0) == []
    assert one.offer(announced(10, 20, 11), 0.0) == records(11, 21)
    assert one.offer(announced(10, 20, 11), 0.0) == one.offer(announced(20, 30, 21), 0.0) == []
    assert (one.announced, one.dropped_old, one.held) == (5, 3, 0)


def test_records_from_the_store_release_what_was_held_behind_them() -> None:
    one = follower()
    one.offer(announced(20, 30, 21), 0.0)
    assert one.begin_read(0.04) == 10
    assert one.end_read(records(11, 15), 20, 0.05) == records(11, 15, 21)
    assert (one.delivered, one.from_store) == (30, 2)


def test_records_announced_during_a_read_are_not_repeated() -> None:
    one = follower()
    one.begin_read(0.0)
    assert one.offer(announced(10, 20, 11), 0.0) == records(11)
    assert one.end_read(records(11, 25, 28), 30, 0.1) == records(25, 28)
    assert one.offer(announced(20, 30, 25, 28), 0.1) == []
    assert (one.delivered, one.from_store, one.dropped_old) == (30, 2, 1)


def test_a_read_that_ends_below_what_was_delivered_delivers_nothing() -> None:
    one = follower()
    one.begin_read(0.0)
    one.offer(announced(10, 20, 11), 0.0)
    assert one.end_read(records(11), 15, 0.1) == []
    assert one.delivered == 20


def test_records_above_the_end_of_a_read_are_ignored() -> None:
    one = follower()
    one.begin_read(0.0)
    assert one.end_read(records(11, 25), 20, 0.1) == records(11)
    assert one.offer(announced(20, 30, 23, 25), 0.1) == records(23, 25)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_page_that_ends_within_a_range_is_continued_by_its_announcement(is_held: bool) -> None:
    one = follower()
    if is_held:
        one.offer(announced(20, 30, 22, 25, 28), 0.0)
    one.begin_read(0.0)
    page = one.end_read(records(11, 22, 25), 25, 0.1)
    rest = [] if is_held else one.offer(announced(20, 30, 22, 25, 28), 0.1)
    assert page + rest == records(11, 22, 25, 28)
    assert one.delivered == 30


def test_held_announcements_that_a_read_covers_are_dropped_and_counted() -> None:
    one = follower()
    one.offer(announced(20, 30, 21), 0.0)
    one.begin_read(0.0)
    assert one.end_read(records(11, 21, 31), 40, 0.1) == records(11, 21, 31)
    assert (one.dropped_old, one.held) == (1, 0)


def test_the_farthest_announcement_is_dropped_when_too_much_is_held() -> None:
    one = follower(held_limit=3)
    one.offer(announced(30, 40, 31, 32), 0.0)
    one.offer(announced(20, 30), 0.0)
    one.offer(announced(40, 50, 41), 0.0)
    assert (one.held, one.dropped_held) == (3, 1)
    one.offer(announced(15, 20, 16), 0.0)
    assert (one.held, one.dropped_held) == (2, 2)
    assert one.offer(announced(10, 15, 11), 0.0) == records(11, 16)
    assert one.delivered == 30
    one.begin_read(0.0)
    assert one.end_read(records(31, 32, 41), 50, 0.1) == records(31, 32, 41)


def test_an_announcement_above_the_limit_is_not_held() -> None:
    one = follower(held_limit=3)
    assert one.offer(announced(20, 30, 21, 22, 23, 24), 0.0) == []
    assert (one.held, one.dropped_held) == (0, 1)


def test_a_read_is_due_at_once_after_the_start() -> None:
    assert Follower(10, int).read_due(-1e9)


def test_a_read_is_due_when_an_announcement_was_held_too_long() -> None:
    one = follower()
    one.offer(announced(30, 40, 31), 0.10)
    one.offer(announced(20, 30, 21), 0.12)
    assert one.next_read_at() == pytest.approx(0.13)
    assert not one.read_due(0.12)
    assert one.read_due(0.131)
    one.offer(announced(10, 20, 11), 0.125)
    assert one.next_read_at() == pytest.approx(0.125 + 0.25)


def test_a_read_is_due_after_silence() -> None:
    one = follower()
    one.offer(announced(10, 20, 11), 0.2)
    assert one.next_read_at() == pytest.approx(0.45)
    assert (one.read_due(0.449), one.read_due(0.451)) == (False, True)


def test_old_announcements_do_not_postpone_a_read() -> None:
    one = follower()
    one.offer(announced(5, 10, 7), 0.2)
    assert one.next_read_at() == pytest.approx(0.25)


def test_no_read_is_due_during_a_read() -> None:
    one = follower()
    one.begin_read(1.0)
    assert one.next_read_at() == inf
    one.end_read((), 0, 2.0)
    assert one.next_read_at() == pytest.approx(2.25)
    assert (one.delivered, one.reads) == (10, 2)


def test_reads_are_apart_by_the_hold_time_while_a_range_is_open() -> None:
    one = follower()
    one.offer(announced(20, 30, 21), 0.0)
    one.begin_read(0.03)
    one.end_read((), 10, 0.05)
    assert one.next_read_at() == pytest.approx(0.08)
