"""Document collections in SQLite: each a table of `id`, `document` (JSON), and columns for the fields that SQL uses."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from bson.objectid import ObjectId

from bridge.stores.documents import ALL, CollectionSchema, Document, Fields, Key
from bridge.stores.sqlite.worker import Connection, Worker

BATCH = 1000
_REPEATED = 100


class SqliteTable:
    """A table that retention keeps within its limits, some rows at a time."""

    def __init__(self, name: str, writer: Worker, reader: Worker) -> None:
        """`name` comes from our own code, never from input: it is part of SQL texts."""
        self._name = name
        self._writer = writer
        self._reader = reader

    async def remove_older(self, column: str, before_ms: int) -> int:
        sql = f"DELETE FROM {self._name} WHERE id IN (SELECT id FROM {self._name} WHERE {column} < ? LIMIT {BATCH})"  # noqa: S608
        return await self._writer.change_stepwise(sql, [before_ms], BATCH)

    async def trim(self, limit: int, order: str = "id", first: tuple[str, Sequence[str]] | None = None) -> int:
        """Delete the lowest rows beyond `limit`; return how many."""
        deleted = 0
        for condition in ([among(*first)] if first else []) + ["1"]:
            deleted += await self._writer.change_stepwise(trim_sql(self._name, order, condition), [limit], BATCH)
        return deleted


class SqliteCollection(SqliteTable):
    """Documents of one schema. A column wins over its field in the JSON: a status is written to the columns alone."""

    def __init__(self, schema: CollectionSchema, writer: Worker, reader: Worker) -> None:
        super().__init__(schema.name, writer, reader)
        self._fields = tuple(schema.columns.values())
        self._columns = {"_id": "id", **{name: column for column, name in schema.columns.items()}}
        self._column_only = schema.column_only
        self._encode = _encoded if schema.is_encoded else json.dumps
        columns = [*self._columns.values(), "document"]
        self._names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self._select = f"SELECT {self._names} FROM {schema.name}"  # noqa: S608
        self._put = f"INSERT INTO {schema.name} ({self._names}) VALUES ({marks}) ON CONFLICT (id) DO "  # noqa: S608
        self._put_update = "UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        self._replace = f"UPDATE {schema.name} SET {' = ?, '.join(columns)} = ? WHERE id = ?"  # noqa: S608

    async def get(self, key: Key) -> Document | None:
        rows = await self._reader.rows(f"{self._select} WHERE id = ?", [_sql(key)])
        return self._document(rows[0]) if rows else None

    async def find(self, where: Fields = ALL, order: str = "_id", before: Key | None = None, limit: int = 0) -> list[Document]:
        rows = await self._reader.rows(*self._find_sql(where, order, before, limit))
        return [self._document(row) for row in rows]

    def _find_sql(self, where: Fields, order: str, before: Key | None, limit: int) -> tuple[str, list[Any]]:
        """With a limit, `likely` makes SQLite walk the index of the order instead of sorting every row that matches."""
        equals = "likely({} = ?)" if limit else "{} = ?"
        conditions = {equals.format(self._columns[name]): value for name, value in where.items() if value is not None}
        if before is not None:
            conditions["id < ?"] = _sql(before)
        filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        direction = "DESC" if order.startswith("-") else "ASC"
        by = ", ".join(f"{column} {direction}" for column in dict.fromkeys((self._columns[order.lstrip("-")], "id")))
        return f"{self._select} {filtered} ORDER BY {by} LIMIT ?", [*conditions.values(), limit or -1]

    async def insert(self, document: Document) -> bool:
        return await self._writer.change(f"{self._put} NOTHING", self._row(document)) == 1

    async def insert_many(self, documents: Sequence[Document]) -> None:
        rows = [self._row(document) for document in documents]
        await self._writer.call(lambda connection: connection.executemany(f"{self._put} NOTHING", rows))

    async def replace(self, document: Document, **expected: str) -> bool:
        """Run one statement: SQLite allows one writer at a time. Fields without a column are compared before it."""
        row, equals = self._row(document), {self._columns[name]: expected[name] for name in expected if name in self._columns}
        if len(equals) < len(expected):
            found = await self._reader.rows(f"SELECT document FROM {self._name} WHERE id = ?", [row[0]])  # noqa: S608
            before = _object(found[0][0]) if found else None
            if before is None or any(before.get(name, "") != expected[name] for name in expected if name not in self._columns):
                return False
            equals["document"] = found[0][0]
        conditions = "".join(f" AND {column} = ?" for column in equals)
        return await self._writer.change(self._replace + conditions, [*row, row[0], *equals.values()]) == 1

    async def put(self, documents: Sequence[Document]) -> None:
        rows = [self._row(document) for document in documents]
        await self._writer.call(lambda connection: connection.executemany(self._put + self._put_update, rows))

    async def merge(self, documents: Sequence[Document]) -> None:
        """Merge in the writer's thread, where nothing else is written meanwhile."""
        await self._writer.call(partial(self._merge, documents))

    def _merge(self, documents: Sequence[Document], connection: Connection) -> None:
        for document in documents:
            found = connection.execute(f"{self._select} WHERE id = ?", [_sql(document["_id"])]).fetchone()
            whole = {**(self._document(found) if found else {}), **document}
            connection.execute(self._put + self._put_update, self._row(whole))

    async def delete(self, key: Key) -> bool:
        return await self._writer.change(f"DELETE FROM {self._name} WHERE id = ?", [_sql(key)]) == 1  # noqa: S608

    def _row(self, document: Document) -> list[Any]:
        text = self._encode({name: value for name, value in document.items() if name not in self._column_only})
        return [_sql(document["_id"]), *map(document.__getitem__, self._fields), text]

    def _document(self, row: Sequence[Any]) -> Document:
        key, *columns, text = row
        return {
            **_object(text),
            **dict(zip(self._fields, columns, strict=True)),
            "_id": ObjectId(key) if isinstance(key, bytes) else key,
        }


class SqliteLog(SqliteCollection):
    """Documents in the order of their row numbers, which rise."""

    async def append(self, document: Document) -> None:
        await self.insert(document)

    async def since(self, mark: int) -> tuple[list[Document], int]:
        """Return rows by number, the last `_REPEATED` before the mark again: numbers of deleted last rows are reused."""
        sql = f"""
            SELECT rowid, {self._names} FROM {self._name}
            WHERE rowid > CASE WHEN (SELECT coalesce(max(rowid), 0) FROM {self._name}) < ?1 THEN 0 ELSE ?1 - ?2 END
            ORDER BY rowid
        """  # noqa: S608
        rows = await self._reader.rows(sql, [mark, _REPEATED])
        return [self._document(row[1:]) for row in rows], rows[-1][0] if rows else mark


def among(column: str, values: Sequence[str]) -> str:
    """Return a condition with the values as literals, so that it matches that of a partial index."""
    literals = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({literals})"


def trim_sql(table: str, order: str, condition: str) -> str:
    """Return the statement that deletes one batch of the lowest rows with this condition, beyond the table's limit."""
    surplus = f"max(0, min({BATCH}, (SELECT count(*) FROM {table}) - ?))"  # noqa: S608
    return f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} ORDER BY {order} LIMIT {surplus})"  # noqa: S608


def _encoded(document: Document) -> str:
    """Encode what `orjson` can: no lone surrogates, and no numbers beyond 64 bits."""
    return orjson.dumps(document).decode()


def _object(text: str | None) -> Document:
    """Return a stored JSON document; an empty one if it is damaged, which readers of records refuse."""
    try:
        document = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _sql(key: Key) -> str | bytes:
    return key.binary if isinstance(key, ObjectId) else key
