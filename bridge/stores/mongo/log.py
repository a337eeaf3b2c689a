"""The order of readings that several bridges write: one document, and a unique index on `seq`. See `bridge/log/order.py`.

Every call is one command on the primary, confirmed by a majority: a range that a failover rolls back would be handed out twice.
"""

import time
from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.read_concern import ReadConcern

from bridge.core.errors import OrderError, StoreError
from bridge.core.query import ReadingsQuery
from bridge.core.readings.reading import Reading
from bridge.log.order import MAX_OPEN, CursorRange, Order, check_request
from bridge.log.preparation import PrepareProgress
from bridge.stores.mongo.direct import DirectConnection
from bridge.stores.mongo.driver import DUPLICATE_KEY, Document, insert, translated, utc
from bridge.stores.mongo.reading_documents import CLOSED, QUIET, filter_of, reading_of
from bridge.stores.mongo.unique_cursors import SEQ, UniqueCursors

_KEY = "order"


class MongoLog:
    def __init__(self, database: Any, direct: DirectConnection | None = None) -> None:  # noqa: ANN401 - Motor has no types
        """`direct` is used for what each batch needs."""
        self._database = database
        self._direct = direct
        majority = ReadConcern("majority")
        self._orders = database["order"].with_options(read_concern=majority)
        self._readings = database["readings"].with_options(read_concern=majority)
        self.may_have_tombstones = False
        """Whether this is, or was, the database of a cluster; known once `prepare` or `is_prepared` was called."""

    async def prepare(self, progress: PrepareProgress = PrepareProgress()) -> Order:  # noqa: B008 - it is immutable
        """Make the index unique and create the document. Safe to repeat, and while one bridge without a cluster stores."""
        async with translated():
            await UniqueCursors(self._database, self._readings, progress).ensure()
            last = await self._readings.find_one({}, {SEQ: 1}, sort=[(SEQ, DESCENDING)])
            found = await self._orders.find_one_and_update(
                {"_id": _KEY},
                [{"$set": {"last": {"$max": [{"$ifNull": ["$last", 0]}, int(last[SEQ]) if last else 0]}}}, _NO_OPEN],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        self.may_have_tombstones = True
        return _order(found)

    async def is_prepared(self) -> bool:
        """Return whether `prepare` was called on this database."""
        async with translated():
            self.may_have_tombstones = await self._orders.find_one({"_id": _KEY}, {"_id": 1}) is not None
        return self.may_have_tombstones

    async def order(self) -> Order:
        """Return the order. Raises `StoreError` if there is none."""
        async with translated():
            return _order(await self._orders.find_one({"_id": _KEY}))

    async def hand_out(self, count: int, bridge: str, finished: Sequence[int]) -> tuple[Order, CursorRange]:
        """Take the next `count` cursors, and remove the ranges that end at `finished`. The time is that of the server."""
        check_request(count, bridge)
        now = {"$multiply": [{"$toLong": "$$NOW"}, 1000]}
        unfinished = {"$filter": {"input": "$open", "cond": {"$not": [{"$in": ["$$this.high", list(finished)]}]}}}
        taken = {"previous": "$last", "low": {"$add": ["$below", 1]}, "high": {"$add": ["$below", count]}, "bridge": bridge}
        steps: list[Document] = [
            {"$set": {"below": {"$max": ["$last", now]}}},
            {"$set": {"open": {"$concatArrays": [unfinished, [taken]]}, "last": {"$add": ["$below", count]}}},
            {"$unset": "below"},
        ]
        room = {f"open.{MAX_OPEN - 1}": {"$exists": False}}
        order = await self._update(steps, room)
        if order is None:
            raise OrderError(f"{MAX_OPEN} ranges are open: must be less; close those that are overdue")
        return order, order.open[-1]

    async def finish(self, highs: Sequence[int]) -> Order:
        """Remove the ranges that end at `highs`: nobody writes into them any more."""
        return await self._update({"$pull": {"open": {"high": {"$in": list(highs)}}}}) or await self.order()

    async def _update(self, change: Document | list[Document], condition: Document | None = None) -> Order | None:
        """Change the document; None if it does not meet the condition. Raises `StoreError` if it is missing or damaged."""
        intact = {"_id": _KEY, "last": {"$type": "number"}, "open": {"$type": "array"}}
        async with translated():
            wanted = intact | (condition or {})
            if self._direct is None:
                found = await self._orders.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
            else:
                found = await self._direct.find_one_and_update(self._orders, wanted, change)
        if found is None:
            await self.order()
            return None
        return _order(found)

    async def close(self, taken: CursorRange) -> Order:
        """Occupy the free cursors of a range, so that its bridge cannot write there any more, then remove the range."""
        async with translated():
            span = {SEQ: {"$gte": taken.low, "$lte": taken.high}}
            used = {document[SEQ] async for document in self._readings.find(span, {"_id": 0, SEQ: 1})}
            free = [cursor for cursor in range(taken.low, taken.high + 1) if cursor not in used]
            at = utc(time.time_ns() // 1_000_000)
            tombstones = [{"_id": ObjectId(), SEQ: cursor, "timestamp": at, CLOSED: True} for cursor in free]
            for refusal in await insert(self._readings, tombstones) if tombstones else ():
                if refusal.code != DUPLICATE_KEY:
                    raise StoreError(f"MongoDB: a range of cursors could not be closed: {refusal.text}")
        return await self.finish([taken.high])

    async def records(self, after: int, until: int, limit: int) -> list[Reading]:
        """Return the first `limit` readings in (`after`, `until`], by rising cursor, that a majority has and are published."""
        async with translated():
            found = self._readings.find(
                {**filter_of(ReadingsQuery(since=after, until=until)), QUIET: None}, sort=[(SEQ, ASCENDING)], limit=limit
            )
            return [reading_of(document) async for document in found]


_NO_OPEN: Document = {"$set": {"open": {"$ifNull": ["$open", []]}}}


def _order(document: Document | None) -> Order:
    if document is None:
        raise StoreError("MongoDB: the database is not prepared for a cluster: run `sensor-bridge cluster prepare`")
    return Order.from_document(document)
