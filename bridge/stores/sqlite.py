"""Readings in one SQLite file: no server to install, and the only choice where MongoDB 5+ cannot run.

WAL with `synchronous=FULL`: a commit is on the disk before it is acknowledged. One thread writes and one reads, each with
its own connection, so a long query holds up no reading.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bson.objectid import ObjectId

from bridge.core.decode import PAYLOAD_LIMIT_BYTES, DeviceStatus, Rejection
from bridge.core.errors import StoreUnavailable
from bridge.core.query import Bucket, ReadingsQuery, Summary, Written
from bridge.core.reading import MEASUREMENT, VALUE_NAMES, Flag, Reading
from bridge.settings import StoreSettings

T = TypeVar("T")

_FLAGS = frozenset(name for name, measurement in MEASUREMENT.items() if isinstance(measurement, Flag))
_FIXED = ("id", "seq", "device_id", "timestamp", "received_at", "quality", "device_timestamp", "retained")
_COLUMNS = (*_FIXED, *VALUE_NAMES)
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)

# Times are milliseconds since the epoch. A measurement's column has no type: what a device sent as 25 stays 25.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
    id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, device_id TEXT NOT NULL, timestamp INTEGER NOT NULL,
    received_at INTEGER NOT NULL, quality TEXT, device_timestamp TEXT, retained INTEGER
);
CREATE INDEX IF NOT EXISTS readings_seq ON readings (seq);
CREATE INDEX IF NOT EXISTS readings_device_timestamp ON readings (device_id, timestamp);
CREATE TABLE IF NOT EXISTS rejected (
    id BLOB PRIMARY KEY, received_at INTEGER NOT NULL, source TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, field TEXT
);
CREATE INDEX IF NOT EXISTS rejected_received_at ON rejected (received_at);
CREATE TABLE IF NOT EXISTS devices (id TEXT PRIMARY KEY, status TEXT, status_at INTEGER);
"""

_INSERT = f"INSERT INTO readings ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (id) DO NOTHING"  # noqa: S608

# The distinct devices by stepping through the index, then the newest of each: as many look-ups as devices.
_LATEST = f"""
WITH RECURSIVE device (name) AS (
    SELECT min(device_id) FROM readings
    UNION ALL
    SELECT (SELECT min(device_id) FROM readings WHERE device_id > device.name) FROM device WHERE device.name IS NOT NULL
)
SELECT {_NAMES} FROM device JOIN readings ON readings.rowid = (
    SELECT rowid FROM readings WHERE device_id = device.name ORDER BY timestamp DESC LIMIT 1
) ORDER BY device_id
"""  # noqa: S608


class SqliteStore:
    """The tables `readings`, `rejected` and `devices` of one file."""

    def __init__(self, settings: StoreSettings) -> None:
        """Nothing is opened before it is needed."""
        self._path = settings.sqlite_path
        self._timeout_seconds = settings.timeout_seconds

    async def __aenter__(self) -> Self:
        """Two threads, each to own one connection."""
        self._writer = _Worker(self._path, self._timeout_seconds, "sqlite-writer")
        self._reader = _Worker(self._path, self._timeout_seconds, "sqlite-reader")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is under way and close."""
        await self._reader.close()
        await self._writer.close()

    async def prepare(self) -> int:
        """Make the tables, add the columns of new measurements; the highest cursor."""
        return await self._writer.call(_prepare)

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> Written:
        """One transaction."""
        return await self._writer.call(lambda connection: _write(connection, readings, rejections, statuses))

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """By the index on `seq`, or on device and time."""
        where, values = _where(query)
        order = "DESC" if query.newest else "ASC"
        sql = f"SELECT {_NAMES} FROM readings {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        rows = await self._reader.rows(sql, [*values, query.limit])
        return [_reading(row) for row in (reversed(rows) if query.newest else rows)]

    async def latest(self) -> list[Reading]:
        """One look-up a device."""
        return [_reading(row) for row in await self._reader.rows(_LATEST, [])]

    async def buckets(self, query: ReadingsQuery, every_ms: int, fields: Sequence[str]) -> list[Bucket]:
        """Grouped in SQL."""
        where, values = _where(query)
        columns = "".join(f', min("{name}"), avg("{name}"), max("{name}"), count("{name}")' for name in fields)
        order = "DESC" if query.newest else "ASC"
        sql = (
            f"SELECT * FROM (SELECT device_id, timestamp - timestamp % ? AS start, count(*) {columns} FROM readings {where} "  # noqa: S608
            f"GROUP BY device_id, start ORDER BY start {order}, device_id LIMIT ?) ORDER BY 2, 1"
        )
        rows = await self._reader.rows(sql, [every_ms, *values, query.limit])
        return [_bucket(row, fields) for row in rows]

    async def ping(self) -> None:
        """Read from the file and see that it can be written."""
        await self._writer.call(_check_writable)


class _Worker:
    """A thread that owns one connection, opened when first used and again after an error of the disk."""

    def __init__(self, path: Path, timeout_seconds: float, name: str) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread, as one transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self.call(lambda connection: connection.execute(sql, values).fetchall())

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise StoreUnavailable(f"SQLite, {self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._timeout_seconds)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()


def _prepare(connection: sqlite3.Connection) -> int:
    connection.executescript(_SCHEMA)
    present = {row[1] for row in connection.execute("PRAGMA table_info(readings)")}
    for name in VALUE_NAMES:
        if name not in present:
            connection.execute(f'ALTER TABLE readings ADD COLUMN "{name}"')
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM readings").fetchone()[0])


def _check_writable(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("SELECT 1 FROM readings LIMIT 1")


def _write(
    connection: sqlite3.Connection,
    readings: Sequence[Reading],
    rejections: Sequence[Rejection],
    statuses: Sequence[DeviceStatus],
) -> Written:
    connection.executemany(
        "INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        [_rejected_row(rejection) for rejection in rejections],
    )
    connection.executemany(
        "INSERT INTO devices VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
        "status_at = excluded.status_at",
        [(status.device_id, status.status, status.timestamp_ms) for status in statuses],
    )
    if not readings:
        return Written()
    connection.executemany(_INSERT, [_row(reading) for reading in readings])
    # What is there under our `seq` is ours, written now or by an earlier attempt; the others were duplicates.
    span = (min(reading.seq for reading in readings), max(reading.seq for reading in readings))
    there = set(connection.execute("SELECT seq, id FROM readings WHERE seq BETWEEN ? AND ?", span))
    return Written(frozenset(reading.seq for reading in readings if (reading.seq, reading.id.binary) in there))


def _row(reading: Reading) -> tuple[Any, ...]:
    return (
        reading.id.binary,
        reading.seq,
        reading.device_id,
        reading.timestamp_ms,
        reading.received_ms,
        json.dumps(reading.quality) if reading.quality else None,
        json.dumps(reading.device_timestamp) if reading.device_timestamp is not None else None,
        1 if reading.retained else None,
        *map(reading.values.get, VALUE_NAMES),
    )


def _reading(row: tuple[Any, ...]) -> Reading:
    record = dict(zip(_COLUMNS, row, strict=True))
    return Reading(
        id=ObjectId(record["id"]),
        device_id=record["device_id"],
        values={
            name: bool(record[name]) if name in _FLAGS else record[name] for name in VALUE_NAMES if record[name] is not None
        },
        timestamp_ms=record["timestamp"],
        received_ms=record["received_at"],
        quality=json.loads(record["quality"]) if record["quality"] else {},
        device_timestamp=json.loads(record["device_timestamp"]) if record["device_timestamp"] else None,
        retained=bool(record["retained"]),
        seq=record["seq"],
    )


def _rejected_row(rejection: Rejection) -> tuple[Any, ...]:
    message = rejection.message
    return (
        rejection.id.binary,
        message.received_ms,
        message.source,
        message.topic,
        message.payload[:PAYLOAD_LIMIT_BYTES],
        str(rejection.code),
        rejection.reason,
        rejection.field,
    )


def _where(query: ReadingsQuery) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if query.devices is not None:
        conditions.append(f"device_id IN ({', '.join('?' * len(query.devices))})")
        values.extend(query.devices)
    for column, bound in (("seq >", query.since), ("timestamp >=", query.from_ms), ("timestamp <", query.to_ms)):
        if bound is not None:
            conditions.append(f"{column} ?")
            values.append(bound)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _bucket(row: tuple[Any, ...], fields: Sequence[str]) -> Bucket:
    device_id, start_ms, count, *numbers = row
    summaries = {name: numbers[4 * place : 4 * place + 4] for place, name in enumerate(fields)}
    return Bucket(device_id, start_ms, count, {name: Summary(*four) for name, four in summaries.items() if four[3]})
