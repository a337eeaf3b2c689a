"""When the service writes its checkpoints."""

from __future__ import annotations

import asyncio

import orjson
from bson.objectid import ObjectId

from bridge.alarms.defaults import profile_rules
from bridge.alarms.scope import UNKNOWN_FACTS
from bridge.alarms.service import _MARK, SAVE_SECONDS, AlarmService
from bridge.core.readings.reading import Reading
from tests.alarms.folding import START_MS
from tests.fakes import MemoryStore
from tests.servers import until


async def service(store: MemoryStore, newest: int) -> AlarmService:
    alarms = AlarmService(
        store,
        profile_rules("home"),
        devices_limit=10,
        facts=lambda _: UNKNOWN_FACTS,
        is_up=lambda _: True,
        clock=lambda: START_MS,
    )
    await alarms.load(newest)
    return alarms


async def test_checkpoint_is_written_once_stored_readings_have_been_folded() -> None:
    """A bridge that is killed more often than once in `SAVE_SECONDS` would have more to fold at each start."""
    store = MemoryStore()
    await (await service(store, 0)).catch_up()
    for seq in range(1, 11):
        reading = Reading(ObjectId(), "a", {"co2": 600}, START_MS - 1000 + seq, START_MS - 1000 + seq, seq=seq)
        store.by_id[reading.id] = reading
    running = asyncio.create_task((await service(store, 10)).run())
    try:
        await until(lambda: orjson.loads(store.state[_MARK])["seq"] == 10, SAVE_SECONDS / 4, "the checkpoint")
        assert (await service(store, 10)).fold.seq("a") == 10
    finally:
        running.cancel()
        await asyncio.wait([running])
