"""The contract of every store for its records of devices, each kind for itself; the in-memory store too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bridge.ports import DeviceRecord, DeviceRecordStore, Store
from tests.stores.test_store_contract import Opener, opened

__all__ = ["opened"]

KINDS = ("air", "anomaly_states", "forecast_states", "predictions")
KITCHEN = DeviceRecord(
    "kitchen", 1_767_000_000_000_000, {"last": 1_767_000_000_000, "fields": {"co2": {"value": 640.5, "a.b": [1]}}}
)
ATTIC = DeviceRecord("attic/ключ", 1, {})


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


def kinds(store: Store) -> list[DeviceRecordStore]:
    return [getattr(store, name) for name in KINDS]


async def test_record_is_returned_unchanged(store: Store) -> None:
    for records in kinds(store):
        await records.save([KITCHEN, ATTIC])
        await records.save([])
        assert await records.all(10) == [ATTIC, KITCHEN]
        assert await records.all(1) == [ATTIC]
        assert await records.get(["kitchen", "cellar", "attic/ключ"]) == [KITCHEN, ATTIC]
        assert await records.get([]) == []


async def test_record_saved_again_replaces_the_stored_one(store: Store) -> None:
    for records in kinds(store):
        await records.save([KITCHEN])
        newer = DeviceRecord("kitchen", 2, {"last": 5})
        await records.save([newer])
        assert await records.all(10) == [newer]


async def test_removed_record_is_gone_and_those_of_other_kinds_are_not(store: Store) -> None:
    for records in kinds(store):
        await records.save([KITCHEN])
    for at, records in enumerate(kinds(store), start=1):
        await records.remove("kitchen")
        await records.remove("kitchen")
        assert [len(await one.all(10)) for one in kinds(store)] == [0] * at + [1] * (len(KINDS) - at)
