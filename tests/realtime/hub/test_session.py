"""A client's session: delivered ranges, pause and resume."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.hub.encoding import Publication
from bridge.realtime.hub.session import _RANGES, DeliveredRanges
from bridge.realtime.hub.subscriptions import ALL, Subscription
from tests.realtime.parts import reading

A, B = Subscription(frozenset("a")), Subscription(frozenset("b"))


def record(seq: int, device: str = "a") -> Publication:
    return Publication(reading(seq, device))


def test_matching_records_since_joining_are_delivered() -> None:
    delivered = DeliveredRanges(10)
    assert [seq for seq in range(9, 23) if delivered.contains(record(seq), ALL, 20)] == list(range(11, 21))
    assert delivered.contains(record(15, "b"), ALL, 20)
    assert not delivered.contains(record(15, "b"), A, 20)


def test_replayed_records_are_delivered() -> None:
    delivered = DeliveredRanges(10)
    delivered.add(A, 3, 6)
    delivered.add(A, 6, 10)
    assert [seq for seq in range(12) if delivered.contains(record(seq), ALL, 10)] == list(range(4, 11))
    assert not delivered.contains(record(5, "b"), ALL, 10)


def test_records_of_an_earlier_subscription_stay_delivered() -> None:
    delivered = DeliveredRanges(0)
    delivered.start_range(ALL, 10, 10)
    delivered.start_range(A, 20, 20)
    assert delivered.contains(record(5, "b"), B, 30)
    assert delivered.contains(record(15, "a"), B, 30)
    assert not delivered.contains(record(15, "b"), B, 30)
    assert delivered.contains(record(25, "b"), B, 30)


def test_records_in_a_gap_are_not_delivered() -> None:
    delivered = DeliveredRanges(0)
    delivered.start_range(ALL, 10, 20)
    assert [seq for seq in (10, 11, 20, 21) if delivered.contains(record(seq), ALL, 30)] == [10, 21]


def test_replay_ends_where_requested_records_were_delivered_live() -> None:
    delivered = DeliveredRanges(10)
    assert delivered.undelivered_until(A, ALL, 20) == 10
    assert delivered.undelivered_until(ALL, A, 20) == 20
    assert delivered.undelivered_until(B, A, 20) == 20


def test_number_of_delivered_ranges_is_bounded() -> None:
    delivered = DeliveredRanges(0)
    for change in range(10 * _RANGES):
        delivered.start_range(A if change % 2 else B, change, change)
    assert len(delivered._ranges) == _RANGES


@given(st.lists(st.tuples(st.sampled_from(["change", "gap", "replay"]), st.sampled_from([ALL, A, B]), st.integers(0, 8))))
def test_delivered_ranges_equal_the_set_of_sent_records(steps: list[tuple[str, Subscription, int]]) -> None:
    delivered, subscription, offset, sent = DeliveredRanges(0), ALL, 0, set[tuple[str, int]]()
    source = random.Random(1)
    for kind, other, width in steps[:_RANGES]:
        began, offset = offset, offset + width
        sent |= {
            (device, seq)
            for seq in range(began + 1, offset + 1)
            for device in "ab"
            if subscription.matches(record(seq, device))
        }
        if kind == "change":
            delivered.start_range(subscription, offset, offset)
            subscription = other
        elif kind == "gap":
            delivered.start_range(subscription, offset, offset + 3)
            offset += 3
        else:
            after = source.randint(0, offset)
            until = source.randint(after, offset)
            delivered.add(other, after, until)
            sent |= {
                (device, seq) for seq in range(after + 1, until + 1) for device in "ab" if other.matches(record(seq, device))
            }
        for device in "ab":
            assert {seq for seq in range(offset + 5) if delivered.contains(record(seq, device), subscription, offset)} == {
                seq for sent_device, seq in sent if sent_device == device
            }
