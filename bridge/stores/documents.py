"""Everything that is not a reading: written once, over the document collections of a driver."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import orjson
from bson.objectid import ObjectId

from bridge.core.access.accounts import (
    EXPIRES_AT,
    ApiKey,
    LoginSession,
    Revocation,
    Storable,
    User,
    api_key_from_document,
    revocation_from_document,
    session_from_document,
    user_from_document,
)
from bridge.core.access.audit import REFUSALS, AuditEvent, AuditQuery, audit_event_from_document
from bridge.core.access.shared_links import SharedLink, shared_link_from_document
from bridge.core.alarms.delivery import (
    CREATED_AT,
    GROUP_LIMIT,
    PUSH_LIMIT,
    AlarmDelivery,
    DeliveryState,
    PushSubscription,
    delivery_from_document,
    push_from_document,
)
from bridge.core.devices import command, device, named_location, note
from bridge.core.devices.command import Command, CommandState, command_from_document
from bridge.core.devices.device import Device, device_from_document
from bridge.core.devices.named_location import NamedLocation, location_from_document
from bridge.core.devices.note import DEVICE_LIMIT, LIMIT, Note, note_from_document
from bridge.core.devices.profile_document import profile_from_document, profile_to_document
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.errors import StoreUnavailable
from bridge.core.query import CommandsQuery
from bridge.ports import AlarmInput, BridgeRecord, DeviceRecord, StoredAlarm, StoredTransition
from bridge.stores.record_reader import RecordReader

Document = dict[str, Any]
Fields = Mapping[str, Any]
Key = str | ObjectId
ALL: Fields = MappingProxyType({})
_SLASH = "/"
T = TypeVar("T", bound=Storable)


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """How the documents of one kind are stored.

    `times` are the fields that MongoDB stores as dates. `columns` maps the SQLite columns beside the JSON document to its
    fields; queries filter and sort by these fields only. `column_only` are the fields that the JSON leaves out. `is_encoded`:
    fields are numbers of at most 64 bits, and texts that are JSON themselves: SQLite encodes them again five times as fast.
    """

    name: str
    times: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    column_only: frozenset[str] = frozenset({"_id"})
    is_encoded: bool = False


USERS = CollectionSchema("users", ("createdAt",))
API_KEYS = CollectionSchema("keys", ("createdAt", "validUntil"))
SHARED_LINKS = CollectionSchema("links", ("createdAt", EXPIRES_AT))
SESSIONS = CollectionSchema("sessions", ("createdAt", EXPIRES_AT), {"user": "user", "turn": "turn", "expires_at": EXPIRES_AT})
REVOCATIONS = CollectionSchema("revocations", ("at", EXPIRES_AT), {"at": "at", "expires_at": EXPIRES_AT})
AUDIT = CollectionSchema(
    "audit", ("at",), {"at": "at", "act": "act", "by": "by", "about": "about"}, column_only=frozenset({"_id", "at"})
)
DEVICES = CollectionSchema("devices", device.TIMES, {"status": "status", "status_at": "statusAt"})
LOCATIONS = CollectionSchema("locations", named_location.TIMES)
PROFILES = CollectionSchema("profiles")
AIR = CollectionSchema("air", is_encoded=True)
ANOMALY_STATES = CollectionSchema("anomaly_states", is_encoded=True)
FORECAST_STATES = CollectionSchema("forecast_states", is_encoded=True)
PREDICTIONS = CollectionSchema("predictions", is_encoded=True)
ALARMS = CollectionSchema("alarms", columns={"device": "device", "rule": "rule", "open": "open"})
ALARM_TRANSITIONS = CollectionSchema("alarm_transitions", columns={"alarm": "alarm"})
ALARM_INPUTS = CollectionSchema("alarm_inputs")
ANOMALIES = CollectionSchema("anomalies", columns={"device": "device", "rule": "rule", "open": "open"})
ANOMALY_TRANSITIONS = CollectionSchema("anomaly_transitions", columns={"alarm": "alarm"})
ANOMALY_INPUTS = CollectionSchema("anomaly_inputs")
ACTIONS = CollectionSchema("actions", columns={"device": "device", "rule": "rule", "open": "open"})
ACTION_TRANSITIONS = CollectionSchema("action_transitions", columns={"alarm": "alarm"})
ACTION_INPUTS = CollectionSchema("action_inputs")
COMMANDS = CollectionSchema("commands", command.TIMES, {"device_id": "device", "created_at": "createdAt", "state": "state"})
DELIVERIES = CollectionSchema(
    "deliveries",
    (CREATED_AT,),
    {"target": "target", "state": "state", "due_at": "dueAt", "group_id": "group", "created_at": CREATED_AT},
)
NOTES = CollectionSchema("notes", note.TIMES, {"device": "device"})
PUSH = CollectionSchema("push", (CREATED_AT,), {"user": "user", "created_at": CREATED_AT})
BRIDGES = CollectionSchema("bridges", ("startedAt",))


class DocumentCollection(Protocol):
    """Documents of one kind. A document has its key under `_id`, JSON types, and times in milliseconds since the epoch.

    Every call may raise `StoreUnavailable`.
    """

    async def get(self, key: Key) -> Document | None:
        """Return the document with this key."""

    async def find(self, where: Fields = ALL, order: str = "_id", before: Key | None = None, limit: int = 0) -> list[Document]:
        """Return documents whose fields equal `where` (None: any value) and whose key is less than `before`.

        `order` is a field, with `-` in front for descending order; equal ones are sorted by key in the same direction.
        """

    async def insert(self, document: Document) -> bool:
        """Insert a document; False, and nothing changes, if its key exists."""

    async def insert_many(self, documents: Sequence[Document]) -> None:
        """Insert the documents whose keys do not exist. Raises `StoreError` if the database refuses one."""

    async def replace(self, document: Document, **expected: str) -> bool:
        """Overwrite the document of this key if its fields equal `expected`: of several concurrent calls, one returns True.

        A field that the document lacks equals an empty text.
        """

    async def put(self, documents: Sequence[Document]) -> None:
        """Insert or overwrite; a document that the database refuses is logged and does not affect the others."""

    async def merge(self, documents: Sequence[Document]) -> None:
        """As `put`, but fields that a document lacks keep their values."""

    async def delete(self, key: Key) -> bool:
        """Delete the document with this key; False if there is none."""

    async def trim(self, limit: int, order: str = "_id", first: tuple[str, Sequence[str]] | None = None) -> int:
        """Delete the lowest documents beyond `limit`, those whose field has one of the values of `first` before others.

        Return how many were deleted.
        """


class DocumentLog(Protocol):
    """Documents in the order in which they were written."""

    async def append(self, document: Document) -> None:
        """Insert a document unless its key exists."""

    async def since(self, mark: int) -> tuple[list[Document], int]:
        """Return the documents after `mark` (0: all) and the mark for the next call; some may be returned twice."""


class DocumentStores:
    """The repositories of `bridge.ports.StateStore`, over the collections of a driver."""

    def _open_repositories(
        self, collection: Callable[[CollectionSchema], DocumentCollection], revocations: DocumentLog
    ) -> None:
        self.devices = DocumentDeviceStore(collection(DEVICES), RecordReader("devices", Device, device_from_document))
        self.locations = DocumentRecordStore(
            collection(LOCATIONS), RecordReader("locations", NamedLocation, location_from_document)
        )
        self.profiles = DocumentProfileStore(collection(PROFILES))
        self.air = DocumentDeviceRecordStore(collection(AIR), "air")
        self.anomaly_states = DocumentDeviceRecordStore(collection(ANOMALY_STATES))
        self.forecast_states = DocumentDeviceRecordStore(collection(FORECAST_STATES))
        self.predictions = DocumentDeviceRecordStore(collection(PREDICTIONS))
        self.alarms = DocumentAlarmStore(*map(collection, (ALARMS, ALARM_TRANSITIONS, ALARM_INPUTS)))
        self.anomalies = DocumentAlarmStore(*map(collection, (ANOMALIES, ANOMALY_TRANSITIONS, ANOMALY_INPUTS)))
        self.actions = DocumentAlarmStore(*map(collection, (ACTIONS, ACTION_TRANSITIONS, ACTION_INPUTS)))
        self.commands = DocumentCommandStore(collection(COMMANDS))
        self.users = DocumentUserStore(collection(USERS), RecordReader("users", User, user_from_document))
        self.keys = DocumentRecordStore(collection(API_KEYS), RecordReader("keys", ApiKey, api_key_from_document))
        self.links = DocumentRecordStore(collection(SHARED_LINKS), RecordReader("links", SharedLink, shared_link_from_document))
        self.sessions = DocumentSessionStore(collection(SESSIONS), revocations)
        self.audit = DocumentAuditStore(collection(AUDIT))
        self.deliveries = DocumentDeliveryStore(collection(DELIVERIES))
        self.notes = DocumentNoteStore(collection(NOTES), RecordReader("notes", Note, note_from_document))
        self.push = DocumentPushStore(collection(PUSH), RecordReader("push", PushSubscription, push_from_document))
        self.bridges = DocumentBridgeStore(collection(BRIDGES))


class DocumentStore(Generic[T]):
    def __init__(self, documents: DocumentCollection, reader: RecordReader[T]) -> None:
        self._documents = documents
        self._reader = reader

    async def all(self, limit: int = 0) -> list[T]:
        return self._reader.all(await self._documents.find(limit=limit))

    async def get(self, identity: str) -> T | None:
        return self._reader.read(await self._documents.get(identity))

    async def remove(self, identity: str) -> bool:
        return await self._documents.delete(identity)


class DocumentRecordStore(DocumentStore[T]):
    async def add(self, record: T) -> bool:
        return await self._documents.insert(_document(record))

    async def save(self, record: T) -> bool:
        return await self._documents.replace(_document(record))


class DocumentUserStore(DocumentRecordStore[User]):
    async def has_any(self) -> bool:
        return bool(await self._documents.find(limit=1))

    async def change(self, before: User, after: User) -> bool:
        return await self._documents.replace(_document(after), revision=before.revision)


class DocumentSessionStore(DocumentRecordStore[LoginSession]):
    def __init__(self, sessions: DocumentCollection, revocations: DocumentLog) -> None:
        super().__init__(sessions, RecordReader("sessions", LoginSession, session_from_document))
        self._revocations = revocations
        self._revocation_reader = RecordReader("revocations", Revocation, revocation_from_document)

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        return await self._documents.replace(_document(after), turn=before.generation)

    async def by_user(self, user: str) -> list[LoginSession]:
        sessions = self._reader.all(await self._documents.find({"user": user}))
        return sorted(sessions, key=lambda session: (session.created_ms, session.id))

    async def revoke(self, revocation: Revocation) -> None:
        await self._revocations.append(_document(revocation))

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        documents, mark = await self._revocations.since(mark)
        return self._revocation_reader.all(documents), mark


class DocumentDeviceStore(DocumentStore[Device]):
    async def save(self, devices: Sequence[Device]) -> None:
        if devices:
            await self._documents.put(list(map(_document, devices)))

    async def save_state(self, devices: Sequence[Device]) -> None:
        if devices:
            await self._documents.merge([{"_id": one.id, **one.state_to_document()} for one in devices])


class DocumentProfileStore:
    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents
        self._reader = RecordReader("profiles", DeviceProfile, lambda _, document: profile_from_document(document))

    async def all(self, limit: int) -> dict[str, DeviceProfile]:
        documents = await self._documents.find(limit=limit)
        found = {str(document["_id"]): self._reader.read(document) for document in documents}
        return {name: profile for name, profile in found.items() if profile is not None}

    async def save(self, profiles: Mapping[str, DeviceProfile]) -> None:
        if profiles:
            await self._documents.put([{"_id": name, **profile_to_document(one)} for name, one in profiles.items()])

    async def remove(self, device_id: str) -> None:
        await self._documents.delete(device_id)


class DocumentDeviceRecordStore:
    """The body is stored as text: nobody queries it, and its numbers stay what they are."""

    def __init__(self, documents: DocumentCollection, body: str = "body") -> None:
        """`body` is the field of the body."""
        self._documents = documents
        self._body = body

    async def all(self, limit: int) -> list[DeviceRecord]:
        return list(map(self._record, await self._documents.find(limit=limit)))

    async def get(self, device_ids: Sequence[str]) -> list[DeviceRecord]:
        found = [await self._documents.get(one) for one in device_ids]
        return [self._record(document) for document in found if document is not None]

    async def save(self, records: Sequence[DeviceRecord]) -> None:
        if records:
            await self._documents.put([{"_id": one.device_id, "seq": one.seq, self._body: _text(one.body)} for one in records])

    async def remove(self, device_id: str) -> None:
        await self._documents.delete(device_id)

    def _record(self, document: Document) -> DeviceRecord:
        seq = document.get("seq")
        return DeviceRecord(str(document["_id"]), seq if isinstance(seq, int) else 0, _object(document.get(self._body)))


class DocumentAlarmStore:
    """The bodies are stored as text, like those of the air."""

    def __init__(self, alarms: DocumentCollection, transitions: DocumentCollection, inputs: DocumentCollection) -> None:
        self._alarms = alarms
        self._transitions = transitions
        self._inputs = inputs

    async def write(self, transitions: Sequence[StoredTransition], alarms: Sequence[StoredAlarm]) -> None:
        if transitions:
            await self._transitions.insert_many(
                [{"_id": one.id, "alarm": one.alarm_id, "body": _text(one.body)} for one in transitions]
            )
        if new := [_alarm_document(one) for one in alarms if one.is_new]:
            await self._alarms.insert_many(new)
        if changed := [_alarm_document(one) for one in alarms if not one.is_new]:
            await self._alarms.put(changed)

    async def known(self, transition_ids: Sequence[str]) -> set[str]:
        return {one for one in transition_ids if await self._transitions.get(one) is not None}

    async def get(self, alarm_id: str) -> StoredAlarm | None:
        document = await self._alarms.get(alarm_id)
        return None if document is None else _alarm(document)

    async def find(
        self,
        *,
        device_id: str | None = None,
        rule: str | None = None,
        is_open: bool | None = None,
        before: str | None = None,
        limit: int,
    ) -> list[StoredAlarm]:
        where = {"device": device_id, "rule": rule, "open": None if is_open is None else _OPEN[is_open]}
        return list(map(_alarm, await self._alarms.find(where, order="-_id", before=before, limit=limit)))

    async def transitions(
        self, *, alarm_id: str | None = None, before: str | None = None, limit: int
    ) -> list[StoredTransition]:
        found = await self._transitions.find({"alarm": alarm_id}, order="-_id", before=before, limit=limit)
        return [StoredTransition(str(one["_id"]), one["alarm"], _object(one.get("body"))) for one in found]

    async def add_input(self, given: AlarmInput) -> None:
        await self._inputs.insert({"_id": _number_key(given.number), "body": _text(given.body)})

    async def inputs(self, limit: int) -> list[AlarmInput]:
        return [AlarmInput(int(one["_id"]), _object(one.get("body"))) for one in await self._inputs.find(limit=limit)]

    async def drop_inputs(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            await self._inputs.delete(_number_key(number))

    async def trim(self, limit: int) -> None:
        """Delete the oldest alarms and transitions beyond `limit` each; open alarms last."""
        await self._transitions.trim(limit)
        await self._alarms.trim(limit, first=("open", [_OPEN[False]]))


class DocumentCommandStore:
    """Commands under `device/id`: the id has no slash.

    Earlier versions stored them under their id alone. Such commands are found and changed under that key until they expire.
    """

    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents
        self._reader = RecordReader("commands", Command, _command)

    async def get(self, device_id: str, command_id: str) -> Command | None:
        document = await self._documents.get(_command_key(device_id, command_id))
        if document is None:
            return await self._get_early(device_id, command_id)
        return self._of(device_id, document)  # None for a/b with id c, asked for as a with id b/c

    async def _get_early(self, device_id: str, command_id: str) -> Command | None:
        return None if _SLASH in command_id else self._of(device_id, await self._documents.get(command_id))

    def _of(self, device_id: str, document: Document | None) -> Command | None:
        found = self._reader.read(document)
        return found if found is not None and found.device_id == device_id else None

    async def add(self, command: Command) -> Command:
        early = await self._get_early(command.device_id, command.id)
        if early is not None:
            return early
        if await self._documents.insert(_command_document(command)):
            return command
        existing = await self.get(command.device_id, command.id)
        if existing is None:
            raise StoreUnavailable(f"command {command.id} expired while it was added")
        return existing

    async def change(self, command: Command, was: CommandState) -> bool:
        if await self._documents.replace(_command_document(command), state=str(was)):
            return True
        return await self._documents.replace(_document(command), state=str(was), device=command.device_id)

    async def find(self, query: CommandsQuery) -> list[Command]:
        where = {"device": query.device, "state": None if query.state is None else str(query.state)}
        return self._reader.all(await self._documents.find(where, "-createdAt", limit=query.limit))


class DocumentAuditStore:
    """Audit events. Their ids begin with the time."""

    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents
        self._reader = RecordReader("audit", AuditEvent, _audit_event)

    async def add(self, events: Sequence[AuditEvent]) -> None:
        if events:
            documents = [{"_id": event.id, "at": event.at_ms, **event.to_document()} for event in events]
            await self._documents.insert_many(documents)

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        """Read on where events are damaged: fewer than the limit would look like the end of the log."""
        where = {"act": query.action, "by": query.actor, "about": query.target}
        found: list[AuditEvent] = []
        before: Key | None = query.before
        while missing := query.limit - len(found):
            documents = await self._documents.find(where, "-_id", before, missing)
            found += self._reader.all(documents)
            if len(documents) < missing:
                break
            before = documents[-1]["_id"]
        return found

    async def trim(self, limit: int) -> int:
        """Delete the events beyond `limit`, refusals first, then the oldest; return how many."""
        return await self._documents.trim(limit, first=("act", REFUSALS))


class DocumentDeliveryStore:
    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents
        self._reader = RecordReader("deliveries", AlarmDelivery, delivery_from_document)

    async def add(self, deliveries: Sequence[AlarmDelivery]) -> None:
        if deliveries:
            await self._documents.insert_many(list(map(_document, deliveries)))

    async def due(self, target: str, now_ms: int, limit: int) -> list[AlarmDelivery]:
        where = {"target": target, "state": DeliveryState.WAITING.value}
        found = self._reader.all(await self._documents.find(where, "dueAt", limit=limit))
        return [one for one in found if one.due_ms <= now_ms]

    async def save(self, deliveries: Sequence[AlarmDelivery]) -> None:
        if deliveries:
            await self._documents.put(list(map(_document, deliveries)))

    async def by_group(self, group: str) -> list[AlarmDelivery]:
        found = await self._documents.find({"group": group}, f"-{CREATED_AT}", limit=GROUP_LIMIT)
        return self._reader.all(found)


class DocumentNoteStore(DocumentStore[Note]):
    async def by_device(self, device_id: str) -> list[Note]:
        return self._reader.all(await self._documents.find({"device": device_id}, "-_id", limit=DEVICE_LIMIT))

    async def add(self, record: Note) -> None:
        await self._documents.insert(_document(record))
        await self._documents.trim(LIMIT)


class DocumentPushStore(DocumentStore[PushSubscription]):
    async def by_user(self, user: str) -> list[PushSubscription]:
        return self._reader.all(await self._documents.find({"user": user}, CREATED_AT))

    async def add(self, subscription: PushSubscription) -> None:
        await self._documents.put([_document(subscription)])
        of_user = [one for one in await self.by_user(subscription.user) if one.id != subscription.id]
        for surplus in of_user[: max(0, len(of_user) + 1 - PUSH_LIMIT)]:
            await self._documents.delete(surplus.id)


class DocumentBridgeStore:
    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents
        self._reader = RecordReader("bridges", BridgeRecord, _bridge)

    async def all(self, limit: int) -> list[BridgeRecord]:
        return self._reader.all(await self._documents.find(limit=limit))

    async def save(self, record: BridgeRecord) -> None:
        """The report is stored as text, like the body of an alarm."""
        document = {name: getattr(record, name) for name in _BRIDGE_FIELDS}
        times = {"startedAt": record.started_ms}
        await self._documents.put([{"_id": record.id, **document, **times, "report": _text(dict(record.report))}])

    async def remove(self, identity: str) -> bool:
        return await self._documents.delete(identity)


_BRIDGE_FIELDS = ("host", "pid", "version", "address", "place", "beat", "number")


def _bridge(identity: str, document: Fields) -> BridgeRecord:
    """During an upgrade the bridges of a cluster have several versions: a field may be missing."""
    fields = {name: document[name] for name in _BRIDGE_FIELDS if name in document}
    started_ms, report = document.get("startedAt", 0), orjson.loads(document.get("report", "{}"))
    return BridgeRecord(id=identity, started_ms=started_ms, report=report, **fields)


def _document(record: Storable) -> Document:
    return {"_id": record.id, **record.to_document()}


_OPEN = {True: "yes", False: "no"}


def _text(body: Fields) -> str:
    return orjson.dumps(body).decode()


def _alarm_document(alarm: StoredAlarm) -> Document:
    columns = {"device": alarm.device_id, "rule": alarm.rule, "open": _OPEN[alarm.is_open]}
    return {"_id": alarm.id, **columns, "body": _text(alarm.body)}


def _alarm(document: Document) -> StoredAlarm:
    is_open = document["open"] == _OPEN[True]
    return StoredAlarm(str(document["_id"]), document["device"], document["rule"], is_open, _object(document.get("body")))


def _object(text: object) -> dict[str, Any]:
    """Return a stored body; an empty one if it is damaged, which every reader of bodies refuses by itself."""
    try:
        body = orjson.loads(text)  # type: ignore[arg-type]
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _number_key(number: int) -> str:
    """Return a key that sorts as its number."""
    return f"{number:016d}"


def _audit_event(_key: str, document: Fields) -> AuditEvent:
    return audit_event_from_document(document["_id"], document["at"], document)


def _command_key(device_id: str, command_id: str) -> str:
    return f"{device_id}{_SLASH}{command_id}"


def _command_document(command: Command) -> Document:
    return {"_id": _command_key(command.device_id, command.id), **command.to_document()}


def _command(key: str, document: Fields) -> Command:
    return command_from_document(key.rpartition(_SLASH)[2], document)
