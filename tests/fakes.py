"""In-memory fakes; each passes the contract tests of the component it replaces."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bson.objectid import ObjectId

from bridge.core.access.accounts import ApiKey, LoginSession, Revocation, Storable, User
from bridge.core.access.audit import REFUSALS, AuditEvent, AuditQuery
from bridge.core.access.shared_links import SharedLink
from bridge.core.alarms.delivery import GROUP_LIMIT, PUSH_LIMIT, AlarmDelivery, DeliveryState, PushSubscription
from bridge.core.devices.command import Command, CommandState
from bridge.core.devices.device import Device, device_from_document
from bridge.core.devices.named_location import NamedLocation
from bridge.core.devices.note import DEVICE_LIMIT, LIMIT, Note
from bridge.core.devices.profile_document import profile_from_document, profile_to_document
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.errors import StoreUnavailable
from bridge.core.events import Event
from bridge.core.message import Decoded, DeviceStatus, Message, Outcome, Rejection
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import (
    Bucket,
    CommandsQuery,
    FieldSummary,
    QuarantinedMessage,
    QuarantineGroup,
    QuarantineQuery,
    ReadingsQuery,
    RetentionResult,
    RollupResult,
    WriteResult,
)
from bridge.core.readings.reading import Reading
from bridge.core.rollup import HistoryRange
from bridge.ports import AlarmInput, BridgeRecord, DeviceRecord, StoredAlarm, StoredTransition
from bridge.settings import StoreSettings

DAY_MS = 86_400_000


class MemoryStore:
    """A store in dictionaries. `failures` makes writes fail `before` or `after` storing; `refuse` names refused devices."""

    log = None

    def __init__(self, settings: StoreSettings | None = None) -> None:
        self.settings = settings or StoreSettings()
        self.quarantine = MemoryQuarantine()
        self.devices = MemoryDevices()
        self.locations = MemoryDocuments[NamedLocation]()
        self.profiles = MemoryProfiles()
        self.air = MemoryDeviceRecords()
        self.anomaly_states = MemoryDeviceRecords()
        self.forecast_states = MemoryDeviceRecords()
        self.predictions = MemoryDeviceRecords()
        self.alarms = MemoryAlarms()
        self.anomalies = MemoryAlarms()
        self.actions = MemoryAlarms()
        self.commands = MemoryCommands()
        self.history = MemoryHistory(self)
        self.users = MemoryUsers()
        self.keys = MemoryDocuments[ApiKey]()
        self.links = MemoryDocuments[SharedLink]()
        self.sessions = MemorySessions()
        self.audit = MemoryAudit()
        self.deliveries = MemoryDeliveries()
        self.notes = MemoryNotes()
        self.push = MemoryPush()
        self.bridges = MemoryBridges()
        self.by_id: dict[ObjectId, Reading] = {}
        self.rejections: dict[ObjectId, Rejection] = {}
        self.state: dict[str, str] = {}
        self.failures: list[str] = []
        self.refuse: set[str] = set()
        self.writes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def prepare(self) -> int:
        return max((reading.seq for reading in self.by_id.values()), default=0)

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        await asyncio.sleep(0)
        self.writes += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise StoreUnavailable("store unavailable: nothing was written")
        self.rejections |= {rejection.id: rejection for rejection in rejections}
        for rejection in rejections:
            self.quarantine.by_id.setdefault(rejection.id, _quarantined(rejection))
        for status in statuses:
            device = self.devices.by_id.setdefault(status.device_id, Device(status.device_id))
            device.status, device.status_ms = status.status, status.timestamp_ms
        refused = {one.seq: "not welcome" for one in readings if one.device_id in self.refuse or _is_too_large(one)}
        for reading in readings:
            if reading.seq not in refused:
                self.by_id.setdefault(reading.id, reading)
        if failure == "after":
            raise StoreUnavailable("store unavailable: everything was written")
        return WriteResult(frozenset(one.seq for one in readings if self._holds(one)), refused)

    def _holds(self, reading: Reading) -> bool:
        existing = self.by_id.get(reading.id)
        return existing is not None and existing.seq == reading.seq

    def matching(self, query: ReadingsQuery) -> list[Reading]:
        return [
            one
            for one in sorted(self.by_id.values(), key=lambda one: one.seq)
            if (query.devices is None or one.device_id in query.devices)
            and (query.from_ms is None or one.timestamp_ms >= query.from_ms)
            and (query.to_ms is None or one.timestamp_ms < query.to_ms)
            and (query.since is None or one.seq > query.since)
            and (query.until is None or one.seq <= query.until)
        ]

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        found = self.matching(query)
        return found[-query.limit :] if query.newest else found[: query.limit]

    async def count(self, query: ReadingsQuery) -> int:
        return len(self.matching(query))

    async def latest(self, devices: Sequence[str] | None = None) -> list[Reading]:
        newest: dict[str, Reading] = {}
        now_ms = time.time_ns() // 1_000_000
        for one in sorted(self.by_id.values(), key=lambda one: (one.received_ms <= now_ms, one.timestamp_ms)):
            if devices is None or one.device_id in devices:
                newest[one.device_id] = one
        return [newest[device] for device in sorted(newest)]

    async def reading(self, identity: ObjectId) -> Reading | None:
        return self.by_id.get(identity)

    async def replace(self, before: Reading, after: Reading | None) -> bool:
        if before.id not in self.by_id:
            return False
        if after is None:
            del self.by_id[before.id]
        else:
            self.by_id[before.id] = after
        return True

    async def enforce_retention(self) -> RetentionResult:
        now_ms = time.time_ns() // 1_000_000
        old = [
            one.id
            for one in self.by_id.values()
            if self.settings.retention_days and one.timestamp_ms < now_ms - self.settings.retention_days * DAY_MS
        ]
        for reading_id in old:
            del self.by_id[reading_id]
        newest_first = await self.quarantine.messages(QuarantineQuery(limit=sys.maxsize))
        young = [one for one in newest_first if one.received_ms >= now_ms - self.settings.rejected_days * DAY_MS]
        self.quarantine.by_id = {one.id: one for one in young[: self.settings.rejected_limit]}
        excess = max(len(young) - self.settings.rejected_limit, 0)
        return RetentionResult(len(old), len(newest_first) - len(young), excess, self.audit.trim(self.settings.audit_limit))

    async def put(self, key: str, value: str) -> None:
        self.state[key] = value

    async def get(self, key: str) -> str | None:
        return self.state.get(key)

    async def put_if_absent(self, key: str, value: str) -> str:
        return self.state.setdefault(key, value)

    async def swap(self, key: str, before: str | None, after: str) -> bool:
        if self.state.get(key) != before:
            return False
        self.state[key] = after
        return True

    async def server_time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def size_bytes(self) -> int:
        return 0

    async def ping(self) -> None:
        if self.failures:
            raise StoreUnavailable("store unavailable")


def _summary(name: str, group: Sequence[Reading]) -> FieldSummary | None:
    values = [float(one.values[name]) for one in group if name in one.values]
    return FieldSummary(min(values), fmean(values), max(values), len(values)) if values else None


class MemoryHistory:
    """Summaries computed from the readings."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str], offset_ms: int = 0) -> list[Bucket]:
        grouped: dict[tuple[int, str], list[Reading]] = {}
        for one in self._store.matching(query):
            start_ms = one.timestamp_ms - (one.timestamp_ms + offset_ms) % every_ms
            grouped.setdefault((start_ms, one.device_id), []).append(one)
        found = [
            Bucket(device, start, len(group), {name: summary for name in fields if (summary := _summary(name, group))})
            for (start, device), group in sorted(
                grouped.items(), key=lambda one: (-one[0][0] if query.newest else one[0][0], one[0][1])
            )
        ]
        return sorted(found[: query.limit], key=lambda one: (one.start_ms, one.device_id))

    async def extent(self, devices: Sequence[str] | None) -> HistoryRange | None:
        times = [one.timestamp_ms for one in self._store.matching(ReadingsQuery(None if devices is None else tuple(devices)))]
        return HistoryRange(min(times), max(times), min(times)) if times else None

    async def roll_up(self, _devices_limit: int = 0, /) -> RollupResult:
        return RollupResult()


class MemoryQuarantine:
    """Rejected messages in a dictionary."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, QuarantinedMessage] = {}

    def _matching(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        return [
            one
            for one in self.by_id.values()
            if query.code in (None, one.code)
            and query.topic in (None, one.topic)
            and (query.device is None or query.device in one.topic.split("/"))
            and query.id in (None, one.id)
            and query.source in (None, one.source)
            and query.field in (None, one.field or "")
        ]

    async def groups(self) -> list[QuarantineGroup]:
        grouped: dict[tuple[str, str | None], list[QuarantinedMessage]] = {}
        for one in sorted(self.by_id.values(), key=lambda one: one.received_ms):
            grouped.setdefault((one.code, one.field), []).append(one)
        found = [
            QuarantineGroup(code, field, len(group), group[-1].received_ms, group[-1].reason)
            for (code, field), group in grouped.items()
        ]
        return sorted(found, key=lambda group: (-group.count, group.code, group.field or ""))

    async def count(self, query: QuarantineQuery) -> int:
        return len(self._matching(query))

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        after = query.after
        if after is None:
            found = sorted(self._matching(query), key=lambda one: (one.received_ms, one.id), reverse=True)
        else:
            found = sorted((one for one in self._matching(query) if one.id > after), key=lambda one: one.id)
        return found[: query.limit]

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        for one in messages:
            if one.id in self.by_id:
                self.by_id[one.id] = replace(self.by_id[one.id], code=one.code, reason=one.reason, field=one.field)

    async def release(self, ids: Sequence[ObjectId]) -> int:
        return sum(self.by_id.pop(one, None) is not None for one in ids)


class MemoryDevices:
    """Devices in a dictionary."""

    def __init__(self) -> None:
        self.by_id: dict[str, Device] = {}

    async def all(self, limit: int) -> list[Device]:
        return [device_from_document(name, self.by_id[name].to_document()) for name in sorted(self.by_id)[:limit]]

    async def get(self, device_id: str) -> Device | None:
        found = self.by_id.get(device_id)
        return None if found is None else device_from_document(device_id, found.to_document())

    async def save(self, devices: Sequence[Device]) -> None:
        self.by_id |= {one.id: one.copy() for one in devices}

    async def save_state(self, devices: Sequence[Device]) -> None:
        await self.save(devices)

    async def remove(self, device_id: str) -> bool:
        return self.by_id.pop(device_id, None) is not None


class MemoryDeviceRecords:
    def __init__(self) -> None:
        self.by_id: dict[str, DeviceRecord] = {}

    async def all(self, limit: int) -> list[DeviceRecord]:
        return [self.by_id[name] for name in sorted(self.by_id)][:limit]

    async def get(self, device_ids: Sequence[str]) -> list[DeviceRecord]:
        return [self.by_id[one] for one in device_ids if one in self.by_id]

    async def save(self, records: Sequence[DeviceRecord]) -> None:
        self.by_id |= {record.device_id: record for record in records}

    async def remove(self, device_id: str) -> None:
        self.by_id.pop(device_id, None)


class MemoryBridges:
    def __init__(self) -> None:
        self.by_id: dict[str, BridgeRecord] = {}

    async def all(self, limit: int) -> list[BridgeRecord]:
        return [self.by_id[name] for name in sorted(self.by_id)][:limit]

    async def save(self, record: BridgeRecord) -> None:
        self.by_id[record.id] = record

    async def remove(self, identity: str) -> bool:
        return self.by_id.pop(identity, None) is not None


class MemoryAlarms:
    def __init__(self) -> None:
        self.alarms: dict[str, StoredAlarm] = {}
        self.log: dict[str, StoredTransition] = {}
        self.given: dict[int, AlarmInput] = {}

    async def write(self, transitions: Sequence[StoredTransition], alarms: Sequence[StoredAlarm]) -> None:
        self.log = {one.id: one for one in transitions} | self.log
        self.alarms |= {one.id: one for one in alarms}

    async def known(self, transition_ids: Sequence[str]) -> set[str]:
        return self.log.keys() & set(transition_ids)

    async def get(self, alarm_id: str) -> StoredAlarm | None:
        return self.alarms.get(alarm_id)

    async def find(
        self,
        *,
        device_id: str | None = None,
        rule: str | None = None,
        is_open: bool | None = None,
        before: str | None = None,
        limit: int,
    ) -> list[StoredAlarm]:
        found = [
            one
            for one in self.alarms.values()
            if device_id in (None, one.device_id) and rule in (None, one.rule) and is_open in (None, one.is_open)
        ]
        return _newest_first(found, before, limit)

    async def transitions(
        self, *, alarm_id: str | None = None, before: str | None = None, limit: int
    ) -> list[StoredTransition]:
        return _newest_first([one for one in self.log.values() if alarm_id in (None, one.alarm_id)], before, limit)

    async def add_input(self, given: AlarmInput) -> None:
        self.given.setdefault(given.number, given)

    async def inputs(self, limit: int) -> list[AlarmInput]:
        return [self.given[number] for number in sorted(self.given)][:limit]

    async def drop_inputs(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.given.pop(number, None)


def _newest_first(stored: list[Any], before: str | None, limit: int) -> list[Any]:
    found = sorted((one for one in stored if before is None or one.id < before), key=lambda one: one.id, reverse=True)
    return found[:limit]


class MemoryProfiles:
    """Profiles in a dictionary, as documents."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}

    async def all(self, limit: int) -> dict[str, DeviceProfile]:
        return {name: profile_from_document(self.by_id[name]) for name in sorted(self.by_id)[:limit]}

    async def save(self, profiles: Mapping[str, DeviceProfile]) -> None:
        self.by_id |= {name: profile_to_document(profile) for name, profile in profiles.items()}

    async def remove(self, device_id: str) -> None:
        self.by_id.pop(device_id, None)


class MemoryCommands:
    """Commands in a dictionary, by device and id."""

    def __init__(self) -> None:
        self.by_id: dict[tuple[str, str], Command] = {}

    async def add(self, command: Command) -> Command:
        return self.by_id.setdefault((command.device_id, command.id), command)

    async def change(self, command: Command, was: CommandState) -> bool:
        existing = self.by_id.get((command.device_id, command.id))
        if existing is None or existing.state is not was:
            return False
        self.by_id[command.device_id, command.id] = command
        return True

    async def get(self, device_id: str, command_id: str) -> Command | None:
        return self.by_id.get((device_id, command_id))

    async def find(self, query: CommandsQuery) -> list[Command]:
        found = [
            one for one in self.by_id.values() if query.device in (None, one.device_id) and query.state in (None, one.state)
        ]
        return sorted(found, key=lambda one: (one.created_ms, one.id), reverse=True)[: query.limit]


T = TypeVar("T", bound=Storable)


class MemoryDocuments(Generic[T]):
    """Users, keys or locations in a dictionary; with `away`, reads by id and revocations raise `StoreUnavailable`."""

    def __init__(self) -> None:
        self.by_id: dict[str, T] = {}
        self.away = False

    async def all(self, limit: int | None = None) -> list[T]:
        return [self.by_id[name] for name in sorted(self.by_id)[:limit]]

    async def get(self, identity: str) -> T | None:
        if self.away:
            raise StoreUnavailable("store unavailable")
        return self.by_id.get(identity)

    async def add(self, one: T) -> bool:
        if one.id in self.by_id:
            return False
        self.by_id[one.id] = one
        return True

    async def save(self, one: T) -> bool:
        if one.id in self.by_id:
            self.by_id[one.id] = one
        return one.id in self.by_id

    async def remove(self, identity: str) -> bool:
        return self.by_id.pop(identity, None) is not None


class MemoryUsers(MemoryDocuments[User]):
    async def has_any(self) -> bool:
        return bool(self.by_id)

    async def change(self, before: User, after: User) -> bool:
        current = self.by_id.get(after.id)
        return current is not None and current.revision == before.revision and await self.save(after)


class MemorySessions(MemoryDocuments[LoginSession]):
    """Sessions and revocations in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked: dict[str, Revocation] = {}

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        if self.by_id.get(before.id) != before:
            return False
        self.by_id[before.id] = after
        return True

    async def by_user(self, user: str) -> list[LoginSession]:
        return sorted((one for one in self.by_id.values() if one.user == user), key=lambda one: (one.created_ms, one.id))

    async def revoke(self, one: Revocation) -> None:
        if self.away:
            raise StoreUnavailable("store unavailable")
        self.revoked.setdefault(one.id, one)

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        return list(self.revoked.values())[mark:], len(self.revoked)


class MemoryAudit:
    """Audit events in a dictionary."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, AuditEvent] = {}

    async def add(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            self.by_id.setdefault(event.id, event)

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        found = [
            one
            for one in self.by_id.values()
            if query.action in (None, one.action)
            and query.actor in (None, one.actor)
            and query.target in (None, one.target)
            and (query.before is None or one.id < query.before)
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[: query.limit]

    def trim(self, limit: int) -> int:
        by_value = sorted(self.by_id, key=lambda event_id: (self.by_id[event_id].action not in REFUSALS, event_id))
        trimmed = by_value[: max(len(self.by_id) - limit, 0)]
        for event_id in trimmed:
            del self.by_id[event_id]
        return len(trimmed)


def _quarantined(rejection: Rejection) -> QuarantinedMessage:
    message = rejection.message
    return QuarantinedMessage(
        rejection.id,
        message.received_ms,
        message.source,
        message.topic,
        message.payload[:PAYLOAD_LIMIT_BYTES],
        str(rejection.code),
        rejection.reason,
        rejection.field,
        message.retained,
    )


def _is_too_large(reading: Reading) -> bool:
    return any(isinstance(value, int) and abs(value) >= 2**63 for value in reading.values.values())


class RecordingOrigin:
    """Records the outcome of each message."""

    def __init__(self) -> None:
        self.settled: list[tuple[Message, Outcome]] = []

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:  # noqa: ARG002
        self.settled.append((message, outcome))


class RecordingPublisher:
    """Records published events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, events: Sequence[Event]) -> None:
        self.events.extend(events)


class MemoryDeliveries:
    def __init__(self) -> None:
        self.by_id: dict[str, AlarmDelivery] = {}

    async def add(self, deliveries: Sequence[AlarmDelivery]) -> None:
        for one in deliveries:
            self.by_id.setdefault(one.id, one)

    async def due(self, target: str, now_ms: int, limit: int) -> list[AlarmDelivery]:
        waiting = [one for one in self.by_id.values() if one.target == target and one.state is DeliveryState.WAITING]
        return [one for one in sorted(waiting, key=lambda one: (one.due_ms, one.id)) if one.due_ms <= now_ms][:limit]

    async def save(self, deliveries: Sequence[AlarmDelivery]) -> None:
        self.by_id |= {one.id: one for one in deliveries}

    async def by_group(self, group: str) -> list[AlarmDelivery]:
        found = (one for one in self.by_id.values() if one.group == group)
        return sorted(found, key=lambda one: (one.created_ms, one.id), reverse=True)[:GROUP_LIMIT]


class MemoryNotes:
    def __init__(self) -> None:
        self.by_id: dict[str, Note] = {}

    async def by_device(self, device_id: str) -> list[Note]:
        found = [self.by_id[one] for one in sorted(self.by_id, reverse=True) if self.by_id[one].device_id == device_id]
        return found[:DEVICE_LIMIT]

    async def get(self, identity: str) -> Note | None:
        return self.by_id.get(identity)

    async def add(self, note: Note) -> None:
        self.by_id[note.id] = note
        for surplus in sorted(self.by_id)[:-LIMIT]:
            del self.by_id[surplus]

    async def remove(self, identity: str) -> bool:
        return self.by_id.pop(identity, None) is not None


class MemoryPush:
    def __init__(self) -> None:
        self.by_id: dict[str, PushSubscription] = {}

    async def all(self, limit: int) -> list[PushSubscription]:
        return [self.by_id[one] for one in sorted(self.by_id)][:limit]

    async def get(self, identity: str) -> PushSubscription | None:
        return self.by_id.get(identity)

    async def by_user(self, user: str) -> list[PushSubscription]:
        found = (one for one in self.by_id.values() if one.user == user)
        return sorted(found, key=lambda one: (one.created_ms, one.id))

    async def add(self, subscription: PushSubscription) -> None:
        self.by_id[subscription.id] = subscription
        for surplus in (await self.by_user(subscription.user))[:-PUSH_LIMIT]:
            del self.by_id[surplus.id]

    async def remove(self, identity: str) -> bool:
        return self.by_id.pop(identity, None) is not None
