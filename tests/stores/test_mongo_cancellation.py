"""Calls of the store that are cancelled while MongoDB is unavailable: the later ones must not wait for them without end."""

from __future__ import annotations

import asyncio

import pytest

from bridge.core.errors import StoreUnavailable
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.stores.mongo.store import MongoStore
from tests.servers import free_port

WAITING = 8  # calls that wait for a server; each takes the same lock of PyMongo twice a second
ANSWER_SECONDS = 30.0


def settings(port: int) -> StoreSettings:
    return StoreSettings.model_validate({"url": f"mongodb://127.0.0.1:{port}/stop?directConnection=true", "timeout_seconds": 3})


async def cancelled_pings(store: MongoStore, turns: int) -> list[str]:
    """How pings ended that were cancelled twice, `turns` of the event loop apart, while they waited for a server."""
    pings = [asyncio.create_task(store.ping()) for _ in range(WAITING)]
    await asyncio.sleep(0.3)  # until they wait, which only PyMongo knows
    for ping in pings:
        ping.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    for ping in pings:
        ping.cancel()
    done, _ = await asyncio.wait(pings, timeout=ANSWER_SECONDS)
    return ["cancelled" if ping.cancelled() else repr(ping.exception()) for ping in done]


@pytest.mark.parametrize("turns", [1, 3])
async def test_store_answers_after_calls_were_cancelled_while_it_was_unavailable(turns: int) -> None:
    async with open_store(settings(free_port())) as store:
        assert isinstance(store, MongoStore)
        assert await cancelled_pings(store, turns) == ["cancelled"] * WAITING
        later = asyncio.create_task(store.ping())
        await asyncio.wait((later,), timeout=ANSWER_SECONDS)
        assert later.done(), "a call waits for ever: a lock of PyMongo is held by nobody"
        assert isinstance(later.exception(), StoreUnavailable)
