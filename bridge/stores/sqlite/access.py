"""The tables `users`, `keys`, `sessions`, `revocations` and `audit`: a JSON document a row, beside what is asked for by SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from bson.objectid import ObjectId

from bridge.core.access.accounts import LoginSession, Revocation, Storable, revocation_from_document, session_from_document
from bridge.core.access.audit import REFUSALS, AuditEvent, AuditQuery, audit_event_from_document
from bridge.stores.sqlite.worker import Worker

_STEP = 1000
_TOLD_AGAIN = 100

_REFUSALS = ", ".join(f"'{one}'" for one in REFUSALS)
AUDIT_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS audit (
    id BLOB PRIMARY KEY, at INTEGER NOT NULL, act TEXT NOT NULL, by TEXT NOT NULL, about TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);
CREATE INDEX IF NOT EXISTS audit_refusals ON audit (id) WHERE act IN ({_REFUSALS});
"""
_OVER = """
DELETE FROM audit WHERE id IN (
    SELECT id FROM audit WHERE {} ORDER BY id LIMIT max(0, min({}, (SELECT count(*) FROM audit) - ?))
)
"""
_REFUSALS_OVER, _ALL_OVER = _OVER.format(f"act IN ({_REFUSALS})", _STEP), _OVER.format("1", _STEP)

T = TypeVar("T", bound=Storable)


class SqliteDocuments(Generic[T]):
    """One table of `id` and `document`."""

    def __init__(self, table: str, read: Callable[[str, Mapping[str, Any]], T], writer: Worker, reader: Worker) -> None:
        """The store's own threads; `table` is a name of ours, so the texts below are no place for anything else."""
        self._read = read
        self._writer = writer
        self._reader = reader
        self._all = f"SELECT id, document FROM {table} ORDER BY id"  # noqa: S608
        self._get = f"SELECT id, document FROM {table} WHERE id = ?"  # noqa: S608
        self._add = f"INSERT INTO {table} (id, document) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"  # noqa: S608
        self._save = f"UPDATE {table} SET document = ? WHERE id = ?"  # noqa: S608
        self._remove = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608

    async def all(self) -> list[T]:
        """By id."""
        return [self._one(row) for row in await self._reader.rows(self._all)]

    async def get(self, identity: str) -> T | None:
        """By id."""
        rows = await self._reader.rows(self._get, [identity])
        return self._one(rows[0]) if rows else None

    async def add(self, one: T) -> bool:
        """An insert."""
        return await self._writer.change(self._add, [one.id, json.dumps(one.to_document())]) == 1

    async def save(self, one: T) -> bool:
        """An update."""
        return await self._writer.change(self._save, [json.dumps(one.to_document()), one.id]) == 1

    async def remove(self, identity: str) -> bool:
        """By id."""
        return await self._writer.change(self._remove, [identity]) == 1

    def _one(self, row: tuple[Any, ...]) -> T:
        return self._read(row[0], json.loads(row[1]))


class SqliteSessions:
    """Sessions and revocations; bounded by `remove_expired`."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """The store's own threads."""
        self._writer = writer
        self._reader = reader

    async def get(self, identity: str) -> LoginSession | None:
        """By id."""
        rows = await self._reader.rows("SELECT id, document FROM sessions WHERE id = ?", [identity])
        return _session(rows[0]) if rows else None

    async def add(self, one: LoginSession) -> bool:
        """An insert."""
        sql = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
        row = [one.id, one.user, one.generation, one.expires_ms, json.dumps(one.to_document())]
        return await self._writer.change(sql, row) == 1

    async def rotate(self, before: LoginSession, after: LoginSession) -> bool:
        """One update, of the row as it was."""
        sql = "UPDATE sessions SET turn = ?, document = ? WHERE id = ? AND turn = ?"
        return (
            await self._writer.change(sql, [after.generation, json.dumps(after.to_document()), before.id, before.generation])
            == 1
        )

    async def by_user(self, user: str) -> list[LoginSession]:
        """By the index on the user."""
        rows = await self._reader.rows("SELECT id, document FROM sessions WHERE user = ?", [user])
        return sorted((_session(row) for row in rows), key=lambda one: (one.created_ms, one.id))

    async def remove(self, identity: str) -> bool:
        """By id."""
        return await self._writer.change("DELETE FROM sessions WHERE id = ?", [identity]) == 1

    async def revoke(self, one: Revocation) -> None:
        """An insert."""
        sql = "INSERT INTO revocations VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
        await self._writer.change(sql, [one.id, one.at_ms, one.expires_ms, json.dumps(one.to_document())])

    async def revocations(self, mark: int) -> tuple[list[Revocation], int]:
        """By the row's number, which rises; where the last rows were removed theirs are given again."""
        sql = """
            SELECT rowid, id, document FROM revocations
            WHERE rowid > CASE WHEN (SELECT coalesce(max(rowid), 0) FROM revocations) < ?1 THEN 0 ELSE ?1 - ?2 END
            ORDER BY rowid
        """
        rows = await self._reader.rows(sql, [mark, _TOLD_AGAIN])
        return [revocation_from_document(row[1], json.loads(row[2])) for row in rows], rows[-1][0] if rows else mark

    async def remove_expired(self, now_ms: int) -> None:
        """Of both, what has expired."""
        for table in ("sessions", "revocations"):
            sql = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE expires_at < ? LIMIT {_STEP})"  # noqa: S608
            await self._writer.change_stepwise(sql, [now_ms], _STEP)


class SqliteAudit:
    """Who did what; bounded by `remove_older` and `trim`."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """The store's own threads."""
        self._writer = writer
        self._reader = reader

    async def add(self, acts: Sequence[AuditEvent]) -> None:
        """One transaction."""
        sql = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
        rows = [(one.id.binary, one.at_ms, one.action, one.actor, one.target, json.dumps(one.to_document())) for one in acts]
        await self._writer.call(lambda connection: connection.executemany(sql, rows))

    async def find(self, query: AuditQuery) -> list[AuditEvent]:
        """By id, which begins with the time."""
        conditions, values = ["1"], list[Any]()
        for name, wanted in (("act", query.action), ("by", query.actor), ("about", query.target)):
            if wanted is not None:
                conditions.append(f"{name} = ?")
                values.append(wanted)
        if query.before is not None:
            conditions.append("id < ?")
            values.append(query.before.binary)
        sql = f"SELECT id, at, document FROM audit WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"  # noqa: S608
        rows = await self._reader.rows(sql, [*values, query.limit])
        return [audit_event_from_document(ObjectId(row[0]), row[1], json.loads(row[2])) for row in rows]

    async def remove_older(self, before_ms: int) -> int:
        """Remove what was done before; how many."""
        sql = f"DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT {_STEP})"  # noqa: S608
        return await self._writer.change_stepwise(sql, [before_ms], _STEP)

    async def trim(self, limit: int) -> int:
        """Remove what is beyond `limit`, in steps: refusals first, then the oldest; how many."""
        return sum([await self._writer.change_stepwise(sql, [limit], _STEP) for sql in (_REFUSALS_OVER, _ALL_OVER)])


def _session(row: tuple[Any, ...]) -> LoginSession:
    return session_from_document(row[0], json.loads(row[1]))
