"""What operators see and do: the standing alarms, their history, and actions, which are audited."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from bridge.alarms.actions import ActionKind
from bridge.alarms.kpis import AlarmKpis, kpis
from bridge.alarms.record import AlarmRecord, AlarmState, Transition
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.service import AlarmService
from bridge.alarms.service.stored import StoredAlarmReader
from bridge.core.access.permissions import Identity
from bridge.core.alarms.delivery import AlarmDelivery
from bridge.core.errors import UnknownAlarm
from bridge.ports import AlarmStore, AuditLog, DeliveryStore

_PAGE = 1000
KPI_LIMIT = 100_000
"""The most transitions that are counted at once."""


_SHARED_SECONDS = 1.0
_UNACKNOWLEDGED = (AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED)


class _Snapshot:
    """The standing alarms after so many changes."""

    def __init__(self, standing: list[AlarmRecord], changes: int, until: float) -> None:
        self.standing = standing
        self.changes = changes
        self.until = until
        self.bodies: list[Mapping[str, Any]] | None = None

    @cached_property
    def numbers(self) -> Mapping[bool, dict[str, int]]:
        """How many are announced, by priority: all (False), and those that nobody has acknowledged (True)."""
        shown = [one for one in self.standing if one.state is not AlarmState.NORMAL and not one.is_quiet]
        every = Counter(one.priority for one in shown)
        unacknowledged = Counter(one.priority for one in shown if one.state in _UNACKNOWLEDGED)
        return {
            False: {one.value: every[one] for one in Priority},
            True: {one.value: unacknowledged[one] for one in Priority},
        }


class AlarmDesk:
    def __init__(self, service: AlarmService, store: AlarmStore, deliveries: DeliveryStore, audit: AuditLog | None) -> None:
        """`audit` is None while access is open."""
        self._service = service
        self._store = store
        self._deliveries = deliveries
        self._audit = audit
        self._reader = StoredAlarmReader()
        self._shared: _Snapshot | None = None

    @property
    def is_catching_up(self) -> bool:
        """Whether stored readings have not been looked at yet."""
        return self._service.is_catching_up

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._service.rules

    def standing(self) -> list[AlarmRecord]:
        """Return the alarms that are not normal, and those that are shelved or out of service, the latest first."""
        return sorted(self._service.standing(), key=lambda one: one.id, reverse=True)

    def standing_numbers(self, *, only_unacknowledged: bool = False) -> dict[str, int]:
        """Return how many alarms are not normal and not hidden, by priority."""
        return self._snapshot().numbers[only_unacknowledged]

    def standing_bodies(self) -> list[Mapping[str, Any]]:
        """Return the standing alarms as clients receive them, the latest first; those who connect at once share one list."""
        snapshot = self._snapshot()
        if snapshot.bodies is None:
            snapshot.bodies = [record.public() for record in snapshot.standing]
        return snapshot.bodies

    def _snapshot(self) -> "_Snapshot":
        """Return the standing alarms as they are: a peak may be `_SHARED_SECONDS` old."""
        if self._shared is None or self._shared.changes != self._service.changes or time.monotonic() > self._shared.until:
            self._shared = _Snapshot(self.standing(), self._service.changes, time.monotonic() + _SHARED_SECONDS)
        return self._shared

    async def alarm(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm, also one that has ended. Raises `StoreUnavailable`."""
        return await self._service.alarm(alarm_id)

    async def history(
        self, *, device_id: str | None, rule: str | None, is_open: bool | None, before: str | None, limit: int
    ) -> list[AlarmRecord]:
        """Return stored alarms, the latest first. Raises `StoreUnavailable`."""
        records: list[AlarmRecord] = []
        while missing := limit - len(records):
            found = await self._store.find(device_id=device_id, rule=rule, is_open=is_open, before=before, limit=missing)
            records += self._reader.alarms(found)
            if len(found) < missing:
                break
            before = found[-1].id
        return records

    async def transitions(self, alarm_id: str) -> list[Transition]:
        """Return the changes of an alarm, the first one first, at most 1,000. Raises `StoreUnavailable`."""
        found = await self._store.transitions(alarm_id=alarm_id, limit=_PAGE)
        return self._reader.transitions(reversed(found))

    async def deliveries(self, record: AlarmRecord) -> list[AlarmDelivery]:
        """Return who was told of an alarm, or is to be, the first one first. Raises `StoreUnavailable`."""
        found = await self._deliveries.by_group(record.group or record.id)
        return [one for one in reversed(found) if record.id in one.alarm_ids]

    async def figures(self, from_ms: int, to_ms: int, devices: Sequence[str] | None) -> AlarmKpis:
        """Return the figures of a time, of these devices (None: all). Raises `StoreUnavailable`."""
        allowed = None if devices is None else frozenset(devices)
        transitions: list[Transition] = []
        before: str | None = f"{to_ms:011x}"
        while len(transitions) < KPI_LIMIT:
            stored = await self._store.transitions(before=before, limit=_PAGE)
            page = self._reader.transitions(stored)
            within = [one for one in page if one.at_ms >= from_ms]
            transitions += [one for one in within if allowed is None or one.record.device_id in allowed]
            if len(within) < len(page) or len(stored) < _PAGE:
                break
            before = stored[-1].id
        return kpis(reversed(transitions), from_ms, to_ms)

    async def acknowledge(
        self, alarm_id: str, permits: Callable[[str], bool], actor: Identity, address: str, comment: str | None
    ) -> Mapping[str, Any]:
        """Acknowledge an alarm for a client of a socket; see `AlarmPanel`."""
        record = await self.alarm(alarm_id)
        if record is None or not permits(record.device_id or ""):
            raise UnknownAlarm(f"no alarm {alarm_id} is known, or you may not acknowledge it")
        return (await self.operate(ActionKind.ACKNOWLEDGE, record, actor, address, comment=comment)).public()

    async def operate(
        self,
        kind: ActionKind,
        alarm: AlarmRecord,
        actor: Identity,
        address: str,
        *,
        comment: str | None = None,
        until_ms: int | None = None,
    ) -> AlarmRecord:
        """Carry out an action, and return the alarm once that is stored.

        Raises `UnknownAlarm`, `AlarmStateError`, `StoreUnavailable` and `TemporarilyUnavailable`.
        """
        done = await self._service.operate(kind, alarm, actor.name or actor.kind.value, comment, until_ms)
        if self._audit is not None:
            target = f"{alarm.device_id or 'bridge'} {alarm.rule}"
            self._audit.record(f"alarm {kind.value}", actor=actor, address=address, target=target)
        return done
