"""The hub: publishes events to subscribed clients. Encode once, join once, one write per client.

A batch is selected, framed and joined once per subscriber group (clients of one protocol with equal subscriptions). Each member
then costs one write that never waits. A member whose buffer is full leaves its group at its cursor and reads on from the log in
pages, at its own pace, until it is live again: see `catch_up.py`. Records that a client requests are sent in pages too: see
`subscribe`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.core.errors import StoreUnavailable
from bridge.core.events import Event, Gap, SystemEvent
from bridge.core.readings.reading import Reading
from bridge.ports import ReadingStore
from bridge.realtime.hub.catch_up import CatchUp
from bridge.realtime.hub.delivery import Delivery, DeliveryCounters
from bridge.realtime.hub.encoding import Encoder, Publication
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.replay import PAGE_SIZE, ReplaySource
from bridge.realtime.hub.requests import DEVICES_LIMIT
from bridge.realtime.hub.session import DeliveredRanges, Session, Transport
from bridge.realtime.hub.subscriptions import ALL, SubscriberGroup, Subscription, SubscriptionIndex
from bridge.settings import RealtimeSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""Between ticks while a client joins, is slow, has its records coalesced or was sent pages of the store."""

QUIET_TICK_SECONDS = 0.25
"""Between ticks otherwise: pings and deadlines of handshakes need no more. 20 ticks a second were a third of an idle bridge."""

BEHIND_SECONDS = 10.0
"""How long a client that comes from another bridge waits until this one has published what it has already."""

START_SECONDS = 10.0
"""How long a client that resumes waits for a bridge that has just been started."""

_DRAIN_SECONDS = 0.02  # how often a client that is being caught up is checked for room in its buffer
SLOW = "slow"


class ClientProtocol(Protocol):
    async def tick(self) -> None:
        """Run periodic work. Called every `QUIET_TICK_SECONDS`, or more often."""

    async def close(self) -> None:
        """Disconnect every client, without waiting for those that do not read."""


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """The client's subscription after a request, the number of replayed records, and the cursor to resume after."""

    subscription: Subscription
    replayed: int
    cursor: int


@dataclass(frozen=True, slots=True)
class KnownRecords:
    """The records up to a cursor that a client was sent by another bridge."""

    subscription: Subscription
    until: int

    def contains(self, record: Publication) -> bool:
        return record.seq <= self.until and self.subscription.matches(record)


class ConnectionClosed(Exception):
    """The client left, or was disconnected as too slow, while its request was being handled."""


class Hub:
    """Publishes the same events, in the same order, to the clients of every protocol."""

    def __init__(
        self,
        store: ReadingStore,
        settings: RealtimeSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        may_be_behind: bool = False,
    ) -> None:
        """`store` is queried for missed records; `clock` returns seconds since the epoch.

        `may_be_behind`: another bridge may have published records that this one has not yet.
        """
        self._settings = settings
        self._may_be_behind = may_be_behind
        self._monotonic = monotonic
        self.counts = DeliveryCounters()
        self._delivery = Delivery(settings, self.counts, clock=clock, monotonic=monotonic)
        self._recent = RecentPublications(settings.recent_records)
        self._history = ReplaySource(store, self._recent)
        self._index: SubscriptionIndex[Session] = SubscriptionIndex()
        self._sessions: dict[Session, None] = {}
        self._joining: deque[tuple[float, Session]] = deque()
        self._held: dict[Session, None] = {}
        self._protocols: list[ClientProtocol] = []
        self._started = asyncio.Event()
        self._has_work = asyncio.Event()
        """Set when the next tick must come within `TICK_SECONDS`."""
        self._catch_up = CatchUp(
            self._recent, self._history, self._delivery, settings.catch_up_records, self._go_live, monotonic=monotonic
        )
        self._delivery.on_drained = self._catch_up.advance

    @property
    def client_count(self) -> int:
        return len(self._sessions)

    @property
    def slow_count(self) -> int:
        return len(self._delivery.slow) + len(self._catch_up.due)

    def add_protocol(self, protocol: ClientProtocol) -> None:
        self._protocols.append(protocol)

    def start(self, cursor: int) -> None:
        """Set the highest cursor in the store: records published from now on come after it."""
        self._started.set()
        self._recent.start(cursor)
        for session in self._sessions:
            session.offset = cursor
            session.delivered = DeliveredRanges(cursor)

    # --- publishing ------------------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Send events to their subscribers, in pages: a client's buffer exceeds its limit by at most one page."""
        if records := sum(isinstance(event, Reading) for event in events):
            self._catch_up.pace.on_published(records)
        for start in range(0, len(events), PAGE_SIZE):
            self._publish([Publication(event) for event in events[start : start + PAGE_SIZE]])

    def _publish(self, batch: Sequence[Publication]) -> None:
        cursor, records = self._recent.last_offset, [publication for publication in batch if publication.seq]
        while self._joining and self._recent.would_evict(self._joining[0][1].offset, len(records)):
            self._join_next()
        self._recent.extend(records)
        self.counts.published += len(records)
        if len(records) < len(batch):
            self._send_to_held([publication for publication in batch if not publication.seq])
        if log.isEnabledFor(logging.DEBUG):
            self._log_publication(batch, records)
        for group, chosen in self._index.choose(batch):
            if due := group.take_due(chosen):
                self._send(group, due, cursor)

    def _log_publication(self, batch: Sequence[Publication], records: Sequence[Publication]) -> None:
        clients = sum(len(group.members) for group, _ in self._index.choose(batch))
        log.debug(
            "hub: %d records and %d other events for %d of %d clients, up to cursor %d",
            len(records),
            len(batch) - len(records),
            clients,
            len(self._sessions),
            self._recent.last_offset,
        )

    def _send(self, group: SubscriberGroup[Session], publications: Sequence[Publication], cursor: int) -> None:
        for session in self._delivery.send_to_group(group, self._delivery.encode(publications, group.encoder)):
            session.live, session.offset = False, cursor
            session.set_lags(True, self._monotonic())
            self._held[session] = None
            self._delivery.wait_until_drained(session)
            self._has_work.set()

    def _send_to_held(self, events: Sequence[Publication]) -> None:
        """Send held clients the events that are not records at once: without a cursor, those could not be replayed later."""
        for session in self._held:
            matching = [event for event in events if session.subscription.matches(event)]
            if matching:
                self.send_event(session, matching)

    def send_event(self, session: Session, events: Sequence[Publication]) -> None:
        """Send one client events that are not records; dropped if its buffer is full."""
        self._delivery.send_event(session, events)

    def replace_recent(self, reading: Reading, after: Reading | None) -> None:
        """Replace a record that was published, or drop it: clients that reconnect are sent it as it is now."""
        self._recent.replace(reading.seq, None if after is None else Publication(after))
        self._history.stored.clear()
        self._catch_up.pages.clear()

    # --- clients -----------------------------------------------------------------------------------------------------------

    def add_client(
        self, encoder: Encoder, transport: Transport, subscription: Subscription = ALL, *, waits_for_subscribe: bool = True
    ) -> Session:
        """Add a client that receives events matching `subscription` from now on.

        With `waits_for_subscribe` it is sent no records for `settle_seconds`: if its first request replays missed records,
        those have to come first.
        """
        session = Session(encoder, transport, self._recent.last_offset, subscription)
        self._sessions[session] = self._held[session] = None
        if waits_for_subscribe:
            self._joining.append((self._monotonic() + self._settings.settle_seconds, session))
            self._has_work.set()
        else:
            self._catch_up.advance(session)
        return session

    def remove_client(self, session: Session) -> None:
        session.closed = True
        self._sessions.pop(session, None)
        self._held.pop(session, None)
        self._delivery.remove(session)
        self._catch_up.forget_unused()
        self._index.leave(session, session.encoder, session.subscription)

    async def subscribe(
        self, session: Session, devices: frozenset[str] | None, every_ms: int | None, since: int | None, limit: int
    ) -> SubscribeResult:
        """Add devices (None: all) to a client's subscription; a client of all devices receives only these from then on.

        With `since`, the client is first sent, in order, at most `limit` records of these devices after that cursor that were
        not sent on this connection; a `gap` reports any more. Then come the records published meanwhile, then live ones,
        without loss or duplicates.

        Raises `StoreUnavailable` (the subscription is unchanged), `ValueError` (too many devices), and `ConnectionClosed`.
        """
        async with session.lock:
            await self._hold(session)
            try:
                if since is not None:
                    await self._wait_until_started(session)
                subscription = _added(session.subscription, devices, every_ms)
                replayed, known = 0, None
                if since is not None:
                    requested = Subscription(devices, device_filter=subscription.device_filter)
                    if since > session.offset:  # sent by another bridge, or on another connection
                        await self._wait_until_published(session, since)
                        known = KnownRecords(requested, since)
                    else:
                        replayed = await self._replay(session, requested, since, limit)
                session.set_subscription(subscription)
                await self._send_published(session, known)
                return SubscribeResult(session.subscription, replayed, session.offset)
            finally:
                self._catch_up.finish(session)

    async def unsubscribe(self, session: Session, devices: frozenset[str] | None) -> SubscribeResult:
        """Remove devices (None: all) from a client's subscription.

        Raises `ValueError` if the client receives every device, and `ConnectionClosed`.
        """
        async with session.lock:
            await self._hold(session)
            try:
                session.set_subscription(_removed(session.subscription, devices))
                return SubscribeResult(session.subscription, 0, self._recent.last_offset)
            finally:
                self._catch_up.finish(session)

    async def set_subscription(self, session: Session, subscription: Subscription) -> None:
        async with session.lock:
            await self._hold(session)
            try:
                session.set_subscription(subscription)
            finally:
                self._catch_up.finish(session)

    async def _hold(self, session: Session) -> None:
        """Take a client out of the live flow at a known offset, with room in its buffer.

        If it lags it is sent what was published until now first, by its subscription of that time.
        """
        await self._wait_until_drained(session)
        self._delivery.remove(session)
        if session.lags:
            await self._send_published(session)
            session.set_lags(False, self._monotonic())
        if session.live:
            self._send_latest(self._index.group_of(session.encoder, session.subscription))
            self._index.leave(session, session.encoder, session.subscription)
            session.live, session.offset = False, self._recent.last_offset
            self._held[session] = None

    async def _replay(self, session: Session, requested: Subscription, since: int, limit: int) -> int:
        """Send the requested records that this connection was not sent yet; return their number."""
        delivered, subscription, offset = session.delivered, session.subscription, session.offset
        sent, cursor, until = 0, since, delivered.undelivered_until(requested, subscription, offset)
        while cursor < until and sent < limit:
            page = await self._history.page(cursor, until, requested, min(PAGE_SIZE, limit - sent))
            unsent = [record for record in page.records if not delivered.contains(record, subscription, offset)]
            await self._write(session, unsent)
            delivered.add(requested, cursor, page.end_offset)
            self.counts.replayed += len(unsent)
            sent, cursor = sent + len(unsent), page.end_offset
        if cursor < until and (missed := await self._history.count(cursor, until, requested)):
            self._delivery.send_gap(session, Gap(cursor, until, missed))
        return sent

    async def _wait_until_started(self, session: Session) -> None:
        """Wait, while a client is held, for the cursor from which this bridge publishes: it listens before it knows the log.

        Raises `StoreUnavailable` after `START_SECONDS`, and `ConnectionClosed`.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._started.wait()
        except TimeoutError:
            raise StoreUnavailable("the store has not answered since the bridge started") from None
        if session.closed:
            raise ConnectionClosed

    async def _wait_until_published(self, session: Session, cursor: int) -> None:
        """Wait, while a client is held, until this bridge has published what another one has sent the client already.

        A cursor that is still not reached after `BEHIND_SECONDS` is none of this cluster's. Raises `ConnectionClosed`.
        """
        until = self._monotonic() + (BEHIND_SECONDS if self._may_be_behind else 0.0)
        while self._recent.last_offset < cursor and self._monotonic() < until:
            await asyncio.sleep(_DRAIN_SECONDS)
            if session.closed:
                raise ConnectionClosed

    async def _send_published(self, session: Session, known: KnownRecords | None = None) -> None:
        """Send the records that were published up to now while the client was held, except those that it is `known` to have."""
        until = self._recent.last_offset
        while session.offset < until:
            page = await self._history.page(session.offset, until, session.subscription)
            records = page.records
            if known is not None and session.offset < known.until:
                records = [record for record in records if not known.contains(record)]
            await self._write(session, records)
            session.offset = page.end_offset

    async def _write(self, session: Session, records: Sequence[Publication]) -> None:
        """Send one page, then give other tasks a turn."""
        self._delivery.write(session, records)
        await asyncio.sleep(0)
        await self._wait_until_drained(session)

    async def _wait_until_drained(self, session: Session) -> None:
        """Raises `ConnectionClosed` if the client left or reads nothing for `slow_seconds`."""
        since, least = self._monotonic(), session.transport.waiting_bytes()
        while not session.closed and not self._delivery.has_drained(session):
            waiting = session.transport.waiting_bytes()
            if waiting < least:
                since, least = self._monotonic(), waiting
            elif self._monotonic() - since > self._settings.slow_seconds:
                self._disconnect_slow(session)
                raise ConnectionClosed
            await asyncio.sleep(_DRAIN_SECONDS)
        if session.closed:
            raise ConnectionClosed

    def _go_live(self, session: Session) -> None:
        """Make a client that was sent every record up to the last offset a member of its group."""
        session.live = True
        del self._held[session]
        group = self._index.group_of(session.encoder, session.subscription)
        self._send_latest(group)  # the new member was sent these records already
        group.members[session] = None
        if session.subscription.every_ms is not None:
            self._has_work.set()

    def disconnect(self, transport: Transport, reason: str) -> None:
        self.count_disconnect(reason)
        transport.disconnect(reason)

    def count_disconnect(self, reason: str) -> None:
        self.counts.cut[reason] = self.counts.cut.get(reason, 0) + 1

    def _disconnect_slow(self, session: Session) -> None:
        self.remove_client(session)
        self.disconnect(session.transport, SLOW)

    # --- time ------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick the hub and its protocols until the context ends."""
        async with asyncio.TaskGroup() as tasks:
            running = (
                tasks.create_task(self._tick_forever(), name="hub"),
                tasks.create_task(self._catch_up.run(), name="hub: catch-up"),
            )
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def _tick_forever(self) -> None:
        while True:
            await self._next_tick()
            if self.tick():
                self._has_work.set()
            for protocol in self._protocols:
                await protocol.tick()

    async def _next_tick(self) -> None:
        if not self._has_work.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_TICK_SECONDS):
                    await self._has_work.wait()
        if self._has_work.is_set():
            self._has_work.clear()
            await asyncio.sleep(TICK_SECONDS)

    def tick(self) -> bool:
        """Let settled clients go live, disconnect those that read nothing, and send coalesced records that are due.

        Return whether any of this is left for the next tick.
        """
        now, coalesces = self._monotonic(), False
        self._history.stored.tick()
        while self._joining and self._joining[0][0] <= now:
            self._join_next()
        for session in self._delivery.check_slow(now):
            self._disconnect_slow(session)
        for group in self._index:
            if group.subscription.every_ms is None:
                continue
            coalesces = True
            if group.due <= now:
                group.due = now + group.subscription.every_ms / 1000
                self._send_latest(group)
        return bool(self._joining or self._delivery.slow or len(self._history.stored) or coalesces)

    def _join_next(self) -> None:
        """Let the client that joined first go live; a client whose request is in progress goes live when that is done."""
        _, session = self._joining.popleft()
        self._catch_up.advance(session)

    def _send_latest(self, group: SubscriberGroup[Session]) -> None:
        if latest := group.take_latest():
            self._send(group, latest, latest[0].seq - 1)

    async def close(self) -> None:
        self.publish([SystemEvent("warning", "the bridge is stopping")])
        for protocol in self._protocols:
            await protocol.close()


def _added(old: Subscription, devices: frozenset[str] | None, every_ms: int | None) -> Subscription:
    if devices is None or old.devices is None:
        return replace(old, devices=devices, every_ms=every_ms)
    both = old.devices | devices
    if len(both) > DEVICES_LIMIT:
        raise ValueError(f"{len(both)} in total is too many: subscribe to at most {DEVICES_LIMIT} by name, or to all")
    return replace(old, devices=both, every_ms=every_ms)


def _removed(old: Subscription, devices: frozenset[str] | None) -> Subscription:
    if devices is None:
        return replace(old, devices=frozenset())
    if old.devices is None:
        raise ValueError("this client receives every device; subscribe to some first, or unsubscribe without devices")
    return replace(old, devices=old.devices - devices)
