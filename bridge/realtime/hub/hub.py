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
from bridge.realtime.hub.delivery import Counts, Delivery
from bridge.realtime.hub.publication import Encoder, Published
from bridge.realtime.hub.recent import Recent
from bridge.realtime.hub.replay import PAGE, History
from bridge.realtime.hub.requests import DEVICES_LIMIT
from bridge.realtime.hub.session import Heard, Link, Session
from bridge.realtime.hub.subscriptions import EVERYTHING, Audience, Audiences, Wish
from bridge.settings import RealtimeSettings

TICK_SECONDS = 0.05
_DRAIN_SECONDS = 0.02  # how often a client that is being caught up is asked whether it has drained
SLOW = "slow"


class Dialect(Protocol):
    """One wire protocol with its connected clients."""

    async def tend(self) -> None:
        """Called every `TICK_SECONDS`: what is due."""
        ...

    async def close(self) -> None:
        """Take leave of every client."""
        ...


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What a `subscribe` came to: the wish now, how many records were sent again, and the cursor to resume after."""

    wish: Wish
    replayed: int
    cursor: int


class Left(Exception):
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
        self.counts = Counts()
        self._delivery = Delivery(settings, self.counts, clock=clock, monotonic=monotonic)
        self._recent = Recent(settings.recent_records)
        self._history = History(store, self._recent)
        self._audiences: Audiences[Session] = Audiences()
        self._sessions: dict[Session, None] = {}
        self._settling: deque[tuple[float, Session]] = deque()
        self._held: dict[Session, None] = {}
        self._dialects: list[Dialect] = []
        self._begun = False

    @property
    def client_count(self) -> int:
        """Clients connected now, over all dialects."""
        return len(self._sessions)

    @property
    def slow_count(self) -> int:
        """Those of them that are being skipped."""
        return len(self._delivery.behind)

    def add(self, dialect: Dialect) -> None:
        """One more protocol; it tells of its clients by `join` and `leave`."""
        self._dialects.append(dialect)

    def begin(self, cursor: int) -> None:
        """The highest cursor in the store: what is published from now on comes after it."""
        self._begun = True
        self._recent.begin(cursor)
        for session in self._sessions:
            session.position = cursor
            session.heard = Heard(cursor)

    # --- out -------------------------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Send events to those who want them. By the page, so that no client's buffer is overshot by more than that."""
        for start in range(0, len(events), PAGE):
            self._publish([Published(event) for event in events[start : start + PAGE]])

    def _publish(self, batch: Sequence[Published]) -> None:
        before, records = self._recent.last, [one for one in batch if one.seq]
        while self._settling and self._recent.would_lose(self._settling[0][1].position, len(records)):
            self._settle_next()
        self._recent.extend(records)
        self.counts.published += len(records)
        if len(records) < len(batch):
            self._send_to_held([one for one in batch if not one.seq])
        for audience, chosen in self._audiences.choose(batch):
            if now := audience.now(chosen):
                self._send(audience, now, before)

    def _send(self, audience: Audience[Session], chosen: Sequence[Published], before: int) -> None:
        self._delivery.send(audience, self._delivery.parcel(chosen, audience.encoder), before)

    def _send_to_held(self, others: Sequence[Published]) -> None:
        """What is no record does not wait until a client is live: it has no cursor by which it would be found again."""
        for session in self._held:
            wanted = [one for one in others if session.wish.wants(one)]
            if wanted:
                self.tell(session, wanted)

    def tell(self, session: Session, events: Sequence[Published]) -> None:
        """Send one client what is no record; it goes without when too much waits for it already."""
        self._delivery.tell(session, events)

    # --- the clients -------------------------------------------------------------------------------------------------------

    def join(self, encoder: Encoder, link: Link, wish: Wish = EVERYTHING, *, settles: bool = True) -> Session:
        """A client that hears what it wishes from now on.

        If it `settles` it is sent no records for a moment (`settle_seconds`): when it begins by asking for what it missed,
        that comes first.
        """
        session = Session(encoder, link, self._recent.last, wish)
        self._sessions[session] = self._held[session] = None
        if settles:
            self._settling.append((self._monotonic() + self._settings.settle_seconds, session))
        else:
            self._go_live(session)
        return session

    def leave(self, session: Session) -> None:
        """It is gone; nothing is kept of it."""
        session.closed = True
        self._sessions.pop(session, None)
        self._held.pop(session, None)
        self._delivery.leave(session)
        self._audiences.leave(session, session.encoder, session.wish)

    async def subscribe(
        self, session: Session, devices: frozenset[str] | None, every_ms: int | None, since: int | None, limit: int
    ) -> Subscribed:
        """Add devices to what a client hears (None: every device); a client that heard everything hears only these then.

        With `since` it is sent first, in order, the records of these devices after that cursor which this connection has not
        been sent, at most `limit`; a `gap` tells of more. Then what was published meanwhile, then live: no hole, no repeat.
        Raises `StoreUnavailable`: its wish has not changed then; `ValueError` when there are too many devices; and `Left`.
        """
        if since is not None and not self._begun:
            raise StoreUnavailable("it has not answered yet")
        async with session.lock:
            await self._hold(session)
            try:
                wish = _added(session.wish, devices, every_ms)
                replayed = 0 if since is None else await self._replay(session, Wish(devices, sight=wish.sight), since, limit)
                session.change(wish)
                await self._catch_up(session)
                return Subscribed(session.wish, replayed, session.position)
            finally:
                self._go_live(session)

    async def unsubscribe(self, session: Session, devices: frozenset[str] | None) -> Subscribed:
        """Take devices (None: all) from what a client hears. Raises `ValueError` when it hears every device, and `Left`."""
        async with session.lock:
            await self._hold(session)
            try:
                session.change(_removed(session.wish, devices))
                return Subscribed(session.wish, 0, self._recent.last)
            finally:
                self._go_live(session)

    async def change(self, session: Session, wish: Wish) -> None:
        """Let a client hear what it wishes from now on, and nothing else. Raises `Left`."""
        async with session.lock:
            await self._hold(session)
            try:
                session.change(wish)
            finally:
                self._go_live(session)

    async def _hold(self, session: Session) -> None:
        """Take a client out of the live flow, at a known position, with room to write to it."""
        await self._writable(session)
        if session.away_since is not None:
            self._delivery.catch_breath(session)
        if session.live:
            self._send_newest(self._audiences.of(session.encoder, session.wish))
            self._audiences.leave(session, session.encoder, session.wish)
            session.live, session.position = False, self._recent.last
            self._held[session] = None

    async def _replay(self, session: Session, asked: Wish, since: int, limit: int) -> int:
        """How many records were sent."""
        heard, wish, position = session.heard, session.wish, session.position
        sent, reached, until = 0, since, heard.unsent_until(asked, wish, position)
        while reached < until and sent < limit:
            page = await self._history.stored_page(reached, until, asked, min(PAGE, limit - sent))
            unsent = [one for one in page.records if not heard.has(one, wish, position)]
            await self._write(session, unsent)
            heard.add(asked, reached, page.reached)
            self.counts.replayed += len(unsent)
            sent, reached = sent + len(unsent), page.reached
        if reached < until and (missed := await self._history.count(reached, until, asked)):
            self._delivery.tell_gap(session, Gap(reached, until, missed))
        return sent

    async def _catch_up(self, session: Session) -> None:
        """Send what was published while it was held. One that reads more slowly than readings come in never gets there."""
        deadline = self._monotonic() + self._settings.slow_seconds
        while session.position < self._recent.last:
            page = await self._history.stored_page(session.position, self._recent.last, session.wish)
            await self._write(session, page.records)
            session.position = page.reached
            if self._monotonic() > deadline:
                self._give_up(session)
                raise Left

    async def _write(self, session: Session, records: Sequence[Published]) -> None:
        """A page; then it is everyone else's turn."""
        self._delivery.write(session, records)
        await asyncio.sleep(0)
        await self._writable(session)

    async def _writable(self, session: Session) -> None:
        """Wait until the client has drained; raises `Left` when it went, or takes too long."""
        deadline = self._monotonic() + self._settings.slow_seconds
        while not session.closed and not self._delivery.has_drained(session):
            if self._monotonic() > deadline:
                self._give_up(session)
                raise Left
            await asyncio.sleep(_DRAIN_SECONDS)
        if session.closed:
            raise Left

    def _go_live(self, session: Session) -> None:
        """At the cursor where all others are, in one step."""
        if session.closed or session.live:
            return
        if not self._recent.covers(session.position):  # held back too long; it comes again and asks for what it missed
            self._give_up(session)
            return
        last = self._recent.last
        while session.position < last:
            page = self._history.page(session.position, last, session.wish)
            if page.records:
                self._delivery.send_alone(session, self._delivery.parcel(page.records, session.encoder), session.position)
            session.position = page.reached
        session.live = True
        del self._held[session]
        self._enter(session)

    def _enter(self, session: Session) -> None:
        """From the next batch on; what its audience keeps back for the others was sent to it already."""
        audience = self._audiences.of(session.encoder, session.wish)
        self._send_newest(audience)
        self._delivery.enter(session, audience)

    def cut(self, link: Link, reason: str) -> None:
        """End a connection, and count why."""
        self.count_cut(reason)
        link.cut(reason)

    def count_cut(self, reason: str) -> None:
        """A connection that its dialect ended by itself."""
        self.counts.cut[reason] = self.counts.cut.get(reason, 0) + 1

    def _give_up(self, session: Session) -> None:
        """On a client that is too slow; its dialect will tell that it left, and need not."""
        self.leave(session)
        self.cut(session.link, SLOW)

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
                await dialect.tend()

    def tick(self) -> None:
        """Do what is due by now."""
        now = self._monotonic()
        while self._settling and self._settling[0][0] <= now:
            self._settle_next()
        for session in self._delivery.too_slow(now):
            self._give_up(session)
        for audience in self._audiences:
            self._send_kept_back(audience, now)

    def _settle_next(self) -> None:
        """The client that joined first; one that asks for what it missed goes live when it has it."""
        _, session = self._settling.popleft()
        if not session.lock.locked():
            self._go_live(session)

    def _send_kept_back(self, audience: Audience[Session], now: float) -> None:
        if audience.wish.every_ms is None or audience.due > now:
            return
        audience.due = now + audience.wish.every_ms / 1000
        self._send_newest(audience)

    def _send_newest(self, audience: Audience[Session]) -> None:
        """What a coalescing audience has kept back."""
        if newest := audience.kept_back():
            self._send(audience, newest, newest[0].seq - 1)

    async def close(self) -> None:
        """Take leave of every client."""
        self.publish([SystemEvent("warning", "the bridge is stopping")])
        for dialect in self._dialects:
            await dialect.close()


def _added(old: Wish, devices: frozenset[str] | None, every_ms: int | None) -> Wish:
    if devices is None or old.devices is None:
        return replace(old, devices=devices, every_ms=every_ms)
    both = old.devices | devices
    if len(both) > DEVICES_LIMIT:
        raise ValueError(f"{len(both)} with those before; a client hears {DEVICES_LIMIT} by name, or every one")
    return replace(old, devices=both, every_ms=every_ms)


def _removed(old: Wish, devices: frozenset[str] | None) -> Wish:
    if devices is None:
        return replace(old, devices=frozenset())
    if old.devices is None:
        raise ValueError("this client hears every device; subscribe to some first, or unsubscribe without devices")
    return replace(old, devices=old.devices - devices)
