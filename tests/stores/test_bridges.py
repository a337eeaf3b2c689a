"""The contract of every store for the bridges of a cluster; the in-memory store too."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pymongo
import pytest

from bridge.ports import BridgeRecord, Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.stores.test_store_contract import Opener, opened

__all__ = ["opened"]

ONE = BridgeRecord(
    "a" * 16, "host", 12, 1_767_000_000_123, "3.0", "http://host:3000", 1, 5, 2**63 - 1, {"clients": 3, "a.b": ["$x"]}
)


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        yield store


async def test_bridge_is_returned_unchanged(store: Store) -> None:
    other = BridgeRecord("b" * 16)
    await store.bridges.save(other)
    await store.bridges.save(ONE)
    assert await store.bridges.all(10) == [ONE, other]
    assert await store.bridges.all(1) == [ONE]


async def test_bridge_saved_again_replaces_the_stored_one(store: Store) -> None:
    await store.bridges.save(ONE)
    newer = replace(ONE, beat=6, report={})
    await store.bridges.save(newer)
    assert await store.bridges.all(10) == [newer]


async def test_removed_bridge_is_gone(store: Store) -> None:
    await store.bridges.save(ONE)
    assert await store.bridges.remove(ONE.id)
    assert not await store.bridges.remove(ONE.id)
    assert await store.bridges.all(10) == []


async def test_the_time_of_the_server_is_that_of_its_clock(store: Store) -> None:
    before_ms = time.time_ns() // 1_000_000
    server_ms = await store.server_time_ms()
    assert before_ms <= server_ms <= time.time_ns() // 1_000_000


async def test_a_bridge_of_another_version_may_lack_fields(
    mongo_url: str, database: pymongo.database.Database[dict[str, object]]
) -> None:
    database["bridges"].insert_one({"_id": "c" * 16, "beat": 3, "later": True})
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        assert await store.bridges.all(10) == [BridgeRecord("c" * 16, beat=3)]
