"""What is known of one client."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.events import Gap
from bridge.realtime.hub.publication import Publication
from bridge.realtime.hub.session import _RANGES, DeliveredRanges, Session
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.socketio.codec import CODEC
from tests.realtime.parts import FakeLink, reading

A, B = Subscription(frozenset("a")), Subscription(frozenset("b"))


def one(seq: int, device: str = "a") -> Publication:
    return Publication(reading(seq, device))


def test_a_client_has_been_sent_what_came_by_its_wish_since_it_joined() -> None:
    heard = DeliveredRanges(10)
    assert [seq for seq in range(9, 23) if heard.contains(one(seq), ALL, 20)] == list(range(11, 21))
    assert heard.contains(one(15, "b"), ALL, 20)
    assert not heard.contains(one(15, "b"), A, 20)


def test_what_was_replayed_is_not_replayed_again() -> None:
    heard = DeliveredRanges(10)
    heard.add(A, 3, 6)
    heard.add(A, 6, 10)
    assert [seq for seq in range(12) if heard.contains(one(seq), ALL, 10)] == list(range(4, 11))
    assert not heard.contains(one(5, "b"), ALL, 10)


def test_what_was_heard_by_an_earlier_wish_is_remembered() -> None:
    heard = DeliveredRanges(0)
    heard.start_range(ALL, 10, 10)
    heard.start_range(A, 20, 20)
    assert heard.contains(one(5, "b"), B, 30)
    assert heard.contains(one(15, "a"), B, 30)
    assert not heard.contains(one(15, "b"), B, 30)
    assert heard.contains(one(25, "b"), B, 30)


def test_a_gap_was_not_heard() -> None:
    heard = DeliveredRanges(0)
    heard.start_range(ALL, 10, 20)
    assert [seq for seq in (10, 11, 20, 21) if heard.contains(one(seq), ALL, 30)] == [10, 21]


def test_a_replay_ends_where_what_is_asked_for_was_heard() -> None:
    heard = DeliveredRanges(10)
    assert heard.undelivered_until(A, ALL, 20) == 10
    assert heard.undelivered_until(ALL, A, 20) == 20
    assert heard.undelivered_until(B, A, 20) == 20


def test_of_a_client_that_changes_its_mind_for_ever_no_more_than_so_much_is_remembered() -> None:
    heard = DeliveredRanges(0)
    for turn in range(10 * _RANGES):
        heard.start_range(A if turn % 2 else B, turn, turn)
    assert len(heard._ranges) == _RANGES


@given(st.lists(st.tuples(st.sampled_from(["turn", "gap", "replay"]), st.sampled_from([ALL, A, B]), st.integers(0, 8))))
def test_heard_is_what_a_set_of_all_that_was_sent_would_be(steps: list[tuple[str, Subscription, int]]) -> None:
    heard, subscription, position, sent = DeliveredRanges(0), ALL, 0, set[tuple[str, int]]()
    source = random.Random(1)
    for kind, other, width in steps[:_RANGES]:
        began, position = position, position + width
        sent |= {
            (device, seq) for seq in range(began + 1, position + 1) for device in "ab" if subscription.matches(one(seq, device))
        }
        if kind == "turn":
            heard.start_range(subscription, position, position)
            subscription = other
        elif kind == "gap":
            heard.start_range(subscription, position, position + 3)
            position += 3
        else:
            after = source.randint(0, position)
            until = source.randint(after, position)
            heard.add(other, after, until)
            sent |= {(device, seq) for seq in range(after + 1, until + 1) for device in "ab" if other.matches(one(seq, device))}
        for device in "ab":
            assert {seq for seq in range(position + 5) if heard.contains(one(seq, device), subscription, position)} == {
                seq for named, seq in sent if named == device
            }


def test_a_client_that_falls_behind_is_told_what_it_missed() -> None:
    session = Session(CODEC, FakeLink(), 10)
    session.pause(cursor=11, now=5.0)
    session.miss(2, 13)
    session.miss(0, 0)
    session.miss(1, 17)
    assert session.paused_since == 5.0
    assert session.resume() == Gap(11, 17, 3)
    assert session.paused_since is None
    assert session.resume() is None
    assert not session.delivered.contains(one(12), ALL, 20)
    assert session.delivered.contains(one(11), ALL, 20)
    assert session.delivered.contains(one(18), ALL, 20)
