"""Rollups in MongoDB: `rollups`, a document for each device, width (in seconds) and start; `rolled`, the progress of devices.

Both are derived from the readings and can be dropped, together and with `rollups` in `state`: they are built again.
`changed_hours` has the hours whose rollups lack a correction of a reading. A document
holds `count` and, for each field that was measured, `{min, max, sum, count}`. The server computes all of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pymongo
from pymongo import ASCENDING, DESCENDING, ReturnDocument

from bridge.core.query import Bucket, ReadingsQuery
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
from bridge.core.rollup import HOUR_MS, LEVELS_MS, ChangedHour, Late, RollupProgress, RollupSegment, align_range
from bridge.stores.history import PARTS, bucket
from bridge.stores.mongo.driver import Document, collected, milliseconds, utc
from bridge.stores.mongo.reading_documents import ANY_DEVICE, filter_of
from bridge.stores.rollup_builder import LEASE_SECONDS, RollupTables, now_ms

_STATE = "rollups"
_ROLL_SECONDS = 20.0
"""Deadline of building rollups only: an hour of a device with 100 readings/s takes more than a second."""
_MERGE = {
    "$merge": {"into": "rollups", "on": ["device", "width", "start"], "whenMatched": "replace", "whenNotMatched": "insert"}
}


class MongoRollups(RollupTables):
    def __init__(self, database: Any) -> None:  # noqa: ANN401 - Motor has no types
        self._readings = database["readings"]
        self._rollups = database["rollups"]
        self._rolled = database["rolled"]
        self._changed = database["changed_hours"]
        self._state = database["state"]

    async def lead(self, owner: str) -> int | None:
        """Update one document, by the server's clock."""
        free = {"$or": [{"$eq": ["$owner", owner]}, {"$lt": [{"$ifNull": ["$expires", utc(0)]}, "$$NOW"]}]}
        taken = {
            "owner": {"$cond": [free, owner, "$owner"]},
            "expires": {"$cond": [free, {"$add": ["$$NOW", LEASE_SECONDS * 1000]}, "$expires"]},
            "seq": {"$ifNull": ["$seq", 0]},
        }
        state = await self._state.find_one_and_update(
            {"_id": _STATE}, [{"$set": taken}], upsert=True, return_document=ReturnDocument.AFTER
        )
        return int(state["seq"]) if state["owner"] == owner else None

    async def save_cursor(self, owner: str, seq: int) -> None:
        await self._state.update_one({"_id": _STATE, "owner": owner}, {"$set": {"seq": seq}})

    async def cursor(self) -> int:
        state = await self._state.find_one({"_id": _STATE}, {"seq": 1})
        return int(state["seq"]) if state else 0

    async def last_cursor(self, since: int, until: int, limit: int | None = None) -> int | None:
        """Read the index on `seq` alone."""
        span = {"seq": {"$gt": since, "$lte": until}}
        if limit is not None:
            found = await self._readings.find_one(span, {"_id": 0, "seq": 1}, sort=[("seq", ASCENDING)], skip=limit - 1)
            if found:
                return int(found["seq"])
        found = await self._readings.find_one(span, {"_id": 0, "seq": 1}, sort=[("seq", DESCENDING)])
        return int(found["seq"]) if found else None

    async def late_hours(
        self, since: int, until: int | None, before_ms: int, from_ms: int = 0, devices: Sequence[str] | None = None
    ) -> Late:
        """Read by the index on `seq`: new readings are few, whatever the time they were measured."""
        cursors = {"$gt": since} if until is None else {"$gt": since, "$lte": until}
        match: Document = {"seq": cursors, "timestamp": {"$gte": utc(from_ms), "$lt": utc(before_ms)}}
        match["deviceId"] = ANY_DEVICE if devices is None else {"$in": list(devices)}
        group = {"$group": {"_id": {"d": "$deviceId", "t": _start_of("$timestamp", HOUR_MS)}}}
        found = await collected(self._readings.aggregate([{"$match": match}, group], hint="seq"))
        return [(document["_id"]["d"], int(document["_id"]["t"])) for document in found]

    async def mark_changed(self, hours: Collection[tuple[str, int]]) -> None:
        """Have the rollups of these hours, by device, built again."""
        for device_id, start_ms in hours:
            key, at = {"device": device_id, "start": utc(start_ms)}, utc(now_ms())
            later = {"$max": [{"$add": [{"$ifNull": ["$at", utc(0)]}, 1]}, at]}
            await self._changed.update_one({"_id": key}, [{"$set": {"at": later}}], upsert=True)

    async def changed_hours(self, devices: Sequence[str] | None = None, limit: int = 0) -> list[ChangedHour]:
        where: Document = {} if devices is None else {"_id.device": {"$in": list(devices)}}
        found = self._changed.find(where, sort=[("at", ASCENDING)], limit=limit)
        return [
            ChangedHour(one["_id"]["device"], milliseconds(one["_id"]["start"]), milliseconds(one["at"])) async for one in found
        ]

    async def rebuild(self, device_id: str, hour: int) -> None:
        for width in LEVELS_MS:
            span = RollupSegment((device_id,), width, *align_range(hour, hour + HOUR_MS, width))
            await self._rollups.delete_many(_rollups_of(span))
        await self.roll(device_id, hour, hour + HOUR_MS)

    async def forget_changed(self, hour: ChangedHour) -> None:
        key = {"device": hour.device_id, "start": utc(hour.start_ms)}
        await self._changed.delete_one({"_id": key, "at": utc(hour.at_ms)})

    async def saved_progress(self, devices: Sequence[str] | None) -> list[RollupProgress]:
        found = self._rolled.find({} if devices is None else {"_id": {"$in": list(devices)}})
        return [_progress(document) async for document in found]

    async def forget_lost(self) -> bool:
        if await self._rollups.find_one({}, {"_id": 1}) or not await self._rolled.find_one(
            {"first": {"$ne": None}}, {"_id": 1}
        ):
            return False
        await self._rolled.delete_many({})
        return True

    async def device_ids(self, limit: int | None = None) -> Collection[str]:
        """Do a distinct scan of `device_timestamp`."""
        return await self._first_times(None, ASCENDING, limit)

    async def ends(self, devices: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        oldest, newest = [await self._first_times(devices, direction) for direction in (ASCENDING, DESCENDING)]
        return {name: (oldest[name], newest[name]) for name in oldest.keys() & newest.keys()}

    async def _first_times(self, devices: Sequence[str] | None, direction: int, limit: int | None = None) -> dict[str, int]:
        """Return the first (or last) time of measurement of each device, the first `limit` by name: one index entry each."""
        match = [{"$match": {"deviceId": ANY_DEVICE if devices is None else {"$in": list(devices)}}}]
        order = {"deviceId": -direction, "timestamp": direction}  # the index has them in opposite directions
        group = {"_id": "$deviceId", "at": {"$first": "$timestamp"}}
        first = [] if limit is None else [{"$sort": {"_id": ASCENDING}}, {"$limit": limit}]
        found = await collected(self._readings.aggregate([*match, {"$sort": order}, {"$group": group}, *first]))
        return {document["_id"]: milliseconds(document["at"]) for document in found}

    async def save_progress(self, progress: RollupProgress) -> None:
        document = {
            "first": None if progress.first_ms is None else utc(progress.first_ms),
            "until": utc(progress.until_ms),
            "again": utc(progress.again_ms),
            "fields": sorted(progress.fields),
        }
        await self._rolled.update_one({"_id": progress.device_id}, {"$set": document}, upsert=True)

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """Read the index on device and time alone."""
        span = {"deviceId": device_id, "timestamp": {"$gte": utc(from_ms), "$lt": utc(to_ms)}}
        in_order: Document = {"projection": {"_id": 0, "timestamp": 1}, "sort": [("timestamp", ASCENDING)]}
        first = await self._readings.find_one(span, **in_order)
        if first is None:
            return None
        last = await self._readings.find_one(span, **in_order, skip=limit - 1)
        return milliseconds(first["timestamp"]), milliseconds(last["timestamp"]) if last else to_ms

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """Build the narrowest width from the readings, each wider one from the width before it."""
        fields = tuple(MEASUREMENTS_BY_NAME)
        finest, *wider = LEVELS_MS
        whole = RollupSegment((device_id,), None, from_ms, to_ms)
        with pymongo.timeout(_ROLL_SECONDS):
            stages = [{"$match": _readings_of(whole)}, _by_reading(finest, fields), _as_rollup(finest, fields), _MERGE]
            await collected(self._readings.aggregate(stages))
            below = finest
            for width in wider:
                part = RollupSegment((device_id,), below, *align_range(from_ms, to_ms, width))
                stages = [{"$match": _rollups_of(part)}, _by_rollup(width, fields), _as_rollup(width, fields), _MERGE]
                await collected(self._rollups.aggregate(stages))
                below = width
            widest = self._rollups.find(_rollups_of(replace(part, width_ms=below)), {"_id": 0})
            return frozenset([name async for document in widest for name in document if name in MEASUREMENTS_BY_NAME])

    async def measured(self, segments: Sequence[RollupSegment], fields: Sequence[str]) -> Collection[str]:
        highest = {name: {"$max": f"${name}"} for name in fields}
        match = {"$match": {"$or": [_readings_of(segment) for segment in segments]}}
        found = await collected(self._readings.aggregate([match, {"$group": {"_id": None, **highest}}]))
        return [name for document in found for name in fields if document[name] is not None]

    async def summarize(
        self,
        query: ReadingsQuery,
        segments: Sequence[RollupSegment] | None,
        every_ms: int,
        fields: Sequence[str],
        offset_ms: int = 0,
    ) -> list[Bucket]:
        stages: list[Document]
        if segments is None:
            collection, stages = self._readings, [{"$match": filter_of(query)}]
        else:
            collection, stages = self._combined(segments, fields)
        stages.append(
            _by_rollup(every_ms, fields, offset_ms) if collection is self._rollups else _by_reading(every_ms, fields, offset_ms)
        )
        stages += [
            {"$sort": {"_id.t": DESCENDING if query.newest else ASCENDING, "_id.d": ASCENDING}},
            {"$limit": query.limit},
            {"$sort": {"_id.t": ASCENDING, "_id.d": ASCENDING}},
        ]
        documents = await collected(collection.aggregate(stages))
        return [_bucket(document, fields) for document in documents]

    def _combined(self, segments: Sequence[RollupSegment], fields: Sequence[str]) -> tuple[Any, list[Document]]:
        """Return the collection and the stages that select its documents; readings are converted to the form of rollups."""
        rolled = [_rollups_of(segment) for segment in segments if segment.width_ms is not None]
        unrolled = [_readings_of(segment) for segment in segments if segment.width_ms is None]
        raw = {"$match": {"$or": unrolled or [{"_id": None}]}}
        if not rolled:
            return self._readings, [raw]
        finest = LEVELS_MS[0]
        like_rollups = [raw, _by_reading(finest, fields), _as_rollup(finest, fields)]
        return self._rollups, [{"$match": {"$or": rolled}}, {"$unionWith": {"coll": "readings", "pipeline": like_rollups}}]


def _readings_of(segment: RollupSegment) -> Document:
    return filter_of(ReadingsQuery(segment.devices, segment.from_ms, segment.to_ms))


def _rollups_of(segment: RollupSegment) -> Document:
    in_time = filter_of(ReadingsQuery(None, segment.from_ms, segment.to_ms))["timestamp"]
    return {"device": {"$in": list(segment.devices)}, "width": (segment.width_ms or 0) // 1000, "start": in_time}


def _start_of(time: str, every_ms: int, offset_ms: int = 0) -> Document:
    at = {"$toLong": time}
    return {"$subtract": [at, {"$mod": [{"$add": [at, offset_ms]} if offset_ms else at, every_ms]}]}


def _by_reading(every_ms: int, fields: Sequence[str], offset_ms: int = 0) -> Document:
    """Group readings: device and start as `_id`, `count`, and four keys a field, as in all of these summaries."""
    group: Document = {"_id": {"d": "$deviceId", "t": _start_of("$timestamp", every_ms, offset_ms)}, "count": {"$sum": 1}}
    for name in fields:
        value = {"$toInt": f"${name}"} if isinstance(MEASUREMENTS_BY_NAME[name], Flag) else f"${name}"
        measured = {"$cond": [{"$gt": [f"${name}", None]}, 1, 0]}
        group |= _four(name, value, value, value, measured)
    return {"$group": group}


def _by_rollup(every_ms: int, fields: Sequence[str], offset_ms: int = 0) -> Document:
    group: Document = {"_id": {"d": "$device", "t": _start_of("$start", every_ms, offset_ms)}, "count": {"$sum": "$count"}}
    for name in fields:
        group |= _four(name, *(f"${name}.{part}" for part in PARTS))
    return {"$group": group}


def _four(name: str, low: Any, high: Any, total: Any, count: Any) -> Document:  # noqa: ANN401 - expressions
    return {
        f"{name}_min": {"$min": low},
        f"{name}_max": {"$max": high},
        f"{name}_sum": {"$sum": total},
        f"{name}_count": {"$sum": count},
    }


def _as_rollup(width_ms: int, fields: Iterable[str]) -> Document:
    """Give a summary the form of `rollups`, which has only fields that were measured."""
    document: Document = {
        "_id": 0,
        "device": "$_id.d",
        "width": {"$literal": width_ms // 1000},
        "start": {"$toDate": "$_id.t"},
        "count": 1,
    }
    for name in fields:
        four = {part: f"${name}_{part}" for part in PARTS}
        document[name] = {"$cond": [{"$gt": [f"${name}_count", 0]}, four, "$$REMOVE"]}
    return {"$project": document}


def _progress(document: Mapping[str, Any]) -> RollupProgress:
    first = document["first"]
    first_ms = None if first is None else milliseconds(first)
    until_ms, again_ms = milliseconds(document["until"]), milliseconds(document["again"])
    return RollupProgress(document["_id"], first_ms, until_ms, again_ms, frozenset(document["fields"]))


def _bucket(document: Mapping[str, Any], fields: Sequence[str]) -> Bucket:
    numbers = [document[f"{name}_{part}"] for name in fields for part in PARTS]
    return bucket(document["_id"]["d"], int(document["_id"]["t"]), document["count"], numbers, fields)
