"""The insert over a connection of PyMongo's pool: what the contract suite of the stores does not reach."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, BulkWriteError, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from bridge.core.errors import StoreError
from bridge.stores.mongo.direct import SUPPORTED, DirectConnection, check_supported, missing_names
from bridge.stores.mongo.driver import translated
from tests.servers import Mongod, free_port


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """One that can be frozen."""
    server = Mongod(tmp_path_factory.mktemp("mongod"))
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def opened(mongod: Mongod, name: str, **options: Any) -> AsyncIterator[tuple[Any, DirectConnection]]:
    """A collection, and an inserter whose connection is returned to the pool at the end."""
    options = dict[str, Any]({"timeoutMS": 10_000, "journal": True, "w": "majority"}) | options
    client: AsyncMongoClient[Any] = AsyncMongoClient(mongod.url, **options)
    async with client:
        inserter = DirectConnection(client)
        try:
            yield client["direct"][name], inserter
        finally:
            await inserter.close()


def documents(count: int) -> list[dict[str, Any]]:
    return [{"_id": ObjectId(), "n": n} for n in range(count)]


def test_installed_pymongo_is_supported() -> None:
    check_supported()


def test_supported_versions_are_those_of_the_dependencies() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert SUPPORTED in project["dependencies"]


def test_missing_names_are_those_that_cannot_be_resolved() -> None:
    gone = ["pymongo.message:_no_such_name", "pymongo.no_such_module:name", "pymongo.message:_OpMsg.no_such_attribute"]
    assert missing_names(["pymongo.message:_op_msg", *gone]) == gone


def test_unsupported_pymongo_is_refused_with_the_changed_name_and_the_versions_to_install() -> None:
    with pytest.raises(StoreError, match=r"^pymongo \d.* is not supported: pymongo\.message:_gone changed; install 'pymongo>="):
        check_supported(["pymongo.message:_gone"])


async def test_insert_writes_exactly_the_given_documents(mongod: Mongod) -> None:
    async with opened(mongod, "plain") as (collection, inserter):
        wanted = documents(3)
        await inserter.insert_many(collection, wanted)
        assert [found async for found in collection.find()] == wanted


async def test_duplicates_are_reported_and_the_rest_is_written(mongod: Mongod) -> None:
    async with opened(mongod, "duplicates") as (collection, inserter):
        first, second, third = documents(3)
        await inserter.insert_many(collection, [first, second])
        with pytest.raises(BulkWriteError) as raised:
            await inserter.insert_many(collection, [first, third, second])
        errors = raised.value.details["writeErrors"]
        assert [(error["index"], error["code"]) for error in errors] == [(0, 11000), (2, 11000)]
        assert await collection.count_documents({}) == 3


async def test_insert_larger_than_one_message_is_written(mongod: Mongod) -> None:
    async with opened(mongod, "many") as (collection, inserter):
        await inserter.insert_many(collection, documents(100_001))
        assert await collection.count_documents({}) == 100_001


async def test_insert_is_written_on_a_compressed_connection(mongod: Mongod) -> None:
    async with opened(mongod, "compressed", compressors="zlib") as (collection, inserter):
        await inserter.insert_many(collection, documents(1000))
        assert await collection.count_documents({}) == 1000


async def test_answer_to_a_cancelled_insert_is_not_taken_for_the_next_one(mongod: Mongod) -> None:
    async with opened(mongod, "late", maxPoolSize=1) as (collection, inserter):
        await inserter.insert_many(collection, [late := documents(1)[0]])
        mongod.freeze()
        try:
            waiting = asyncio.ensure_future(inserter.insert_many(collection, [late]))  # its answer would be: a duplicate
            for _ in range(20):  # it needs fewer turns to send
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        finally:
            mongod.thaw()
        await inserter.insert_many(collection, documents(1))
        await inserter.close()
        assert await collection.count_documents({}) == 2


async def test_insert_fails_at_the_deadline_when_the_server_does_not_answer(mongod: Mongod) -> None:
    async with opened(mongod, "slow", timeoutMS=3000) as (collection, inserter):
        await inserter.insert_many(collection, documents(1))
        mongod.freeze()
        try:
            with pytest.raises(NetworkTimeout, match=r"no answer to insert within 3 s"):
                await inserter.insert_many(collection, documents(1))
        finally:
            mongod.thaw()
        await inserter.insert_many(collection, documents(1))


async def test_one_connection_serves_insert_after_insert(mongod: Mongod) -> None:
    async with opened(mongod, "held", maxPoolSize=1) as (collection, inserter):
        for document in documents(20):
            await inserter.insert_many(collection, [document])
        await inserter.close()
        assert await collection.count_documents({}) == 20  # which needs the only connection


async def test_concurrent_inserts_do_not_share_a_connection(mongod: Mongod) -> None:
    async with opened(mongod, "concurrent") as (collection, inserter):
        await asyncio.gather(*(inserter.insert_many(collection, [document]) for document in documents(50)))
        assert await collection.count_documents({}) == 50


async def test_broken_connection_is_replaced(mongod: Mongod) -> None:
    async with opened(mongod, "broken") as (collection, inserter):
        await inserter.insert_many(collection, documents(1))
        mongod.kill()
        mongod.start()
        with suppress(AutoReconnect):  # it may notice only now
            await inserter.insert_many(collection, documents(1))
        await inserter.insert_many(collection, last := documents(1))
        assert await collection.find_one(last[0]) == last[0]


async def test_connection_is_held_after_a_duplicate(mongod: Mongod) -> None:
    async with opened(mongod, "repeated", maxPoolSize=1) as (collection, inserter):
        same = documents(1)
        await inserter.insert_many(collection, same)
        before = inserter._connection
        with pytest.raises(BulkWriteError):
            await inserter.insert_many(collection, same)
        assert inserter._connection is before is not None


async def test_update_returns_the_document_as_it_is_then(mongod: Mongod) -> None:
    async with opened(mongod, "updated") as (collection, direct):
        await direct.insert_many(collection, [{"_id": 1, "n": 1}])
        assert await direct.find_one_and_update(collection, {"_id": 1}, {"$inc": {"n": 1}}) == {"_id": 1, "n": 2}
        assert await direct.find_one_and_update(collection, {"_id": 1}, [{"$set": {"n": {"$add": ["$n", 1]}}}]) == {
            "_id": 1,
            "n": 3,
        }
        assert await direct.find_one_and_update(collection, {"_id": 2}, {"$inc": {"n": 1}}) is None


async def test_document_is_found_by_its_id(mongod: Mongod) -> None:
    async with opened(mongod, "found", maxPoolSize=2) as (collection, direct):
        await direct.insert_many(collection, [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
        for of in (collection, collection.with_options(read_concern=ReadConcern("majority"))):
            found = await asyncio.gather(*(direct.find_by_id(of, name) for name in ("a", "b", "c")))
            assert found == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}, None]


def without_find(collection: Any) -> Any:
    """The collection, whose own `find` fails the test: what is read is read over the held connection."""

    class WithoutFind:
        def __getattr__(self, name: str) -> Any:
            assert name != "find", "it was read again by PyMongo"
            return getattr(collection, name)

    return WithoutFind()


async def test_documents_are_found_in_order_and_up_to_a_limit(mongod: Mongod) -> None:
    async with opened(mongod, "several", maxPoolSize=2) as (found_in, direct):
        collection = without_find(found_in)
        await direct.insert_many(collection, [{"_id": n, "n": n % 10} for n in range(300)])
        for limit in (1, 99, 101, 250, 400):
            found = await direct.find(collection, {"_id": {"$gte": 50}}, {"_id": 1}, limit)
            assert [one["_id"] for one in found] == list(range(50, min(50 + limit, 300)))
        newest = await direct.find(collection, {"n": 3}, {"_id": -1}, 2)
        assert [one["_id"] for one in newest] == [293, 283]


async def test_documents_that_need_several_messages_are_all_found(mongod: Mongod) -> None:
    async with opened(mongod, "large") as (collection, direct):
        for n in range(5):
            await direct.insert_many(collection, [{"_id": n, "text": "x" * 4_000_000}])
        assert [one["_id"] for one in await direct.find(collection, {}, {"_id": 1}, 10)] == [0, 1, 2, 3, 4]
        status = await collection.database.client.admin.command("serverStatus")
        assert status["metrics"]["cursor"]["open"]["total"] == 0


async def test_unavailable_store_is_reported_within_one_deadline() -> None:
    client: AsyncMongoClient[Any] = AsyncMongoClient("127.0.0.1", free_port(), timeoutMS=3000, serverSelectionTimeoutMS=3000)
    async with client:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServerSelectionTimeoutError):
            await DirectConnection(client).find(client["direct"]["nothing"], {}, {"_id": 1}, 10)
        assert asyncio.get_running_loop().time() - began < 5.9


async def test_document_is_found_over_a_connection_that_broke(mongod: Mongod) -> None:
    async with opened(mongod, "lost") as (collection, direct):
        await direct.insert_many(collection, [{"_id": "a"}])
        assert await direct.find_by_id(collection, "a") == {"_id": "a"}
        mongod.kill()
        mongod.start()
        assert await direct.find_by_id(collection, "a") == {"_id": "a"}


async def test_refused_update_raises_the_error_of_the_driver(mongod: Mongod) -> None:
    async with opened(mongod, "refused") as (collection, direct):
        await direct.insert_many(collection, [{"_id": 1, "n": "text"}])
        with pytest.raises(OperationFailure, match="non-numeric"):
            await direct.find_one_and_update(collection, {"_id": 1}, {"$inc": {"n": 1}})
        assert await direct.find_one_and_update(collection, {"_id": 1}, {"$set": {"n": 1}}) == {"_id": 1, "n": 1}


async def test_cancellation_that_the_driver_swallows_is_raised_again() -> None:
    begun = asyncio.Event()

    async def query() -> None:
        async with translated():
            with suppress(asyncio.CancelledError):  # as Python 3.11's `wait_for`, which PyMongo uses, when an answer has come
                begun.set()
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(query())
    await begun.wait()
    task.cancel()
    await asyncio.wait((task,), timeout=10)
    assert task.cancelled()
