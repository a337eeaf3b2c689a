"""Document collections in MongoDB: each a collection with the same field names; times are dates."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from bridge.core.errors import StoreError
from bridge.stores.documents import ALL, CollectionSchema, Document, Fields, Key
from bridge.stores.mongo.driver import DUPLICATE_KEY, insert, milliseconds, refusals, translated, utc

log = logging.getLogger(__name__)

WRITTEN_AT = "writtenAt"
_OVERLAP_MS = 60_000  # concurrent writes may become visible in another order; a new primary has another clock
_DELETE_BATCH = 1000


class MongoCollection:
    def __init__(self, database: Any, schema: CollectionSchema) -> None:  # noqa: ANN401 - Motor has no types
        self._collection = database[schema.name]
        self._times = schema.times

    async def get(self, key: Key) -> Document | None:
        async with translated():
            found = await self._collection.find_one({"_id": key})
        return self._decoded(found) if found else None

    async def find(self, where: Fields = ALL, order: str = "_id", before: Key | None = None, limit: int = 0) -> list[Document]:
        conditions: Document = {name: value for name, value in where.items() if value is not None}
        if before is not None:
            conditions["_id"] = {"$lt": before}
        direction = DESCENDING if order.startswith("-") else ASCENDING
        sort = [(name, direction) for name in dict.fromkeys((order.lstrip("-"), "_id"))]
        async with translated():
            cursor = self._collection.find(conditions, sort=sort, limit=limit)
            return [self._decoded(document) async for document in cursor]

    async def insert(self, document: Document) -> bool:
        async with translated():
            try:
                await self._collection.insert_one(self._encoded(document))
            except DuplicateKeyError:
                return False
        return True

    async def insert_many(self, documents: Sequence[Document]) -> None:
        async with translated():
            for refusal in await insert(self._collection, [self._encoded(document) for document in documents]):
                if refusal.code != DUPLICATE_KEY:
                    raise StoreError(f"MongoDB: collection {self._collection.name} refused a document: {refusal.text}")

    async def replace(self, document: Document, **expected: str) -> bool:
        """Update one document, which MongoDB does atomically."""
        conditions = {name: value or {"$in": ["", None]} for name, value in expected.items()}
        async with translated():
            result = await self._collection.update_one(
                {"_id": document["_id"], **conditions}, {"$set": self._encoded(document)}
            )
        return bool(result.matched_count)

    async def put(self, documents: Sequence[Document]) -> None:
        """Upsert in one unordered bulk; fields that a document lacks keep their values."""
        updates = [UpdateOne({"_id": each["_id"]}, {"$set": self._encoded(each)}, upsert=True) for each in documents]
        async with translated():
            try:
                await self._collection.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                refused = refusals(error)
                if any(refusal.code == DUPLICATE_KEY for refusal in refused):  # two upserts at once: the next attempt updates
                    raise
                log.warning("mongodb: %d documents of %s not stored: %s", len(refused), self._collection.name, refused[0].text)

    merge = put

    async def delete(self, key: Key) -> bool:
        async with translated():
            return bool((await self._collection.delete_one({"_id": key})).deleted_count)

    async def trim(self, limit: int, order: str = "_id", first: tuple[str, Sequence[str]] | None = None) -> int:
        """Delete in steps; documents are counted only if the server's estimate exceeds `limit`."""
        async with translated():
            if await self._collection.estimated_document_count() <= limit:
                return 0
            surplus = max(int(await self._collection.count_documents({})) - limit, 0)
            deleted = await self._delete_lowest({first[0]: {"$in": first[1]}}, order, surplus) if first else 0
            return deleted + await self._delete_lowest({}, order, surplus - deleted)

    async def _delete_lowest(self, conditions: Document, order: str, count: int) -> int:
        deleted = 0
        while deleted < count:
            size = min(count - deleted, _DELETE_BATCH)
            lowest = self._collection.find(conditions, {"_id": 1}, sort=[(order, ASCENDING)], limit=size)
            keys = [document["_id"] async for document in lowest]
            if not keys:
                break
            deleted += int((await self._collection.delete_many({"_id": {"$in": keys}})).deleted_count)
        return deleted

    def _encoded(self, document: Document) -> Document:
        return document | {name: utc(document[name]) for name in self._times if document.get(name) is not None}

    def _decoded(self, document: Mapping[str, Any]) -> Document:
        """Return a document with its times in milliseconds; one that is no date stays, and readers of records refuse it."""
        times = {name: milliseconds(at) for name in self._times if isinstance(at := document.get(name), datetime)}
        dates = {name: str(document[name]) for name in self._times if name not in times and document.get(name) is not None}
        return {**document, **dates, **times}


class MongoRevocations(MongoCollection):
    """Documents with the time of writing by the server's clock, which all bridges share."""

    async def append(self, document: Document) -> None:
        fields: Document = {name: {"$literal": value} for name, value in self._encoded(document).items() if name != "_id"}
        fields[WRITTEN_AT] = "$$NOW"
        absent = {name: {"$ifNull": [f"${name}", value]} for name, value in fields.items()}
        async with translated():
            await self._collection.update_one({"_id": document["_id"]}, [{"$set": absent}], upsert=True)

    async def since(self, mark: int) -> tuple[list[Document], int]:
        """Read from an index; the mark is a time in milliseconds."""
        span = {WRITTEN_AT: {"$gte": utc(max(mark - _OVERLAP_MS, 0))}}
        async with translated():
            documents = [found async for found in self._collection.find(span, sort=[(WRITTEN_AT, ASCENDING)])]
        last = milliseconds(documents[-1][WRITTEN_AT]) if documents else 0
        return [self._decoded(document) for document in documents], max(mark, last)
