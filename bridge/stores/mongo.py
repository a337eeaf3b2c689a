"""Readings in MongoDB, through Motor or through PyMongo's own asyncio client: the same calls, one class.

Written with `w: majority` and `j: true`: a `kill -9` of mongod loses acknowledged writes without (2,295 of 60,250 measured
at w:1, j:false; none so). One `insert_many` a batch: 5-7 µs a document, where `insert_one` takes 300-490 µs.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from bridge.core.decode import PAYLOAD_LIMIT_BYTES, DeviceStatus, Rejection
from bridge.core.errors import StoreUnavailable
from bridge.core.query import Bucket, ReadingsQuery, Summary, Written
from bridge.core.reading import MEASUREMENT, VALUE_NAMES, Flag, Reading
from bridge.settings import StoreSettings

_DUPLICATE_KEY = 11000
# Codes that speak of the server's state, not of the document: worth another try. From MongoDB's error_codes.yml: those its
# drivers retry, then disk, memory and rights.
_OF_THE_SERVER = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}
    | {13, 18, 14031, 39, 50, 133, 146, 202, 211, 290, 12501}
)

Document = dict[str, Any]


class MongoStore:
    """The collections `readings`, `rejected` and `devices` of one database."""

    def __init__(self, settings: StoreSettings) -> None:
        """Nothing is opened before the store is entered."""
        self._settings = settings

    async def __aenter__(self) -> Self:
        """Make the client. It connects by itself, when first asked for something."""
        timeout_ms = round(self._settings.timeout_seconds * 1000)
        self._client = _client_class(self._settings.driver)(
            self._settings.url.get_secret_value(),
            w="majority",
            journal=True,
            timeoutMS=timeout_ms,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            tz_aware=True,
            appname="sensor-bridge",
        )
        database = self._client.get_default_database("sensors")
        self._readings = database["readings"]
        self._rejected = database["rejected"]
        self._devices = database["devices"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client's connections."""
        closing = self._client.close()
        if inspect.isawaitable(closing):
            await closing

    async def prepare(self) -> int:
        """Make the indexes; the highest cursor."""
        async with _translated():
            await self._readings.create_indexes(
                [
                    IndexModel([("seq", ASCENDING)], name="seq"),
                    IndexModel([("deviceId", ASCENDING), ("timestamp", DESCENDING)], name="device_timestamp"),
                ]
            )
            await self._rejected.create_indexes([IndexModel([("receivedAt", ASCENDING)], name="receivedAt")])
            last = await self._readings.find_one({}, {"seq": 1}, sort=[("seq", DESCENDING)])
        return int(last["seq"]) if last else 0

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> Written:
        """One unordered `insert_many`, so that one bad document keeps no other out."""
        async with _translated():
            if rejections:
                await self._insert(self._rejected, [_rejected_document(rejection) for rejection in rejections])
            if statuses:
                await self._devices.bulk_write([_status_update(status) for status in statuses])
            if not readings:
                return Written()
            errors = await self._insert(self._readings, [_document(reading) for reading in readings])
            return await self._written(readings, errors)

    async def _insert(self, collection: Any, documents: list[Document]) -> list[Mapping[str, Any]]:  # noqa: ANN401
        """The write errors that are about single documents; raises if the write as a whole is in doubt."""
        try:
            await collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            errors: list[Mapping[str, Any]] = error.details["writeErrors"]
            if error.details.get("writeConcernErrors") or any(one["code"] in _OF_THE_SERVER for one in errors):
                raise
            return errors
        return []

    async def _written(self, readings: Sequence[Reading], errors: Sequence[Mapping[str, Any]]) -> Written:
        stored = {reading.seq for reading in readings}
        refused: dict[int, str] = {}
        repeated: list[Reading] = []
        for error in errors:
            reading = readings[error["index"]]
            stored.discard(reading.seq)
            if error["code"] == _DUPLICATE_KEY:
                repeated.append(reading)
            else:
                refused[reading.seq] = str(error["errmsg"])
        if repeated:
            # There already. By our own `seq`, it was an earlier attempt of ours that came through after all.
            ids = [reading.id for reading in repeated]
            there = {one["_id"]: one["seq"] async for one in self._readings.find({"_id": {"$in": ids}}, {"seq": 1})}
            stored.update(reading.seq for reading in repeated if there.get(reading.id) == reading.seq)
        return Written(frozenset(stored), refused)

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """By the `seq` index."""
        direction = DESCENDING if query.newest else ASCENDING
        async with _translated():
            cursor = self._readings.find(_filter(query), sort=[("seq", direction)], limit=query.limit)
            found = [_reading(document) async for document in cursor]
        return found[::-1] if query.newest else found

    async def latest(self) -> list[Reading]:
        """One index entry a device: the group is answered by a distinct scan of `device_timestamp`."""
        async with _translated():
            documents = await _collected(
                self._readings.aggregate(
                    [
                        {"$sort": {"deviceId": ASCENDING, "timestamp": DESCENDING}},
                        {"$group": {"_id": "$deviceId", "newest": {"$first": "$$ROOT"}}},
                        {"$sort": {"_id": ASCENDING}},
                    ]
                )
            )
        return [_reading(document["newest"]) for document in documents]

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """Grouped in the server."""
        milliseconds = {"$toLong": "$timestamp"}
        key = {"d": "$deviceId", "t": {"$subtract": [milliseconds, {"$mod": [milliseconds, every_ms]}]}}
        group: Document = {"_id": key, "count": {"$sum": 1}}
        for name in fields:
            number = {"$toInt": f"${name}"} if isinstance(MEASUREMENT[name], Flag) else f"${name}"
            group |= {
                f"{name}_low": {"$min": number},
                f"{name}_mean": {"$avg": number},
                f"{name}_high": {"$max": number},
            }
            group[f"{name}_count"] = {"$sum": {"$cond": [{"$gt": [f"${name}", None]}, 1, 0]}}
        newest = DESCENDING if query.newest else ASCENDING
        async with _translated():
            documents = await _collected(
                self._readings.aggregate(
                    [
                        {"$match": _filter(query)},
                        {"$group": group},
                        {"$sort": {"_id.t": newest, "_id.d": ASCENDING}},
                        {"$limit": query.limit},
                        {"$sort": {"_id.t": ASCENDING, "_id.d": ASCENDING}},
                    ]
                )
            )
        return [_bucket(document, fields) for document in documents]

    async def ping(self) -> None:
        """Ask the server whether it would take a write."""
        async with _translated():
            hello = await self._client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("MongoDB answers, but is not a primary that takes writes")


def _client_class(driver: str) -> Any:  # noqa: ANN401 - Motor has no types
    if driver == "pymongo":
        return AsyncMongoClient
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """The driver's errors as ours. Its texts can be pages long; the first sentence says it."""
    try:
        yield
    except PyMongoError as error:
        text = str(error).split(", Timeout:")[0].split(" (configured timeouts:")[0]
        raise StoreUnavailable(f"MongoDB: {type(error).__name__}: {text[:300]}") from error


async def _collected(cursor: Any) -> list[Document]:  # noqa: ANN401
    """All documents of an aggregation. PyMongo's `aggregate` is awaited for its cursor, Motor's is the cursor."""
    if inspect.isawaitable(cursor):
        cursor = await cursor
    return [document async for document in cursor]


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _document(reading: Reading) -> Document:
    return {
        "_id": reading.id,
        **reading.values,
        "timestamp": _utc(reading.timestamp_ms),
        "deviceId": reading.device_id,
        "receivedAt": _utc(reading.received_ms),
        "seq": reading.seq,
        **reading.extras(),
    }


def _reading(document: Mapping[str, Any]) -> Reading:
    return Reading(
        id=document["_id"],
        device_id=document["deviceId"],
        values={name: document[name] for name in VALUE_NAMES if name in document},
        timestamp_ms=_milliseconds(document["timestamp"]),
        received_ms=_milliseconds(document["receivedAt"]),
        quality=document.get("quality", {}),
        device_timestamp=document.get("deviceTimestamp"),
        retained=document.get("retained", False),
        seq=document["seq"],
    )


def _rejected_document(rejection: Rejection) -> Document:
    message = rejection.message
    return {
        "_id": rejection.id,
        "receivedAt": _utc(message.received_ms),
        "source": message.source,
        "topic": message.topic,
        "payload": Binary(message.payload[:PAYLOAD_LIMIT_BYTES]),
        "code": str(rejection.code),
        "reason": rejection.reason,
        "field": rejection.field,
    }


def _status_update(status: DeviceStatus) -> UpdateOne:
    return UpdateOne(
        {"_id": status.device_id},
        {"$set": {"status": status.status, "statusAt": _utc(status.timestamp_ms)}},
        upsert=True,
    )


def _filter(query: ReadingsQuery) -> Document:
    conditions: Document = {}
    if query.devices is not None:
        conditions["deviceId"] = {"$in": list(query.devices)}
    if query.since is not None:
        conditions["seq"] = {"$gt": query.since}
    span = {}
    if query.from_ms is not None:
        span["$gte"] = _utc(query.from_ms)
    if query.to_ms is not None:
        span["$lt"] = _utc(query.to_ms)
    if span:
        conditions["timestamp"] = span
    return conditions


def _bucket(document: Mapping[str, Any], fields: Sequence[str]) -> Bucket:
    return Bucket(
        device_id=document["_id"]["d"],
        start_ms=int(document["_id"]["t"]),
        count=document["count"],
        fields={
            name: Summary(
                document[f"{name}_low"], document[f"{name}_mean"], document[f"{name}_high"], document[f"{name}_count"]
            )
            for name in fields
            if document[f"{name}_count"]
        },
    )
