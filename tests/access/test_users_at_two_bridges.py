"""Users that two bridges of a cluster, or a bridge and the command line, change at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.access.passwords import Passwords
from bridge.access.revocations import Revocations
from bridge.access.sessions import LoginSessions
from bridge.access.users import Users
from bridge.core.access.accounts import User
from bridge.core.access.permissions import ResourceScope, Role
from bridge.core.errors import LastAdmin
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

ROUNDS = 10


@pytest.fixture(params=["sqlite", "mongodb"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """The same store twice, as two processes have it."""
    url = f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else request.getfixturevalue("mongo_url")
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(open_store(StoreSettings(url=url))) for _ in range(2)]
        await first.prepare()
        yield first, second


def users_of(store: Store) -> Users:
    sessions = LoginSessions(store.sessions, Revocations(store.sessions, time.time), 60, time.time)
    return Users(store.users, sessions, Passwords())


async def test_no_change_is_lost(stores: tuple[Store, Store]) -> None:
    here, there = map(users_of, stores)
    await stores[0].users.add(User("bob", Role.OPERATOR, "x"))
    for number in range(ROUNDS):
        scope = ResourceScope(sites=frozenset({str(number)}))
        await asyncio.gather(here.change("bob", {"disabled": True}), there.change("bob", {"scope": scope}))
        bob = await here.get("bob")
        assert bob is not None
        assert (bob.disabled, bob.scope) == (True, scope), number
        await there.change("bob", {"disabled": False})


@pytest.mark.parametrize("ending", ["disabled", "demoted", "removed"])
async def test_last_two_admins_are_not_both_gone(stores: tuple[Store, Store], ending: str) -> None:
    here, there = map(users_of, stores)
    await stores[0].users.add(User("one", Role.ADMIN, "x"))
    await stores[0].users.add(User("two", Role.ADMIN, "x"))

    async def end(users: Users, name: str) -> None:
        if ending == "removed":
            await users.remove(name)
        else:
            await users.change(name, {"disabled": True} if ending == "disabled" else {"role": Role.VIEWER})

    answers = await asyncio.gather(end(here, "one"), end(there, "two"), return_exceptions=True)
    assert any(isinstance(one, LastAdmin) for one in answers), answers
    assert all(one is None or isinstance(one, LastAdmin) for one in answers), answers
    left = [user.id for user in await there.all() if user.administers]
    assert left == [name for name, answer in zip(("one", "two"), answers, strict=True) if answer is not None]
