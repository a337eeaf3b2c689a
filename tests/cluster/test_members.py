from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from bridge.cluster.envelope import BusFault, BusMessageError, Opener, Sealer
from bridge.cluster.members import BEAT_SECONDS, CLOCK_LIMIT_SECONDS, Members, cluster_key
from bridge.core.errors import SettingsError, StoreError, StoreUnavailable
from bridge.pipeline.clock import monotonic_seconds
from bridge.ports import BridgeRecord, Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.cluster.buses import make_bus, running
from tests.servers import Mongod, until


class Clock:
    """A monotonic clock that is set by the test, and goes on by `step` seconds each time it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 100.0
        self._step = step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        await store.prepare()
        yield store


def members(store: Store, clock: Clock | None = None, *, number: int = 0, beat_seconds: float = BEAT_SECONDS) -> Members:
    own = BridgeRecord(secrets.token_hex(8), "host", 12, 1_767_000_000_000, "3.0", "http://host:3000")
    made = Members(store, own, number=lambda: number, beat_seconds=beat_seconds, monotonic=clock or monotonic_seconds)
    made.report = lambda: {"clients": 3}
    return made


async def test_bridges_see_each_other_with_what_they_report(store: Store) -> None:
    first, second = members(store), members(store, number=7)
    await first.join()
    await second.join()
    assert second.alive.keys() == {first.own.id, second.own.id}
    assert first.alive.keys() == {first.own.id}
    await first.beat()
    seen = first.alive[second.own.id]
    assert (seen.number, seen.report, seen.host, seen.address) == (7, {"clients": 3}, "host", "http://host:3000")


async def test_a_bridge_whose_record_does_not_change_for_eight_seconds_is_no_member(store: Store) -> None:
    clock = Clock()
    first, second = members(store, clock), members(store)
    await first.join()
    await second.join()
    await first.beat()
    for _ in range(3):
        clock.now += 2
        await first.beat()
        assert second.own.id in first.alive
    clock.now += 2
    await first.beat()
    assert second.own.id not in first.alive
    await second.beat()
    await first.beat()
    assert second.own.id in first.alive


async def test_a_bridge_that_leaves_is_no_member_at_the_next_read(store: Store) -> None:
    first, second = members(store), members(store)
    await first.join()
    await second.join()
    await first.beat()
    await second.leave()
    await first.beat()
    assert first.alive.keys() == {first.own.id}


async def test_the_record_of_a_bridge_that_ended_is_deleted_after_a_minute(store: Store) -> None:
    clock = Clock()
    first, second = members(store, clock), members(store)
    await second.join()
    await first.join()
    for _ in range(29):
        clock.now += 2
        await first.beat()
    assert len(await store.bridges.all(10)) == 2
    clock.now += 2
    await first.beat()
    assert [one.id for one in await store.bridges.all(10)] == [first.own.id]


async def test_an_outage_of_the_store_removes_no_member(store: Store) -> None:
    clock = Clock()
    first, second = members(store, clock), members(store, clock)
    await first.join()
    await second.join()
    await first.beat()
    clock.now += 100
    await first.beat()
    assert second.own.id in first.alive
    for _ in range(3):
        clock.now += 2
        await first.beat()
    assert second.own.id not in first.alive


@pytest.mark.parametrize(
    ("seconds", "direction"), [(CLOCK_LIMIT_SECONDS + 3, "ahead of"), (-CLOCK_LIMIT_SECONDS - 3, "behind")]
)
async def test_a_bridge_with_a_wrong_clock_does_not_join(store: Store, seconds: float, direction: str) -> None:
    wrong = Members(store, BridgeRecord(secrets.token_hex(8)), clock=lambda: time.time() + seconds)
    with pytest.raises(
        SettingsError, match=rf"[678]\.\d s {direction} that of the store: may differ by 5 s; synchronize both by NTP"
    ):
        await wrong.join()
    assert await store.bridges.all(10) == []


@pytest.mark.parametrize("seconds", [CLOCK_LIMIT_SECONDS - 1, 1 - CLOCK_LIMIT_SECONDS])
async def test_a_bridge_with_a_clock_that_is_a_little_wrong_joins(store: Store, seconds: float) -> None:
    almost = Members(store, BridgeRecord(secrets.token_hex(8)), clock=lambda: time.time() + seconds)
    await almost.join()
    assert len(await store.bridges.all(10)) == 1


async def test_records_with_an_id_that_is_not_one_of_a_bridge_are_ignored(store: Store) -> None:
    await store.bridges.save(BridgeRecord("somebody"))
    first = members(store)
    await first.join()
    assert first.alive.keys() == {first.own.id}


async def test_all_bridges_get_the_same_key_and_each_cluster_has_its_own(store: Store) -> None:
    keys = await asyncio.gather(*(cluster_key(store, "plant") for _ in range(10)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert await cluster_key(store, "other") != keys[0]


async def test_a_stored_value_that_is_no_key_is_refused_without_being_shown(store: Store) -> None:
    await store.put("cluster/plant/key", "secret")
    with pytest.raises(StoreError, match="cluster/plant/key") as refused:
        await cluster_key(store, "plant")
    assert "secret" not in str(refused.value)


async def test_members_stay_while_the_store_is_unavailable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Mongod(tmp_path)
    server.start()
    settings = StoreSettings.model_validate({"url": server.url, "timeout_seconds": 3.0})
    try:
        async with open_store(settings) as store:
            await store.prepare()
            first, second = members(store), members(store)
            await second.join()
            await first.join()
            task = asyncio.create_task(first.run())
            server.kill()
            await until(lambda: "heartbeat failed" in caplog.text)
            assert second.own.id in first.alive
            with pytest.raises(StoreUnavailable):
                await members(store).join()
            server.start()
            await until(lambda: "written again" in caplog.text)
            assert second.own.id in first.alive
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    finally:
        server.kill()


async def test_a_bridge_that_has_just_started_is_heard_within_about_a_second(store: Store, broker_url: str) -> None:
    key = await cluster_key(store, "plant")
    first, second = members(store, beat_seconds=600), members(store)
    opener = Opener(key, first.own.id, cluster="plant")
    first.on_read = lambda alive: opener.set_members({name: one.number for name, one in alive.items()})
    await first.join()
    async with AsyncExitStack() as stack:
        hearing = await stack.enter_async_context(running(make_bus(broker_url)))
        speaking = await stack.enter_async_context(running(make_bus(broker_url)))
        task = asyncio.create_task(first.run())
        await second.join()
        sealer = Sealer(key, second.own.id, cluster="plant")

        def is_heard() -> bool:
            speaking.bus.publish(sealer.seal("hello", b""))
            while hearing.received:
                try:
                    return opener.open(hearing.received.pop()).bridge == second.own.id
                except BusMessageError as error:
                    if error.fault is BusFault.UNKNOWN_BRIDGE:
                        first.read_early()
            return False

        await until(is_heard)
        assert first.early_reads >= 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_unknown_bridges_cause_at_most_one_read_a_second(store: Store) -> None:
    first, begun = members(store), time.monotonic()
    await first.join()
    task = asyncio.create_task(first.run())
    while time.monotonic() - begun < 2.5:
        first.read_early()
        await asyncio.sleep(0.001)
    assert first.own.beat <= 1 + (time.monotonic() - begun)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_bridge_with_another_value_of_a_common_setting_is_refused_while_one_runs(store: Store) -> None:
    first, second, third = members(store), members(store), members(store)
    first.report = lambda: {"receive": "one"}
    second.report = lambda: {"receive": "all"}
    third.report = lambda: {"receive": "one"}
    await first.join()
    await third.join()
    await third.check_same("receive")
    await third.leave()
    await second.join()
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(first.run(), name="heartbeats")
        with pytest.raises(SettingsError, match=r"receive is 'all' here and 'one' at the bridge host pid 12, which runs"):
            await second.check_same("receive")
        beating.cancel()
    assert [one.id for one in await store.bridges.all(10)] == [first.own.id]


async def test_a_bridge_that_was_killed_does_not_keep_another_value_of_a_common_setting(store: Store) -> None:
    killed, second = members(store), members(store, Clock(step=1.9))
    killed.report = lambda: {"receive": "one"}
    second.report = lambda: {"receive": "all"}
    await killed.join()
    await second.join()
    async with asyncio.timeout(8):
        await second.check_same("receive")
    assert killed.own.id not in second.alive
