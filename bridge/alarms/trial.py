"""Rules tried on stored readings: which alarms they would have raised."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import AlarmRecord, Transition, TransitionKind
from bridge.alarms.rules import Rule
from bridge.alarms.scope import DeviceFacts
from bridge.core.query import ReadingsQuery
from bridge.ports import Store

ALARMS_LIMIT = 10_000
_DEVICES_LIMIT = 100_000
_PAGE = 5000
_US_PER_MS = 1000


@dataclass(slots=True)
class TrialResult:
    """The first `limit` alarms, as they were at last, and how many there were; readings that came too late are `past`.

    A rule that suppresses another hides its alarms here as well.
    """

    limit: int = ALARMS_LIMIT
    readings: int = 0
    devices: int = 0
    raised: int = 0
    alarms: dict[str, AlarmRecord] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    _announced: dict[str, bool] = field(default_factory=dict)

    def add(self, transition: Transition) -> None:
        record = transition.record
        if transition.kind in (TransitionKind.RAISED, TransitionKind.PAST) and record.id not in self._announced:
            self.raised += 1
            if len(self.alarms) >= self.limit:
                return
            self._announced[record.id] = False
        if record.id in self._announced:
            self.alarms[record.id] = record
            self._announced[record.id] |= transition.announces or transition.kind is TransitionKind.PAST

    @property
    def announced(self) -> list[AlarmRecord]:
        """The alarms that people would have been told of, or would have seen, by time."""
        told = (one for one in self.alarms.values() if self._announced[one.id])
        return sorted(told, key=lambda one: (one.raised_ms or 0, one.rule, one.device_id or ""))


async def try_rules(
    store: Store,
    rules: Iterable[Rule],
    from_ms: int,
    *,
    limit: int = ALARMS_LIMIT,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> TrialResult:
    """Fold the readings that were received since `from_ms`, page by page, with the time at which each was received.

    Averages and doses begin anew there. `progress` is called with the readings done and their number. Raises `RuleError` if the
    rules do not fit together, and `StoreUnavailable`.
    """
    fold, result = AlarmFold(rules), TrialResult(limit)
    facts = {
        device.id: DeviceFacts(device.site, device.room, device.expected_seconds, device.is_retired)
        for device in await store.devices.all(_DEVICES_LIMIT)
    }
    query = ReadingsQuery(since=from_ms * _US_PER_MS - 1, limit=_PAGE)
    total = await store.count(query)
    known: set[str] = set()
    while page := await store.readings(query):
        for reading in page:
            if reading.device_id not in known:
                known.add(reading.device_id)
                if reading.device_id in facts:
                    fold.set_facts(reading.device_id, facts[reading.device_id], reading.received_ms)
            for transition in (*fold.tick(reading.received_ms), *fold.step(reading)):
                result.add(transition)
        result.readings += len(page)
        result.first_ms = page[0].received_ms if result.first_ms is None else result.first_ms
        result.last_ms = page[-1].received_ms
        progress(result.readings, max(total, result.readings))
        query = replace(query, since=page[-1].seq)
    result.devices = len(known)
    return _with_peaks(fold, result)


def _with_peaks(fold: AlarmFold, result: TrialResult) -> TrialResult:
    """Of alarms that still stand, take the worst value so far."""
    for record in fold.records():
        if record.id in result.alarms:
            result.alarms[record.id] = record
    return result
