"""When the service writes its checkpoints."""

from __future__ import annotations

import asyncio

import orjson
from bson.objectid import ObjectId

from bridge.alarms.defaults import profile_rules
from bridge.alarms.scope import UNKNOWN_FACTS
from bridge.alarms.service import MARK, SAVE_SECONDS, AlarmService
from bridge.core.readings.reading import Reading
from tests.alarms.folding import START_MS
from tests.fakes import MemoryStore
from tests.servers import until


async def service(store: MemoryStore, newest: int, at_ms: int = START_MS) -> AlarmService:
    alarms = AlarmService(
        store,
        profile_rules("home"),
        devices_limit=10,
        facts=lambda _: UNKNOWN_FACTS,
        is_up=lambda _: True,
        clock=lambda: at_ms,
    )
    await alarms.load(newest)
    return alarms


def put_reading(store: MemoryStore, seq: int, at_ms: int) -> None:
    reading = Reading(ObjectId(), "a", {"co2": 600}, at_ms, at_ms, seq=seq)
    store.by_id[reading.id] = reading


async def test_time_when_the_bridge_was_stopped_is_no_silence_if_a_reading_comes_at_once() -> None:
    store = MemoryStore()
    await (await service(store, 0)).catch_up()
    for seq in range(1, 31):
        put_reading(store, seq, START_MS - 310_000 + seq * 10_000)
    alarms = await service(store, 30)
    await alarms.catch_up()
    await alarms.close()
    assert alarms.fold.due_ms < START_MS + 3_600_000, "a silence is measured"
    put_reading(store, 31, START_MS + 3_600_100)
    later = await service(store, 31, START_MS + 3_600_000)
    running = asyncio.create_task(later.run())
    try:
        await until(lambda: not later.is_catching_up, what="the alarms' start")
        assert later.standing() == []
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_checkpoint_is_written_once_stored_readings_have_been_folded() -> None:
    """A bridge that is killed more often than once in `SAVE_SECONDS` would have more to fold at each start."""
    store = MemoryStore()
    await (await service(store, 0)).catch_up()
    for seq in range(1, 11):
        put_reading(store, seq, START_MS - 1000 + seq)
    running = asyncio.create_task((await service(store, 10)).run())
    try:
        await until(lambda: orjson.loads(store.state[MARK])["seq"] == 10, SAVE_SECONDS / 4, "the checkpoint")
        assert (await service(store, 10)).fold.seq("a") == 10
    finally:
        running.cancel()
        await asyncio.wait([running])
