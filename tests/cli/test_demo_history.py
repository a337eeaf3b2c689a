"""The history that the demo writes into a new store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.cli.demo_history import HISTORY_SENSORS, MARKED, write_history
from bridge.core.query import ReadingsQuery
from bridge.core.readings.record import parse_record
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.tools.simulator import SimulatedSensor, device_ids
from tests.conftest import StartBridge
from tests.servers import until

NOW = int(time.time())
DAY = 86_400


def sensors(count: int = 2) -> list[SimulatedSensor]:
    return [SimulatedSensor(device_id, 1) for device_id in device_ids(count)]


def store_in(folder: Path) -> StoreSettings:
    return StoreSettings.model_validate({"url": f"sqlite:///{folder}/bridge.db"})


async def write(settings: StoreSettings, shown: list[SimulatedSensor] | None = None, days: int = 1, now: int = NOW) -> int:
    return await write_history(settings, shown or sensors(), days=days, now_seconds=now, progress=lambda _done, _total: None)


async def counted(settings: StoreSettings) -> int:
    async with open_store(settings) as store:
        await store.prepare()
        return await store.count(ReadingsQuery(from_ms=0))


async def get(url: str) -> Any:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as answer:
        return await answer.json()


async def test_history_of_a_new_store_covers_the_days_and_is_marked(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    stored = await write(settings, days=2)
    async with open_store(settings) as store:
        readings = await store.readings(ReadingsQuery(since=0, limit=100_000))
        devices = {device.id: device for device in await store.devices.all(10)}
    assert len(readings) == stored > 2 * 2 * 24 * 60 * 0.9
    times = [reading.timestamp_ms for reading in readings]
    assert (NOW - 2 * DAY) * 1000 <= min(times) < (NOW - 2 * DAY + 3600) * 1000
    assert (NOW - 600) * 1000 < max(times) < NOW * 1000
    assert all(reading.extra == MARKED for reading in readings)
    assert {reading.device_id for reading in readings} == set(devices) == {"living-room", "kitchen"}
    device = devices["living-room"]
    assert (device.name, device.site, device.room) == ("Living room", "Demo", "Living room")
    assert device.attributes == MARKED
    assert not device.online


async def test_second_start_writes_nothing_and_sensors_continue(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    first, second = sensors(), sensors()
    stored = await write(settings, first)
    assert await write(settings, second, now=NOW + DAY) == 0
    assert await counted(settings) == stored
    assert [sensor.reading(NOW + DAY) for sensor in second] == [sensor.reading(NOW + DAY) for sensor in first]


async def test_interrupted_history_is_completed_without_duplicates(tmp_path: Path) -> None:
    def interrupt(done: int, _: int | None) -> None:
        if done >= 1000:
            raise KeyboardInterrupt

    settings = store_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        await write_history(settings, sensors(), days=1, now_seconds=NOW, progress=interrupt)
    partial = await counted(settings)
    assert partial > 0
    completed = await write(settings, now=NOW + 100)
    assert await counted(settings) == partial + completed
    assert completed > 0
    other = store_in(tmp_path / "other")
    (tmp_path / "other").mkdir()
    assert await write(other) == partial + completed


async def test_nothing_is_written_into_a_store_with_other_readings(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    async with open_store(settings) as store:
        await store.prepare()
        reading = parse_record({"deviceId": "mine", "temperature": 21.5, "timestamp": NOW})
        reading.seq = 1
        await store.write([reading], (), ())
    assert await write(settings) == 0
    assert await counted(settings) == 1


async def test_nothing_is_written_into_a_store_in_which_a_bridge_has_run(
    tmp_path: Path, broker_url: str, start_bridge: StartBridge
) -> None:
    settings = store_in(tmp_path)
    async with start_bridge(broker_url, settings.address):
        pass
    assert await write(settings) == 0
    assert await counted(settings) == 0


async def test_further_sensors_have_no_history(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    await write(settings, sensors(HISTORY_SENSORS + 2))
    async with open_store(settings) as store:
        assert {device.id for device in await store.devices.all(100)} == set(device_ids(HISTORY_SENSORS))


async def test_history_raises_no_alarm_and_gives_assessments_at_the_start(
    tmp_path: Path, broker_url: str, start_bridge: StartBridge
) -> None:
    settings = store_in(tmp_path)
    shown = sensors(8)
    await write(settings, shown)
    async with open_store(settings) as store:
        gas = [float(one.values["lpgPpm"]) for one in await store.readings(ReadingsQuery(since=0, limit=100_000))]
    assert max(gas) > 1400, "the history has a value that is an alarm when it is live"
    async with start_bridge(broker_url, settings.address) as bridge:
        url = f"http://127.0.0.1:{bridge.port}"

        async def has_caught_up() -> bool:
            return (await get(f"{url}/api/v1/alarms"))["catchingUp"] is False

        await until(has_caught_up, what="the alarms' start")
        assert (await get(f"{url}/api/v1/alarms"))["alarms"] == []
        async with open_store(settings) as store:
            assert await store.alarms.find(limit=10) == []
        [air] = (await get(f"{url}/api/v1/assessments?device=kitchen"))["assessments"]
        assert all(one["level"] is not None for one in air["assessments"]), "an averaged value waits for hours of readings"
