"""Queries to the database of a stage, directly and without a proxy."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
from bson.objectid import ObjectId
from pymongo.errors import PyMongoError

from tests.faults.readings import id_of, number_of

PAYLOAD_LIMIT = 65536
ALL_READINGS_SECONDS = 600


class Database(ABC):
    """What is stored. Every query raises `ConnectionError` while the database is unavailable."""

    def __init__(self) -> None:
        self.removed: set[ObjectId] = set()
        """Readings that the scenario itself removed, which count as stored."""
        self._suspended = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Query nothing within the context."""
        self._suspended = True
        try:
            yield
        finally:
            self._suspended = False

    async def holds(self, identity: str) -> bool | None:
        """Return whether a reading is stored; None if the database is unavailable."""
        try:
            return not await self._absent([ObjectId(identity)])
        except ConnectionError:
            return None

    async def missing(self, payloads: Sequence[bytes]) -> int:
        """Return how many messages are neither stored nor in the quarantine."""
        numbers = [number_of(payload) for payload in payloads]
        bad = Counter(payload for payload, number in zip(payloads, numbers, strict=True) if number is None)
        lost = len(await self._absent({id_of(number) for number in numbers if number is not None}))
        for payload in bad:
            lost += not await self._is_rejected(payload[:PAYLOAD_LIMIT])
        return lost

    async def _absent(self, ids: Collection[ObjectId]) -> set[ObjectId]:
        if self._suspended:
            raise ConnectionError("suspended")
        expected = set(ids) - self.removed
        absent = expected - await self._find(expected) if expected else set()
        if self._suspended:  # by a scenario that has begun to remove them meanwhile
            raise ConnectionError("suspended")
        return absent - self.removed

    @abstractmethod
    async def _find(self, ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those that are stored."""

    @abstractmethod
    async def _is_rejected(self, payload: bytes) -> bool: ...

    @abstractmethod
    async def stored(self) -> list[tuple[ObjectId, str, object]]:
        """Return id, device and time of every reading."""


class MongoDatabase(Database):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(url, timeoutMS=2000)
        self._sensors = self._client["sensors"]
        self.readings = self._sensors["readings"]
        self.rejected = self._sensors["rejected"]

    async def close(self) -> None:
        await self._client.close()

    async def drop(self, collection: str) -> None:
        await self._sensors[collection].drop()

    async def indexes(self, collection: str) -> dict[str, int | None]:
        """Return the seconds until expiry by the name of the index."""
        found = await self._sensors[collection].index_information()
        return {name: index.get("expireAfterSeconds") for name, index in found.items()}

    async def stored(self) -> list[tuple[ObjectId, str, object]]:
        with pymongo.timeout(ALL_READINGS_SECONDS):
            rows = self.readings.find({}, {"deviceId": 1, "timestamp": 1})
            return [(row["_id"], row["deviceId"], row["timestamp"]) async for row in rows]

    async def _find(self, ids: Collection[ObjectId]) -> set[ObjectId]:
        try:
            found = await self.readings.find({"_id": {"$in": list(ids)}}, {"_id": 1}).to_list()
        except PyMongoError as error:
            raise ConnectionError(str(error)) from error
        return {document["_id"] for document in found}

    async def _is_rejected(self, payload: bytes) -> bool:
        try:
            return await self.rejected.find_one({"payload": payload}, {"_id": 1}) is not None
        except PyMongoError as error:
            raise ConnectionError(str(error)) from error


class SqliteDatabase(Database):
    """A file. It is opened for each query, so that no connection outlasts a file that a scenario removes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def readings_in(self, path: Path) -> list[tuple[ObjectId, str, object]]:
        """Return id, device and time of every reading in another file."""
        rows = _rows(path, "SELECT id, device_id, timestamp FROM readings", ())
        return [(ObjectId(identity), device, at) for identity, device, at in rows]

    async def stored(self) -> list[tuple[ObjectId, str, object]]:
        return self.readings_in(self._path)

    async def _find(self, ids: Collection[ObjectId]) -> set[ObjectId]:
        sql = f"SELECT id FROM readings WHERE id IN ({', '.join('?' * len(ids))})"  # noqa: S608
        return {ObjectId(row[0]) for row in _rows(self._path, sql, [identity.binary for identity in ids])}

    async def _is_rejected(self, payload: bytes) -> bool:
        return bool(_rows(self._path, "SELECT 1 FROM rejected WHERE payload = ?", [payload]))


def _rows(path: Path, sql: str, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Read only: such a connection neither checkpoints nor removes the `-wal`."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ConnectionError(str(error)) from error
