"""Places in a real MongoDB: who has one, who adopts one, and what a bridge that was stopped finds."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.cluster.sessions.places import PLACES, Places
from bridge.cluster.sessions.receiver import Receiver
from bridge.core.errors import PlaceTaken, StoreUnavailable
from bridge.pipeline.lease import LeaseHolder, holder_from_text
from bridge.ports import Store, SwapStore
from bridge.settings import StoreSettings
from bridge.stores import open_store
from tests.servers import REPO, Mongod, freeze, until

CLUSTER = "plant"
ADOPT_SECONDS = 2.0


def elsewhere(number: int) -> LeaseHolder:
    """A bridge on another machine, of whose process nothing is known."""
    return LeaseHolder(f"owner {number}", f"host{number}", number, "another machine", "1")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        yield store


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[Store]:
    async with opened(mongo_url) as store:
        yield store


def places(store: SwapStore, number: int, wanted: int | None = None, adopt_seconds: float = ADOPT_SECONDS) -> Places:
    return Places(store, CLUSTER, wanted=wanted, adopt_seconds=adopt_seconds, holder=elsewhere(number))


@asynccontextmanager
async def running(*several: Places | Receiver) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in several]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


async def test_each_bridge_takes_the_first_free_place_and_the_session_of_it(store: Store) -> None:
    bridges = [places(store, number) for number in range(3)]
    assert [await one.take() for one in bridges] == [1, 2, 3]
    assert [one.own and one.own.client_id for one in bridges] == ["plant-1", "plant-2", "plant-3"]
    assert all(one.own and one.own.is_fresh for one in bridges)


async def test_bridges_that_start_together_take_different_places(store: Store) -> None:
    bridges = [places(store, number) for number in range(8)]
    assert sorted(await asyncio.gather(*(one.take() for one in bridges))) == list(range(1, 9))


async def test_place_of_a_live_bridge_is_refused_with_its_holder_named(store: Store) -> None:
    first, second = places(store, 1, 7), places(store, 2, 7)
    await first.take()
    async with running(first):
        with pytest.raises(PlaceTaken, match=r"place 7 is taken by bridge host1 pid 1, which renews its lease: stop that"):
            await second.take()
    assert first.own
    assert first.own.is_fresh


@pytest.mark.parametrize("wanted", [0, -1, PLACES + 1])
async def test_place_out_of_range_is_refused(store: Store, wanted: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 64"):
        await places(store, 1, wanted).take()


async def test_sixty_fifth_bridge_is_refused(store: Store) -> None:
    bridges = [places(store, number, adopt_seconds=4.0) for number in range(PLACES)]
    assert [await one.take() for one in bridges] == list(range(1, PLACES + 1))
    async with running(*bridges):
        with pytest.raises(PlaceTaken, match=r"all 64 places are taken by live bridges: at most 64 are allowed"):
            await places(store, 65, adopt_seconds=4.0).take()


async def test_place_that_was_released_is_taken_at_once_before_one_that_was_never_used(store: Store) -> None:
    first, second = places(store, 1), places(store, 2)
    await first.take()
    await second.take()
    await first.release()
    assert first.own
    assert not first.own.is_fresh
    assert await places(store, 3).take() == 1


async def test_place_of_a_dead_bridge_elsewhere_is_taken_once_its_lease_has_ended(store: Store) -> None:
    await places(store, 1, 5).take()
    started = time.monotonic()
    assert await places(store, 2, 5).take() == 5
    assert time.monotonic() - started >= ADOPT_SECONDS


async def test_dead_place_is_adopted_by_one_of_two_survivors(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    dead, one, other = (places(store, number) for number in range(3))
    changes: list[str] = []
    one.on_change, other.on_change = lambda: changes.append("one"), lambda: changes.append("other")
    for bridge in (dead, one, other):
        await bridge.take()
    started = time.monotonic()
    async with running(one, other):
        await until(lambda: one.adopted or other.adopted, what="the adoption")
        assert time.monotonic() - started >= ADOPT_SECONDS
        await asyncio.sleep(1.5 * ADOPT_SECONDS)  # the other one has time to adopt it too
        assert sorted((*one.adopted, *other.adopted)) == [1]
        (session,) = (*one.adopted.values(), *other.adopted.values())
        assert session.client_id == "plant-1"
        assert session.is_fresh
        assert await session.confirm()
    assert changes == (["one"] if one.adopted else ["other"])
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        "cluster: place 1 has no live bridge any more, it was that of bridge host0 pid 0"
    ]


async def test_place_that_a_stopped_bridge_left_is_adopted_after_the_same_time(store: Store) -> None:
    stopped, survivor = places(store, 1), places(store, 2)
    await stopped.take()
    await survivor.take()
    async with running(survivor):
        await stopped.release()
        started = time.monotonic()
        await until(lambda: survivor.adopted, what="the adoption")
        assert time.monotonic() - started >= 0.9 * ADOPT_SECONDS, "a bridge that is restarted finds its session as it left it"


async def test_place_of_a_live_bridge_is_never_adopted(store: Store) -> None:
    one, other = places(store, 1), places(store, 2)
    await one.take()
    await other.take()
    async with running(one, other):
        await asyncio.sleep(1.5 * ADOPT_SECONDS)
        assert not one.adopted
        assert not other.adopted
        assert one.own
        assert other.own
        assert one.own.is_fresh
        assert other.own.is_fresh


async def test_owner_that_returns_takes_its_place_at_once_and_the_adopter_gives_it_up(store: Store) -> None:
    survivor = places(store, 2)
    await places(store, 1).take()
    await survivor.take()
    async with running(survivor):
        await until(lambda: survivor.adopted, what="the adoption")
        (session,) = survivor.adopted.values()
        started = time.monotonic()
        owner = places(store, 3, 1)
        assert await owner.take() == 1
        assert time.monotonic() - started < ADOPT_SECONDS, "without waiting for the end of a lease"
        assert not await session.confirm(), "the adopter does not connect any more"
        await until(lambda: not survivor.adopted, 10.0, what="the end of the adoption")
        async with running(owner):
            await asyncio.sleep(1.5 * ADOPT_SECONDS)
        assert not survivor.adopted


async def test_place_of_an_adopter_that_died_too_is_adopted_with_what_it_had_adopted(store: Store) -> None:
    first, second, third = (places(store, number) for number in range(3))
    for bridge in (first, second, third):
        await bridge.take()
    async with running(second):
        await until(lambda: 3 in second.adopted and 1 in second.adopted, what="both adoptions")
    last = places(store, 4, 3)
    assert await last.take() == 3
    async with running(last):
        await until(lambda: set(last.adopted) == {1, 2}, what="the adoption of both")


async def test_adopter_that_stops_leaves_the_adopted_place_to_the_next_at_once(store: Store) -> None:
    dead, adopter, other = (places(store, number) for number in range(3))
    for bridge in (dead, adopter, other):
        await bridge.take()
    async with running(other):
        async with running(adopter):
            await until(lambda: adopter.adopted or other.adopted, what="the adoption")
            first, next_one = (adopter, other) if adopter.adopted else (other, adopter)
            if first is adopter:
                await asyncio.sleep(ADOPT_SECONDS)  # the other one has seen for long that the place is vacant
        if first is adopter:
            started = time.monotonic()
            await adopter.release()
            await until(lambda: 1 in next_one.adopted, what="the next adoption")
            assert time.monotonic() - started < ADOPT_SECONDS


async def test_bridge_that_was_adopted_while_it_stood_still_finds_its_place_lost(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    sleeper, survivor = places(store, 1, 1), places(store, 2)
    await sleeper.take()
    await survivor.take()
    async with running(survivor):
        await until(lambda: survivor.adopted, what="the adoption")
        assert sleeper.own
        assert not sleeper.own.is_fresh, "nothing is acknowledged any more, before it knows"
        async with running(sleeper):
            await asyncio.wait_for(sleeper.own.wait_ended(), 5)
            await until(lambda: sleeper.lost.startswith("lost to nobody"), what="the loss")
            await until(lambda: any("place 1 was lost to" in r.getMessage() for r in caplog.records), what="the report")
            assert not await sleeper.own.confirm()
            assert await sleeper.take() == 1, "it may take it back"
            assert not sleeper.lost
            await until(lambda: not survivor.adopted, 10.0, what="the end of the adoption")


async def test_value_that_is_no_list_of_places_hides_none(store: Store) -> None:
    dead, survivor = places(store, 1, 9), places(store, 2)
    await dead.take()
    await survivor.take()
    await store.put("cluster/plant/places", "{")
    async with running(survivor):
        await until(lambda: 9 in survivor.adopted, what="the adoption")


async def test_outage_of_the_store_is_no_reason_to_adopt(tmp_path: Path) -> None:
    """Neither bridge reaches it for longer than `adopt_seconds`; the value does not change, and nobody is dead."""
    mongod = Mongod(tmp_path / "mongo")
    mongod.start()
    try:
        async with opened(mongod.url) as store:
            one, other = places(store, 1), places(store, 2)
            await one.take()
            await other.take()
            async with running(one, other):
                mongod.freeze()
                await until(lambda: one.own and not one.own.is_fresh, what="the end of what is certain")
                await asyncio.sleep(1.5 * ADOPT_SECONDS)
                mongod.thaw()
                await until(lambda: one.own and one.own.is_fresh and other.own and other.own.is_fresh, what="renewals")
                await asyncio.sleep(1.5 * ADOPT_SECONDS)
                assert not one.adopted
                assert not other.adopted
                assert not one.lost
                assert not other.lost
    finally:
        mongod.kill()


async def test_confirming_waits_while_the_store_is_unavailable(tmp_path: Path) -> None:
    mongod = Mongod(tmp_path / "mongo")
    mongod.start()
    try:
        async with opened(mongod.url) as store:
            one = places(store, 1, adopt_seconds=60)
            await one.take()
            assert one.own
            mongod.kill()
            with pytest.raises(StoreUnavailable):
                await one.own.renew()
            confirming = asyncio.create_task(one.own.confirm())
            await asyncio.wait((confirming,), timeout=0.5)
            assert not confirming.done()
            mongod.start()
            assert await asyncio.wait_for(confirming, 30)
    finally:
        mongod.kill()


# --- processes -------------------------------------------------------------------------------------------------------

OWNER = """
import asyncio, sys
from bridge.cluster.sessions.places import Places
from bridge.settings import StoreSettings
from bridge.stores import open_store

async def main():
    async with open_store(StoreSettings.model_validate({"url": sys.argv[1]})) as store:
        places = Places(store, "plant", adopt_seconds=float(sys.argv[2]))
        print(await places.take(), flush=True)
        task = asyncio.create_task(places.run())
        await places.own.wait_ended()
        print(places.lost, places.own.is_fresh, flush=True)
        task.cancel()

asyncio.run(main())
"""


@asynccontextmanager
async def owner_process(url: str, adopt_seconds: float) -> AsyncIterator[subprocess.Popen[str]]:
    """A process that has taken the first free place."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, url, str(adopt_seconds)], cwd=REPO, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout
            assert await asyncio.to_thread(process.stdout.readline) == "1\n"
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


async def test_process_that_was_stopped_and_continued_finds_its_place_lost(store: Store, mongo_url: str) -> None:
    async with owner_process(mongo_url, ADOPT_SECONDS) as process:
        survivor = places(store, 2)
        await survivor.take()
        async with running(survivor):
            freeze(process.pid)
            await until(lambda: survivor.adopted, what="the adoption")
            process.send_signal(signal.SIGCONT)
            assert process.stdout
            said = await asyncio.to_thread(process.stdout.readline)
            assert said == "lost to nobody: the lease was ended False\n"
            await asyncio.sleep(ADOPT_SECONDS)
            assert set(survivor.adopted) == {1}


async def test_place_of_a_killed_process_on_this_machine_is_adopted_at_once(store: Store, mongo_url: str) -> None:
    async with owner_process(mongo_url, 60.0) as process:
        survivor = places(store, 2, adopt_seconds=60.0)
        await survivor.take()
        async with running(survivor):
            found = await store.get("cluster/plant/place/1")
            if not (holder := holder_from_text(found)) or not holder.machine:
                pytest.skip("no /proc: only a lease that has ended is taken over")
            process.kill()
            await until(lambda: survivor.adopted, 5.0, what="the adoption")
        assert json.loads(await store.get("cluster/plant/places") or "") == [1, 2]
