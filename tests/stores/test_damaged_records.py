"""Documents that were damaged in the database: they are left out, and everything else is read."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson.objectid import ObjectId

from bridge.core.access.accounts import ApiKey, LoginSession, User
from bridge.core.access.audit import AuditEvent, AuditQuery
from bridge.core.access.permissions import IdentityKind, Permission, ResourceScope, Role
from bridge.core.access.shared_links import SharedLink
from bridge.core.alarms.delivery import AlarmDelivery, AlarmMember, DeliveryKind, PushSubscription
from bridge.core.devices.command import Command
from bridge.core.devices.device import Device
from bridge.core.devices.named_location import NamedLocation
from bridge.core.devices.note import Note
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.query import CommandsQuery
from bridge.ports import BridgeRecord, Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

AT, FAR = 1_767_000_000_000, 4_000_000_000_000
DELIVERY = AlarmDelivery(
    id="d", target="t", kind=DeliveryKind.RAISED, group="g", priority="high", rule="r", site=None, created_ms=FAR,
    members=(AlarmMember("a", "b", "hall"),), due_ms=AT, title="T", body="B", alarms=({"deviceId": "hall"},),
)  # fmt: skip
SCOPE = ResourceScope(frozenset({"hall"}))
COLLECTIONS = (
    "users",
    "keys",
    "links",
    "sessions",
    "notes",
    "devices",
    "locations",
    "push",
    "profiles",
    "commands",
    "deliveries",
    "bridges",
)
DAMAGES: tuple[object, ...] = (None, "x", -1, 1e308, [], {}, 10**18, True)


def with_field(field: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document | {field: value}


@dataclass
class Damaging:
    """A store, and a function that adds a copy of the only document of a collection after a change."""

    store: Store
    add: Callable[[str, str | ObjectId, Callable[[dict[str, Any]], object]], None]
    fields: Callable[[str], Iterator[str]]


def sqlite_damaging(store: Store, path: Path) -> Damaging:
    def row_of(table: str) -> dict[str, Any]:
        with sqlite3.connect(path) as connection:
            connection.row_factory = sqlite3.Row
            return dict(connection.execute(f"select * from {table} where id not like 'damaged%'").fetchone())  # noqa: S608

    def add(table: str, key: str | ObjectId, change: Callable[[dict[str, Any]], object]) -> None:
        row = row_of(table)
        changed = change(json.loads(row["document"]))
        row |= {
            "id": key if isinstance(key, str) else key.binary,
            "document": changed if isinstance(changed, str) else json.dumps(changed),
        }
        with sqlite3.connect(path) as connection:
            connection.execute("pragma synchronous = off")
            marks = ", ".join("?" * len(row))
            connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))  # noqa: S608

    return Damaging(store, add, lambda table: iter(json.loads(row_of(table)["document"])))


def mongo_damaging(store: Store, database: pymongo.database.Database[dict[str, Any]]) -> Damaging:
    def document_of(name: str) -> dict[str, Any]:
        found = database[name].find_one({"_id": {"$not": {"$regex": "^damaged"}}})
        assert found is not None
        return found

    def add(name: str, key: str | ObjectId, change: Callable[[dict[str, Any]], object]) -> None:
        changed = change(document_of(name))
        whole: dict[str, Any] = changed if isinstance(changed, dict) else {"value": changed}
        indexed: dict[str, Any] = {one: document_of(name)[one] for one in ("user", "device") if one in document_of(name)}
        database[name].insert_one({**whole, **indexed, "_id": key})

    return Damaging(store, add, lambda name: (one for one in document_of(name) if one not in ("_id", "user", "device")))


@pytest.fixture(params=["sqlite", "mongodb"])
async def damaging(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Damaging]:
    path = tmp_path / "bridge.db"
    url = f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("mongo_url")
    async with open_store(StoreSettings(url=url)) as store:
        await store.prepare()
        await store.users.add(User("alice", Role.VIEWER, "hash", SCOPE, AT))
        rights = frozenset({Permission.READ})
        await store.keys.add(ApiKey("0f" * 8, "key", IdentityKind.PROGRAM, rights, "ab", SCOPE, AT, FAR, "person:alice"))
        await store.links.add(SharedLink("1f" * 8, "Hall", "#/", "cd", SCOPE, AT, FAR, "person:alice"))
        await store.sessions.add(LoginSession("2f" * 12, "alice", "ef", "01", AT, FAR))
        await store.notes.add(Note("3f" * 12, "hall", AT, "window opened", "alice", AT, "co2"))
        await store.devices.save([Device("hall", "Hall", site="S", status="online", status_ms=AT, created_ms=AT)])
        await store.locations.add(NamedLocation("l", "L", "S", "R", {"floor": 1}, AT))
        await store.push.add(PushSubscription("4f" * 12, "alice", "https://push.example", "p", "a", AT))
        await store.profiles.save({"hall": DeviceProfile({"a": True}, {"co2": "a"}, 60, None, {"co2": "ppm"})})
        await store.commands.add(Command("5f" * 8, "hall", "on", True, "alice", FAR, FAR))
        await store.deliveries.add([DELIVERY])
        await store.bridges.save(BridgeRecord("6f" * 8, "host", 1, AT, report={"a": 1}))
        if request.param == "sqlite":
            yield sqlite_damaging(store, path)
        else:
            yield mongo_damaging(store, request.getfixturevalue("database"))


async def read(store: Store) -> dict[str, list[Any]]:
    """Everything, as a bridge reads and shows it."""
    found: dict[str, list[Any]] = {
        "users": await store.users.all(),
        "keys": await store.keys.all(),
        "links": await store.links.all(),
        "sessions": await store.sessions.by_user("alice"),
        "notes": await store.notes.by_device("hall"),
        "devices": await store.devices.all(1000),
        "locations": await store.locations.all(1000),
        "push": await store.push.by_user("alice"),
        "commands": await store.commands.find(CommandsQuery()),
        "deliveries": await store.deliveries.due("t", FAR, 1000),
        "bridges": await store.bridges.all(1000),
    }
    for records in found.values():
        for one in records:
            if hasattr(one, "public"):
                json.dumps(one.public())
    for device in found["devices"]:
        device.silence_ms()
    return found | {"profiles": list((await store.profiles.all(1000)).items())}


async def test_damaged_documents_are_left_out_and_named_once(damaging: Damaging, caplog: pytest.LogCaptureFixture) -> None:
    whole = await read(damaging.store)
    assert all(len(records) == 1 for records in whole.values())
    for name in COLLECTIONS:
        damaging.add(name, "damaged", lambda _document: "{oops")
        damaging.add(name, "damaged list", lambda _document: "[]")
    with caplog.at_level(logging.ERROR, "bridge.stores"):
        for _ in range(2):
            found = await read(damaging.store)
            for name in ("users", "keys", "links", "sessions", "notes", "locations", "push"):
                assert found[name] == whole[name], name
            assert await damaging.store.users.get("damaged") is None
            assert await damaging.store.notes.get("damaged") is None
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "document 'damaged' of links is damaged (KeyError)" in one]) == 1
    assert len([one for one in said if "'damaged" in one and " of users " in one]) == 2


async def test_record_with_any_field_of_another_type_is_read_or_left_out(damaging: Damaging) -> None:
    for name in COLLECTIONS:
        damages = [(field, value) for field in damaging.fields(name) for value in DAMAGES]
        for number, (field, value) in enumerate(damages):
            damaging.add(name, f"damaged {number}", with_field(field, value))
    found = await read(damaging.store)
    assert {one.id for one in found["devices"]} > {"hall"}
    assert all(records for records in found.values())
    for note in found["notes"]:
        assert (type(note.at_ms), type(note.text), type(note.by)) == (int, str, str), note
    for user in found["users"]:
        assert isinstance(user.scope, ResourceScope | None)
        assert type(user.password) is str


async def test_store_with_damaged_users_only_is_not_taken_for_one_without_users(damaging: Damaging) -> None:
    damaging.add("users", "damaged", lambda _document: "{oops")
    assert await damaging.store.users.remove("alice")
    assert await damaging.store.users.all() == []
    assert await damaging.store.users.has_any()


async def test_damaged_audit_events_are_left_out_and_do_not_end_a_page(damaging: Damaging) -> None:
    store = damaging.store
    ids = [ObjectId(f"{number:024x}") for number in range(1, 4)]
    await store.audit.add([AuditEvent(one, AT, "login", "person", "alice", "::1", "", {"a": "b"}) for one in ids])
    for number, (field, value) in enumerate((("more", "x"), ("times", None), ("address", 5), ("more", {"a": 1}))):
        damaging.add("audit", ObjectId(f"{9 + number:024x}"), with_field(field, value))
    newest = await store.audit.find(AuditQuery(limit=2))
    assert [one.id for one in newest] == [ids[2], ids[1]]
    assert [one.id for one in await store.audit.find(AuditQuery(limit=2, before=ids[1]))] == [ids[0]]
    assert [one.public()["more"] for one in newest] == [{"a": "b"}] * 2
