"""Limits of a store: age, number, TTL indexes, a full disk, and refused documents."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pymongo
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr

from bridge.core.access.audit import AuditEvent
from bridge.core.errors import StoreError, StoreUnavailable
from bridge.core.query import QuarantineQuery, ReadingsQuery, RetentionResult
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.maintenance.retention_job import RetentionJob
from bridge.maintenance.rollup_job import RollupJob
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.stores.sqlite.store import SqliteStore
from tests.conftest import StartBridge
from tests.fakes import DAY_MS, MemoryStore
from tests.servers import until
from tests.stores.test_store_contract import START_MS, reading, rejection

Database = pymongo.database.Database[dict[str, object]]


def ago(days: float) -> int:
    return time.time_ns() // 1_000_000 - round(days * DAY_MS) - START_MS


# --- the job ---------------------------------------------------------------------------------------------------------


class FailingStore(MemoryStore):
    """`enforce_retention` raises the given errors first."""

    def __init__(self, *errors: StoreError) -> None:
        super().__init__(StoreSettings(rejected_limit=1))
        self.errors = list(errors)
        self.calls = 0

    async def enforce_retention(self) -> RetentionResult:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return await super().enforce_retention()


async def run_until(job: RetentionJob | RollupJob, condition: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(job.run())
        await until(condition)
        running.cancel()


async def test_failure_is_retried_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore(StoreUnavailable("timeout"), StoreUnavailable("timeout"), StoreError("foreign index"))
    job = RetentionJob(store, interval_seconds=0)
    await run_until(job, lambda: store.calls >= 5)
    assert [record.message for record in caplog.records] == [
        "retention: old data not removed (timeout): retrying every 0 s",
        "retention: old data not removed (foreign index): retrying every 0 s",
    ]


async def test_messages_removed_from_a_full_quarantine_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore()
    await store.write([], [rejection(b"x", ago(0)) for _ in range(4)], [])
    job = RetentionJob(store, interval_seconds=0)
    await run_until(job, lambda: store.calls >= 2)
    assert job.removed == RetentionResult(rejected_over=3)
    assert [record.message for record in caplog.records] == [
        "retention: quarantine full: 3 oldest messages removed, 3 since the start; see `sensor-bridge rejected list`"
    ]


async def test_events_removed_from_a_full_audit_log_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore()
    store.settings = StoreSettings(audit_limit=1)
    await store.audit.add([AuditEvent(ObjectId(), START_MS, "refused", "anyone", "nobody") for _ in range(4)])
    job = RetentionJob(store, interval_seconds=0)
    await run_until(job, lambda: store.calls >= 2)
    assert job.removed == RetentionResult(audit_over=3)
    assert [record.message for record in caplog.records] == [
        "retention: audit log full: 3 events removed, refusals first, 3 since the start; see store.audit_limit"
    ]


async def test_running_bridge_enforces_retention(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with open_store(StoreSettings(url=SecretStr(url))) as store:
        await store.prepare()
        await store.write([reading(1, at=ago(9)), reading(2, at=ago(0))], [rejection(b"x", ago(40))], [])
        async with start_bridge(broker_url, url, retention_days=7):

            async def enforced() -> bool:
                return (await store.count(ReadingsQuery()), await store.quarantine.count(QuarantineQuery())) == (1, 0)

            await until(enforced)


# --- SQLite ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def sqlite(path: Path, kind: type[SqliteStore] = SqliteStore, **more: Any) -> AsyncIterator[SqliteStore]:
    async with kind(StoreSettings(url=SecretStr(f"sqlite:///{path}"), **more)) as store:
        await store.prepare()
        yield store


async def test_writes_are_interleaved_with_retention(tmp_path: Path) -> None:
    async with sqlite(tmp_path / "bridge.db", retention_days=1) as store:
        old = ago(2)
        await store.write([reading(n, device=f"d{n % 3}", at=old - n) for n in range(1, 20_001)], [], [])
        retention = asyncio.ensure_future(store.enforce_retention())
        written = 0
        while not retention.done():
            written += 1
            await store.write([reading(30_000 + written, device="new", at=ago(0) + written)], [], [])
        assert (await retention).readings == 20_000
        assert written >= 10, "a write between any two steps"
        assert await store.count(ReadingsQuery()) == written


async def test_refusals_are_found_through_an_index(tmp_path: Path) -> None:
    from bridge.core.access.audit import REFUSALS
    from bridge.stores.sqlite.documents import among, trim_sql

    async with sqlite(tmp_path / "bridge.db"):
        pass
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        sql = trim_sql("audit", "id", among("act", REFUSALS))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [0])]
    connection.close()
    assert "SCAN audit USING INDEX audit_refusals" in plan
    assert not [step for step in plan if "TEMP B-TREE" in step]


async def test_expiry_does_not_scan_readings_that_stay(tmp_path: Path) -> None:
    from bridge.stores.sqlite.store import _EXPIRED

    async with sqlite(tmp_path / "bridge.db") as store:
        await store.write([reading(n, device=f"d{n}", at=n) for n in range(1, 5)], [], [])
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_EXPIRED}", [0])]
    connection.close()
    assert "SEARCH readings USING COVERING INDEX readings_device_timestamp (device_id=? AND timestamp<?)" in plan
    assert not [step for step in plan if step.startswith("SCAN readings")]


class SmallDisk(SqliteStore):
    """A database of at most 128 pages."""

    pragmas: ClassVar[tuple[str, ...]] = (*SqliteStore.pragmas, "max_page_count = 128")


async def written_until_full(store: Store, batches: list[list[Reading]]) -> int:
    """Return the number of batches stored."""
    for number, batch in enumerate(batches):
        try:
            await store.write(batch, [], [])
        except StoreUnavailable:
            return number
    return len(batches)


async def test_full_disk_makes_the_store_unavailable_until_space_is_freed(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    batches = [[reading(n, at=n) for n in range(start, start + 50)] for start in range(1, 2001, 50)]
    async with sqlite(path, SmallDisk) as store:
        stored = await written_until_full(store, batches)
        assert 0 < stored < len(batches)
        with pytest.raises(StoreUnavailable, match="full"):
            await store.write(batches[stored], [], [])
        assert await store.count(ReadingsQuery()) == stored * 50, "stored readings are readable, and no batch is stored in part"
        store._writer._pragmas = SqliteStore.pragmas
        for batch in batches[stored:]:
            assert len((await store.write(batch, [], [])).stored) == 50
        assert await store.count(ReadingsQuery()) == 2000


async def test_reading_refused_by_a_constraint_does_not_block_others(tmp_path: Path) -> None:
    async with sqlite(tmp_path / "bridge.db") as store:
        await store._writer.change(
            "CREATE TRIGGER cold BEFORE INSERT ON readings WHEN NEW.temperature > 50 "
            "BEGIN SELECT RAISE(ABORT, 'too hot for us'); END"
        )
        batch = [reading(n, at=n, values={"temperature": 20 * n}) for n in range(1, 5)]
        written = await store.write(batch, [rejection(b"x")], [])
        assert written.stored == {1, 2}
        assert written.refused == dict.fromkeys((3, 4), "IntegrityError: too hot for us")
        assert await store.quarantine.count(QuarantineQuery()) == 1


def modes(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in sorted(folder.iterdir())}


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """A umask under which new files are readable by every user."""
    before = os.umask(0o022)
    yield
    os.umask(before)


OWNER_ONLY = {"bridge.db": "0o600", "bridge.db-shm": "0o600", "bridge.db-wal": "0o600"}


@pytest.mark.usefixtures("usual_umask")
async def test_database_files_are_readable_by_the_owner_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "deep" / "er"
    async with sqlite(folder / "bridge.db") as store:
        await store.write([reading(1)], [], [])
        assert await store.count(ReadingsQuery()) == 1
        assert modes(folder) == OWNER_ONLY
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not caplog.records


@pytest.mark.usefixtures("usual_umask")
async def test_readable_database_file_is_restricted_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "bridge.db"
    before = sqlite3.connect(path)
    before.execute("PRAGMA journal_mode = WAL")
    before.execute("CREATE TABLE theirs (id)")
    assert set(modes(tmp_path).values()) == {"0o644"}
    folder_mode = tmp_path.stat().st_mode
    for _ in range(2):
        async with sqlite(path) as store:
            assert await store.count(ReadingsQuery()) == 0
            assert modes(tmp_path) == OWNER_ONLY
    before.close()
    assert tmp_path.stat().st_mode == folder_mode, "not created by the store"
    assert [record.message for record in caplog.records] == [
        f"sqlite: {path} readable by other users: access restricted to its owner"
    ]


async def test_opening_a_store_keeps_the_locks_of_open_connections(tmp_path: Path) -> None:
    """Closing a file drops all locks of the process on it; the last connection to close would then remove files in use."""
    path = tmp_path / "bridge.db"
    read_and_close = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM readings').fetchone()"
    )
    async with sqlite(path) as store, sqlite(path) as other:
        await store.write([reading(1)], [], [])
        assert await other.count(ReadingsQuery()) == await store.count(ReadingsQuery()) == 1
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", f"{read_and_close}; c.close()", str(path))
        assert await process.wait() == 0
        assert (tmp_path / "bridge.db-wal").stat().st_size, "it is in use"


async def test_database_of_an_earlier_version_is_migrated(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        connection.execute(
            "CREATE TABLE rejected (id BLOB PRIMARY KEY, received_at INTEGER NOT NULL, source TEXT NOT NULL, "
            "topic TEXT NOT NULL, payload BLOB NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, field TEXT)"
        )
        row = (b"0" * 12, START_MS, "mqtt", "a", b"x", "not_json", "no", None)
        connection.execute("INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    async with sqlite(tmp_path / "bridge.db") as store:
        await store.write([], [rejection(b"y", 1, retained=True)], [])
        assert [message.retained for message in await store.quarantine.messages(QuarantineQuery())] == [True, False]


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("DROP TABLE readings", "readings, readings_seq, readings_device_timestamp"),
        ("DROP TABLE rejected", "rejected, rejected_received_at"),
        ("DROP INDEX readings_seq", "readings_seq"),
        ("DROP TABLE state", "state"),
    ],
)
async def test_dropped_table_is_created_again_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str, names: str
) -> None:
    path = tmp_path / "bridge.db"
    async with sqlite(path) as store:
        await store.write([reading(1)], [rejection(b"x")], [])
        await store.enforce_retention()
        assert not caplog.records
        with sqlite3.connect(path) as other:
            other.execute(statement)
        other.close()
        for _ in range(2):
            await store.enforce_retention()
        assert (await store.write([reading(2, at=2)], [rejection(b"y")], [])).stored == {2}
        await store.ping()
        await store.put("a", "1")
    assert [record.getMessage() for record in caplog.records] == [
        f"sqlite: tables or indexes missing: {names}: created again; were they dropped? What was in the tables is lost"
    ]


# --- MongoDB ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["motor", "pymongo"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def mongo(url: str, driver: str, **more: Any) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": url, "driver": driver, **more})) as store:
        await store.prepare()
        yield store


def expiries(database: Database) -> dict[str, object]:
    """Return the expiry of the TTL indexes in days, by collection and name."""
    return {
        f"{name}.{index}": options["expireAfterSeconds"] / 86_400
        for name in ("readings", "rejected")
        for index, options in database[name].index_information().items()
        if "expireAfterSeconds" in options
    }


async def test_ttl_indexes_follow_the_settings(mongo_url: str, driver: str, database: Database) -> None:
    steps: list[tuple[dict[str, int], dict[str, float]]] = [
        ({}, {"rejected.receivedAt": 30}),
        ({"retention_days": 365}, {"readings.retention": 365, "rejected.receivedAt": 30}),
        ({"retention_days": 24_855, "rejected_days": 1}, {"readings.retention": 24_855, "rejected.receivedAt": 1}),
        ({"rejected_days": 2}, {"rejected.receivedAt": 2}),
        ({}, {"rejected.receivedAt": 30}),
    ]
    for settings, expected in steps:
        async with mongo(mongo_url, driver, **settings) as store:
            await store.enforce_retention()
            await store.enforce_retention()
        assert expiries(database) == expected


def indexes(database: Database) -> dict[str, dict[str, object]]:
    return {
        name: {key: index.get("expireAfterSeconds") for key, index in database[name].index_information().items()}
        for name in ("readings", "rejected", "commands", "rollups", "sessions", "revocations", "audit")
    }


@pytest.mark.parametrize("dropped", ["readings", "rejected", "sessions", "rollups", "indexes", "database"])
async def test_dropped_collection_gets_its_indexes_and_its_expiry_again(
    mongo_url: str, driver: str, database: Database, dropped: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with mongo(mongo_url, driver, retention_days=7) as store:
        await store.write([reading(1)], [rejection(b"x")], [])
        await store.enforce_retention()
        before = indexes(database)
        assert before["readings"] == {"_id_": None, "seq": None, "device_timestamp": None, "retention": 7 * 86_400}
        if dropped == "database":
            database.client.drop_database(database.name)
        elif dropped == "indexes":
            database["readings"].drop_indexes()
        else:
            database[dropped].drop()
        assert (await store.write([reading(2, at=2)], [rejection(b"y")], [])).stored == {2}
        assert indexes(database) != before
        caplog.clear()
        for _ in range(2):
            await store.enforce_retention()
        assert indexes(database) == before
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith("mongodb: indexes missing: ")
    names = {"indexes": ["readings.seq"], "database": [f"{name}." for name in before]}.get(dropped, [f"{dropped}."])
    assert all(name in warnings[0] for name in names)


async def test_only_a_running_bridge_changes_ttl_indexes(mongo_url: str, driver: str, database: Database) -> None:
    async with mongo(mongo_url, driver, retention_days=7) as store:
        await store.enforce_retention()
    async with mongo(mongo_url, driver) as store:  # a command with other settings
        await store.write([reading(1)], [], [])
    assert expiries(database) == {"readings.retention": 7, "rejected.receivedAt": 30}


async def test_index_of_an_earlier_version_becomes_a_ttl_index(mongo_url: str, driver: str, database: Database) -> None:
    database["rejected"].create_index([("receivedAt", 1)], name="receivedAt")
    async with mongo(mongo_url, driver) as store:
        await store.enforce_retention()
    assert expiries(database) == {"rejected.receivedAt": 30}


async def test_foreign_indexes_are_not_changed(mongo_url: str, driver: str, database: Database) -> None:
    database["readings"].create_index([("timestamp", 1)], name="theirs", expireAfterSeconds=86_400_000)
    database["readings"].create_index([("timestamp", -1)], name="also theirs")
    before = database["readings"].index_information()
    async with mongo(mongo_url, driver) as store:
        await store.enforce_retention()
    async with mongo(mongo_url, driver, retention_days=7) as store:
        with pytest.raises(StoreError, match="readings has an index on timestamp that the bridge did not create") as caught:
            await store.enforce_retention()
        assert not isinstance(caught.value, StoreUnavailable)
        await store.write([reading(1)], [], [])
    after = database["readings"].index_information()
    assert {name: after[name] for name in before} == before


async def test_foreign_index_under_our_name_is_not_changed(mongo_url: str, driver: str, database: Database) -> None:
    database["readings"].create_index([("battery", 1)], name="retention")
    for settings in ({}, {"retention_days": 7}):
        async with mongo(mongo_url, driver, **settings) as store:
            with pytest.raises(StoreError, match="readings has an index retention that the bridge did not create"):
                await store.enforce_retention()
    assert database["readings"].index_information()["retention"]["key"] == [("battery", 1)]


async def test_reading_refused_by_a_validator_is_reported_and_the_rest_is_stored(
    mongo_url: str, driver: str, database: Database
) -> None:
    async with mongo(mongo_url, driver) as store:
        rule = {"$jsonSchema": {"properties": {"temperature": {"maximum": 50}}}}
        database.command("collMod", "readings", validator=rule)
        values: list[dict[str, Value]] = [
            {"temperature": 20},
            {"temperature": 60},
            {"temperature": 2**70},
            {"temperature": 30},
            {"temperature": 70},
        ]
        batch = [reading(n, at=n, values=values[n - 1]) for n in range(1, 6)]
        written = await store.write([*batch, reading(6, at=1, values=values[0])], [], [])
        assert written.stored == {1, 4}
        assert set(written.refused) == {2, 3, 5}
        assert "validation" in written.refused[2]
        assert "8-byte ints" in written.refused[3]


async def test_document_above_the_mongodb_limit_is_refused(mongo_url: str, driver: str) -> None:
    async with mongo(mongo_url, driver) as store:
        large = reading(2, at=2, quality={"eco2": "x" * 17_000_000})
        written = await store.write([reading(1), large, reading(3, at=3)], [], [])
        assert written.stored == {1, 3}
        assert list(written.refused) == [2]
        assert "16777216" in written.refused[2]


async def test_reading_refused_by_a_foreign_unique_index_is_reported(mongo_url: str, driver: str, database: Database) -> None:
    async with mongo(mongo_url, driver) as store:
        database["readings"].create_index([("battery", 1)], unique=True, sparse=True)
        batch = [reading(n, at=n, values={"battery": 50}) for n in (1, 2)]
        written = await store.write(batch, [], [])
        assert written.stored == {1}
        assert list(written.refused) == [2]


async def test_refusing_quarantine_makes_the_store_unavailable(mongo_url: str, driver: str, database: Database) -> None:
    async with mongo(mongo_url, driver) as store:
        await store.write([], [rejection(b"x")], [])
        database.command("collMod", "rejected", validator={"topic": "only this"})
        with pytest.raises(StoreUnavailable, match="collection rejected refused a message"):
            await store.write([], [rejection(b"y")], [])
        database.command("collMod", "rejected", validator={})
        await store.write([], [rejection(b"y")], [])


async def test_refused_status_does_not_block_readings(mongo_url: str, driver: str, database: Database) -> None:
    from bridge.core.message import DeviceStatus

    async with mongo(mongo_url, driver) as store:
        database.create_collection("devices", validator={"status": "online"})
        statuses = [DeviceStatus("a", "asleep", START_MS), DeviceStatus("b", "online", START_MS)]
        assert (await store.write([reading(1)], [], statuses)).stored == {1}
        assert [document["_id"] for document in database["devices"].find()] == ["b"]
