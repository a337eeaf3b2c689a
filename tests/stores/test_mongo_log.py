"""The order of readings in MongoDB: ranges of cursors, tombstones and the unique index, with both drivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pymongo
import pytest
from pymongo.errors import DuplicateKeyError

from bridge.core.errors import OrderError, StoreError, StoreUnavailable
from bridge.core.query import ReadingsQuery, WriteResult
from bridge.core.readings.reading import Reading
from bridge.log.order import MAX_OPEN, MAX_RANGE, CursorRange, Order
from bridge.ports import LogStore, Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.fakes import DAY_MS
from tests.stores.test_store_contract import START_MS, everything, reading

Database = pymongo.database.Database[dict[str, Any]]
Opener = Callable[[], AbstractAsyncContextManager[Store]]

ONE, OTHER = "1" * 16, "2" * 16


@pytest.fixture(params=["motor", "pymongo"])
def opened(request: pytest.FixtureRequest, mongo_url: str) -> Opener:
    """`async with opened() as store`: a bridge's own connections to the same database."""

    @asynccontextmanager
    async def enter() -> AsyncIterator[Store]:
        settings = StoreSettings.model_validate({"url": mongo_url, "driver": request.param})
        async with open_store(settings) as store:
            await store.prepare()
            yield store

    return enter


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    """The store of a bridge of a cluster."""
    async with opened() as store:
        await log_of(store).prepare()
        yield store


def log_of(store: Store) -> LogStore:
    assert store.log is not None
    return store.log


def now_us() -> int:
    return time.time_ns() // 1000


def seq_index(database: Database) -> dict[str, Any]:
    return dict(database["readings"].index_information()["seq"])


async def write(store: Store, *readings: Reading) -> WriteResult:
    return await store.write(readings, [], [])


def in_range(taken: CursorRange, **more: Any) -> list[Reading]:
    """A reading for each cursor of a range, each of another time."""
    return [reading(seq, at=seq - taken.low, **more) for seq in range(taken.low, taken.high + 1)]


# --- prepare ---------------------------------------------------------------------------------------------------------------


async def test_fresh_database_is_prepared_with_a_unique_index_and_an_order_without_ranges(
    opened: Opener, database: Database
) -> None:
    async with opened() as store:
        with pytest.raises(StoreError, match=r"not prepared for a cluster: run `sensor-bridge cluster prepare`"):
            await log_of(store).order()
        assert await log_of(store).prepare() == Order(0, ())
        assert await log_of(store).order() == Order(0, ())
    assert seq_index(database)["unique"]


async def test_database_without_its_collections_is_prepared(mongo_url: str, database: Database) -> None:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        assert await log_of(store).prepare() == Order(0, ())
        await store.prepare()
    assert seq_index(database)["unique"]


async def test_order_of_a_database_with_readings_begins_at_the_highest_cursor(opened: Opener, database: Database) -> None:
    async with opened() as store:
        await write(store, reading(7), reading(9, at=5))
        assert await log_of(store).prepare() == Order(9, ())
        assert [one.seq for one in await everything(store)] == [7, 9]
    assert seq_index(database)["unique"]


async def test_preparing_again_changes_nothing(store: Store) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(3, ONE, [])
    before = await log.order()
    assert await log.prepare() == before == Order(taken.high, (taken,))


async def test_preparing_again_moves_the_order_beyond_readings_that_were_written_without_it(store: Store) -> None:
    await write(store, reading(ahead := now_us() + 10**12))
    assert (await log_of(store).prepare()).last == ahead
    _, taken = await log_of(store).hand_out(1, ONE, [])
    assert taken.low == ahead + 1


async def test_equal_cursors_are_renumbered_and_no_reading_is_lost(opened: Opener, database: Database) -> None:
    async with opened() as store:
        same = [reading(10, device, at) for device in "abc" for at in range(3)]
        await write(store, *same, reading(11, "d"), reading(13, "d", 1), reading(20, "e"))
        await write(store, reading(20, "f"))
        await log_of(store).prepare()
        found = await everything(store)
        assert len({one.seq for one in found}) == len(found) == 13
        assert {one.id for one in found} == {one.id for one in same} | {reading(0, *one).id for one in (("d", 0), ("d", 1))} | {
            reading(0, "e").id,
            reading(0, "f").id,
        }
        assert {one.seq for one in found if one.device_id == "d"} == {11, 13}, "unequal cursors were renumbered"
        assert (await log_of(store).order()).last == max(one.seq for one in found)
    assert seq_index(database)["unique"]


async def test_index_that_is_unique_already_is_left_as_it_is(store: Store, database: Database) -> None:
    before = seq_index(database)
    await log_of(store).prepare()
    assert seq_index(database) == before


async def test_database_is_prepared_while_a_bridge_stores(opened: Opener, database: Database) -> None:
    """The other bridge is alone: its cursors are its own."""
    async with opened() as store, opened() as preparing:
        stored, stop = list[Reading](), asyncio.Event()

        async def keep_storing() -> None:
            while not stop.is_set():
                batch = [reading(now_us() + n, at=len(stored) + n) for n in range(20)]
                assert (await write(store, *batch)).stored == {one.seq for one in batch}
                stored.extend(batch)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_storing())
            while len(stored) < 100:
                await asyncio.sleep(0)
            order = await log_of(preparing).prepare()
            before = len(stored)
            while len(stored) < before + 100:
                await asyncio.sleep(0)
            stop.set()
        assert {one.id for one in await everything(store)} == {one.id for one in stored}
        assert order.last >= stored[99].seq
    assert seq_index(database)["unique"]


async def test_several_bridges_may_prepare_at_once(opened: Opener, database: Database) -> None:
    async with opened() as store:
        await write(store, *(reading(5, device) for device in "abcd"))
        orders = await asyncio.gather(*(log_of(store).prepare() for _ in range(4)))
        assert await log_of(store).order() == max(orders, key=lambda order: order.last)
        assert len({one.seq for one in await everything(store)}) == 4
    assert seq_index(database)["unique"]


async def test_bridge_without_a_cluster_prepares_a_database_of_one(store: Store, opened: Opener, database: Database) -> None:
    """The cluster was switched off again."""
    _, taken = await log_of(store).hand_out(2, ONE, [])
    await write(store, *in_range(taken))
    async with opened() as alone:
        assert await alone.prepare() == taken.high
        assert (await write(alone, reading(taken.high + 1, "b"))).stored
        await alone.enforce_retention()
    assert seq_index(database)["unique"]


# --- hand_out and finish ---------------------------------------------------------------------------------------------------


async def test_ranges_rise_by_the_time_of_the_server_and_link_to_the_one_before(store: Store) -> None:
    log = log_of(store)
    before = await store.server_time_ms() * 1000
    order, first = await log.hand_out(5, ONE, [])
    after = (await store.server_time_ms() + 1) * 1000
    assert (first.previous, first.count, first.bridge) == (0, 5, ONE)
    assert before < first.low <= after
    assert order == await log.order() == Order(first.high, (first,))
    order, second = await log.hand_out(1, OTHER, [])
    assert (second.previous, second.low > first.high) == (first.high, True)
    assert order.open == (first, second)
    assert order.final_until == 0


async def test_ranges_rise_when_the_order_is_ahead_of_the_clock(store: Store, database: Database) -> None:
    ahead = now_us() + 10**12
    database["order"].update_one({}, {"$set": {"last": ahead}})
    _, first = await log_of(store).hand_out(2, ONE, [])
    _, second = await log_of(store).hand_out(2, ONE, [])
    assert (first.previous, first.low, first.high) == (ahead, ahead + 1, ahead + 2)
    assert (second.previous, second.low) == (first.high, first.high + 1)


async def test_finished_ranges_are_removed_in_the_call_that_takes_the_next(store: Store) -> None:
    log = log_of(store)
    taken = [(await log.hand_out(2, ONE, []))[1] for _ in range(3)]
    order, last = await log.hand_out(2, ONE, [taken[0].high, taken[2].high, 12345])
    assert order == await log.order() == Order(last.high, (taken[1], last))
    assert order.final_until == taken[0].high


async def test_twenty_callers_at_once_get_ranges_that_form_one_chain(store: Store) -> None:
    answers = await asyncio.gather(*(log_of(store).hand_out(1 + n % 7, f"{n:016x}", []) for n in range(20)))
    ranges = sorted((taken for _, taken in answers), key=lambda taken: taken.low)
    assert [taken.previous for taken in ranges] == [0, *(taken.high for taken in ranges[:-1])]
    assert all(taken.previous < taken.low <= taken.high for taken in ranges)
    assert {taken.bridge: taken.count for taken in ranges} == {f"{n:016x}": 1 + n % 7 for n in range(20)}
    assert (await log_of(store).order()).open == tuple(ranges)


async def test_finish_removes_ranges_and_ignores_unknown_ones(store: Store) -> None:
    log = log_of(store)
    first, second = [(await log.hand_out(2, ONE, []))[1] for _ in range(2)]
    assert await log.finish([first.high, 5]) == Order(second.high, (second,))
    assert await log.finish([first.high]) == Order(second.high, (second,))
    assert await log.finish([second.high]) == Order(second.high, ())


@pytest.mark.parametrize("count", [0, MAX_RANGE + 1])
async def test_range_of_a_size_that_is_not_allowed_is_refused_and_not_taken(store: Store, count: int) -> None:
    with pytest.raises(OrderError, match=rf"{count} cursors were requested: must be 1 to 10000"):
        await log_of(store).hand_out(count, ONE, [])
    assert await log_of(store).order() == Order(0, ())


async def test_range_is_refused_while_too_many_are_open(store: Store, database: Database) -> None:
    ranges = [{"previous": n, "low": n + 1, "high": n + 1, "bridge": ONE} for n in range(MAX_OPEN)]
    database["order"].update_one({}, {"$set": {"last": MAX_OPEN, "open": ranges}})
    with pytest.raises(OrderError, match=f"^{MAX_OPEN} ranges are open: must be less; close those that are overdue$"):
        await log_of(store).hand_out(1, ONE, [])
    assert len((await log_of(store).finish([7])).open) == MAX_OPEN - 1
    order, _ = await log_of(store).hand_out(1, ONE, [])
    assert len(order.open) == MAX_OPEN


# --- close -----------------------------------------------------------------------------------------------------------------


async def test_closing_occupies_the_free_cursors_and_leaves_the_readings(store: Store, database: Database) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(5, ONE, [])
    readings = in_range(taken)
    await write(store, readings[1], readings[3])
    assert await log.close(taken) == Order(taken.high, ())
    assert await everything(store) == [readings[1], readings[3]]
    tombstones = database["readings"].distinct("seq", {"closed": True})
    assert tombstones == [taken.low, taken.low + 2, taken.high]


async def test_late_write_of_the_owner_is_closed_and_may_be_written_again_elsewhere(store: Store) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(3, ONE, [])
    readings = in_range(taken)
    await write(store, readings[0])
    await log.close(taken)
    result = await write(store, *readings)
    assert result == WriteResult(frozenset({taken.low}), {}, frozenset({taken.low + 1, taken.high}))
    _, again = await log.hand_out(2, ONE, [])
    for one, seq in zip(readings[1:], (again.low, again.high), strict=True):
        one.seq = seq
    assert await write(store, *readings[1:]) == WriteResult(frozenset({again.low, again.high}))
    assert await everything(store) == readings


async def test_late_write_of_a_reading_that_another_bridge_has_stored_is_a_duplicate(store: Store) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(1, ONE, [])
    _, other = await log.hand_out(1, OTHER, [])
    await write(store, reading(other.low))
    await log.close(taken)
    assert await write(store, reading(taken.low)) == WriteResult()


async def test_closing_twice_or_by_two_bridges_at_once_occupies_each_cursor_once(store: Store, database: Database) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(50, ONE, [])
    await asyncio.gather(*(log.close(taken) for _ in range(4)))
    assert await log.close(taken) == Order(taken.high, ())
    assert database["readings"].count_documents({}) == 50


async def test_each_cursor_is_either_written_or_closed_when_both_happen_at_once(store: Store) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(500, ONE, [])
    readings = in_range(taken)
    result, _ = await asyncio.gather(write(store, *readings), log.close(taken))
    assert result.stored | result.closed == {one.seq for one in readings}
    assert not result.stored & result.closed
    assert {one.seq for one in await everything(store)} == result.stored


async def test_write_that_is_repeated_under_the_same_cursors_counts_as_stored(store: Store) -> None:
    _, taken = await log_of(store).hand_out(3, ONE, [])
    readings = in_range(taken)
    first = await write(store, *readings)
    assert await write(store, *readings) == first == WriteResult(frozenset(one.seq for one in readings))
    assert await everything(store) == readings


async def test_records_are_those_of_a_span_by_rising_cursor_without_tombstones(store: Store) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(6, ONE, [])
    readings = in_range(taken)
    await write(store, *reversed(readings[:4]))
    await log.close(taken)
    assert await log.records(0, taken.high, 10) == readings[:4]
    assert await log.records(taken.low, taken.low + 2, 10) == readings[1:3]
    assert await log.records(0, taken.high, 2) == readings[:2]
    assert await log.records(taken.high, taken.high, 10) == []


# --- tombstones ------------------------------------------------------------------------------------------------------------


async def test_tombstones_are_no_readings_to_any_query(opened: Opener, database: Database) -> None:
    """Also at the bridge that prepared the database itself, after its store was prepared."""
    async with opened() as store:
        await log_of(store).prepare()
        now_ms = time.time_ns() // 1_000_000
        at = now_ms - START_MS
        _, taken = await log_of(store).hand_out(4, ONE, [])
        await write(store, one := replace(reading(taken.low, at=at), received_ms=now_ms))
        await log_of(store).close(taken)
        assert database["readings"].count_documents({}) == 4
        [tombstone, *_] = database["readings"].find({"closed": True})
        everywhere = ReadingsQuery(limit=10)
        for query in (
            everywhere,
            replace(everywhere, since=0),
            replace(everywhere, from_ms=0, to_ms=now_ms + DAY_MS),
            replace(everywhere, until=taken.high),
            replace(everywhere, devices=("a", "")),
        ):
            assert await store.readings(query) == [one], query
            assert await store.count(query) == 1, query
        assert await store.readings(replace(everywhere, since=taken.low)) == []
        assert await store.count(replace(everywhere, since=taken.low)) == 0
        assert await store.latest() == [one]
        assert await store.reading(tombstone["_id"]) is None
        [bucket] = await store.history.buckets(everywhere, 60_000, ["temperature"])
        assert (bucket.device_id, bucket.count) == ("a", 1)
        extent = await store.history.extent(None)
        assert extent is not None
        assert (extent.first_ms, extent.last_ms) == (one.timestamp_ms, one.timestamp_ms)
        await store.history.roll_up(100)
        [bucket] = await store.history.buckets(everywhere, 3_600_000, ["temperature"])
        assert (bucket.device_id, bucket.count) == ("a", 1)
        assert set(database["rolled"].distinct("_id")) == {"a"}
        await store.enforce_retention()
        assert await store.prepare() == taken.high


async def test_tombstones_are_deleted_with_the_readings_of_their_time(mongo_url: str, database: Database) -> None:
    settings = StoreSettings.model_validate({"url": mongo_url, "retention_days": 1})
    async with open_store(settings) as store:
        await store.prepare()
        await log_of(store).prepare()
        _, taken = await log_of(store).hand_out(2, ONE, [])
        await log_of(store).close(taken)
        await store.enforce_retention()
    expiring = database["readings"].index_information()["retention"]
    assert (expiring["key"], expiring["expireAfterSeconds"]) == ([("timestamp", 1)], 86_400)
    now = time.time()
    assert all(abs(one["timestamp"].timestamp() - now) < 60 for one in database["readings"].find({"closed": True}))


async def test_database_itself_refuses_a_second_document_with_a_cursor(store: Store, database: Database) -> None:
    _, taken = await log_of(store).hand_out(1, ONE, [])
    await log_of(store).close(taken)
    with pytest.raises(DuplicateKeyError):
        database["readings"].insert_one({"seq": taken.low})


# --- damage ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"$set": {"last": "7"}}, r"last is 7: must be an integer from 0 to 2\*\*53 - 1"),
        ({"$set": {"open": 5}}, r"open is 5: must be a list of ranges"),
        ({"$unset": {"open": 1}}, r"the document is \['last'\]: must be an object of last, open"),
        ({"$set": {"open": [{"low": 1}]}}, r"open\[0\] is \['low'\]: must be an object of bridge, high, low, previous"),
        ({"$set": {"more": 5}}, r"the document is \['last', 'open', 'more'\]: must be an object of last, open"),
    ],
)
async def test_damaged_order_is_reported_in_one_sentence_by_every_call(
    store: Store, database: Database, changes: dict[str, Any], expected: str
) -> None:
    log = log_of(store)
    _, taken = await log.hand_out(1, ONE, [])
    database["order"].update_one({}, changes)
    calls: list[Callable[[], Awaitable[object]]] = [
        log.order,
        lambda: log.hand_out(1, ONE, []),
        lambda: log.finish([taken.high]),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=f"^the order of cursors is damaged: {expected}$") as caught:
            await call()
        assert not isinstance(caught.value, StoreUnavailable), "a bridge would try again for ever"


async def test_order_that_was_removed_is_reported_by_every_call(store: Store, database: Database) -> None:
    log = log_of(store)
    database["order"].delete_many({})
    for call in (log.order, lambda: log.hand_out(1, ONE, []), lambda: log.finish([1])):
        with pytest.raises(StoreError, match=r"not prepared for a cluster: run `sensor-bridge cluster prepare`"):
            await call()
    assert database["order"].count_documents({}) == 0
