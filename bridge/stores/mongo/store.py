"""Readings in MongoDB, through Motor or PyMongo's own asyncio client: the same calls, one class.

Writes use `w: majority` and `j: true`. Without them a `kill -9` of mongod loses acknowledged writes: 2,295 of 60,250 measured
at w:1, j:false, none with them. Each batch is one `insert_many`: 5-7 µs a document, where `insert_one` takes 300-490 µs.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import pymongo
from bson.binary import Binary
from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReadPreference
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from bridge.core.access.accounts import EXPIRES_AT
from bridge.core.alarms.delivery import CREATED_AT, DELIVERY_DAYS
from bridge.core.errors import SettingsError, StoreError, StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import ReadingsQuery, RetentionResult, WriteResult
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import AHEAD_MS
from bridge.settings import StoreSettings
from bridge.stores.documents import DEVICES, REVOCATIONS, DocumentStores
from bridge.stores.history import RollupHistory, changed_hours
from bridge.stores.mongo.direct import DirectConnection, check_supported
from bridge.stores.mongo.documents import WRITTEN_AT, MongoCollection, MongoRevocations
from bridge.stores.mongo.driver import (
    DUPLICATE_KEY,
    Document,
    Refusal,
    client_class,
    collected,
    insert,
    milliseconds,
    secrets_of,
    translated,
    utc,
)
from bridge.stores.mongo.log import MongoLog
from bridge.stores.mongo.quarantine import MongoQuarantine
from bridge.stores.mongo.reading_documents import ANY_DEVICE, CLOSED, document_of, filter_of, reading_of
from bridge.stores.mongo.rollups import MongoRollups

log = logging.getLogger(__name__)

_INDEX_CONFLICTS = {85, 86}
_INDEX_BUILD_SECONDS = 3600.0
"""An index over many readings takes longer than any other call; readings are written meanwhile."""
_CLOSE_SECONDS = 0.5
_DIRECT_LIMIT = 500
"""The largest `limit` that is read over a held connection: PyMongo reads larger answers in batches."""

_PRIMARY = ReadPreference.PRIMARY

# Sessions and revocations hold the time at which they expire, so these TTL indexes do not depend on the settings.
_EXPIRES = IndexModel([(EXPIRES_AT, ASCENDING)], name="expires", expireAfterSeconds=0)
_ALARM_INDEXES = [
    IndexModel([("device", ASCENDING), ("_id", ASCENDING)], name="device"),
    IndexModel([("open", ASCENDING), ("_id", ASCENDING)], name="open"),
]
_TRANSITION_INDEXES = [IndexModel([("alarm", ASCENDING), ("_id", ASCENDING)], name="alarm")]
_INDEXES = {
    "readings": [
        IndexModel([("seq", ASCENDING)], name="seq"),
        IndexModel([("deviceId", ASCENDING), ("timestamp", DESCENDING)], name="device_timestamp"),
    ],
    "commands": [IndexModel([("device", ASCENDING), ("createdAt", DESCENDING)], name="device")],
    "alarms": _ALARM_INDEXES,
    "alarm_transitions": _TRANSITION_INDEXES,
    "anomalies": _ALARM_INDEXES,
    "anomaly_transitions": _TRANSITION_INDEXES,
    "actions": _ALARM_INDEXES,
    "action_transitions": _TRANSITION_INDEXES,
    "rollups": [IndexModel([("device", ASCENDING), ("width", ASCENDING), ("start", ASCENDING)], name="place", unique=True)],
    "sessions": [IndexModel([("user", ASCENDING)], name="user"), _EXPIRES],
    "revocations": [IndexModel([(WRITTEN_AT, ASCENDING)], name="written"), _EXPIRES],
    "audit": [IndexModel([("act", ASCENDING), ("_id", ASCENDING)], name="act")],
    "deliveries": [
        IndexModel([("target", ASCENDING), ("state", ASCENDING), ("dueAt", ASCENDING), ("_id", ASCENDING)], name="due"),
        IndexModel([("group", ASCENDING), (CREATED_AT, ASCENDING)], name="group"),
        IndexModel([(CREATED_AT, ASCENDING)], name="created", expireAfterSeconds=DELIVERY_DAYS * 86_400),
    ],
    "notes": [IndexModel([("device", ASCENDING), ("_id", ASCENDING)], name="device")],
    "push": [IndexModel([("user", ASCENDING)], name="user")],
}


class MongoStore(DocumentStores):
    """One database: `readings`, `rollups`, `rolled`, `rejected`, `state`, and the collections of `stores/documents.py`."""

    def __init__(self, settings: StoreSettings) -> None:
        """Raises `StoreError` if the installed PyMongo is not supported."""
        if settings.driver == "pymongo":
            check_supported()
        self._settings = settings
        self._ttl_indexes_set = False

    async def __aenter__(self) -> Self:
        """Create the client, which connects on first use. Raises `SettingsError` if the driver refuses the URL."""
        self._client, self._database = self._open_client()
        self._direct, self._direct_log, self._direct_state, self._direct_reads = (self._direct_connection() for _ in range(4))
        database = self._database
        self._readings = database["readings"]
        self._state = database["state"]
        self._device_documents = MongoCollection(database, DEVICES)
        self.log = MongoLog(database, self._direct_log)
        self.quarantine = MongoQuarantine(database)
        self._rollups = MongoRollups(database)
        self.history = RollupHistory(self._rollups, self._rollups, self._settings.retention_days, translated)
        self._open_repositories(partial(MongoCollection, database), MongoRevocations(database, REVOCATIONS))
        return self

    def _direct_connection(self) -> DirectConnection | None:
        return DirectConnection(self._client) if self._settings.driver == "pymongo" else None

    def _open_client(self) -> tuple[Any, Any]:
        """Return the client and the database of the URL. The driver's texts may quote a part of the URL that is secret."""
        timeout_ms = round(self._settings.timeout_seconds * 1000)
        url = self._settings.url.get_secret_value()
        try:
            client = client_class(self._settings.driver)(
                url,
                w="majority",
                journal=True,
                timeoutMS=timeout_ms,
                waitQueueTimeoutMS=timeout_ms,
                serverSelectionTimeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                tz_aware=True,
                appname="sensor-bridge",
                **self._settings.login,
            )
            return client, client.get_default_database("sensors")
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            text = str(error).partition("\n")[0]
            reason = type(error).__name__ if any(secret in text for secret in secrets_of(url)) else text
            raise SettingsError(
                f"store.url (BRIDGE_STORE__URL): the driver refuses it: {reason}; expected "
                "mongodb://user:password@host:27017/name with special characters in user and password percent-encoded, "
                "or store.username and store.password"
            ) from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client's connections within `_CLOSE_SECONDS`: it ends its sessions on a server that may be unavailable."""
        closing = asyncio.create_task(self._close(), name="mongodb close")
        await asyncio.wait((closing,), timeout=_CLOSE_SECONDS)
        if closing.done():
            closing.result()
        else:
            closing.cancel()  # and not waited for: the driver may wait for the server before it ends

    async def _close(self) -> None:
        for direct in (self._direct, self._direct_log, self._direct_state, self._direct_reads):
            if direct is not None:
                await direct.close()
        await (self._client.close() if self._settings.driver == "pymongo" else asyncio.to_thread(self._client.close))

    async def prepare(self) -> int:
        await self.log.is_prepared()
        async with translated():
            for name, indexes in _INDEXES.items():
                await self._create_indexes(name, indexes)
            last = await self._readings.find_one({}, {"seq": 1}, sort=[("seq", DESCENDING)])
        return int(last["seq"]) if last else 0

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        """Write each collection in one call."""
        async with translated():
            if rejections:
                await self._reject(rejections)
            if statuses:
                newest = {status.device_id: status for status in statuses}
                await self._device_documents.put([_status_document(status) for status in newest.values()])
            if not readings:
                return WriteResult()
            documents = [document_of(reading) for reading in readings]
            return await self._result(readings, await insert(self._readings, documents, self._direct))

    async def _reject(self, rejections: Sequence[Rejection]) -> None:
        """Quarantine messages. Raises `StoreUnavailable` if one is refused: it must not count as stored."""
        documents = [_rejected_document(rejection) for rejection in rejections]
        for refusal in await insert(self._database["rejected"], documents):
            if refusal.code != DUPLICATE_KEY:
                raise StoreUnavailable(f"MongoDB: collection rejected refused a message: {refusal.text}")

    async def _result(self, readings: Sequence[Reading], refused: Sequence[Refusal]) -> WriteResult:
        """A document that exists with our `_id` and `seq` was written by an earlier attempt."""
        repeated = [readings[refusal.index].id for refusal in refused if refusal.code == DUPLICATE_KEY]
        existing: dict[Any, int] = {}
        if repeated:
            cursor = self._readings.find({"_id": {"$in": repeated}}, {"seq": 1})
            existing = {document["_id"]: document["seq"] async for document in cursor}
        stored = {reading.seq for reading in readings}
        reasons: dict[int, str] = {}
        closed = set[int]()
        for refusal in refused:
            reading = readings[refusal.index]
            if existing.get(reading.id) != reading.seq:
                stored.discard(reading.seq)
                if reading.id not in existing and refusal.keys == ("seq",):
                    closed.add(reading.seq)
                elif reading.id not in existing:  # also by a unique index that is not ours
                    reasons[reading.seq] = refusal.text
        return WriteResult(frozenset(stored), reasons, frozenset(closed))

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """Read by the `seq` index."""
        wanted, sort = filter_of(query), {"seq": DESCENDING if query.newest else ASCENDING}
        async with translated():
            if self._direct_reads is not None and query.limit <= _DIRECT_LIMIT and self._readings.read_preference == _PRIMARY:
                documents = await self._direct_reads.find(self._readings, wanted, sort, query.limit)
            else:
                documents = await collected(self._readings.find(wanted, sort=list(sort.items()), limit=query.limit))
            found = [reading_of(document) for document in documents]
        return found[::-1] if query.newest else found

    async def count(self, query: ReadingsQuery) -> int:
        """Take the collection's own count where nothing is filtered."""
        conditions = filter_of(replace(query, since=query.since or None))
        if not self.log.may_have_tombstones:  # then the index on `seq` is enough
            conditions.pop(CLOSED, None)
        async with translated():
            if not conditions:
                return int(await self._readings.estimated_document_count())
            return int(await self._readings.count_documents(conditions))

    async def latest(self, devices: Sequence[str] | None = None) -> list[Reading]:
        """Read one index entry a device: a distinct scan of `device_timestamp` answers the group."""
        match = [{"$match": {"deviceId": ANY_DEVICE if devices is None else {"$in": list(devices)}}}]
        now_ms = time.time_ns() // 1_000_000
        async with translated():
            documents = await collected(
                self._readings.aggregate(
                    [
                        *match,
                        {"$sort": {"deviceId": ASCENDING, "timestamp": DESCENDING}},
                        {"$group": {"_id": "$deviceId", "newest": {"$first": "$$ROOT"}}},
                        {"$sort": {"_id": ASCENDING}},
                    ]
                )
            )
            found = [reading_of(document["newest"]) for document in documents]
            return [await self._received_by(now_ms, newest) if newest.received_ms > now_ms else newest for newest in found]

    async def _received_by(self, now_ms: int, newest: Reading) -> Reading:
        """Return the newest reading of this device that was not received in the future; `newest` if there is none."""
        span = {
            "deviceId": newest.device_id,
            "timestamp": {"$lte": utc(now_ms + AHEAD_MS)},
            "receivedAt": {"$lte": utc(now_ms)},
        }
        document = await self._readings.find_one(span, sort=[("timestamp", DESCENDING)])
        return reading_of(document) if document else newest

    async def reading(self, identity: ObjectId) -> Reading | None:
        async with translated():
            document = await self._readings.find_one({"_id": identity, CLOSED: None})
        return None if document is None else reading_of(document)

    async def replace(self, before: Reading, after: Reading | None) -> bool:
        """Mark the hours first: marks are used at once, and removed only when this call has certainly ended."""
        async with translated():
            if await self._readings.find_one({"_id": before.id}, {"_id": 1}) is None:
                return False
            await self._rollups.mark_changed(changed_hours(before, after))
            if after is None:
                return bool((await self._readings.delete_one({"_id": before.id})).deleted_count)
            return bool((await self._readings.replace_one({"_id": before.id}, document_of(after))).matched_count)

    async def enforce_retention(self) -> RetentionResult:
        """Trim the quarantine and the audit. Ages are left to TTL indexes, which match the settings from the first call on."""
        settings = self._settings
        await self._restore_indexes()
        for histories in (self.alarms, self.anomalies, self.actions):
            await histories.trim(settings.alarms_limit)
        return RetentionResult(
            rejected_over=await self.quarantine.trim(settings.rejected_limit),
            audit_over=await self.audit.trim(settings.audit_limit),
        )

    async def _restore_indexes(self) -> None:
        """Create the indexes that are missing: an insert creates a collection that was dropped, without them."""
        settings = self._settings
        expiries = (
            ("readings", "retention", "timestamp", settings.retention_days),
            ("rejected", "receivedAt", "receivedAt", settings.rejected_days),
            ("commands", "createdAt", "createdAt", settings.commands_days),
            ("rollups", "start", "start", settings.rollup_days),
            ("audit", "at", "at", settings.audit_days),
        )
        missing = await self._create_missing_indexes()
        for collection_name, name, field, days in expiries:
            if await self._set_ttl(collection_name, name, field, days) and self._ttl_indexes_set:
                missing.append(f"{collection_name}.{name}")
        self._ttl_indexes_set = True
        if missing:
            log.warning(
                "mongodb: indexes missing: %s: created again; was a collection or the database dropped? What was in it is lost",
                ", ".join(missing),
            )

    async def _create_indexes(self, name: str, indexes: Sequence[IndexModel]) -> None:
        """Create the indexes that are missing; one that a cluster has made unique, or has begun to, stays so.

        Another bridge that starts at the same time may make it unique between the two calls.
        """
        try:
            await self._create_unless_unique(name, indexes)
        except OperationFailure as error:
            if error.code not in _INDEX_CONFLICTS:
                raise
            await self._create_unless_unique(name, indexes)

    async def _create_unless_unique(self, name: str, indexes: Sequence[IndexModel]) -> None:
        present = await self._database[name].index_information()
        unique = {text for text, index in present.items() if index.get("unique") or index.get("prepareUnique")}
        wanted = [index for index in indexes if index.document["name"] not in unique or index.document.get("unique")]
        if wanted:
            await self._database[name].create_indexes(wanted)

    async def _create_missing_indexes(self) -> list[str]:
        """Create those of `_INDEXES` that are missing; return their names."""
        missing: list[str] = []
        for collection_name, indexes in _INDEXES.items():
            collection = self._database[collection_name]
            async with translated():
                present = await collection.index_information()
                absent = [index for index in indexes if index.document["name"] not in present]
                if absent:
                    with pymongo.timeout(_INDEX_BUILD_SECONDS):
                        await collection.create_indexes(absent)
            missing += [f"{collection_name}.{index.document['name']}" for index in absent]
        return missing

    async def _set_ttl(self, collection_name: str, name: str, field: str, days: int | None) -> bool:
        """Create, change or drop the TTL index called `name`, and no other; return whether it was created."""
        collection = self._database[collection_name]
        seconds = None if days is None else days * 86_400
        async with translated():
            index = (await collection.index_information()).get(name)
        if index and [tuple(key) for key in index["key"]] != [(field, ASCENDING)]:
            raise StoreError(
                f"MongoDB: {collection_name} has an index {name} that the bridge did not create: rename it, or nothing expires"
            )
        present = index.get("expireAfterSeconds") if index else None
        if present == seconds and (index or seconds is None):
            return False
        async with translated():
            if present is not None and seconds is not None:
                change = {"name": name, "expireAfterSeconds": seconds}
                await self._database.command("collMod", collection_name, index=change)
            else:
                if index:
                    await collection.drop_index(name)
                if seconds is not None:
                    await _create_ttl_index(collection, name, field, seconds)
        log.info("mongodb: TTL of %s changed: documents expire %s", collection_name, f"after {days} days" if days else "never")
        return index is None

    async def put(self, key: str, value: str) -> None:
        async with translated():
            await self._state.update_one({"_id": key}, {"$set": {"value": value}}, upsert=True)

    async def get(self, key: str) -> str | None:
        async with translated():
            if self._direct_state is None:
                found = await self._state.find_one({"_id": key})
            else:
                found = await self._direct_state.find_by_id(self._state, key)
        return str(found["value"]) if found else None

    async def put_if_absent(self, key: str, value: str) -> str:
        """Upsert without changing an existing value; of two concurrent calls one finds the other's value."""
        async with translated():
            with suppress(DuplicateKeyError):
                await self._state.update_one({"_id": key}, {"$setOnInsert": {"value": value}}, upsert=True)
            return str((await self._state.find_one({"_id": key}))["value"])

    async def swap(self, key: str, before: str | None, after: str) -> bool:
        async with translated():
            if before is not None:
                result = await self._state.update_one({"_id": key, "value": before}, {"$set": {"value": after}})
                return bool(result.matched_count)
            try:
                await self._state.insert_one({"_id": key, "value": after})
            except DuplicateKeyError:
                return False
        return True

    async def server_time_ms(self) -> int:
        async with translated():
            hello = await self._client.admin.command("hello")
        return milliseconds(hello["localTime"])

    async def size_bytes(self) -> int:
        async with translated():
            found = await self._database.command("dbStats")
        return int(found["storageSize"] + found["indexSize"])

    async def ping(self) -> None:
        async with translated():
            hello = await self._client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("MongoDB answers, but is not a primary that accepts writes")


async def _create_ttl_index(collection: Any, name: str, field: str, seconds: int) -> None:  # noqa: ANN401
    try:
        with pymongo.timeout(_INDEX_BUILD_SECONDS):
            await collection.create_index([(field, ASCENDING)], name=name, expireAfterSeconds=seconds)
    except OperationFailure as error:
        if error.code not in _INDEX_CONFLICTS:
            raise
        raise StoreError(
            f"MongoDB: {collection.name} has an index on {field} that the bridge did not create, so nothing expires; drop it "
            f"and restart the bridge: {error.details and error.details.get('errmsg')}"
        ) from None


def _rejected_document(rejection: Rejection) -> Document:
    message = rejection.message
    return {
        "_id": rejection.id,
        "receivedAt": utc(message.received_ms),
        "source": message.source,
        "topic": message.topic,
        "payload": Binary(message.payload[:PAYLOAD_LIMIT_BYTES]),
        "code": str(rejection.code),
        "reason": rejection.reason,
        "field": rejection.field,
        **({"retained": True} if message.retained else {}),
    }


def _status_document(status: DeviceStatus) -> Document:
    return {"_id": status.device_id, "status": status.status, "statusAt": status.timestamp_ms}
