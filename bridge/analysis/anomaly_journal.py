"""Changes of anomalies: stored, and only then published.

A change that is in the store already, because readings are folded again after a restart, is not published again, and does not
reopen an anomaly that has ended since.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.analysis.anomaly.changes import AnomalyChange, AnomalyRecord, ChangeKind, record_from_document
from bridge.analysis.anomaly.record import AnomalyKind
from bridge.analysis.retries import until_stored
from bridge.core.errors import RecordError
from bridge.core.events import AnomalyChanged
from bridge.ports import AlarmStore, Publisher, StoredAlarm, StoredTransition

log = logging.getLogger(__name__)

OPEN_LIMIT = 100_000


@dataclass(slots=True)
class AnomalyJournalCounters:
    """Counts since the start: changes stored, those that were in the store already, and those that an alarm reports."""

    stored: int = 0
    repeated: int = 0
    left_to_alarms: int = 0


class AnomalyJournal:
    def __init__(self, store: AlarmStore, publisher: Publisher, has_alarm: Callable[[str, str], bool]) -> None:
        """`has_alarm` tells whether a rule for alarms watches a field of a device for being stuck."""
        self.counts = AnomalyJournalCounters()
        self._store = store
        self._publisher = publisher
        self._has_alarm = has_alarm
        self._standing: dict[str, AnomalyKind] = {}

    def standing_numbers(self) -> dict[str, int]:
        """Return how many stored anomalies stand, by kind."""
        numbers = Counter(self._standing.values())
        return {kind.value: numbers[kind] for kind in AnomalyKind}

    async def write(self, changes: Sequence[AnomalyChange]) -> None:
        """Store changes however long it takes, then publish those that are new."""
        told, latest = await until_stored(lambda: self._to_store(changes), "changes of anomalies")
        known = await until_stored(lambda: self._store.known([one.id for one in told]), "changes of anomalies")
        transitions = [StoredTransition(one.id, one.record.id, {"kind": one.kind.value, "at": one.at_ms}) for one in told]
        alarms = [stored_anomaly(one) for one in latest.values()]
        await until_stored(lambda: self._store.write(transitions, alarms), "changes of anomalies")
        for change in told:
            if change.kind is ChangeKind.DETECTED:
                self._standing[change.record.id] = change.record.anomaly.kind
            else:
                self._standing.pop(change.record.id, None)
        fresh = [one for one in told if one.id not in known]
        self.counts.stored += len(fresh)
        self.counts.repeated += len(known)
        if fresh:
            self._publisher.publish([_event(one) for one in fresh])

    async def _to_store(self, changes: Sequence[AnomalyChange]) -> tuple[list[AnomalyChange], dict[str, AnomalyRecord]]:
        """Return the changes to store, and the anomalies by id as they are after them."""
        told: list[AnomalyChange] = []
        latest: dict[str, AnomalyRecord] = {}
        left_to_alarms = 0
        for change in changes:
            record = change.record
            before = latest.get(record.id) or await self.get(record.id)
            if before is None and (change.kind is not ChangeKind.DETECTED or self._is_alarm(record)):
                left_to_alarms += 1
                continue
            told.append(change)
            latest[record.id] = before if before is not None and record.is_before(before) else record
        self.counts.left_to_alarms += left_to_alarms
        return told, latest

    def _is_alarm(self, record: AnomalyRecord) -> bool:
        """Whether an alarm reports the same fault. Then only the alarm is published."""
        return record.anomaly.kind is AnomalyKind.STUCK and self._has_alarm(record.device_id, record.anomaly.field)

    async def get(self, anomaly_id: str) -> AnomalyRecord | None:
        """Return a stored anomaly. Raises `StoreUnavailable`."""
        stored = await self._store.get(anomaly_id)
        return None if stored is None else next(iter(anomalies_of([stored])), None)

    async def load_standing(self) -> list[AnomalyRecord]:
        """Read the stored anomalies that stand, however long it takes."""
        stored = await until_stored(lambda: self._store.find(is_open=True, limit=OPEN_LIMIT), "anomalies")
        records = anomalies_of(stored)
        if len(records) < len(stored):
            log.warning("anomalies: %d stored anomalies are damaged: they are not shown", len(stored) - len(records))
        self._standing = {one.id: one.anomaly.kind for one in records}
        return records

    def forget_standing(self) -> None:
        """This bridge does not lead any more: another one counts."""
        self._standing = {}


def stored_anomaly(record: AnomalyRecord) -> StoredAlarm:
    is_open = record.anomaly.resolved_ms is None and record.anomaly.outcome is None
    return StoredAlarm(record.id, record.device_id, record.anomaly.kind.value, is_open, record.to_document())


def anomalies_of(stored: Iterable[StoredAlarm]) -> list[AnomalyRecord]:
    """Return the anomalies without those whose documents are damaged."""
    found = []
    for one in stored:
        with suppress(RecordError):
            found.append(record_from_document(one.body))
    return found


def _event(change: AnomalyChange) -> AnomalyChanged:
    return AnomalyChanged(change.record.device_id, change.at_ms, change.kind.value, change.record.public())
