"""The insert over a connection of PyMongo's pool: what the contract suite of the stores does not reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, BulkWriteError, NetworkTimeout

from bridge.stores.mongo import direct
from bridge.stores.mongo.direct import KeptConnection, insert_many
from bridge.stores.mongo.driver import translated
from tests.servers import Mongod


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """One that can be frozen."""
    server = Mongod(tmp_path_factory.mktemp("mongod"))
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def opened(mongod: Mongod, name: str, **options: Any) -> AsyncIterator[Any]:
    options = dict[str, Any]({"timeoutMS": 10_000, "journal": True, "w": "majority"}) | options
    client: AsyncMongoClient[Any] = AsyncMongoClient(mongod.url, **options)
    async with client:
        yield client["straight"][name]


def documents(count: int) -> list[dict[str, Any]]:
    return [{"_id": ObjectId(), "n": n} for n in range(count)]


def test_the_inside_of_pymongo_is_as_it_was() -> None:
    assert direct.MISSING == []


def test_what_another_pymongo_does_not_have_is_named() -> None:
    gone = ["pymongo.message:_no_such_name", "pymongo.no_such_module:name", "pymongo.message:_OpMsg.no_such_attribute"]
    assert direct.missing_of(["pymongo.message:_op_msg", *gone]) == gone


async def test_nothing_but_what_was_asked_for_is_written(mongod: Mongod) -> None:
    async with opened(mongod, "plain") as collection:
        wanted = documents(3)
        await insert_many(collection, wanted)
        assert [one async for one in collection.find()] == wanted


async def test_duplicates_are_told_and_the_rest_is_written(mongod: Mongod) -> None:
    async with opened(mongod, "duplicates") as collection:
        first, second, third = documents(3)
        await insert_many(collection, [first, second])
        with pytest.raises(BulkWriteError) as told:
            await insert_many(collection, [first, third, second])
        assert [(one["index"], one["code"]) for one in told.value.details["writeErrors"]] == [(0, 11000), (2, 11000)]
        assert await collection.count_documents({}) == 3


async def test_more_than_one_message_holds_is_inserted_all_the_same(mongod: Mongod) -> None:
    async with opened(mongod, "many") as collection:
        await insert_many(collection, documents(100_001))
        assert await collection.count_documents({}) == 100_001


async def test_messages_are_compressed_where_that_was_agreed(mongod: Mongod) -> None:
    async with opened(mongod, "compressed", compressors="zlib") as collection:
        await insert_many(collection, documents(1000))
        assert await collection.count_documents({}) == 1000


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one(mongod: Mongod) -> None:
    async with opened(mongod, "late", maxPoolSize=1) as collection:
        await insert_many(collection, [late := documents(1)[0]])
        mongod.freeze()
        try:
            waiting = asyncio.ensure_future(insert_many(collection, [late]))  # its answer would be: a duplicate
            for _ in range(20):  # it needs fewer turns to send
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        finally:
            mongod.thaw()
        await insert_many(collection, documents(1))
        assert await collection.count_documents({}) == 2


async def test_a_server_that_does_not_answer_is_waited_for_until_the_deadline(mongod: Mongod) -> None:
    async with opened(mongod, "slow", timeoutMS=500) as collection:
        await insert_many(collection, documents(1))
        mongod.freeze()
        try:
            with pytest.raises(NetworkTimeout, match=r"no answer to an insert within 0\.5 s"):
                await insert_many(collection, documents(1))
        finally:
            mongod.thaw()
        await insert_many(collection, documents(1))


async def test_a_kept_connection_serves_insert_after_insert(mongod: Mongod) -> None:
    async with opened(mongod, "kept", maxPoolSize=1) as collection:
        kept = KeptConnection()
        for one in documents(20):
            await insert_many(collection, [one], kept)
        await kept.give_back()
        assert await collection.count_documents({}) == 20  # which needs the one connection there is


async def test_inserts_at_once_do_not_share_the_kept_connection(mongod: Mongod) -> None:
    async with opened(mongod, "at_once") as collection:
        kept = KeptConnection()
        await asyncio.gather(*(insert_many(collection, [one], kept) for one in documents(50)))
        assert await collection.count_documents({}) == 50
        await kept.give_back()


async def test_a_kept_connection_that_broke_is_replaced(mongod: Mongod) -> None:
    async with opened(mongod, "broke") as collection:
        kept = KeptConnection()
        await insert_many(collection, documents(1), kept)
        mongod.kill()
        mongod.start()
        with suppress(AutoReconnect):  # it may learn of it only now
            await insert_many(collection, documents(1), kept)
        await insert_many(collection, last := documents(1), kept)
        assert await collection.find_one(last[0]) == last[0]
        await kept.give_back()


async def test_a_duplicate_does_not_cost_the_kept_connection(mongod: Mongod) -> None:
    async with opened(mongod, "dear", maxPoolSize=1) as collection:
        kept, same = KeptConnection(), documents(1)
        await insert_many(collection, same, kept)
        before = kept._connection
        with pytest.raises(BulkWriteError):
            await insert_many(collection, same, kept)
        assert kept._connection is before is not None
        await kept.give_back()


async def test_a_cancellation_that_the_driver_forgets_is_not_lost() -> None:
    begun = asyncio.Event()

    async def asks() -> None:
        async with translated():
            with suppress(asyncio.CancelledError):  # as Python 3.11's `wait_for`, which PyMongo uses, when an answer is there
                begun.set()
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(asks())
    await begun.wait()
    task.cancel()
    await asyncio.wait((task,), timeout=10)
    assert task.cancelled()
