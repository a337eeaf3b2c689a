"""Pages are sent gently while records are published a few at a time."""

from __future__ import annotations

import asyncio

from bridge.realtime.hub import catch_up_pace
from bridge.realtime.hub.catch_up_pace import CatchUpPace
from bridge.realtime.hub.session import Session
from bridge.realtime.socketio.codec import CODEC
from tests.realtime.parts import Clock, FakeTransport


def lagging(clock: Clock) -> Session:
    session = Session(CODEC, FakeTransport(), 0)
    session.set_lags(True, clock())
    return session


def test_pages_are_sent_gently_after_few_records_not_after_many_nor_when_none_come() -> None:
    clock = Clock()
    pace, session = CatchUpPace(clock), lagging(clock)
    assert not pace.is_gentle(session)
    pace.on_published(1)
    assert pace.is_gentle(session)
    pace.on_published(500)
    assert not pace.is_gentle(session)
    pace.on_published(50)
    clock.now += 1.1
    assert not pace.is_gentle(session)


def test_client_that_lags_for_long_is_not_held_up() -> None:
    clock = Clock()
    pace, session = CatchUpPace(clock), lagging(clock)
    for _ in range(11):
        pace.on_published(1)
        assert pace.is_gentle(session)
        clock.now += 0.9
        session.set_lags(True, clock())
    clock.now += 0.2
    pace.on_published(1)
    assert not pace.is_gentle(session)
    session.set_lags(False, clock())
    session.set_lags(True, clock())
    assert pace.is_gentle(session), "it fell behind anew"


def test_client_that_falls_behind_anew_is_counted_anew() -> None:
    session = lagging(Clock())
    session.pages_until_count = 300
    session.set_lags(True, 2.0)
    assert session.pages_until_count == 300
    session.set_lags(False, 3.0)
    session.set_lags(True, 4.0)
    assert session.pages_until_count == 0


async def test_gentle_pages_pause_at_the_end_of_a_slice_only() -> None:
    clock = Clock()
    pace, session = CatchUpPace(clock), lagging(clock)
    pace.on_published(1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count())
    try:
        await pace.pause(session, 10)
        after_slice = turns
        await pace.pause(session, 10)
        within_slice = turns - after_slice
        clock.now += catch_up_pace._SLICE_SECONDS + 10 * catch_up_pace._SLICE_SECONDS_PER_CLIENT
        await pace.pause(session, 10)
        assert within_slice < 5 < min(after_slice, turns - after_slice - within_slice)
    finally:
        others.cancel()
