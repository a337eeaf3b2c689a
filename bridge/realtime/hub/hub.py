"""Who hears what: encode once, join once, one write per client.

A batch is chosen, framed and joined once for each audience (equal wishes, same dialect); each member is then one write that
never waits, or is skipped: see `delivery.py`. What a client missed it is sent in pages, beside the live flow, until the two
meet: see `subscribe`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.core.errors import StoreUnavailable
from bridge.core.events import Event, Gap, SystemEvent
from bridge.ports import Store
from bridge.realtime.hub.delivery import Delivery, DeliveryCounters
from bridge.realtime.hub.publication import Encoder, Publication
from bridge.realtime.hub.recent import RecentPublications
from bridge.realtime.hub.replay import PAGE_SIZE, ReplaySource
from bridge.realtime.hub.requests import DEVICES_LIMIT
from bridge.realtime.hub.session import DeliveredRanges, Session, Transport
from bridge.realtime.hub.subscriptions import ALL, SubscriberGroup, Subscription, SubscriptionIndex
from bridge.settings import RealtimeSettings

TICK_SECONDS = 0.05
_DRAIN_SECONDS = 0.02  # how often a client that is being caught up is asked whether it has drained
SLOW = "slow"


class ClientProtocol(Protocol):
    """One wire protocol with its connected clients."""

    async def tick(self) -> None:
        """Called every `TICK_SECONDS`: what is due."""
        ...

    async def close(self) -> None:
        """Take leave of every client."""
        ...


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """What a `subscribe` came to: the wish now, how many records were sent again, and the cursor to resume after."""

    subscription: Subscription
    replayed: int
    cursor: int


class ConnectionClosed(Exception):
    """The client is gone, or was cut."""


class Hub:
    """The publisher: every dialect hears the same events in the same order."""

    def __init__(
        self,
        store: Store,
        settings: RealtimeSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`store` is asked for what clients missed; `clock` gives seconds since the epoch."""
        self._settings = settings
        self._monotonic = monotonic
        self.counts = DeliveryCounters()
        self._delivery = Delivery(settings, self.counts, clock=clock, monotonic=monotonic)
        self._recent = RecentPublications(settings.recent_records)
        self._history = ReplaySource(store, self._recent)
        self._index: SubscriptionIndex[Session] = SubscriptionIndex()
        self._sessions: dict[Session, None] = {}
        self._joining: deque[tuple[float, Session]] = deque()
        self._held: dict[Session, None] = {}
        self._dialects: list[ClientProtocol] = []
        self._begun = False

    @property
    def client_count(self) -> int:
        """Clients connected now, over all dialects."""
        return len(self._sessions)

    @property
    def slow_count(self) -> int:
        """Those of them that are being skipped."""
        return len(self._delivery.slow)

    def add_protocol(self, dialect: ClientProtocol) -> None:
        """One more protocol; it tells of its clients by `add_client` and `remove_client`."""
        self._dialects.append(dialect)

    def start(self, cursor: int) -> None:
        """The highest cursor in the store: what is published from now on comes after it."""
        self._begun = True
        self._recent.start(cursor)
        for session in self._sessions:
            session.offset = cursor
            session.delivered = DeliveredRanges(cursor)

    # --- out -------------------------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Send events to those who want them. By the page, so that no client's buffer is overshot by more than that."""
        for start in range(0, len(events), PAGE_SIZE):
            self._publish([Publication(event) for event in events[start : start + PAGE_SIZE]])

    def _publish(self, batch: Sequence[Publication]) -> None:
        before, records = self._recent.last_offset, [one for one in batch if one.seq]
        while self._joining and self._recent.would_evict(self._joining[0][1].offset, len(records)):
            self._next_joins()
        self._recent.extend(records)
        self.counts.published += len(records)
        if len(records) < len(batch):
            self._send_to_held([one for one in batch if not one.seq])
        for group, chosen in self._index.choose(batch):
            if now := group.take_due(chosen):
                self._send(group, now, before)

    def _send(self, group: SubscriberGroup[Session], chosen: Sequence[Publication], before: int) -> None:
        self._delivery.send_to_group(group, self._delivery.encode(chosen, group.encoder), before)

    def _send_to_held(self, others: Sequence[Publication]) -> None:
        """What is no record does not wait until a client is live: it has no cursor by which it would be found again."""
        for session in self._held:
            wanted = [one for one in others if session.subscription.matches(one)]
            if wanted:
                self.send_event(session, wanted)

    def send_event(self, session: Session, events: Sequence[Publication]) -> None:
        """Send one client what is no record; it goes without when too much waits for it already."""
        self._delivery.send_event(session, events)

    # --- the clients -------------------------------------------------------------------------------------------------------

    def add_client(
        self, encoder: Encoder, transport: Transport, subscription: Subscription = ALL, *, waits_for_subscribe: bool = True
    ) -> Session:
        """A client that hears what it wishes from now on.

        If it `waits_for_subscribe` it is sent no records for a moment (`settle_seconds`): when it begins by asking for what it missed,
        that comes first.
        """
        session = Session(encoder, transport, self._recent.last_offset, subscription)
        self._sessions[session] = self._held[session] = None
        if waits_for_subscribe:
            self._joining.append((self._monotonic() + self._settings.settle_seconds, session))
        else:
            self._go_live(session)
        return session

    def remove_client(self, session: Session) -> None:
        """It is gone; nothing is kept of it."""
        session.closed = True
        self._sessions.pop(session, None)
        self._held.pop(session, None)
        self._delivery.remove(session)
        self._index.leave(session, session.encoder, session.subscription)

    async def subscribe(
        self, session: Session, devices: frozenset[str] | None, every_ms: int | None, since: int | None, limit: int
    ) -> SubscribeResult:
        """Add devices to what a client hears (None: every device); a client that heard everything hears only these then.

        With `since` it is sent first, in order, the records of these devices after that cursor which this connection has not
        been sent, at most `limit`; a `gap` tells of more. Then what was published meanwhile, then live: no hole, no repeat.
        Raises `StoreUnavailable`: its subscription has not changed then; `ValueError` when there are too many devices; and `ConnectionClosed`.
        """
        if since is not None and not self._begun:
            raise StoreUnavailable("it has not answered yet")
        async with session.lock:
            await self._hold(session)
            try:
                subscription = _added(session.subscription, devices, every_ms)
                replayed = (
                    0
                    if since is None
                    else await self._replay(
                        session, Subscription(devices, device_filter=subscription.device_filter), since, limit
                    )
                )
                session.set_subscription(subscription)
                await self._catch_up(session)
                return SubscribeResult(session.subscription, replayed, session.offset)
            finally:
                self._go_live(session)

    async def unsubscribe(self, session: Session, devices: frozenset[str] | None) -> SubscribeResult:
        """Take devices (None: all) from what a client hears. Raises `ValueError` when it hears every device, and `ConnectionClosed`."""
        async with session.lock:
            await self._hold(session)
            try:
                session.set_subscription(_removed(session.subscription, devices))
                return SubscribeResult(session.subscription, 0, self._recent.last_offset)
            finally:
                self._go_live(session)

    async def set_subscription(self, session: Session, subscription: Subscription) -> None:
        """Let a client hear what it wishes from now on, and nothing else. Raises `ConnectionClosed`."""
        async with session.lock:
            await self._hold(session)
            try:
                session.set_subscription(subscription)
            finally:
                self._go_live(session)

    async def _hold(self, session: Session) -> None:
        """Take a client out of the live flow, at a known position, with room to write to it."""
        await self._writable(session)
        if session.paused_since is not None:
            self._delivery.resume(session)
        if session.live:
            self._send_newest(self._index.of(session.encoder, session.subscription))
            self._index.leave(session, session.encoder, session.subscription)
            session.live, session.offset = False, self._recent.last_offset
            self._held[session] = None

    async def _replay(self, session: Session, asked: Subscription, since: int, limit: int) -> int:
        """How many records were sent."""
        delivered, subscription, position = session.delivered, session.subscription, session.offset
        sent, reached, until = 0, since, delivered.undelivered_until(asked, subscription, position)
        while reached < until and sent < limit:
            page = await self._history.page(reached, until, asked, min(PAGE_SIZE, limit - sent))
            unsent = [one for one in page.records if not delivered.contains(one, subscription, position)]
            await self._write(session, unsent)
            delivered.add(asked, reached, page.reached)
            self.counts.replayed += len(unsent)
            sent, reached = sent + len(unsent), page.reached
        if reached < until and (missed := await self._history.count(reached, until, asked)):
            self._delivery.send_gap(session, Gap(reached, until, missed))
        return sent

    async def _catch_up(self, session: Session) -> None:
        """Send what was published while it was held. One that reads more slowly than readings come in never gets there."""
        deadline = self._monotonic() + self._settings.slow_seconds
        while session.offset < self._recent.last_offset:
            page = await self._history.page(session.offset, self._recent.last_offset, session.subscription)
            await self._write(session, page.records)
            session.offset = page.reached
            if self._monotonic() > deadline:
                self._give_up(session)
                raise ConnectionClosed

    async def _write(self, session: Session, records: Sequence[Publication]) -> None:
        """A page; then it is everyone else's turn."""
        self._delivery.write(session, records)
        await asyncio.sleep(0)
        await self._writable(session)

    async def _writable(self, session: Session) -> None:
        """Wait until the client has drained; raises `ConnectionClosed` when it went, or takes too long."""
        deadline = self._monotonic() + self._settings.slow_seconds
        while not session.closed and not self._delivery.has_drained(session):
            if self._monotonic() > deadline:
                self._give_up(session)
                raise ConnectionClosed
            await asyncio.sleep(_DRAIN_SECONDS)
        if session.closed:
            raise ConnectionClosed

    def _go_live(self, session: Session) -> None:
        """At the cursor where all others are, in one step."""
        if session.closed or session.live:
            return
        if not self._recent.covers(session.offset):  # held back too long; it comes again and asks for what it missed
            self._give_up(session)
            return
        last = self._recent.last_offset
        while session.offset < last:
            page = self._history.recent_page(session.offset, last, session.subscription)
            if page.records:
                self._delivery.send_to_session(session, self._delivery.encode(page.records, session.encoder), session.offset)
            session.offset = page.reached
        session.live = True
        del self._held[session]
        self._enter(session)

    def _enter(self, session: Session) -> None:
        """From the next batch on; what its audience keeps back for the others was sent to it already."""
        group = self._index.of(session.encoder, session.subscription)
        self._send_newest(group)
        self._delivery.add(session, group)

    def disconnect(self, transport: Transport, reason: str) -> None:
        """End a connection, and count why."""
        self.count_disconnect(reason)
        transport.disconnect(reason)

    def count_disconnect(self, reason: str) -> None:
        """A connection that its dialect ended by itself."""
        self.counts.cut[reason] = self.counts.cut.get(reason, 0) + 1

    def _give_up(self, session: Session) -> None:
        """On a client that is too slow; its dialect will tell that it left, and need not."""
        self.remove_client(session)
        self.disconnect(session.transport, SLOW)

    # --- time ------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What happens without being asked: clients settle, slow ones are told or cut, coalesced records go out."""
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._tick_for_ever(), name="hub")
            try:
                yield
            finally:
                ticking.cancel()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.tick()
            for dialect in self._dialects:
                await dialect.tick()

    def tick(self) -> None:
        """Do what is due by now."""
        now = self._monotonic()
        while self._joining and self._joining[0][0] <= now:
            self._next_joins()
        for session in self._delivery.expired(now):
            self._give_up(session)
        for group in self._index:
            self._send_kept_back(group, now)

    def _next_joins(self) -> None:
        """The client that joined first; one that asks for what it missed goes live when it has it."""
        _, session = self._joining.popleft()
        if not session.lock.locked():
            self._go_live(session)

    def _send_kept_back(self, group: SubscriberGroup[Session], now: float) -> None:
        if group.subscription.every_ms is None or group.due > now:
            return
        group.due = now + group.subscription.every_ms / 1000
        self._send_newest(group)

    def _send_newest(self, group: SubscriberGroup[Session]) -> None:
        """What a coalescing audience has kept back."""
        if newest := group.take_latest():
            self._send(group, newest, newest[0].seq - 1)

    async def close(self) -> None:
        """Take leave of every client."""
        self.publish([SystemEvent("warning", "the bridge is stopping")])
        for dialect in self._dialects:
            await dialect.close()


def _added(old: Subscription, devices: frozenset[str] | None, every_ms: int | None) -> Subscription:
    if devices is None or old.devices is None:
        return replace(old, devices=devices, every_ms=every_ms)
    both = old.devices | devices
    if len(both) > DEVICES_LIMIT:
        raise ValueError(f"{len(both)} with those before; a client hears {DEVICES_LIMIT} by name, or every one")
    return replace(old, devices=both, every_ms=every_ms)


def _removed(old: Subscription, devices: frozenset[str] | None) -> Subscription:
    if devices is None:
        return replace(old, devices=frozenset())
    if old.devices is None:
        raise ValueError("this client hears every device; subscribe to some first, or unsubscribe without devices")
    return replace(old, devices=old.devices - devices)
