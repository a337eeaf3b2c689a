"""One client, at its own pace: what it wishes, how far it has been sent, and what it missed."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bridge.core.events import Gap
from bridge.realtime.hub.publication import EncodedBatch, Encoder, Publication
from bridge.realtime.hub.subscriptions import ALL, Subscription

NO_LIMIT = sys.maxsize
"""However much waits."""

_SPANS = 64  # changes of wish, gaps and replays that are remembered; before those a record may be replayed twice


class Transport(Protocol):
    """The way to one client. Nothing here waits or raises, whatever state the connection is in."""

    def waiting_bytes(self) -> int:
        """What was written and has not left for the client's machine."""
        ...

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        """Send, after everything written before, unless so much or more waits; false then."""
        ...

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Call once when no more than so much waits; a link that cannot tell does nothing, and is looked at."""
        ...

    def disconnect(self, reason: str) -> None:
        """End the connection now; a client that reads is told why."""
        ...


class DeliveredRanges:
    """What a client has been sent on this connection, so that nothing is replayed twice.

    By its wish everything after a cursor, and before that spans of cursors by what was wished then.
    """

    __slots__ = ("_since", "_spans")

    def __init__(self, cursor: int) -> None:
        """Nothing up to `cursor`."""
        self._since = cursor
        self._spans: deque[tuple[Subscription, int, int]] = deque(maxlen=_SPANS)

    def contains(self, one: Publication, subscription: Subscription, position: int) -> bool:
        """Whether a record was sent; `position` is how far the client is by `subscription`."""
        return any(
            after < one.seq <= until and subscription.matches(one)
            for subscription, after, until in self._all(subscription, position)
        )

    def undelivered_until(self, asked: Subscription, subscription: Subscription, position: int) -> int:
        """What is asked for and comes after this was sent."""
        return self._since if subscription.is_superset_of(asked) else position

    def add(self, subscription: Subscription, after: int, until: int) -> None:
        """What was wished was sent, from the one cursor to the other."""
        if self._spans and self._spans[-1][::2] == (subscription, after):  # it goes on where the last one ended
            after = self._spans.pop()[1]
        if after < until:
            self._spans.append((subscription, after, until))

    def start_range(self, subscription: Subscription, until: int, since: int) -> None:
        """`subscription` was delivered up to a cursor; something begins after `since`: another wish, or the same after a gap."""
        self.add(subscription, self._since, until)
        self._since = since

    def _all(self, subscription: Subscription, position: int) -> list[tuple[Subscription, int, int]]:
        return [(subscription, self._since, position), *self._spans]


class Session:
    """What the hub knows of a client. Live: its audience writes to it. Else `offset` says where it goes on."""

    __slots__ = (
        "closed",
        "delivered",
        "encoder",
        "live",
        "lock",
        "missed",
        "missed_after",
        "missed_from",
        "missed_last",
        "offset",
        "paused_since",
        "subscription",
        "transport",
    )  # fmt: skip

    def __init__(self, encoder: Encoder, transport: Transport, position: int, subscription: Subscription = ALL) -> None:
        """It wishes this of what comes after the cursor `offset`."""
        self.encoder = encoder
        self.transport = transport
        self.subscription = subscription
        self.offset = position
        self.delivered = DeliveredRanges(position)
        self.live = False
        self.closed = False
        self.lock = asyncio.Lock()
        """Held while its wish changes; a client that asks twice at once is answered in turn."""
        self.paused_since: float | None = None
        """When it fell behind, by the hub's clock; None while it keeps up."""
        self.missed = self.missed_after = self.missed_last = 0
        self.missed_from = 0
        """How many records its audience had been sent when it began to miss those, too."""

    def pause(self, before: int, now: float) -> None:
        """It misses what comes after the cursor `before`."""
        self.paused_since, self.missed_after, self.missed_last = now, before, before

    def miss(self, records: int, last: int) -> None:
        """So many records, the last of them with this cursor."""
        if records:
            self.missed, self.missed_last = self.missed + records, last

    def resume(self) -> Gap | None:
        """It keeps up again: what it has to be told."""
        gap = Gap(self.missed_after, self.missed_last, self.missed) if self.missed else None
        self.paused_since, self.missed = None, 0
        if gap:
            self.delivered.start_range(self.subscription, gap.after, gap.last)
        return gap

    def set_subscription(self, subscription: Subscription) -> None:
        """From its position on it wishes something else."""
        self.delivered.start_range(self.subscription, self.offset, self.offset)
        self.subscription = subscription
