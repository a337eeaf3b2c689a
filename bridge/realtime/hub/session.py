"""A client's session in the hub: its subscription, and how far it has been sent the log."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bridge.realtime.hub.encoding import EncodedBatch, Encoder, Publication
from bridge.realtime.hub.subscriptions import ALL, Subscription

NO_LIMIT = sys.maxsize
"""A write limit that no buffer reaches."""

_RANGES = 64  # subscription changes, gaps and replays remembered; records older than those may be replayed twice


class Transport(Protocol):
    """Writes to one client. No method waits or raises, whatever the state of the connection."""

    def waiting_bytes(self) -> int:
        """Return the number of bytes written but not yet accepted by the kernel (or not yet polled)."""

    def write(self, batch: EncodedBatch, limit_bytes: int = NO_LIMIT) -> bool:
        """Send a batch after everything written before; return False, sending nothing, if `limit_bytes` or more wait."""

    def when_drained(self, waiting_bytes: int, callback: Callable[[], None]) -> None:
        """Call `callback` once when at most `waiting_bytes` wait.

        A transport without drain events does nothing; the hub checks `waiting_bytes()` on every tick as well.
        """

    def disconnect(self, reason: str) -> None:
        """Close the connection now; a client that reads receives the reason."""


class DeliveredRanges:
    """The records sent on this connection, so that nothing is replayed twice.

    These are the records after the cursor `_since` that match the current subscription, and earlier ranges of cursors
    (after, until], each with the subscription of that time.
    """

    __slots__ = ("_ranges", "_since")

    def __init__(self, cursor: int) -> None:
        self._since = cursor
        self._ranges: deque[tuple[Subscription, int, int]] = deque(maxlen=_RANGES)

    def contains(self, record: Publication, subscription: Subscription, offset: int) -> bool:
        """Return whether a record was sent. `offset` is how far the current `subscription` has been delivered."""
        if self._since < record.seq <= offset and subscription.matches(record):
            return True
        return any(after < record.seq <= until and earlier.matches(record) for earlier, after, until in self._ranges)

    def undelivered_until(self, requested: Subscription, subscription: Subscription, offset: int) -> int:
        """Return the cursor after which everything that `requested` matches has been sent."""
        return self._since if subscription.is_superset_of(requested) else offset

    def add(self, subscription: Subscription, after: int, until: int) -> None:
        """Add a delivered range; one that continues the last range extends it."""
        if self._ranges and self._ranges[-1][::2] == (subscription, after):
            after = self._ranges.pop()[1]
        if after < until:
            self._ranges.append((subscription, after, until))

    def start_range(self, subscription: Subscription, until: int, since: int) -> None:
        """End the current range at `until` and start one after `since`: the subscription changed, or a gap lies between."""
        self.add(subscription, self._since, until)
        self._since = since


class Session:
    """A connected client. While `live` it is a member of its subscriber group; otherwise delivery resumes after `offset`."""

    __slots__ = (
        "closed", "delivered", "encoder", "lags", "lags_since", "live", "lock", "offset", "pages_until_count", "subscription",
        "transport", "unread_bytes", "unread_since",
    )  # fmt: skip

    def __init__(self, encoder: Encoder, transport: Transport, offset: int, subscription: Subscription = ALL) -> None:
        self.encoder = encoder
        self.transport = transport
        self.subscription = subscription
        self.offset = offset
        self.delivered = DeliveredRanges(offset)
        self.live = False
        self.lags = False
        """Whether it will be live once it was sent what has been published; otherwise it has just joined."""
        self.lags_since = 0.0
        """When it fell behind, by the hub's clock."""
        self.closed = False
        self.lock = asyncio.Lock()
        """Held while the subscription changes: concurrent requests of a client are handled in order."""
        self.unread_since = 0.0
        """When a client that lags was last seen to read, by the hub's clock."""
        self.unread_bytes = 0
        """What waited for it then."""
        self.pages_until_count = 0
        """Pages that it is sent from the store before it is counted how far it is behind."""

    def set_lags(self, lags: bool, now: float) -> None:
        """Note whether it lags; `now` is by the hub's clock."""
        if lags and not self.lags:
            self.lags_since, self.pages_until_count = now, 0
        self.lags = lags

    def set_subscription(self, subscription: Subscription) -> None:
        self.delivered.start_range(self.subscription, self.offset, self.offset)
        self.subscription = subscription
