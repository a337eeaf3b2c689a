"""The hub, with recording transports, a clock set by hand, and a store in memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from bridge.core.errors import StoreUnavailable
from bridge.core.events import SystemEvent
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.realtime.hub import catch_up
from bridge.realtime.hub import hub as hub_module
from bridge.realtime.hub.hub import ConnectionClosed, Hub, SubscribeResult
from bridge.realtime.hub.replay import PAGE_SIZE
from bridge.realtime.hub.requests import DEVICES_LIMIT
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import ALL, Subscription
from bridge.realtime.socketio.codec import CODEC
from tests.fakes import MemoryStore
from tests.realtime.parts import Clock, FakeTransport, readings, small, status
from tests.servers import until

SETTLED_SECONDS = 0.3


class GatedStore(MemoryStore):
    """Answers queries while `open` is set; raises `StoreUnavailable` while `unavailable`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.unavailable = False
        self.queries: list[ReadingsQuery] = []

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        self.queries.append(query)
        await self.open.wait()
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        return await super().readings(query)


class Stage:
    """A hub with its store and clock."""

    def __init__(self, *, stored: int = 0, **settings: Any) -> None:
        self.clock = Clock()
        self.store = GatedStore()
        self.hub = Hub(self.store, small(**settings), monotonic=self.clock)
        self.last = 0
        self.write(readings(*range(1, stored + 1)))
        self.hub.start(stored)
        self.last = stored

    def write(self, records: Sequence[Reading]) -> None:
        self.store.by_id |= {record.id: record for record in records}

    def publish(self, count: int = 1, device: str = "a") -> None:
        """Store the next records, then publish them."""
        records = readings(*range(self.last + 1, self.last + 1 + count), device=device)
        self.last += count
        self.write(records)
        self.hub.publish(records)

    def leave_behind(self, transport: FakeTransport) -> None:
        """Publish 700 records while the buffer of a client is full."""
        transport.waiting = 1000
        for _ in range(10):
            self.publish(70)

    def join(self, *, has_drain_events: bool = True) -> tuple[Session, FakeTransport]:
        transport = FakeTransport(has_drain_events=has_drain_events)
        return self.hub.add_client(CODEC, transport), transport

    def join_live(self, *, has_drain_events: bool = True) -> tuple[Session, FakeTransport]:
        joined = self.join(has_drain_events=has_drain_events)
        self.pass_time(SETTLED_SECONDS)
        return joined

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.hub.tick()

    def subscribe(self, session: Session, devices: str | None = None, **options: Any) -> Coroutine[Any, Any, SubscribeResult]:
        device_ids = None if devices is None else frozenset(devices)
        return self.hub.subscribe(session, device_ids, options.get("every"), options.get("since"), options.get("limit", 1000))


@asynccontextmanager
async def catching_up(stage: Stage) -> AsyncIterator[None]:
    """Clients that lag are sent pages."""
    working = asyncio.create_task(stage.hub._catch_up.run())
    try:
        yield
        await run_ready_tasks()
    finally:
        working.cancel()
        await asyncio.wait([working])


async def run_ready_tasks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- topics ------------------------------------------------------------------------------------------------------------

ALERTS = Subscription(topics=frozenset(("alerts",)))


async def test_client_that_does_not_wait_for_subscribe_receives_events_at_once() -> None:
    stage = Stage(stored=3)
    transport, alerted = FakeTransport(), FakeTransport()
    stage.hub.add_client(CODEC, transport, waits_for_subscribe=False)
    stage.hub.add_client(CODEC, alerted, ALERTS, waits_for_subscribe=False)
    stage.publish()
    stage.hub.publish([SystemEvent("info", "hello")])
    assert (transport.cursors, alerted.cursors) == ([4], [])
    assert len(transport.of("systemEvent")) == len(alerted.of("systemEvent")) == 1


async def test_subscription_change_leaves_no_hole_and_no_repeat() -> None:
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


async def test_history_contains_only_matching_records() -> None:
    stage = Stage(stored=5)
    history = stage.hub._history
    assert list((await history.page(0, 5, ALERTS)).records) == []
    assert len((await history.page(0, 5, ALL)).records) == 5


async def test_events_missed_by_a_slow_client_are_counted() -> None:
    stage = Stage(client_buffer_bytes=100)
    _, transport = stage.join_live()
    transport.stalled = True
    stage.publish(3)
    stage.hub.publish([status("a"), SystemEvent("info", "hello")])
    assert (stage.hub.counts.missed, stage.hub.counts.missed_others) == (0, 2)


# --- live --------------------------------------------------------------------------------------------------------------


async def test_client_that_never_subscribes_receives_every_device_from_joining_on() -> None:
    stage = Stage(stored=3)
    _, transport = stage.join()
    stage.publish(2)
    stage.publish(device="b")
    assert transport.received == []
    async with catching_up(stage):
        stage.pass_time(SETTLED_SECONDS)
    stage.publish()
    assert transport.cursors == [4, 5, 6, 7]
    assert stage.hub.counts.delivered == 4


async def test_events_are_sent_before_a_client_has_settled() -> None:
    stage = Stage()
    _, transport = stage.join()
    stage.hub.publish([status("a"), SystemEvent("info", "hello")])
    assert [name for name, _ in transport.received] == ["deviceStatus", "systemEvent"]
    stage.pass_time(SETTLED_SECONDS)
    assert len(transport.received) == 2


async def test_clients_with_equal_subscriptions_receive_the_same_batch() -> None:
    stage = Stage()
    transports = [stage.join_live()[1] for _ in range(3)]
    stage.publish(2)
    (first, second, third) = (transport.batches[-1] for transport in transports)
    assert first is second is third


async def test_time_of_sending_is_set_per_batch() -> None:
    stage = Stage()
    stage.hub._delivery._clock = lambda: 1_767_000_000.5
    _, transport = stage.join_live()
    stage.publish()
    assert transport.of("sensorData")[0]["timestamp"] == "2025-12-29T09:20:00.500Z"


async def test_removed_client_is_freed() -> None:
    stage = Stage()
    gc.collect()
    gc.disable()
    try:
        session, transport = stage.join_live()
        await stage.subscribe(session, "ab", since=0)
        reference = weakref.ref(transport)
        stage.hub.remove_client(session)
        stage.hub.remove_client(session)
        stage.publish()
        assert stage.hub.client_count == stage.hub.slow_count == 0
        assert list(stage.hub._index) == []
        assert stage.hub._held == {}
        assert not stage.hub._joining
        del session, transport
        assert reference() is None, "freed without the garbage collector"
    finally:
        gc.enable()


# --- subscribing -------------------------------------------------------------------------------------------------------


async def test_each_subscribe_adds_devices() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    assert await stage.subscribe(session, "a") == SubscribeResult(session.subscription, 0, 0)
    stage.publish(device="a")
    stage.publish(device="b")
    await stage.subscribe(session, "b")
    stage.publish(device="b")
    stage.publish(device="c")
    stage.hub.publish([status("c"), status("a"), SystemEvent("info", "to everyone")])
    assert transport.cursors == [1, 3]
    assert [body["deviceId"] for body in transport.of("deviceStatus")] == ["a"]
    assert len(transport.of("systemEvent")) == 1
    await stage.subscribe(session)
    stage.publish(device="c")
    assert transport.cursors == [1, 3, 5]


async def test_unsubscribed_devices_are_not_sent() -> None:
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


async def test_unsubscribing_one_device_from_all_devices_raises() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    with pytest.raises(ValueError, match="receives every device"):
        await stage.hub.unsubscribe(session, frozenset("a"))
    stage.publish()
    assert transport.cursors == [1]


async def test_devices_of_one_client_are_limited_over_all_its_requests() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    names = [f"d{n}" for n in range(DEVICES_LIMIT + 1)]
    await stage.hub.subscribe(session, frozenset(names[:-1]), None, None, 1)
    with pytest.raises(ValueError, match="at most 1000 by name"):
        await stage.hub.subscribe(session, frozenset(names[-1:]), None, None, 1)
    stage.publish(device="d0")
    assert transport.cursors == [1]


# --- what was missed ---------------------------------------------------------------------------------------------------


async def test_missed_records_are_replayed_from_memory_before_live_ones() -> None:
    stage = Stage()
    stage.publish(5)
    session, transport = stage.join()
    result = await stage.subscribe(session, since=2)
    stage.publish()
    assert (result.replayed, result.cursor) == (3, 5)
    assert transport.cursors == [3, 4, 5, 6]
    assert stage.store.queries == []
    assert stage.hub.counts.replayed == 3


@pytest.mark.parametrize("stored", [PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE + 7])
async def test_missed_records_are_replayed_from_store_in_pages_then_memory_then_live(stored: int) -> None:
    stage = Stage(stored=stored)
    stage.publish(3)
    session, transport = stage.join()
    result = await stage.subscribe(session, since=0, limit=100_000)
    stage.publish()
    assert result.replayed == stored + 3
    assert transport.cursors == list(range(1, stored + 5))
    assert transport.gaps == []


async def test_records_published_during_a_replay_follow_it_once() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.open.clear()
    request = asyncio.create_task(stage.subscribe(session, since=0))
    await run_ready_tasks()
    stage.publish(2)
    assert transport.cursors == []
    stage.store.open.set()
    result = await request
    stage.publish()
    assert transport.cursors == [1, 2, 3, 4, 5, 6]
    assert (result.replayed, result.cursor) == (3, 5)


async def test_stored_but_unpublished_records_are_not_replayed() -> None:
    stage = Stage(stored=3)
    stage.write(readings(4, 5))
    session, transport = stage.join_live()
    await stage.subscribe(session, since=0)
    assert transport.cursors == [1, 2, 3]
    stage.hub.publish(readings(4, 5))
    assert transport.cursors == [1, 2, 3, 4, 5]


async def test_records_beyond_the_limit_are_reported_as_a_gap_and_can_be_requested() -> None:
    stage = Stage(stored=10)
    session, transport = stage.join_live()
    result = await stage.subscribe(session, since=2, limit=3)
    assert result.replayed == 3
    assert transport.cursors == [3, 4, 5]
    assert transport.gaps == [(5, 10, 5)]
    stage.publish(2)
    assert (await stage.subscribe(session, since=5)).replayed == 5
    assert transport.cursors == [3, 4, 5, 11, 12, 6, 7, 8, 9, 10]
    assert (await stage.subscribe(session, since=0)).replayed == 2
    assert transport.cursors[-2:] == [1, 2], "records sent on this connection are not sent again"


async def test_gap_of_a_limited_replay_does_not_count_live_records() -> None:
    stage = Stage(stored=10)
    session, transport = stage.join_live()
    stage.publish(5)
    await stage.subscribe(session, since=0, limit=4)
    assert transport.gaps == [(4, 10, 6)]


async def test_live_records_of_a_narrower_subscription_are_not_replayed_to_a_wider_one() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, "a")
    for device in "abab":
        stage.publish(device=device)
    await stage.subscribe(session)
    await stage.subscribe(session, since=0)
    assert transport.cursors == [1, 3, 2, 4]


async def test_live_records_before_a_narrower_subscription_are_not_replayed() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    stage.publish(device="a")
    stage.publish(device="b")
    await stage.subscribe(session, "a")
    stage.publish(device="b")
    await stage.subscribe(session, "b", since=0)
    assert transport.cursors == [1, 2, 3]


async def test_cursor_ahead_of_all_records_replays_nothing() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    result = await stage.subscribe(session, since=10**9)
    stage.publish()
    assert (result.replayed, result.cursor) == (0, 3)
    assert transport.cursors == [4]


async def test_records_that_another_bridge_sent_are_not_repeated_by_one_that_was_behind_when_the_client_joined() -> None:
    stage = Stage(stored=10)
    session, transport = stage.join()
    stage.publish(5)
    result = await stage.subscribe(session, since=13)
    assert transport.cursors == [14, 15]
    assert result.replayed == 0
    stage.pass_time(SETTLED_SECONDS)
    stage.publish()
    assert transport.cursors == [14, 15, 16]


async def test_subscription_is_unchanged_if_the_store_is_unavailable() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        await stage.subscribe(session, "a", since=0)
    stage.publish(device="b")
    assert transport.cursors == [4]
    stage.store.unavailable = False
    await stage.subscribe(session, since=0)
    assert transport.cursors == [4, 1, 2, 3]


async def test_records_replayed_before_the_store_failed_are_not_sent_again() -> None:
    stage = Stage(stored=PAGE_SIZE + 5)
    session, transport = stage.join_live()

    async def fail_after_a_page() -> None:
        while not transport.cursors:
            await asyncio.sleep(0)
        stage.store.unavailable = True

    failing = asyncio.create_task(fail_after_a_page())
    with pytest.raises(StoreUnavailable):
        await stage.subscribe(session, since=0, limit=10_000)
    await failing
    stage.store.unavailable = False
    await stage.subscribe(session, since=0, limit=10_000)
    assert transport.cursors == list(range(1, PAGE_SIZE + 6))


async def test_client_that_resumes_while_the_bridge_starts_is_sent_what_it_missed() -> None:
    store = GatedStore()
    store.by_id |= {record.id: record for record in readings(*range(1, 8))}
    hub = Hub(store, small(), monotonic=Clock())
    session = hub.add_client(CODEC, transport := FakeTransport())
    resuming = asyncio.create_task(hub.subscribe(session, None, None, 4, 10))
    await run_ready_tasks()
    assert not resuming.done()
    hub.start(7)
    hub.publish(readings(8))
    await resuming
    assert transport.cursors == [5, 6, 7, 8]


async def test_client_that_leaves_while_the_bridge_starts_is_not_waited_for() -> None:
    hub = Hub(GatedStore(), small(), monotonic=Clock())
    session = hub.add_client(CODEC, FakeTransport())
    resuming = asyncio.create_task(hub.subscribe(session, None, None, 4, 10))
    await run_ready_tasks()
    hub.remove_client(session)
    hub.start(7)
    with pytest.raises(ConnectionClosed):
        await resuming


async def test_replay_raises_if_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "START_SECONDS", 0.01)
    clock = Clock()
    hub = Hub(GatedStore(), small(), monotonic=clock)
    session = hub.add_client(CODEC, transport := FakeTransport())
    with pytest.raises(StoreUnavailable, match="has not answered"):
        await hub.subscribe(session, None, None, 0, 10)
    await hub.subscribe(session, frozenset("a"), None, None, 10)
    hub.start(7)
    hub.publish(readings(8))
    assert transport.cursors == [8]


async def test_concurrent_requests_of_a_client_are_handled_in_order() -> None:
    stage = Stage(stored=4)
    session, transport = stage.join()
    stage.store.open.clear()
    requests = [asyncio.create_task(stage.subscribe(session, "a", since=since)) for since in (2, 0)]
    await run_ready_tasks()
    stage.pass_time(SETTLED_SECONDS)
    stage.publish()
    assert transport.cursors == [], "not live during the replay"
    stage.store.open.set()
    assert [(await each).replayed for each in requests] == [2, 2]
    assert transport.cursors == [3, 4, 5, 1, 2]


async def test_client_that_leaves_during_a_replay_is_removed() -> None:
    stage = Stage(stored=3)
    session, transport = stage.join_live()
    stage.store.open.clear()
    request = asyncio.create_task(stage.subscribe(session, "a", since=0))
    await run_ready_tasks()
    stage.hub.remove_client(session)
    stage.store.open.set()
    with pytest.raises(ConnectionClosed):
        await request
    stage.publish()
    assert stage.hub._held == {}
    assert list(stage.hub._index) == []
    assert 4 not in transport.cursors
    with pytest.raises(ConnectionClosed):
        await stage.hub.unsubscribe(session, None)


async def test_client_held_longer_than_memory_reaches_reads_on_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "_RETRY_SECONDS", 0.01)
    stage = Stage(stored=3, recent_records=10)
    session, transport = stage.join_live()
    stage.store.open.clear()
    request = asyncio.create_task(stage.subscribe(session, "a", since=0))
    await run_ready_tasks()
    stage.publish(100)
    stage.store.unavailable = True
    stage.store.open.set()
    with pytest.raises(StoreUnavailable):
        await request
    stage.store.unavailable = False
    async with catching_up(stage):
        await until(lambda: stage.hub.slow_count == 0)
    assert transport.cursors == list(range(4, 104))
    assert transport.disconnects == []


async def test_burst_larger_than_memory_does_not_disconnect_a_joining_client() -> None:
    stage = Stage(recent_records=10)
    _, transport = stage.join()
    for _ in range(10):
        stage.publish(5)
    async with catching_up(stage):
        stage.pass_time(SETTLED_SECONDS)
    assert transport.disconnects == []
    assert transport.cursors == list(range(1, 51))


# --- slow clients ------------------------------------------------------------------------------------------------------


async def test_client_with_a_full_buffer_lags_alone_and_misses_nothing() -> None:
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
    assert slow.cursors == [1], "more waits than a page may follow"
    slow.waiting = 500
    async with catching_up(stage):
        stage.pass_time(0.1)
    stage.publish()
    assert slow.cursors == [1, 2, 3, 4, 5, 6, 7]
    assert slow.gaps == []
    assert (stage.hub.counts.missed, stage.hub.counts.gaps, stage.hub.slow_count) == (0, 0, 0)


async def test_client_that_lags_is_sent_page_after_page_as_it_reads() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=10_000)
    _, transport = stage.join_live()
    transport.stalled = True
    for _ in range(20):
        stage.publish(50)
    sent = [len(transport.cursors)]
    while stage.hub.slow_count:
        async with catching_up(stage):
            transport.waiting = 0
        sent.append(len(transport.cursors))
    assert transport.cursors == list(range(1, 1001))
    assert max(second - first for first, second in pairwise(sent)) <= 100, "at most a page at once"
    transport.drain()
    stage.publish()
    assert transport.cursors[-1] == 1001


async def test_client_without_drain_events_is_checked_on_each_tick() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join_live(has_drain_events=False)
    transport.waiting = 1000
    stage.publish()
    transport.waiting = 0
    stage.publish()
    async with catching_up(stage):
        await run_ready_tasks()
        assert transport.received == []
        stage.pass_time(0.05)
    assert transport.cursors == [1, 2]


async def test_client_that_lags_costs_nothing_per_batch() -> None:
    stage = Stage(client_buffer_bytes=1000)
    (_, slow), (_, quick) = stage.join_live(), stage.join_live()
    slow.waiting = 1000
    stage.publish()
    calls = slow.calls
    stage.publish(3)
    assert (slow.calls, quick.cursors) == (calls, [1, 2, 3, 4])


async def test_client_that_lags_behind_memory_reads_on_from_the_store_then_memory_then_live() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=100, catch_up_records=10_000)
    _, transport = stage.join_live()
    stage.leave_behind(transport)
    transport.waiting = 0
    async with catching_up(stage):
        await until(lambda: stage.hub.slow_count == 0)
    stage.publish()
    assert transport.cursors == list(range(1, 702))
    assert (transport.gaps, stage.hub.slow_count) == ([], 0)


async def test_clients_that_lag_while_records_come_singly_share_small_pages_and_miss_nothing() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=100, catch_up_records=10_000)
    transports = [stage.join_live()[1] for _ in range(3)]
    for transport in transports:
        transport.waiting = 1000
    for _ in range(14):
        stage.publish(50)
    for transport in transports:
        transport.waiting = 0
    async with catching_up(stage):
        await until(lambda: stage.hub.slow_count == 0)
    assert all(transport.cursors == list(range(1, 701)) for transport in transports)
    pages = [query for query in stage.store.queries if query.limit == catch_up._GENTLE_PAGE]
    assert pages == stage.store.queries
    assert len(pages) == len({query.since for query in pages}), "each page is read from the store once"
    assert not stage.hub._catch_up.pages._pages, "nobody lags any more"


async def test_client_whose_page_is_due_is_sent_what_comes_for_its_subscription_of_that_time() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=1000)
    session, transport = stage.join_live()
    stage.leave_behind(transport)
    transport.waiting = 0
    stage.pass_time(0.05)
    assert session in stage.hub._catch_up.due
    await stage.subscribe(session, "")
    stage.publish(3)
    await stage.subscribe(session)
    stage.publish()
    async with catching_up(stage):
        await until(lambda: session.live)
    assert transport.cursors == [*range(1, 701), 704]


async def test_pages_are_forgotten_when_the_last_client_that_lags_leaves() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=1000)
    joined = [stage.join_live() for _ in range(2)]
    for _, transport in joined:
        transport.waiting = 1000
    stage.publish(200)
    pages = stage.hub._catch_up.pages
    pages.after(0, CODEC, ALL)
    for session, _ in joined:
        assert pages._pages
        stage.hub.remove_client(session)
    assert not pages._pages


@pytest.mark.parametrize(("batches", "is_gentle"), [((540,), False), ((500, 0), False), ((500, 40), True), ((0,), False)])
async def test_pace_follows_the_records_that_are_published_at_once(batches: Sequence[int], is_gentle: bool) -> None:
    stage = Stage()
    session, _ = stage.join_live()
    for count in batches:
        if count:
            stage.publish(count)
        else:
            stage.hub.publish([status("a", "online")])
    session.set_lags(True, stage.clock())
    assert stage.hub._catch_up.pace.is_gentle(session) == is_gentle


async def test_gap_is_sent_to_a_client_that_lags_further_than_it_may_catch_up() -> None:
    stage = Stage(client_buffer_bytes=1000, recent_records=100, catch_up_records=50)
    _, transport = stage.join_live()
    stage.leave_behind(transport)
    transport.waiting = 0
    async with catching_up(stage):
        await until(lambda: stage.hub.slow_count == 0)
    ((after, last, missed),) = transport.gaps
    assert (after, missed) == (0, last)
    assert transport.cursors == list(range(last + 1, 701))
    assert (stage.hub.counts.missed, stage.hub.counts.gaps) == (missed, 1)


async def test_client_that_lags_goes_on_when_the_store_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "_RETRY_SECONDS", 0.01)
    stage = Stage(client_buffer_bytes=1000, recent_records=100, catch_up_records=10_000)
    _, transport = stage.join_live()
    stage.leave_behind(transport)
    stage.store.unavailable = True
    transport.waiting = 0
    async with catching_up(stage):
        await until(lambda: len(stage.store.queries) > 2)
        assert transport.cursors == []
        stage.store.unavailable = False
        await until(lambda: len(transport.cursors) == 700)
    assert transport.cursors == list(range(1, 701))


async def test_slow_client_that_left_receives_nothing_when_its_transport_drains() -> None:
    stage = Stage(client_buffer_bytes=1000)
    session, transport = stage.join_live()
    transport.waiting = 1000
    stage.publish()
    stage.hub.remove_client(session)
    transport.waiting = 0
    assert transport.received == []
    assert list(stage.hub._index) == []


async def test_client_whose_buffer_is_full_when_it_joins_lags_and_misses_nothing() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join()
    stage.publish(3)
    transport.waiting = 1000
    stage.pass_time(SETTLED_SECONDS)
    stage.publish(2)
    async with catching_up(stage):
        transport.waiting = 0
    stage.publish()
    assert transport.cursors == [1, 2, 3, 4, 5, 6]


async def test_client_that_lags_can_change_its_subscription() -> None:
    stage = Stage(client_buffer_bytes=1000)
    session, transport = stage.join_live()
    stage.publish()
    transport.waiting = 1000
    stage.publish(3)
    request = asyncio.create_task(stage.subscribe(session, since=0))
    await run_ready_tasks()
    transport.waiting = 0
    assert (await request).cursor == 4
    stage.publish()
    assert transport.cursors == [1, 2, 3, 4, 5]


async def test_events_that_a_slow_client_missed_give_no_gap() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join_live()
    transport.waiting = 1000
    stage.hub.publish([status()])
    transport.waiting = 0
    stage.pass_time(0.1)
    assert transport.received == []
    assert (stage.hub.slow_count, stage.hub.counts.missed_others) == (0, 1)


async def test_client_that_reads_slowly_is_not_disconnected() -> None:
    stage = Stage(client_buffer_bytes=1000, slow_seconds=30)
    _, transport = stage.join_live()
    transport.waiting = 100_000
    stage.publish()
    for _ in range(99):
        transport.waiting -= 1000
        stage.pass_time(20)
    assert transport.disconnects == []
    async with catching_up(stage):
        transport.waiting = 0
    assert transport.cursors == [1]


async def test_client_that_stays_slow_is_disconnected_with_the_reason_and_counted() -> None:
    stage = Stage(client_buffer_bytes=1000, slow_seconds=30)
    session, transport = stage.join_live()
    transport.waiting = 1000
    stage.publish()
    stage.pass_time(30)
    assert transport.disconnects == []
    stage.pass_time(1)
    stage.pass_time(1)
    assert transport.disconnects == ["slow"]
    assert stage.hub.counts.cut == {"slow": 1}
    assert (stage.hub.slow_count, stage.hub.client_count) == (0, 0)
    transport.waiting = 0  # as after abort()
    with pytest.raises(ConnectionClosed):
        await stage.subscribe(session, "a")
    stage.publish()
    assert transport.received == []


async def test_client_that_does_not_drain_during_a_replay_is_disconnected_once() -> None:
    stage = Stage(stored=2 * PAGE_SIZE, client_buffer_bytes=1000, slow_seconds=30)
    session, transport = stage.join_live()
    transport.stalled = True
    request = asyncio.create_task(stage.subscribe(session, since=0, limit=10_000))
    await run_ready_tasks()
    stage.clock.now += 31
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(request, 30)
    assert transport.cursors == list(range(1, PAGE_SIZE + 1)), "at most one page beyond the limit"
    assert transport.disconnects == ["slow"]
    assert stage.hub.counts.cut == {"slow": 1}


async def test_held_client_that_does_not_read_is_sent_at_most_its_buffer_limit() -> None:
    stage = Stage(client_buffer_bytes=1000)
    _, transport = stage.join()
    transport.stalled = True
    for _ in range(1000):
        stage.hub.publish([status()])
    assert transport.waiting < 2000


# --- coalescing --------------------------------------------------------------------------------------------------------


async def test_coalescing_client_receives_the_latest_record_per_device_and_interval() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, every=1000)
    stage.pass_time(1)
    for device in "aabab":
        stage.publish(device=device)
    assert transport.received == []
    stage.pass_time(0.5)
    assert transport.received == []
    stage.pass_time(0.5)
    assert transport.cursors == [4, 5]
    stage.pass_time(1)
    assert transport.cursors == [4, 5]


async def test_records_kept_for_a_group_are_not_sent_twice_to_a_new_member() -> None:
    stage = Stage()
    (first, first_transport), (second, second_transport) = stage.join_live(), stage.join_live()
    await stage.subscribe(first, every=1000)
    stage.pass_time(1)
    stage.publish()
    assert second_transport.cursors == [1]
    await stage.subscribe(second, every=1000)
    stage.pass_time(1)
    assert (first_transport.cursors, second_transport.cursors) == ([1], [1])


async def test_kept_records_are_sent_when_a_client_changes_its_subscription() -> None:
    stage = Stage()
    session, transport = stage.join_live()
    await stage.subscribe(session, "a", every=1000)
    stage.pass_time(1)
    stage.publish()
    await stage.subscribe(session, "b", every=1000)
    stage.pass_time(2)
    assert transport.cursors == [1]


# --- time ----------------------------------------------------------------------------------------------------------------


async def test_a_tick_has_no_work_for_live_clients_that_read() -> None:
    stage = Stage()
    assert not stage.hub.tick()
    stage.join_live()
    assert not stage.hub.tick()


async def test_the_next_tick_comes_soon_while_a_client_joins_is_slow_or_has_records_coalesced() -> None:
    stage = Stage()
    stage.join()
    assert stage.hub.tick()
    stage.pass_time(SETTLED_SECONDS)
    assert not stage.hub.tick()
    session, transport = stage.join_live()
    transport.waiting = 1_000_000
    stage.publish()
    assert stage.hub.tick()
    stage.hub.remove_client(session)
    assert not stage.hub.tick()
    coalescing, _ = stage.join_live()
    await stage.subscribe(coalescing, every=1000)
    assert stage.hub.tick()


async def test_a_client_that_joins_wakes_a_quiet_hub() -> None:
    stage = Stage()
    assert not stage.hub._has_work.is_set()
    session, _ = stage.join()
    assert stage.hub._has_work.is_set()
    stage.clock.now += SETTLED_SECONDS
    async with stage.hub.running():
        await until(lambda: session.live)


# --- the end -----------------------------------------------------------------------------------------------------------


async def test_every_client_is_notified_and_every_protocol_closed_on_stop() -> None:
    class CountingProtocol:
        closed = ticks = 0

        async def tick(self) -> None:
            self.ticks += 1

        async def close(self) -> None:
            self.closed += 1

    stage, protocol = Stage(), CountingProtocol()
    stage.hub.add_protocol(protocol)
    (_, live), (_, held) = stage.join_live(), stage.join()
    async with stage.hub.running():
        while not protocol.ticks:
            await asyncio.sleep(0.01)
    await stage.hub.close()
    assert protocol.closed == 1
    for transport in (live, held):
        assert transport.of("systemEvent")[0]["message"] == "the bridge is stopping"
