"""The table `rejected`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId

from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.stores.sqlite.worker import Worker

_STEP = 1000
_NAMES = "id, received_at, source, topic, payload, code, reason, field, retained"
# Where min() or max() stands alone, SQLite takes the other columns from the row it found there.
_GROUPS = """
SELECT code, field, count(*), max(received_at), reason FROM rejected GROUP BY code, field ORDER BY count(*) DESC, code, field
"""
_OLD = f"DELETE FROM rejected WHERE id IN (SELECT id FROM rejected WHERE received_at < ? LIMIT {_STEP})"  # noqa: S608
_OVER = f"""
DELETE FROM rejected WHERE id IN (
    SELECT id FROM rejected ORDER BY received_at LIMIT max(0, min({_STEP}, (SELECT count(*) FROM rejected) - ?))
)
"""  # noqa: S608


class SqliteQuarantine:
    """What was rejected; bounded by `trim`."""

    def __init__(self, writer: Worker, reader: Worker) -> None:
        """The store's own threads."""
        self._writer = writer
        self._reader = reader

    async def groups(self) -> list[QuarantineGroup]:
        """Grouped in SQL."""
        return [QuarantineGroup(*row) for row in await self._reader.rows(_GROUPS)]

    async def count(self, query: QuarantineQuery) -> int:
        """By a scan, if anything is filtered; the table is bounded."""
        where, values = _where(query)
        return int((await self._reader.rows(f"SELECT count(*) FROM rejected {where}", values))[0][0])  # noqa: S608

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        """By the index on the time, or by the key."""
        where, values = _where(query)
        order = "received_at DESC, id DESC"
        if query.after is not None:
            where, values = f"{where or 'WHERE true'} AND id > ?", [*values, query.after.binary]
            order = "id"
        sql = f"SELECT {_NAMES} FROM rejected {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [_message(row) for row in await self._reader.rows(sql, [*values, query.limit])]

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        """One transaction."""
        sql = "UPDATE rejected SET code = ?, reason = ?, field = ? WHERE id = ?"
        rows = [(one.code, one.reason, one.field, one.id.binary) for one in messages]
        await self._writer.call(lambda connection: connection.executemany(sql, rows))

    async def release(self, ids: Sequence[ObjectId]) -> int:
        """One transaction."""
        rows = [(one.binary,) for one in ids]
        return await self._writer.call(
            lambda connection: connection.executemany("DELETE FROM rejected WHERE id = ?", rows).rowcount
        )

    async def remove_older(self, than_ms: int) -> int:
        """In steps; how many."""
        return await self._writer.change_stepwise(_OLD, [than_ms], _STEP)

    async def trim(self, limit: int) -> int:
        """Remove the oldest beyond `limit`, in steps; how many."""
        return await self._writer.change_stepwise(_OVER, [limit], _STEP)


def _where(query: QuarantineQuery) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("code = ?", query.code),
        ("topic = ?", query.topic),
        ("instr('/' || topic || '/', '/' || ? || '/') > 0", query.device),
        ("id = ?", query.id and query.id.binary),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _message(row: Sequence[Any]) -> QuarantinedMessage:
    identity, received_ms, source, topic, payload, code, reason, field, retained = row
    return QuarantinedMessage(ObjectId(identity), received_ms, source, topic, payload, code, reason, field, bool(retained))
