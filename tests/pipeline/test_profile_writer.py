"""Profiles are stored before the readings that depend on them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from bson.objectid import ObjectId

from bridge.core.devices.profiles import DeviceProfile, Profiles
from bridge.core.errors import StoreUnavailable
from bridge.core.readings.reading import Reading
from bridge.pipeline.profile_writer import ProfileWriter
from tests.fakes import MemoryProfiles, MemoryStore


class Documents(MemoryProfiles):
    """Fails while `unavailable`; records the number of profiles of each write, and of readings stored by then."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.unavailable = False
        self.writes: list[tuple[int, int]] = []
        self._store = store

    async def save(self, profiles: Mapping[str, DeviceProfile]) -> None:
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        self.writes.append((len(profiles), len(self._store.by_id)))
        await super().save(profiles)


class Rig:
    def __init__(self) -> None:
        self.store, self.profiles = MemoryStore(), Profiles()
        self.documents = Documents(self.store)
        self.writer = ProfileWriter(self.store, self.profiles, self.documents)

    async def write(self, device: str = "cold") -> None:
        await self.writer.write([Reading(ObjectId(), device, {"temperature": 1}, 1, 1, seq=1)], (), ())


async def test_changed_profile_is_stored_before_the_reading() -> None:
    rig = Rig()
    rig.profiles.needs_own_series("cold", "DS18B20-1", ["temperature"], shares=True)
    await rig.write()
    await rig.write()
    assert rig.documents.writes == [(1, 0)], "and once"
    assert (await rig.documents.all(9))["cold"].own == {"DS18B20-1": False}


async def test_reading_is_not_stored_while_profiles_cannot_be() -> None:
    rig = Rig()
    rig.profiles.needs_own_series("cold", "DS18B20-1", ["temperature"], shares=True)
    rig.documents.unavailable = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await rig.write()
    assert rig.store.by_id == {}
    rig.documents.unavailable = False
    await rig.write()
    assert rig.documents.writes == [(1, 0)]
    assert len(rig.store.by_id) == 1


async def test_profiles_of_many_devices_are_stored_in_batches() -> None:
    rig = Rig()
    for number in range(1001):
        rig.profiles.needs_own_series(f"d{number}", "a", ["temperature"], shares=True)
    await rig.write()
    assert [count for count, _ in rig.documents.writes] == [500, 500, 1]


async def test_profile_of_a_removed_device_is_not_stored() -> None:
    rig = Rig()
    rig.profiles.changed.add("gone")
    await rig.write()
    assert await rig.documents.all(9) == {}
    assert not rig.profiles.changed
