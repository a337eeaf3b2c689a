"""Delivery to each client at its own pace: a client that cannot take more lags behind, and reads on from the log.

A client whose buffer is full when a batch is written leaves its group at the cursor before that batch, which costs nothing from
then on: see `catch_up.py`. When its buffer has drained it is sent what it lacks, page by page, until it is live again. Only a
client that reads nothing for `slow_seconds` is disconnected. No method waits for a client.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.core.events import Gap
from bridge.core.timestamp import iso
from bridge.realtime.hub.encoding import EncodedBatch, Encoder, Messages, Publication
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import SubscriberGroup
from bridge.settings import RealtimeSettings

PAGE_BYTES = 32 * 1024
"""A client that lags is sent the next page when at most this much waits."""


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
    """Writes batches to clients, and watches those whose buffers are full."""

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
        self._page_bytes = min(PAGE_BYTES, settings.client_buffer_bytes // 2)
        self._slow_seconds = settings.slow_seconds
        self.counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self.on_drained: Callable[[Session], None] = lambda _session: None
        """Receives a client that lags and can be sent more."""
        self.slow: dict[Session, None] = {}
        """The clients that lag and whose buffers are full."""

    def encode(self, publications: Sequence[Publication], encoder: Encoder) -> EncodedBatch:
        return self._batch(Messages(publications, encoder))

    def _batch(self, messages: Messages) -> EncodedBatch:
        return EncodedBatch(messages, iso(int(self._clock() * 1000)))

    def send_to_group(self, group: SubscriberGroup[Session], batch: EncodedBatch) -> list[Session]:
        """Write a batch to every member; return those whose buffer is full, which have left the group."""
        if not batch:
            return []
        limit = self._limit_bytes
        full = [session for session in group.members if not session.transport.write(batch, limit)]
        for session in full:
            del group.members[session]
        self.counts.delivered += len(group.members) * batch.records
        self.counts.missed_others += len(full) * batch.other_messages
        return full

    def send_event(self, session: Session, events: Sequence[Publication]) -> None:
        """Send one client events that are not records; dropped and counted if its buffer is full."""
        if (batch := self.encode(events, session.encoder)) and not session.transport.write(batch, self._limit_bytes):
            self.counts.missed_others += batch.other_messages

    def write(self, session: Session, records: Sequence[Publication]) -> None:
        """Send one client a page. Without a limit: the caller waits until the buffer has room."""
        if records:
            self.write_messages(session, Messages(records, session.encoder))

    def write_messages(self, session: Session, messages: Messages) -> None:
        """Send one client the messages of a page, as `write` does."""
        session.transport.write(self._batch(messages))

    def send_gap(self, session: Session, gap: Gap) -> None:
        """Send a gap, even if the buffer is full: the client has to learn that records are missing."""
        self.counts.gaps += 1
        self.counts.missed += gap.missed
        session.transport.write(self.encode([Publication(gap)], session.encoder))

    # --- clients that lag --------------------------------------------------------------------------------------------------

    def has_drained(self, session: Session) -> bool:
        return session.transport.waiting_bytes() <= self._page_bytes

    def wait_until_drained(self, session: Session) -> None:
        """Call `on_drained` once the client can be sent more."""
        if session not in self.slow:
            self.slow[session] = None
            session.unread_since, session.unread_bytes = self._monotonic(), session.transport.waiting_bytes()
        session.transport.when_drained(self._page_bytes, partial(self._drained, session))

    def _drained(self, session: Session) -> None:
        if session in self.slow and self.has_drained(session):
            self.on_drained(session)

    def remove(self, session: Session) -> None:
        self.slow.pop(session, None)

    def check_slow(self, now: float) -> list[Session]:
        """Return the clients that have read nothing for `slow_seconds`; go on with those that have drained."""
        expired = []
        for session in tuple(self.slow):
            waiting = session.transport.waiting_bytes()
            if waiting <= self._page_bytes:  # its transport has no drain events
                self.on_drained(session)
            elif waiting < session.unread_bytes:
                session.unread_since, session.unread_bytes = now, waiting
            elif now - session.unread_since > self._slow_seconds:
                expired.append(session)
        return expired
