"""What every store promises of users, keys, sessions and the audit; one suite, the fake one too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from bson.objectid import ObjectId

from bridge.core.access.accounts import ApiKey, LoginSession, Revocation, User
from bridge.core.access.audit import AuditEvent, AuditQuery
from bridge.core.access.permissions import IdentityKind, Permission, ResourceScope, Role
from bridge.core.query import RetentionResult
from bridge.ports import Store
from tests.stores.test_store_contract import START_MS, Opener, opened

__all__ = ["opened"]

FAR_MS = 4_000_000_000_000
ALICE = User("alice", Role.VIEWER, "$argon2id$…", ResourceScope(frozenset({"a", "b"}), frozenset({"Maison"})), START_MS)
KEY = ApiKey(
    "0f" * 6,
    "Küche 1",
    IdentityKind.PROGRAM,
    frozenset({Permission.READ, Permission.PUBLISH}),
    "ab" * 32,
    None,
    START_MS,
    START_MS + 5,
    "x",
)
SESSION = LoginSession("s1", "alice", "aa", "bb", START_MS, FAR_MS)


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


async def test_a_user_comes_back_as_it_was_and_a_second_of_the_name_is_not_added(store: Store) -> None:
    assert await store.users.add(ALICE)
    assert not await store.users.add(replace(ALICE, password="other"))
    assert await store.users.get("alice") == ALICE
    assert await store.users.get("bob") is None
    await store.users.add(replace(ALICE, id="aaron", scope=None, role=Role.ADMIN))
    assert [one.id for one in await store.users.all()] == ["aaron", "alice"]


async def test_a_user_is_changed_only_if_there_and_removed_once(store: Store) -> None:
    changed = replace(ALICE, role=Role.OPERATOR, scope=None)
    assert not await store.users.save(changed)
    assert await store.users.get("alice") is None
    await store.users.add(ALICE)
    assert await store.users.save(changed)
    assert await store.users.get("alice") == changed
    assert [await store.users.remove("alice") for _ in range(2)] == [True, False]
    assert await store.users.all() == []


async def test_a_key_comes_back_as_it_was(store: Store) -> None:
    device = ApiKey(
        "1",
        "esp01",
        IdentityKind.DEVICE,
        frozenset({Permission.PUBLISH}),
        "cd" * 32,
        ResourceScope(frozenset({"esp01"})),
        START_MS,
    )
    assert await store.keys.add(KEY)
    assert await store.keys.add(device)
    assert not await store.keys.add(KEY)
    assert await store.keys.get(KEY.id) == KEY
    assert await store.keys.all() == [KEY, device]
    assert await store.keys.remove(KEY.id)
    assert await store.keys.all() == [device]


async def test_a_session_turns_only_from_where_it_is_and_of_two_at_once_one_does(store: Store) -> None:
    assert await store.sessions.add(SESSION)
    assert not await store.sessions.add(SESSION)
    turns = [SESSION.rotated(f"c{number}") for number in range(5)]
    assert sorted(await asyncio.gather(*(store.sessions.rotate(SESSION, one) for one in turns))) == [False] * 4 + [True]
    assert await store.sessions.get("s1") in turns
    assert not await store.sessions.rotate(SESSION, SESSION.rotated("d"))
    assert [await store.sessions.remove("s1") for _ in range(2)] == [True, False]
    assert not await store.sessions.rotate(SESSION, SESSION)


async def test_sessions_of_a_user_are_found_the_oldest_first(store: Store) -> None:
    for at, user in enumerate(("alice", "bob", "alice")):
        await store.sessions.add(replace(SESSION, id=f"s{9 - at}", user=user, created_ms=START_MS + at))
    assert [one.id for one in await store.sessions.by_user("alice")] == ["s9", "s7"]
    assert await store.sessions.by_user("carol") == []


async def test_what_was_taken_back_is_told_once_it_is_written_whatever_the_clock_of_who_wrote_it(store: Store) -> None:
    mark, told = 0, list[str]()
    for number, at_ms in enumerate((START_MS, START_MS - 86_400_000, START_MS + 86_400_000, START_MS - 1)):
        one = Revocation(f"session:{number}", at_ms, FAR_MS)
        await store.sessions.revoke(one)
        await store.sessions.revoke(replace(one, at_ms=at_ms + 9))
        found, mark = await store.sessions.revocations(mark)
        assert one in found
        told.append(one.id)
    assert [one.id for one in (await store.sessions.revocations(0))[0]] == told
    assert (await store.sessions.revocations(mark))[1] == mark


def act(number: int, **more: Any) -> AuditEvent:
    shown = {
        "action": "command",
        "actor_kind": "person",
        "actor": "alice",
        "address": "::1",
        "target": "a",
        "details": {"command": "on"},
    }
    return AuditEvent(ObjectId(f"{number:024x}"), START_MS + number, **(shown | more))


async def test_acts_are_found_by_what_whom_and_about_newest_first(store: Store) -> None:
    acts = [act(1), act(2, actor="bob", count=3), act(3, action="login", target="")]
    await store.audit.add(acts)
    await store.audit.add([act(1, actor="other"), act(4, details={})])
    await store.audit.add([])
    assert await store.audit.find(AuditQuery()) == [act(4, details={}), *reversed(acts)]

    async def found(**query: Any) -> list[int]:
        return [int(str(one.id), 16) for one in await store.audit.find(AuditQuery(**query))]

    assert await found(actor="alice", limit=2) == [4, 3]
    assert await found(action="command", target="a", before=acts[1].id) == [1]
    assert await found(action="login", actor="bob") == []


@pytest.mark.parametrize("name", ["$where", "a.b", "x\0y", "' OR 1=1 --", "$gt"])
async def test_hostile_texts_are_only_texts(store: Store, name: str) -> None:
    assert await store.users.get(name) is None
    assert await store.keys.get(name) is None
    assert await store.sessions.by_user(name) == []
    assert await store.audit.find(AuditQuery(action=name, actor=name, target=name)) == []
    await store.audit.add([act(7, target=name, details={"command": name})])
    assert [one.details for one in await store.audit.find(AuditQuery(target=name))] == [{"command": name}]


async def test_what_is_settled_first_stays(store: Store) -> None:
    assert len(set(await asyncio.gather(*(store.put_if_absent("k", f"v{number}") for number in range(5))))) == 1
    first = await store.put_if_absent("k", "later")
    assert await store.get("k") == first != "later"


async def test_beyond_the_number_kept_refusals_go_first_and_then_the_oldest(opened: Opener) -> None:
    def at_once(number: int, **more: Any) -> AuditEvent:
        return replace(act(number, **more), at_ms=time.time_ns() // 1_000_000)

    done = [at_once(number) for number in range(1, 31)]
    refused = [at_once(number, action="refused") for number in range(31, 1_231)]
    refused += [
        at_once(1_231, action="login refused"),
        at_once(1_232, action="login delayed"),
        at_once(1_233, action="command refused"),
    ]
    async with opened(audit_limit=31) as store:
        await store.audit.add(done + refused)
        assert await store.enforce_retention() == RetentionResult(acts_over=1_202)
        assert await store.audit.find(AuditQuery()) == [refused[-1], *reversed(done)]
        assert await store.enforce_retention() == RetentionResult()
    async with opened(audit_limit=5) as store:
        assert (await store.enforce_retention()).acts_over == 26
        assert await store.audit.find(AuditQuery()) == [*reversed(done[-5:])]


@pytest.mark.parametrize("opened", ["sqlite"], indirect=True)
async def test_what_has_expired_is_forgotten_once_tidied(opened: Opener) -> None:
    """MongoDB forgets by itself."""
    async with opened(audit_days=1) as store:
        await store.sessions.add(replace(SESSION, expires_ms=START_MS))
        await store.sessions.revoke(Revocation("session:0", START_MS, START_MS))
        await store.audit.add([act(1)])
        await store.enforce_retention()
        assert await store.sessions.get("s1") is None
        assert (await store.sessions.revocations(0))[0] == []
        assert await store.audit.find(AuditQuery()) == []
