"""The collection `rejected`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING, UpdateOne

from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.stores.documents import CollectionSchema
from bridge.stores.mongo.documents import MongoCollection
from bridge.stores.mongo.driver import Document, collected, milliseconds, translated


class MongoQuarantine:
    """Rejected messages; bounded by `trim` and, by age, by a TTL index that the store maintains."""

    def __init__(self, database: Any) -> None:  # noqa: ANN401 - Motor has no types
        self._rejected = database["rejected"]
        self._documents = MongoCollection(database, CollectionSchema("rejected"))

    async def groups(self) -> list[QuarantineGroup]:
        """Group in the server. `$max` compares time and reason in that order, so the newest needs no sort."""
        group = {
            "_id": {"code": "$code", "field": "$field"},
            "count": {"$sum": 1},
            "newest": {"$max": {"at": "$receivedAt", "reason": "$reason"}},
        }
        pipeline = [{"$group": group}, {"$sort": {"count": DESCENDING, "_id": ASCENDING}}]
        async with translated():
            return [_group(document) for document in await collected(self._rejected.aggregate(pipeline))]

    async def count(self, query: QuarantineQuery) -> int:
        """Count by a scan if there is a filter; the collection is bounded."""
        async with translated():
            return int(await self._rejected.count_documents(_filter(query)))

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        """Read by the index on `receivedAt`, or by `_id`."""
        order = [("receivedAt", DESCENDING), ("_id", DESCENDING)] if query.after is None else [("_id", ASCENDING)]
        conditions = _filter(query)
        if query.after is not None:
            conditions = {"$and": [conditions, {"_id": {"$gt": query.after}}]}
        async with translated():
            cursor = self._rejected.find(conditions, sort=order, limit=query.limit)
            return [_message(document) async for document in cursor]

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        updates = [
            UpdateOne({"_id": message.id}, {"$set": {"code": message.code, "reason": message.reason, "field": message.field}})
            for message in messages
        ]
        if updates:
            async with translated():
                await self._rejected.bulk_write(updates, ordered=False)

    async def release(self, ids: Sequence[ObjectId]) -> int:
        async with translated():
            return int((await self._rejected.delete_many({"_id": {"$in": list(ids)}})).deleted_count)

    async def trim(self, limit: int) -> int:
        return await self._documents.trim(limit, order="receivedAt")


def _filter(query: QuarantineQuery) -> Document:
    conditions: list[Document] = []
    if query.code is not None:
        conditions.append({"code": query.code})
    if query.topic is not None:
        conditions.append({"topic": query.topic})
    if query.source is not None:
        conditions.append({"source": query.source})
    if query.field is not None:
        conditions.append({"field": query.field or None})
    if query.device is not None:
        level = f"(^|/){re.escape(query.device)}(/|$)"
        # No topic contains a NUL, and no regular expression may.
        conditions.append({"topic": {"$regex": level} if "\0" not in level else {"$in": []}})
    if query.id is not None:
        conditions.append({"_id": query.id})
    return {"$and": conditions} if conditions else {}


def _group(document: Mapping[str, Any]) -> QuarantineGroup:
    newest = document["newest"]
    key = document["_id"]
    return QuarantineGroup(
        key.get("code", ""), key.get("field"), document["count"], milliseconds(newest["at"]), newest["reason"]
    )


def _message(document: Mapping[str, Any]) -> QuarantinedMessage:
    return QuarantinedMessage(
        id=document["_id"],
        received_ms=milliseconds(document["receivedAt"]),
        source=document["source"],
        topic=document["topic"],
        payload=bytes(document["payload"]),
        code=document.get("code", ""),
        reason=document["reason"],
        field=document.get("field"),
        retained=document.get("retained", False),
    )
