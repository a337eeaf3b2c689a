"""One client, at its own pace: what it wishes, how far it has been sent, and what it missed."""

from __future__ import annotations

import asyncio
from typing import Protocol

from bridge.core.events import Gap
from bridge.realtime.audience import EVERYTHING, Wish
from bridge.realtime.parcel import Encoder, Parcel


class Link(Protocol):
    """The way to one client. Nothing here waits or raises, whatever state the connection is in."""

    def waiting_bytes(self) -> int:
        """What was written and has not left for the client's machine."""
        ...

    def write(self, parcel: Parcel) -> None:
        """Send, after everything written before."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection now; a client that reads is told why."""
        ...


class Heard:
    """From which cursor on a client has been sent everything of a device, on this connection: nothing is replayed twice."""

    __slots__ = ("_of_all", "_of_device")

    def __init__(self, cursor: int) -> None:
        """Everything after `cursor`, of every device."""
        self._of_all = cursor
        self._of_device: dict[str, int] = {}

    def unsent_until(self, device: str, wish: Wish, position: int) -> int:
        """Records of `device` up to here have not been sent; `position` is how far the client is by `wish`."""
        if wish.devices is None or device in wish.devices:
            return self._of_device.get(device, self._of_all)
        return position

    def begin_again(self, cursor: int) -> None:
        """After a gap: what is complete is what comes after it."""
        self._of_all = cursor
        self._of_device.clear()

    def widen(self, old: Wish, new: Wish, asked: frozenset[str] | None, cursor: int) -> None:
        """The wish became `new`; what was `asked` for now is complete from `cursor` on."""
        if asked is None:
            self._of_all = min(cursor, self._of_all) if old.devices is None else cursor
            self._of_device = {}
            return
        before = {device: self.unsent_until(device, old, cursor) for device in new.devices or ()}
        self._of_device = before | {device: min(cursor, before.get(device, cursor)) for device in asked}


class Session:
    """What the hub knows of a client. Live: its audience writes to it. Else `position` says where it goes on."""

    __slots__ = (
        "away_since", "closed", "encoder", "heard", "link", "live", "lock", "missed", "missed_after", "missed_last",
        "position", "wish",
    )  # fmt: skip

    def __init__(self, encoder: Encoder, link: Link, position: int) -> None:
        """It wishes everything after the cursor `position`."""
        self.encoder = encoder
        self.link = link
        self.wish = EVERYTHING
        self.position = position
        self.heard = Heard(position)
        self.live = False
        self.closed = False
        self.lock = asyncio.Lock()
        """Held while its wish changes; a client that asks twice at once is answered in turn."""
        self.away_since: float | None = None
        """When it fell behind, by the hub's clock; None while it keeps up."""
        self.missed = self.missed_after = self.missed_last = 0

    def miss(self, parcel: Parcel, before: int, now: float) -> bool:
        """Skip a parcel; `before` is the cursor ahead of it. Whether this is the first it misses."""
        first = self.away_since is None
        if first:
            self.away_since, self.missed_after, self.missed_last = now, before, before
        self.missed += parcel.records
        self.missed_last = max(self.missed_last, parcel.last)
        return first

    def catch_breath(self) -> Gap | None:
        """It keeps up again: what it has to be told."""
        gap = Gap(self.missed_after, self.missed_last, self.missed) if self.missed else None
        self.away_since, self.missed = None, 0
        if gap:
            self.heard.begin_again(gap.last)
        return gap
