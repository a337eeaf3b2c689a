"""The house: which room may import which, where each library lives, and the private names of libraries that we reach for."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import aiomqtt
import pytest
import socketio

from bridge.realtime.socketio.direct import ClientManager
from tests.servers import REPO

PACKAGE = REPO / "bridge"

# What a room may import of the house, besides itself. A name without a dot behind it means the room and all in it.
INNER = {"bridge.core", "bridge.ports"}
ADAPTER = INNER | {"bridge.settings", "bridge.intake", "bridge.settlement", "bridge.backoff"}
ROOMS: dict[str, set[str]] = {
    "bridge.core": set(),
    "bridge.ports": {"bridge.core"},
    "bridge.backoff": set(),
    "bridge.intake": {"bridge.core"},
    "bridge.settlement": {"bridge.core"},
    "bridge.pipeline": INNER | {"bridge.intake", "bridge.backoff"},
    "bridge.settings": {"bridge.core"},
    "bridge.loading": {"bridge.core", "bridge.settings"},
    "bridge.sources": ADAPTER,
    "bridge.stores": ADAPTER,
    "bridge.realtime": ADAPTER,
    "bridge.access": INNER | {"bridge.settings"},
    "bridge.api": INNER
    | {
        "bridge.settings",
        "bridge.settlement",
        "bridge.realtime",
        "bridge.sources",
        "bridge.access",
        "bridge.registry",
        "bridge.retrying",
        "bridge",
    },
    "bridge.keeping": INNER,
    "bridge.registry": INNER | {"bridge.settings"},
    "bridge.commands": INNER | {"bridge.settings", "bridge.registry", "bridge.backoff"},
    "bridge.quarantine": INNER | {"bridge.settings", "bridge.stores"},
    "bridge.retrying": ADAPTER | {"bridge.pipeline", "bridge.quarantine", "bridge.registry"},
    "bridge.recordfile": {"bridge.core"},
    "bridge.transfer": INNER | {"bridge.settings", "bridge.stores", "bridge.pipeline", "bridge.recordfile"},
    "bridge.app": ADAPTER | {"bridge.parts", "bridge.pipeline", "bridge.sources", "bridge.stores", "bridge.api"},
    "bridge.parts": ADAPTER
    | {
        "bridge.pipeline",
        "bridge.keeping",
        "bridge.registry",
        "bridge.retrying",
        "bridge.commands",
        "bridge.sources",
        "bridge.stores",
        "bridge.realtime",
        "bridge.access",
        "bridge.api",
    },
    "bridge.embedded": {"bridge.core"},
    "bridge.simulator": {"bridge.core", "bridge.settings", "bridge.sources"},
    "bridge.check": {"bridge.core", "bridge.settings", "bridge.loading", "bridge.sources", "bridge.stores", "bridge.app"},
    "bridge.demo": {"bridge.core", "bridge.settings", "bridge.app", "bridge.embedded", "bridge.simulator"},
    "bridge.tail": {"bridge.core"},
    "bridge.asking": {"bridge.core"},
    "bridge.mapping": {"bridge.core", "bridge.settings", "bridge.sources"},
    "bridge.bench": {"bridge", "bridge.core", "bridge.settings", "bridge.asking", "bridge.embedded"},
    "bridge.probe": {"bridge", "bridge.core", "bridge.settings", "bridge.sources", "bridge.asking", "bridge.bench"},
    "bridge.cli": {
        "bridge",
        "bridge.core",
        "bridge.settings",
        "bridge.app",
        "bridge.asking",
        "bridge.bench",
        "bridge.check",
        "bridge.cli_access",
        "bridge.cli_devices",
        "bridge.cli_kept",
        "bridge.cli_loop",
        "bridge.demo",
        "bridge.loading",
        "bridge.mapping",
        "bridge.probe",
        "bridge.simulator",
        "bridge.tail",
    },
    "bridge.cli_kept": {
        "bridge.core",
        "bridge.cli_loop",
        "bridge.loading",
        "bridge.parts",
        "bridge.quarantine",
        "bridge.recordfile",
        "bridge.retrying",
        "bridge.transfer",
    },
    "bridge.cli_access": {
        "bridge.core",
        "bridge.settings",
        "bridge.loading",
        "bridge.stores",
        "bridge.access",
        "bridge.cli_loop",
    },
    "bridge.cli_devices": {
        "bridge.core",
        "bridge.settings",
        "bridge.loading",
        "bridge.access",
        "bridge.cli_access",
        "bridge.cli_loop",
    },
    "bridge.cli_loop": {"bridge.core"},
    "bridge.__main__": {"bridge.cli"},
    "bridge": set(),
}

# The core is pure: no clock, no chance, no sockets, no loop, no log.
CORE_LIBRARIES = {"bson", "orjson", "pydantic"}
CORE_STANDARD = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "struct",
    "typing",
}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic"}

HOMES: dict[str, set[str]] = {
    "aiomqtt": {"bridge.sources.mqtt", "bridge.sources.mqtt_client"},
    "paho": {"bridge.sources.mqtt"},
    "motor": {"bridge.stores.mongo_driver"},
    "pymongo": {
        "bridge.stores.mongo",
        "bridge.stores.mongo_access",
        "bridge.stores.mongo_devices",
        "bridge.stores.mongo_driver",
        "bridge.stores.mongo_quarantine",
        "bridge.stores.mongo_straight",
        "bridge.stores.mongo_rollups",
    },
    "sqlite3": {"bridge.stores.sqlite_worker"},
    "socketio": {"bridge.realtime.socketio", "bridge.realtime.straight", "bridge.tail", "bridge.probe.ways_out"},
    "engineio": {"bridge.realtime.straight"},
    "amqtt": {"bridge.embedded"},
    "jwt": {"bridge.access.external", "bridge.access.tokens"},
    "pwdlib": {"bridge.access.passwords"},
    "typer": {"bridge.cli", "bridge.cli_access", "bridge.cli_devices", "bridge.cli_kept", "bridge.cli_loop"},
    "uvloop": {"bridge.cli_loop"},
    "pydantic_settings": {"bridge.loading"},
    "tomllib": {"bridge.loading"},
}


def modules() -> dict[str, str]:
    """Name and text of every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPO).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


MODULES = modules()


@cache
def imports(module: str, text: str) -> tuple[str, ...]:
    """Every module that `text`, the source of `module`, imports, wherever in it; relative ones made absolute."""
    return tuple(_imports(module, text))


def _imports(module: str, text: str) -> Iterator[str]:
    package = module if _is_package(module) else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{origin}.{alias.name}"
                yield inside if inside in MODULES else origin


def _is_package(module: str) -> bool:
    return (REPO / Path(*module.split(".")) / "__init__.py").exists()


def room_of(module: str) -> str | None:
    """The room a module stands in, by the longest name; the bare package is a room of one."""
    if module == "bridge":
        return module
    return max((room for room in ROOMS if room != "bridge" and f"{module}.".startswith(f"{room}.")), key=len, default=None)


def wrong_arrows(module: str, text: str) -> list[str]:
    """What `module` imports and may not."""
    room = room_of(module)
    assert room is not None, f"{module} stands in no room: give it one in the table above"
    wrong = []
    for imported in imports(module, text):
        library = imported.partition(".")[0]
        if library == "bridge":
            if room_of(imported) not in ROOMS[room] | {room}:
                wrong.append(f"{module} imports {imported}")
        elif module not in HOMES.get(library, {module}):
            wrong.append(f"{module} imports {imported}, whose home is {' and '.join(sorted(HOMES[library]))}")
        elif room == "bridge.core" and library not in CORE_LIBRARIES | CORE_STANDARD:
            wrong.append(f"{module} imports {imported}: the core is pure")
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_no_arrow_turns_the_wrong_way(module: str) -> None:
    assert wrong_arrows(module, MODULES[module]) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("bridge.core.reading", "import asyncio"),
        ("bridge.core.reading", "import time"),
        ("bridge.core.reading", "from random import random"),
        ("bridge.core.reading", "import logging"),
        ("bridge.core.reading", "from bridge.settings import Settings"),
        ("bridge.core.reading", "from ..settings import Settings"),
        ("bridge.core.reading", "from bridge import settings"),
        ("bridge.core.reading", "def late():\n    import socket"),
        ("bridge.ports", "from bridge.intake import Intake"),
        ("bridge.pipeline", "import bridge.stores.mongo"),
        ("bridge.sources.http", "from bridge.realtime.hub import Hub"),
        ("bridge.stores.sqlite", "from bridge.app import Bridge"),
        ("bridge.stores.sqlite", "import pymongo"),
        ("bridge.realtime.hub", "from bridge.api import build_api"),
        ("bridge.realtime.hub", "import socketio"),
        ("bridge.api.readings", "from bridge.stores import open_store"),
        ("bridge.api.readings", "from bridge.app import Bridge"),
        ("bridge.app", "from bridge import cli"),
        ("bridge.demo", "from bridge.cli import console"),
        ("bridge.pipeline", "from paho.mqtt import client"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, text: str) -> None:
    assert len(wrong_arrows(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("bridge.core.reading", "from bridge.core import timestamp"),
        ("bridge.core.reading", "from . import timestamp"),
        ("bridge.core.reading", "from .timestamp import iso"),
        ("bridge.api", "from . import cors"),
        ("bridge.sources.mqtt", "import aiomqtt, paho.mqtt.client, logging"),
    ],
)
def test_a_right_arrow_is_let_be(module: str, text: str) -> None:
    assert wrong_arrows(module, text) == []


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("bridge.core")])
def test_the_core_asks_no_clock(module: str) -> None:
    asked = [node.attr for node in ast.walk(ast.parse(MODULES[module])) if isinstance(node, ast.Attribute)]
    assert not CLOCKS & set(asked)


@pytest.mark.parametrize("library", HOMES)
def test_every_home_is_lived_in(library: str) -> None:
    used = {name for name, text in MODULES.items() if library in {one.partition(".")[0] for one in imports(name, text)}}
    assert used == HOMES[library]


def test_nobody_imports_the_command_line_but_its_entry() -> None:
    users = [name for name, text in MODULES.items() if "bridge.cli" in imports(name, text)]
    assert users == ["bridge.__main__"]


def test_only_its_users_import_the_composition_root() -> None:
    users = {name for name, text in MODULES.items() if {"bridge.app", "bridge.parts"} & set(imports(name, text))}
    assert users <= {"bridge.app", "bridge.cli", "bridge.cli_kept", "bridge.demo", "bridge.check"}
    assert {"bridge.app", "bridge.cli"} <= users


# --- private names of libraries --------------------------------------------------------------------------------------


async def test_aiomqtt_still_holds_a_paho_client_that_acknowledges_by_hand() -> None:
    client = aiomqtt.Client("localhost")
    assert list(inspect.signature(client._client.manual_ack_set).parameters) == ["on"]
    assert list(inspect.signature(client._client.ack).parameters) == ["mid", "qos"]


async def test_aiomqtt_still_puts_its_messages_into_the_queue_we_give_it() -> None:
    class OurQueue(asyncio.Queue[aiomqtt.Message]):
        pass

    client = aiomqtt.Client("localhost", queue_type=OurQueue)
    assert isinstance(client._queue, OurQueue)


def test_a_queue_still_keeps_its_items_in_a_deque_and_gets_them_by_get() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    queue.put_nowait(1)
    assert queue._queue == deque([1])  # type: ignore[attr-defined]
    assert queue._get() == 1


def test_a_manager_of_clients_still_connects_by_sid_and_namespace() -> None:
    connect = socketio.AsyncManager.connect
    assert inspect.iscoroutinefunction(connect)
    assert list(inspect.signature(connect).parameters) == ["self", "sid", "namespace"]
    assert list(inspect.signature(ClientManager.connect).parameters) == ["self", "sid", "namespace"]


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_server_still_tells_its_manager_after_it_sent_the_connect_packet(always_connect: bool) -> None:
    steps: list[str] = []

    async def joined(_: str) -> None:
        steps.append("joined")

    class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
        async def _send_packet(self, _: str, packet: socketio.packet.Packet) -> None:
            steps.append(socketio.packet.packet_names[packet.packet_type])

    server = Server(async_mode="aiohttp", client_manager=ClientManager(joined), always_connect=always_connect)
    server.on("connect", lambda _sid, _environ, _auth: None)
    server.environ["engine"] = {}
    await server._handle_connect("engine", "/", None)
    assert steps == ["CONNECT", "joined"]


def test_the_plan_of_the_house_is_short_and_names_files_that_are_there() -> None:
    plan = (REPO / "ARCHITECTURE.md").read_text()
    assert len(plan.splitlines()) <= 120
    there = {path.name for folder in (PACKAGE, REPO / "tests") for path in folder.rglob("*.py")}
    assert set(re.findall(r"`(?:[a-z_]+/)*([a-z_]+\.py)`", plan)) <= there
