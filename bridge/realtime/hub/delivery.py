"""Each client at its own pace: a parcel is written, or missed by one with too much waiting, who is told so, or given up on.

A client that falls behind stands aside until it has read half of what waits for it; then a `gap` tells what it missed, and it
is live again. One that takes longer than `slow_seconds` is given up on. Nothing here waits, and who stands aside costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.core.events import Gap
from bridge.core.timestamp import iso
from bridge.realtime.hub.publication import EncodedBatch, Encoder, Publication
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import SubscriberGroup
from bridge.settings import RealtimeSettings

_LOW_WATER = 0.5  # of the buffer: a client that fell behind is live again when so much of it, or less, is left


@dataclass(slots=True)
class DeliveryCounters:
    """What the hub did since its start; records, but for `missed_others`: other messages, and `cut` and `gaps`: clients."""

    published: int = 0
    delivered: int = 0
    replayed: int = 0
    missed: int = 0
    missed_others: int = 0
    gaps: int = 0
    cut: dict[str, int] = field(default_factory=dict)


class Delivery:
    """Writes to clients, and knows who is behind."""

    def __init__(
        self,
        settings: RealtimeSettings,
        counts: DeliveryCounters,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self._limit_bytes = settings.client_buffer_bytes
        self._low_bytes = int(settings.client_buffer_bytes * _LOW_WATER)
        self._slow_seconds = settings.slow_seconds
        self._counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self.slow: dict[Session, SubscriberGroup[Session]] = {}

    def encode(self, chosen: Sequence[Publication], encoder: Encoder) -> EncodedBatch:
        """Sent now."""
        return EncodedBatch(chosen, encoder, iso(int(self._clock() * 1000)))

    def send_to_group(self, group: SubscriberGroup[Session], batch: EncodedBatch, before: int) -> None:
        """The same to all of them; `before` is the cursor ahead of it."""
        if not batch:
            return
        limit = self._limit_bytes
        if slow := [session for session in group.members if not session.transport.write(batch, limit)]:
            now = self._monotonic()
            for session in slow:
                del group.members[session]
                session.pause(before, now)
                self.add(session, group)
        if batch.records:
            group.records, group.last = group.records + batch.records, batch.last
        self._count(batch, len(group.members), len(group.slow))

    def send_to_session(self, session: Session, batch: EncodedBatch, before: int) -> None:
        """To one who has yet to enter its audience."""
        if session.paused_since is None and session.transport.write(batch, self._limit_bytes):
            self._count(batch, 1, 0)
            return
        if session.paused_since is None:
            session.pause(before, self._monotonic())
        session.miss(batch.records, batch.last)
        self._count(batch, 0, 1)

    def _count(self, batch: EncodedBatch, reached: int, missing: int) -> None:
        self._counts.delivered += reached * batch.records
        self._counts.missed += missing * batch.records
        self._counts.missed_others += missing * batch.other_messages

    def send_event(self, session: Session, events: Sequence[Publication]) -> None:
        """Send one client what is no record; it goes without when too much waits for it already."""
        if batch := self.encode(events, session.encoder):
            session.transport.write(batch, self._limit_bytes)

    def write(self, session: Session, records: Sequence[Publication]) -> None:
        """What it asked for; whoever replays sees to it that there is room."""
        if records:
            session.transport.write(self.encode(records, session.encoder))

    # --- who is behind -----------------------------------------------------------------------------------------------------

    def add(self, session: Session, group: SubscriberGroup[Session]) -> None:
        """It is sent what comes next, or, when it is behind, stands aside."""
        if session.paused_since is None:
            group.members[session] = None
            return
        group.slow[session] = None
        self.slow[session] = group
        session.missed_from = group.records
        session.transport.when_drained(self._low_bytes, partial(self._drained, session))

    def remove(self, session: Session) -> None:
        """It is gone, or about to be; safe for one that is not behind."""
        self.slow.pop(session, None)

    def has_drained(self, session: Session) -> bool:
        """Whether it has read enough of what waits for it to be sent more."""
        return session.transport.waiting_bytes() <= self._low_bytes

    def _drained(self, session: Session) -> None:
        if session in self.slow and self.has_drained(session):
            self.resume(session)

    def resume(self, session: Session) -> None:
        """Tell one that was behind what it missed; from here on it is live again."""
        group = self.slow.pop(session)
        del group.slow[session]
        session.miss(group.records - session.missed_from, group.last)
        if gap := session.resume():
            self.send_gap(session, gap)
        group.members[session] = None

    def send_gap(self, session: Session, gap: Gap) -> None:
        """Also to one for whom much waits: it is what he has to know."""
        self._counts.gaps += 1
        session.transport.write(self.encode([Publication(gap)], session.encoder))

    def expired(self, now: float) -> list[Session]:
        """Those of the ones behind who have had their time; those who have drained are told what they missed."""
        slow = []
        for session in tuple(self.slow):
            if self.has_drained(session):  # by a link that does not tell
                self.resume(session)
            elif session.paused_since is not None and now - session.paused_since > self._slow_seconds:
                slow.append(session)
        return slow
