"""The contract of every store for notes; the in-memory store too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from bson.objectid import ObjectId

from bridge.core.devices import note as notes
from bridge.core.devices.note import DEVICE_LIMIT, Note
from bridge.ports import Store
from tests.stores.test_store_contract import START_MS, Opener, opened

__all__ = ["opened"]


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


def note(number: int, device_id: str = "hall", field: str | None = None) -> Note:
    identity = str(ObjectId(f"{number:024x}"))
    return Note(identity, device_id, START_MS + number, f"окно {number}\nopened", "ana", START_MS, field)


async def test_note_is_returned_unchanged_and_once_removed_never(store: Store) -> None:
    first, other, second = note(1), note(2, "attic/ключ", "co2"), note(3)
    for one in (first, other, second):
        await store.notes.add(one)
    assert await store.notes.get(other.id) == other
    assert await store.notes.by_device("hall") == [second, first]
    assert await store.notes.remove(first.id) is True
    assert await store.notes.remove(first.id) is False
    assert await store.notes.get(first.id) is None
    assert await store.notes.by_device("hall") == [second]
    assert await store.notes.by_device("cellar") == []


async def test_oldest_notes_are_deleted_beyond_the_limit_of_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("bridge.stores.documents", "tests.fakes"):
        monkeypatch.setattr(f"{module}.LIMIT", 2)
    for number in (1, 2, 3):
        await store.notes.add(note(number))
    assert await store.notes.by_device("hall") == [note(3), note(2)]
    assert notes.LIMIT > DEVICE_LIMIT
