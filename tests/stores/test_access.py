"""The contract of every store for users, API keys, sessions and the audit; the in-memory store too."""

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
from bridge.core.access.shared_links import SharedLink
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


async def test_user_is_returned_unchanged_and_second_of_the_same_name_is_not_added(store: Store) -> None:
    assert await store.users.add(ALICE)
    assert not await store.users.add(replace(ALICE, password="other"))
    assert await store.users.get("alice") == ALICE
    assert await store.users.get("bob") is None
    await store.users.add(replace(ALICE, id="aaron", scope=None, role=Role.ADMIN))
    assert [one.id for one in await store.users.all()] == ["aaron", "alice"]


async def test_user_is_changed_only_as_they_are_and_removed_once(store: Store) -> None:
    changed = replace(ALICE, role=Role.OPERATOR, scope=None, revision="1")
    assert not await store.users.change(ALICE, changed)
    assert await store.users.get("alice") is None
    await store.users.add(ALICE)
    at_once = [store.users.change(ALICE, replace(changed, revision=str(number))) for number in range(1, 5)]
    assert sorted(await asyncio.gather(*at_once)) == [False, False, False, True]
    found = await store.users.get("alice")
    assert found == replace(changed, revision=found.revision if found else "")
    assert not await store.users.change(ALICE, changed)
    assert await store.users.change(found, replace(ALICE, revision="5"))
    assert await store.users.get("alice") == replace(ALICE, revision="5")
    assert [await store.users.remove("alice") for _ in range(2)] == [True, False]
    assert await store.users.all() == []


async def test_api_key_is_returned_unchanged(store: Store) -> None:
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


async def test_shared_link_is_returned_unchanged_until_it_is_removed(store: Store) -> None:
    scope = ResourceScope(frozenset({"hall"}), frozenset({"Maison"}))
    link = SharedLink("0a" * 8, "Küche 🌡", "#/device/hall?range=24h", "ab" * 32, scope, START_MS, FAR_MS, "person:alice")
    assert await store.links.add(link)
    assert not await store.links.add(replace(link, title="other"))
    assert await store.links.get(link.id) == link
    assert await store.links.all() == [link]
    assert [await store.links.remove(link.id) for _ in range(2)] == [True, False]
    assert await store.links.all() == []


async def test_session_rotates_only_from_its_current_generation_and_once_under_concurrency(store: Store) -> None:
    assert await store.sessions.add(SESSION)
    assert not await store.sessions.add(SESSION)
    rotated = [SESSION.rotated(f"c{number}") for number in range(5)]
    assert sorted(await asyncio.gather(*(store.sessions.rotate(SESSION, one) for one in rotated))) == [False] * 4 + [True]
    assert await store.sessions.get("s1") in rotated
    assert not await store.sessions.rotate(SESSION, SESSION.rotated("d"))
    assert [await store.sessions.remove("s1") for _ in range(2)] == [True, False]
    assert not await store.sessions.rotate(SESSION, SESSION)


async def test_sessions_of_a_user_are_returned_oldest_first(store: Store) -> None:
    for at, user in enumerate(("alice", "bob", "alice")):
        await store.sessions.add(replace(SESSION, id=f"s{9 - at}", user=user, created_ms=START_MS + at))
    assert [one.id for one in await store.sessions.by_user("alice")] == ["s9", "s7"]
    assert await store.sessions.by_user("carol") == []


async def test_revocations_are_returned_after_they_are_written_whatever_the_writers_clock(store: Store) -> None:
    mark, written = 0, list[str]()
    for number, at_ms in enumerate((START_MS, START_MS - 86_400_000, START_MS + 86_400_000, START_MS - 1)):
        one = Revocation(f"session:{number}", at_ms, FAR_MS)
        await store.sessions.revoke(one)
        await store.sessions.revoke(replace(one, at_ms=at_ms + 9))
        found, mark = await store.sessions.revocations(mark)
        assert one in found
        written.append(one.id)
    assert [one.id for one in (await store.sessions.revocations(0))[0]] == written
    assert (await store.sessions.revocations(mark))[1] == mark


def event(number: int, **more: Any) -> AuditEvent:
    defaults = {
        "action": "command",
        "actor_kind": "person",
        "actor": "alice",
        "address": "::1",
        "target": "a",
        "details": {"command": "on"},
    }
    return AuditEvent(ObjectId(f"{number:024x}"), START_MS + number, **(defaults | more))


async def test_audit_events_are_found_by_action_actor_and_target_newest_first(store: Store) -> None:
    events = [event(1), event(2, actor="bob", count=3), event(3, action="login", target="")]
    await store.audit.add(events)
    await store.audit.add([event(1, actor="other"), event(4, details={})])
    await store.audit.add([])
    assert await store.audit.find(AuditQuery()) == [event(4, details={}), *reversed(events)]

    async def found(**query: Any) -> list[int]:
        return [int(str(one.id), 16) for one in await store.audit.find(AuditQuery(**query))]

    assert await found(actor="alice", limit=2) == [4, 3]
    assert await found(action="command", target="a", before=events[1].id) == [1]
    assert await found(action="login", actor="bob") == []


@pytest.mark.parametrize("name", ["$where", "a.b", "x\0y", "' OR 1=1 --", "$gt"])
async def test_hostile_texts_are_treated_as_plain_texts(store: Store, name: str) -> None:
    assert await store.users.get(name) is None
    assert await store.keys.get(name) is None
    assert await store.sessions.by_user(name) == []
    assert await store.audit.find(AuditQuery(action=name, actor=name, target=name)) == []
    await store.audit.add([event(7, target=name, details={"command": name})])
    assert [one.details for one in await store.audit.find(AuditQuery(target=name))] == [{"command": name}]


async def test_put_if_absent_keeps_the_first_value_under_concurrency(store: Store) -> None:
    assert len(set(await asyncio.gather(*(store.put_if_absent("k", f"v{number}") for number in range(5))))) == 1
    first = await store.put_if_absent("k", "later")
    assert await store.get("k") == first != "later"


async def test_audit_beyond_its_limit_loses_refusals_first_and_then_the_oldest_events(opened: Opener) -> None:
    def at_once(number: int, **more: Any) -> AuditEvent:
        return replace(event(number, **more), at_ms=time.time_ns() // 1_000_000)

    done = [at_once(number) for number in range(1, 31)]
    refused = [at_once(number, action="refused") for number in range(31, 1_231)]
    refused += [
        at_once(1_231, action="login refused"),
        at_once(1_232, action="login delayed"),
        at_once(1_233, action="command refused"),
    ]
    async with opened(audit_limit=31) as store:
        await store.audit.add(done + refused)
        assert await store.enforce_retention() == RetentionResult(audit_over=1_202)
        assert await store.audit.find(AuditQuery()) == [refused[-1], *reversed(done)]
        assert await store.enforce_retention() == RetentionResult()
    async with opened(audit_limit=5) as store:
        assert (await store.enforce_retention()).audit_over == 26
        assert await store.audit.find(AuditQuery()) == [*reversed(done[-5:])]


@pytest.mark.parametrize("opened", ["sqlite"], indirect=True)
async def test_enforce_retention_removes_expired_sessions_revocations_and_audit_events(opened: Opener) -> None:
    """MongoDB expires them by itself."""
    async with opened(audit_days=1) as store:
        await store.sessions.add(replace(SESSION, expires_ms=START_MS))
        await store.sessions.revoke(Revocation("session:0", START_MS, START_MS))
        await store.audit.add([event(1)])
        await store.enforce_retention()
        assert await store.sessions.get("s1") is None
        assert (await store.sessions.revocations(0))[0] == []
        assert await store.audit.find(AuditQuery()) == []
