"""Injection of operators, dotted names, NUL and `__proto__` through every input: none reaches a query or a stored key."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pymongo
import pytest

from bridge.sources.mqtt.client import mqtt_sender
from tests.access.parts import PASSWORD, Guarded, guarded
from tests.access.ways import SOCKET_IO, bearer, connect_packet, opened, received
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import until

INSIDE = "1nj3ct10n"
"""A mark that is only inside values that should have been a text or a number."""

VALUES: tuple[Any, ...] = (
    {"$gt": INSIDE},
    {"$ne": [INSIDE]},
    {"$where": f"sleep(100) || '{INSIDE}'"},
    {"$regex": INSIDE, "$options": "i"},
    {"$set": {"role": INSIDE}},
    {f"a.{INSIDE}": 1},
    {f"a\0{INSIDE}": 1},
    {"__proto__": {"rights": INSIDE}},
    [{"$gt": INSIDE}],
)
NAMES = ("$where", "$gt", "a.b", "$set.role", "a\0b", "__proto__", "readings.$[]", "")
TEXTS = ("$where", "[$ne]", "{$gt: 1}", '{"$gt": ""}', "a.b", "a\0b", "__proto__", "' OR 1=1 --", "%")
WAIT_SECONDS = 0.3


@pytest.fixture(params=["mongo", "sqlite"])
async def kept(
    request: pytest.FixtureRequest, start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Guarded, Callable[[], Iterator[Any]], Callable[[], list[Any]]]]:
    """A bridge, the contents of its store, and the commands that the store received."""
    if request.param == "sqlite":
        async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
            yield made, lambda: in_sqlite(tmp_path / "bridge.db"), list
        return
    url = request.getfixturevalue("mongo_url")
    database = request.getfixturevalue("database")
    database.create_collection("system.profile", capped=True, size=64 * 1024 * 1024)
    database.command("profile", 2)
    async with guarded(start_bridge, broker_url, url) as made:
        yield made, lambda: in_mongo(database), lambda: asked_of(database)
    database.command("profile", 0)


def in_mongo(database: pymongo.database.Database[dict[str, Any]]) -> Iterator[Any]:
    for name in database.list_collection_names():
        if not name.startswith("system."):
            yield from database[name].find()


def asked_of(database: pymongo.database.Database[dict[str, Any]]) -> list[Any]:
    """The parts of commands that select documents; written values are checked in the store."""
    written = ("documents", "u", "updates")
    found = [one.get("command", {}) for one in database["system.profile"].find()]
    found = [{name: part for name, part in one.items() if name not in written} for one in found]
    assert len(found) > 100
    return found


def in_sqlite(path: Path) -> Iterator[Any]:
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own names
            names = [one[0] for one in rows.description]
            for row in rows:
                for name, cell in zip(names, row, strict=True):
                    if name != "payload" and isinstance(cell, str | bytes) and cell[:1] in ("{", b"{", "[", b"["):
                        yield {name: orjson.loads(cell)}  # payloads are quarantined messages, unchanged


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            if name == "extra" and isinstance(one, dict):  # its names are paths in a payload, where no operator may stand
                yield from (step for path in one for step in path.split(".") if INSIDE not in step)
            else:
                yield from keys_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from keys_in(one)


def is_odd(name: str) -> bool:
    return name.startswith("$") or "." in name or "\0" in name or name == "__proto__" or INSIDE in name


# --- the ways in ---------------------------------------------------------------------------------------------------------


async def by_mqtt(made: Guarded, broker_url: str) -> None:
    async with mqtt_sender(patient(broker_url)) as sender:
        for n, body in enumerate(bodies("temperature", humidity=40, timestamp=1_767_000_100)):
            for topic in ("sensors/a.b/data", f"sensors/d{n}/data", "sensors/$where/data"):
                await sender.publish(topic, body)
        for field, topic in (("status", "sensors/a.b/status"), ("id", "sensors/a.b/command/ack"), ("level", "events/alerts")):
            for body in bodies(field, ok=True):
                await sender.publish(topic, body)
    line = made.bridge.ledger.account("mqtt")
    await until(lambda: line.received > 0 and not line.waiting, what="settled")


def bodies(field: str, **more: object) -> list[bytes]:
    """Bodies with each value in each field, and with each name."""
    made = [orjson.dumps({**more, field: value}) for value in VALUES]
    return made + [orjson.dumps({**more, name: value}) for name in NAMES for value in (1, "x", VALUES[0])]


async def by_http(made: Guarded, _: str) -> None:
    for body in bodies("temperature", deviceId="web", humidity=40, timestamp=1_767_000_200) + bodies("deviceId", temperature=1):
        for path in ("/api/v1/readings", "/api/ingest"):
            await answered(made, "POST", path, body)
    for field in ("name", "site", "expectedInterval", "tipo", "id"):
        for body in bodies(field):
            await answered(made, "POST", "/api/v1/devices", body.replace(b"{", b'{"id": "made",', 1))
            await answered(made, "PATCH", "/api/v1/devices/stove", body)
    for field in ("command", "value", "id", "expires", "queue"):
        for body in bodies(field, command="on", queue=True):
            await answered(made, "POST", "/api/v1/devices/stove/commands", body)
    for body in bodies("level", text="x"):
        await answered(made, "POST", "/api/v1/events/alerts", body)


async def by_query(made: Guarded, _: str) -> None:
    calls = {
        "/api/v1/readings": ("device", "from", "to", "limit", "since", "fields", "every", "points"),
        "/api/v1/devices": ("q", "site", "limit", "after", "status"),
        "/get_telemetry": ("device",),
        "/api/v1/rejected": ("code", "topic", "device", "limit"),
        "/api/v1/audit": ("act", "by", "about", "before"),
        "/api/v1/ws/test-event": ("channel", "message"),
    }
    for path, names in calls.items():
        for name in names:
            method = "POST" if "event" in path else "GET"
            for text in TEXTS:
                await answered(made, method, f"{path}?{name}={quote(text, safe='')}")
            for operator in ("[$ne]", "[$gt]", ".$where", "[]", "[__proto__]"):
                await answered(made, method, f"{path}?{quote(name + operator)}={INSIDE}")
    for text in TEXTS:
        named = quote(text, safe="")
        for path in (
            "/api/v1/devices/{}",
            "/api/v1/devices/{}/commands",
            "/api/v1/devices/stove/commands/{}",
            "/api/v1/ws/stats/{}",
        ):
            await answered(made, "GET", path.format(named))
        await answered(made, "PATCH", f"/api/v1/devices/{named}", b'{"name": "x"}')
        await answered(made, "DELETE", f"/api/v1/devices/{named}")


async def by_login(made: Guarded, _: str) -> None:
    for path, fields in (("/auth/login", ("username", "password")), ("/auth/refresh", ("refresh_token",))):
        for field in fields:
            for body in bodies(field, **({"username": "admin", "password": "x" * 12} if "login" in path else {})):
                await answered(made, "POST", path, body, who=None)


async def by_accounts(made: Guarded, _: str) -> None:
    for path, fields in (
        ("/api/v1/users", ("name", "password", "role", "devices", "sites")),
        ("/api/v1/keys", ("name", "rights", "devices", "sites", "device", "days")),
    ):
        for field in fields:
            for body in bodies(field, **({"name": "n1", "password": PASSWORD} if path.endswith("users") else {"name": "n1"})):
                await answered(made, "POST", path, body)
        for text in TEXTS:
            await answered(made, "DELETE", f"{path}/{quote(text, safe='')}")


async def answered(made: Guarded, method: str, path: str, body: bytes | None = None, who: str | None = "admin") -> None:
    """Any status below 500."""
    status, found, _ = await made.ask(method, path, made.showing(who) if who else None, body)
    assert status < 500, (method, path, body, found)


async def by_subscribing(made: Guarded, _: str) -> None:
    asked = [{field: value} for field in ("devices", "since", "limit", "every") for value in (*VALUES, *TEXTS)]
    asked += [{"devices": [value]} for value in (*VALUES, *TEXTS)]
    sent = [("subscribe", one) for one in asked]
    sent += [("sendCommand", {"device": "stove", "command": "on", "queue": True, field: value})
             for field in ("device", "command", "value", "id") for value in VALUES]  # fmt: skip
    for some in _parts(sent):
        async with opened(made.bridge, SOCKET_IO) as socket:
            assert (await connect_packet(socket, made.tokens["admin"]))[0] == "40"
            for n, (event, body) in enumerate(some):
                await socket.send(f"42{n}" + orjson.dumps([event, body]).decode())
                while not (await received(socket)).startswith(f"43{n}"):
                    pass
    topics = [{"type": "subscribe", "topics": value} for value in (*VALUES, *TEXTS)]
    topics += [{"type": value} for value in (*VALUES, *TEXTS)] + [{name: "x", "type": "subscribe"} for name in NAMES]
    for path in ("/ws", "/api/v1/ws?channel=readings"):
        async with opened(made.bridge, path, headers=bearer(made.tokens["admin"])) as socket:
            for body in topics:
                await socket.send(orjson.dumps(body).decode())
            await socket.send('{"type": "ping"}')
            while '"pong"' not in await received(socket):
                pass


async def by_device_sockets(made: Guarded, _: str) -> None:
    messages = [orjson.loads(one) for one in bodies("temperature", humidity=40, timestamp=1_767_000_300)]
    for some in _parts(messages):
        async with opened(made.bridge, "/ws/device", headers=bearer(made.keys["hall"])) as socket:
            for n, body in enumerate(some):
                await socket.send(orjson.dumps({"type": "telemetry", "status": "on", **body, "servo": n}).decode())
                upper = {"type": "TELEMETRY", "payload": {"device_id": "hall", **body}}
                await socket.send(orjson.dumps(upper).decode())
            await asyncio.sleep(WAIT_SECONDS)  # accepted messages are not answered
    for value in (*VALUES, *TEXTS):
        for first in (
            {"type": "AUTH", "payload": {"token": value}}, {"type": "AUTH", "payload": value}, {"type": value},
            {"type": "auth", "name": value, "password": value}, {"type": "auth", "token": value},
        ):  # fmt: skip
            async with opened(made.bridge, "/ws/device") as socket:
                await socket.send(orjson.dumps(first).decode())


def _parts(everything: list[Any], size: int = 40) -> Iterator[list[Any]]:
    """The message limit of a socket."""
    edges = [*range(0, len(everything), size), len(everything)]
    return (everything[start:end] for start, end in pairwise(edges))


WAYS: dict[str, Callable[[Guarded, str], Awaitable[None]]] = {
    one.__name__: one
    for one in (by_mqtt, by_http, by_query, by_login, by_accounts, by_subscribing, by_device_sockets)
}  # fmt: skip


async def test_input_never_becomes_a_query_operator_or_key(
    kept: tuple[Guarded, Callable[[], Iterator[Any]], Callable[[], list[Any]]], broker_url: str
) -> None:
    made, stored, asked = kept
    for way in WAYS.values():
        await way(made, broker_url)
    await asyncio.sleep(2)  # registry and audit log are written once a second
    keys = {name for one in stored() for name in keys_in(one)}
    assert {"act", "state", "role"} <= keys
    assert {name for name in keys if is_odd(name)} == set()
    for one in asked():
        assert INSIDE not in str(one)
        assert "$where" not in set(keys_in(one))


async def test_planted_operator_is_found(database: pymongo.database.Database[dict[str, Any]]) -> None:
    database.create_collection("system.profile", capped=True, size=1024 * 1024)
    database.command("profile", 2)
    database["devices"].insert_one({"state": {"$where": 1, "a.b": 2}})
    for _ in range(101):
        database["devices"].find_one({"name": {"$gt": INSIDE}})
    assert {name for one in in_mongo(database) for name in keys_in(one) if is_odd(name)} == {"$where", "a.b"}
    assert INSIDE in str(asked_of(database))
