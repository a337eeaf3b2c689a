"""The contract of every store for what is remembered of the air; the in-memory store too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bridge.ports import AirRecord, Store
from tests.stores.test_store_contract import Opener, opened

__all__ = ["opened"]

KITCHEN = AirRecord(
    "kitchen", 1_767_000_000_000_000, {"last": 1_767_000_000_000, "fields": {"co2": {"value": 640.5, "a.b": [1]}}}
)


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


async def test_record_is_returned_unchanged(store: Store) -> None:
    other = AirRecord("attic/ключ", 1, {})
    await store.air.save([KITCHEN, other])
    await store.air.save([])
    assert await store.air.all(10) == [other, KITCHEN]
    assert await store.air.all(1) == [other]


async def test_record_saved_again_replaces_the_stored_one(store: Store) -> None:
    await store.air.save([KITCHEN])
    newer = AirRecord("kitchen", 2, {"last": 5})
    await store.air.save([newer])
    assert await store.air.all(10) == [newer]


async def test_removed_record_is_gone(store: Store) -> None:
    await store.air.save([KITCHEN])
    await store.air.remove("kitchen")
    await store.air.remove("kitchen")
    assert await store.air.all(10) == []
