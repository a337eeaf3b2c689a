"""The table `rejected`."""

from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId

from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.stores.sqlite.documents import SqliteTable
from bridge.stores.sqlite.worker import Worker

_NAMES = "id, received_at, source, topic, payload, code, reason, field, retained"
# With a single min() or max(), SQLite takes the other columns from the row that has it.
_GROUPS = """
SELECT code, field, count(*), max(received_at), reason FROM rejected GROUP BY code, field ORDER BY count(*) DESC, code, field
"""


class SqliteQuarantine(SqliteTable):
    def __init__(self, writer: Worker, reader: Worker) -> None:
        super().__init__("rejected", writer, reader)

    async def groups(self) -> list[QuarantineGroup]:
        return [QuarantineGroup(*row) for row in await self._reader.rows(_GROUPS)]

    async def count(self, query: QuarantineQuery) -> int:
        """Count by a scan if there is a filter; the table is bounded."""
        where, values = _where(query)
        return int((await self._reader.rows(f"SELECT count(*) FROM rejected {where}", values))[0][0])  # noqa: S608

    async def messages(self, query: QuarantineQuery) -> list[QuarantinedMessage]:
        """Read by the index on the time, or by the key."""
        where, values = _where(query)
        order = "received_at DESC, id DESC"
        if query.after is not None:
            where, values = f"{where or 'WHERE true'} AND id > ?", [*values, query.after.binary]
            order = "id"
        sql = f"SELECT {_NAMES} FROM rejected {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [_message(row) for row in await self._reader.rows(sql, [*values, query.limit])]

    async def revise(self, messages: Sequence[QuarantinedMessage]) -> None:
        sql = "UPDATE rejected SET code = ?, reason = ?, field = ? WHERE id = ?"
        rows = [(message.code, message.reason, message.field, message.id.binary) for message in messages]
        await self._writer.call(lambda connection: connection.executemany(sql, rows))

    async def release(self, ids: Sequence[ObjectId]) -> int:
        rows = [(identity.binary,) for identity in ids]
        return await self._writer.call(
            lambda connection: connection.executemany("DELETE FROM rejected WHERE id = ?", rows).rowcount
        )


def _where(query: QuarantineQuery) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("code = ?", query.code),
        ("topic = ?", query.topic),
        ("instr('/' || topic || '/', '/' || ? || '/') > 0", query.device),
        ("id = ?", query.id and query.id.binary),
        ("source = ?", query.source),
        ("ifnull(field, '') = ?", query.field),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _message(row: Sequence[Any]) -> QuarantinedMessage:
    identity, received_ms, source, topic, payload, code, reason, field, retained = row
    return QuarantinedMessage(ObjectId(identity), received_ms, source, topic, payload, code, reason, field, bool(retained))
