"""Readings in one SQLite file: no server to install, and the only choice where MongoDB 5+ cannot run.

WAL with `synchronous=FULL`: a commit is on the disk before it is acknowledged. One thread writes and others read, each with
its own connection, so that a long query does not delay a write.
"""

import json
import logging
import re
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self

from bson.objectid import ObjectId

from bridge.core.access.audit import REFUSALS
from bridge.core.alarms.delivery import DELIVERY_DAYS
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import ReadingsQuery, RetentionResult, WriteResult
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import AHEAD_MS
from bridge.settings import StoreSettings
from bridge.stores.documents import REVOCATIONS, DocumentStores
from bridge.stores.history import RollupHistory, changed_hours
from bridge.stores.sqlite.database_file import DatabaseFile
from bridge.stores.sqlite.documents import BATCH, SqliteCollection, SqliteLog, SqliteTable, among
from bridge.stores.sqlite.quarantine import SqliteQuarantine
from bridge.stores.sqlite.rollups import (
    DISTINCT_DEVICES,
    ROLLUP_COLUMNS,
    ROLLUP_SCHEMA,
    SqliteRollups,
    mark_changed,
    where_of,
)
from bridge.stores.sqlite.worker import UNFIT, Connection, Worker

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000

_FLAGS = frozenset(name for name, measurement in MEASUREMENTS_BY_NAME.items() if isinstance(measurement, Flag))
_FIXED = (
    "id",
    "seq",
    "device_id",
    "timestamp",
    "received_at",
    "quality",
    "device_timestamp",
    "retained",
    "extra",
    "changed_at",
)
_COLUMNS = (*_FIXED, *VALUE_NAMES)
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)

# Times are milliseconds since the epoch. A measurement's column has no type, so that an integer 25 stays an integer.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS readings (
    id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, device_id TEXT NOT NULL, timestamp INTEGER NOT NULL,
    received_at INTEGER NOT NULL, quality TEXT, device_timestamp TEXT, retained INTEGER,
    extra TEXT, changed_at INTEGER
);
CREATE INDEX IF NOT EXISTS readings_seq ON readings (seq);
CREATE INDEX IF NOT EXISTS readings_device_timestamp ON readings (device_id, timestamp);
CREATE TABLE IF NOT EXISTS rejected (
    id BLOB PRIMARY KEY, received_at INTEGER NOT NULL, source TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, field TEXT
);
CREATE INDEX IF NOT EXISTS rejected_received_at ON rejected (received_at);
CREATE TABLE IF NOT EXISTS devices (id TEXT PRIMARY KEY, status TEXT, status_at INTEGER);
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, device_id TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS commands_created_at ON commands (created_at);
CREATE TABLE IF NOT EXISTS locations (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS profiles (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS air (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alarms (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, rule TEXT NOT NULL, open TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS alarms_device ON alarms (device, id);
CREATE INDEX IF NOT EXISTS alarms_open ON alarms (id) WHERE open = 'yes';
CREATE TABLE IF NOT EXISTS alarm_transitions (id TEXT PRIMARY KEY, alarm TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alarm_transitions_alarm ON alarm_transitions (alarm, id);
CREATE TABLE IF NOT EXISTS alarm_inputs (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS anomaly_states (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS anomalies (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, rule TEXT NOT NULL, open TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS anomalies_device ON anomalies (device, id);
CREATE INDEX IF NOT EXISTS anomalies_open ON anomalies (id) WHERE open = 'yes';
CREATE TABLE IF NOT EXISTS anomaly_transitions (id TEXT PRIMARY KEY, alarm TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS anomaly_transitions_alarm ON anomaly_transitions (alarm, id);
CREATE TABLE IF NOT EXISTS anomaly_inputs (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS actions (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, rule TEXT NOT NULL, open TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS actions_device ON actions (device, id);
CREATE INDEX IF NOT EXISTS actions_open ON actions (id) WHERE open = 'yes';
CREATE TABLE IF NOT EXISTS action_transitions (id TEXT PRIMARY KEY, alarm TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS action_transitions_alarm ON action_transitions (alarm, id);
CREATE TABLE IF NOT EXISTS action_inputs (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS forecast_states (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS predictions (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS links (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, turn TEXT NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user);
CREATE TABLE IF NOT EXISTS revocations (
    id TEXT PRIMARY KEY, at INTEGER NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    id BLOB PRIMARY KEY, at INTEGER NOT NULL, act TEXT NOT NULL, by TEXT NOT NULL, about TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, target TEXT NOT NULL, state TEXT NOT NULL, due_at INTEGER NOT NULL, group_id TEXT NOT NULL,
    created_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (target, state, due_at);
CREATE INDEX IF NOT EXISTS deliveries_group ON deliveries (group_id, created_at);
CREATE INDEX IF NOT EXISTS deliveries_created_at ON deliveries (created_at);
CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, device TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS notes_device ON notes (device, id);
CREATE TABLE IF NOT EXISTS push (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, created_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS push_user ON push (user);
CREATE TABLE IF NOT EXISTS bridges (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_refusals ON audit (id) WHERE {among("act", REFUSALS)};
"""
_SCHEMA_NAMES = re.findall(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (\w+)", _SCHEMA + ROLLUP_SCHEMA)

_INSERT = f"INSERT INTO readings ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (id) DO NOTHING"  # noqa: S608

_UPDATE = f"UPDATE readings SET ({_NAMES}) = ({', '.join('?' * len(_COLUMNS))}) WHERE id = ?"  # noqa: S608

# The newest reading of each device; one that was received in the future only if there is no other. The bound on the time, which
# none that was received by now exceeds, lets the index skip them. ?1 is the time now.
_NEWEST = f"""
SELECT {_NAMES} FROM device CROSS JOIN readings ON readings.rowid = coalesce((
    SELECT rowid FROM readings WHERE device_id = device.name AND timestamp <= ?1 + {AHEAD_MS} AND received_at <= ?1
    ORDER BY timestamp DESC LIMIT 1
), (
    SELECT rowid FROM readings WHERE device_id = device.name ORDER BY timestamp DESC LIMIT 1
)) ORDER BY device_id
"""  # noqa: S608
_LATEST = f"{DISTINCT_DEVICES} {_NEWEST}"
# The same of given devices, which are one parameter, so that their number has no limit.
_LATEST_OF = f"WITH device (name) AS (SELECT DISTINCT value FROM json_each(?2)) {_NEWEST}"  # noqa: S608
# By device, so that no index on the time alone is needed.
_EXPIRED = f"""
DELETE FROM readings WHERE rowid IN (
    {DISTINCT_DEVICES}
    SELECT readings.rowid FROM device CROSS JOIN readings ON device_id = device.name AND timestamp < ? LIMIT {BATCH}
)
"""  # noqa: S608


class SqliteStore(DocumentStores):
    """One file: the tables `readings`, `rollups`, `rolled`, `rejected`, `state`, and those of `stores/documents.py`."""

    log: None = None
    pragmas: ClassVar[tuple[str, ...]] = ("journal_mode = WAL", "synchronous = FULL")

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        """Start threads that open their connections on first use."""
        self._file, timeout_seconds = DatabaseFile(self._settings.sqlite_path), self._settings.timeout_seconds
        self._writer = Worker(self._file, timeout_seconds, "sqlite-writer", self.pragmas)
        self._reader = Worker(self._file, timeout_seconds, "sqlite-reader", self.pragmas)
        self._historian = Worker(self._file, timeout_seconds, "sqlite-history", self.pragmas)
        self._roller = Worker(self._file, timeout_seconds, "sqlite-rollups", self.pragmas)
        self.quarantine = SqliteQuarantine(self._writer, self._reader)
        self._rollups = SqliteRollups(self._writer, self._historian, timeout_seconds)
        builder_rollups = SqliteRollups(self._writer, self._roller, timeout_seconds)
        self.history = RollupHistory(self._rollups, builder_rollups, self._settings.retention_days)
        revocations = SqliteLog(REVOCATIONS, self._writer, self._reader)
        self._open_repositories(partial(SqliteCollection, writer=self._writer, reader=self._reader), revocations)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (self._roller, self._historian, self._reader, self._writer):
            await worker.close()
        self._file.close()

    async def prepare(self) -> int:
        """Create the tables, add columns for new measurements, and return the highest `seq`."""
        return await self._writer.call(_prepare)

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus]
    ) -> WriteResult:
        return await self._writer.call(lambda connection: _write(connection, readings, rejections, statuses))

    async def readings(self, query: ReadingsQuery) -> list[Reading]:
        """Read by the index on `seq`, or on device and time."""
        where, values = where_of(query)
        order = "DESC" if query.newest else "ASC"
        sql = f"SELECT {_NAMES} FROM readings {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        rows = await self._reader.rows(sql, [*values, query.limit])
        return [_reading(row) for row in (reversed(rows) if query.newest else rows)]

    async def count(self, query: ReadingsQuery) -> int:
        """Count by an index, or by a scan if the query has a time."""
        where, values = where_of(query)
        return int((await self._reader.rows(f"SELECT count(*) FROM readings {where}", values))[0][0])  # noqa: S608

    async def latest(self, devices: Sequence[str] | None = None) -> list[Reading]:
        now_ms = time.time_ns() // 1_000_000
        if devices is None:
            rows = await self._reader.rows(_LATEST, [now_ms])
        else:
            rows = await self._reader.rows(_LATEST_OF, [now_ms, json.dumps(list(devices))])
        return [_reading(row) for row in rows]

    async def reading(self, identity: ObjectId) -> Reading | None:
        rows = await self._reader.rows(f"SELECT {_NAMES} FROM readings WHERE id = ?", [identity.binary])  # noqa: S608
        return _reading(rows[0]) if rows else None

    async def replace(self, before: Reading, after: Reading | None) -> bool:
        """Mark the hours in the same transaction."""
        return await self._writer.call(lambda connection: _replace(connection, before, after))

    async def enforce_retention(self) -> RetentionResult:
        """Delete some rows at a time. Freed pages are reused; the file does not shrink."""
        settings, now_ms = self._settings, time.time_ns() // 1_000_000
        await self._restore_schema()
        expired = 0
        if settings.retention_days is not None:
            before_ms = now_ms - settings.retention_days * _DAY_MS
            expired = await self._writer.change_stepwise(_EXPIRED, [before_ms], BATCH)
        if settings.rollup_days is not None:
            await self._rollups.remove_older(now_ms - settings.rollup_days * _DAY_MS)
        for table, column, before_ms in (
            ("commands", "created_at", now_ms - settings.commands_days * _DAY_MS),
            ("sessions", "expires_at", now_ms),
            ("revocations", "expires_at", now_ms),
            ("audit", "at", now_ms - settings.audit_days * _DAY_MS),
            ("deliveries", "created_at", now_ms - DELIVERY_DAYS * _DAY_MS),
        ):
            await SqliteTable(table, self._writer, self._reader).remove_older(column, before_ms)
        for histories in (self.alarms, self.anomalies, self.actions):
            await histories.trim(settings.alarms_limit)
        return RetentionResult(
            readings=expired,
            rejected_old=await self.quarantine.remove_older("received_at", now_ms - settings.rejected_days * _DAY_MS),
            rejected_over=await self.quarantine.trim(settings.rejected_limit, order="received_at"),
            audit_over=await self.audit.trim(settings.audit_limit),
        )

    async def _restore_schema(self) -> None:
        """Create the tables and indexes that another program dropped: without a table no batch can be written."""
        rows = await self._writer.rows("SELECT name FROM sqlite_master")
        missing = [name for name in _SCHEMA_NAMES if (name,) not in rows]
        if missing:
            await self._writer.call(_prepare)
            log.warning(
                "sqlite: tables or indexes missing: %s: created again; were they dropped? What was in the tables is lost",
                ", ".join(missing),
            )

    async def put(self, key: str, value: str) -> None:
        sql = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        await self._writer.change(sql, [key, value])

    async def get(self, key: str) -> str | None:
        rows = await self._reader.rows("SELECT value FROM state WHERE key = ?", [key])
        return str(rows[0][0]) if rows else None

    async def put_if_absent(self, key: str, value: str) -> str:
        def insert(connection: Connection) -> str:
            connection.execute("INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO NOTHING", [key, value])
            return str(connection.execute("SELECT value FROM state WHERE key = ?", [key]).fetchone()[0])

        return await self._writer.call(insert)

    async def swap(self, key: str, before: str | None, after: str) -> bool:
        if before is None:
            sql = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO NOTHING"
            return await self._writer.change(sql, [key, after]) == 1
        sql = "UPDATE state SET value = ? WHERE key = ? AND value = ?"
        return await self._writer.change(sql, [after, key, before]) == 1

    async def server_time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def size_bytes(self) -> int:
        sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int((await self._reader.rows(sql, []))[0][0])

    async def ping(self) -> None:
        await self._writer.call(_check_writable)


def _prepare(connection: Connection) -> int:
    connection.executescript(_SCHEMA + ROLLUP_SCHEMA)
    _add_columns(connection, "readings", ("extra", "changed_at", *VALUE_NAMES))
    _add_columns(connection, "rollups", ROLLUP_COLUMNS)
    _add_columns(connection, "rejected", ("retained",))
    _add_columns(connection, "devices", ("document",))
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM readings").fetchone()[0])


def _add_columns(connection: Connection, table: str, names: Sequence[str]) -> None:
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for name in names:
        if name not in present:
            connection.execute(f'ALTER TABLE {table} ADD COLUMN "{name}"')


def _check_writable(connection: Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("SELECT 1 FROM readings LIMIT 1")


def _write(
    connection: Connection,
    readings: Sequence[Reading],
    rejections: Sequence[Rejection],
    statuses: Sequence[DeviceStatus],
) -> WriteResult:
    connection.executemany(
        "INSERT INTO rejected (id, received_at, source, topic, payload, code, reason, field, retained) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        [_rejected_row(rejection) for rejection in rejections],
    )
    connection.executemany(
        "INSERT INTO devices (id, status, status_at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
        "status_at = excluded.status_at",
        [(status.device_id, status.status, status.timestamp_ms) for status in statuses],
    )
    if not readings:
        return WriteResult()
    refused = _insert(connection, readings)
    # A row with our `seq` is ours, from this attempt or an earlier one; the other readings were duplicates.
    span = (min(reading.seq for reading in readings), max(reading.seq for reading in readings))
    existing = set(connection.execute("SELECT seq, id FROM readings WHERE seq BETWEEN ? AND ?", span))
    return WriteResult(frozenset(reading.seq for reading in readings if (reading.seq, reading.id.binary) in existing), refused)


def _replace(connection: Connection, before: Reading, after: Reading | None) -> bool:
    if after is None:
        replaced = connection.execute("DELETE FROM readings WHERE id = ?", [before.id.binary])
    else:
        replaced = connection.execute(_UPDATE, [*_row(after), before.id.binary])
    if replaced.rowcount:
        mark_changed(connection, changed_hours(before, after))
    return replaced.rowcount > 0


def _insert(connection: Connection, readings: Sequence[Reading]) -> dict[int, str]:
    """Insert readings whose ids do not exist; return the reasons for those that SQLite refused, by `seq`."""
    try:
        connection.executemany(_INSERT, [_row(reading) for reading in readings])
    except UNFIT:
        refused: dict[int, str] = {}
        for reading in readings:
            try:
                connection.execute(_INSERT, _row(reading))
            except UNFIT as error:
                refused[reading.seq] = f"{type(error).__name__}: {error}"
        return refused
    return {}


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
        json.dumps(reading.extra) if reading.extra else None,
        reading.changed_ms,
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
        extra=json.loads(record["extra"]) if record["extra"] else {},
        changed_ms=record["changed_at"],
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
        1 if message.retained else None,
    )
