"""A SQLite file that an earlier version made, with 22 measurements, is read and continued."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bson.objectid import ObjectId

from bridge.core.query import FieldSummary, ReadingsQuery
from bridge.core.readings.identity import record_id
from bridge.core.readings.measurements import MEASUREMENTS, VALUE_NAMES, Flag, Value
from bridge.core.readings.reading import Reading
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

EARLIER = Path(__file__).with_name("earlier.sql")
START_MS = 1_767_000_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """The file that the earlier version left, opened and prepared by this one."""
    path = tmp_path / "bridge.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(EARLIER.read_text())
    connection.close()
    settings = StoreSettings.model_validate({"url": f"sqlite:///{path}", "retention_days": None})
    async with open_store(settings) as store:
        assert await store.prepare() == START_MS * 1000 + 2
        assert await store.prepare() == START_MS * 1000 + 2, "preparing again changes nothing"
        yield store


def full_reading(seq: int, at_ms: int) -> Reading:
    values: dict[str, Value] = {
        one.name: True if isinstance(one, Flag) else one.refuse[0] + (one.refuse[1] - one.refuse[0]) / 4 for one in MEASUREMENTS
    }
    values = {name: "epa" if name == "aqiScale" else values[name] for name in VALUE_NAMES}
    return Reading(record_id("hall", at_ms, values), "hall", values, at_ms, at_ms + 5, seq=seq)


async def test_earlier_readings_and_devices_are_read(store: Store) -> None:
    first, second, _ = await store.readings(ReadingsQuery(since=0))
    values = {"temperature": 20.5, "aqi": 2, "aqiScale": "uba", "flameDetected": False, "battery": 90}
    assert (first.id, first.values) == (ObjectId("695247c08257dd2b0041eae2"), values)
    assert second.quality == {"eco2": "not a number"}
    assert second.extra == {}
    (device,) = await store.devices.all(10)
    assert (device.name, device.attributes) == ("Hall", {"floor": 1})


async def test_every_measurement_is_stored_beside_the_earlier_ones(store: Store) -> None:
    new = full_reading(START_MS * 1000 + 10, START_MS + 180_000)
    assert (await store.write([new], [], [])).stored == {new.seq}
    assert (await store.readings(ReadingsQuery(since=0)))[-1] == new
    assert await store.latest(["hall"]) == [new]


async def test_repeated_earlier_reading_is_a_duplicate(store: Store) -> None:
    first = (await store.readings(ReadingsQuery(since=0)))[0]
    first.seq = START_MS * 1000 + 10
    assert (await store.write([first], [], [])).stored == frozenset()


async def test_earlier_rollups_are_read_and_get_the_new_measurements(store: Store) -> None:
    day = ReadingsQuery(("hall",), START_MS - START_MS % 10_800_000, START_MS + 86_400_000)
    names = [one.name for one in MEASUREMENTS]
    (bucket,) = await store.history.buckets(day, 10_800_000, names)
    assert set(bucket.fields) == {"temperature", "aqi", "flameDetected", "battery"}
    new = full_reading(START_MS * 1000 + 10, START_MS + 180_000)
    await store.write([new], [], [])
    while (await store.history.roll_up()).more:
        pass
    (bucket,) = await store.history.buckets(day, 10_800_000, names)
    assert bucket.fields.keys() == set(names)
    assert bucket.fields["noise"] == FieldSummary(50, 50, 50, 1)
    assert bucket.fields["temperature"].count == 4
