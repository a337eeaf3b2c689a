"""Delivery to each client at its own pace: a slow consumer misses batches, and is sent a gap or disconnected.

A client whose buffer is full when a batch is written becomes a *slow consumer*. It is paused: its group keeps sending, and
only counts the records missed. When half of the buffer has drained, the client is sent one `gap` with that range,
and is live again. A client that stays paused longer than `slow_seconds` is disconnected. No method waits for a client, and
a paused client costs nothing per batch.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.core.events import Gap
from bridge.core.timestamp import iso
from bridge.realtime.hub.encoding import EncodedBatch, Encoder, Publication
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import SubscriberGroup
from bridge.settings import RealtimeSettings

_LOW_WATER = 0.5  # share of the buffer: a paused client resumes when at most this much is waiting


@dataclass(slots=True)
class DeliveryCounters:
    """Counts since start, in records per client; `missed_others` counts other messages, `gaps` and `cut` count clients."""

    published: int = 0
    delivered: int = 0
    replayed: int = 0
    missed: int = 0
    missed_others: int = 0
    gaps: int = 0
    cut: dict[str, int] = field(default_factory=dict)


class Delivery:
    """Writes batches to clients, and pauses and resumes slow consumers."""

    def __init__(
        self,
        settings: RealtimeSettings,
        counts: DeliveryCounters,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds since the epoch."""
        self._limit_bytes = settings.client_buffer_bytes
        self._low_bytes = int(settings.client_buffer_bytes * _LOW_WATER)
        self._slow_seconds = settings.slow_seconds
        self._counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self.slow: dict[Session, SubscriberGroup[Session]] = {}

    def encode(self, publications: Sequence[Publication], encoder: Encoder) -> EncodedBatch:
        return EncodedBatch(publications, encoder, iso(int(self._clock() * 1000)))

    def send_to_group(self, group: SubscriberGroup[Session], batch: EncodedBatch, cursor: int) -> None:
        """Write a batch to every member; those whose buffer is full are paused at `cursor`, the one before the batch."""
        if not batch:
            return
        limit = self._limit_bytes
        if slow := [session for session in group.members if not session.transport.write(batch, limit)]:
            now = self._monotonic()
            for session in slow:
                del group.members[session]
                session.pause(cursor, now)
                self.add(session, group)
        if batch.records:
            group.records, group.last = group.records + batch.records, batch.last
        self._count(batch, len(group.members), len(group.slow))

    def send_to_session(self, session: Session, batch: EncodedBatch, cursor: int) -> None:
        """Write a batch to a client that is not a member of its group yet, or count it as missed."""
        if session.paused_since is None and session.transport.write(batch, self._limit_bytes):
            self._count(batch, 1, 0)
            return
        if session.paused_since is None:
            session.pause(cursor, self._monotonic())
        session.miss(batch.records, batch.last)
        self._count(batch, 0, 1)

    def _count(self, batch: EncodedBatch, reached: int, missing: int) -> None:
        self._counts.delivered += reached * batch.records
        self._counts.missed += missing * batch.records
        self._counts.missed_others += missing * batch.other_messages

    def send_event(self, session: Session, events: Sequence[Publication]) -> None:
        """Send one client events that are not records; dropped if its buffer is full."""
        if batch := self.encode(events, session.encoder):
            session.transport.write(batch, self._limit_bytes)

    def write(self, session: Session, records: Sequence[Publication]) -> None:
        """Send one client a page that it requested. Without a limit: the caller waits until the buffer has room."""
        if records:
            session.transport.write(self.encode(records, session.encoder))

    # --- slow consumers ----------------------------------------------------------------------------------------------------

    def add(self, session: Session, group: SubscriberGroup[Session]) -> None:
        """Add a client to its group: as a member, or as a slow consumer if it is paused."""
        if session.paused_since is None:
            group.members[session] = None
            return
        group.slow[session] = None
        self.slow[session] = group
        session.missed_from = group.records
        session.transport.when_drained(self._low_bytes, partial(self._drained, session))

    def remove(self, session: Session) -> None:
        self.slow.pop(session, None)

    def has_drained(self, session: Session) -> bool:
        return session.transport.waiting_bytes() <= self._low_bytes

    def _drained(self, session: Session) -> None:
        if session in self.slow and self.has_drained(session):
            self.resume(session)

    def resume(self, session: Session) -> None:
        """Make a slow consumer live again, after a `gap` if it missed records."""
        group = self.slow.pop(session)
        del group.slow[session]
        session.miss(group.records - session.missed_from, group.last)
        if gap := session.resume():
            self.send_gap(session, gap)
        group.members[session] = None

    def send_gap(self, session: Session, gap: Gap) -> None:
        """Send a gap, even if the buffer is full: the client has to learn that records are missing."""
        self._counts.gaps += 1
        session.transport.write(self.encode([Publication(gap)], session.encoder))

    def check_slow(self, now: float) -> list[Session]:
        """Return the clients paused longer than `slow_seconds`; resume those that have drained."""
        expired = []
        for session in tuple(self.slow):
            if self.has_drained(session):  # its transport has no drain events
                self.resume(session)
            elif session.paused_since is not None and now - session.paused_since > self._slow_seconds:
                expired.append(session)
        return expired
