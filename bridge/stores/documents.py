"""Users, API keys, sessions, audit events, devices and commands: written once, over the document collections of a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from bson.objectid import ObjectId

from bridge.core.access.accounts import (
    EXPIRES_AT,
    LoginSession,
    Revocation,
    Storable,
    revocation_from_document,
    session_from_document,
)
from bridge.core.access.audit import REFUSALS, AuditEvent, AuditQuery, audit_event_from_document
from bridge.core.devices import command, device
from bridge.core.devices.command import Command, CommandState, command_from_document
from bridge.core.devices.device import Device, device_from_document
from bridge.core.errors import StoreUnavailable
from bridge.core.query import CommandsQuery

Document = dict[str, Any]
Key = str | ObjectId
T = TypeVar("T", bound=Storable)


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """How the documents of one kind are stored.

    `times` are the fields that MongoDB stores as dates. `columns` maps the SQLite columns beside the JSON document to its
    fields; queries filter and sort by these fields only. `column_only` are the fields that the JSON leaves out.
    """

    name: str
    times: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    column_only: frozenset[str] = frozenset({"_id"})


USERS = CollectionSchema("users", ("createdAt",))
API_KEYS = CollectionSchema("keys", ("createdAt", "validUntil"))
SESSIONS = CollectionSchema("sessions", ("createdAt", EXPIRES_AT), {"user": "user", "turn": "turn", "expires_at": EXPIRES_AT})
REVOCATIONS = CollectionSchema("revocations", ("at", EXPIRES_AT), {"at": "at", "expires_at": EXPIRES_AT})
AUDIT = CollectionSchema(
    "audit", ("at",), {"at": "at", "act": "act", "by": "by", "about": "about"}, column_only=frozenset({"_id", "at"})
)
DEVICES = CollectionSchema("devices", device.TIMES, {"status": "status", "status_at": "statusAt"})
COMMANDS = CollectionSchema("commands", command.TIMES, {"device_id": "device", "created_at": "createdAt", "state": "state"})


class DocumentCollection(Protocol):
    """Documents of one kind. A document has its key under `_id`, JSON types, and times in milliseconds since the epoch.

    Every call may raise `StoreUnavailable`.
    """

    async def get(self, key: Key) -> Document | None:
        """Return the document with this key."""
        ...

    async def find(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        order_by: str = "_id",
        descending: bool = False,
        before: Key | None = None,
        limit: int | None = None,
    ) -> list[Document]:
        """Return the documents whose fields equal `where` (None: any value) and whose key is less than `before`.

        Documents that `order_by` does not tell apart are sorted by key, in the same direction.
        """
        ...

    async def insert(self, document: Document) -> bool:
        """Insert a document; False, and nothing changes, if its key exists."""
        ...

    async def insert_many(self, documents: Sequence[Document]) -> None:
        """Insert the documents whose keys do not exist. Raises `StoreError` if the database refuses one."""
        ...

    async def replace(self, document: Document, **expected: str) -> bool:
        """Overwrite the document of this key if its fields equal `expected`: of several concurrent calls, one returns True."""
        ...

    async def put(self, documents: Sequence[Document]) -> None:
        """Insert or overwrite; a document that the database refuses is logged and keeps no other out."""
        ...

    async def delete(self, key: Key) -> bool:
        """Delete the document with this key; False if there is none."""
        ...

    async def trim(self, limit: int, *, order_by: str = "_id", first: tuple[str, Sequence[str]] | None = None) -> int:
        """Delete the lowest documents beyond `limit`, those whose field has one of the values of `first` before others.

        Return how many were deleted.
        """
        ...


class DocumentLog(Protocol):
    """Documents in the order in which they were written."""

    async def append(self, document: Document) -> None:
        """Insert a document unless its key exists."""
        ...

    async def since(self, mark: int) -> tuple[list[Document], int]:
        """Return what was written after `mark` (0: everything) and the mark for the next call; some may be returned twice."""
        ...


class DocumentStore(Generic[T]):
    """Records by id: the users and the API keys."""

    def __init__(self, documents: DocumentCollection, from_document: Callable[[str, Mapping[str, Any]], T]) -> None:
        self._documents = documents
        self._from_document = from_document

    async def all(self) -> list[T]:
        """Return every record, by id."""
        return [self._record(document) for document in await self._documents.find()]

    async def get(self, identity: str) -> T | None:
        """Return the record with this id."""
        document = await self._documents.get(identity)
        return None if document is None else self._record(document)

    async def add(self, record: T) -> bool:
        """Insert a record; False if its id exists."""
        return await self._documents.insert(_document(record))

    async def save(self, record: T) -> bool:
        """Overwrite a record; False if its id does not exist."""
        return await self._documents.replace(_document(record))

    async def remove(self, identity: str) -> bool:
        """Delete a record; False if its id does not exist."""
        return await self._documents.delete(identity)

    def _record(self, document: Document) -> T:
        return self._from_document(str(document["_id"]), document)


class DocumentSessionStore(DocumentStore[LoginSession]):
    """Login sessions and revocations."""

    def __init__(self, sessions: DocumentCollection, revocations: DocumentLog) -> None:
        super().__init__(sessions, session_from_document)
        self._revocations = revocations

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        """Replace a session if its generation is still that of `before`."""
        return await self._documents.replace(_document(after), turn=before.generation)

    async def by_user(self, user: str) -> list[LoginSession]:
        """Return the sessions of a user, the oldest first."""
        sessions = map(self._record, await self._documents.find({"user": user}))
        return sorted(sessions, key=lambda session: (session.created_ms, session.id))

    async def revoke(self, revocation: Revocation) -> None:
        """Store a revocation; the first of a grant stays."""
        await self._revocations.append(_document(revocation))

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        """Return the revocations written after `mark`, and the next mark."""
        documents, mark = await self._revocations.since(mark)
        return [revocation_from_document(str(document["_id"]), document) for document in documents], mark


class DocumentAuditStore:
    """Audit events."""

    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents

    async def add(self, events: Sequence[AuditEvent]) -> None:
        """Insert events; those that exist stay unchanged."""
        if events:
            await self._documents.insert_many([{"_id": event.id, "at": event.at_ms, **event.to_document()} for event in events])

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        """Return events by id, which begins with the time, the newest first."""
        where = {"act": query.action, "by": query.actor, "about": query.target}
        found = await self._documents.find(where, descending=True, before=query.before, limit=query.limit)
        return [audit_event_from_document(document["_id"], document["at"], document) for document in found]

    async def trim(self, limit: int) -> int:
        """Delete the events beyond `limit`, refusals first, then the oldest; return how many."""
        return await self._documents.trim(limit, first=("act", REFUSALS))


class DocumentDeviceStore:
    """The registry's devices."""

    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents

    async def all(self, limit: int) -> list[Device]:
        """Return devices by id, at most `limit`."""
        return [device_from_document(str(found["_id"]), found) for found in await self._documents.find(limit=limit)]

    async def save(self, devices: Sequence[Device]) -> None:
        """Insert or overwrite devices."""
        if devices:
            await self._documents.put([_document(device) for device in devices])

    async def remove(self, device_id: str) -> None:
        """Delete a device."""
        await self._documents.delete(device_id)


class DocumentCommandStore:
    """Commands to devices."""

    def __init__(self, documents: DocumentCollection) -> None:
        self._documents = documents

    async def add(self, command: Command) -> Command:
        """Insert a command and return it, or return the one that has its id."""
        if await self._documents.insert(_document(command)):
            return command
        existing = await self.get(command.id)
        if existing is None:
            raise StoreUnavailable(f"command {command.id} expired while it was added")
        return existing

    async def change(self, command: Command, was: CommandState) -> bool:
        """Overwrite a command if its state is still `was`."""
        return await self._documents.replace(_document(command), state=str(was))

    async def get(self, command_id: str) -> Command | None:
        """Return the command with this id."""
        found = await self._documents.get(command_id)
        return None if found is None else command_from_document(command_id, found)

    async def find(self, query: CommandsQuery) -> list[Command]:
        """Return commands, the newest first."""
        where = {"device": query.device, "state": None if query.state is None else str(query.state)}
        found = await self._documents.find(where, order_by="createdAt", descending=True, limit=query.limit)
        return [command_from_document(str(document["_id"]), document) for document in found]


def _document(record: Storable) -> Document:
    return {"_id": record.id, **record.to_document()}
