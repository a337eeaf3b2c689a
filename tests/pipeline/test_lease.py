"""The lease of a store: one bridge at a time stores, whatever the clocks say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bridge.core.devices.device import Device
from bridge.core.errors import StoreInUse, StoreUnavailable
from bridge.pipeline.lease import (
    KEY,
    LEASE_SECONDS,
    Lease,
    LeasedDevices,
    LeasedWriter,
    LeaseHolder,
    _process_start,
    holder_from_text,
    this_process,
)
from tests.fakes import MemoryStore
from tests.servers import until

ELSEWHERE = LeaseHolder("other", "attic", 17, "another machine", "1")


class Clock:
    """Advances by `step` seconds each time it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 1000.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def silent(_: str) -> None:
    """Ignore the sentence about waiting."""


async def test_free_lease_is_taken_at_once_and_released_for_the_next() -> None:
    store = MemoryStore()
    first, second = Lease(store), Lease(store)
    await first.acquire(silent)
    assert first.held
    await first.release()
    await second.acquire(silent)
    assert second.held
    assert not first.held


async def test_lease_that_is_renewed_is_refused_with_its_holder_named() -> None:
    store, said = MemoryStore(), list[str]()
    holder = Lease(store, ELSEWHERE)
    await holder.acquire(silent)
    waiting = asyncio.create_task(Lease(store, watch_seconds=0.001).acquire(said.append))
    while not said:
        await asyncio.sleep(0)
    assert said == ["in use by bridge attic pid 17: waiting until its lease ends (at most 15 s), or stop it"]
    await holder.renew()
    with pytest.raises(StoreInUse, match=r"store: in use by bridge attic pid 17, which renews its lease: stop that bridge"):
        await waiting
    assert holder.held


async def test_bridge_that_may_wait_takes_the_lease_when_its_holder_stops_however_often_it_was_renewed() -> None:
    store, said = MemoryStore(), list[str]()
    holder, taker = Lease(store, ELSEWHERE), Lease(store, wait_seconds=60.0, watch_seconds=0.001)
    await holder.acquire(silent)
    waiting = asyncio.create_task(taker.acquire(said.append))
    for _ in range(3):
        await holder.renew()
        await asyncio.sleep(0.01)
        assert not waiting.done()
    await holder.release()
    await asyncio.wait_for(waiting, 5)
    assert taker.held
    assert said == ["in use by bridge attic pid 17: waiting until its lease ends (at most 60 s), or stop it"]


async def test_bridge_that_has_waited_is_refused() -> None:
    store, clock = MemoryStore(), Clock()
    holder = Lease(store, ELSEWHERE)
    await holder.acquire(silent)
    waiting = asyncio.create_task(Lease(store, wait_seconds=60.0, clock=clock, watch_seconds=0.001).acquire(silent))
    await asyncio.sleep(0.01)
    clock.now += 60
    await holder.renew()
    with pytest.raises(StoreInUse, match="which renews its lease"):
        await waiting
    assert holder.held


async def test_lease_that_nobody_renews_ends_by_the_clock_of_the_one_who_waits() -> None:
    store, clock = MemoryStore(), Clock(step=LEASE_SECONDS / 10)
    gone = Lease(store, ELSEWHERE)
    await gone.acquire(silent)
    taker = Lease(store, clock=clock, watch_seconds=0.001)
    await taker.acquire(silent)
    assert taker.held
    assert clock.now >= 1000 + LEASE_SECONDS


async def test_lease_of_a_dead_process_on_this_machine_is_taken_over_at_once() -> None:
    if not this_process().machine:
        pytest.skip("no /proc: only an expired lease is taken over")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        holder = replace(this_process(), owner="dead", pid=process.pid, started=_process_start(process.pid))
        assert not holder.is_gone
        process.kill()
        await until(lambda: holder.is_gone, what="a zombie counts as gone")
    assert holder.is_gone
    store, said = MemoryStore(), list[str]()
    await Lease(store, holder).acquire(silent)
    await Lease(store).acquire(said.append)
    assert said == []


def test_process_with_the_same_id_elsewhere_or_later_is_told_apart() -> None:
    ours = this_process()
    assert not ours.is_gone
    assert not replace(ours, machine="another", started="1").is_gone, "of another machine nothing is known"
    if ours.machine:
        assert replace(ours, started="1").is_gone
    assert ours.pid == os.getpid()


async def test_bridge_that_lost_its_lease_writes_nothing() -> None:
    store, clock = MemoryStore(), Clock()
    stopped = Lease(store, ELSEWHERE, clock=clock)
    await stopped.acquire(silent)
    writer = LeasedWriter(store, stopped)
    await writer.write([], [], [])
    taker = Lease(store, clock=Clock(step=1.0), watch_seconds=0.001)
    await taker.acquire(silent)
    clock.now += 20  # it was stopped, and is awake again
    with pytest.raises(StoreUnavailable, match=r"the lease was lost to bridge .* stores nothing any more"):
        await writer.write([], [], [])
    assert isinstance(stopped.lost, StoreInUse)
    assert store.writes == 1
    await stopped.release()
    assert taker.held
    await taker.renew()
    assert taker.held


async def test_bridge_that_lost_its_lease_saves_and_removes_no_devices() -> None:
    """What its registry knows is old: the next bridge may have changed the devices meanwhile."""
    store, clock = MemoryStore(), Clock()
    stopped = Lease(store, ELSEWHERE, clock=clock)
    await stopped.acquire(silent)
    devices = LeasedDevices(store.devices, stopped)
    await devices.save([Device("a", name="old")])
    await Lease(store, clock=Clock(step=1.0), watch_seconds=0.001).acquire(silent)
    await store.devices.save([Device("a", name="new")])
    clock.now += 20
    with pytest.raises(StoreUnavailable, match="the lease was lost"):
        await devices.save([Device("a", name="old")])
    with pytest.raises(StoreUnavailable, match="the lease was lost"):
        await devices.remove("a")
    assert [device.name for device in await devices.all(10)] == ["new"]


async def test_bridge_that_slept_alone_renews_before_it_writes() -> None:
    store, clock = MemoryStore(), Clock()
    lease = Lease(store, clock=clock)
    await lease.acquire(silent)
    before = store.state[KEY]
    clock.now += 3600
    await LeasedWriter(store, lease).write([], [], [])
    assert store.state[KEY] != before
    assert store.writes == 1


async def test_renewal_whose_answer_was_lost_keeps_the_lease() -> None:
    class Lossy(MemoryStore):
        lossy = False

        async def swap(self, key: str, before: str | None, after: str) -> bool:
            swapped = await super().swap(key, before, after)
            if self.lossy:
                self.lossy = False
                raise StoreUnavailable("connection closed")
            return swapped

    store = Lossy()
    lease = Lease(store)
    await lease.acquire(silent)
    store.lossy = True
    with pytest.raises(StoreUnavailable):
        await lease.renew()
    await lease.renew()
    assert lease.held


async def test_lease_that_was_dropped_with_its_table_is_taken_again_unless_another_has_or_had_it() -> None:
    store = MemoryStore()
    lease, other = Lease(store, ELSEWHERE), Lease(store)
    await lease.acquire(silent)
    del store.state[KEY]
    await lease.renew()
    assert lease.held
    del store.state[KEY]
    await other.acquire(silent)
    await other.release()
    await lease.renew()
    assert not lease.held


@pytest.mark.parametrize("text", [None, "", "null", "[]", "{}", "{", '{"owner": 1, "host": 2, "pid": "x"}', "\0"])
async def test_value_that_is_no_lease_is_replaced(text: str | None) -> None:
    assert holder_from_text(text) is None
    store = MemoryStore()
    if text is not None:
        store.state[KEY] = text
    lease = Lease(store)
    await lease.acquire(silent)
    assert lease.held
