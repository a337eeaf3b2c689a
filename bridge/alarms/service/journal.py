"""The journal of alarms: transitions wait in order, are stored, and only then published.

The writer repeats what the store does not take. A transition that is stored already, because alarms are folded again after a
restart, is not published again: clients receive the standing alarms when they connect.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bridge.alarms.record import AlarmRecord, AlarmState, Transition
from bridge.core.errors import StoreUnavailable
from bridge.core.events import AlarmChanged
from bridge.ports import AlarmInput, AlarmStore, StoredAlarm, StoredTransition

log = logging.getLogger(__name__)

QUEUE_LIMIT = 20_000
"""Beyond this many waiting transitions the service pauses, and reads on from the store when they are written."""

_BATCH = 250
_SLICE = 50
"""This many are encoded or published without a break; 25 take about a millisecond."""

_CROWDED = 10
_GATHER_SECONDS = 0.02
"""The pause before a batch that is not full, after one of more than `_CROWDED`: many small writes would take the database from
the readings."""

_RETRY_SECONDS = 1.0
_STORE_RULE = "store-unavailable"


@dataclass(slots=True)
class JournalCounters:
    """Counts since the start: transitions stored, and those that were in the store already."""

    stored: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    transition: Transition | None
    given: AlarmInput | None = None
    is_replayed: bool = False


class AlarmJournal:
    """A queue before the store. `on_stored` receives what has been stored for the first time, and is published then.

    `record` stores what follows from transitions, given the ids of those that are known already: who is to be told. `tell_now`
    tells of those that cannot be stored.
    """

    def __init__(self, store: AlarmStore) -> None:
        self.counts = JournalCounters()
        self.on_stored: Callable[[Sequence[Transition]], None] = lambda _transitions: None
        self.record: Callable[[Sequence[Transition], Collection[str]], Awaitable[None]] = _record_nothing
        self.tell_now: Callable[[Sequence[Transition]], None] = lambda _transitions: None
        self._store = store
        self._queue: deque[_Entry] = deque()
        self._added = 0
        self._written = 0
        self._is_refused = False
        self._arrived = asyncio.Event()
        self._progress = asyncio.Condition()
        self._told: set[str] = set()
        """Transitions that were published before they could be stored."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_stuck(self) -> bool:
        """Whether the store has refused the last write."""
        return self._is_refused

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= QUEUE_LIMIT

    def add(self, transitions: Iterable[Transition], given: AlarmInput | None = None, *, is_replayed: bool = False) -> int:
        """Append transitions, after the input that they come from; return the number to give to `written`."""
        entries = [_Entry(one, None, is_replayed) for one in transitions]
        if given is not None:
            entries.insert(0, _Entry(None, given))
        self._queue.extend(entries)
        self._added += len(entries)
        if entries:
            self._arrived.set()
        return self._added

    @property
    def added(self) -> int:
        """The number of the last entry, to give to `written`."""
        return self._added

    async def written(self, number: int) -> None:
        """Wait until the entry with this number is stored."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._written >= number)

    async def run(self) -> None:
        """Store and publish. Runs until cancelled."""
        is_crowded = False
        while True:
            await self._arrived.wait()
            if is_crowded and len(self._queue) < _BATCH:
                await asyncio.sleep(_GATHER_SECONDS)
            batch = list(islice(self._queue, _BATCH))
            try:
                fresh = await self._store_batch(batch)
            except StoreUnavailable as error:
                if not self._is_refused:
                    log.warning("alarms: changes wait: store unavailable: %s", error)
                self._is_refused = True
                self._tell_of_store(batch)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._is_refused = False
            for _ in batch:
                self._queue.popleft()
            if not self._queue:
                self._arrived.clear()
            self._written += len(batch)
            self.counts.stored += len(fresh)
            is_crowded = len(batch) > _CROWDED
            await self._publish_in_slices(fresh)
            async with self._progress:
                self._progress.notify_all()

    async def _store_batch(self, batch: Sequence[_Entry]) -> list[Transition]:
        """Store everything; return the transitions that were not in the store before."""
        transitions = [one.transition for one in batch if one.transition is not None]
        replayed = [one.transition.id for one in batch if one.transition is not None and one.is_replayed]
        known = await self._store.known(replayed) if replayed else set()
        for one in batch:
            if one.given is not None:
                await self._store.add_input(one.given)
        written: list[StoredTransition] = []
        newest: dict[str, StoredAlarm] = {}
        new = set[str]()
        if not (self._is_refused or replayed):  # an earlier attempt, or run, may have inserted it
            new.update(one.record.id for one in transitions if one.is_new)
        for start in range(0, len(transitions), _SLICE):
            part = transitions[start : start + _SLICE]
            for transition in part:
                stored = _stored(transition)
                written.append(stored)
                alarm_id = transition.record.id
                newest[alarm_id] = stored_alarm(transition.record, stored.body["record"], is_new=alarm_id in new)
            await asyncio.sleep(0)
        await self._store.write(written, list(newest.values()))
        await self.record(transitions, known)
        self.counts.repeated += len(known)
        return [one for one in transitions if one.id not in known]

    def _tell_of_store(self, batch: Sequence[_Entry]) -> None:
        """Publish that the store is unavailable although that cannot be stored."""
        told = [
            one.transition
            for one in batch
            if one.transition is not None and one.transition.record.rule == _STORE_RULE and one.transition.id not in self._told
        ]
        if told:
            self._told |= {one.id for one in told}
            self.tell_now(told)
            self.on_stored(told)

    async def _publish_in_slices(self, fresh: Sequence[Transition]) -> None:
        """Publish all, also when cancelled."""
        published = 0
        try:
            while published < len(fresh):
                self._publish(fresh[published : published + _SLICE])
                published += _SLICE
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._publish(fresh[published:])
            raise

    def _publish(self, fresh: Sequence[Transition]) -> None:
        publishable = [one for one in fresh if one.id not in self._told]
        self._told.difference_update(one.id for one in fresh)
        if publishable:
            self.on_stored(publishable)


async def _record_nothing(_transitions: Sequence[Transition], _known: Collection[str]) -> None:
    pass


def changed(transition: Transition) -> AlarmChanged:
    """Return the event that tells of a transition."""
    record = transition.record
    return AlarmChanged(record.device_id, record.rule, transition.at_ms, transition.kind.value, record.public(), transition.id)


def stored_alarm(record: AlarmRecord, document: dict[str, Any] | None = None, *, is_new: bool = False) -> StoredAlarm:
    """Return the alarm for the store; `document` is the record's, if that is at hand."""
    is_open = record.state is not AlarmState.NORMAL
    return StoredAlarm(record.id, record.device_id or "", record.rule, is_open, document or record.to_document(), is_new)


def _stored(transition: Transition) -> StoredTransition:
    return StoredTransition(transition.id, transition.record.id, transition.to_document())
