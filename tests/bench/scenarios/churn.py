"""Clients connect, disconnect, upgrade from polling and change subscriptions; each must receive all of it once, in order."""

from __future__ import annotations

import asyncio
import random
import re
from array import array
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter

import aiohttp

from bridge.core.errors import BridgeError
from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.pool import SubscriberPool, connect_with_retries, wait_until
from bridge.tools.bench.clients.publisher import MqttPublisher
from bridge.tools.bench.clients.recording import CursorSubscriber, Matches
from bridge.tools.bench.clients.subscriber import ReceiveBuffer, Stream
from bridge.tools.bench.context import ScenarioContext
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.load import READINGS_LIMIT
from bridge.tools.bench.report.results import BenchResult, Figure
from bridge.tools.bench.scenarios.reconnect import REPLAY_LIMIT
from tests.bench.clients.gaps import GapCursorSubscriber
from tests.bench.clients.upgrading import UpgradingSubscriber
from tests.bench.scenarios.visits import SubscriptionChange, Visit, audit_visits

_READING = re.compile(rb'"deviceId":"([^"]*"[^}]*\},"cursor":\d+)[,}]')
_READING_BYTES = 512
_CONNECTED_SECONDS = 0.5, 4.0  # between changes and before a disconnect; shortened in runs below `_FULL_SECONDS`
_DISCONNECTED_SECONDS = 0.0, 2.0
_FULL_SECONDS = 20.0
_CHANGES = 0, 2  # of the subscription per connection


class ReferenceSubscriber(CursorSubscriber):
    """Receives every device and records the cursors of each."""

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._matches = Matches(_READING, _READING_BYTES)
        self.by_device: dict[str, array[int]] = {}

    def _record(self, piece: bytes) -> int:
        matches = self._matches.feed(piece)
        for match in matches:
            device, _, rest = match.partition(b'"')
            cursor = int(rest.rpartition(b":")[2])
            self.cursors.append(cursor)
            self.by_device.setdefault(device.decode(), array("q")).append(cursor)
        return len(matches)


class ChurnClient:
    """A client over all its connections. Every second one subscribes to all devices, every second one starts by polling."""

    def __init__(
        self,
        context: ScenarioContext,
        pool: SubscriberPool[CursorSubscriber],
        session: aiohttp.ClientSession,
        number: int,
        since: int,
    ) -> None:
        """It expects the readings after the cursor `since`."""
        self._context = context
        self._pool = pool
        self._session = session
        self._random = random.Random(number)
        self._all = frozenset(context.devices)
        self._subscribes_to_all = number % 2 == 0
        self._starts_by_polling = number % 4 >= 2
        self._devices = self._all if self._subscribes_to_all else frozenset(self._random.sample(context.devices, 1))
        self._last = since
        self.visits: list[Visit] = []
        self.subscriber: CursorSubscriber
        self.upgrades = self.changes = self.replayed = 0

    async def run(self, until: float) -> None:
        """Connect and disconnect until then, and stay connected."""
        while True:
            visit, _ = await connect_with_retries(self._connect, self._random)
            for _ in range(self._random.randint(*_CHANGES)):
                await self._pause(_CONNECTED_SECONDS)
                await self._change_subscription(visit)
            await self._pause(_CONNECTED_SECONDS)
            if perf_counter() > until:
                return
            self._disconnect(visit)
            await self._pause(_DISCONNECTED_SECONDS)

    async def _pause(self, seconds: tuple[float, float]) -> None:
        await asyncio.sleep(self._random.uniform(*seconds) * min(self._context.load.seconds / _FULL_SECONDS, 1))

    async def _connect(self) -> Visit:
        subscriber_class = UpgradingSubscriber if self._starts_by_polling else GapCursorSubscriber
        subscriber = await subscriber_class.connect(self._pool.receive_buffer, self._context.target.address)
        subscription = (self._selected(self._devices), self._last, REPLAY_LIMIT)
        if isinstance(subscriber, UpgradingSubscriber):
            ack = await subscriber.join_by_polling(self._session, *subscription)
            self.upgrades += 1
        else:
            ack = await subscriber.subscribe(*subscription)
        self.subscriber = subscriber
        self._pool.subscribers.append(subscriber)
        self.visits.append(visit := Visit(subscriber.cursors, subscriber.gaps))
        visit.subscribed(self._devices, self._last, SubscriptionChange(0, subscriber.before_response))
        self.replayed += ack["replayed"]
        return visit

    def _selected(self, devices: frozenset[str]) -> Sequence[str] | None:
        """Return None for every device, except on a shared bridge, which has devices of others."""
        return None if self._subscribes_to_all and not self._context.target.shared else sorted(devices)

    async def _change_subscription(self, visit: Visit) -> None:
        """Add or drop a device. A client of all devices subscribes to them again, which must not repeat readings."""
        subscriber, requested_at = self.subscriber, len(self.subscriber.cursors)
        since = self._received_until(visit)
        devices = self._all if self._subscribes_to_all else frozenset(self._random.sample(sorted(self._all), 1))
        if devices <= self._devices and len(self._devices) > 1 and not self._subscribes_to_all:
            ack = await subscriber.unsubscribe(sorted(devices))
            visit.unsubscribed(devices, ack["cursor"], SubscriptionChange(requested_at, subscriber.before_response))
            self._devices -= devices
        else:
            ack = await subscriber.subscribe(self._selected(devices), since, REPLAY_LIMIT)
            visit.subscribed(devices, since, SubscriptionChange(requested_at, subscriber.before_response))
            self.replayed += ack["replayed"]
            self._devices |= devices
        self.changes += 1

    def _received_until(self, visit: Visit) -> int:
        self._last = max(self._last, max(visit.received, default=0))
        return self._last

    def _disconnect(self, visit: Visit) -> None:
        """Disconnect from the namespace, close the connection, or abort it."""
        visit.disconnected(self._received_until(visit))
        if packet := self._random.choice((b"41", b"1", None)):
            self.subscriber.send_text(packet)
        self.subscriber.close()

    def is_complete(self, published: dict[str, array[int]]) -> bool:
        """Whether the last reading published for it has arrived, or never will."""
        last = max((published[device][-1] for device in self._devices if device in published), default=0)
        return self.subscriber.disconnected or last <= max(self._last, max(self.visits[-1].received, default=0))


async def churn(context: ScenarioContext) -> list[BenchResult]:
    """A reference client that stays connected records every publication."""
    async with (
        context.subscribers(ReferenceSubscriber, 1) as references,
        context.publisher() as publisher,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await context.warm_up(publisher, references)
        (reference,) = references.subscribers
        pool: SubscriberPool[CursorSubscriber] = SubscriberPool(context.target.name, [reference], context.patience)
        since = reference.cursors[-1]
        clients = [ChurnClient(context, pool, session, number, since) for number in range(context.load.clients)]
        try:
            return [await _measure(context, publisher, reference, pool, clients)]
        finally:
            pool.close()


async def _measure(
    context: ScenarioContext,
    publisher: MqttPublisher,
    reference: ReferenceSubscriber,
    pool: SubscriberPool[CursorSubscriber],
    clients: Sequence[ChurnClient],
) -> BenchResult:
    latencies, load, name, before = Latencies(), context.load, context.target.name, context.published
    stream = Stream([], latencies)
    reference.expect(READINGS_LIMIT, stream, lambda _: None)
    text = f"{load.clients:,} clients connect and disconnect"
    async with context.measuring(text, pool) as measurement, asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(client.run(perf_counter() + load.seconds), name="churn client")
        await context.pace(publisher, [stream], load.paced_readings)
        measurement.until = perf_counter()
    await wait_until(lambda: len(reference.cursors) >= context.published, context.patience)
    if (missing := context.published - len(reference.cursors)) > 0:
        raise BridgeError(f"{name}: {missing:,} of {context.published:,} readings not delivered to the client that stayed")
    if any(after <= before for before, after in pairwise(reference.cursors)):
        raise BridgeError(f"{name}: readings delivered twice or out of order to the client that stayed")
    published = reference.by_device
    await wait_until(lambda: all(client.is_complete(published) for client in clients), context.patience)
    result = context.result(measurement, pool, context.published - before, latencies, _figures(clients, published))
    result.clients, result.latency_clients = len(clients), 1
    return result


def _figures(clients: Sequence[ChurnClient], published: dict[str, array[int]]) -> dict[str, Figure]:
    end = max((cursors[-1] for cursors in published.values()), default=0)
    for client in clients:
        client.visits[-1].disconnected(end)
    audits = [audit_visits(client.visits, published) for client in clients]
    return {
        "connections": Figure(sum(len(client.visits) for client in clients)),
        "upgraded from polling": Figure(sum(client.upgrades for client in clients)),
        "subscription changes": Figure(sum(client.changes for client in clients)),
        "readings replayed": Figure(sum(client.replayed for client in clients)),
        "cut": Figure(sum(client.subscriber.disconnected for client in clients)),
        "missed and reported as a gap": Figure(sum(audit.reported for audit in audits)),
        "holes": Figure(sum(audit.holes for audit in audits), wrong=True),
        "repeats": Figure(sum(audit.repeats for audit in audits), wrong=True),
        "not asked for": Figure(sum(audit.unrequested for audit in audits), wrong=True),
        "out of order": Figure(sum(audit.misordered for audit in audits), wrong=True),
    }
