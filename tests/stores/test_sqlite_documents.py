"""The SQL of document collections in SQLite: which index a query uses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson.objectid import ObjectId

from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.stores.documents import AUDIT, COMMANDS, SESSIONS, CollectionSchema
from bridge.stores.sqlite.database_file import DatabaseFile
from bridge.stores.sqlite.documents import SqliteCollection
from bridge.stores.sqlite.worker import Worker


@pytest.fixture
async def connection(tmp_path: Path) -> Any:
    async with open_store(StoreSettings.model_validate({"url": f"sqlite:///{tmp_path}/bridge.db"})) as store:
        await store.prepare()
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        yield connection
    connection.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(DatabaseFile(tmp_path / "unused.db"), 1, "unused", ())
    yield worker
    worker._thread.shutdown()


@pytest.mark.parametrize(
    ("schema", "query", "step"),
    [
        (
            COMMANDS,
            ({"device": "a", "state": "queued"}, "-createdAt", None, 100),
            "SCAN commands USING INDEX commands_created_at",
        ),
        (SESSIONS, ({"user": "alice"}, "_id", None, 0), "SEARCH sessions USING INDEX sessions_user (user=?)"),
        (AUDIT, ({"act": "login"}, "-_id", ObjectId(), 100), "SEARCH audit USING INDEX sqlite_autoindex_audit_1 (id<?)"),
    ],
)
def test_query_uses_the_index_of_its_order_or_of_its_user(
    connection: sqlite3.Connection, worker: Worker, schema: CollectionSchema, query: tuple[Any, ...], step: str
) -> None:
    sql, values = SqliteCollection(schema, worker, worker)._find_sql(*query)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan[0] == step
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan or schema is SESSIONS, "a user has few sessions"
