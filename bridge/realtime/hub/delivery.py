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
from bridge.realtime.hub.publication import Encoder, Parcel, Published
from bridge.realtime.hub.session import Session
from bridge.realtime.hub.subscriptions import Audience
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
        self._limit_bytes = settings.client_buffer_bytes
        self._low_bytes = int(settings.client_buffer_bytes * _LOW_WATER)
        self._slow_seconds = settings.slow_seconds
        self._counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self.behind: dict[Session, Audience[Session]] = {}

    def parcel(self, chosen: Sequence[Published], encoder: Encoder) -> Parcel:
        """Sent now."""
        return Parcel(chosen, encoder, iso(int(self._clock() * 1000)))

    def send(self, audience: Audience[Session], parcel: Parcel, before: int) -> None:
        """The same to all of them; `before` is the cursor ahead of it."""
        if not parcel:
            return
        limit = self._limit_bytes
        if slow := [session for session in audience.members if not session.link.write(parcel, limit)]:
            now = self._monotonic()
            for session in slow:
                del audience.members[session]
                session.fall_behind(before, now)
                self.enter(session, audience)
        if parcel.records:
            audience.records, audience.last = audience.records + parcel.records, parcel.last
        self._count(parcel, len(audience.members), len(audience.behind))

    def send_alone(self, session: Session, parcel: Parcel, before: int) -> None:
        """To one who has yet to enter its audience."""
        if session.away_since is None and session.link.write(parcel, self._limit_bytes):
            self._count(parcel, 1, 0)
            return
        if session.away_since is None:
            session.fall_behind(before, self._monotonic())
        session.miss(parcel.records, parcel.last)
        self._count(parcel, 0, 1)

    def _count(self, parcel: Parcel, reached: int, missing: int) -> None:
        self._counts.delivered += reached * parcel.records
        self._counts.missed += missing * parcel.records
        self._counts.missed_others += missing * parcel.others

    def tell(self, session: Session, events: Sequence[Published]) -> None:
        """Send one client what is no record; it goes without when too much waits for it already."""
        if parcel := self.parcel(events, session.encoder):
            session.link.write(parcel, self._limit_bytes)

    def write(self, session: Session, records: Sequence[Published]) -> None:
        """What it asked for; whoever replays sees to it that there is room."""
        if records:
            session.link.write(self.parcel(records, session.encoder))

    # --- who is behind -----------------------------------------------------------------------------------------------------

    def enter(self, session: Session, audience: Audience[Session]) -> None:
        """It is sent what comes next, or, when it is behind, stands aside."""
        if session.away_since is None:
            audience.members[session] = None
            return
        audience.behind[session] = None
        self.behind[session] = audience
        session.missed_from = audience.records
        session.link.when_drained(self._low_bytes, partial(self._drained, session))

    def leave(self, session: Session) -> None:
        """It is gone, or about to be; safe for one that is not behind."""
        self.behind.pop(session, None)

    def has_drained(self, session: Session) -> bool:
        """Whether it has read enough of what waits for it to be sent more."""
        return session.link.waiting_bytes() <= self._low_bytes

    def _drained(self, session: Session) -> None:
        if session in self.behind and self.has_drained(session):
            self.catch_breath(session)

    def catch_breath(self, session: Session) -> None:
        """Tell one that was behind what it missed; from here on it is live again."""
        audience = self.behind.pop(session)
        del audience.behind[session]
        session.miss(audience.records - session.missed_from, audience.last)
        if gap := session.catch_breath():
            self.tell_gap(session, gap)
        audience.members[session] = None

    def tell_gap(self, session: Session, gap: Gap) -> None:
        """Also to one for whom much waits: it is what he has to know."""
        self._counts.gaps += 1
        session.link.write(self.parcel([Published(gap)], session.encoder))

    def too_slow(self, now: float) -> list[Session]:
        """Those of the ones behind who have had their time; those who have drained are told what they missed."""
        slow = []
        for session in tuple(self.behind):
            if self.has_drained(session):  # by a link that does not tell
                self.catch_breath(session)
            elif session.away_since is not None and now - session.away_since > self._slow_seconds:
                slow.append(session)
        return slow
