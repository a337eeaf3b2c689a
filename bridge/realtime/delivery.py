"""Each client at its own pace: a parcel is written, or missed by one with too much waiting, who is told so, or given up on.

A client that falls behind is skipped until it has read half of what waits for it; then a `gap` tells what it missed, and it is
live again. One that takes longer than `slow_seconds` is given up on. Nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bridge.core.events import Gap
from bridge.core.timestamp import iso
from bridge.realtime.parcel import Encoder, Parcel, Published
from bridge.realtime.session import Session
from bridge.settings import RealtimeSettings

_LOW_WATER = 0.5  # of the buffer: a client that fell behind is live again when so much of it, or less, is left


@dataclass(slots=True)
class Counts:
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
        counts: Counts,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self._settings = settings
        self._counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self.behind: dict[Session, None] = {}

    def parcel(self, chosen: Sequence[Published], encoder: Encoder) -> Parcel:
        """Sent now."""
        return Parcel(chosen, encoder, iso(int(self._clock() * 1000)))

    def send(self, sessions: Iterable[Session], parcel: Parcel, before: int) -> None:
        """The same to all of them; `before` is the cursor ahead of it."""
        if not parcel:
            return
        limit, reached = self._settings.client_buffer_bytes, 0
        for session in sessions:
            if session.away_since is None and session.link.waiting_bytes() < limit:
                session.link.write(parcel)
                reached += 1
            else:
                self._skip(session, parcel, before)
        self._counts.delivered += reached * parcel.records

    def tell(self, session: Session, events: Sequence[Published]) -> None:
        """Send one client what is no record; it goes without when too much waits for it already."""
        parcel = self.parcel(events, session.encoder)
        if parcel and session.link.waiting_bytes() < self._settings.client_buffer_bytes:
            session.link.write(parcel)

    def write(self, session: Session, records: Sequence[Published]) -> None:
        """What it asked for; whoever replays sees to it that there is room."""
        if records:
            session.link.write(self.parcel(records, session.encoder))

    def _skip(self, session: Session, parcel: Parcel, before: int) -> None:
        """A client with too much waiting misses this one, unless it has drained since."""
        if session.away_since is not None and self.has_drained(session):
            self.catch_breath(session)
            session.link.write(parcel)
            self._counts.delivered += parcel.records
            return
        if session.miss(parcel, before, self._monotonic()):
            self.behind[session] = None
        self._counts.missed += parcel.records
        self._counts.missed_others += parcel.others

    def has_drained(self, session: Session) -> bool:
        """Whether it has read enough of what waits for it to be sent more."""
        return session.link.waiting_bytes() <= self._settings.client_buffer_bytes * _LOW_WATER

    def catch_breath(self, session: Session) -> None:
        """Tell one that was behind what it missed; from here on it is live again."""
        del self.behind[session]
        if gap := session.catch_breath():
            self.tell_gap(session, gap)

    def tell_gap(self, session: Session, gap: Gap) -> None:
        """Also to one for whom much waits: it is what he has to know."""
        self._counts.gaps += 1
        session.link.write(self.parcel([Published(gap)], session.encoder))

    def too_slow(self, now: float) -> list[Session]:
        """Those of the ones behind who have had their time; those who have drained are told what they missed."""
        slow = []
        for session in tuple(self.behind):
            if self.has_drained(session):
                self.catch_breath(session)
            elif session.away_since is not None and now - session.away_since > self._settings.slow_seconds:
                slow.append(session)
        return slow
