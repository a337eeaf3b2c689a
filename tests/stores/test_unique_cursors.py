"""A database that is prepared for several bridges: by whom, when, and what it does to those that are not in a cluster."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId
from pymongo.errors import OperationFailure

from bridge.core.query import ReadingsQuery, WriteResult
from bridge.core.readings.identity import Cursor
from bridge.log.preparation import PrepareProgress, Renumbered
from bridge.pipeline.free_cursors import FreeCursorWriter
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.stores.mongo.unique_cursors import UniqueCursors
from tests.stores.test_store_contract import reading

Database = pymongo.database.Database[dict[str, Any]]


def mongo_store(url: str, driver: str = "pymongo") -> Store:
    return open_store(StoreSettings.model_validate({"url": url, "driver": driver}))


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_equal_cursors_are_renumbered_to_the_next_free_ones_and_reported(
    mongo_url: str, database: Database, driver: str
) -> None:
    converting: list[int] = []
    renumbered: list[Renumbered] = []
    async with mongo_store(mongo_url, driver) as store:
        assert await store.prepare() == 0
        assert store.log is not None
        await store.write([reading(5), reading(6, at=1)], [], [])
        database["readings"].insert_many([{"_id": ObjectId(), "seq": 5, "deviceId": device} for device in ("b", "c")])
        order = await store.log.prepare(PrepareProgress(converting.append, renumbered.append))
    assert converting == [4]
    assert [(one.device_id, one.before, one.after) for one in renumbered] == [("b", 5, 7), ("c", 5, 8)]
    assert sorted(document["seq"] for document in database["readings"].find()) == [5, 6, 7, 8]
    assert (order.last, order.open) == (8, ())
    assert database["readings"].index_information()["seq"]["unique"] is True


async def test_a_prepared_database_is_not_converted_again(mongo_url: str) -> None:
    converting: list[int] = []
    async with mongo_store(mongo_url) as store:
        await store.prepare()
        assert store.log is not None
        await store.log.prepare()
        await store.log.prepare(PrepareProgress(converting.append))
    assert converting == []


async def test_bridges_that_start_at_the_same_time_make_the_index_unique(mongo_url: str) -> None:
    """Each creates the index as `prepare` does, then converts it; the conversion fails if another bridge was between."""

    async def start(client: pymongo.AsyncMongoClient[dict[str, Any]]) -> None:
        database = client.get_default_database()
        with suppress(OperationFailure):  # unique already
            await database["readings"].create_index([("seq", pymongo.ASCENDING)], name="seq")
        await UniqueCursors(database, database["readings"], PrepareProgress()).ensure()

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(pymongo.AsyncMongoClient[dict[str, Any]](mongo_url)) for _ in range(6)]
        readings = clients[0].get_default_database()["readings"]
        for _ in range(20):
            await readings.drop()
            await readings.insert_many([{"seq": 1}, {"seq": 2}])
            async with asyncio.TaskGroup() as starts:
                for client in clients:
                    starts.create_task(start(client))
            assert (await readings.index_information())["seq"]["unique"] is True


async def test_a_bridge_without_a_cluster_starts_after_an_interrupted_preparation(mongo_url: str, database: Database) -> None:
    async with mongo_store(mongo_url) as store:
        await store.prepare()
        database.command("collMod", "readings", index={"keyPattern": {"seq": 1}, "prepareUnique": True})
        assert await store.prepare() == 0
        assert await store.write([reading(1)], [], []) == WriteResult(frozenset({1}))


async def test_a_reading_whose_cursor_another_process_used_is_stored_under_the_next_one(mongo_url: str) -> None:
    async with mongo_store(mongo_url) as store:
        await store.prepare()
        assert store.log is not None
        await store.log.prepare()
        await store.write([reading(10), reading(11, at=1)], [], [])
        own = [reading(10, at=2), reading(12, at=3), reading(11, at=4)]
        result = await FreeCursorWriter(store, Cursor(12), lambda: 0).write(own, [], [])
        assert result == WriteResult(frozenset({12, 13, 14}))
        assert [one.seq for one in own] == [13, 12, 14]
        assert len(await store.readings(ReadingsQuery(since=0))) == 5
