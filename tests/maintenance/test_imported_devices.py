"""The devices of imported readings in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from bridge.core.devices.device import ONLINE, Device
from bridge.maintenance.export_import import import_readings
from bridge.settings import DevicesSettings, StoreSettings
from bridge.stores import open_store
from tests.conftest import StartBridge
from tests.servers import until

START_MS = 1_700_000_000_000


@pytest.fixture(params=["sqlite", "mongo"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    url = f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))
    return StoreSettings(url=SecretStr(url))


async def imported(settings: StoreSettings, folder: Path, start_ms: int = START_MS, **devices: Any) -> None:
    """Import a reading of `cellar` every second for ten seconds."""
    records = [{"deviceId": "cellar", "temperature": 12.5, "timestamp": start_ms + n * 1000} for n in range(10)]
    file = folder / "old.ndjson"
    file.write_bytes(b"\n".join(map(orjson.dumps, records)))
    result = await import_readings(
        file, settings, DevicesSettings.model_validate(devices), lambda _done, _total: None, lambda _number, _reason: None
    )
    assert result.bad == 0


async def registered(settings: StoreSettings) -> dict[str, Device]:
    async with open_store(settings) as store:
        await store.prepare()
        return {device.id: device for device in await store.devices.all(10)}


async def test_devices_are_registered_as_offline_and_were_seen_when_their_readings_were(
    settings: StoreSettings, tmp_path: Path
) -> None:
    await imported(settings, tmp_path)
    device = (await registered(settings))["cellar"]
    assert not device.online
    assert (device.created_ms, device.last_seen_ms) == (START_MS, START_MS + 9000)
    await imported(settings, tmp_path, START_MS - 60_000)
    await imported(settings, tmp_path, START_MS + 60_000)
    device = (await registered(settings))["cellar"]
    assert (device.created_ms, device.last_seen_ms) == (START_MS - 60_000, START_MS + 69_000)


async def test_device_that_a_bridge_has_heard_keeps_its_name_and_status(settings: StoreSettings, tmp_path: Path) -> None:
    seen_ms = START_MS + 1_000_000
    async with open_store(settings) as store:
        await store.prepare()
        heard = Device("cellar", name="Cellar", status=ONLINE, status_ms=seen_ms, created_ms=seen_ms, last_seen_ms=seen_ms)
        await store.devices.save([heard])
    await imported(settings, tmp_path)
    device = (await registered(settings))["cellar"]
    assert (device.name, device.status, device.created_ms, device.last_seen_ms) == ("Cellar", ONLINE, seen_ms, seen_ms)


@pytest.mark.parametrize("devices", [{"registration": "required"}, {"limit": 1}], ids=str)
async def test_no_device_is_added_where_a_bridge_would_add_none(
    settings: StoreSettings, tmp_path: Path, devices: dict[str, Any]
) -> None:
    async with open_store(settings) as store:
        await store.prepare()
        await store.devices.save([Device("attic")])
    await imported(settings, tmp_path, **devices)
    assert set(await registered(settings)) == {"attic"}


async def test_running_bridge_lists_imported_devices(
    settings: StoreSettings, tmp_path: Path, broker_url: str, start_bridge: StartBridge
) -> None:
    async with start_bridge(broker_url, settings.url.get_secret_value()) as bridge, aiohttp.ClientSession() as session:

        async def listed() -> dict[str, Any] | None:
            async with session.get(f"http://127.0.0.1:{bridge.port}/api/v1/devices/cellar") as answer:
                return await answer.json() if answer.status == 200 else None

        assert await listed() is None
        await imported(settings, tmp_path)
        await until(listed, seconds=20, what="the imported device")
        device = await listed()
        assert device is not None
        assert device["status"] == "offline"
        assert device["lastSeen"] == device["lastReading"]["timestamp"] == "2023-11-14T22:13:29.000Z"
