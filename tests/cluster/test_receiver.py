"""The lease of the bridge that receives by MQTT, in a real MongoDB: who has it, who takes it over, and when."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.cluster.sessions.receiver import Receiver
from bridge.core.errors import StoreUnavailable
from bridge.pipeline.lease import holder_from_text
from bridge.ports import SessionLease, StateStore, Store
from tests.cluster.test_places import elsewhere, opened, running
from tests.servers import Mongod, until

TAKE_OVER_SECONDS = 2.0


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with opened(mongo_url) as store:
        yield store


def receiver(store: StateStore, number: int, client_id: str = "sensor-bridge", seconds: float = TAKE_OVER_SECONDS) -> Receiver:
    return Receiver(store, "plant", client_id, elsewhere(number), take_over_seconds=seconds)


@dataclass
class Connections:
    """Which bridges are connected to the broker."""

    is_connected: bool = True
    others_connected: bool = True


def connecting(store: StateStore, number: int, connections: Connections) -> Receiver:
    seconds = TAKE_OVER_SECONDS
    return Receiver(store, "plant", "sensor-bridge", elsewhere(number), take_over_seconds=seconds, connections=connections)


class LossyStore:
    """A store that sets the lease, but whose answer to the first attempt is lost; reading takes `read_seconds` of `now`."""

    def __init__(self, store: Store, *, losses: int = 0, read_seconds: float = 0.0) -> None:
        self._store = store
        self._losses = losses
        self.read_seconds = read_seconds
        self.now = 100.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, key: str) -> str | None:
        self.now += self.read_seconds
        return await self._store.get(key)

    async def swap(self, key: str, before: str | None, after: str) -> bool:
        is_set = await self._store.swap(key, before, after)
        if self._losses:
            self._losses -= 1
            raise StoreUnavailable("no answer")
        return is_set


def own(receiver: Receiver) -> SessionLease:
    assert receiver.own is not None
    return receiver.own


async def test_one_of_the_bridges_that_start_together_receives(store: Store) -> None:
    bridges = [receiver(store, number) for number in range(8)]
    await asyncio.gather(*(one.take() for one in bridges))
    assert sum(one.receives for one in bridges) == 1
    [receiving] = [own(one) for one in bridges if one.receives]
    assert receiving.client_id == "sensor-bridge"
    standing_by = [own(one) for one in bridges if not one.receives]
    assert not any(session.receives for session in standing_by)
    assert len({session.client_id for session in standing_by}) == 7


async def test_bridge_that_stops_is_followed_at_once(store: Store) -> None:
    first, second = receiver(store, 1, seconds=60), receiver(store, 2, seconds=60)
    await first.take()
    await second.take()
    standby = own(second)
    async with running(second):
        await asyncio.sleep(0.5)  # it has seen the lease for a while
        await first.release()
        await asyncio.wait_for(standby.wait_ended(), 10)
    assert second.receives
    assert own(second).client_id == "sensor-bridge"
    assert not first.receives


async def test_bridge_elsewhere_that_does_not_renew_its_lease_is_followed_after_the_time(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    dead, survivor = receiver(store, 1), receiver(store, 2)
    await dead.take()
    await survivor.take()
    started = time.monotonic()
    async with running(survivor):
        await until(lambda: survivor.receives, what="the takeover")
    assert time.monotonic() - started >= TAKE_OVER_SECONDS
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "cluster: bridge host1 pid 1 has ended or hangs: this bridge takes the MQTT session over"
    ]


async def test_bridge_whose_attempt_got_through_without_an_answer_receives_at_its_next_look(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    lossy = cast("StateStore", LossyStore(store, losses=1))
    bridge, other = receiver(lossy, 1), receiver(store, 2)
    with pytest.raises(StoreUnavailable):
        await bridge.take()
    await bridge.take()
    assert bridge.receives
    await other.take()
    async with running(bridge, other):
        await asyncio.sleep(1.5 * TAKE_OVER_SECONDS)  # a takeover would have happened
        assert bridge.receives
        assert not other.receives
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_bridge_that_looks_twice_at_the_same_time_does_not_take_its_lease_from_itself(store: Store) -> None:
    bridge = receiver(store, 1)
    await asyncio.gather(*(bridge.take() for _ in range(5)))
    assert own(bridge).receives
    assert await own(bridge).confirm()
    holder = holder_from_text(await store.get("cluster/plant/receiver"))
    assert holder is not None
    assert holder.owner.endswith("#1"), "the first of its leases"


async def test_time_that_the_store_takes_to_answer_does_not_count_as_silence_of_the_holder(store: Store) -> None:
    await receiver(store, 1).take()
    slow = LossyStore(store)
    seconds = TAKE_OVER_SECONDS
    bridge = Receiver(
        cast("StateStore", slow), "plant", "sensor-bridge", elsewhere(2), take_over_seconds=seconds, clock=lambda: slow.now
    )
    await bridge.take()
    slow.read_seconds = 1.1 * TAKE_OVER_SECONDS
    await bridge.take()
    assert not bridge.receives, "the holder may not have reached the store either"
    slow.read_seconds = 0.4 * TAKE_OVER_SECONDS
    for _ in range(2):
        await bridge.take()
        assert not bridge.receives
    await bridge.take()
    assert bridge.receives


async def test_bridge_that_loses_the_broker_lets_one_that_has_it_receive(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off, connected = Connections(), Connections(others_connected=False)
    first, second = connecting(store, 1, cut_off), connecting(store, 2, connected)
    await first.take()
    await second.take()
    lost = own(first)
    async with running(first, second):
        await asyncio.sleep(TAKE_OVER_SECONDS / 2)
        started = time.monotonic()
        cut_off.is_connected = False
        await asyncio.wait_for(lost.wait_ended(), 5)
        assert time.monotonic() - started >= 0.9 * TAKE_OVER_SECONDS, "a short interruption is no reason"
        await first.take()
        assert not own(first).receives, "the other one has its turn"
        await until(lambda: second.receives, what="the takeover")
        cut_off.is_connected = True
        await asyncio.sleep(TAKE_OVER_SECONDS)
        assert second.receives
        assert not first.receives
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "cluster: no connection to the broker for 2 s, and another bridge has one: it receives instead"
    ]


async def test_bridge_keeps_the_lease_while_no_bridge_has_the_broker(store: Store) -> None:
    first = connecting(store, 1, Connections(is_connected=False, others_connected=False))
    second = connecting(store, 2, Connections(is_connected=False, others_connected=False))
    await first.take()
    await second.take()
    async with running(first, second):
        await asyncio.sleep(1.5 * TAKE_OVER_SECONDS)
        assert own(first).receives
        assert not own(first).has_ended
        assert not own(second).receives
        assert not first.receives, "it has the lease, and receives nothing"


async def test_bridge_that_starts_takes_the_free_lease_before_it_is_connected(store: Store) -> None:
    """A bridge that was killed lately is still taken for one that is connected."""
    bridge = connecting(store, 1, Connections(is_connected=False, others_connected=True))
    await bridge.take()
    assert own(bridge).receives


async def test_bridge_that_renews_its_lease_is_not_followed(store: Store) -> None:
    first, second = receiver(store, 1), receiver(store, 2)
    await first.take()
    await second.take()
    async with running(first, second):
        await asyncio.sleep(1.5 * TAKE_OVER_SECONDS)  # a takeover would have happened
        assert first.receives
        assert not second.receives


async def test_bridge_that_stood_still_finds_its_session_lost_and_stands_by(store: Store) -> None:
    sleeper, survivor = receiver(store, 1), receiver(store, 2)
    await sleeper.take()
    await survivor.take()
    lost = own(sleeper)
    async with running(survivor):
        await until(lambda: survivor.receives, what="the takeover")
        assert not lost.is_fresh, "nothing is acknowledged any more, before it knows"
        async with running(sleeper):
            await asyncio.wait_for(lost.wait_ended(), 5)
            await sleeper.take()
            assert not own(sleeper).receives
            assert not own(sleeper).has_ended
            await survivor.release()
    async with running(sleeper):
        await until(lambda: sleeper.receives, what="its turn again")


async def test_all_bridges_use_the_session_of_the_first(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = receiver(store, 1, "plant-7"), receiver(store, 2, "another")
    await first.take()
    await second.take()
    await first.release()
    async with running(second):
        await until(lambda: second.receives, what="the takeover")
    assert own(second).client_id == "plant-7"
    assert "mqtt.client_id is another here, but the session of the cluster is plant-7" in caplog.text


async def test_outage_of_the_store_is_no_reason_to_take_over(tmp_path: Path) -> None:
    mongod = Mongod(tmp_path / "mongo")
    mongod.start()
    try:
        async with opened(mongod.url) as store:
            first, second = receiver(store, 1), receiver(store, 2)
            await first.take()
            await second.take()
            async with running(first, second):
                mongod.freeze()
                await until(lambda: not first.receives, what="the end of what is certain")
                await asyncio.sleep(1.5 * TAKE_OVER_SECONDS)
                mongod.thaw()
                await until(lambda: first.receives, what="a renewal")
                await asyncio.sleep(1.5 * TAKE_OVER_SECONDS)
                assert first.receives
                assert not second.receives
    finally:
        mongod.kill()
