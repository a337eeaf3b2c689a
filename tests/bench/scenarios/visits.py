"""Compare what a client that reconnects and changes its subscription received with what it should have received."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.bench.clients.gaps import ReportedGap


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """The number of readings received before the request and before its acknowledgement."""

    requested_at: int
    acknowledged_at: int


@dataclass(slots=True)
class Visit:
    """One connection. `received` holds cursors, `expected` devices and the cursors after and until which they apply."""

    received: Sequence[int]
    gaps: Sequence[ReportedGap] = ()
    changes: list[SubscriptionChange] = field(default_factory=list)
    expected: list[tuple[str, int, int]] = field(default_factory=list)
    _open: dict[str, int] = field(default_factory=dict)

    def subscribed(self, devices: frozenset[str], since: int, change: SubscriptionChange) -> None:
        """Expect these devices after the cursor `since`; devices that are already subscribed are unchanged."""
        self.changes.append(change)
        self._open = dict.fromkeys(devices, since) | self._open

    def unsubscribed(self, devices: frozenset[str], cursor: int, change: SubscriptionChange) -> None:
        """Expect these devices up to the cursor in the acknowledgement."""
        self.changes.append(change)
        for device in devices:
            self.expected.append((device, self._open.pop(device), cursor))

    def disconnected(self, until: int) -> None:
        """Expect all subscribed devices up to a cursor."""
        self.expected += [(device, after, until) for device, after in self._open.items()]
        self._open.clear()


@dataclass(slots=True)
class VisitAudit:
    """In readings. `reported` were missed and reported as a gap, `unrequested` are of devices that were not subscribed.

    Before its first acknowledgement a client may receive any device.
    """

    holes: int = 0
    reported: int = 0
    repeats: int = 0
    unrequested: int = 0
    misordered: int = 0


def audit_visits(visits: Sequence[Visit], published: Mapping[str, Sequence[int]]) -> VisitAudit:
    """Audit the connections of a client; `published` holds the cursors of each device in order."""
    audit, seen = VisitAudit(), set[int]()
    for visit in visits:
        expected = set[int]()
        for device, after, until in visit.expected:
            cursors = published.get(device, ())
            expected.update(cursors[bisect_right(cursors, after) : bisect_right(cursors, until)])
        received = set(visit.received)
        first = visit.changes[0].acknowledged_at if visit.changes else len(visit.received)
        missed = expected - received
        reported = sum(any(gap.after < cursor <= gap.until for gap in visit.gaps) for cursor in missed)
        audit.holes += len(missed) - reported
        audit.reported += reported
        audit.repeats += len(visit.received) - len(received) + len(received & seen)
        audit.unrequested += len(set(visit.received[first:]) - expected)
        audit.misordered += _misordered(visit)
        seen |= received
    return audit


def _misordered(visit: Visit) -> int:
    """Count steps back, except one per subscription change, where its replay begins."""
    back = [at for at, (before, after) in enumerate(pairwise(visit.received), 1) if after < before]
    for change in visit.changes:
        replay = next((at for at in back if change.requested_at <= at <= change.acknowledged_at), None)
        if replay is not None:
            back.remove(replay)
    return len(back)
