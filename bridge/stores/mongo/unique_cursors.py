"""Makes the index on `seq` unique, in place, while readings are written. MongoDB 6.0 and later can."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pymongo
from bson.objectid import ObjectId
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError, OperationFailure

from bridge.core.errors import StoreError
from bridge.log.preparation import PrepareProgress, Renumbered

SEQ = "seq"
_BUILD_SECONDS = 3600.0
_PAUSE_SECONDS = 0.02
_ATTEMPTS = 20
_CANNOT_CONVERT = 359
_MODIFIED_BY_ANOTHER = {85, 86, 125, 12587}
"""Another bridge created, is building or converted the index: six that began at once met this in 98 of 900 tries."""
_UNKNOWN_OPTIONS = {40415, 72, 9, 40324}


class UniqueCursors:
    """`readings` is the collection of a client that waits for a majority."""

    def __init__(self, database: Any, readings: Any, progress: PrepareProgress) -> None:  # noqa: ANN401 - Motor has no types
        self._database = database
        self._readings = readings
        self._progress = progress

    async def ensure(self) -> None:
        """Convert the index, or create it. Safe to repeat, also after an interruption.

        Bridges that start at the same time may all do this. Raises `StoreError` if the server is too old, and the driver's
        errors.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._ensure()
            except OperationFailure as error:
                if error.code not in _MODIFIED_BY_ANOTHER or attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(attempt * _PAUSE_SECONDS)
        return None

    async def _ensure(self) -> None:
        present = (await self._readings.index_information()).get(SEQ)
        if present is None:
            await self._readings.create_index([(SEQ, ASCENDING)], name=SEQ, unique=True)
        elif not present.get("unique"):
            self._progress.converting(await self._readings.estimated_document_count())
            with pymongo.timeout(_BUILD_SECONDS):
                await self._convert()

    async def _convert(self) -> None:
        """From the first step on the server refuses equal cursors, so the readings that the second step names are all."""
        try:
            await self._modify_index(prepareUnique=True)
        except OperationFailure as error:
            if error.code not in _UNKNOWN_OPTIONS:
                raise
            raise StoreError("MongoDB: a cluster needs MongoDB 6.0 or later, which can make an index unique") from None
        while equal := await self._make_unique():
            for ids in equal:
                await self._renumber(ids)

    async def _make_unique(self) -> list[list[ObjectId]]:
        """Return the ids of readings with the same cursor, as many as fit into an answer; none if the index is unique now.

        This reads the index once: 0.9 s for 330,000 readings, of which 29,000 had equal cursors. Grouping them took 8.4 s.
        """
        try:
            await self._modify_index(unique=True)
        except OperationFailure as error:
            violations = (error.details or {}).get("violations")
            if error.code != _CANNOT_CONVERT or not violations:
                raise
            return [one["ids"] for one in violations]
        return []

    async def _modify_index(self, **option: bool) -> None:
        await self._database.command("collMod", "readings", index={"keyPattern": {SEQ: 1}, **option})

    async def _renumber(self, ids: Sequence[ObjectId]) -> None:
        """Give all readings but the first the next cursors that are free."""
        first, *others = ids
        found = await self._readings.find_one({"_id": first}, {SEQ: 1})
        if found is None:  # removed by retention meanwhile
            return
        before = after = int(found[SEQ])
        for identity in others:
            reading, after = await self._move(identity, after)
            if reading is not None:
                device = str(reading.get("deviceId", ""))
                self._progress.renumbered(Renumbered(str(identity), device, before, after))

    async def _move(self, identity: ObjectId, cursor: int) -> tuple[dict[str, Any] | None, int]:
        """Set the first free cursor above `cursor`; return the reading, None if it was removed, and its cursor."""
        while True:
            cursor += 1
            try:
                return await self._readings.find_one_and_update({"_id": identity}, {"$set": {SEQ: cursor}}), cursor
            except DuplicateKeyError:
                continue
