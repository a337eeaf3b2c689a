"""What every store promises; the fake one too, or tests with it would prove nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr

from bridge.core.decode import DeviceStatus, Reason, Rejection
from bridge.core.identity import record_id
from bridge.core.message import Message
from bridge.core.query import ReadingsQuery, Summary, Written
from bridge.core.reading import Reading, Value
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.fakes import MemoryStore, RecordingOrigin

START_MS = 1_767_000_000_000


@pytest.fixture(params=["memory", "sqlite", "motor", "pymongo"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "sqlite":
        settings = StoreSettings(url=SecretStr(f"sqlite:///{tmp_path}/deep/er/bridge.db"))
    else:
        url = request.getfixturevalue("mongo_url")
        settings = StoreSettings.model_validate({"url": url, "driver": request.param})
    async with open_store(settings) as opened:
        assert await opened.prepare() == 0
        yield opened


def reading(seq: int, device: str = "a", at: int = 0, **more: Any) -> Reading:
    """A reading whose identity is its device, time and values; `at` is in milliseconds after the start."""
    values: dict[str, Value] = more.pop("values", None) or {"temperature": 20.5, "eco2": 400, "flameDetected": False}
    own = record_id(device, START_MS + at, values)
    return Reading(more.pop("id", own), device, values, START_MS + at, START_MS + at + 7, seq=seq, **more)


def rejection(payload: bytes) -> Rejection:
    message = Message("mqtt", "sensors/a/data", payload, START_MS, RecordingOrigin())
    return Rejection(ObjectId(), message, Reason.NOT_JSON, "not JSON: no", None)


async def everything(store: Store) -> list[Reading]:
    return await store.readings(ReadingsQuery(since=0))


async def test_what_is_written_comes_back_as_it_was(store: Store) -> None:
    full = reading(
        5,
        values={"temperature": -0.5, "humidity": 100, "aqi": 3, "aqiScale": "epa", "flameDetected": True, "pm25": 12},
        quality={"eco2": "not a number", "timestamp": "more than 5 minutes ahead"},
        device_timestamp="2031-01-01T00:00:00Z",
        retained=True,
    )
    plain = reading(6, at=1, device_timestamp=12.5)
    assert await store.write([full, plain], [], []) == Written(frozenset({5, 6}))
    assert await everything(store) == [full, plain]
    assert [type(value) for value in (await everything(store))[0].values.values()] == [float, int, int, str, bool, int]
    assert list((await everything(store))[0].values) == list(full.values)


async def test_the_same_reading_again_is_a_duplicate_and_one_record(store: Store) -> None:
    await store.write([reading(1)], [], [])
    assert await store.write([reading(2), reading(3, at=9)], [], []) == Written(frozenset({3}))
    assert [one.seq for one in await everything(store)] == [1, 3]


async def test_the_same_reading_twice_in_one_write_is_stored_once(store: Store) -> None:
    assert await store.write([reading(1), reading(2), reading(3)], [], []) == Written(frozenset({1}))
    assert [one.seq for one in await everything(store)] == [1]


async def test_the_same_write_again_counts_as_stored(store: Store) -> None:
    batch = [reading(1), reading(2, at=5), reading(3, at=6)]
    bad = [rejection(b"x")]
    first = await store.write(batch, bad, [])
    assert await store.write(batch, bad, []) == first == Written(frozenset({1, 2, 3}))
    assert len(await everything(store)) == 3


async def test_a_write_of_nothing_but_bad_messages_and_statuses_is_fine(store: Store) -> None:
    statuses = [DeviceStatus("a", "online", START_MS), DeviceStatus("a", "offline", START_MS + 1)]
    assert await store.write([], [rejection(b""), rejection(b"\0\xff" * 40_000)], statuses) == Written()
    assert await store.write([], [], []) == Written()


async def test_the_highest_cursor_is_found_again(store: Store) -> None:
    await store.write([reading(2**52 + 5), reading(7, at=1)], [], [])
    assert await store.prepare() == 2**52 + 5


async def test_queries_by_device_time_and_cursor(store: Store) -> None:
    batch = [reading(seq, device="ab"[seq % 2], at=seq * 1000) for seq in range(1, 9)]
    await store.write(batch, [], [])

    async def found(**query: Any) -> list[int]:
        return [one.seq for one in await store.readings(ReadingsQuery(**query))]

    assert await found() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await found(limit=3) == [6, 7, 8], "without a beginning, the newest are meant"
    assert await found(since=2, limit=3) == [3, 4, 5], "with a cursor, those that follow it"
    assert await found(devices=("b",)) == [1, 3, 5, 7]
    assert await found(devices=("a", "b"), since=6) == [7, 8]
    assert await found(devices=("nobody",)) == []
    assert await found(devices=()) == []
    assert await found(from_ms=START_MS + 3000, to_ms=START_MS + 6000) == [3, 4, 5], "from is in, to is out"
    assert await found(since=8) == []


async def test_a_late_reading_has_its_place_in_the_cursor_order(store: Store) -> None:
    await store.write([reading(1, at=10_000), reading(2, at=0)], [], [])
    assert [one.seq for one in await everything(store)] == [1, 2]
    assert [one.seq for one in await store.latest()] == [1], "the newest is by time of measurement"


async def test_latest_gives_one_reading_a_device(store: Store) -> None:
    assert await store.latest() == []
    await store.write([reading(seq, device=f"d{seq % 5}", at=seq) for seq in range(1, 101)], [], [])
    latest = await store.latest()
    assert [(one.device_id, one.seq) for one in latest] == [("d0", 100), ("d1", 96), ("d2", 97), ("d3", 98), ("d4", 99)]


async def test_buckets_hold_count_low_mean_and_high(store: Store) -> None:
    offsets = 60_000 - START_MS % 60_000  # to a whole minute
    rows: list[tuple[int, dict[str, Value]]] = [
        (0, {"temperature": 10, "flameDetected": False}),
        (20_000, {"temperature": 20.0, "flameDetected": True}),
        (59_999, {"humidity": 50}),
        (60_000, {"temperature": -5}),
    ]
    await store.write([reading(n, at=offsets + at, values=values) for n, (at, values) in enumerate(rows, 1)], [], [])
    await store.write([reading(9, device="b", at=offsets, values={"temperature": 1})], [], [])
    first, other, second = await store.buckets(ReadingsQuery(), 60_000, ["temperature", "humidity", "flameDetected", "co2"])
    start = START_MS + offsets
    assert (first.device_id, first.start_ms, first.count) == ("a", start, 3)
    assert first.fields == {
        "temperature": Summary(10, 15, 20, 2),
        "humidity": Summary(50, 50, 50, 1),
        "flameDetected": Summary(0, 0.5, 1, 2),
    }
    assert (other.device_id, other.start_ms, second.start_ms, second.count) == ("b", start, start + 60_000, 1)
    newest = await store.buckets(ReadingsQuery(limit=1), 60_000, ["temperature"])
    assert [(one.device_id, one.start_ms) for one in newest] == [("a", start + 60_000)]


async def test_it_answers(store: Store) -> None:
    await store.ping()


async def test_hostile_names_are_only_names(store: Store) -> None:
    await store.write([reading(1)], [], [])
    assert await store.readings(ReadingsQuery(devices=("a' OR '1'='1", "$ne", '{"$gt": ""}'))) == []
