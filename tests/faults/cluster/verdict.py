"""Compares what clients received with what is stored."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Protocol

import pymongo
from bson.objectid import ObjectId

from tests.faults.cluster.clients import Client, Received
from tests.faults.readings import id_of

Database = pymongo.database.Database[dict[str, object]]


@dataclass
class Counts:
    """Over all clients of a kind."""

    clients: int = 0
    connections: int = 0
    received: int = 0
    holes: int = 0
    """Stored, and not received between the first record and the end of the sequence."""
    repeats: int = 0
    inversions: int = 0
    """Cursors that are not above the one before."""
    unknown: int = 0
    """Received, and not stored under that cursor."""
    gaps: int = 0

    @property
    def errors(self) -> int:
        return self.holes + self.repeats + self.inversions + self.unknown + self.gaps


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of a fault in µs since the epoch, as cursors have it, and the next numbers of the load at that time."""

    at_us: int
    posted: int
    published: int


class Numbered(Protocol):
    """The numbers of the readings that were acknowledged."""

    posted: set[int]

    @property
    def published(self) -> set[int]: ...


class Stored:
    """The cursors of the stored readings, in order; tombstones are left out."""

    def __init__(self, rows: Iterable[tuple[int, str]]) -> None:
        self.cursors: list[int] = []
        self._by_device: dict[str, list[int]] = defaultdict(list)
        for cursor, device in sorted(rows):
            self.cursors.append(cursor)
            self._by_device[device].append(cursor)

    @property
    def last(self) -> int:
        return self.cursors[-1] if self.cursors else 0

    def last_of(self, devices: Collection[str] | None) -> int:
        of_devices = self._of(devices)
        return of_devices[-1] if of_devices else 0

    def _of(self, devices: Collection[str] | None) -> Sequence[int]:
        if devices is None:
            return self.cursors
        return sorted(cursor for device in devices for cursor in self._by_device.get(device, ()))

    def between(self, devices: Collection[str] | None, first: int, last: int) -> Sequence[int]:
        """Return the cursors of these devices from `first` to `last`, both inclusive."""
        cursors = self._of(devices)
        return cursors[bisect_left(cursors, first) : bisect_right(cursors, last)]


def errors_of(received: Received, stored: Stored, *, to_the_end: bool) -> Iterator[tuple[str, int]]:
    """Yield what is wrong with a sequence, each with its cursor.

    It must be a run of what is stored, up to the last record if `to_the_end`.
    """
    cursors = received.cursors
    if not cursors and not received.since:
        return
    first = received.since + 1 if received.since else min(cursors)
    last = stored.last if to_the_end else cursors[-1]
    expected, present = set(stored.between(received.devices, first, last)), Counter(cursors)
    yield from (("holes", cursor) for cursor in expected - present.keys())
    yield from (("unknown", cursor) for cursor in present.keys() - expected)
    yield from (("repeats", cursor) for cursor, count in present.items() for _ in range(count - 1))
    yield from (("inversions", after) for before, after in pairwise(cursors) if after < before)


def judge(counts: Counts, received: Received, stored: Stored, *, to_the_end: bool) -> None:
    """Count what is wrong with a sequence."""
    counts.gaps += received.gaps
    counts.received += len(received.cursors)
    for kind, _ in errors_of(received, stored, to_the_end=to_the_end):
        setattr(counts, kind, getattr(counts, kind) + 1)


@dataclass
class Verdict:
    """What one run showed."""

    stored: int = 0
    tombstones: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged by a bridge or the broker, and neither stored nor rejected."""
    lost_by_broker: int = 0
    """The same by MQTT, where the broker was killed: it saves its sessions every 5 s."""
    commands: int = 0
    commands_twice: int = 0
    commands_unheard: int = 0
    """Sent to a device that was disconnecting, and not acknowledged: a command is not repeated."""
    commands_failed: int = 0
    """Expired or failed, as whoever asks for their state is told."""
    commands_vanished: int = 0
    """Accepted, and neither received nor failed: sent to a device that stayed, confirmed by nobody, or still queued when each
    must have been sent or expired.
    """
    commands_told: list[str] = field(default_factory=list)
    """Those that are unheard or failed, with what their devices did at that time."""
    clients: dict[str, Counts] = field(default_factory=dict)
    open_ranges: int = 0
    """That are still open at rest."""
    located: list[str] = field(default_factory=list)
    """In which repetition what is wrong was sent or stored; 0 is before the first fault."""

    @property
    def clean(self) -> bool:
        commands = self.commands_twice + self.commands_vanished
        return not (self.lost + commands + self.open_ranges + sum(counts.errors for counts in self.clients.values()))

    def locate(self, clients: Iterable[Client], stored: Stored, moments: Sequence[Moment]) -> None:
        """Add the repetitions to which the errors of clients belong."""
        times = [moment.at_us for moment in moments]
        found: Counter[tuple[int, str, str]] = Counter()
        for client in clients:
            for sequence in client.sequences:
                for kind, cursor in errors_of(sequence, stored, to_the_end=client.resumes):
                    found[bisect_right(times, cursor), client.name, kind] += 1
        self.located += [f"repetition {n}: {name}: {kind} × {count}" for (n, name, kind), count in sorted(found.items())]

    def locate_lost(self, load: Numbered, lost: Collection[ObjectId], moments: Sequence[Moment]) -> None:
        """Add the repetitions in which lost readings were begun."""
        for way, numbers, starts in (
            ("HTTP", load.posted, [moment.posted for moment in moments]),
            ("MQTT", load.published, [moment.published for moment in moments]),
        ):
            found = Counter(bisect_right(starts, number) for number in numbers if id_of(number) in lost) if lost else {}
            self.located += [f"repetition {n}: lost by {way} × {count}" for n, count in sorted(found.items())]

    def total(self) -> Counts:
        total = Counts()
        for counts in self.clients.values():
            for name, value in asdict(counts).items():
                setattr(total, name, getattr(total, name) + value)
        return total


def read_stored(database: Database, after: int) -> tuple[Stored, set[ObjectId]]:
    """Return the cursors and the ids of the readings above a cursor that a majority has."""
    readings = database["readings"].with_options(read_concern=pymongo.read_concern.ReadConcern("majority"))
    rows, ids = [], set()
    for document in readings.find({"seq": {"$gt": after}, "deviceId": {"$exists": True}}, {"seq": 1, "deviceId": 1}):
        rows.append((int(str(document["seq"])), str(document["deviceId"])))
        ids.add(ObjectId(str(document["_id"])))
    return Stored(rows), ids


def stored_among(database: Database, ids: Collection[ObjectId]) -> set[ObjectId]:
    """Return those of `ids` whose readings a majority has."""
    readings = database["readings"].with_options(read_concern=pymongo.read_concern.ReadConcern("majority"))
    return {ObjectId(str(document["_id"])) for document in readings.find({"_id": {"$in": list(ids)}}, {"_id": 1})}


def last_cursors(database: Database, after: int) -> dict[str, int]:
    """Return the highest cursor of each device above a cursor."""
    readings = database["readings"].with_options(read_concern=pymongo.read_concern.ReadConcern("majority"))
    rows = readings.aggregate([
        {"$match": {"seq": {"$gt": after}, "deviceId": {"$exists": True}}},
        {"$group": {"_id": "$deviceId", "last": {"$max": "$seq"}}},
    ])  # fmt: skip
    return {str(row["_id"]): int(str(row["last"])) for row in rows}


def judge_clients(clients: Iterable[Client], stored: Stored) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for client in clients:
        counts = found.setdefault(client.name, Counts())
        counts.clients += 1
        counts.connections += client.connections
        for sequence in client.sequences:
            judge(counts, sequence, stored, to_the_end=client.resumes)
    return found
