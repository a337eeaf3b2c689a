"""Scopes on live connections: events, replays, telemetry and commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from bridge.core.access.permissions import Permission, ResourceScope, Role
from bridge.core.events import EntityEvent, Event, SystemEvent
from bridge.core.message import DeviceStatus, TopicEvent
from bridge.settings import DevicesSettings
from tests.access.stage import EPOCH_MS, Stage, staged
from tests.access.tokens import TokenAccess, device, person, program, scope
from tests.access.ways import SOCKET_IO, bearer, connect_packet, ended, opened, received
from tests.servers import until

ALL, ONE, HOME, BOTH, NONE = "all", "one", "home", "both", "none"
SCOPES: dict[str, ResourceScope | None] = {
    ALL: None,
    ONE: scope("a"),
    HOME: scope(sites=["Home"]),
    BOTH: scope("a", "c", sites=["Home"]),
    NONE: scope(),
}
DEVICES = {"a": "Home", "b": "Home", "c": "Office", "d": ""}
SEEN = {ALL: set("abcd"), ONE: {"a"}, HOME: {"a", "b"}, BOTH: {"a", "b", "c"}, NONE: set()}


@pytest.fixture
def access() -> TokenAccess:
    access = TokenAccess()
    for name, limits in SCOPES.items():
        access.give(name, person(name, Role.VIEWER, limits))
        access.give(f"{name}-operator", person(name, Role.OPERATOR, limits))
    access.give("commander", program("commander", {Permission.COMMAND}, scope("a")))
    access.give("feeder", program("feeder", {Permission.PUBLISH}, scope("a", "b")))
    access.give("gateway", program("gateway", {Permission.PUBLISH}, scope(sites=["Home"])))
    access.give("device", device("a"))
    access.secrets["a", "pass"] = device("a")
    return access


@pytest.fixture
async def stage(access: TokenAccess) -> AsyncIterator[Stage]:
    async with staged(access) as running:
        for name, site in DEVICES.items():
            await running.registry.register(name, {"site": site} if site else {})
        yield running


class Ear:
    """A connection that records the devices of the events it receives."""

    def __init__(self, socket: ClientConnection, device_of: Callable[[Any], Any], mark: Callable[[Any], bool]) -> None:
        self.socket = socket
        self._device_of = device_of
        self._mark = mark

    async def heard(self) -> list[str]:
        """The devices of all events up to the mark."""
        found: list[str] = []
        while True:
            text = await received(self.socket)
            if text == "2":
                await self.socket.send("3")
                continue
            if text[:2] not in ("42", "43") and not text.startswith("{"):
                continue
            body = orjson.loads(text[text.index("[" if text.startswith("4") else "{") :])
            if self._mark(body):
                return found
            if (name := self._device_of(body)) is not None:
                found.append(name)


def of_socket_io(body: Any) -> str | None:
    name, content = body
    found: str | None = (content["data"] if name == "sensorData" else content).get("deviceId")
    return found


@asynccontextmanager
async def by_socket_io(stage: Stage, token: str) -> AsyncIterator[Ear]:
    async with opened(stage, SOCKET_IO) as socket:
        assert (await connect_packet(socket, token))[0] == "40"
        assert "connectionInfo" in await received(socket)
        await stage.until_live()
        yield Ear(socket, of_socket_io, lambda body: body[0] == "systemEvent")


@asynccontextmanager
async def by_topic(stage: Stage, token: str) -> AsyncIterator[Ear]:
    async with opened(stage, "/ws", headers=bearer(token)) as socket:
        await socket.send('{"type": "ping"}')
        assert "pong" in await received(socket)
        yield Ear(socket, lambda body: body.get("sensor_id"), lambda body: body["type"] == "system_event")


@asynccontextmanager
async def by_chosen_topic(stage: Stage, token: str) -> AsyncIterator[Ear]:
    async with by_topic(stage, token) as ear:
        await ear.socket.send('{"type": "unsubscribe", "topics": ["all"]}')
        await ear.socket.send('{"type": "subscribe", "topics": ["measurements", "modules", "alerts"]}')
        while "measurements" not in await received(ear.socket):
            pass
        yield ear


def of_channel(body: Any) -> str | None:
    match body.get("entity_type"):
        case "reading":
            return str(body["data"]["deviceId"])
        case "sensor":
            return str(body["entity_id"])
        case "command":
            return str(body["data"]["device"])
        case "alert":
            return str(body["data"]["sensor_id"])
        case _:
            return None


@asynccontextmanager
async def by_channel(stage: Stage, token: str) -> AsyncIterator[Ear]:
    async with opened(stage, f"/api/v1/ws/secure?token={token}") as socket:
        assert "connection" in await received(socket)
        yield Ear(socket, of_channel, lambda body: body["type"] == "system_event")


WAYS: dict[str, Callable[[Stage, str], AbstractAsyncContextManager[Ear]]] = {
    "Socket.IO": by_socket_io,
    "/ws": by_topic,
    "/ws by topic": by_chosen_topic,
    "/api/v1/ws": by_channel,
}


def mark(stage: Stage) -> None:
    """Publish an event that every client receives."""
    stage.hub.publish([SystemEvent("info", "mark")])


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.parametrize("way", WAYS)
async def test_live_events_are_limited_to_the_scope(stage: Stage, way: str, name: str) -> None:
    async with WAYS[way](stage, name) as ear:
        await stage.say("a", "b", "c", "d")
        stage.registry.publish([DeviceStatus(one, "busy", EPOCH_MS) for one in DEVICES])
        for one in DEVICES:
            stage.registry.update_state(one, {"servo1": 90})
        mark(stage)
        heard = await ear.heard()
    assert set(heard) == SEEN[name]
    assert len(heard) >= 2 * len(SEEN[name]), "readings, statuses and, where they are sent, states"
    await stage.until_empty()


EVENTS: dict[str, tuple[Event, set[str]]] = {
    "an alert of a device": (TopicEvent("alerts", {"sensor_id": "a"}, EPOCH_MS), {ALL, ONE, HOME, BOTH}),
    "an alert of a device elsewhere": (TopicEvent("alerts", {"sensor_id": "d"}, EPOCH_MS), {ALL}),
    "an alert of none": (TopicEvent("alerts", {"sensor_id": None, "text": "x"}, EPOCH_MS), {ALL}),
    "an alert of two": (TopicEvent("alerts", {"sensor_id": "a", "device_id": "d"}, EPOCH_MS), {ALL}),
    "an alert of a list": (TopicEvent("alerts", {"sensor_id": ["a"]}, EPOCH_MS), {ALL}),
    "a device": (EntityEvent("sensor", "updated", "b"), {ALL, HOME, BOTH}),
    "a command": (EntityEvent("command", "created", "1", {"device": "c"}), {ALL, BOTH}),
    "a place": (EntityEvent("location", "created", "Home", {"site": "Home"}), {ALL}),
}


async def test_events_are_sent_to_clients_whose_scope_has_the_device(stage: Stage) -> None:
    heard: dict[str, set[str]] = {what: set() for what in EVENTS}
    for name in SCOPES:
        async with opened(stage, f"/api/v1/ws/secure?token={name}") as socket:
            assert "connection" in await received(socket)
            for what, (event, _) in EVENTS.items():
                stage.hub.publish([event])
                mark(stage)
                while orjson.loads(await received(socket))["type"] != "system_event":
                    heard[what].add(name)
    assert heard == {what: hearers for what, (_, hearers) in EVENTS.items()}


@pytest.mark.parametrize("way", WAYS)
async def test_moved_device_enters_or_leaves_the_scope_at_once(stage: Stage, way: str) -> None:
    async with WAYS[way](stage, HOME) as ear:
        await stage.registry.update("d", {"site": "Home"})
        await stage.registry.update("a", {"site": "Office"})
        await stage.say("a", "b", "c", "d")
        mark(stage)
        heard = await ear.heard()
    assert set(heard) == {"b", "d"}


async def test_removal_of_a_device_is_sent_to_clients_of_its_site(stage: Stage) -> None:
    async with opened(stage, f"/api/v1/ws/secure?token={HOME}") as socket:
        assert "connection" in await received(socket)
        await stage.registry.remove("c")
        await stage.registry.remove("b")
        event = orjson.loads(await received(socket))
        assert (event["event_type"], event["entity_id"]) == ("deleted", "b")


async def call(socket: ClientConnection, name: str, body: Any) -> tuple[Any, list[Any]]:
    """The acknowledgement of an event, and the events received before it."""
    await socket.send("421" + orjson.dumps([name, body]).decode())
    events = []
    while not (text := await received(socket)).startswith("431"):
        if text.startswith("42"):
            events.append(orjson.loads(text[2:]))
        elif text == "2":
            await socket.send("3")
    return next(iter(orjson.loads(text[3:])), None), events


@asynccontextmanager
async def socket_io(stage: Stage, token: str) -> AsyncIterator[ClientConnection]:
    async with by_socket_io(stage, token) as ear:
        yield ear.socket


def replayed(events: list[Any]) -> list[str]:
    return [body["data"]["deviceId"] for name, body in events if name == "sensorData"]


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.parametrize("in_memory", [True, False])
async def test_replays_and_their_counts_are_limited_to_the_scope(access: TokenAccess, name: str, in_memory: bool) -> None:
    async with staged(access) as before:
        for one, site in DEVICES.items():
            await before.registry.register(one, {"site": site} if site else {})
        await before.say(*"abcd" * 3)
        if not in_memory:
            before.hub._recent.start_offset = before.hub._recent.last_offset  # earlier readings are only in the store
        seen = [one for one in "abcd" * 3 if one in SEEN[name]]
        async with socket_io(before, name) as socket:
            answer, events = await call(socket, "subscribe", {"since": 0, "limit": 2})
            assert (answer["ok"], answer["replayed"]) == (True, min(2, len(seen)))
            assert replayed(events) == seen[:2]
            gaps = [body["missed"] for kind, body in events if kind == "gap"]
            assert gaps == ([len(seen) - 2] if len(seen) > 2 else [])
            answer, events = await call(socket, "subscribe", {"since": 0})
            assert replayed(events) == seen[2:], "what was sent is not sent again"


async def test_device_moved_out_of_the_scope_is_not_replayed(stage: Stage) -> None:
    await stage.say("a", "b", "c")
    await stage.registry.update("b", {"site": "Office"})
    await stage.registry.update("c", {"site": "Home"})
    async with socket_io(stage, HOME) as socket:
        answer, events = await call(socket, "subscribe", {"since": 0})
        assert answer["replayed"] == 2
        assert replayed(events) == ["a", "c"]


@pytest.mark.parametrize("name", [ONE, HOME, NONE])
async def test_subscription_outside_the_scope_gets_the_same_answer_for_known_and_unknown_devices(
    stage: Stage, name: str
) -> None:
    await stage.say("a", "c", "d")
    async with socket_io(stage, name) as socket:
        answers = [
            (await call(socket, "subscribe", {"devices": devices, "since": 0}))[0]
            for devices in (["c"], ["d"], ["no-such-device"], ["c", "no-such-device"], ["a", "c"])
        ]
        assert answers == [{"ok": False, "error": "devices: one of them is not among the devices you may see"}] * 5
        answer, events = await call(socket, "subscribe", {"devices": ["a"], "since": 0})
        assert answer["ok"] == ("a" in SEEN[name])
        assert replayed(events) == ["a"] * answer["ok"]


@pytest.mark.parametrize("name", SCOPES)
async def test_statuses_at_connect_are_limited_to_the_scope(stage: Stage, name: str) -> None:
    stage.registry.publish([DeviceStatus(one, "busy", EPOCH_MS) for one in DEVICES])
    async with by_socket_io(stage, name) as ear:
        mark(stage)
        assert set(await ear.heard()) == SEEN[name]


COMMANDS = {
    ("all", "a"): False,
    ("one", "a"): False,
    ("all-operator", "a"): True,
    ("all-operator", "d"): True,
    ("one-operator", "a"): True,
    ("one-operator", "b"): False,
    ("home-operator", "b"): True,
    ("home-operator", "c"): False,
    ("home-operator", "no-such-device"): False,
    ("none-operator", "a"): False,
    ("commander", "a"): True,
    ("commander", "b"): False,
}


@pytest.mark.parametrize(("token", "to"), COMMANDS)
async def test_command_needs_the_permission_and_the_device_in_scope(stage: Stage, token: str, to: str) -> None:
    stage.registry.publish([DeviceStatus(one, "online", EPOCH_MS) for one in DEVICES])
    async with socket_io(stage, token) as socket:
        answer, _ = await call(socket, "sendCommand", {"device": to, "command": "on"})
    assert answer["ok"] is COMMANDS[token, to], answer
    if answer["ok"]:
        assert [device for device, _ in stage.mqtt.sent] == [to]
        assert answer["by"] == ("program:commander" if token == "commander" else f"person:{token.partition('-')[0]}")
    else:
        assert answer == {"ok": False, "error": "you may not command this device"}
        assert stage.mqtt.sent == []
    assert stage.notes.acts == [("command" if answer["ok"] else "command refused", token.partition("-")[0], to)]


async def test_client_with_command_permission_only_receives_no_device(stage: Stage) -> None:
    async with by_socket_io(stage, "commander") as ear:
        await stage.say("a", "b")
        mark(stage)
        assert await ear.heard() == []
        answer, events = await call(ear.socket, "subscribe", {"since": 0})
        assert (answer["replayed"], replayed(events)) == (0, [])


# --- /ws/device --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCOPES)
async def test_telemetry_at_the_device_path_is_limited_to_the_scope(stage: Stage, name: str) -> None:
    async with opened(stage, "/ws/device") as socket:
        await socket.send(orjson.dumps({"type": "AUTH", "payload": {"token": name}}).decode())
        assert orjson.loads(await received(socket)) == {"type": "AUTH_OK"}
        await stage.until_live()
        await stage.say("d", "c", "b", "a")
        await socket.send('{"type": "SUBSCRIBE", "payload": {"device_id": "d"}}')
        await socket.send('{"type": "SUBSCRIBE", "payload": {}}')
        heard: list[str] = []
        complaints: list[str] = []
        while len(complaints) < (1 if name == ALL else 2):
            body = orjson.loads(await received(socket))
            if body["type"] == "TELEMETRY":
                heard.append(body["payload"]["device_id"])
            else:
                complaints.append(body["payload"]["error"])
    assert set(heard) == SEEN[name]
    assert name == ALL or complaints[0] == "one of them is not among the devices you may see"


SENDING = {
    "itself": ("device", "a", True),
    "itself, unnamed": ("device", None, True),
    "another": ("device", "b", False),
    "one of a program": ("feeder", "b", True),
    "another of a program": ("feeder", "c", False),
    "an unknown one of a program": ("feeder", "no-such-device", False),
}


@pytest.mark.parametrize("what", SENDING)
async def test_device_writes_as_itself_and_a_program_as_devices_of_its_scope(stage: Stage, what: str) -> None:
    token, name, may = SENDING[what]
    async with opened(stage, "/ws/device", headers=bearer(token)) as socket:
        named = {} if name is None else {"device_id": name}
        await socket.send(orjson.dumps({"type": "telemetry", "temperature": 7} | named).decode())
        await socket.send('{"type": "hello"}')
        answers = [orjson.loads(await received(socket))["error"] for _ in range(1 if may else 2)]
    assert answers[-1].startswith("unknown type")
    assert may or answers[0] == "a device may publish only as itself"
    await stage.until_empty()
    await until(lambda: stage.store.by_id or not may, what="stored")
    stored = [one.device_id for one in stage.store.by_id.values()]
    assert stored == ([name or "a"] if may else [])


async def test_program_receives_no_commands_of_a_device_moved_out_of_its_scope(stage: Stage) -> None:
    async def said(socket: ClientConnection) -> None:
        """Send telemetry and wait until it is processed: a later message is answered."""
        await socket.send('{"type": "telemetry", "device_id": "b", "temperature": 7}')
        await socket.send('{"type": "hello"}')
        while not orjson.loads(await received(socket)).get("error", "").startswith("unknown type"):
            pass

    async with opened(stage, "/ws/device", headers=bearer("gateway")) as gateway, socket_io(stage, "all-operator") as desk:
        await said(gateway)
        await until(lambda: stage.registry.get("b").last_reading is not None)
        assert stage.registry.get("b").connection == "socket"
        assert (await call(desk, "sendCommand", {"device": "b", "command": "on"}))[0]["state"] == "sent"
        assert orjson.loads(await received(gateway))["command"] == "on"
        await stage.registry.update("b", {"site": "Office"})
        answer, _ = await call(desk, "sendCommand", {"device": "b", "command": "unlock", "value": "4711"})
        assert (answer["state"], answer["error"]) == (
            "failed",
            "the client at the device's socket may no longer publish as this device",
        )
        assert (stage.registry.get("b").online, stage.registry.get("b").connection) == (False, None)
        await said(gateway)
        assert stage.registry.get("b").connection is None
        await stage.registry.update("b", {"site": "Home"})
        await said(gateway)
        assert stage.registry.get("b").connection == "socket"
        await stage.registry.update("b", {"site": "Office"})
        await said(gateway)
        assert stage.registry.get("b").connection is None, "also where nobody commands it"
    assert stage.mqtt.sent == []


async def test_device_needs_its_secret_while_access_is_required(access: TokenAccess) -> None:
    settings = DevicesSettings.model_validate({"open": True, "credentials": {"esp": "1234"}, "admins": {"desk": "let me in"}})
    access.secrets |= {("esp", "1234"): device("esp"), ("desk", "let me in"): program("desk", {Permission.READ})}
    async with staged(access, devices=settings) as stage:
        for first, code in (
            ({"type": "auth", "name": "a", "password": "pass"}, None),
            ({"type": "auth", "name": "esp", "password": "1234"}, None),
            ({"type": "auth", "name": "desk", "password": "let me in"}, None),
            ({"type": "auth", "name": "a", "password": "wrong"}, 4401),
            ({"type": "auth", "name": "b", "password": "pass"}, 4401),
            ({"type": "auth", "name": "anybody", "password": "x"}, 4401),
            ({"type": "AUTH", "payload": {"token": "x"}}, 4401),
            ({"type": "telemetry", "device_id": "a", "temperature": 1}, 4401),
        ):
            async with opened(stage, "/ws/device") as socket:
                await socket.send(orjson.dumps(first).decode())
                if code is None:
                    await socket.send('{"type": "hello"}')
                    assert "error" in await received(socket), first
                else:
                    assert (await ended(socket))[0] == code, first
        assert not stage.store.by_id
