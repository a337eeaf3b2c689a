"""The contract of every store for devices and commands; the in-memory store too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.core.devices.command import Command, CommandState
from bridge.core.devices.device import Device, ReportingInterval
from bridge.core.message import DeviceStatus
from bridge.core.query import CommandsQuery
from bridge.ports import Store
from bridge.stores.documents import DocumentCollection
from tests.fakes import MemoryStore
from tests.stores.test_store_contract import START_MS, Opener, opened

__all__ = ["opened"]


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


FULL = Device(
    "esp32-1",
    name="Küche",
    type="air",
    site="Maison",
    room="Bureau",
    expected_seconds=2.5,
    attributes={"tipo": "MQ-135", "modelo": {"rev": [1, 2.5, None, True]}, "größe": 2**62},
    state={"servo1": 90, "status": "работает"},
    status="online",
    status_ms=START_MS,
    connection="socket",
    last_seen_ms=START_MS + 5,
    created_ms=START_MS - 7,
    reporting_interval=ReportingInterval(9.75, 12),
)


async def test_device_is_returned_unchanged(store: Store) -> None:
    await store.devices.save([FULL, Device("b", created_ms=START_MS)])
    assert await store.devices.all(10) == [Device("b", created_ms=START_MS), FULL]
    assert await store.devices.all(1) == [Device("b", created_ms=START_MS)]
    assert await store.devices.get("esp32-1") == FULL
    assert await store.devices.get("nobody") is None


async def test_device_saved_again_replaces_the_stored_one(store: Store) -> None:
    await store.devices.save([FULL])
    await store.devices.save([Device("esp32-1", created_ms=START_MS)])
    await store.devices.save([])
    assert await store.devices.all(10) == [Device("esp32-1", created_ms=START_MS)]


async def test_written_status_becomes_the_status_of_the_device(store: Store) -> None:
    await store.devices.save([FULL])
    await store.write([], [], [DeviceStatus("esp32-1", "offline", START_MS + 9), DeviceStatus("new", "online", START_MS)])
    new, full = sorted(await store.devices.all(10), key=lambda one: one.id, reverse=True)
    assert (full.status, full.status_ms, full.name) == ("offline", START_MS + 9, "Küche")
    assert (new.id, new.status, new.created_ms) == ("new", "online", START_MS)


async def test_device_is_removed_once_and_removing_it_again_is_harmless(store: Store) -> None:
    await store.devices.save([FULL, Device("b")])
    for _ in range(2):
        await store.devices.remove("esp32-1")
    assert [one.id for one in await store.devices.all(10)] == ["b"]


def command(name: str, at: int = 0, **more: object) -> Command:
    created = Command(name, "a", "servo1", "90", "desk", START_MS + at, START_MS + at + 60_000, changed_ms=START_MS + at)
    return created if not more else Command(**{field: getattr(created, field) for field in created.__slots__} | more)


@pytest.mark.parametrize("value", ["90", "", 90, 0, 1.5, True, None])
async def test_command_is_returned_unchanged(store: Store, value: object) -> None:
    one = command("c1", value=value, state=CommandState.FAILED, error="no", sent_ms=START_MS + 3)
    assert await store.commands.add(one) == one
    assert await store.commands.get("a", "c1") == one
    assert await store.commands.get("a", "c2") is None


async def test_second_command_of_the_same_id_is_not_added(store: Store) -> None:
    first = await store.commands.add(command("c1"))
    assert await store.commands.add(command("c1", command="other")) == first
    assert await store.commands.find(CommandsQuery()) == [first]


async def test_commands_are_found_by_device_and_state_newest_first(store: Store) -> None:
    for at in range(6):
        await store.commands.add(command(f"c{at}", at, device_id="ab"[at % 2]))
    sent = command("c2", 2, state=CommandState.SENT, sent_ms=START_MS + 9, bridge="b")
    assert await store.commands.change(sent, CommandState.QUEUED)

    async def found(**query: Any) -> list[str]:
        return [one.id for one in await store.commands.find(CommandsQuery(**query))]

    assert await found() == ["c5", "c4", "c3", "c2", "c1", "c0"]
    assert await found(device="a", limit=2) == ["c4", "c2"]
    assert await found(state=CommandState.QUEUED, device="a") == ["c4", "c0"]
    assert await store.commands.find(CommandsQuery(state=CommandState.SENT)) == [sent]


async def test_one_of_several_concurrent_changes_of_a_command_succeeds(opened: Opener) -> None:
    async with opened() as one, opened() as other:
        await one.prepare()
        for n in range(20):
            name = f"c{n}"
            await one.commands.add(command(name))
            tried = [command(name, state=CommandState.SENT, bridge=str(who)) for who in range(6)]
            stores = (one, other, one, other, other, one)
            done = await asyncio.gather(
                *(store.commands.change(each, CommandState.QUEUED) for store, each in zip(stores, tried, strict=True))
            )
            assert sorted(done) == [False] * 5 + [True]
            assert await other.commands.get("a", name) == tried[done.index(True)]


async def test_missing_command_and_command_in_another_state_are_not_changed(store: Store) -> None:
    assert not await store.commands.change(command("c1", state=CommandState.SENT), CommandState.QUEUED)
    assert await store.commands.get("a", "c1") is None
    one = await store.commands.add(command("c1", state=CommandState.CONFIRMED))
    assert not await store.commands.change(command("c1", state=CommandState.FAILED), CommandState.SENT)
    assert await store.commands.get("a", "c1") == one


async def test_commands_of_two_devices_may_have_the_same_id(store: Store) -> None:
    first, other = command("c1"), command("c1", device_id="b", command="other", state=CommandState.SENT)
    assert [await store.commands.add(one) for one in (first, other)] == [first, other]
    assert [await store.commands.get(name, "c1") for name in ("a", "b", "c", "")] == [first, other, None, None]
    assert await store.commands.get("b", "a/c1") is None
    assert sorted(await store.commands.find(CommandsQuery()), key=lambda one: one.device_id) == [first, other]
    done = command("c1", device_id="b", command="other", state=CommandState.CONFIRMED)
    assert await store.commands.change(done, CommandState.SENT)
    assert [await store.commands.get(name, "c1") for name in ("a", "b")] == [first, done]


async def test_command_of_an_earlier_version_is_found_changed_and_not_repeated(opened: Opener) -> None:
    async with opened() as store:
        await store.prepare()
        early = command("c1")
        if isinstance(store, MemoryStore):
            return
        documents: DocumentCollection = store.commands._documents  # type: ignore[attr-defined]
        assert await documents.insert({"_id": "c1", **early.to_document()})
        assert await store.commands.get("a", "c1") == early
        assert await store.commands.get("b", "c1") is None
        assert await store.commands.find(CommandsQuery("a")) == [early]
        assert await store.commands.add(command("c1", command="other")) == early
        other = command("c1", device_id="b")
        assert await store.commands.add(other) == other
        sent = command("c1", state=CommandState.SENT)
        assert await store.commands.change(sent, CommandState.QUEUED)
        assert not await store.commands.change(sent, CommandState.QUEUED)
        assert [await store.commands.get(name, "c1") for name in ("a", "b")] == [sent, other]
        assert len(await store.commands.find(CommandsQuery())) == 2
