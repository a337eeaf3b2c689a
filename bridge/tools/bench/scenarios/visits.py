"""What a client that comes, goes and asks for other devices was owed, and what it got."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Change:
    """A change of wish: how many readings had come when it was asked for, and when it was answered."""

    asked_at: int
    answered_at: int


@dataclass(slots=True)
class Visit:
    """One connection, and the cursors it `got`; `owed` are devices with the cursors after and until which they were wished.

    `gaps` are spans of cursors too: that it was too slow for, and was told.
    """

    got: Sequence[int]
    gaps: Sequence[tuple[int, int]] = ()
    changes: list[Change] = field(default_factory=list)
    owed: list[tuple[str, int, int]] = field(default_factory=list)
    _open: dict[str, int] = field(default_factory=dict)

    def added(self, devices: frozenset[str], since: int, change: Change) -> None:
        """From `since` on it is owed these; what it wished already goes on."""
        self.changes.append(change)
        self._open = dict.fromkeys(devices, since) | self._open

    def dropped(self, devices: frozenset[str], cursor: int, change: Change) -> None:
        """Up to the cursor of the answer it was owed these."""
        self.changes.append(change)
        for device in devices:
            self.owed.append((device, self._open.pop(device), cursor))

    def left(self, until: int) -> None:
        """It has gone, or there is no more; up to a cursor all it wished was owed."""
        self.owed += [(device, after, until) for device, after in self._open.items()]
        self._open.clear()


@dataclass(frozen=True, slots=True)
class VisitAudit:
    """In readings; `told` were missed and told of, `strangers` were not asked for.

    Before its first answer a client may hear any device.
    """

    holes: int = 0
    told: int = 0
    repeats: int = 0
    strangers: int = 0
    misordered: int = 0

    def __add__(self, other: VisitAudit) -> VisitAudit:
        """Of several clients."""
        return VisitAudit(
            self.holes + other.holes,
            self.told + other.told,
            self.repeats + other.repeats,
            self.strangers + other.strangers,
            self.misordered + other.misordered,
        )


def audit_visits(visits: Sequence[Visit], truth: Mapping[str, Sequence[int]]) -> VisitAudit:
    """Of one client; `truth` has the cursors of each device, in order."""
    total, seen = VisitAudit(), set[int]()
    for visit in visits:
        owed = set[int]()
        for device, after, until in visit.owed:
            cursors = truth.get(device, ())
            owed.update(cursors[bisect_right(cursors, after) : bisect_right(cursors, until)])
        got, first = set(visit.got), visit.changes[0].answered_at if visit.changes else len(visit.got)
        missed = owed - got
        told = {cursor for cursor in missed if any(after < cursor <= until for after, until in visit.gaps)}
        total += VisitAudit(
            holes=len(missed - told),
            told=len(told),
            repeats=len(visit.got) - len(got) + len(got & seen),
            strangers=len(set(visit.got[first:]) - owed),
            misordered=_misordered(visit),
        )
        seen |= got
    return total


def _misordered(visit: Visit) -> int:
    """Steps back, but for one while each change is under way: that is where its replay begins."""
    back = [at for at, (before, after) in enumerate(pairwise(visit.got), 1) if after < before]
    for change in visit.changes:
        excused = next((at for at in back if change.asked_at <= at <= change.answered_at), None)
        if excused is not None:
            back.remove(excused)
    return len(back)
