"""Which bridge leads, with a real database and a clock that is set."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from bridge.cluster.leadership import Leadership
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.pipeline.lease import KEY, LEASE_SECONDS, Lease, LeaseHolder, this_process
from bridge.ports import Store, SwapStore
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.servers import until


class Clock:
    """A monotonic clock that is set by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FailingStore:
    """A store that is unavailable while the test says so."""

    def __init__(self, store: SwapStore) -> None:
        self._store = store
        self.unavailable = False

    async def get(self, key: str) -> str | None:
        self._check()
        return await self._store.get(key)

    async def swap(self, key: str, before: str | None, after: str) -> bool:
        self._check()
        return await self._store.swap(key, before, after)

    def _check(self) -> None:
        if self.unavailable:
            raise StoreUnavailable("unavailable")


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": mongo_url})) as store:
        await store.prepare()
        yield store


class Bridge:
    """A bridge of a cluster; `work` counts how often it has begun to lead, and `working` is whether it does."""

    def __init__(self, store: SwapStore, clock: Clock | None = None, cluster: str = "plant") -> None:
        self.clock = clock or Clock()
        self.leadership = Leadership(store, this_process(cluster), clock=self.clock, watch_seconds=0.02, renew_seconds=0.02)
        self.leadership.lead = self._lead
        self.leadership.on_write = self.reports
        self.work = 0
        self.working = False
        self.fails = 0
        self.reasons: list[str | None] = []

    def reports(self, reason: str | None) -> None:
        self.reasons.append(reason)

    async def _lead(self) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("unavailable")
        self.work += 1
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.leadership.acquire(lambda _: None)
        task = asyncio.create_task(self.leadership.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def gone() -> LeaseHolder:
    """A holder of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    holder = replace(this_process("plant"), pid=ended.pid, started="1")
    ended.wait()
    return holder


async def test_first_bridge_leads_and_the_second_follows(store: Store) -> None:
    one, two = Bridge(store), Bridge(store)
    async with one.running(), two.running():
        await until(lambda: one.working, 5, "the first leads")
        assert one.leadership.leads
        assert one.leadership.held
        assert (two.leadership.leads, two.leadership.held, two.working) == (False, False, False)


async def test_of_bridges_that_start_at_once_one_leads(store: Store) -> None:
    bridges = [Bridge(store) for _ in range(5)]
    await asyncio.gather(*(one.leadership.acquire(lambda _: None) for one in bridges))
    assert [one.leadership.held for one in bridges].count(True) == 1


async def test_bridge_that_stops_leaves_the_lead_to_another_at_once(store: Store) -> None:
    one, two = Bridge(store), Bridge(store)
    async with two.running():
        async with one.running():
            await until(lambda: one.working or two.working, 5, "one leads")
            first, second = (one, two) if one.working else (two, one)
            assert first is two, "the bridge that started first leads"
        assert second.work == 0
    await two.leadership.release()
    async with one.running():
        await until(lambda: one.working, 5, "the other leads")
    assert not two.leadership.leads


async def test_lease_of_a_process_that_was_killed_is_taken_over_at_once(store: Store) -> None:
    await store.swap(KEY, None, gone().to_text())
    one = Bridge(store)
    async with one.running():
        await until(lambda: one.working, 5, "it leads")


async def test_lease_of_a_dead_bridge_elsewhere_is_taken_over_when_it_has_ended(store: Store) -> None:
    await store.swap(KEY, None, replace(this_process("plant"), machine="another").to_text())
    one = Bridge(store)
    async with one.running():
        one.clock.now += LEASE_SECONDS - 1
        await asyncio.sleep(0.1)
        assert not one.working, "the lease had not ended"
        one.clock.now += 2
        await until(lambda: one.working, 5, "it leads")


async def test_lease_that_is_renewed_is_not_taken_over(store: Store) -> None:
    one, two = Bridge(store), Bridge(store)
    async with one.running(), two.running():
        for _ in range(5):
            before = await store.get(KEY)
            await until(lambda: changed(store, before), 5, "a renewal")  # noqa: B023 - called at once
            await asyncio.sleep(0.05)
            two.clock.now += LEASE_SECONDS - 1
        assert (one.work, two.work) == (1, 0)


async def changed(store: Store, before: str | None) -> bool:
    return await store.get(KEY) != before


async def test_leader_that_was_paused_stops_its_work_and_may_lead_again_later(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    paused, other = FailingStore(store), Bridge(store)
    one = Bridge(paused)
    async with one.running():
        await until(lambda: one.working, 5, "it leads")
        paused.unavailable = True
        await until(lambda: "unavailable" in one.reasons, 5, "a renewal that failed")
        async with other.running():
            one.clock.now += LEASE_SECONDS
            assert not one.leadership.leads, "another may lead now"
            other.clock.now += LEASE_SECONDS + 1
            await until(lambda: other.working, 5, "the other leads")
            assert one.working, "it does not know yet"
            paused.unavailable = False
            await until(lambda: not one.working, 5, "it has stopped")
            assert not one.leadership.leads
            await until(lambda: "leads no more: the lease was lost to bridge" in caplog.text, 5, "it says so")
        await other.leadership.release()
        await until(lambda: one.working, 5, "it leads again")
    assert one.work == 2


async def test_outage_of_the_store_does_not_end_a_leader_nor_its_work(store: Store) -> None:
    failing = FailingStore(store)
    one = Bridge(failing)
    async with one.running():
        await until(lambda: one.working, 5, "it leads")
        failing.unavailable = True
        await until(lambda: "unavailable" in one.reasons, 5, "a renewal that failed")
        failing.unavailable = False
        one.reasons.clear()
        await until(lambda: one.reasons, 5, "a renewal")
        assert one.reasons[0] is None
        assert one.leadership.leads
    assert one.work == 1


async def test_outage_of_the_store_while_it_begins_to_lead_does_not_end_the_bridge(store: Store) -> None:
    one = Bridge(store)
    one.fails = 2
    async with one.running():
        await until(lambda: one.working, 5, "it leads")
        assert one.leadership.leads


async def test_bridge_without_a_cluster_is_refused_beside_one_that_leads(store: Store) -> None:
    one = Bridge(store)
    async with one.running():
        alone = Lease(store, this_process(), watch_seconds=0.02)
        with pytest.raises(StoreInUse, match=r"in use by bridge .* of the cluster 'plant', which renews its lease"):
            await alone.acquire(lambda _: None)


async def test_bridge_of_a_cluster_is_refused_beside_one_without(store: Store) -> None:
    alone = Lease(store, this_process())
    await alone.acquire(lambda _: None)
    one, waited = Bridge(store), list[str]()

    def waiting(reason: str) -> None:
        waited.append(reason)
        renewing.append(asyncio.create_task(alone.renew()))

    renewing: list[asyncio.Task[None]] = []
    with pytest.raises(StoreInUse, match=r"is not a bridge of the cluster 'plant': stop it, or set cluster\.name"):
        await one.leadership.acquire(waiting)
    assert "waiting until its lease ends" in waited[0]
    await asyncio.gather(*renewing)


async def test_bridge_of_another_cluster_is_refused(store: Store) -> None:
    one, other = Bridge(store), Bridge(store, cluster="other")
    async with one.running():
        with pytest.raises(StoreInUse, match=r"of the cluster 'plant', which is not a bridge of the cluster 'other'"):
            await other.leadership.acquire(lambda _: None)


async def test_bridge_of_a_cluster_waits_for_a_dead_one_without_and_then_leads(store: Store) -> None:
    await store.swap(KEY, None, replace(this_process(), machine="another").to_text())
    one = Bridge(store)
    acquiring = asyncio.create_task(one.leadership.acquire(lambda _: None))
    await asyncio.sleep(0.1)
    assert not acquiring.done()
    one.clock.now += LEASE_SECONDS
    await asyncio.wait_for(acquiring, 5)
    assert one.leadership.held


async def test_bridges_stop_when_one_without_a_cluster_takes_the_lease(store: Store) -> None:
    """Nobody led: the leader had been stopped for long."""
    one, two = Bridge(store), Bridge(store)
    async with one.running():
        await until(lambda: one.working, 5, "it leads")
        task = asyncio.create_task(two.leadership.run())
        await store.put(KEY, this_process().to_text())
        await asyncio.wait_for(task, 5)
        assert two.leadership.lost is not None
        await until(lambda: one.leadership.lost, 5, "the leader has lost it too")
        await until(lambda: not one.working, 5, "it has stopped")


async def test_bridge_that_follows_reports_an_unavailable_store_until_it_reads_the_lease_again(store: Store) -> None:
    failing = FailingStore(store)
    leader, follower = Bridge(store), Bridge(failing)
    async with leader.running(), follower.running():
        failing.unavailable = True
        await until(lambda: "unavailable" in follower.reasons, 5, "a report of the failure")
        failing.unavailable = False
        await until(lambda: follower.reasons[-1] is None, 5, "a report that the store is available")
        assert not follower.leadership.leads
