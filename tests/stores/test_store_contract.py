"""The contract of every store; the in-memory store too, or tests that use it would prove nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId

from bridge.core.devices.named_location import NamedLocation
from bridge.core.message import DeviceStatus, Message, Rejection, RejectionReason
from bridge.core.query import (
    FieldSummary,
    QuarantinedMessage,
    QuarantineGroup,
    QuarantineQuery,
    ReadingsQuery,
    RetentionResult,
    WriteResult,
)
from bridge.core.readings.identity import record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.fakes import DAY_MS, MemoryStore, RecordingOrigin
from tests.servers import until

START_MS = 1_767_000_000_000


Opener = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["memory", "sqlite", "motor", "pymongo", "pymongo alone", "pymongo cluster"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """`async with opened(**settings) as store`: the same store each time, prepared."""
    memory = MemoryStore()

    @asynccontextmanager
    async def enter(**more: Any) -> AsyncIterator[Store]:
        if request.param == "memory":
            memory.settings = StoreSettings.model_validate(more)
            yield memory
            return
        if request.param == "sqlite":
            where = {"url": f"sqlite:///{tmp_path}/deep/er/bridge.db"}
        else:
            driver, _, kind = request.param.partition(" ")
            where = {"url": request.getfixturevalue("mongo_alone_url" if kind == "alone" else "mongo_url"), "driver": driver}
        async with open_store(StoreSettings.model_validate(where | more)) as store:
            await store.prepare()
            if request.param.endswith("cluster"):
                assert store.log is not None
                await store.log.prepare()
                _add_tombstones(request.getfixturevalue("database"))
            yield store

    return enter


def _add_tombstones(database: pymongo.database.Database[dict[str, Any]]) -> None:
    """Closed cursors among the lowest ones that a query asks for, and below those of the tests."""
    at = datetime.fromtimestamp(START_MS / 1000, UTC)
    for cursor in (0.25, 0.5, 0.75):
        database["readings"].update_one({"seq": cursor}, {"$setOnInsert": {"timestamp": at, "closed": True}}, upsert=True)


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        assert await store.prepare() == 0
        yield store


def reading(seq: int, device: str = "a", at: int = 0, **more: Any) -> Reading:
    """A reading whose identity is its device, time and values; `at` is in milliseconds after the start."""
    values: dict[str, Value] = more.pop("values", None) or {"temperature": 20.5, "eco2": 400, "flameDetected": False}
    own = record_id(device, START_MS + at, values)
    return Reading(more.pop("id", own), device, values, START_MS + at, START_MS + at + 7, seq=seq, **more)


def rejection(payload: bytes, at: int = 0, topic: str = "sensors/a/data", **more: Any) -> Rejection:
    """A rejected message; `at` is in milliseconds after the start."""
    message = Message("mqtt", topic, payload, START_MS + at, RecordingOrigin(), retained=more.pop("retained", False))
    code = more.pop("code", RejectionReason.NOT_JSON)
    return Rejection(ObjectId(), message, code, more.pop("reason", "not JSON: no"), more.pop("field", None))


async def everything(store: Store) -> list[Reading]:
    return await store.readings(ReadingsQuery(since=0))


async def test_reading_is_returned_unchanged(store: Store) -> None:
    full = reading(
        5,
        values={"temperature": -0.5, "humidity": 100, "aqi": 3, "aqiScale": "epa", "flameDetected": True, "pm25": 12},
        quality={"eco2": "not a number", "timestamp": "more than 5 minutes ahead"},
        device_timestamp="2031-01-01T00:00:00Z",
        retained=True,
        extra={"uptime": 5, "Wifi.RSSI": -61.5, "relay": False, "fw": "1.2 é", "a[0]": 2**53 - 1, "x.y.$z": 0},
    )
    plain = reading(6, at=1, device_timestamp=12.5)
    assert await store.write([full, plain], [], []) == WriteResult(frozenset({5, 6}))
    assert await everything(store) == [full, plain]
    assert [type(value) for value in (await everything(store))[0].values.values()] == [float, int, int, str, bool, int]
    assert list((await everything(store))[0].values) == list(full.values)


async def test_extra_values_are_no_part_of_the_identity_and_read_back_everywhere(store: Store) -> None:
    one = reading(1, extra={"uptime": 5})
    assert await store.write([one, reading(2, extra={"uptime": 6})], [], []) == WriteResult(frozenset({1}))
    assert await everything(store) == await store.latest() == [one]
    assert [type(value) for value in (await store.latest(["a"]))[0].extra.values()] == [int]


async def test_same_reading_written_again_is_a_duplicate_and_one_record(store: Store) -> None:
    await store.write([reading(1)], [], [])
    assert await store.write([reading(2), reading(3, at=9)], [], []) == WriteResult(frozenset({3}))
    assert [one.seq for one in await everything(store)] == [1, 3]


async def test_same_reading_twice_in_one_write_is_stored_once(store: Store) -> None:
    assert await store.write([reading(1), reading(2), reading(3)], [], []) == WriteResult(frozenset({1}))
    assert [one.seq for one in await everything(store)] == [1]


async def test_repeated_write_counts_as_stored(store: Store) -> None:
    batch = [reading(1), reading(2, at=5), reading(3, at=6)]
    bad = [rejection(b"x")]
    first = await store.write(batch, bad, [])
    assert await store.write(batch, bad, []) == first == WriteResult(frozenset({1, 2, 3}))
    assert len(await everything(store)) == 3


async def test_write_without_readings_stores_rejections_and_statuses(store: Store) -> None:
    statuses = [DeviceStatus("a", "online", START_MS), DeviceStatus("a", "offline", START_MS + 1)]
    assert await store.write([], [rejection(b""), rejection(b"\0\xff" * 40_000)], statuses) == WriteResult()
    assert await store.write([], [], []) == WriteResult()


async def test_reading_is_replaced_and_deleted_by_its_id(store: Store) -> None:
    first, other = reading(1), reading(2, at=1000)
    await store.write([first, other], [], [])
    assert await store.reading(first.id) == first
    assert await store.reading(ObjectId()) is None
    after = replace(first, values={"humidity": 40}, timestamp_ms=START_MS + 2000, quality={}, changed_ms=START_MS + 3000)
    assert await store.replace(first, after)
    assert await store.reading(first.id) == after
    assert await everything(store) == [after, other], "its cursor stays"
    assert await store.latest() == [after], "the newest is by the time of measurement"
    assert await store.replace(after, None)
    assert await store.reading(first.id) is None
    assert await everything(store) == await store.latest() == [other]
    assert not await store.replace(after, after)
    assert not await store.replace(after, None)
    assert await everything(store) == [other], "what was deleted does not come back"


async def test_changed_reading_is_still_known_by_its_id(store: Store) -> None:
    before = reading(1)
    await store.write([before], [], [])
    await store.replace(before, replace(before, values={"temperature": 1.5}, changed_ms=START_MS))
    assert await store.write([reading(2)], [], []) == WriteResult(), "sent again, it is a duplicate"
    await store.replace(before, None)
    assert await store.write([reading(3)], [], []) == WriteResult(frozenset({3})), "a deleted one is stored again"


async def test_location_is_added_changed_and_removed(store: Store) -> None:
    attributes = {"altura_m": 2.5, "planta": [1, {"a": None}]}
    first = NamedLocation("1", "Invernadero", "Finca", "Norte", attributes, START_MS)
    assert await store.locations.add(first)
    assert not await store.locations.add(NamedLocation("1"))
    assert await store.locations.add(NamedLocation("10"))
    changed = replace(first, room=None, attributes={})
    assert await store.locations.save(changed)
    assert not await store.locations.save(NamedLocation("2"))
    assert await store.locations.all(9) == [changed, NamedLocation("10")]
    assert await store.locations.all(1) == [changed]
    assert await store.locations.remove("1")
    assert not await store.locations.remove("1")


async def test_prepare_returns_the_highest_cursor(store: Store) -> None:
    await store.write([reading(2**52 + 5), reading(7, at=1)], [], [])
    assert await store.prepare() == 2**52 + 5


async def test_readings_are_found_by_device_time_and_cursor(store: Store) -> None:
    batch = [reading(seq, device="ab"[seq % 2], at=seq * 1000) for seq in range(1, 9)]
    await store.write(batch, [], [])

    async def found(**query: Any) -> list[int]:
        return [one.seq for one in await store.readings(ReadingsQuery(**query))]

    assert await found() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await found(limit=3) == [6, 7, 8], "without a start, the newest"
    assert await found(since=2, limit=3) == [3, 4, 5], "those after the cursor"
    assert await found(since=2, until=4) == [3, 4], "up to and including the cursor"
    assert await found(since=8, until=4) == []
    assert await found(devices=("b",)) == [1, 3, 5, 7]
    assert await found(devices=("a", "b"), since=6) == [7, 8]
    assert await found(devices=("nobody",)) == []
    assert await found(devices=()) == []
    assert await found(from_ms=START_MS + 3000, to_ms=START_MS + 6000) == [3, 4, 5], "from is inclusive, to exclusive"
    assert await found(since=8) == []


async def test_late_reading_is_ordered_by_its_cursor(store: Store) -> None:
    await store.write([reading(1, at=10_000), reading(2, at=0)], [], [])
    assert [one.seq for one in await everything(store)] == [1, 2]
    assert [one.seq for one in await store.latest()] == [1], "the newest is by time of measurement"


async def test_latest_returns_one_reading_a_device(store: Store) -> None:
    assert await store.latest() == []
    await store.write([reading(seq, device=f"d{seq % 5}", at=seq) for seq in range(1, 101)], [], [])
    latest = await store.latest()
    assert [(one.device_id, one.seq) for one in latest] == [("d0", 100), ("d1", 96), ("d2", 97), ("d3", 98), ("d4", 99)]


async def test_latest_of_some_devices_returns_only_theirs(store: Store) -> None:
    await store.write([reading(seq, device=f"d{seq % 5}", at=seq) for seq in range(1, 101)], [], [])
    for devices, expected in (
        (("d3", "d1", "d3", "nobody"), [("d1", 96), ("d3", 98)]),
        (("d4",), [("d4", 99)]),
        (("nobody", "", "d", "D1", "'"), []),
        ((), []),
    ):
        assert [(one.device_id, one.seq) for one in await store.latest(devices)] == expected
    many = [f"x{number}" for number in range(50_000)]
    assert [one.device_id for one in await store.latest([*many, "d2"])] == ["d2"]


async def test_reading_received_in_the_future_is_the_latest_only_if_there_is_no_other(store: Store) -> None:
    now_ms = time.time_ns() // 1_000_000
    ahead = 2 * 3_600_000
    wrong = [reading(n, at=now_ms + ahead + n - START_MS) for n in (1, 2)]
    alone = reading(3, device="b", at=now_ms + ahead - START_MS)
    await store.write([*wrong, alone], [], [])
    assert [one.seq for one in await store.latest()] == [2, 3]
    await store.write([reading(4, at=now_ms - 60_000 - START_MS), reading(5, at=now_ms - 120_000 - START_MS)], [], [])
    assert [one.seq for one in await store.latest()] == [4, 3]
    assert [one.seq for one in await store.latest(["b"])] == [3]
    assert [one.seq for one in await store.latest([wrong[0].device_id, "nobody"])] == [4]


async def test_device_whose_clock_is_a_little_ahead_has_its_newest_reading_as_the_latest(store: Store) -> None:
    now_ms = time.time_ns() // 1_000_000
    own = [replace(reading(n, at=now_ms + n * 60_000 - START_MS), received_ms=now_ms - 1000) for n in (1, 2, 4)]
    await store.write(own, [], [])
    assert [one.seq for one in await store.latest()] == [4]


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
    first, other, second = await store.history.buckets(
        ReadingsQuery(), 60_000, ["temperature", "humidity", "flameDetected", "co2"]
    )
    start = START_MS + offsets
    assert (first.device_id, first.start_ms, first.count) == ("a", start, 3)
    assert first.fields == {
        "temperature": FieldSummary(10, 15, 20, 2),
        "humidity": FieldSummary(50, 50, 50, 1),
        "flameDetected": FieldSummary(0, 0.5, 1, 2),
    }
    assert (other.device_id, other.start_ms, second.start_ms, second.count) == ("b", start, start + 60_000, 1)
    newest = await store.history.buckets(ReadingsQuery(limit=1), 60_000, ["temperature"])
    assert [(one.device_id, one.start_ms) for one in newest] == [("a", start + 60_000)]


async def test_value_is_returned_until_it_is_overwritten(store: Store) -> None:
    assert await store.get("a") is None
    await store.put("a", "1")
    await store.put("b", "")
    await store.put("a", '{"two": "2 €"}')
    assert [await store.get(key) for key in ("a", "b", "$c.d")] == ['{"two": "2 €"}', "", None]
    await store.prepare()
    assert await store.get("a") == '{"two": "2 €"}'


async def test_value_is_swapped_only_if_it_is_the_expected_one(store: Store) -> None:
    assert not await store.swap("a", "", "1"), "there is no value yet"
    assert await store.swap("a", None, "1")
    assert not await store.swap("a", None, "2")
    assert not await store.swap("a", "2", "3")
    assert await store.get("a") == "1"
    assert await store.swap("a", "1", "")
    assert await store.swap("a", "", '{"two": "2 €"}')
    assert await store.get("a") == '{"two": "2 €"}'


async def test_one_of_several_concurrent_swaps_succeeds(store: Store) -> None:
    assert sum(await asyncio.gather(*(store.swap("a", None, f"{n}") for n in range(20)))) == 1
    value = await store.get("a")
    assert sum(await asyncio.gather(*(store.swap("a", value, f"new {n}") for n in range(20)))) == 1


async def test_ping_returns(store: Store) -> None:
    await store.ping()


async def test_hostile_names_are_treated_as_plain_names(store: Store) -> None:
    await store.write([reading(1)], [], [])
    assert await store.readings(ReadingsQuery(devices=("a' OR '1'='1", "$ne", '{"$gt": ""}'))) == []


async def test_count_ignores_the_limit(store: Store) -> None:
    await store.write([reading(seq, device="ab"[seq % 2], at=seq * 1000) for seq in range(1, 9)], [], [])
    assert await store.count(ReadingsQuery(limit=1)) == 8
    assert await store.count(ReadingsQuery(since=0)) == 8
    assert await store.count(ReadingsQuery(since=2)) == 6
    assert await store.count(ReadingsQuery(since=2, until=5)) == 3
    assert await store.count(ReadingsQuery(devices=("b",), from_ms=START_MS + 3000)) == 3


# --- refused documents -----------------------------------------------------------------------------------------------


async def test_unstorable_reading_is_refused_and_the_rest_is_stored(store: Store) -> None:
    batch = [reading(1), reading(2, values={"eco2": 2**70}), reading(3, at=1), reading(4)]
    written = await store.write(batch, [rejection(b"x")], [])
    assert written.stored == {1, 3}
    assert list(written.refused) == [2]
    assert written.refused[2]
    assert [one.seq for one in await everything(store)] == [1, 3]
    again = await store.write(batch, [], [])
    assert (again.stored, again.refused) == (written.stored, written.refused), "a repeated write returns the same"


async def test_write_of_unstorable_readings_alone_is_refused(store: Store) -> None:
    written = await store.write([reading(1, values={"eco2": -(2**70)})], [], [])
    assert (written.stored, set(written.refused)) == (frozenset(), {1})


# --- the quarantine --------------------------------------------------------------------------------------------------


async def test_rejected_message_is_returned_unchanged(store: Store) -> None:
    bad = rejection(b"\x00\xff{", 5, retained=True, code=RejectionReason.NO_MEASUREMENT, reason="none is left", field="eco2")
    await store.write([], [bad, rejection(b"y" * 70_000, 4)], [])
    first, large = await store.quarantine.messages(QuarantineQuery())
    reason = ("no_measurement", "none is left", "eco2")
    assert first == QuarantinedMessage(bad.id, START_MS + 5, "mqtt", "sensors/a/data", b"\x00\xff{", *reason, retained=True)
    assert (large.payload, large.field, large.retained) == (b"y" * 65_536, None, False)


async def test_quarantine_is_listed_newest_first_and_by_filters(store: Store) -> None:
    bad = [
        rejection(b"0", 0, "sensors/a/data"),
        rejection(b"1", 1, "sensors/ab/data", code=RejectionReason.NO_DEVICE_ID),
        rejection(b"2", 2, "a/b", code=RejectionReason.NO_DEVICE_ID),
        rejection(b"3", 3, "sensors/a.c/data"),
    ]
    await store.write([], bad, [])

    async def found(**query: Any) -> bytes:
        messages = await store.quarantine.messages(QuarantineQuery(**query))
        if "limit" not in query and "after" not in query:
            assert await store.quarantine.count(QuarantineQuery(**query)) == len(messages)
        return b"".join(one.payload for one in messages)

    assert await found() == b"3210"
    assert await found(limit=2) == b"32"
    assert await found(code="no_device_id") == b"21"
    assert await found(device="a") == b"20", "a whole level of the topic"
    assert await found(device="a.c") == b"3", "literally, not as a pattern"
    assert await found(device="a%") == await found(device="a\0") == b""
    assert await found(topic="sensors/a/data") == b"0"
    assert await found(topic="sensors/+/data") == b""
    assert await found(device="a", code="no_device_id") == b"2"
    assert await found(id=bad[1].id) == b"1"


async def test_quarantine_is_paged_by_id(store: Store) -> None:
    bad = [rejection(b"%d" % n, -n, code=[RejectionReason.NOT_JSON, RejectionReason.TOO_LARGE][n % 2]) for n in range(5)]
    await store.write([], bad, [])
    by_id = [one.id for one in sorted(bad, key=lambda one: one.id)]
    first = ObjectId(b"\0" * 12)

    async def page(after: ObjectId, **query: Any) -> list[ObjectId]:
        return [one.id for one in await store.quarantine.messages(QuarantineQuery(after=after, **query))]

    assert await page(first) == by_id
    assert await page(first, limit=2) == by_id[:2]
    assert await page(by_id[1]) == by_id[2:]
    assert await page(first, code="too_large") == [one.id for one in bad if one.code is RejectionReason.TOO_LARGE]
    assert await page(by_id[0], id=by_id[0]) == []


async def test_quarantine_is_grouped_by_code_and_field(store: Store) -> None:
    assert await store.quarantine.groups() == []
    missing = {"code": RejectionReason.NO_MEASUREMENT, "field": "eco2"}
    bad = [rejection(b"", n, reason=f"x {9 - n}", **missing) for n in (1, 3, 2)]
    bad += [rejection(b"", 7, reason="a"), rejection(b"", 9, code=RejectionReason.NO_MEASUREMENT, reason="b")]
    await store.write([], bad, [])
    assert await store.quarantine.groups() == [
        QuarantineGroup("no_measurement", "eco2", 3, START_MS + 3, "x 6"),
        QuarantineGroup("no_measurement", None, 1, START_MS + 9, "b"),
        QuarantineGroup("not_json", None, 1, START_MS + 7, "a"),
    ]


async def test_rejected_message_is_revised_while_it_exists_and_released_once(store: Store) -> None:
    await store.write([], [rejection(b"0", 0), rejection(b"1", 1)], [])
    one, zero = await store.quarantine.messages(QuarantineQuery())
    assert await store.quarantine.release([one.id, ObjectId()]) == 1
    assert await store.quarantine.release([one.id]) == 0
    assert await store.quarantine.release([]) == 0
    await store.quarantine.revise([])
    await store.quarantine.revise([replace(it, code="no_route", reason="new", field="a") for it in (zero, one)])
    assert await store.quarantine.messages(QuarantineQuery()) == [replace(zero, code="no_route", reason="new", field="a")]


# --- retention -------------------------------------------------------------------------------------------------------


def ago_ms(days: float) -> int:
    """Return the `at` of a time so many days ago."""
    return time.time_ns() // 1_000_000 - round(days * DAY_MS) - START_MS


async def test_quarantine_beyond_its_limit_loses_the_oldest_messages(opened: Opener) -> None:
    async with opened(rejected_limit=10) as store:
        now = ago_ms(0)
        bad = [rejection(b"%d" % n, now - n) for n in range(2_500)]
        await store.write([], bad, [])
        assert await store.enforce_retention() == RetentionResult(rejected_over=2_490)
        assert [one.payload for one in await store.quarantine.messages(QuarantineQuery())] == [b"%d" % n for n in range(10)]
        assert await store.enforce_retention() == RetentionResult()


async def test_retention_removes_what_is_too_old_and_nothing_else(opened: Opener) -> None:
    async with opened() as store:
        readings = [reading(n, device=f"d{n % 7}", at=ago_ms(10 + n)) for n in range(1, 2_001)]
        readings += [reading(2_001, at=ago_ms(9.9)), reading(2_002, at=ago_ms(0))]
        for start in range(0, 2_002, 1000):
            await store.write(readings[start : start + 1000], [], [])
        await store.write([], [rejection(b"old", ago_ms(20.1)), rejection(b"new", ago_ms(19.9))], [])
        await store.enforce_retention()
        assert await store.count(ReadingsQuery()) == 2_002, "never expire unless retention_days is set"

    async with opened(retention_days=10, rejected_days=20) as store:

        async def expired() -> bool:
            await store.enforce_retention()
            left = [one.payload for one in await store.quarantine.messages(QuarantineQuery())]
            return [one.seq for one in await everything(store)] == [2_001, 2_002] and left == [b"new"]

        await until(expired, 90, "old readings and messages are removed")
