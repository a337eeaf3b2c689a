"""Rollups in SQLite: `rollups`, a row for each device, width (in seconds) and start; `rolled`, how far each device is.

Both are made of the readings and can be emptied, together and with `rollups` in `state`: they are made again. Queries and the
making have a thread each, so neither waits for the other nor holds up a write; the writer only writes the finished rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from bridge.core.query import Bucket, FieldSummary, ReadingsQuery, RollupResult
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
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
from bridge.stores.rollup_job import LEASE_SECONDS, RollupBuilder, now_ms
from bridge.stores.sqlite.worker import Connection, Worker

_STATE = "rollups"
_STEP = 1000
_KEY = ("device_id", "width", "start", "count")
_PARTS = ("min", "max", "sum", "count")
_NO_END = 2**62

COLUMNS = tuple(f"{name}_{part}" for name in MEASUREMENTS_BY_NAME for part in _PARTS)
"""The columns of `rollups` that hold measurements."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS rollups (
    device_id TEXT NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (device_id, width, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rolled (
    device_id TEXT PRIMARY KEY, first INTEGER, until INTEGER NOT NULL, again INTEGER NOT NULL, fields TEXT NOT NULL
);
"""
# The distinct devices by stepping through the index: as many look-ups as devices.
DISTINCT_DEVICES = """
WITH RECURSIVE device (name) AS (
    SELECT min(device_id) FROM readings
    UNION ALL
    SELECT (SELECT min(device_id) FROM readings WHERE device_id > device.name) FROM device WHERE device.name IS NOT NULL
)
"""
_ENDS = (
    "(SELECT min(timestamp) FROM readings WHERE device_id = name), (SELECT max(timestamp) FROM readings WHERE device_id = name)"
)
_EXPIRED = f"""
DELETE FROM rollups WHERE (device_id, width, start) IN (
    SELECT rollups.device_id, rollups.width, start FROM rolled CROSS JOIN (SELECT ? AS width) AS level CROSS JOIN rollups
    ON rollups.device_id = rolled.device_id AND rollups.width = level.width AND start < ? LIMIT {_STEP}
)
"""  # noqa: S608
_TOUCHED = """
SELECT DISTINCT device_id, timestamp - timestamp % ? FROM readings INDEXED BY readings_seq
WHERE seq > ? AND seq <= ? AND timestamp >= ? AND timestamp < ?
"""
_NTH = """
SELECT timestamp FROM readings WHERE device_id = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp LIMIT 1 OFFSET ?
"""
_KEEP_PLACE = """
INSERT INTO rolled (device_id, first, until, again, fields) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET
first = excluded.first, until = excluded.until, again = excluded.again, fields = excluded.fields
"""
_KEEP_STATE = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class SqliteHistory:
    """Summaries of readings, from rollups and readings; and the making of the rollups."""

    def __init__(
        self, writer: Worker, reader: Worker, maker: Worker, timeout_seconds: float, retention_days: int | None
    ) -> None:
        """`reader` and `maker` are for this alone; a query that takes longer than `timeout_seconds` is broken off."""
        self._reader = reader
        self._tables = SqliteRollups(writer, maker)
        self._asked = SqliteRollups(writer, reader)
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self._retention_days = retention_days
        self._rolling = RollupBuilder(self._tables, retention_days)

    async def roll_up(self) -> RollupResult:
        """A step."""
        return await self._rolling.step()

    async def remove_older(self, before_ms: int) -> int:
        """Remove rollups that began before; how many."""
        removed = [await self._writer.change_stepwise(_EXPIRED, [width // 1000, before_ms], _STEP) for width in LEVELS_MS]
        return sum(removed)

    async def extent(self, devices: Sequence[str] | None) -> HistoryRange | None:
        """The first and last index entry of each device."""
        ends = await self._asked.ends(devices)
        firsts = [place.first_ms for place in await self._asked.kept(devices) if place.first_ms is not None]
        if not ends and not firsts:
            return None
        readings_ms = min((oldest for _, oldest, _ in ends), default=now_ms())
        return HistoryRange(
            min([readings_ms, *firsts]), max((newest for _, _, newest in ends), default=readings_ms), readings_ms
        )

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """Grouped in SQL."""
        places, late = await self._ground(query) if is_time_query(query) else ([], ())
        if places:
            fields = await self._measured(fields, unrolled_query(query, places, late), places)
        if places and fits_rollups(every_ms):
            pieces = plan(query, every_ms, places, late)
            if not pieces:
                return []
            source, values = _from_pieces(pieces, fields)
        else:
            where, values = where_of(query)
            source = f"SELECT {_of_readings(fields)} FROM readings {where}"  # noqa: S608
        order = "DESC" if query.newest else "ASC"
        sql = (
            f"SELECT * FROM (SELECT device_id, start - start % ? AS at, sum(count){_summed(fields)} FROM ({source}) "  # noqa: S608
            f"GROUP BY device_id, at ORDER BY at {order}, device_id LIMIT ?) ORDER BY 2, 1"
        )
        rows = await self._reader.rows_within(self._timeout_seconds, sql, [every_ms, *values, query.limit])
        return [_bucket(row, fields) for row in rows]

    async def _ground(self, query: ReadingsQuery) -> tuple[list[RollupProgress], Late]:
        """In this order, cursor, places, late readings, nothing is missed or counted twice while rollups are made."""
        cursor = await self._asked.cursor()
        places = await self._asked.places(query.devices)
        rolled_ms = min(query.to_ms or now_ms(), max((place.until_ms for place in places), default=0))
        since_ms = max(query.from_ms or 0, first_complete_ms(now_ms(), self._retention_days))
        late: Late = ()
        if since_ms < rolled_ms:
            names = {place.device_id for place in places}
            late = [one for one in await self._asked.touched(cursor, _NO_END, rolled_ms, since_ms) if one[0] in names]
        return places, late

    async def _measured(
        self, fields: Sequence[str], unsure: Sequence[RollupSegment] | None, places: Sequence[RollupProgress]
    ) -> Sequence[str]:
        """Those of the fields that there are: each that is summed up takes its time, be it there or not."""
        if unsure is None:
            return fields
        known = frozenset[str]().union(*(place.fields for place in places))
        if unsure and not known.issuperset(fields):
            source, values = _from_pieces(unsure, fields)
            sums = ", ".join(f"sum({name}_count)" for name in fields)
            rows = await self._reader.rows_within(self._timeout_seconds, f"SELECT {sums} FROM ({source})", values)  # noqa: S608
            known |= {name for name, found in zip(fields, rows[0], strict=True) if found}
        return [name for name in fields if name in known]


class SqliteRollups:
    """What the making of rollups asks of SQLite."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """What is read is read by `reader`."""
        self._writer = writer
        self._reader = reader

    async def lead(self, owner: str) -> int | None:
        """One transaction, by this machine's clock: a file is of one machine."""

        def lead(connection: Connection) -> int | None:
            connection.execute("BEGIN IMMEDIATE")
            state = _state(connection.execute("SELECT value FROM state WHERE key = ?", [_STATE]).fetchone())
            if state["owner"] != owner and state["expires"] > now_ms():
                return None
            state |= {"owner": owner, "expires": now_ms() + LEASE_SECONDS * 1000}
            connection.execute(_KEEP_STATE, [_STATE, json.dumps(state)])
            return int(state["seq"])

        return await self._writer.call(lead)

    async def keep_cursor(self, owner: str, seq: int) -> None:
        """Beside the lease."""

        def keep(connection: Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            state = _state(connection.execute("SELECT value FROM state WHERE key = ?", [_STATE]).fetchone())
            if state["owner"] == owner:
                connection.execute(_KEEP_STATE, [_STATE, json.dumps(state | {"seq": seq})])

        await self._writer.call(keep)

    async def cursor(self) -> int:
        """As it was kept; 0 before the first."""
        rows = await self._reader.rows("SELECT value FROM state WHERE key = ?", [_STATE])
        return int(_state(rows[0] if rows else None)["seq"])

    async def settled(self, since: int, until: int, limit: int | None = None) -> int | None:
        """From the index on `seq` alone."""
        if limit is not None:
            sql = "SELECT seq FROM readings WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?"
            rows = await self._reader.rows(sql, [since, until, limit - 1])
            if rows:
                return int(rows[0][0])
        rows = await self._reader.rows("SELECT max(seq) FROM readings WHERE seq > ? AND seq <= ?", [since, until])
        return None if rows[0][0] is None else int(rows[0][0])

    async def touched(self, since: int, until: int, before_ms: int, from_ms: int = 0) -> Late:
        """By the index on `seq`: what is new is little, whatever the time it was measured."""
        return [(row[0], row[1]) for row in await self._reader.rows(_TOUCHED, [HOUR_MS, since, until, from_ms, before_ms])]

    async def kept(self, devices: Sequence[str] | None) -> list[RollupProgress]:
        """The places that are kept."""
        where, values = _among(devices)
        rows = await self._reader.rows(f"SELECT device_id, first, until, again, fields FROM rolled {where}", values)  # noqa: S608
        return [
            RollupProgress(device_id, first_ms, until_ms, again_ms, frozenset(fields.split()))
            for device_id, first_ms, until_ms, again_ms, fields in rows
        ]

    async def places(self, devices: Sequence[str] | None = None) -> list[RollupProgress]:
        """One look-up a device."""
        kept = {place.device_id: place for place in await self.kept(devices)}
        names = set(kept) | set([row[0] for row in await self.ends(None)] if devices is None else devices)
        return [kept.get(name) or RollupProgress(name) for name in sorted(names)]

    async def ends(self, devices: Sequence[str] | None) -> list[tuple[str, int, int]]:
        """Of each device that has readings, when the first and the last were measured."""
        if devices is None:
            rows = await self._reader.rows(f"{DISTINCT_DEVICES} SELECT name, {_ENDS} FROM device WHERE name IS NOT NULL")  # noqa: S608
        else:
            names = ", ".join(["(?)"] * len(devices))
            sql = f"WITH device (name) AS (VALUES {names}) SELECT name, {_ENDS} FROM device"  # noqa: S608
            rows = await self._reader.rows(sql, devices) if devices else []
        return [(name, oldest, newest) for name, oldest, newest in rows if oldest is not None]

    async def keep_place(self, place: RollupProgress) -> None:
        """One row."""
        row = [place.device_id, place.first_ms, place.until_ms, place.again_ms, " ".join(sorted(place.fields))]
        await self._writer.change(_KEEP_PLACE, row)

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """From the index on device and time alone."""
        first = await self._reader.rows(_NTH, [device_id, from_ms, to_ms, 0])
        if not first:
            return None
        last = await self._reader.rows(_NTH, [device_id, from_ms, to_ms, limit - 1])
        return int(first[0][0]), int(last[0][0]) if last else to_ms

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """The narrowest from the readings, each other from the one before."""
        below = None
        for width in LEVELS_MS:
            rows = await self._reader.rows(
                *_rolled(RollupSegment((device_id,), below, *align_range(from_ms, to_ms, width)), width)
            )
            await self._writer.call(partial(_put, rows))
            below = width
        return frozenset(
            name
            for row in rows
            for name, count in zip(MEASUREMENTS_BY_NAME, row[len(_KEY) + len(_PARTS) - 1 :: len(_PARTS)], strict=True)
            if count
        )


def where_of(query: ReadingsQuery) -> tuple[str, list[Any]]:
    """What is asked for, as SQL, and its values."""
    conditions: list[str] = []
    values: list[Any] = []
    if query.devices is not None:
        conditions.append(f"device_id IN ({', '.join('?' * len(query.devices))})")
        values.extend(query.devices)
    for column, bound in (
        ("seq >", query.since),
        ("seq <=", query.until),
        ("timestamp >=", query.from_ms),
        ("timestamp <", query.to_ms),
    ):
        if bound is not None:
            conditions.append(f"{column} ?")
            values.append(bound)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _among(devices: Sequence[str] | None) -> tuple[str, list[Any]]:
    return where_of(ReadingsQuery(None if devices is None else tuple(devices)))


def _of_readings(fields: Sequence[str]) -> str:
    """A reading as a summary of one: device, start, count, and of each field four columns, as in all of these."""
    four = (
        f', "{name}" AS {name}_min, "{name}" AS {name}_max, "{name}" AS {name}_sum, "{name}" IS NOT NULL AS {name}_count'
        for name in fields
    )
    return f"device_id, timestamp AS start, 1 AS count{''.join(four)}"


def _of_rollups(fields: Sequence[str]) -> str:
    return f"device_id, start, count{''.join(f', {name}_{part}' for name in fields for part in _PARTS)}"


def _summed(fields: Sequence[str]) -> str:
    return "".join(f", min({name}_min), max({name}_max), total({name}_sum), sum({name}_count)" for name in fields)


def _from_pieces(pieces: Sequence[RollupSegment], fields: Sequence[str]) -> tuple[str, list[Any]]:
    """The summaries in these pieces: for each of them a look-up in the index."""
    parts: list[str] = []
    values: list[Any] = []
    rolled = list(_spans(piece for piece in pieces if piece.width_ms is not None))
    raw = list(_spans(piece for piece in pieces if piece.width_ms is None))
    for table, spans, columns, on in (
        ("rollups", rolled, _of_rollups(fields), "width = piece.column2 AND start >= piece.column3 AND start < piece.column4"),
        ("readings", raw, _of_readings(fields), "timestamp >= piece.column3 AND timestamp < piece.column4"),
    ):
        if spans:
            asked = ", ".join(["(?, ?, ?, ?)"] * len(spans))
            join = f"(VALUES {asked}) AS piece CROSS JOIN {table} ON device_id = piece.column1 AND {on}"
            parts.append(f"SELECT {columns} FROM {join}")  # noqa: S608
            values.extend(chain.from_iterable(spans))
    return " UNION ALL ".join(parts), values


def _spans(pieces: Iterator[RollupSegment]) -> Iterator[tuple[str, int, int, int]]:
    for piece in pieces:
        for device_id in piece.devices:
            yield device_id, (piece.width_ms or 0) // 1000, piece.from_ms, _NO_END if piece.to_ms is None else piece.to_ms


_PUT = (
    f"INSERT OR REPLACE INTO rollups ({', '.join(_KEY + COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_KEY + COLUMNS))})"
)


def _rolled(piece: RollupSegment, width_ms: int) -> tuple[str, list[Any]]:
    """The rows that this piece makes in rollups of a width; of a field that was not measured all columns are null."""
    fields = tuple(MEASUREMENTS_BY_NAME)
    source, values = _from_pieces([piece], fields)
    four = [f"min({name}_min), max({name}_max), sum(0.0 + {name}_sum), nullif(sum({name}_count), 0)" for name in fields]
    sql = f"SELECT device_id, ?, start - start % ? AS at, sum(count), {', '.join(four)} FROM ({source}) GROUP BY device_id, at"  # noqa: S608
    return sql, [width_ms // 1000, width_ms, *values]


def _put(rows: Sequence[tuple[Any, ...]], connection: Connection) -> None:
    connection.executemany(_PUT, rows)


def _state(row: tuple[Any, ...] | None) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(row[0]) if row else {"owner": "", "expires": 0, "seq": 0}
    return state


def _bucket(row: tuple[Any, ...], fields: Sequence[str]) -> Bucket:
    device_id, start_ms, count, *numbers = row
    fours = {name: numbers[4 * place : 4 * place + 4] for place, name in enumerate(fields)}
    summaries = {
        name: FieldSummary(low, total / found, high, found) for name, (low, high, total, found) in fours.items() if found
    }
    return Bucket(device_id, start_ms, count, summaries)
