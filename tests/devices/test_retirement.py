"""Retired devices: without a status, until they return."""

from __future__ import annotations

import pytest
from bson.objectid import ObjectId

from bridge.core.devices.device import Device, device_from_document, with_public
from bridge.core.errors import DeviceError
from bridge.core.events import EntityEvent
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from tests.devices.test_registry import START_MS, Rig


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.registry.load()
    rig.publish_reading("a")
    await rig.registry.update("a", {"expectedInterval": 10})
    return rig


async def test_retired_device_has_no_status_and_is_never_silent(rig: Rig) -> None:
    device = await rig.registry.update("a", {"retired": True})
    assert (device.status, device.public()["retiredAt"]) == (None, "2025-12-29T09:20:00.000Z")
    rig.out.events.clear()
    rig.wait(3600)
    assert rig.statuses() == []
    assert rig.registry.get("a").status is None


async def test_readings_and_statuses_of_a_retired_device_are_signs_of_life_and_nothing_more(rig: Rig) -> None:
    await rig.registry.update("a", {"retired": True})
    rig.out.events.clear()
    rig.wait(60)
    rig.publish_reading("a")
    rig.registry.publish([DeviceStatus("a", "offline", rig.now_ms), DeviceStatus("b", "online", rig.now_ms)])
    assert rig.statuses() == [("b", "online")]
    device = rig.registry.get("a")
    assert (device.status, device.last_seen_ms) == (None, rig.now_ms)


async def test_device_that_returns_is_online_with_its_next_reading(rig: Rig) -> None:
    await rig.registry.update("a", {"retired": True})
    device = await rig.registry.update("a", {"retired": False})
    assert "retiredAt" not in device.public()
    rig.publish_reading("a")
    assert rig.registry.get("a").status == "online"


async def test_device_with_an_open_socket_is_online_as_soon_as_it_returns(rig: Rig) -> None:
    rig.registry.connected("a")
    await rig.registry.update("a", {"retired": True})
    assert not rig.registry.get("a").online
    await rig.registry.update("a", {"retired": None})
    assert rig.registry.get("a").online


async def test_parts_are_retired_with_their_device(rig: Rig) -> None:
    rig.registry._table.put(Device("a.probe", part_of="a", status="online"))
    await rig.registry.update("a", {"retired": True})
    assert rig.registry.get("a.probe").is_retired
    assert rig.registry.get("a.probe").status is None
    changed = {one.entity_id for one in rig.out.events if isinstance(one, EntityEvent) and "retiredAt" in one.data}
    assert changed == {"a", "a.probe"}
    await rig.registry.update("a", {"retired": False})
    assert not rig.registry.get("a.probe").is_retired


async def test_part_that_appears_at_a_retired_device_is_retired_too(rig: Rig) -> None:
    await rig.registry.update("a", {"retired": True})
    rig.registry.publish([Reading(ObjectId(), "a.new", {"co2": 645}, rig.now_ms, rig.now_ms, part_of="a")])
    part = rig.registry.get("a.new")
    assert (part.is_retired, part.status) == (True, None)


async def test_retirement_is_stored_and_known_to_other_bridges(rig: Rig) -> None:
    device = await rig.registry.update("a", {"retired": True})
    assert device_from_document("a", device.to_document()).retired_ms == START_MS
    assert "retiredAt" not in device.state_to_document()
    assert with_public(Device("a"), device.public()).retired_ms == START_MS
    assert not device.has_attributes_of(Device("a", expected_seconds=10))


async def test_retiring_twice_keeps_the_first_time_and_takes_only_true_or_false(rig: Rig) -> None:
    await rig.registry.update("a", {"retired": True})
    rig.wait(60)
    assert (await rig.registry.update("a", {"retired": True})).retired_ms == START_MS
    with pytest.raises(DeviceError, match="must be true, false or null"):
        await rig.registry.update("a", {"retired": "yes"})
