"""The collection `rejected`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING, UpdateOne

from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.stores.mongo.driver import Document, collected, milliseconds, translated

_STEP = 1000


class MongoQuarantine:
    """What was rejected; bounded by `trim` and, by age, by a TTL index that the store keeps."""

    def __init__(self, rejected: Any) -> None:  # noqa: ANN401 - Motor has no types
        """`rejected` is the collection."""
        self._rejected = rejected

    async def groups(self) -> list[QuarantineGroup]:
        """The newest of a group by `$max` over time and reason, which compares them in that order: no sort."""
        group = {
            "_id": {"code": "$code", "field": "$field"},
            "count": {"$sum": 1},
            "newest": {"$max": {"at": "$receivedAt", "reason": "$reason"}},
        }
        pipeline = [{"$group": group}, {"$sort": {"count": DESCENDING, "_id": ASCENDING}}]
        async with translated():
            return [_group(document) for document in await collected(self._rejected.aggregate(pipeline))]

    async def count(self, query: QuarantineQuery) -> int:
        """By a scan, if anything is filtered; the collection is bounded."""
        async with translated():
            return int(await self._rejected.count_documents(_filter(query)))

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        """By the index on `receivedAt`, or by `_id`."""
        order = [("receivedAt", DESCENDING), ("_id", DESCENDING)] if query.after is None else [("_id", ASCENDING)]
        conditions = _filter(query)
        if query.after is not None:
            conditions = {"$and": [conditions, {"_id": {"$gt": query.after}}]}
        async with translated():
            return [_message(one) async for one in self._rejected.find(conditions, sort=order, limit=query.limit)]

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        """Updates without upsert."""
        updates = [
            UpdateOne({"_id": one.id}, {"$set": {"code": one.code, "reason": one.reason, "field": one.field}})
            for one in messages
        ]
        if updates:
            async with translated():
                await self._rejected.bulk_write(updates, ordered=False)

    async def release(self, ids: Sequence[ObjectId]) -> int:
        """One `delete_many`."""
        async with translated():
            return int((await self._rejected.delete_many({"_id": {"$in": list(ids)}})).deleted_count)

    async def trim(self, limit: int) -> int:
        """Remove the oldest beyond `limit`; how many. Counted one by one only when the server's estimate is above it."""
        async with translated():
            if await self._rejected.estimated_document_count() <= limit:
                return 0
            removed = max(int(await self._rejected.count_documents({})) - limit, 0)
            over = removed
            while over > 0:
                oldest = self._rejected.find({}, {"_id": 1}, sort=[("receivedAt", ASCENDING)], limit=min(over, _STEP))
                await self.release([one["_id"] async for one in oldest])
                over -= _STEP
        return removed


def _filter(query: QuarantineQuery) -> Document:
    conditions: list[Document] = []
    if query.code is not None:
        conditions.append({"code": query.code})
    if query.topic is not None:
        conditions.append({"topic": query.topic})
    if query.device is not None:
        level = f"(^|/){re.escape(query.device)}(/|$)"
        # No topic has a NUL in it, and no regular expression may.
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
