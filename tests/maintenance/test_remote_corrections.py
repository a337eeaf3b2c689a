"""Corrections that other bridges make, applied to what this one has in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from bson.objectid import ObjectId

from bridge.core.errors import StoreUnavailable
from bridge.core.events import EntityEvent
from bridge.core.readings.reading import Reading
from bridge.devices.registry import Registry
from bridge.maintenance.corrections import RemoteCorrections
from bridge.settings import DevicesSettings
from tests.fakes import MemoryStore, RecordingPublisher

AT_MS = 1_767_000_000_000


class Recent:
    def replace_recent(self, reading: Reading, after: Reading | None) -> None:
        """Nothing is kept."""


class Store(MemoryStore):
    """Answers `latest` as of the call, once `may_answer` is set; fails while `is_unavailable`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.is_unavailable = False

    async def latest(self, devices: Sequence[str] | None = None) -> list[Reading]:
        found = await super().latest(devices)
        self.asked.set()
        await self.may_answer.wait()
        if self.is_unavailable:
            raise StoreUnavailable("unavailable")
        return found


class Rig:
    def __init__(self) -> None:
        self.store = Store()
        self.registry = Registry(self.store, DevicesSettings())
        self.registry.next = RecordingPublisher()
        self.corrections = RemoteCorrections(self.store, self.registry, Recent())
        self.identity = ObjectId()

    async def begin(self) -> None:
        self.store.may_answer.set()
        await self.registry.load()
        self.store.may_answer.clear()
        self.store.asked.clear()
        self.registry.publish([self.reading(20)])

    def reading(self, temperature: float) -> Reading:
        return Reading(self.identity, "boiler", {"temperature": temperature}, AT_MS, AT_MS, seq=7)

    def correct(self, temperature: float) -> None:
        """Another bridge has changed the reading in the store, and says so."""
        after = self.reading(temperature)
        self.store.by_id[self.identity] = after
        event = EntityEvent("reading", "updated", str(self.identity), after.public(), {"action": "update_reading"})
        self.corrections.apply(event)

    @property
    def shown(self) -> object:
        last = self.registry.get("boiler").last_reading
        return None if last is None else last.values["temperature"]


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.begin()
    return rig


async def test_correction_that_arrives_while_the_store_is_read_is_read_next_time(rig: Rig) -> None:
    rig.correct(21)
    reading = asyncio.create_task(rig.corrections.reread())
    await rig.store.asked.wait()
    rig.correct(22)
    rig.store.may_answer.set()
    await reading
    await rig.corrections.reread()
    assert rig.shown == 22


async def test_devices_are_read_again_after_an_outage_of_the_store(rig: Rig) -> None:
    rig.correct(21)
    rig.store.may_answer.set()
    rig.store.is_unavailable = True
    with pytest.raises(StoreUnavailable):
        await rig.corrections.reread()
    rig.store.is_unavailable = False
    await rig.corrections.reread()
    assert rig.shown == 21
