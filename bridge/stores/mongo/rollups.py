"""Rollups in MongoDB: `rollups`, a document for each device, width (in seconds) and start; `rolled`, how far each device is.

Both are made of the readings and can be dropped, together and with `rollups` in `state`: they are made again. A document holds
`count` and, of each field that was measured, `{min, max, sum, count}`. All of it is computed in the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument

from bridge.core.query import Bucket, FieldSummary, ReadingsQuery, RollupResult
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
from bridge.core.rollup import (
    HOUR_MS,
    LEVELS_MS,
    HistoryRange,
    Late,
    RollupProgress,
    RollupSegment,
    align_range,
    first_complete_ms,
    fits_rollups,
    is_time_query,
    plan,
    unrolled_query,
)
from bridge.stores.mongo.driver import Document, collected, milliseconds, translated, utc
from bridge.stores.rollup_job import LEASE_SECONDS, RollupBuilder, now_ms

_STATE = "rollups"
_ROLL_SECONDS = 20.0
"""Deadline of a roll, as of nothing else: an hour of a device with 100 readings a second takes more than a second."""
_MERGE = {
    "$merge": {"into": "rollups", "on": ["device", "width", "start"], "whenMatched": "replace", "whenNotMatched": "insert"}
}
_SHORT = ("min", "max", "sum", "count")


class MongoHistory:
    """Summaries of readings, from rollups and readings; and the making of the rollups."""

    def __init__(self, database: Any, retention_days: int | None) -> None:  # noqa: ANN401 - Motor has no types
        """`database` has the readings."""
        self._readings = database["readings"]
        self._rollups = database["rollups"]
        self._tables = MongoRollups(database)
        self._retention_days = retention_days
        self._rolling = RollupBuilder(self._tables, retention_days)

    async def prepare(self) -> None:
        """Make the index."""
        place = [("device", ASCENDING), ("width", ASCENDING), ("start", ASCENDING)]
        await self._rollups.create_indexes([IndexModel(place, name="place", unique=True)])

    async def roll_up(self) -> RollupResult:
        """A step."""
        async with translated():
            return await self._rolling.step()

    async def extent(self, devices: Sequence[str] | None) -> HistoryRange | None:
        """The first and last index entry of each device."""
        async with translated():
            ends = [await self._tables.ends(devices, direction) for direction in (ASCENDING, DESCENDING)]
            firsts = [place.first_ms for place in await self._tables.kept(devices) if place.first_ms is not None]
        oldest, newest = (list(end.values()) for end in ends)
        if not oldest and not firsts:
            return None
        readings_ms = min(oldest, default=now_ms())
        return HistoryRange(min([readings_ms, *firsts]), max(newest, default=readings_ms), readings_ms)

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """Grouped in the server, to the deadline of every call."""
        async with translated():
            collection = self._readings
            stages: list[Document] = [{"$match": filter_of(query)}]
            if is_time_query(query):
                places, late = await self._ground(query)
                fields = await self._measured(fields, unrolled_query(query, places, late), places)
                if fits_rollups(every_ms) and places:
                    collection, stages = self._joined(plan(query, every_ms, places, late), fields)
            stages.append(_by_rollup(every_ms, fields) if collection is self._rollups else _by_reading(every_ms, fields))
            newest = DESCENDING if query.newest else ASCENDING
            stages += [
                {"$sort": {"_id.t": newest, "_id.d": ASCENDING}},
                {"$limit": query.limit},
                {"$sort": {"_id.t": ASCENDING, "_id.d": ASCENDING}},
            ]
            documents = await collected(collection.aggregate(stages))
        return [_bucket(document, fields) for document in documents]

    async def _ground(self, query: ReadingsQuery) -> tuple[list[RollupProgress], Late]:
        """In this order, cursor, places, late readings, nothing is missed or counted twice while rollups are made."""
        cursor = await self._tables.cursor()
        places = await self._tables.places(query.devices)
        rolled_ms = min(query.to_ms or now_ms(), max((place.until_ms for place in places), default=0))
        since_ms = max(query.from_ms or 0, first_complete_ms(now_ms(), self._retention_days))
        late: Late = ()
        if since_ms < rolled_ms:
            late = await self._tables.touched(cursor, None, rolled_ms, since_ms, query.devices)
        return places, late

    async def _measured(
        self, fields: Sequence[str], unsure: Sequence[RollupSegment] | None, places: Sequence[RollupProgress]
    ) -> Sequence[str]:
        """Those of the fields that there are: each that is summed up takes its time, 0.8 µs a reading, be it there or not."""
        if unsure is None:
            return fields
        known = frozenset[str]().union(*(place.fields for place in places))
        if unsure and not known.issuperset(fields):
            highest = {name: {"$max": f"${name}"} for name in fields}
            match = {"$match": {"$or": [_readings_of(piece) for piece in unsure]}}
            for found in await collected(self._readings.aggregate([match, {"$group": {"_id": None, **highest}}])):
                known |= {name for name in fields if found[name] is not None}
        return [name for name in fields if name in known]

    def _joined(self, pieces: Sequence[RollupSegment], fields: Sequence[str]) -> tuple[Any, list[Document]]:
        """The collection to begin with, and the stages to its documents; among rollups, readings are made to look like them."""
        rolled = [_rollups_of(piece) for piece in pieces if piece.width_ms is not None]
        raw = {"$match": {"$or": [_readings_of(piece) for piece in pieces if piece.width_ms is None] or [{"_id": None}]}}
        if not rolled:
            return self._readings, [raw]
        finest = LEVELS_MS[0]
        like_rollups = [raw, _by_reading(finest, fields), _as_rollup(finest, fields)]
        return self._rollups, [{"$match": {"$or": rolled}}, {"$unionWith": {"coll": "readings", "pipeline": like_rollups}}]


class MongoRollups:
    """What the making of rollups asks of MongoDB."""

    def __init__(self, database: Any) -> None:  # noqa: ANN401 - Motor has no types
        """`database` has the readings."""
        self._readings = database["readings"]
        self._rollups = database["rollups"]
        self._rolled = database["rolled"]
        self._state = database["state"]

    async def lead(self, owner: str) -> int | None:
        """One document, by the server's clock."""
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

    async def keep_cursor(self, owner: str, seq: int) -> None:
        """Beside the lease."""
        await self._state.update_one({"_id": _STATE, "owner": owner}, {"$set": {"seq": seq}})

    async def cursor(self) -> int:
        """As it was kept; 0 before the first."""
        state = await self._state.find_one({"_id": _STATE}, {"seq": 1})
        return int(state["seq"]) if state else 0

    async def settled(self, since: int, until: int, limit: int | None = None) -> int | None:
        """From the index on `seq` alone."""
        span = {"seq": {"$gt": since, "$lte": until}}
        if limit is not None:
            found = await self._readings.find_one(span, {"_id": 0, "seq": 1}, sort=[("seq", ASCENDING)], skip=limit - 1)
            if found:
                return int(found["seq"])
        found = await self._readings.find_one(span, {"_id": 0, "seq": 1}, sort=[("seq", DESCENDING)])
        return int(found["seq"]) if found else None

    async def touched(
        self, since: int, until: int | None, before_ms: int, from_ms: int = 0, devices: Sequence[str] | None = None
    ) -> Late:
        """By the index on `seq`: what is new is little, whatever the time it was measured."""
        cursors = {"$gt": since} if until is None else {"$gt": since, "$lte": until}
        match: Document = {"seq": cursors, "timestamp": {"$gte": utc(from_ms), "$lt": utc(before_ms)}}
        if devices is not None:
            match["deviceId"] = {"$in": list(devices)}
        group = {"$group": {"_id": {"d": "$deviceId", "t": _start_of("$timestamp", HOUR_MS)}}}
        found = await collected(self._readings.aggregate([{"$match": match}, group], hint="seq"))
        return [(one["_id"]["d"], int(one["_id"]["t"])) for one in found]

    async def kept(self, devices: Sequence[str] | None) -> list[RollupProgress]:
        """The places that are kept."""
        found = self._rolled.find({} if devices is None else {"_id": {"$in": list(devices)}})
        return [_place(one) async for one in found]

    async def places(self, devices: Sequence[str] | None = None) -> list[RollupProgress]:
        """The devices with readings by a distinct scan of `device_timestamp`."""
        kept = {place.device_id: place for place in await self.kept(devices)}
        names = set(kept) | set(await self.ends(None, ASCENDING) if devices is None else devices)
        return [kept.get(name) or RollupProgress(name) for name in sorted(names)]

    async def ends(self, devices: Sequence[str] | None, direction: int) -> dict[str, int]:
        """When the first (or last) reading of each device was measured: one index entry each."""
        match = [] if devices is None else [{"$match": {"deviceId": {"$in": list(devices)}}}]
        order = {"deviceId": -direction, "timestamp": direction}  # the index has them in opposite directions
        group = {"_id": "$deviceId", "at": {"$first": "$timestamp"}}
        found = await collected(self._readings.aggregate([*match, {"$sort": order}, {"$group": group}]))
        return {one["_id"]: milliseconds(one["at"]) for one in found}

    async def keep_place(self, place: RollupProgress) -> None:
        """One document."""
        first = None if place.first_ms is None else utc(place.first_ms)
        times = {"first": first, "until": utc(place.until_ms), "again": utc(place.again_ms)}
        await self._rolled.update_one({"_id": place.device_id}, {"$set": times | {"fields": sorted(place.fields)}}, upsert=True)

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """From the index on device and time alone."""
        span = {"deviceId": device_id, "timestamp": {"$gte": utc(from_ms), "$lt": utc(to_ms)}}
        in_order: Document = {"projection": {"_id": 0, "timestamp": 1}, "sort": [("timestamp", ASCENDING)]}
        first = await self._readings.find_one(span, **in_order)
        if first is None:
            return None
        last = await self._readings.find_one(span, **in_order, skip=limit - 1)
        return milliseconds(first["timestamp"]), milliseconds(last["timestamp"]) if last else to_ms

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """The narrowest from the readings, each other from the one before."""
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
            made = self._rollups.find(_rollups_of(replace(part, width_ms=below)), {"_id": 0})
            return frozenset([name async for one in made for name in one if name in MEASUREMENTS_BY_NAME])


def filter_of(query: ReadingsQuery) -> Document:
    """What is asked for, as MongoDB takes it."""
    conditions: Document = {}
    if query.devices is not None:
        conditions["deviceId"] = {"$in": list(query.devices)}
    cursors = {name: bound for name, bound in (("$gt", query.since), ("$lte", query.until)) if bound is not None}
    if cursors:
        conditions["seq"] = cursors
    span = {}
    if query.from_ms is not None:
        span["$gte"] = utc(query.from_ms)
    if query.to_ms is not None:
        span["$lt"] = utc(query.to_ms)
    if span:
        conditions["timestamp"] = span
    return conditions


def _readings_of(piece: RollupSegment) -> Document:
    return filter_of(ReadingsQuery(piece.devices, piece.from_ms, piece.to_ms))


def _rollups_of(piece: RollupSegment) -> Document:
    in_time = filter_of(ReadingsQuery(None, piece.from_ms, piece.to_ms))["timestamp"]
    return {"device": {"$in": list(piece.devices)}, "width": (piece.width_ms or 0) // 1000, "start": in_time}


def _start_of(time: str, every_ms: int) -> Document:
    at = {"$toLong": time}
    return {"$subtract": [at, {"$mod": [at, every_ms]}]}


def _by_reading(every_ms: int, fields: Sequence[str]) -> Document:
    """Device and start as `_id`, `count`, and of each field four keys, as in all of these summaries."""
    group: Document = {"_id": {"d": "$deviceId", "t": _start_of("$timestamp", every_ms)}, "count": {"$sum": 1}}
    for name in fields:
        value = {"$toInt": f"${name}"} if isinstance(MEASUREMENTS_BY_NAME[name], Flag) else f"${name}"
        there = {"$cond": [{"$gt": [f"${name}", None]}, 1, 0]}
        group |= _four(name, value, value, value, there)
    return {"$group": group}


def _by_rollup(every_ms: int, fields: Sequence[str]) -> Document:
    group: Document = {"_id": {"d": "$device", "t": _start_of("$start", every_ms)}, "count": {"$sum": "$count"}}
    for name in fields:
        group |= _four(name, *(f"${name}.{part}" for part in _SHORT))
    return {"$group": group}


def _four(name: str, low: Any, high: Any, total: Any, count: Any) -> Document:  # noqa: ANN401 - expressions
    return {
        f"{name}_min": {"$min": low},
        f"{name}_max": {"$max": high},
        f"{name}_sum": {"$sum": total},
        f"{name}_count": {"$sum": count},
    }


def _as_rollup(width_ms: int, fields: Iterable[str]) -> Document:
    """A summary as it stands in `rollups`: only fields that were measured."""
    document: Document = {
        "_id": 0,
        "device": "$_id.d",
        "width": {"$literal": width_ms // 1000},
        "start": {"$toDate": "$_id.t"},
        "count": 1,
    }
    for name in fields:
        four = {part: f"${name}_{part}" for part in _SHORT}
        document[name] = {"$cond": [{"$gt": [f"${name}_count", 0]}, four, "$$REMOVE"]}
    return {"$project": document}


def _place(document: Mapping[str, Any]) -> RollupProgress:
    first = document["first"]
    first_ms = None if first is None else milliseconds(first)
    until_ms, again_ms = milliseconds(document["until"]), milliseconds(document["again"])
    return RollupProgress(document["_id"], first_ms, until_ms, again_ms, frozenset(document["fields"]))


def _bucket(document: Mapping[str, Any], fields: Sequence[str]) -> Bucket:
    summaries = {name: [document[f"{name}_{part}"] for part in _SHORT] for name in fields if document[f"{name}_count"]}
    return Bucket(
        device_id=document["_id"]["d"],
        start_ms=int(document["_id"]["t"]),
        count=document["count"],
        fields={name: FieldSummary(low, total / count, high, count) for name, (low, high, total, count) in summaries.items()},
    )
