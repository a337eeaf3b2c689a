"""One client, at its own pace: what it wishes, how far it has been sent, and what it missed."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bridge.core.events import Gap
from bridge.realtime.hub.publication import Encoder, Parcel, Published
from bridge.realtime.hub.subscriptions import EVERYTHING, Wish

ANY = sys.maxsize
"""However much waits."""

_SPANS = 64  # changes of wish, gaps and replays that are remembered; before those a record may be replayed twice


class Link(Protocol):
    """The way to one client. Nothing here waits or raises, whatever state the connection is in."""

    def waiting_bytes(self) -> int:
        """What was written and has not left for the client's machine."""
        ...

    def write(self, parcel: Parcel, limit_bytes: int = ANY) -> bool:
        """Send, after everything written before, unless so much or more waits; false then."""
        ...

    def when_drained(self, waiting_bytes: int, then: Callable[[], None]) -> None:
        """Call once when no more than so much waits; a link that cannot tell does nothing, and is looked at."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection now; a client that reads is told why."""
        ...


class Heard:
    """What a client has been sent on this connection, so that nothing is replayed twice.

    By its wish everything after a cursor, and before that spans of cursors by what was wished then.
    """

    __slots__ = ("_since", "_spans")

    def __init__(self, cursor: int) -> None:
        """Nothing up to `cursor`."""
        self._since = cursor
        self._spans: deque[tuple[Wish, int, int]] = deque(maxlen=_SPANS)

    def has(self, one: Published, wish: Wish, position: int) -> bool:
        """Whether a record was sent; `position` is how far the client is by `wish`."""
        return any(after < one.seq <= until and wished.wants(one) for wished, after, until in self._all(wish, position))

    def unsent_until(self, asked: Wish, wish: Wish, position: int) -> int:
        """What is asked for and comes after this was sent."""
        return self._since if wish.includes(asked) else position

    def add(self, wished: Wish, after: int, until: int) -> None:
        """What was wished was sent, from the one cursor to the other."""
        if self._spans and self._spans[-1][::2] == (wished, after):  # it goes on where the last one ended
            after = self._spans.pop()[1]
        if after < until:
            self._spans.append((wished, after, until))

    def turn(self, wish: Wish, until: int, since: int) -> None:
        """`wish` was heard up to a cursor; something begins after `since`: another wish, or the same after a gap."""
        self.add(wish, self._since, until)
        self._since = since

    def _all(self, wish: Wish, position: int) -> list[tuple[Wish, int, int]]:
        return [(wish, self._since, position), *self._spans]


class Session:
    """What the hub knows of a client. Live: its audience writes to it. Else `position` says where it goes on."""

    __slots__ = (
        "away_since", "closed", "encoder", "heard", "link", "live", "lock", "missed", "missed_after", "missed_from",
        "missed_last", "position", "wish",
    )  # fmt: skip

    def __init__(self, encoder: Encoder, link: Link, position: int, wish: Wish = EVERYTHING) -> None:
        """It wishes this of what comes after the cursor `position`."""
        self.encoder = encoder
        self.link = link
        self.wish = wish
        self.position = position
        self.heard = Heard(position)
        self.live = False
        self.closed = False
        self.lock = asyncio.Lock()
        """Held while its wish changes; a client that asks twice at once is answered in turn."""
        self.away_since: float | None = None
        """When it fell behind, by the hub's clock; None while it keeps up."""
        self.missed = self.missed_after = self.missed_last = 0
        self.missed_from = 0
        """How many records its audience had been sent when it began to miss those, too."""

    def fall_behind(self, before: int, now: float) -> None:
        """It misses what comes after the cursor `before`."""
        self.away_since, self.missed_after, self.missed_last = now, before, before

    def miss(self, records: int, last: int) -> None:
        """So many records, the last of them with this cursor."""
        if records:
            self.missed, self.missed_last = self.missed + records, last

    def catch_breath(self) -> Gap | None:
        """It keeps up again: what it has to be told."""
        gap = Gap(self.missed_after, self.missed_last, self.missed) if self.missed else None
        self.away_since, self.missed = None, 0
        if gap:
            self.heard.turn(self.wish, gap.after, gap.last)
        return gap

    def change(self, wish: Wish) -> None:
        """From its position on it wishes something else."""
        self.heard.turn(self.wish, self.position, self.position)
        self.wish = wish
