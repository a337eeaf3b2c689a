"""Readings in MongoDB, through Motor or through PyMongo's own asyncio client: the same calls, one class.

Written with `w: majority` and `j: true`: a `kill -9` of mongod loses acknowledged writes without (2,295 of 60,250 measured
at w:1, j:false; none so). One `insert_many` a batch: 5-7 µs a document, where `insert_one` takes 300-490 µs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import pymongo
from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from bridge.core.access.accounts import ApiKey, User, api_key_from_document, user_from_document
from bridge.core.errors import StoreError, StoreUnavailable
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import ReadingsQuery, RetentionResult, WriteResult
from bridge.core.readings.measurements import VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.settings import StoreSettings
from bridge.stores.mongo import direct
from bridge.stores.mongo.access import MongoAudit, MongoDocuments, MongoSessions
from bridge.stores.mongo.devices import MongoCommands, MongoDevices
from bridge.stores.mongo.driver import (
    DUPLICATE_KEY,
    Document,
    Refusal,
    client_class,
    collected,
    insert,
    milliseconds,
    refusals,
    translated,
    utc,
)
from bridge.stores.mongo.quarantine import MongoQuarantine
from bridge.stores.mongo.rollups import MongoHistory, filter_of

log = logging.getLogger(__name__)

_INDEX_CONFLICTS = {85, 86}
_INDEX_BUILD_SECONDS = 3600.0
"""An index over many readings takes longer than any other call; readings are written meanwhile."""
_CLOSE_SECONDS = 0.5


class MongoStore:
    """The collections `readings`, `rollups`, `rejected`, `devices`, `commands`, `state`, `rolled` of one database.

    Beside them are those of `mongo_access.py`.
    """

    def __init__(self, settings: StoreSettings) -> None:
        """Nothing is opened before the store is entered."""
        self._settings = settings
        self._ages_kept = False

    async def __aenter__(self) -> Self:
        """Make the client. It connects by itself, when first asked for something."""
        timeout_ms = round(self._settings.timeout_seconds * 1000)
        self._client = client_class(self._settings.driver)(
            self._settings.url.get_secret_value(),
            w="majority",
            journal=True,
            timeoutMS=timeout_ms,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            tz_aware=True,
            appname="sensor-bridge",
        )
        if direct.MISSING and self._settings.driver == "pymongo":
            log.warning("inserts take the slower way, as this PyMongo has no %s", ", ".join(direct.MISSING))
        self._kept = direct.KeptConnection()
        database = self._client.get_default_database("sensors")
        self._readings = database["readings"]
        self._rejected = database["rejected"]
        self.quarantine = MongoQuarantine(self._rejected)
        self._devices = database["devices"]
        self.devices = MongoDevices(self._devices)
        self._commands = database["commands"]
        self.commands = MongoCommands(self._commands)
        self.users = MongoDocuments[User](database["users"], user_from_document)
        self.keys = MongoDocuments[ApiKey](database["keys"], api_key_from_document)
        self.sessions = MongoSessions(database["sessions"], database["revocations"])
        self._audit = database["audit"]
        self.audit = MongoAudit(self._audit)
        self._state = database["state"]
        self._rollups = database["rollups"]
        self.history = MongoHistory(database, self._settings.retention_days)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client's connections. It says goodbye to the server, which may be away: not for long."""
        await self._kept.give_back()
        closing = self._client.close() if self._settings.driver == "pymongo" else asyncio.to_thread(self._client.close)
        with suppress(TimeoutError):
            await asyncio.wait_for(closing, _CLOSE_SECONDS)

    async def prepare(self) -> int:
        """Make the indexes; the highest cursor."""
        async with translated():
            await self._readings.create_indexes(
                [
                    IndexModel([("seq", ASCENDING)], name="seq"),
                    IndexModel([("deviceId", ASCENDING), ("timestamp", DESCENDING)], name="device_timestamp"),
                ]
            )
            await self._commands.create_indexes([IndexModel([("device", ASCENDING), ("createdAt", DESCENDING)], name="device")])
            await self.history.prepare()
            await self.sessions.prepare()
            await self.audit.prepare()
            last = await self._readings.find_one({}, {"seq": 1}, sort=[("seq", DESCENDING)])
        return int(last["seq"]) if last else 0

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        """One `insert_many` a collection."""
        async with translated():
            if rejections:
                await self._reject(rejections)
            if statuses:
                await self._note(statuses)
            if not readings:
                return WriteResult()
            documents = [_document(reading) for reading in readings]
            return await self._written(readings, await insert(self._readings, documents, self._kept))

    async def _reject(self, rejections: Sequence[Rejection]) -> None:
        """The quarantine is the last place there is: what it refuses must not pass for kept."""
        refused = await insert(self._rejected, [_rejected_document(rejection) for rejection in rejections])
        for one in refused:
            if one.code != DUPLICATE_KEY:
                raise StoreUnavailable(f"MongoDB: the collection rejected refuses a message: {one.text}")

    async def _note(self, statuses: Sequence[DeviceStatus]) -> None:
        """The last status of each device; one that is refused is no reason to hold up readings."""
        updates = [_status_update(status) for status in {status.device_id: status for status in statuses}.values()]
        try:
            await self._devices.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            refused = refusals(error)
            if any(one.code == DUPLICATE_KEY for one in refused):  # two upserts at once: the next attempt updates
                raise
            log.warning("the collection devices refused %d statuses: %s", len(refused), refused[0].text)

    async def _written(self, readings: Sequence[Reading], refused: Sequence[Refusal]) -> WriteResult:
        """What is there under our `_id` and `seq` is ours, of an earlier attempt that came through after all."""
        repeated = [readings[one.index].id for one in refused if one.code == DUPLICATE_KEY]
        there: dict[Any, int] = {}
        if repeated:
            found = self._readings.find({"_id": {"$in": repeated}}, {"seq": 1})
            there = {one["_id"]: one["seq"] async for one in found}
        stored = {reading.seq for reading in readings}
        reasons: dict[int, str] = {}
        for one in refused:
            reading = readings[one.index]
            if there.get(reading.id) != reading.seq:
                stored.discard(reading.seq)
                if reading.id not in there:  # also by a unique index that is not ours
                    reasons[reading.seq] = one.text
        return WriteResult(frozenset(stored), reasons)

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """By the `seq` index."""
        direction = DESCENDING if query.newest else ASCENDING
        async with translated():
            cursor = self._readings.find(filter_of(query), sort=[("seq", direction)], limit=query.limit)
            found = [_reading(document) async for document in cursor]
        return found[::-1] if query.newest else found

    async def count(self, query: ReadingsQuery) -> int:
        """From the collection's own count where nothing is filtered."""
        conditions = filter_of(replace(query, since=query.since or None))
        async with translated():
            if not conditions:
                return int(await self._readings.estimated_document_count())
            return int(await self._readings.count_documents(conditions))

    async def latest(self) -> list[Reading]:
        """One index entry a device: the group is answered by a distinct scan of `device_timestamp`."""
        async with translated():
            documents = await collected(
                self._readings.aggregate(
                    [
                        {"$sort": {"deviceId": ASCENDING, "timestamp": DESCENDING}},
                        {"$group": {"_id": "$deviceId", "newest": {"$first": "$$ROOT"}}},
                        {"$sort": {"_id": ASCENDING}},
                    ]
                )
            )
        return [_reading(document["newest"]) for document in documents]

    async def enforce_retention(self) -> RetentionResult:
        """Ages are left to TTL indexes, which the first call puts right; the numbers of rejections and acts are kept here."""
        if not self._ages_kept:
            settings = self._settings
            await self._keep_age(self._readings, "retention", "timestamp", settings.retention_days)
            await self._keep_age(self._rejected, "receivedAt", "receivedAt", settings.rejected_days)
            await self._keep_age(self._commands, "createdAt", "createdAt", settings.commands_days)
            await self._keep_age(self._rollups, "start", "start", settings.rollup_days)
            await self._keep_age(self._audit, "at", "at", settings.audit_days)
            self._ages_kept = True
        return RetentionResult(
            rejected_over=await self.quarantine.trim(self._settings.rejected_limit),
            acts_over=await self.audit.trim(self._settings.audit_limit),
        )

    async def _keep_age(self, collection: Any, name: str, field: str, days: int | None) -> None:  # noqa: ANN401
        """Make, change or drop the TTL index called `name`, and no other."""
        seconds = None if days is None else days * 86_400
        async with translated():
            there = (await collection.index_information()).get(name)
        if there and [tuple(key) for key in there["key"]] != [(field, ASCENDING)]:
            raise StoreError(f"MongoDB: the index {name} of {collection.name} is not ours: rename it, or nothing expires")
        present = there.get("expireAfterSeconds") if there else None
        if present == seconds and (there or seconds is None):
            return
        async with translated():
            if present is not None and seconds is not None:
                index = {"name": name, "expireAfterSeconds": seconds}
                await self._client.get_default_database("sensors").command("collMod", collection.name, index=index)
            else:
                if there:
                    await collection.drop_index(name)
                if seconds is not None:
                    await _make_expiring(collection, name, field, seconds)
        log.info("%s: %s", collection.name, f"kept for {days} days" if days else "kept for ever")

    async def put(self, key: str, value: str) -> None:
        """One document of `state`."""
        async with translated():
            await self._state.update_one({"_id": key}, {"$set": {"value": value}}, upsert=True)

    async def get_value(self, key: str) -> str | None:
        """By `_id`."""
        async with translated():
            found = await self._state.find_one({"_id": key})
        return str(found["value"]) if found else None

    async def put_if_absent(self, key: str, value: str) -> str:
        """An upsert that changes nothing; of two at once one finds the other's."""
        async with translated():
            with suppress(DuplicateKeyError):
                await self._state.update_one({"_id": key}, {"$setOnInsert": {"value": value}}, upsert=True)
            return str((await self._state.find_one({"_id": key}))["value"])

    async def ping(self) -> None:
        """Ask the server whether it would take a write."""
        async with translated():
            hello = await self._client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("MongoDB answers, but is not a primary that takes writes")


async def _make_expiring(collection: Any, name: str, field: str, seconds: int) -> None:  # noqa: ANN401
    try:
        with pymongo.timeout(_INDEX_BUILD_SECONDS):
            await collection.create_index([(field, ASCENDING)], name=name, expireAfterSeconds=seconds)
    except OperationFailure as error:
        if error.code not in _INDEX_CONFLICTS:
            raise
        raise StoreError(
            f"MongoDB: {collection.name} has an index on {field} that is not ours, so nothing expires; drop it, "
            f"and start again: {error.details and error.details.get('errmsg')}"
        ) from None


def _document(reading: Reading) -> Document:
    return {
        "_id": reading.id,
        **reading.values,
        "timestamp": utc(reading.timestamp_ms),
        "deviceId": reading.device_id,
        "receivedAt": utc(reading.received_ms),
        "seq": reading.seq,
        **reading.optional_keys(),
    }


def _reading(document: Mapping[str, Any]) -> Reading:
    return Reading(
        id=document["_id"],
        device_id=document["deviceId"],
        values={name: document[name] for name in VALUE_NAMES if name in document},
        timestamp_ms=milliseconds(document["timestamp"]),
        received_ms=milliseconds(document["receivedAt"]),
        quality=document.get("quality", {}),
        device_timestamp=document.get("deviceTimestamp"),
        retained=document.get("retained", False),
        seq=document["seq"],
    )


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


def _status_update(status: DeviceStatus) -> UpdateOne:
    return UpdateOne(
        {"_id": status.device_id},
        {"$set": {"status": status.status, "statusAt": utc(status.timestamp_ms)}},
        upsert=True,
    )
