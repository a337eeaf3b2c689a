"""Who hears what: the hub with links that remember, a clock that is moved by hand, and a store in memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from bridge.core.errors import StoreUnavailable
from bridge.core.events import SystemEvent
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.realtime.hub.hub import ConnectionClosed, Hub, SubscribeResult
from bridge.realtime.hub.replay import PAGE_SIZE
from bridge.realtime.hub.requests import DEVICES_LIMIT
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.socketio.codec import CODEC
from tests.fakes import MemoryStore
from tests.realtime.parts import Clock, FakeLink, readings, small, status

SETTLED_SECONDS = 0.3


class GatedStore(MemoryStore):
    """Answers a question when it is told to; `away` makes it refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.asked: list[ReadingsQuery] = []

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        self.asked.append(query)
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("away")
        return await super().readings(query)


class Stage:
    """A hub with what it stands on."""

    def __init__(self, *, stored: int = 0, **settings: Any) -> None:
        self.clock = Clock()
        self.store = GatedStore()
        self.hub = Hub(self.store, small(**settings), monotonic=self.clock)
        self.last = 0
        self.write(readings(*range(1, stored + 1)))
        self.hub.start(stored)
        self.last = stored

    def write(self, records: Sequence[Reading]) -> None:
        self.store.by_id |= {one.id: one for one in records}

    def publish(self, count: int = 1, device: str = "a") -> None:
        """The next records: stored, then public."""
        records = readings(*range(self.last + 1, self.last + 1 + count), device=device)
        self.last += count
        self.write(records)
        self.hub.publish(records)

    def join(self, *, telling: bool = True) -> tuple[Session, FakeLink]:
        transport = FakeLink(telling=telling)
        return self.hub.add_client(CODEC, transport), transport

    def join_live(self, *, telling: bool = True) -> tuple[Session, FakeLink]:
        joined = self.join(telling=telling)
        self.pass_time(SETTLED_SECONDS)
        return joined

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.hub.tick()

    def subscribe(self, session: Session, devices: str | None = None, **asked: Any) -> Coroutine[Any, Any, SubscribeResult]:
        named = None if devices is None else frozenset(devices)
        return self.hub.subscribe(session, named, asked.get("every"), asked.get("since"), asked.get("limit", 1000))


async def steps(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- wishes by topic -----------------------------------------------------------------------------------------------------

ALERTS = Subscription(topics=frozenset(("alerts",)))


async def test_a_client_that_need_not_settle_hears_at_once_what_it_wishes() -> None:
    stage = Stage(stored=3)
    transport, alerted = FakeLink(), FakeLink()
    stage.hub.add_client(CODEC, transport, waits_for_subscribe=False)
    stage.hub.add_client(CODEC, alerted, ALERTS, waits_for_subscribe=False)
    stage.publish()
    stage.hub.publish([SystemEvent("info", "hello")])
    assert (transport.cursors, alerted.cursors) == ([4], [])
    assert len(transport.of("systemEvent")) == len(alerted.of("systemEvent")) == 1


async def test_a_wish_that_changes_leaves_no_hole_and_no_repeat() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.publish(2)
    await stage.hub.set_subscription(session, ALERTS)
    stage.publish(2)
    await stage.hub.set_subscription(session, ALL)
    stage.publish(1)
    assert transport.cursors == [4, 5, 8]
    stage.hub.remove_client(session)
    with pytest.raises(ConnectionClosed):
        await stage.hub.set_subscription(session, ALERTS)


async def test_records_that_are_not_wished_are_not_read_back_out_of_the_store_either() -> None:
    stage = Stage(stored=5)
    history = stage.hub._history
    assert list((await history.page(0, 5, ALERTS)).records) == []
    assert len((await history.page(0, 5, ALL)).records) == 5


async def test_what_is_no_record_is_counted_too_when_a_client_is_too_slow_for_it() -> None:
    stage = Stage(client_buffer_bytes=100)
    _, transport = stage.join_live()
    transport.stalled = True
    stage.publish(3)
    stage.hub.publish([status("a"), SystemEvent("info", "hello")])
    assert (stage.hub.counts.missed, stage.hub.counts.missed_others) == (0, 2)


# --- live --------------------------------------------------------------------------------------------------------------


async def test_a_client_that_never_subscribes_hears_every_device_from_its_joining_on() -> None:
    stage = Stage(stored=3)
    _, transport = stage.join()
    stage.publish(2)
    stage.publish(device="b")
    assert transport.heard == []
    stage.pass_time(SETTLED_SECONDS)
    stage.publish()
    assert transport.cursors == [4, 5, 6, 7]
    assert stage.hub.counts.delivered == 4


async def test_what_is_no_record_does_not_wait_for_a_client_to_settle() -> None:
    stage = Stage()
    _, transport = stage.join()
    stage.hub.publish([status("a"), SystemEvent("info", "hello")])
    assert [name for name, _ in transport.heard] == ["deviceStatus", "systemEvent"]
    stage.pass_time(SETTLED_SECONDS)
    assert len(transport.heard) == 2


async def test_clients_with_equal_wishes_are_given_the_same_parcel() -> None:
    stage = Stage()
    links = [stage.join_live()[1] for _ in range(3)]
    stage.publish(2)
    (first, second, third) = (transport.parcels[-1] for transport in links)
    assert first is second is third


async def test_the_time_of_sending_is_that_of_the_batch() -> None:
    stage = Stage()
    stage.hub._delivery._clock = lambda: 1_767_000_000.5
    _, transport = stage.join_live()
    stage.publish()
    assert transport.of("sensorData")[0]["timestamp"] == "2025-12-29T09:20:00.500Z"


async def test_nothing_is_kept_of_a_client_that_left() -> None:
    stage = Stage()
    gc.collect()
    gc.disable()
    try:
        session, transport = stage.join_live()
        await stage.subscribe(session, "ab", since=0)
        gone = weakref.ref(transport)
        stage.hub.remove_client(session)
        stage.hub.remove_client(session)
        stage.publish()
        assert stage.hub.client_count == stage.hub.slow_count == 0
        assert list(stage.hub._index) == []
        assert stage.hub._held == {}
        assert not stage.hub._joining
        del session, transport
        assert gone() is None, "it is freed without the garbage collector"
    finally:
        gc.enable()


# --- subscribing -------------------------------------------------------------------------------------------------------


async def test_who_subscribes_to_devices_hears_only_those_and_more_with_each_request() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    assert await stage.subscribe(session, "a") == SubscribeResult(session.subscription, 0, 0)
    stage.publish(device="a")
    stage.publish(device="b")
    await stage.subscribe(session, "b")
    stage.publish(device="b")
    stage.publish(device="c")
    stage.hub.publish([status("c"), status("a"), SystemEvent("info", "for all")])
    assert transport.cursors == [1, 3]
    assert [body["deviceId"] for body in transport.of("deviceStatus")] == ["a"]
    assert len(transport.of("systemEvent")) == 1
    await stage.subscribe(session)
    stage.publish(device="c")
    assert transport.cursors == [1, 3, 5]


async def test_who_unsubscribes_hears_no_more_of_those_devices() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, "ab")
    assert (await stage.hub.unsubscribe(session, frozenset("a"))).subscription.devices == frozenset("b")
    stage.publish(device="a")
    stage.publish(device="b")
    assert transport.cursors == [2]
    assert (await stage.hub.unsubscribe(session, None)).subscription.devices == frozenset()
    stage.publish(device="b")
    assert transport.cursors == [2]


async def test_one_device_cannot_be_taken_from_every_device() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    with pytest.raises(ValueError, match="receives every device"):
        await stage.hub.unsubscribe(session, frozenset("a"))
    stage.publish()
    assert transport.cursors == [1]


async def test_the_devices_of_one_client_are_limited_over_all_its_requests() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    names = [f"d{n}" for n in range(DEVICES_LIMIT + 1)]
    await stage.hub.subscribe(session, frozenset(names[:-1]), None, None, 1)
    with pytest.raises(ValueError, match="at most 1000 by name"):
        await stage.hub.subscribe(session, frozenset(names[-1:]), None, None, 1)
    stage.publish(device="d0")
    assert transport.cursors == [1]


# --- what was missed ---------------------------------------------------------------------------------------------------


async def test_what_was_missed_comes_out_of_memory_and_then_live() -> None:
    stage = Stage()
    stage.publish(5)
    session, transport = stage.join()
    done = await stage.subscribe(session, since=2)
    stage.publish()
    assert (done.replayed, done.cursor) == (3, 5)
    assert transport.cursors == [3, 4, 5, 6]
    assert stage.store.asked == []
    assert stage.hub.counts.replayed == 3


@pytest.mark.parametrize("stored", [PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE + 7])
async def test_what_was_missed_comes_out_of_the_store_in_pages_then_out_of_memory_then_live(stored: int) -> None:
    stage = Stage(stored=stored)
    stage.publish(3)
    session, transport = stage.join()
    done = await stage.subscribe(session, since=0, limit=100_000)
    stage.publish()
    assert done.replayed == stored + 3
    assert transport.cursors == list(range(1, stored + 5))
    assert transport.gaps == []


async def test_what_is_published_while_a_client_is_caught_up_comes_behind_it_once() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.open.clear()
    asking = asyncio.create_task(stage.subscribe(session, since=0))
    await steps()
    stage.publish(2)
    assert transport.cursors == []
    stage.store.open.set()
    done = await asking
    stage.publish()
    assert transport.cursors == [1, 2, 3, 4, 5, 6]
    assert (done.replayed, done.cursor) == (3, 5)


async def test_what_is_stored_and_not_yet_published_is_not_shown() -> None:
    stage = Stage(stored=3)
    stage.write(readings(4, 5))
    session, transport = stage.join_live()
    await stage.subscribe(session, since=0)
    assert transport.cursors == [1, 2, 3]
    stage.hub.publish(readings(4, 5))
    assert transport.cursors == [1, 2, 3, 4, 5]


async def test_more_than_the_limit_is_told_as_a_gap_and_can_be_asked_for() -> None:
    stage = Stage(stored=10)
    session, transport = stage.join_live()
    done = await stage.subscribe(session, since=2, limit=3)
    assert done.replayed == 3
    assert transport.cursors == [3, 4, 5]
    assert transport.gaps == [(5, 10, 5)]
    stage.publish(2)
    assert (await stage.subscribe(session, since=5)).replayed == 5
    assert transport.cursors == [3, 4, 5, 11, 12, 6, 7, 8, 9, 10]
    assert (await stage.subscribe(session, since=0)).replayed == 2
    assert transport.cursors[-2:] == [1, 2], "what was sent on this connection is not sent again"


async def test_the_gap_of_a_limit_does_not_count_what_came_live() -> None:
    stage = Stage(stored=10)
    session, transport = stage.join_live()
    stage.publish(5)
    await stage.subscribe(session, since=0, limit=4)
    assert transport.gaps == [(4, 10, 6)]


async def test_what_came_live_by_a_narrower_wish_is_not_replayed_by_a_wider() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, "a")
    for device in "abab":
        stage.publish(device=device)
    await stage.subscribe(session)
    await stage.subscribe(session, since=0)
    assert transport.cursors == [1, 3, 2, 4]


async def test_what_came_live_before_a_narrower_wish_is_not_replayed_either() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    stage.publish(device="a")
    stage.publish(device="b")
    await stage.subscribe(session, "a")
    stage.publish(device="b")
    await stage.subscribe(session, "b", since=0)
    assert transport.cursors == [1, 2, 3]


async def test_a_cursor_ahead_of_everything_is_answered_with_nothing() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    done = await stage.subscribe(session, since=10**9)
    stage.publish()
    assert (done.replayed, done.cursor) == (0, 3)
    assert transport.cursors == [4]


async def test_a_store_that_is_away_leaves_the_client_as_it_was() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.away = True
    with pytest.raises(StoreUnavailable):
        await stage.subscribe(session, "a", since=0)
    stage.publish(device="b")
    assert transport.cursors == [4]
    stage.store.away = False
    await stage.subscribe(session, since=0)
    assert transport.cursors == [4, 1, 2, 3]


async def test_what_was_sent_before_the_store_went_away_is_not_sent_again() -> None:
    stage = Stage(stored=PAGE_SIZE + 5)
    session, transport = stage.join_live()

    async def away_after_a_page() -> None:
        while not transport.cursors:
            await asyncio.sleep(0)
        stage.store.away = True

    going = asyncio.create_task(away_after_a_page())
    with pytest.raises(StoreUnavailable):
        await stage.subscribe(session, since=0, limit=10_000)
    await going
    stage.store.away = False
    await stage.subscribe(session, since=0, limit=10_000)
    assert transport.cursors == list(range(1, PAGE_SIZE + 6))


async def test_before_the_store_has_answered_nothing_can_be_asked_of_it() -> None:
    clock = Clock()
    hub = Hub(GatedStore(), small(), monotonic=clock)
    session = hub.add_client(CODEC, transport := FakeLink())
    with pytest.raises(StoreUnavailable, match="has not answered"):
        await hub.subscribe(session, None, None, 0, 10)
    await hub.subscribe(session, frozenset("a"), None, None, 10)
    hub.start(7)
    hub.publish(readings(8))
    assert transport.cursors == [8]


async def test_a_client_that_asks_twice_at_once_is_answered_in_turn() -> None:
    stage = Stage(stored=4)
    session, transport = stage.join()
    stage.store.open.clear()
    asking = [asyncio.create_task(stage.subscribe(session, "a", since=since)) for since in (2, 0)]
    await steps()
    stage.pass_time(SETTLED_SECONDS)
    stage.publish()
    assert transport.cursors == [], "it is not live while it is being caught up"
    stage.store.open.set()
    assert [(await one).replayed for one in asking] == [2, 2]
    assert transport.cursors == [3, 4, 5, 1, 2]


async def test_a_client_that_leaves_while_it_is_caught_up_is_let_go() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.open.clear()
    asking = asyncio.create_task(stage.subscribe(session, "a", since=0))
    await steps()
    stage.hub.remove_client(session)
    stage.store.open.set()
    with pytest.raises(ConnectionClosed):
        await asking
    stage.publish()
    assert stage.hub._held == {}
    assert list(stage.hub._index) == []
    assert 4 not in transport.cursors
    with pytest.raises(ConnectionClosed):
        await stage.hub.unsubscribe(session, None)


async def test_a_client_held_longer_than_memory_reaches_is_cut_and_comes_again() -> None:
    stage = Stage(stored=3, recent_records=10)
    session, transport = stage.join_live()
    stage.store.open.clear()
    asking = asyncio.create_task(stage.subscribe(session, "a", since=0))
    await steps()
    stage.publish(100)
    stage.store.away = True
    stage.store.open.set()
    with pytest.raises(StoreUnavailable):
        await asking
    assert transport.cuts == ["slow"]
    assert stage.hub.client_count == 0


async def test_a_burst_larger_than_memory_reaches_does_not_cost_a_new_client_its_connection() -> None:
    stage = Stage(recent_records=10)
    _, transport = stage.join()
    for _ in range(10):
        stage.publish(5)
    stage.pass_time(SETTLED_SECONDS)
    assert transport.cuts == []
    assert transport.cursors == list(range(1, 51))


# --- slow clients ------------------------------------------------------------------------------------------------------


async def test_a_client_with_too_much_waiting_is_skipped_alone_and_told_what_it_missed() -> None:
    stage = Stage(client_buffer_bytes=1000)
    (_, slow), (_, quick) = stage.join_live(), stage.join_live()
    stage.publish()
    slow.waiting = 1000
    stage.publish(2)
    stage.publish(3)
    assert (slow.cursors, quick.cursors) == ([1], [1, 2, 3, 4, 5, 6])
    assert stage.hub.slow_count == 1
    slow.waiting = 501
    stage.pass_time(0.1)
    assert slow.gaps == [], "it is not yet well below"
    slow.waiting = 500
    stage.pass_time(0.1)
    assert slow.gaps == [(1, 6, 5)]
    stage.publish()
    assert slow.cursors == [1, 7]
    assert (stage.hub.counts.missed, stage.hub.counts.gaps, stage.hub.slow_count) == (5, 1, 0)


async def test_a_client_that_drained_is_told_before_the_next_record_not_at_the_next_tick() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join_live()
    transport.waiting = 1000
    stage.publish()
    transport.waiting = 0
    stage.publish()
    assert [name for name, _ in transport.heard] == ["gap", "sensorData"]
    assert transport.gaps == [(0, 1, 1)]


async def test_a_client_whose_link_does_not_tell_that_it_drained_is_looked_at_with_each_tick() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join_live(telling=False)
    transport.waiting = 1000
    stage.publish()
    transport.waiting = 0
    stage.publish()
    assert transport.heard == []
    stage.pass_time(0.05)
    assert transport.gaps == [(0, 2, 2)]


async def test_each_that_is_behind_is_told_what_it_missed_itself_and_costs_nothing_meanwhile() -> None:
    stage = Stage(client_buffer_bytes=1000)
    (_, first), (_, second), (_, quick) = (stage.join_live() for _ in range(3))
    first.waiting = 1000
    stage.publish()
    second.waiting = 1000
    stage.publish(2)
    asked = first.asked, second.asked
    stage.publish(3)
    stage.hub.publish([status("a")])
    assert (first.asked, second.asked) == asked
    first.waiting = 500
    stage.publish()
    second.waiting = 500
    assert (first.gaps, second.gaps, quick.gaps) == ([(0, 6, 6)], [(1, 7, 6)], [])
    assert (first.cursors, second.cursors, quick.cursors) == ([7], [1], [1, 2, 3, 4, 5, 6, 7])
    assert (stage.hub.counts.missed, stage.hub.counts.missed_others) == (12, 2)


async def test_a_client_that_leaves_while_it_is_behind_is_told_nothing_when_its_link_drains() -> None:
    stage = Stage(client_buffer_bytes=1000)
    session, transport = stage.join_live()
    transport.waiting = 1000
    stage.publish()
    stage.hub.remove_client(session)
    transport.waiting = 0
    assert transport.heard == []
    assert list(stage.hub._index) == []


async def test_a_client_that_falls_behind_with_what_was_kept_for_it_misses_the_rest_and_is_told() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join()
    stage.publish(3)
    transport.waiting = 1000
    stage.pass_time(SETTLED_SECONDS)
    stage.publish(2)
    transport.waiting = 0
    assert transport.gaps == [(0, 5, 5)]
    stage.publish()
    assert transport.cursors == [6]


async def test_what_a_slow_client_missed_it_can_ask_for() -> None:
    stage = Stage(client_buffer_bytes=1000)
    session, transport = stage.join_live()
    stage.publish()
    transport.waiting = 1000
    stage.publish(3)
    transport.waiting = 0
    stage.publish()
    ((after, _, missed),) = transport.gaps
    assert (await stage.subscribe(session, since=after)).replayed == missed
    assert transport.cursors == [1, 5, 2, 3, 4]


async def test_a_client_that_missed_only_what_is_no_record_is_told_of_no_gap() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join_live()
    transport.waiting = 1000
    stage.hub.publish([status()])
    transport.waiting = 0
    stage.pass_time(0.1)
    assert transport.heard == []
    assert stage.hub.slow_count == 0


async def test_a_client_that_stays_slow_is_cut_with_the_reason_and_counted() -> None:
    stage = Stage(client_buffer_bytes=1000, slow_seconds=30)
    session, transport = stage.join_live()
    transport.waiting = 1000
    stage.publish()
    stage.pass_time(30)
    assert transport.cuts == []
    stage.pass_time(1)
    stage.pass_time(1)
    assert transport.cuts == ["slow"]
    assert stage.hub.counts.cut == {"slow": 1}
    assert (stage.hub.slow_count, stage.hub.client_count) == (0, 0)
    transport.waiting = 0  # as of a transport that was aborted
    with pytest.raises(ConnectionClosed):
        await stage.subscribe(session, "a")
    stage.publish()
    assert transport.heard == []


async def test_a_client_that_does_not_drain_while_it_is_caught_up_is_cut_once() -> None:
    stage = Stage(stored=2 * PAGE_SIZE, client_buffer_bytes=1000, slow_seconds=30)
    session, transport = stage.join_live()
    transport.stalled = True
    asking = asyncio.create_task(stage.subscribe(session, since=0, limit=10_000))
    await steps()
    stage.clock.now += 31
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(asking, 5)
    assert transport.cursors == list(range(1, PAGE_SIZE + 1)), "no more than a page past its bound"
    assert transport.cuts == ["slow"]
    assert stage.hub.counts.cut == {"slow": 1}


async def test_a_client_that_is_held_and_does_not_read_is_not_sent_more_than_its_bound() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join()
    transport.stalled = True
    for _ in range(1000):
        stage.hub.publish([status()])
    assert transport.waiting < 2000


# --- coalescing --------------------------------------------------------------------------------------------------------


async def test_a_coalescing_client_hears_the_latest_of_each_device_each_interval() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, every=1000)
    stage.pass_time(1)
    for device in "aabab":
        stage.publish(device=device)
    assert transport.heard == []
    stage.pass_time(0.5)
    assert transport.heard == []
    stage.pass_time(0.5)
    assert transport.cursors == [4, 5]
    stage.pass_time(1)
    assert transport.cursors == [4, 5]


async def test_what_is_kept_back_for_others_is_not_sent_to_a_newcomer_again() -> None:
    stage = Stage()
    (first, first_link), (second, second_link) = stage.join_live(), stage.join_live()
    await stage.subscribe(first, every=1000)
    stage.pass_time(1)
    stage.publish()
    assert second_link.cursors == [1]
    await stage.subscribe(second, every=1000)
    stage.pass_time(1)
    assert (first_link.cursors, second_link.cursors) == ([1], [1])


async def test_what_is_kept_back_is_not_lost_to_a_client_that_changes_its_wish() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, "a", every=1000)
    stage.pass_time(1)
    stage.publish()
    await stage.subscribe(session, "b", every=1000)
    stage.pass_time(2)
    assert transport.cursors == [1]


# --- the end -----------------------------------------------------------------------------------------------------------


async def test_everyone_is_told_that_the_bridge_stops_and_every_dialect_takes_leave() -> None:
    class Dialect:
        closed = tended = 0

        async def tick(self) -> None:
            self.tended += 1

        async def close(self) -> None:
            self.closed += 1

    stage, dialect = Stage(), Dialect()
    stage.hub.add_protocol(dialect)
    (_, live), (_, held) = stage.join_live(), stage.join()
    async with stage.hub.running():
        while not dialect.tended:
            await asyncio.sleep(0.01)
    await stage.hub.close()
    assert dialect.closed == 1
    for transport in (live, held):
        assert transport.of("systemEvent")[0]["message"] == "the bridge is stopping"
