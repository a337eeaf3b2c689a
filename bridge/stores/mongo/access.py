"""The collections `users`, `keys`, `sessions`, `revocations` and `audit`. Every value asked for is a text or a time of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from bridge.core.access.accounts import (
    EXPIRES_AT,
    LoginSession,
    Revocation,
    Storable,
    revocation_from_document,
    session_from_document,
)
from bridge.core.access.audit import REFUSALS, AuditEvent, AuditQuery, audit_event_from_document
from bridge.core.errors import StoreError
from bridge.stores.mongo.driver import DUPLICATE_KEY, Document, insert, milliseconds, translated, utc

T = TypeVar("T", bound=Storable)

_STEP = 1000


class MongoDocuments(Generic[T]):
    """One collection, by `_id`."""

    def __init__(self, collection: Any, read: Callable[[str, Mapping[str, Any]], T]) -> None:  # noqa: ANN401 - Motor has no types
        """`read` makes of a document what it was."""
        self._collection = collection
        self._read = read

    async def all(self) -> list[T]:
        """By `_id`."""
        async with translated():
            return [self._one(one) async for one in self._collection.find({}, sort=[("_id", ASCENDING)])]

    async def get(self, identity: str) -> T | None:
        """By `_id`."""
        async with translated():
            found = await self._collection.find_one({"_id": identity})
        return self._one(found) if found else None

    async def add(self, one: T) -> bool:
        """An insert."""
        async with translated():
            try:
                await self._collection.insert_one({"_id": one.id, **_in_dates(one.to_document())})
            except DuplicateKeyError:
                return False
        return True

    async def save(self, one: T) -> bool:
        """An update of what is there."""
        async with translated():
            done = await self._collection.update_one({"_id": one.id}, {"$set": _in_dates(one.to_document())})
        return bool(done.matched_count)

    async def remove(self, identity: str) -> bool:
        """By `_id`."""
        async with translated():
            done = await self._collection.delete_one({"_id": identity})
        return bool(done.deleted_count)

    def _one(self, document: Mapping[str, Any]) -> T:
        return self._read(str(document["_id"]), _in_milliseconds(document))


_WRITTEN = "writtenAt"
_OVERLAP_MS = 60_000  # what is written at once by two may become visible in the other order; a new primary has another clock


class MongoSessions(MongoDocuments[LoginSession]):
    """Sessions, and in a collection beside them the revocations; TTL indexes remove what has expired."""

    def __init__(self, sessions: Any, revocations: Any) -> None:  # noqa: ANN401
        """Both collections."""
        super().__init__(sessions, session_from_document)
        self._revocations = revocations

    async def prepare(self) -> None:
        """Make the indexes. When something expires stands in it, so they are the same whatever the settings."""
        expiring = IndexModel([(EXPIRES_AT, ASCENDING)], name="expires", expireAfterSeconds=0)
        await self._collection.create_indexes([IndexModel([("user", ASCENDING)], name="user"), expiring])
        await self._revocations.create_indexes([IndexModel([(_WRITTEN, ASCENDING)], name="written"), expiring])

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        """One update, of the document as it was."""
        async with translated():
            done = await self._collection.update_one(
                {"_id": before.id, "turn": before.generation}, {"$set": _in_dates(after.to_document())}
            )
        return bool(done.matched_count)

    async def by_user(self, user: str) -> list[LoginSession]:
        """By the index on the user."""
        order = [("createdAt", ASCENDING), ("_id", ASCENDING)]
        async with translated():
            return [self._one(one) async for one in self._collection.find({"user": user}, sort=order)]

    async def revoke(self, one: Revocation) -> None:
        """An upsert of what is not there; when it was written is for MongoDB to say."""
        async with translated():
            kept = {
                name: {"$ifNull": [f"${name}", {"$literal": value}]} for name, value in _in_dates(one.to_document()).items()
            }
            written = {_WRITTEN: {"$ifNull": [f"${_WRITTEN}", "$$NOW"]}}
            await self._revocations.update_one({"_id": one.id}, [{"$set": kept | written}], upsert=True)

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        """By the index on when it was written, by the clock of MongoDB: the one that all writers share."""
        async with translated():
            found = self._revocations.find({_WRITTEN: {"$gte": utc(max(mark - _OVERLAP_MS, 0))}}, sort=[(_WRITTEN, ASCENDING)])
            documents = [one async for one in found]
        last = milliseconds(documents[-1][_WRITTEN]) if documents else 0
        return [revocation_from_document(str(one["_id"]), _in_milliseconds(one)) for one in documents], max(mark, last)


class MongoAudit:
    """Who did what; bounded by `trim` and, by age, by a TTL index that the store keeps."""

    def __init__(self, audit: Any) -> None:  # noqa: ANN401
        """`audit` is the collection."""
        self._audit = audit

    async def prepare(self) -> None:
        """Make the index by which refusals are found."""
        await self._audit.create_indexes([IndexModel([("act", ASCENDING), ("_id", ASCENDING)], name="act")])

    async def add(self, acts: Sequence[AuditEvent]) -> None:
        """One unordered insert; what is there already stays."""
        if not acts:
            return
        async with translated():
            refused = await insert(self._audit, [{"_id": one.id, "at": utc(one.at_ms), **one.to_document()} for one in acts])
            for one in refused:
                if one.code != DUPLICATE_KEY:
                    raise StoreError(f"MongoDB: the collection audit refuses an act: {one.text}")

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        """By `_id`, which begins with the time."""
        wanted = {"act": query.action, "by": query.actor, "about": query.target}
        conditions: Document = {name: value for name, value in wanted.items() if value is not None}
        if query.before is not None:
            conditions["_id"] = {"$lt": query.before}
        async with translated():
            found = self._audit.find(conditions, sort=[("_id", DESCENDING)], limit=query.limit)
            return [audit_event_from_document(one["_id"], milliseconds(one["at"]), one) async for one in found]

    async def trim(self, limit: int) -> int:
        """Remove what is beyond `limit`: refusals first, then the oldest; how many. Counted when the estimate is above it."""
        async with translated():
            if await self._audit.estimated_document_count() <= limit:
                return 0
            over = max(int(await self._audit.count_documents({})) - limit, 0)
            removed = await self._remove({"act": {"$in": REFUSALS}}, over)
            return removed + await self._remove({}, over - removed)

    async def _remove(self, which: Document, number: int) -> int:
        removed = 0
        while removed < number:
            oldest = self._audit.find(which, {"_id": 1}, sort=[("_id", ASCENDING)], limit=min(number - removed, _STEP))
            ids = [one["_id"] async for one in oldest]
            if not ids:
                break
            removed += int((await self._audit.delete_many({"_id": {"$in": ids}})).deleted_count)
        return removed


_TIMES = ("createdAt", EXPIRES_AT, "at", "validUntil")


def _in_dates(kept: Document) -> Document:
    return kept | {name: utc(kept[name]) for name in _TIMES if kept.get(name) is not None}


def _in_milliseconds(document: Mapping[str, Any]) -> Document:
    return {**document, **{name: milliseconds(document[name]) for name in _TIMES if document.get(name) is not None}}
