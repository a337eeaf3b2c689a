"""The contract of every store for profiles of devices; the in-memory store too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bridge.core.devices.profiles import DeviceProfile
from bridge.ports import Store
from tests.stores.test_store_contract import Opener, opened

__all__ = ["opened"]

FULL = DeviceProfile(
    own={"DS18B20-1": False, "DS18B20-2": True, "$set": True, "a.b": False, "ключ": True},
    fields={"temperature": "DS18B20-1", "humidity": ""},
    zone_minutes=-210,
    zone_name="Europe/Paris",
    units={"tvoc": "mg/m³"},
    stated_id="Датчик 1",
    has_several_ids=True,
)


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


async def test_profile_is_returned_unchanged(store: Store) -> None:
    await store.profiles.save({"cold": FULL, "b": DeviceProfile()})
    await store.profiles.save({})
    assert await store.profiles.all(10) == {"b": DeviceProfile(), "cold": FULL}
    assert list(await store.profiles.all(1)) == ["b"]


async def test_profile_saved_again_replaces_the_stored_one(store: Store) -> None:
    await store.profiles.save({"cold": FULL})
    await store.profiles.save({"cold": DeviceProfile(own={"x": True})})
    assert await store.profiles.all(10) == {"cold": DeviceProfile(own={"x": True})}


async def test_removed_profile_is_gone(store: Store) -> None:
    await store.profiles.save({"cold": FULL})
    await store.profiles.remove("cold")
    await store.profiles.remove("cold")
    assert await store.profiles.all(10) == {}


async def test_part_whose_name_no_store_takes_is_left_out_and_the_others_are_kept(store: Store) -> None:
    odd = DeviceProfile(
        own={"\ud800": True, "x" * 300: True, "good": True}, fields={"temperature": "\ud800", "humidity": "good"}
    )
    await store.profiles.save({"cold": odd})
    assert await store.profiles.all(10) == {"cold": DeviceProfile(own={"good": True}, fields={"humidity": "good"})}
