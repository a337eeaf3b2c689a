"""Rollups in SQLite: `rollups`, a row for each device, width (in seconds) and start; `rolled`, the progress of devices.

Both are derived from the readings and can be emptied, together and with `rollups` in `state`: they are built again.
`changed_hours` has the hours whose rollups lack a correction of a reading. Queries and
the builder have a thread each, so that neither waits for the other or delays a write; the writer only writes finished rows.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from bridge.core.query import Bucket, ReadingsQuery
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.rollup import HOUR_MS, LEVELS_MS, ChangedHour, Late, RollupProgress, RollupSegment, align_range
from bridge.stores.history import PARTS, bucket
from bridge.stores.rollup_builder import LEASE_SECONDS, RollupTables, now_ms
from bridge.stores.sqlite.documents import BATCH
from bridge.stores.sqlite.worker import Connection, Worker

_STATE = "rollups"
_KEY = ("device_id", "width", "start", "count")
_NO_END = 2**62

ROLLUP_COLUMNS = tuple(f"{name}_{part}" for name in MEASUREMENTS_BY_NAME for part in PARTS)
"""The columns of `rollups` that hold measurements."""

ROLLUP_SCHEMA = """
CREATE TABLE IF NOT EXISTS rollups (
    device_id TEXT NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (device_id, width, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rolled (
    device_id TEXT PRIMARY KEY, first INTEGER, until INTEGER NOT NULL, again INTEGER NOT NULL, fields TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS changed_hours (
    device_id TEXT NOT NULL, start INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (device_id, start)
) WITHOUT ROWID;
"""
# The distinct devices, by stepping through the index: one look-up a device.
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
    ON rollups.device_id = rolled.device_id AND rollups.width = level.width AND start < ? LIMIT {BATCH}
)
"""  # noqa: S608
_LATE_HOURS = """
SELECT DISTINCT device_id, timestamp - timestamp % ? FROM readings INDEXED BY readings_seq
WHERE seq > ? AND seq <= ? AND timestamp >= ? AND timestamp < ?
"""
_NTH = """
SELECT timestamp FROM readings WHERE device_id = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp LIMIT 1 OFFSET ?
"""
_SAVE_PROGRESS = """
INSERT INTO rolled (device_id, first, until, again, fields) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET
first = excluded.first, until = excluded.until, again = excluded.again, fields = excluded.fields
"""
_SAVE_STATE = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class SqliteRollups(RollupTables):
    def __init__(self, writer: Worker, reader: Worker, timeout_seconds: float) -> None:
        """A summary that takes longer than `timeout_seconds` is interrupted."""
        self._writer = writer
        self._reader = reader
        self._timeout_seconds = timeout_seconds

    async def lead(self, owner: str) -> int | None:
        """Update in one transaction, by this machine's clock: a file belongs to one machine."""

        def lead(connection: Connection) -> int | None:
            connection.execute("BEGIN IMMEDIATE")
            state = _state(connection.execute("SELECT value FROM state WHERE key = ?", [_STATE]).fetchone())
            if state["owner"] != owner and state["expires"] > now_ms():
                return None
            state |= {"owner": owner, "expires": now_ms() + LEASE_SECONDS * 1000}
            connection.execute(_SAVE_STATE, [_STATE, json.dumps(state)])
            return int(state["seq"])

        return await self._writer.call(lead)

    async def save_cursor(self, owner: str, seq: int) -> None:
        def save(connection: Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            state = _state(connection.execute("SELECT value FROM state WHERE key = ?", [_STATE]).fetchone())
            if state["owner"] == owner:
                connection.execute(_SAVE_STATE, [_STATE, json.dumps(state | {"seq": seq})])

        await self._writer.call(save)

    async def cursor(self) -> int:
        rows = await self._reader.rows("SELECT value FROM state WHERE key = ?", [_STATE])
        return int(_state(rows[0] if rows else None)["seq"])

    async def last_cursor(self, since: int, until: int, limit: int | None = None) -> int | None:
        """Read the index on `seq` alone."""
        if limit is not None:
            sql = "SELECT seq FROM readings WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?"
            rows = await self._reader.rows(sql, [since, until, limit - 1])
            if rows:
                return int(rows[0][0])
        rows = await self._reader.rows("SELECT max(seq) FROM readings WHERE seq > ? AND seq <= ?", [since, until])
        return None if rows[0][0] is None else int(rows[0][0])

    async def late_hours(
        self, since: int, until: int | None, before_ms: int, from_ms: int = 0, devices: Sequence[str] | None = None
    ) -> Late:
        """Read by the index on `seq`: new readings are few, whatever the time they were measured."""
        among, names = where_of(ReadingsQuery(None if devices is None else tuple(devices)))
        sql = _LATE_HOURS + among.replace("WHERE", "AND")
        values = [HOUR_MS, since, _NO_END if until is None else until, from_ms, before_ms, *names]
        return [(row[0], row[1]) for row in await self._reader.rows(sql, values)]

    async def changed_hours(self, devices: Sequence[str] | None = None, limit: int = 0) -> list[ChangedHour]:
        where, values = where_of(ReadingsQuery(None if devices is None else tuple(devices)))
        sql = f"SELECT device_id, start, at FROM changed_hours {where} ORDER BY at LIMIT ?"  # noqa: S608
        return [ChangedHour(*row) for row in await self._reader.rows(sql, [*values, limit or -1])]

    async def rebuild(self, device_id: str, hour: int) -> None:
        def delete(connection: Connection) -> None:
            for width in LEVELS_MS:
                span = (device_id, width // 1000, *align_range(hour, hour + HOUR_MS, width))
                connection.execute("DELETE FROM rollups WHERE device_id = ? AND width = ? AND start >= ? AND start < ?", span)

        await self._writer.call(delete)
        await self.roll(device_id, hour, hour + HOUR_MS)

    async def forget_changed(self, hour: ChangedHour) -> None:
        sql = "DELETE FROM changed_hours WHERE device_id = ? AND start = ? AND at = ?"
        await self._writer.change(sql, [hour.device_id, hour.start_ms, hour.at_ms])

    async def saved_progress(self, devices: Sequence[str] | None) -> list[RollupProgress]:
        where, values = where_of(ReadingsQuery(None if devices is None else tuple(devices)))
        rows = await self._reader.rows(f"SELECT device_id, first, until, again, fields FROM rolled {where}", values)  # noqa: S608
        return [
            RollupProgress(device_id, first_ms, until_ms, again_ms, frozenset(fields.split()))
            for device_id, first_ms, until_ms, again_ms, fields in rows
        ]

    async def forget_lost(self) -> bool:
        lost = "NOT EXISTS (SELECT 1 FROM rollups) AND EXISTS (SELECT 1 FROM rolled WHERE first IS NOT NULL)"
        if not (await self._reader.rows(f"SELECT {lost}"))[0][0]:
            return False
        return await self._writer.change(f"DELETE FROM rolled WHERE {lost}") > 0  # noqa: S608

    async def device_ids(self, limit: int | None = None) -> Collection[str]:
        """Do a distinct scan of the index on device and time; a `LIMIT` of -1 is none."""
        sql = f"{DISTINCT_DEVICES} SELECT name FROM device WHERE name IS NOT NULL LIMIT ?"  # noqa: S608
        return [row[0] for row in await self._reader.rows(sql, [-1 if limit is None else limit])]

    async def ends(self, devices: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        if devices is None:
            rows = await self._reader.rows(f"{DISTINCT_DEVICES} SELECT name, {_ENDS} FROM device WHERE name IS NOT NULL")  # noqa: S608
        else:
            names = ", ".join(["(?)"] * len(devices))
            sql = f"WITH device (name) AS (VALUES {names}) SELECT name, {_ENDS} FROM device"  # noqa: S608
            rows = await self._reader.rows(sql, devices) if devices else []
        return {name: (oldest, newest) for name, oldest, newest in rows if oldest is not None}

    async def save_progress(self, progress: RollupProgress) -> None:
        times = progress.first_ms, progress.until_ms, progress.again_ms
        await self._writer.change(_SAVE_PROGRESS, [progress.device_id, *times, " ".join(sorted(progress.fields))])

    async def reach(self, device_id: str, from_ms: int, to_ms: int, limit: int) -> tuple[int, int] | None:
        """Read the index on device and time alone."""
        first = await self._reader.rows(_NTH, [device_id, from_ms, to_ms, 0])
        if not first:
            return None
        last = await self._reader.rows(_NTH, [device_id, from_ms, to_ms, limit - 1])
        return int(first[0][0]), int(last[0][0]) if last else to_ms

    async def roll(self, device_id: str, from_ms: int, to_ms: int) -> frozenset[str]:
        """Build the narrowest width from the readings, each wider one from the width before it."""
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
            for name, count in zip(MEASUREMENTS_BY_NAME, row[len(_KEY) + len(PARTS) - 1 :: len(PARTS)], strict=True)
            if count
        )

    async def remove_older(self, before_ms: int) -> int:
        removed = [await self._writer.change_stepwise(_EXPIRED, [width // 1000, before_ms], BATCH) for width in LEVELS_MS]
        return sum(removed)

    async def measured(self, segments: Sequence[RollupSegment], fields: Sequence[str]) -> Collection[str]:
        source, values = _from_segments(segments, fields)
        sums = ", ".join(f"sum({name}_count)" for name in fields)
        rows = await self._reader.rows_within(self._timeout_seconds, f"SELECT {sums} FROM ({source})", values)  # noqa: S608
        return [name for name, count in zip(fields, rows[0], strict=True) if count]

    async def summarize(
        self,
        query: ReadingsQuery,
        segments: Sequence[RollupSegment] | None,
        every_ms: int,
        fields: Sequence[str],
        offset_ms: int = 0,
    ) -> list[Bucket]:
        if segments is not None:
            source, values = _from_segments(segments, fields)
        else:
            where, values = where_of(query)
            source = f"SELECT {_of_readings(fields)} FROM readings {where}"  # noqa: S608
        order = "DESC" if query.newest else "ASC"
        sql = (
            f"SELECT * FROM (SELECT device_id, start - (start + ?) % ? AS at, sum(count){_summed(fields)} FROM ({source}) "  # noqa: S608
            f"GROUP BY device_id, at ORDER BY at {order}, device_id LIMIT ?) ORDER BY 2, 1"
        )
        rows = await self._reader.rows_within(self._timeout_seconds, sql, [offset_ms, every_ms, *values, query.limit])
        return [bucket(device_id, start_ms, count, numbers, fields) for device_id, start_ms, count, *numbers in rows]


def mark_changed(connection: Connection, hours: Collection[tuple[str, int]]) -> None:
    """Have the rollups of these hours, by device, built again."""
    connection.executemany(
        "INSERT INTO changed_hours (device_id, start, at) VALUES (?, ?, ?) "
        "ON CONFLICT (device_id, start) DO UPDATE SET at = max(at + 1, excluded.at)",
        [(device_id, start_ms, now_ms()) for device_id, start_ms in hours],
    )


def where_of(query: ReadingsQuery) -> tuple[str, list[Any]]:
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


def _of_readings(fields: Sequence[str]) -> str:
    """Return the columns of a reading as a summary of one: device, start, count, and four a field, as in all of these."""
    four = (
        f', "{name}" AS {name}_min, "{name}" AS {name}_max, "{name}" AS {name}_sum, "{name}" IS NOT NULL AS {name}_count'
        for name in fields
    )
    return f"device_id, timestamp AS start, 1 AS count{''.join(four)}"


def _of_rollups(fields: Sequence[str]) -> str:
    return f"device_id, start, count{''.join(f', {name}_{part}' for name in fields for part in PARTS)}"


def _summed(fields: Sequence[str]) -> str:
    return "".join(f", min({name}_min), max({name}_max), total({name}_sum), sum({name}_count)" for name in fields)


def _from_segments(segments: Sequence[RollupSegment], fields: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the summaries in these segments in SQL: for each of them a look-up in the index."""
    parts: list[str] = []
    values: list[Any] = []
    rolled = list(_spans(segment for segment in segments if segment.width_ms is not None))
    raw = list(_spans(segment for segment in segments if segment.width_ms is None))
    for table, spans, columns, on in (
        ("rollups", rolled, _of_rollups(fields), "width = span.column2 AND start >= span.column3 AND start < span.column4"),
        ("readings", raw, _of_readings(fields), "timestamp >= span.column3 AND timestamp < span.column4"),
    ):
        if spans:
            marks = ", ".join(["(?, ?, ?, ?)"] * len(spans))
            join = f"(VALUES {marks}) AS span CROSS JOIN {table} ON device_id = span.column1 AND {on}"
            parts.append(f"SELECT {columns} FROM {join}")  # noqa: S608
            values.extend(chain.from_iterable(spans))
    return " UNION ALL ".join(parts), values


def _spans(segments: Iterator[RollupSegment]) -> Iterator[tuple[str, int, int, int]]:
    for segment in segments:
        width, to_ms = (segment.width_ms or 0) // 1000, _NO_END if segment.to_ms is None else segment.to_ms
        yield from ((device_id, width, segment.from_ms, to_ms) for device_id in segment.devices)


_PUT = (
    f"INSERT OR REPLACE INTO rollups ({', '.join(_KEY + ROLLUP_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_KEY + ROLLUP_COLUMNS))})"
)


def _rolled(segment: RollupSegment, width_ms: int) -> tuple[str, list[Any]]:
    """Return the rows of this segment in rollups of a width; all columns of a field that was not measured are null."""
    fields = tuple(MEASUREMENTS_BY_NAME)
    source, values = _from_segments([segment], fields)
    four = [f"min({name}_min), max({name}_max), sum(0.0 + {name}_sum), nullif(sum({name}_count), 0)" for name in fields]
    sql = f"SELECT device_id, ?, start - start % ? AS at, sum(count), {', '.join(four)} FROM ({source}) GROUP BY device_id, at"  # noqa: S608
    return sql, [width_ms // 1000, width_ms, *values]


def _put(rows: Sequence[tuple[Any, ...]], connection: Connection) -> None:
    connection.executemany(_PUT, rows)


def _state(row: tuple[Any, ...] | None) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(row[0]) if row else {"owner": "", "expires": 0, "seq": 0}
    return state
