"""Rollups: which segments a query reads, that rollups change no result, and that they are built despite failures."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pymongo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import StoreUnavailable
from bridge.core.query import Bucket, FieldSummary, ReadingsQuery, RollupResult
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.core.rollup import (
    DAY_MS,
    DEVICES_LIMIT,
    HOUR_MS,
    LEVELS_MS,
    HistoryRange,
    RollupProgress,
    choose_width,
    count_buckets,
    format_width,
    merge_hours,
    parse_width,
    plan,
)
from bridge.maintenance.rollup_job import RollupJob
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.stores.history import RollupHistory
from bridge.stores.rollup_builder import SETTLE_MS, now_ms
from bridge.stores.sqlite.store import SqliteStore
from tests.fakes import MemoryHistory, MemoryStore
from tests.maintenance.test_retention_job import run_until
from tests.servers import until
from tests.stores.test_store_contract import START_MS, reading

MINUTE_MS = 60_000
Database = pymongo.database.Database[dict[str, object]]


# --- segments of a query ---------------------------------------------------------------------------------------------

times = st.integers(0, 3 * DAY_MS)
hours = st.integers(0, 80).map(lambda hour: hour * HOUR_MS)


@given(
    from_ms=st.none() | times,
    to_ms=st.none() | times,
    until_ms=hours,
    late=st.lists(hours, max_size=5),
    every_ms=st.sampled_from([5, 10, 15, 30, 60, 180, 1440, 10_080]).map(lambda minutes: minutes * MINUTE_MS),
    offset_ms=st.sampled_from([0, 60, 120, 345, -570]).map(lambda minutes: minutes * MINUTE_MS),
)
def test_segments_cover_the_query_once_and_rollups_only_what_they_hold(
    from_ms: int | None, to_ms: int | None, until_ms: int, late: list[int], every_ms: int, offset_ms: int
) -> None:
    query, late_hours = ReadingsQuery(("a",), from_ms, to_ms), [("a", hour) for hour in late]
    segments = plan(query, every_ms, [RollupProgress("a", 0, until_ms)], late_hours, offset_ms)
    at = from_ms or 0
    for segment in segments:
        assert (segment.devices, segment.from_ms) == (("a",), at)
        assert segment.to_ms is not None or segment is segments[-1]
        if segment.width_ms is not None:
            assert segment.to_ms is not None
            assert every_ms % segment.width_ms == offset_ms % segment.width_ms == 0
            assert segment.from_ms % segment.width_ms == segment.to_ms % segment.width_ms == 0
            assert segment.to_ms <= until_ms
            assert not any(segment.from_ms < hour + HOUR_MS and hour < segment.to_ms for hour in late)
        at = segment.to_ms if segment.to_ms is not None else at
    assert bool(segments) == (to_ms is None or to_ms > (from_ms or 0))
    assert not segments or segments[-1].to_ms == to_ms


def test_a_year_is_read_in_few_segments_and_few_rollups() -> None:
    to_ms = START_MS + 365 * DAY_MS + 12_345
    progress = RollupProgress("a", START_MS, to_ms - to_ms % HOUR_MS)
    segments = plan(ReadingsQuery(("a",), START_MS, to_ms), 6 * HOUR_MS, [progress], [])
    assert len(segments) <= 2 * len(LEVELS_MS) + 1
    assert (
        sum(segment.to_ms - segment.from_ms for segment in segments if segment.to_ms and not segment.width_ms)
        < HOUR_MS + 5 * MINUTE_MS
    )
    assert (
        sum((segment.to_ms - segment.from_ms) // segment.width_ms for segment in segments if segment.to_ms and segment.width_ms)
        < 3000
    )


def test_devices_with_the_same_progress_share_segments() -> None:
    progress = [
        RollupProgress("a", 0, DAY_MS),
        RollupProgress("b", 0, DAY_MS),
        RollupProgress("c"),
        RollupProgress("d", 0, DAY_MS),
    ]
    segments = plan(ReadingsQuery(None, 0, DAY_MS), 6 * HOUR_MS, progress, [("d", 0)])
    assert [(segment.devices, segment.width_ms) for segment in segments] == [
        (("a", "b"), 3 * HOUR_MS),
        (("c",), None),
        (("d",), None),
        (("d",), HOUR_MS // 2),
        (("d",), 3 * HOUR_MS),
    ]


@given(st.integers(0, 10**12), st.integers(0, 6 * 10**11), st.integers(1, 2000))  # to 19 years, as wide as the widest
def test_chosen_width_makes_no_more_points_than_requested(from_ms: int, length_ms: int, points: int) -> None:
    width_ms = choose_width(from_ms, from_ms + length_ms, points)
    assert count_buckets(from_ms, from_ms + length_ms, width_ms) <= max(points, 2)
    assert parse_width(format_width(width_ms)) == width_ms


def test_chosen_widths_are_round() -> None:
    assert [format_width(choose_width(0, round(days * DAY_MS), 500)) for days in (0.01, 0.25, 1, 7, 30, 90, 365, 3650)] == [
        "2s", "1m", "5m", "30m", "2h", "6h", "1d", "2w",
    ]  # fmt: skip
    assert [parse_width(text) for text in ("90s", "1w", "0s", "1y", "s", "", "-1s", "١s", "1234567s")] == [
        90_000, 7 * DAY_MS, *[None] * 7,
    ]  # fmt: skip


def test_consecutive_late_hours_merge_into_one_span() -> None:
    late = [("b", HOUR_MS), ("a", 2 * HOUR_MS), ("a", HOUR_MS), ("a", 5 * HOUR_MS)]
    assert merge_hours(late) == [("a", HOUR_MS, 3 * HOUR_MS), ("a", 5 * HOUR_MS, 6 * HOUR_MS), ("b", HOUR_MS, 2 * HOUR_MS)]


# --- on real stores --------------------------------------------------------------------------------------------------

Opener = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite", "motor", "pymongo"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """`async with opened(**settings) as store`: another bridge on the same database each time, prepared."""
    if request.param == "sqlite":
        where = {"url": f"sqlite:///{tmp_path}/bridge.db"}
    else:
        where = {"url": request.getfixturevalue("mongo_url"), "driver": request.param}

    @asynccontextmanager
    async def enter(**more: Any) -> AsyncIterator[Store]:
        async with open_store(StoreSettings.model_validate(where | more)) as store:
            await store.prepare()
            yield store

    return enter


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next bridge need not wait for the lease of one that has ended."""
    for module in ("mongo.rollups", "sqlite.rollups"):
        monkeypatch.setattr(f"bridge.stores.{module}.LEASE_SECONDS", -1)


class Sensors:
    """Invents readings, and stores them in memory as well."""

    def __init__(self, seed: int) -> None:
        self.chance, self.offsets = random.Random(seed), random.Random(seed)
        self.memory = MemoryStore()
        self.now = now_ms()
        self._seq = (self.now - 10 * SETTLE_MS) * 1000

    def invent(self, device: str, age_ms: int) -> Reading:
        self._seq += self.chance.choice([1, 1, 1000])
        values: dict[str, Value] = {}
        for name in self.chance.sample(["temperature", "eco2", "flameDetected", "co2"], self.chance.randint(1, 4)):
            number = self.chance.choice([0, 400, -1.5, 20.25, 1e-3])
            values[name] = self.chance.random() < 0.5 if name == "flameDetected" else number
        if "eco2" in values:
            values["aqiScale"] = "uba"
        return reading(self._seq, device, self.now - age_ms - START_MS, values=values)

    async def write(self, store: Store, readings: Iterable[Reading]) -> None:
        batch = list(readings)
        assert await store.write(batch, [], []) == await self.memory.write(batch, [], [])

    async def compare(self, store: Store) -> None:
        """Run many queries on both stores."""
        for _ in range(12):
            every_ms = self.chance.choice([1, 5, 7, 15, 30, 60, 180, 360, 1440, 10_080]) * MINUTE_MS
            ages = sorted(self.chance.choices([0, HOUR_MS, 12_345_678, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS + 1, 4 * DAY_MS], k=2))
            query = ReadingsQuery(
                self.chance.choice([None, ("a",), ("b", "c", "nobody"), ()]),
                self.chance.choice([None, self.now - ages[1], (self.now - ages[1]) // every_ms * every_ms]),
                self.chance.choice([None, self.now - ages[0]]),
                limit=self.chance.choice([3, 10_000]),
            )
            fields = self.chance.choice([list(MEASUREMENTS_BY_NAME), ["temperature"], ["flameDetected", "co2", "so2"]])
            offset_ms = self.offsets.choice([0, 0, 120, -570, 67]) * MINUTE_MS
            expected = await self.memory.history.buckets(query, every_ms, fields, offset_ms)
            assert await store.history.buckets(query, every_ms, fields, offset_ms) == nearly(expected), (query, every_ms)


def nearly(buckets: list[Bucket]) -> list[Bucket]:
    """Allow for means that differ in the last digit: they are summed in another order."""

    def near(short: FieldSummary) -> FieldSummary:
        return replace(short, mean=cast("float", pytest.approx(short.mean, rel=1e-9, abs=1e-9)))

    return [replace(one, fields={name: near(short) for name, short in one.fields.items()}) for one in buckets]


async def rolled_up(store: Store, devices_limit: int = DEVICES_LIMIT) -> int:
    """Roll up everything; return how many hours."""
    total = 0
    for _ in range(200):
        step = await store.history.roll_up(devices_limit)
        total += step.hours
        if not step.more:
            return total
    raise AssertionError("the builder always reports more")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("short_lease")
async def test_buckets_are_the_same_with_rollups_as_without(opened: Opener, seed: int) -> None:
    sensors = Sensors(seed)
    chance = sensors.chance
    for age_days in (3, 2, 0.5, 0):
        async with opened() as store:
            written: list[Reading] = []
            for device in "abc":
                until_ms = round(age_days * DAY_MS)
                written += [
                    sensors.invent(device, until_ms + chance.randrange(DAY_MS)) for _ in range(chance.choice([0, 40, 400]))
                ]
            written += chance.sample(written, len(written) // 10)
            await sensors.write(store, (replace(one, seq=one.seq + number) for number, one in enumerate(written)))
            sensors._seq += len(written)
            await sensors.compare(store)
            if chance.random() < 0.3:
                await store.history.roll_up()
            else:
                await rolled_up(store)
            await sensors.compare(store)
            late = [sensors.invent(chance.choice("abcd"), chance.randrange(4 * DAY_MS)) for _ in range(30)]
            await sensors.write(store, late)
            await sensors.compare(store)


@pytest.mark.usefixtures("short_lease")
async def test_devices_beyond_the_limit_are_not_rolled_up_and_read_all_the_same(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    sensors, warning = Sensors(1), "rollups: more than 3 devices: not built for further ones, whose long charts are slower"
    for devices, limit, expected, warnings in (("bc", 2, "bc", 0), ("abcd", 3, "abc", 1), ("abcd", 1, "abc", 2)):
        async with opened() as store:
            await sensors.write(store, [sensors.invent(device, hour * HOUR_MS) for device in devices for hour in range(30)])
            await rolled_up(store, limit)
            assert {progress.device_id for progress in await saved_progress(store)} == set(expected)
            await sensors.compare(store)
        assert caplog.text.count(warning) == warnings


async def test_device_that_gives_way_to_another_at_the_limit_is_no_longer_due(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.stores.rollup_builder._PROGRESS_SECONDS", 0)
    monkeypatch.setattr("bridge.stores.rollup_builder._STEP_SECONDS", 0)  # devices become due, and none is rolled up
    sensors = Sensors(1)
    async with opened() as store:
        await sensors.write(store, [sensors.invent(device, HOUR_MS * 3) for device in "cd"])
        await store.history.roll_up(2)
        await sensors.write(store, [sensors.invent(device, HOUR_MS * 3) for device in "ab"])
        monkeypatch.undo()
        await rolled_up(store, 2)
        await sensors.compare(store)


async def saved_progress(store: Store) -> list[RollupProgress]:
    return await cast("RollupHistory", store.history)._tables.saved_progress(None)


async def test_late_readings_are_rolled_up_once(opened: Opener) -> None:
    sensors = Sensors(1)
    async with opened() as store:
        await sensors.write(store, [sensors.invent("a", hour * HOUR_MS) for hour in range(30)])
        assert await rolled_up(store) >= 29
        assert await rolled_up(store) == 0
        await sensors.write(store, [sensors.invent("a", 27 * HOUR_MS + n) for n in range(3)])
        await sensors.write(store, [sensors.invent("a", 50 * HOUR_MS)])
        assert await rolled_up(store) in (2, 3)
        assert await rolled_up(store) == 0
        await sensors.compare(store)


async def test_late_readings_of_the_last_day_are_rolled_up_after_the_cooldown(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = Sensors(6)
    async with opened() as store:
        await sensors.write(store, [sensors.invent(device, hour * HOUR_MS) for hour in range(30) for device in "ab"])
        assert await rolled_up(store) >= 29
        for hour in (10, 9, 12, 8):
            await sensors.write(store, [sensors.invent("a", hour * HOUR_MS)])
            await sensors.compare(store)
            assert await rolled_up(store) == 0, "more may follow"
            await sensors.compare(store)
        monkeypatch.setattr("bridge.stores.rollup_builder._COOLDOWN_SECONDS", 0.0)
        await sensors.write(store, [sensors.invent("a", 13 * HOUR_MS)])
        hours = 12, 13, 14  # 12 in the first five minutes of an hour, while the one before is not closed
        assert [await rolled_up(store) for _ in range(3)] in [[0, number, 0] for number in hours]
        assert await rolled_up(store) == 0
        await sensors.compare(store)


async def corrected(sensors: Sensors, store: Store, before: Reading, after: Reading | None) -> None:
    for one in (store, sensors.memory):
        assert await one.replace(before, after)
    await sensors.compare(store)


async def test_corrected_readings_are_right_before_and_after_their_hours_are_built_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = Sensors(3)
    async with opened() as store:
        readings = [sensors.invent("a", hour * HOUR_MS // 4) for hour in range(30 * 4)]
        await sensors.write(store, readings)
        assert await rolled_up(store) >= 29
        monkeypatch.setattr("bridge.stores.rollup_builder.SETTLE_MS", 10**9)
        moved = replace(readings[60], timestamp_ms=readings[60].timestamp_ms - 5 * HOUR_MS, values={"temperature": 99})
        await corrected(sensors, store, readings[60], moved)
        await corrected(sensors, store, moved, replace(moved, values={"temperature": -40.5}))
        hour = range(80, 80 + 12)  # more than two hours, so that one of them is left without any reading
        for number in hour:
            await corrected(sensors, store, readings[number], None)
        await corrected(sensors, store, readings[1], None)
        assert await rolled_up(store) == 0, "the corrections may still be in progress"
        await sensors.compare(store)
        monkeypatch.setattr("bridge.stores.rollup_builder.SETTLE_MS", -1)
        assert await rolled_up(store) >= 4
        assert await rolled_up(store) == 0
        tables = cast("RollupHistory", store.history)._tables
        assert await tables.changed_hours() == []
        await sensors.compare(store)


async def drop_rollups(store: Any) -> None:
    """As another program would; retention creates table and indexes again."""
    if isinstance(store, SqliteStore):
        await store._writer.change("DROP TABLE rollups")
    else:
        await store._database["rollups"].drop()
    await store.enforce_retention()


@pytest.mark.usefixtures("short_lease")
async def test_dropped_rollups_are_built_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.stores.rollup_builder._PROGRESS_SECONDS", 0.0)
    sensors = Sensors(3)
    async with opened() as store:
        await sensors.write(store, [sensors.invent("a", hour * HOUR_MS) for hour in range(30)])
        hours = await rolled_up(store)
        await drop_rollups(store)
        assert await rolled_up(store) == hours >= 29
        assert await rolled_up(store) == 0
        await sensors.compare(store)
    lost = [record.getMessage() for record in caplog.records if record.name.endswith("rollup_builder")]
    assert lost == ["rollups: none is left of those that were built: building them again from the readings"]


@pytest.mark.usefixtures("short_lease")
async def test_reading_stored_under_an_old_cursor_is_rolled_up_a_day_later(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = Sensors(2)
    async with opened() as store:
        await sensors.write(store, [sensors.invent("a", hour * HOUR_MS) for hour in range(2, 20)])
        await rolled_up(store)
        await sensors.write(store, [reading(5, "a", sensors.now - 5 * HOUR_MS - START_MS + 1)])
        await rolled_up(store)
    monkeypatch.setattr("bridge.stores.rollup_builder.now_ms", lambda: now_ms() + DAY_MS)
    async with opened() as store:
        assert await rolled_up(store) > 0
        await sensors.compare(store)
        assert await rolled_up(store) == 0


async def test_one_of_several_bridges_rolls_up_and_another_takes_over_its_lease(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = Sensors(3)
    async with opened() as first, opened() as second:
        await sensors.write(first, [sensors.invent("a", hour * HOUR_MS) for hour in range(20)])
        assert await rolled_up(first) > 0
        await sensors.write(second, [sensors.invent("b", hour * HOUR_MS) for hour in range(20)])
        assert await second.history.roll_up() == RollupResult()
        await sensors.compare(second)
        for name in ("mongo.rollups", "sqlite.rollups"):
            monkeypatch.setattr(f"bridge.stores.{name}.LEASE_SECONDS", -1)
        await first.history.roll_up()
        assert await rolled_up(second) > 0
        await asyncio.gather(rolled_up(first), rolled_up(second), sensors.compare(first), sensors.compare(second))


@pytest.mark.usefixtures("short_lease")
async def test_cancelled_step_changes_no_result(opened: Opener) -> None:
    sensors = Sensors(4)
    for round_ in range(6):
        async with opened() as store:
            await sensors.write(store, [sensors.invent(device, sensors.chance.randrange(3 * DAY_MS)) for device in "ab" * 40])
            for pause in (0.001, 0.003, 0.01, 0.03):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(pause * (1 + round_ / 6)):
                        await asyncio.gather(store.history.roll_up(), asyncio.sleep(10))
                await sensors.compare(store)
    async with opened() as store:
        await rolled_up(store)
        await sensors.compare(store)


@pytest.mark.usefixtures("short_lease")
async def test_rollups_outlive_readings_and_are_not_rebuilt_from_the_rest(opened: Opener) -> None:
    sensors = Sensors(5)
    async with opened() as store:
        await sensors.write(store, [sensors.invent("a", n * HOUR_MS // 4) for n in range(4 * 24 * 4)])
        await rolled_up(store)
        whole = ReadingsQuery(("a",), sensors.now // DAY_MS * DAY_MS - 3 * DAY_MS, sensors.now // DAY_MS * DAY_MS - DAY_MS)
        before = await store.history.buckets(whole, DAY_MS, ["temperature"])
        extent = await store.history.extent(["a"])
    async with opened(retention_days=1) as store:

        async def expired() -> bool:
            await store.enforce_retention()
            return await store.count(ReadingsQuery(("a",))) <= 97

        await until(expired, 90, "old readings are removed")
        await store.write([sensors.invent("a", 26 * HOUR_MS)], [], [])
        await rolled_up(store)
        assert await store.history.buckets(whole, DAY_MS, ["temperature"]) == before
        assert extent is not None
        now = await store.history.extent(["a"])
        assert now is not None
        assert now.first_ms <= extent.first_ms < now.readings_ms
    async with opened(retention_days=1, rollup_days=2) as store:

        async def gone() -> bool:
            await store.enforce_retention()
            left = await store.history.buckets(ReadingsQuery(("a",)), HOUR_MS, [])
            return left[0].start_ms >= sensors.now - 2 * DAY_MS - HOUR_MS

        await until(gone, 90, "old rollups are removed")


async def test_extent_is_from_the_first_to_the_last_reading(opened: Opener) -> None:
    sensors = Sensors(6)
    async with opened() as store:
        assert await store.history.extent(None) is None
        await sensors.write(store, [sensors.invent(device, age) for device, age in (("a", 5000), ("a", 9000), ("b", 1000))])
        ends = {name: sensors.now - age for name, age in (("oldest", 9000), ("newest", 1000))}
        assert await store.history.extent(None) == HistoryRange(ends["oldest"], ends["newest"], ends["oldest"])
        assert await store.history.extent(["b", "c"]) == HistoryRange(ends["newest"], ends["newest"], ends["newest"])
        assert await store.history.extent(["c"]) is None
        assert await store.history.extent([]) is None


# --- by an index -----------------------------------------------------------------------------------------------------


async def test_mongodb_reads_rollups_and_extent_by_index(mongo_url: str, database: Database) -> None:
    sensors = Sensors(7)
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        await store.prepare()
        await sensors.write(store, [sensors.invent(device, n * HOUR_MS) for n in range(48) for device in "abcd"])
        database.create_collection("system.profile", capped=True, size=2**25)
        database.command("profile", 2)
        await rolled_up(store)
        first_steps = list(database["system.profile"].find({"command.hint": "seq"}))
        database.command("profile", 0)
        database["system.profile"].drop()
        database.command("profile", 2)
        await store.history.buckets(ReadingsQuery(("a",), sensors.now - 40 * HOUR_MS, sensors.now), 6 * HOUR_MS, ["co2"])
        await store.history.extent(["a"])
        await store.history.extent(None)
        database.command("profile", 0)
    asked = list(database["system.profile"].find({"ns": {"$regex": "readings|rollups"}, "op": {"$in": ["command", "query"]}}))
    assert first_steps == [], "of years of readings none is late while nothing is rolled up"
    assert len(asked) >= 6
    assert not [one for one in asked if "COLLSCAN" in str(one["planSummary"])]
    assert max(int(str(one["docsExamined"])) for one in asked) <= 40
    assert all("maxTimeMS" in str(one["command"]) for one in asked if one["op"] == "command")


async def test_sqlite_reads_rollups_by_key_and_interrupts_a_query_at_its_deadline(tmp_path: Path) -> None:
    from bridge.stores.sqlite.rollups import _from_segments

    async with open_store(StoreSettings.model_validate({"url": f"sqlite:///{tmp_path}/bridge.db"})) as store:
        await store.prepare()
        segments = plan(
            ReadingsQuery(("a", "b"), 1, 5 * DAY_MS), 3 * HOUR_MS, [RollupProgress("a", 0, 4 * DAY_MS), RollupProgress("b")], []
        )
        sql, values = _from_segments(segments, ["co2"])
        endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(StoreUnavailable, match="interrupted"):
            await store.history._tables._reader.rows_within(0.05, endless, [])  # type: ignore[attr-defined]
        assert await store.history.extent(None) is None
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        plans = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    connection.close()
    assert "SEARCH rollups USING PRIMARY KEY (device_id=? AND width=? AND start>? AND start<?)" in plans
    assert "SEARCH readings USING INDEX readings_device_timestamp (device_id=? AND timestamp>? AND timestamp<?)" in plans


# --- the loop --------------------------------------------------------------------------------------------------------


class Stepping(MemoryHistory):
    """Returns the given steps, or raises them."""

    def __init__(self, *steps: RollupResult | StoreUnavailable) -> None:
        super().__init__(MemoryStore())
        self.steps = list(steps)

    async def roll_up(self, _devices_limit: int = 0, /) -> RollupResult:
        step = self.steps.pop(0) if self.steps else RollupResult()
        if isinstance(step, StoreUnavailable):
            raise step
        return step


async def test_job_logs_when_much_is_to_be_rolled_up_and_when_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    away = StoreUnavailable("away")
    history = Stepping(RollupResult(5, 2, more=True), RollupResult(5, 1, more=True), away, away, RollupResult(5, 0, more=True))
    store = MemoryStore()
    store.history = history
    caplog.set_level("INFO")
    rolling = RollupJob(store, interval_seconds=0)
    await run_until(rolling, lambda: not history.steps and rolling.hours == 15)
    assert [record.message for record in caplog.records] == [
        "rollups: catching up for 2 devices: their long charts are slower until then",
        "rollups: history not rolled up (away): retrying every 0 s",
        "rollups: caught up: 15 device-hours rolled up since the start",
    ]
