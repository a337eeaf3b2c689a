"""The hub against a model of what each client must be sent, whatever is published, requested, stalled or left, in any order."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.realtime.hub.hub import TICK_SECONDS, ConnectionClosed, Hub
from bridge.realtime.hub.session import Session
from bridge.realtime.socketio.codec import CODEC
from tests.fakes import MemoryStore
from tests.realtime.parts import FakeTransport, readings, small

DEVICES = "abc"
BUFFER_BYTES = 600  # two records
SLOW_SECONDS = 5.0

devices_or_all = st.none() | st.frozensets(st.sampled_from(DEVICES), max_size=2)
Devices = frozenset[str] | None


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose time is set by hand; it never waits while a task is ready."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class SlowStore(MemoryStore):
    """Takes some steps of the loop to answer, and reads its records between them."""

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        await asyncio.sleep(0)
        found = await super().readings(query)
        await asyncio.sleep(0)
        return found

    async def count(self, query: ReadingsQuery) -> int:
        await asyncio.sleep(0)
        return await super().count(query)


@dataclass
class Request:
    """A pending `subscribe` or `unsubscribe`, and the subscription it leads to."""

    task: asyncio.Task[Any]
    devices: Devices
    since: int | None = None
    gaps: int = 0
    unsubscribes: bool = False


@dataclass
class Client:
    """One connection, with the records that it must be and may be sent."""

    session: Session
    transport: FakeTransport
    subscription: Devices = None
    request: Request | None = None
    owed: set[int] = field(default_factory=set)
    allowed: set[int] = field(default_factory=set)
    read: int = 0
    sent: list[tuple[int, str]] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    last: int = 0
    replays: int = 0
    held_from: int = sys.maxsize
    has_requested: bool = False

    def possible_subscriptions(self) -> list[Devices]:
        """The subscriptions that may apply to a record published now."""
        if self.request is None:
            return [self.subscription]
        return [self.subscription, self.next_subscription()]

    def unreported(self, owed: set[int], gaps: list[tuple[int, int, int]]) -> set[int]:
        """The records in `owed` that were not sent and are in none of the gaps."""
        without = owed - {cursor for cursor, _ in self.sent}
        return {seq for seq in without if not any(after < seq <= last for after, last, _ in gaps)}

    def next_subscription(self) -> Devices:
        """The subscription after the pending request."""
        assert self.request is not None
        requested = self.request.devices
        if self.request.unsubscribes:
            return frozenset() if requested is None or self.subscription is None else self.subscription - requested
        return requested if requested is None or self.subscription is None else self.subscription | requested


def matches(devices: Devices, record: Reading) -> bool:
    return devices is None or record.device_id in devices


class HubAndClients(RuleBasedStateMachine):
    """The invariant: each matching record is sent once, in order, after it was published, or reported in a gap."""

    recent_records = 8
    sizes: tuple[int, ...] = (1, 2, 3, 7, 20)

    def __init__(self) -> None:
        super().__init__()
        self.loop = FastLoop()
        self.store = SlowStore()
        chosen = small(recent_records=self.recent_records, client_buffer_bytes=BUFFER_BYTES, slow_seconds=SLOW_SECONDS)
        self.hub = Hub(self.store, chosen, monotonic=self.loop.time)
        self.reading = self.loop.create_task(self.hub._catch_up.run())
        self.seq = 0
        self.written: list[list[Reading]] = []
        self.published: dict[int, Reading] = {}
        self.clients: list[Client] = []

    def teardown(self) -> None:
        self.loop.run_until_complete(self._finish())
        self.loop.close()

    async def _finish(self) -> None:
        tasks = [self.reading, *(client.request.task for client in self.clients if client.request)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- steps ------------------------------------------------------------------------------------------------------------

    @initialize(stored=st.integers(0, 30))
    def begin(self, stored: int) -> None:
        for _ in range(stored):
            self._write(1, "a")
        for (record,) in self.written:
            self.published[record.seq] = record
        self.written.clear()
        self.hub.start(self.seq)
        self._join()
        self.pass_time(0.3)

    def _write(self, count: int, device: str) -> None:
        batch = readings(*range(self.seq + 1, self.seq + 1 + 2 * count, 2), device=device)
        self.seq = batch[-1].seq
        self.store.by_id |= {record.id: record for record in batch}
        self.written.append(batch)

    @rule(data=st.data(), device=st.sampled_from(DEVICES))
    def write(self, data: st.DataObject, device: str) -> None:
        self._write(data.draw(st.sampled_from(self.sizes)), device)

    @precondition(lambda self: self.written)
    @rule()
    def publish(self) -> None:
        batch = self.written.pop(0)
        self.published |= {record.seq: record for record in batch}
        for client in self.clients:
            self._learn(client)
            possible = client.possible_subscriptions()
            client.allowed |= {record.seq for record in batch if any(matches(devices, record) for devices in possible)}
            client.owed |= {record.seq for record in batch if all(matches(devices, record) for devices in possible)}
            if not (client.session.live or client.session.lags):
                client.held_from = min(client.held_from, batch[0].seq)
        self.hub.publish(batch)

    @rule(device=st.sampled_from(DEVICES))
    def write_and_publish(self, device: str) -> None:
        self._write(2, device)
        while self.written:
            self.publish()

    @precondition(lambda self: len(self.clients) < 3)
    @rule()
    def join(self) -> None:
        self._join()

    def _join(self, last: int = 0) -> Client:
        transport = FakeTransport()
        client = Client(self.hub.add_client(CODEC, transport), transport, last=last)
        self.clients.append(client)
        return client

    @precondition(lambda self: any(client.request is None for client in self.clients))
    @rule(data=st.data(), devices=devices_or_all, limit=st.sampled_from([1, 5, 1000]))
    def subscribe(self, data: st.DataObject, devices: Devices, limit: int) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.request is None]))
        since = data.draw(st.none() | st.integers(0, self.seq + 2), label="since")
        self._subscribe(client, devices, since, limit)

    def _subscribe(self, client: Client, devices: Devices, since: int | None, limit: int) -> None:
        request = self.hub.subscribe(client.session, devices, None, since, limit)
        client.request = Request(self.loop.create_task(request), devices, since, len(client.gaps))
        client.has_requested = True
        if since is not None:
            client.replays += 1
            client.allowed |= {seq for seq, record in self.published.items() if seq > since and matches(devices, record)}

    @precondition(lambda self: any(client.request is None for client in self.clients))
    @rule(data=st.data(), devices=devices_or_all)
    def unsubscribe(self, data: st.DataObject, devices: Devices) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.request is None]))
        if client.subscription is not None or devices is None:
            request = self.hub.unsubscribe(client.session, devices)
            client.request = Request(self.loop.create_task(request), devices, unsubscribes=True)
            client.has_requested = True

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), stalled=st.booleans())
    def stall_or_drain(self, data: st.DataObject, *, stalled: bool) -> None:
        transport = data.draw(st.sampled_from(self.clients)).transport
        if stalled:
            transport.stalled = True
        else:
            transport.drain()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), drains=st.booleans())
    def overflow(self, data: st.DataObject, *, drains: bool) -> None:
        transport = data.draw(st.sampled_from(self.clients)).transport
        transport.stalled = True
        for device in DEVICES:
            self.write_and_publish(device)
        if drains:
            transport.drain()
            self.pass_time(TICK_SECONDS)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), resumes=st.booleans())
    def leave(self, data: st.DataObject, *, resumes: bool) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self._learn(client)
        self._part(client)
        if resumes:
            again = self._join()
            self._subscribe(again, client.subscription, client.last, 1000)

    def _part(self, client: Client) -> None:
        self.hub.remove_client(client.session)
        self.clients.remove(client)
        if client.request:
            client.request.task.cancel()

    @rule(count=st.sampled_from([1, 1, 2, 3, 30]))
    def step(self, count: int) -> None:
        self.loop.run_until_complete(self._steps(count))

    @staticmethod
    async def _steps(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([TICK_SECONDS, 0.3, SLOW_SECONDS + 1]))
    def pass_time(self, seconds: float) -> None:
        self.loop.now += seconds
        self.hub.tick()

    # --- invariants -------------------------------------------------------------------------------------------------------

    def _learn(self, client: Client) -> None:
        """Take in what the client was sent, and the result of its request."""
        new, client.read = client.transport.received[client.read :], len(client.transport.received)
        for name, body in new:
            if name == "gap":
                client.gaps.append((body["from"], body["to"], body["missed"]))
            else:
                client.sent.append((body["cursor"], body["data"]["deviceId"]))
        if client.request is None or not client.request.task.done():
            return
        request = client.request
        if request.task.cancelled() or isinstance(request.task.exception(), ConnectionClosed):
            assert client.transport.disconnects
            return
        result = request.task.result()
        client.subscription, client.request = client.next_subscription(), None
        assert result.subscription.devices == client.subscription
        # Records published while it had just joined, before its request, are matched against its new subscription; those up to
        # `since` it has from another bridge.
        client.owed -= {
            seq
            for seq in client.owed
            if seq >= client.held_from
            and (
                not matches(client.subscription, self.published[seq])
                or (request.since is not None and seq <= request.since and matches(request.devices, self.published[seq]))
            )
        }
        client.held_from = sys.maxsize
        if request.since is not None:
            requested = {
                seq
                for seq, record in self.published.items()
                if request.since < seq <= result.cursor and matches(request.devices, record)
            }
            client.owed |= requested
            assert not client.unreported(requested, client.gaps[request.gaps :]), (
                "a gap reported before is filled by the replay"
            )
            client.last = max(client.last, result.cursor)

    @invariant()
    def every_client_is_sent_only_matching_records_and_none_twice(self) -> None:
        for client in self.clients:
            self._learn(client)
            cursors = [cursor for cursor, _ in client.sent]
            assert len(set(cursors)) == len(cursors), "no record twice"
            assert set(cursors) <= client.allowed, "no record outside the subscription"
            assert set(cursors) <= self.published.keys(), "no record before it was published"

    @invariant()
    def records_are_in_order_except_at_the_start_of_a_replay(self) -> None:
        for client in self.clients:
            self._learn(client)
            cursors = [cursor for cursor, _ in client.sent]
            assert sum(second < first for first, second in pairwise(cursors)) <= client.replays

    @invariant()
    def live_client_that_reads_has_every_record_or_a_gap(self) -> None:
        for client in self.clients:
            self._learn(client)
            session = client.session
            if client.request or not session.live:
                continue
            client.held_from = sys.maxsize
            without = client.owed - {cursor for cursor, _ in client.sent}
            assert not client.unreported(client.owed, client.gaps), "neither sent nor reported"
            reported = sum(missed for _, _, missed in client.gaps)
            assert reported >= len(without)
            assert reported == len(without) or client.has_requested

    @invariant()
    def disconnected_client_is_removed(self) -> None:
        for client in [client for client in self.clients if client.transport.disconnects]:
            assert client.transport.disconnects == ["slow"]
            assert client.session not in self.hub._sessions
            self._part(client)

    @invariant()
    def hub_keeps_nothing_of_clients_that_left(self) -> None:
        sessions = {client.session for client in self.clients}
        index = list(self.hub._index)
        members = {member for group in index for member in group.members}
        assert self.hub._sessions.keys() == sessions
        assert self.hub._held.keys() <= sessions
        assert self.hub._delivery.slow.keys() <= self.hub._held.keys()
        assert members == {session for session in sessions if session.live}
        assert self.hub._held.keys() == sessions - members


class HubAndClientsInPages(HubAndClients):
    """The same with batches larger than a page, and more memory."""

    recent_records = 600
    sizes = (1, 20, 600, 1300)


TestHubAndClients = HubAndClients.TestCase
TestHubAndClients.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHubAndClientsInPages = HubAndClientsInPages.TestCase
TestHubAndClientsInPages.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
