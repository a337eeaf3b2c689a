"""The house: its rooms and arrows, its vocabulary, where each library lives, and the private names that we reach for."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

import aiomqtt
import pytest
import socketio

from bridge.realtime.socketio.direct import ClientManager
from tests.house import MODULES, PACKAGE, circle, graph, imports, layers, packages, room_of
from tests.servers import REPO

# What a room may import of the house, besides itself. `bridge` alone is the package: its version and nothing else.
INNER = {"core", "ports"}
ADAPTER = INNER | {"settings", "pipeline"}
ROOMS: dict[str, set[str]] = {
    "bridge": set(),
    "core": set(),
    "air": {"core"},
    "log": {"core"},
    "ports": {"core", "log"},
    "settings": {"core"},
    "pipeline": INNER,
    "sources": ADAPTER,
    "stores": ADAPTER | {"log"},
    "http": {"core", "settings"},
    "cluster": INNER | {"log", "pipeline"},
    "devices": INNER | {"settings"},
    "access": INNER | {"settings"},
    "alarms": INNER | {"air"},
    "analysis": INNER | {"alarms", "settings"},
    "mqtt_out": INNER | {"alarms", "settings"},
    "notify": INNER | {"alarms"},
    "realtime": ADAPTER | {"air", "http"},
    "maintenance": ADAPTER | {"cluster", "devices", "stores"},
    "api": ADAPTER
    | {"bridge", "access", "alarms", "analysis", "devices", "http", "maintenance", "notify", "realtime", "sources"},
    "wiring": ADAPTER
    | {
        "bridge",
        "access",
        "alarms",
        "analysis",
        "api",
        "cluster",
        "devices",
        "http",
        "log",
        "maintenance",
        "mqtt_out",
        "notify",
    }
    | {"realtime", "sources"},
    "app": ADAPTER | {"analysis", "api", "cluster", "devices", "http", "sources", "stores", "wiring"},
    "tools": {"bridge", "core", "settings", "sources"},
    "cli": ADAPTER
    | {"bridge", "access", "alarms", "analysis", "app", "cluster", "http", "log", "maintenance", "sources", "stores"}
    | {"tools", "wiring"},
    "__main__": {"cli"},
}

# Pure rooms, and pure modules of others: no clock, no chance, no sockets, no loop, no log.
PURE = {"air", "core", "log"}
PURE_ALARMS = (
    "actions", "co_dose", "conditions", "defaults", "floods", "fold", "kpis", "record", "rules",
    "rules_file.action_settings", "rules_file.action_tables", "rules_file.notify_settings", "rules_file.rule_tables", "scope",
    "states",
)  # fmt: skip
PURE_NOTIFY = ("merging", "planning", "texts")
PURE_MODULES = (
    "bridge.analysis.advice.policy",
    "bridge.analysis.advice.record",
    "bridge.analysis.advice.sentences",
    "bridge.analysis.anomaly",
    "bridge.analysis.forecast",
    "bridge.cluster.envelope",
    *(f"bridge.alarms.{name}" for name in PURE_ALARMS),
    *(f"bridge.notify.{name}" for name in PURE_NOTIFY),
)
CORE_LIBRARIES = {"bson", "cbor2", "google", "jinja2", "orjson", "ormsgpack", "pydantic"}
CORE_STANDARD = {
    "__future__",
    "base64",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "statistics",
    "struct",
    "typing",
    "unicodedata",
    "urllib",
    "zlib",
    "zoneinfo",
}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic"}

# Each library, and the modules or packages that alone may import it.
HOMES: dict[str, set[str]] = {
    "cbor2": {"bridge.core.binary"},
    "google": {"bridge.core.formats.encodings.sparkplug_payload"},
    "ormsgpack": {"bridge.core.binary"},
    "aiomqtt": {
        "bridge.sources.mqtt.bus",
        "bridge.sources.mqtt.connection",
        "bridge.sources.mqtt.client",
        "bridge.sources.mqtt.listener",
    },
    "paho": {"bridge.sources.mqtt"},
    "redis": {"bridge.cluster.redis_bus"},
    "motor": {"bridge.stores.mongo.driver"},
    "pymongo": {"bridge.stores.mongo"},
    "sqlite3": {"bridge.stores.sqlite.database_file", "bridge.stores.sqlite.worker"},
    "socketio": {"bridge.realtime.socketio", "bridge.tools"},
    "engineio": {"bridge.realtime.socketio"},
    "amqtt": {"bridge.tools.local_broker"},
    "jwt": {"bridge.access.oidc", "bridge.access.tokens"},
    "pwdlib": {"bridge.access.passwords"},
    "typer": {"bridge.cli"},
    "rich": {"bridge.cli", "bridge.tools"},
    "uvloop": {"bridge.cli.runner"},
    "dotenv": {"bridge.settings.loader.variables"},
    "pydantic_settings": {"bridge.settings.loader"},
    "jinja2": {"bridge.core.discovery.templates"},
    "tomllib": {"bridge.alarms.rules_file", "bridge.settings.loader"},
    "apprise": {"bridge.notify.apprise_target"},
    "pywebpush": {"bridge.notify.web_push"},
    "py_vapid": {"bridge.notify.web_push"},
    "tomlkit": {"bridge.cli.settings_file"},
}

# Words that once named things here and nowhere else, each with the field's term in style of MQTT, NATS, Centrifugo, OAuth.
FORMER_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        Wish EVERYTHING wants Audience Audiences Published Parcel Heard position floor catch_breath away_since Left Link
        StraightLink PlainLink Emits Wire Backlog Outbox Forms Incoming FrameReader Talk greet hear forget attend converse
        tend Gate Visitor strangers Entrance Arrivals Stay Stays Sight Shown AJAR Right SEE SEND Scope Control
        ExternalTokens Enrolment turn Act about Kept kept KeptUsers KeptKeys KeptSessions KeptAudit KeptDevices
        KeptCommands remember recall settle Keeping tidy RollingUp Settlement over Book Way Lower Upper Dialect Turns Reach
        TappedSocket publish_stream Decodes joined asking straight
        read_user read_key read_session read_device read_command read_act
        audience wish parcel entrance gate stay sight stranger visitor backlog outbox settlement heard act
        """,
    )
)
# Names of a wire contract or of a library's interface.
CONTRACT_NAMES = {
    ("bridge.api.accounts", "about"),  # query parameters of GET /api/v1/audit
    ("bridge.api.accounts", "act"),
    ("bridge.api.openapi.models", "act"),
    ("bridge.api.openapi.models", "about"),
    ("bridge.settings.access", "audience"),  # the claim `aud` of OpenID Connect
    ("bridge.access.tokens", "audience"),
}


def short(room: str) -> str:
    return room.removeprefix("bridge.")


def is_pure(module: str) -> bool:
    return short(room_of(module)) in PURE or f"{module}.".startswith(tuple(f"{one}." for one in PURE_MODULES))


def wrong_arrows(module: str, source: str) -> list[str]:
    """What `module` imports and may not."""
    room = short(room_of(module))
    assert room in ROOMS, f"{module} stands in no room: give it one in the table above"
    wrong = []
    for imported in imports(module, source):
        library = imported.partition(".")[0]
        if library == "bridge":
            if short(room_of(imported)) not in ROOMS[room] | {room} or (is_pure(module) and not is_pure(imported)):
                wrong.append(f"{module} imports {imported}")
        elif library in HOMES and not any(f"{module}.".startswith(f"{home}.") for home in HOMES[library]):
            wrong.append(f"{module} imports {imported}, whose home is {' and '.join(sorted(HOMES[library]))}")
        elif is_pure(module) and library not in CORE_LIBRARIES | CORE_STANDARD:
            wrong.append(f"{module} imports {imported}: {module} is pure")
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    assert wrong_arrows(module, MODULES[module]) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bridge.core.readings.reading", "import asyncio"),
        ("bridge.core.readings.reading", "import time"),
        ("bridge.core.readings.reading", "from random import random"),
        ("bridge.core.readings.reading", "import logging"),
        ("bridge.core.readings.reading", "from bridge.settings import Settings"),
        ("bridge.core.topic", "from ..settings import Settings"),
        ("bridge.alarms.fold", "import time"),
        ("bridge.analysis.advice.policy", "import time"),
        ("bridge.analysis.anomaly.device", "import time"),
        ("bridge.analysis.anomaly.fold", "from bridge.ports import Store"),
        ("bridge.log.follower", "import asyncio"),
        ("bridge.log.order", "from bridge.ports import Store"),
        ("bridge.analysis.forecast.series", "import time"),
        ("bridge.analysis.forecast.device", "from bridge.ports import Store"),
        ("bridge.alarms.states.device", "import asyncio"),
        ("bridge.alarms.rules", "from bridge.ports import Store"),
        ("bridge.core.topic", "from bridge import settings"),
        ("bridge.core.topic", "def late():\n    import socket"),
        ("bridge.ports", "from bridge.pipeline.intake import Intake"),
        ("bridge.pipeline.loop", "import bridge.stores.mongo"),
        ("bridge.sources.http.source", "from bridge.realtime.hub.hub import Hub"),
        ("bridge.stores.sqlite.store", "from bridge.app import Bridge"),
        ("bridge.stores.sqlite.store", "import pymongo"),
        ("bridge.realtime.hub.hub", "from bridge.api import build_api"),
        ("bridge.realtime.hub.hub", "import socketio"),
        ("bridge.api.readings.stored", "from bridge.stores import open_store"),
        ("bridge.api.readings.stored", "from bridge.app import Bridge"),
        ("bridge.app", "from bridge import cli"),
        ("bridge.tools.tail", "from bridge.cli.runner import console"),
        ("bridge.pipeline.loop", "from paho.mqtt import client"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert len(wrong_arrows(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bridge.core.topic", "from bridge.core import timestamp"),
        ("bridge.core.topic", "from . import timestamp"),
        ("bridge.core.topic", "from .timestamp import iso"),
        ("bridge.api.readings.stored", "from .middleware import cors"),
        ("bridge.sources.mqtt.connection", "import aiomqtt, paho.mqtt.client, logging"),
    ],
)
def test_a_right_import_is_accepted(module: str, source: str) -> None:
    assert wrong_arrows(module, source) == []


@pytest.mark.parametrize("package", packages())
def test_a_package_has_no_circle_of_imports(package: str) -> None:
    assert circle(graph(package)) == []


def test_a_circle_of_imports_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert layers({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == [["c"], ["b"], ["a"]]


def test_the_house_is_small_enough_to_know() -> None:
    arrows = graph()
    assert len(arrows) <= 26
    assert sum(map(len, arrows.values())) <= 125
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {folder.name: count for folder in folders if (count := len(list(folder.glob("*.py")))) > 16} == {}
    assert len(list(PACKAGE.glob("*.py"))) <= 6


@pytest.mark.parametrize("module", [name for name in MODULES if is_pure(name)])
def test_a_pure_module_asks_no_clock(module: str) -> None:
    asked = [node.attr for node in ast.walk(ast.parse(MODULES[module])) if isinstance(node, ast.Attribute)]
    assert not CLOCKS & set(asked)


@pytest.mark.parametrize(("library", "home"), [(library, home) for library in HOMES for home in sorted(HOMES[library])])
def test_a_library_is_imported_in_each_of_its_homes(library: str, home: str) -> None:
    inside = [name for name in MODULES if f"{name}.".startswith(f"{home}.")]
    assert any(library == one.partition(".")[0] for name in inside for one in imports(name, MODULES[name]))


def test_a_running_bridge_does_not_import_the_command_line_libraries() -> None:
    code = "import sys, bridge.app; print([name for name in ('rich', 'typer') if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def test_nobody_imports_the_command_line_but_its_entry() -> None:
    users = [name for name, source in MODULES.items() if "bridge.cli.main" in imports(name, source)]
    assert users == ["bridge.__main__"]
    assert [name for name, source in MODULES.items() if "bridge.cli.commands" in imports(name, source)] == ["bridge.cli.main"]


# --- names -----------------------------------------------------------------------------------------------------------


def defined_names(source: str) -> Iterator[str]:
    """Every name that a source defines or assigns to, without leading underscores."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name.strip("_")
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name.strip("_")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_the_standard_terms(module: str) -> None:
    names = {*defined_names(MODULES[module]), module.rpartition(".")[2]}
    assert {name for name in names & FORMER_NAMES if (module, name) not in CONTRACT_NAMES} == set()


def test_a_former_name_is_found() -> None:
    source = "class Wish: ...\ndef f(audience): self._kept = 1\nfor over in (): pass"
    assert set(defined_names(source)) & FORMER_NAMES == {"Wish", "audience", "kept", "over"}


def test_a_public_class_name_is_defined_once() -> None:
    homes: dict[str, list[str]] = {}
    for module, source in MODULES.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


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


def test_the_architecture_is_short_and_names_files_that_exist() -> None:
    plan = (REPO / "ARCHITECTURE.md").read_text("utf-8")
    assert len(plan.splitlines()) <= 80
    there = {path.name for folder in (PACKAGE, REPO / "tests") for path in folder.rglob("*.py")}
    assert set(re.findall(r"`(?:[a-z_]+/)*([a-z_]+\.py)`", plan)) <= there
