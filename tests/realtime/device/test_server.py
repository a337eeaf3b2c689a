"""`/ws/device` by independent clients: both protocols, as in the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.pipeline.intake import Intake
from bridge.realtime.device import server
from bridge.realtime.device.messages import SocketOrigin
from bridge.settings import AccessSettings, DevicesSettings, HttpSettings, RealtimeSettings, Settings
from tests.access.parts import ACCESS
from tests.api.test_devices import Client, session
from tests.conftest import StartBridge
from tests.realtime.clients import Plain, publish_and_receive, publish_many
from tests.realtime.socketio.test_server import metric, temperatures, until_clients
from tests.realtime.websocket.test_parser import close, frame
from tests.realtime.websocket.test_server import Raw
from tests.servers import free_port, until

__all__ = ["session"]

HASH = "sha256:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"  # of abc123
CLOSED = DevicesSettings.model_validate(
    {"open": False, "credentials": {"esp01": "1234", "device001": HASH}, "admins": {"desk": "let me in"}}
)
WAIT_SECONDS = 10.0

Opener = Callable[..., AbstractAsyncContextManager[ClientConnection]]


@pytest.fixture
def devices() -> DevicesSettings:
    return CLOSED


@pytest.fixture
def handshake_seconds() -> float:
    """No test but one is about the time for the login."""
    return 60


@pytest.fixture
async def client(
    start_bridge: StartBridge,
    broker_url: str,
    tmp_path: Path,
    session: aiohttp.ClientSession,
    devices: DevicesSettings,
    access: AccessSettings,
    handshake_seconds: float,
) -> AsyncIterator[Client]:
    async with start_bridge(
        broker_url,
        f"sqlite:///{tmp_path}/bridge.db",
        devices=devices,
        access=access,
        realtime=RealtimeSettings(handshake_seconds=handshake_seconds, settle_seconds=0, message_burst=50),
    ) as bridge:
        yield Client(bridge, session, broker_url)


@asynccontextmanager
async def opened(client: Client, *first: object) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{client.bridge.port}/ws/device") as socket:
        for body in first:
            await say(socket, body)
        yield socket


async def say(socket: ClientConnection, body: object) -> None:
    await socket.send(body if isinstance(body, str) else orjson.dumps(body).decode())


async def heard(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        return orjson.loads(await socket.recv())


async def ended(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(WAIT_SECONDS):
        with suppress(websockets.ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


ESP01 = {"type": "auth", "name": "esp01", "password": "1234"}
DEVICE001 = {"type": "AUTH", "payload": {"token": "abc123"}}
DESK = {"type": "AUTH", "payload": {"token": "let me in"}}


async def readings(client: Client, device: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask("GET", f"/api/v1/readings?device={device}"))[1]["readings"]
    return found


async def until_readings(client: Client, device: str, count: int) -> list[dict[str, Any]]:
    """Wait until readings are stored, counted and published: the store shows them a moment before."""

    async def there() -> bool:
        is_stored = len(await readings(client, device)) >= count
        return is_stored and not any(account["waiting"] for account in client.bridge.ledger.as_dict().values())

    await until(there, what=f"{count} readings of {device}")
    return await readings(client, device)


async def test_token_is_answered_and_telemetry_is_stored(client: Client) -> None:
    async with opened(client, DEVICE001) as socket:
        assert await heard(socket) == {"type": "AUTH_OK"}
        payload = {"device_id": "device001", "temperature": 25.5, "humidity": 60, "battery": 87}
        await say(socket, {"type": "TELEMETRY", "payload": payload})
        (record,) = await until_readings(client, "device001", 1)
        assert record.items() >= {"temperature": 25.5, "humidity": 60, "battery": 87, "deviceId": "device001"}.items()
        line = client.bridge.ledger.account("device").as_dict()
        assert line == {
            "received": 1,
            "stored": 1,
            "duplicate": 0,
            "rejected": 0,
            "ignored": 0,
            "dropped": 0,
            "waiting": 0,
            "readings": 1,
        }
        await client.until_device("device001", status="online", connection="socket")
    await client.until_device("device001", status="offline")


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        ({"type": "AUTH", "payload": {"token": "wrong"}}, {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}),
        ({"type": "AUTH", "payload": {}}, {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}),
        ({"type": "AUTH"}, {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}),
        ({"type": "auth", "name": "esp01", "password": "4321"}, {"error": "unauthorized"}),
        ({"type": "auth", "name": "nobody", "password": "1234"}, {"error": "unauthorized"}),
        ({"type": "auth", "name": "device001", "password": HASH}, {"error": "unauthorized"}),
        ({"type": "auth"}, {"error": "unauthorized"}),
        ({"type": "telemetry", "temperature": 1}, {"error": "auth_required"}),
        ({"hello": 1}, {"error": "auth_required"}),
        ("[1]", {"error": "not a JSON object"}),
        ("{", {"error": "not a JSON object"}),
    ],
)
async def test_refused_client_gets_an_answer_and_is_closed(client: Client, first: object, answer: object) -> None:
    async with opened(client, first) as socket:
        assert await heard(socket) == answer
        await ended(socket)
    assert client.bridge.ledger.as_dict().get("device") is None


@pytest.mark.parametrize("handshake_seconds", [1.0])
async def test_silent_client_is_closed_after_the_login_time(client: Client) -> None:
    async with opened(client) as socket:
        assert await heard(socket) == {"error": "auth_required"}
        assert await ended(socket) == 1008


async def test_status_and_unknown_keys_become_the_state_of_the_device(client: Client) -> None:
    async with opened(client, ESP01) as socket:
        await say(socket, {"type": "telemetry", "status": "работает", "servo1": 90, "button1": "released"})
        device = await client.until_device("esp01", state={"status": "работает", "servo1": 90, "button1": "released"})
        assert device["status"] == "online"
        await say(socket, {"type": "telemetry", "servo1": 45, "temperature": 20, "$odd": 1})
        device = await client.until_device("esp01", state={"status": "работает", "servo1": 45, "button1": "released"})
        (record,) = await until_readings(client, "esp01", 1)
        assert record["temperature"] == 20
        assert "quality" not in record


async def test_commands_are_sent_and_acknowledged_over_the_socket(client: Client) -> None:
    async with opened(client, ESP01) as socket:
        await client.until_device("esp01", connection="socket")
        _, command = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": "90"})
        assert await heard(socket) == {"command": "servo1", "value": "90", "id": command["id"]}
        await say(socket, {"type": "ack", "id": command["id"], "ok": True})
        path = f"/api/v1/devices/esp01/commands/{command['id']}"

        async def confirmed() -> bool:
            return bool((await client.ask("GET", path))[1]["state"] == "confirmed")

        await until(confirmed)
        _, plain = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "reboot"})
        assert await heard(socket) == {"command": "reboot", "id": plain["id"]}


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (ESP01, {"type": "ack", "id": "c", "ok": "yes"}),
        (DEVICE001, {"type": "COMMAND_ACK", "payload": {"id": "c", "ok": "yes"}}),
    ],
)
async def test_invalid_acknowledgement_is_answered_and_quarantined(client: Client, first: object, said: object) -> None:
    async with opened(client, first, said) as socket:
        while "error" not in (answer := orjson.dumps(await heard(socket)).decode()):
            pass
        assert "ok is 'yes'" in answer
        line = client.bridge.ledger.account("device").as_dict()
        assert (line["received"], line["rejected"]) == (1, 1)
        (kept,) = (await client.ask("GET", "/api/v1/rejected"))[1]["messages"]
        assert (kept["source"], kept["code"], kept["field"]) == ("device", "no_command_ack", "ok")
        _, command = await client.ask("POST", f"/api/v1/devices/{kept['topic'].split('/')[1]}/commands", {"command": "x"})
        assert (await heard(socket))["command"] == "x"
        ack = {"type": "ACK", "id": command["id"], "ok": True}
        await say(socket, {**ack, "payload": ack})
        await until(lambda: client.bridge.ledger.account("device").stored == 1)


async def test_queued_command_is_sent_when_the_socket_opens(client: Client) -> None:
    await client.ask("POST", "/api/v1/devices", {"id": "device001"})
    status, command = await client.ask(
        "POST", "/api/v1/devices/device001/commands", {"command": "servo1", "value": 1, "queue": True}
    )
    assert (status, command["state"]) == (202, "queued")
    async with opened(client, DEVICE001) as socket:
        assert await heard(socket) == {"type": "AUTH_OK"}
        came = await heard(socket)
        assert (came["type"], came["payload"]) == ("COMMAND", {"command": "servo1", "value": "1", "id": command["id"]})


async def test_listener_receives_every_device_or_those_it_subscribes_to(client: Client) -> None:
    async with opened(client, DESK) as everyone, opened(client, DESK) as some, opened(client, ESP01) as device:
        assert [await heard(everyone), await heard(some)] == [{"type": "AUTH_OK"}] * 2
        await say(some, {"type": "SUBSCRIBE", "payload": {"device_id": "device001"}})
        await say(some, {"type": "SUBSCRIBE", "payload": {}})
        assert (await heard(some))["type"] == "ERROR", "the one before it was taken"
        await say(device, {"type": "telemetry", "temperature": 1})
        await until_readings(client, "esp01", 1)
        await client.publish("sensors/device001/data", b'{"temperature": 2, "timestamp": "2026-01-01T00:00:00Z"}')
        first, second = await heard(everyone), await heard(everyone)
        assert (first["type"], first["payload"]["device_id"], first["payload"]["temperature"]) == ("TELEMETRY", "esp01", 1)
        only = {"device_id": "device001", "temperature": 2, "timestamp": "2026-01-01T00:00:00.000Z"}
        assert second["payload"] == only
        assert await heard(some) == {"type": "TELEMETRY", "payload": only}


async def test_device_may_write_as_itself_only(client: Client) -> None:
    async with opened(client, DEVICE001) as socket:
        await heard(socket)
        await say(socket, {"type": "TELEMETRY", "payload": {"device_id": "esp01", "temperature": 1}})
        assert (await heard(socket))["payload"] == {"error": "a device may publish only as itself"}
        await say(socket, {"type": "TELEMETRY", "payload": {"temperature": 2}})
        await until_readings(client, "device001", 1)
    assert await readings(client, "esp01") == []


async def test_same_reading_over_mqtt_and_socket_is_one_record(client: Client) -> None:
    body = {"temperature": 21.5, "timestamp": "2026-01-01T00:00:00Z"}
    async with opened(client, ESP01) as socket:
        await client.publish("sensors/esp01/data", orjson.dumps(body))
        await until(lambda: client.bridge.ledger.account("mqtt").stored == 1)
        await say(socket, {"type": "telemetry", **body})
        await until(lambda: client.bridge.ledger.account("device").duplicate == 1)
    assert len(await readings(client, "esp01")) == 1


async def test_second_socket_of_a_device_replaces_the_first(client: Client) -> None:
    async with opened(client, ESP01) as first:
        await client.until_device("esp01", connection="socket")
        async with opened(client, ESP01) as second:
            assert await ended(first) == 1008
            await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "x"})
            assert (await heard(second))["command"] == "x"
            assert (await client.device("esp01"))["status"] == "online"
    await client.until_device("esp01", status="offline")


@pytest.mark.parametrize("access", ACCESS)
async def test_client_that_sends_too_much_or_binary_is_closed(client: Client) -> None:
    async with opened(client, ESP01) as socket:
        with suppress(websockets.ConnectionClosed):
            for _ in range(200):
                await say(socket, {"type": "telemetry", "servo1": 1})
        assert await ended(socket) == 1008
    async with opened(client, ESP01) as socket:
        await socket.send(b"\0")
        assert await ended(socket) == 1003
    async with opened(client, ESP01) as socket:
        await say(socket, {"type": "telemetry", "long": "x" * 70_000})
        assert await ended(socket) == 1009


@pytest.mark.parametrize("field", ["values", "odd"])
@pytest.mark.parametrize("first", [ESP01, DEVICE001])
async def test_deeply_nested_telemetry_is_refused_as_malformed(
    client: Client, first: dict[str, Any], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    def telemetry(depth: int) -> str:
        nested = f'{{"temperature": 1, "{field}": {"[" * depth}{"]" * depth}}}'
        return f'{{"type": "TELEMETRY", "payload": {nested}}}' if first is DEVICE001 else f'{{"type": "telemetry", {nested[1:]}'

    async with opened(client, first) as socket:
        if first is DEVICE001:
            await heard(socket)
        await say(socket, telemetry(100))
        await client.until_device("esp01" if first is ESP01 else "device001", status="online")
        await say(socket, telemetry(300))
        assert "nested more than 254 deep" in orjson.dumps(await heard(socket)).decode()
        assert await ended(socket) == 1007
    await until(lambda: not client.bridge.ledger.account("device").waiting)
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
    assert await metric(client.bridge, 'bridge_clients_cut_total{reason="malformed"}') == 1


@pytest.mark.parametrize("devices", [DevicesSettings.model_validate({"credentials": {"esp01": "1234"}, "open": True})])
async def test_open_bridge_believes_device_names_except_those_with_a_secret(client: Client) -> None:
    async with opened(client, {"type": "auth", "name": "new", "password": "any"}) as socket:
        await say(socket, {"type": "telemetry", "temperature": 1})
        await until_readings(client, "new", 1)
        await say(socket, {"type": "telemetry", "device_id": "esp01", "temperature": 1})
        assert "error" in await heard(socket)
    async with opened(client, {"type": "AUTH", "payload": {"token": "1234"}}) as socket:
        assert await heard(socket) == {"type": "AUTH_OK"}
        await say(socket, {"type": "TELEMETRY", "payload": {"device_id": "new", "temperature": 1}})
        assert (await heard(socket))["payload"] == {"error": "a device may publish only as itself"}
    for guess in ({"type": "auth", "name": "esp01", "password": "guess"}, {"type": "auth", "password": "guess"}):
        async with opened(client, guess) as socket:
            assert await heard(socket) == {"error": "unauthorized"}
    assert await readings(client, "esp01") == []


@pytest.mark.parametrize(
    "devices",
    [
        DevicesSettings.model_validate({"credentials": {"esp01": "1234"}, "open": True}),
        DevicesSettings.model_validate({"credentials": {"esp01": "1234"}}),
        DevicesSettings.model_validate({"admins": {"desk": "let me in"}}),
        DevicesSettings.model_validate({"admins": {"desk": "let me in"}, "open": True}),
    ],
)
async def test_mistyped_token_is_refused_wherever_secrets_are_set(client: Client) -> None:
    async with opened(client, {"type": "AUTH", "payload": {"token": "let me im"}}) as socket:
        assert await heard(socket) == {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}
        assert await ended(socket) == 1008


ANY = {"type": "AUTH", "payload": {"token": "abc123"}}


def telemetry(device_id: str | None, temperature: float) -> dict[str, object]:
    named = {} if device_id is None else {"device_id": device_id}
    return {"type": "TELEMETRY", "payload": {**named, "temperature": temperature}}


@pytest.mark.parametrize("devices", [DevicesSettings()])
async def test_open_socket_may_publish_for_many_devices_and_receives_their_commands(client: Client) -> None:
    async with opened(client, ANY) as socket:
        assert await heard(socket) == {"type": "AUTH_OK"}
        for n, device in enumerate(("a", "b", "c", "a")):
            await say(socket, telemetry(device, n))
        await until_readings(client, "a", 2)
        await say(socket, telemetry(None, 9))
        assert "device_id is missing" in (await heard(socket))["payload"]["error"]
        for device in ("a", "b", "c"):
            await client.until_device(device, status="online", connection="socket")
            await client.ask("POST", f"/api/v1/devices/{device}/commands", {"command": f"on-{device}"})
            assert (await heard(socket))["command"] == f"on-{device}"
        async with opened(client, ANY, telemetry("a", 5)) as second:
            await heard(second)
            await until_readings(client, "a", 3)
            await client.ask("POST", "/api/v1/devices/a/commands", {"command": "moved"})
            assert (await heard(second))["command"] == "moved"
            await say(socket, telemetry("b", 5))
            await until_readings(client, "b", 2)
        await client.until_device("a", status="offline")
        assert (await client.device("b"))["status"] == "online"
    for device in ("b", "c"):
        await client.until_device(device, status="offline")


@pytest.mark.parametrize("devices", [DevicesSettings()])
@pytest.mark.parametrize("path", ["/", "/ws/device"])
async def test_client_that_sends_no_telemetry_hears_every_device_while_access_is_open(client: Client, path: str) -> None:
    url = f"ws://127.0.0.1:{client.bridge.port}{path}"
    async with connect(url) as everyone, connect(url) as some, connect(url) as device, opened(client, ESP01) as flat:
        for socket in (everyone, some, device):
            await say(socket, ANY)
            assert await heard(socket) == {"type": "AUTH_OK"}
        await say(some, {"type": "SUBSCRIBE", "payload": {"device_id": "b"}})
        await say(some, telemetry("b", 1))
        assert "SUBSCRIBE" in (await heard(some))["payload"]["error"], "SUBSCRIBE has decided"
        await say(device, telemetry("a", 1))
        await until_readings(client, "a", 1)
        await say(device, {"type": "SUBSCRIBE", "payload": {"device_id": "b"}})
        assert "a device sends telemetry" in (await heard(device))["payload"]["error"], "TELEMETRY has decided"
        await client.publish("sensors/b/data", b'{"temperature": 2}')
        assert [(await heard(everyone))["payload"]["device_id"] for _ in range(2)] == ["a", "b"]
        assert (await heard(some))["payload"]["device_id"] == "b"
        for silent in (device, flat):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent.recv(), 0.2)


SHARED = DevicesSettings.model_validate(
    {"credentials": {"device001": "abc123", "device002": "abc123", "other": "xyz"}, "admins": {"desk": "abc123"}, "open": False}
)


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("devices", [SHARED])
async def test_one_token_serves_admin_and_devices_and_the_first_message_decides(client: Client) -> None:
    async with opened(client, ANY) as admin, opened(client, ANY) as device:
        assert [await heard(admin), await heard(device)] == [{"type": "AUTH_OK"}] * 2
        for n, name in enumerate(("device001", "device002", "other", "unknown")):
            await say(device, telemetry(name, n))
        for _ in ("other", "unknown"):
            assert (await heard(device))["payload"] == {"error": "a device may publish only as itself"}
        said = [(await heard(admin))["payload"]["device_id"] for _ in range(2)]
        assert said == ["device001", "device002"]
    assert client.bridge.ledger.account("device").received == 2


@pytest.mark.parametrize("devices", [DevicesSettings.model_validate({"credentials": {"device001": "abc123"}})])
async def test_page_that_listens_with_the_token_of_a_device_does_not_displace_it(client: Client) -> None:
    async with opened(client, ANY, telemetry("device001", 1)) as device:
        await heard(device)
        await until_readings(client, "device001", 1)
        async with opened(client, ANY) as page:
            assert await heard(page) == {"type": "AUTH_OK"}
            await say(device, telemetry(None, 2))
            assert (await heard(page))["payload"]["temperature"] == 2
        await client.ask("POST", "/api/v1/devices/device001/commands", {"command": "on"})
        assert (await heard(device))["command"] == "on"
    async with opened(client, ANY) as page:
        await heard(page)
        async with opened(client, ANY, telemetry(None, 3)) as device:
            await heard(device)
            assert (await heard(page))["payload"]["temperature"] == 3
            await say(page, {"type": "SUBSCRIBE", "payload": {"device_id": "device001"}})
            await say(device, telemetry(None, 4))
            assert (await heard(page))["payload"]["temperature"] == 4
        await client.until_device("device001", status="offline")


@pytest.mark.parametrize("devices", [DevicesSettings()])
async def test_devices_of_one_socket_are_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DEVICES_LIMIT", 2)
    async with opened(client, ANY) as socket:
        await heard(socket)
        for device in ("a", "b", "c", "b"):
            await say(socket, telemetry(device, 1))
        assert "at most 2 devices" in (await heard(socket))["payload"]["error"]
        await until_readings(client, "b", 2)
    assert await readings(client, "c") == []


@pytest.mark.parametrize("devices", [DevicesSettings()])
@pytest.mark.parametrize("origin", ["null", "http://localhost:5500", "http://127.0.0.1:8080"])
async def test_page_of_this_machine_may_listen_and_not_publish(client: Client, origin: Any) -> None:
    url = f"ws://127.0.0.1:{client.bridge.port}/"
    async with connect(url, origin=origin) as page, opened(client, ANY) as device:
        await say(page, ANY)
        await say(page, telemetry("a", 1))
        assert [await heard(page), (await heard(page))["type"]] == [{"type": "AUTH_OK"}, "ERROR"]
        await heard(device)
        await say(device, telemetry("b", 2))
        assert (await heard(page))["payload"]["device_id"] == "b"
    async with connect(url, origin=origin) as page:
        await say(page, {"type": "auth", "name": "esp01", "password": "1"})
        await say(page, {"type": "telemetry", "temperature": 1})
        assert "http.cors_origins" in (await heard(page))["error"]
    assert {one["id"] for one in (await client.ask("GET", "/api/v1/devices"))[1]["devices"]} == {"b"}


def test_any_device_connects_by_default_only_on_a_local_address() -> None:
    assert Settings().any_device
    assert not Settings(http=HttpSettings(host="0.0.0.0")).any_device
    assert not Settings(devices=DevicesSettings.model_validate({"credentials": {"a": "b"}})).any_device
    assert Settings(http=HttpSettings(host="0.0.0.0"), devices=DevicesSettings(open=True)).any_device


async def test_unsettled_messages_of_a_socket_are_bounded() -> None:
    intake = Intake(Ledger(), qos0_limit=1, batch_limit=10)
    origin = SocketOrigin(intake, 2, print, print)
    origin.put_telemetry("a", {}, {"temperature": 1})
    assert not origin.full
    origin.put_ack("a", {})
    assert origin.full
    with pytest.raises(TimeoutError):
        await origin.until_room(0.01)
    waiting = asyncio.ensure_future(origin.until_room(WAIT_SECONDS))
    first, _ = await anext(intake)
    origin.acknowledge(first, Outcome.STORED)
    await waiting


async def test_device_is_told_to_try_again_while_the_store_is_unavailable(
    start_bridge: StartBridge, broker_url: str, session: aiohttp.ClientSession
) -> None:
    """The store is unavailable from the start, so no message is settled."""
    away = f"mongodb://127.0.0.1:{free_port()}/gone"
    devices = DevicesSettings(waiting_limit=2, open=True)
    async with start_bridge(
        broker_url, away, ready=False, devices=devices, realtime=RealtimeSettings(slow_seconds=0.3), timeout_seconds=0.5
    ) as bridge:
        client = Client(bridge, session, broker_url)
        async with opened(client, ESP01) as socket:
            for n in range(3):
                await say(socket, {"type": "telemetry", "temperature": n})
            assert await ended(socket) == 1013
        assert bridge.ledger.account("device").waiting == 2
        assert (await client.ask("GET", "/api/v1/devices"))[0] == 503
        assert await metric(bridge, 'bridge_clients_cut_total{reason="store away"}') == 1


async def test_socket_is_not_read_while_too_many_messages_wait_for_the_store(
    start_bridge: StartBridge, broker_url: str
) -> None:
    """Then it can send only what the connection buffers, and is closed for this reason, not for a missing pong."""
    realtime = RealtimeSettings(
        slow_seconds=3, ping_interval_seconds=1, ping_timeout_seconds=1, message_rate=10_000, message_burst=100_000
    )
    away, sent = f"mongodb://127.0.0.1:{free_port()}/gone", 0
    async with start_bridge(
        broker_url, away, ready=False, devices=DevicesSettings(waiting_limit=2, open=True), realtime=realtime
    ) as bridge:
        large = frame(1, orjson.dumps({"type": "telemetry", "temperature": 1, "x": "x" * 60_000}))
        async with Raw.connected(bridge, "/ws/device", behind=frame(1, orjson.dumps(ESP01))) as raw:
            code = asyncio.create_task(raw.received(8))
            while sent < 5000 and not code.done():
                raw.writer.write(large)
                sent += 1
                draining = asyncio.create_task(raw.writer.drain())
                await asyncio.wait((draining, code), return_when=asyncio.FIRST_COMPLETED)
                draining.cancel()
            assert int.from_bytes((await code)[:2], "big") == 1013
        assert sent < 5000, "or all of 300 MB was taken"
        assert bridge.ledger.account("device").waiting == 2


async def test_telemetry_sent_right_before_a_disconnect_is_stored(client: Client) -> None:
    """Login, telemetry and close in one write, as from devices that go back to sleep."""
    said = b"".join(frame(1, orjson.dumps(one)) for one in (ESP01, {"type": "telemetry", "temperature": 1}))
    for n, behind in enumerate((said + close(1000), said), 1):
        async with Raw.connected(client.bridge, "/ws/device", behind=behind):
            pass
        await until_readings(client, "esp01", n)
    await client.until_device("esp01", status="offline")


async def test_foreign_page_is_refused_and_the_arduino_library_is_not(client: Client) -> None:
    url = f"ws://127.0.0.1:{client.bridge.port}/ws/device"
    async with connect(url, origin="file://") as socket:  # type: ignore[arg-type]
        await say(socket, DEVICE001)
        assert await heard(socket) == {"type": "AUTH_OK"}
    with pytest.raises(websockets.InvalidStatus):
        async with connect(url, origin="https://b.example"):  # type: ignore[arg-type]
            pass


async def test_listener_that_is_too_far_behind_gets_a_gap_and_slows_no_other(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(
            broker_url,
            f"sqlite:///{tmp_path}/bridge.db",
            devices=CLOSED,
            realtime=RealtimeSettings(
                client_buffer_bytes=64 * 1024, settle_seconds=0, slow_seconds=300, recent_records=1000, catch_up_records=0
            ),
        ) as bridge,
        Plain.stalled(bridge, "/ws/device") as slow,
        Plain.connected(bridge, "/ws/device", max_queue=None) as quick,
    ):
        for admin in (slow, quick):
            await admin.send(**DESK)
            await admin.receive("AUTH_OK")
        messages = await publish_and_receive(broker_url, quick, 20_000, "TELEMETRY", "GAP")
        assert [message["payload"].get("temperature") for message in messages] == temperatures(20_000)
        kept, kept_bytes = 0, 0
        while (message := await slow.receive())["type"] == "TELEMETRY":
            kept, kept_bytes = kept + 1, kept_bytes + len(orjson.dumps(message))
        assert (message["type"], list(message["payload"])) == ("GAP", ["from", "to", "missed"])
        assert 0 < message["payload"]["missed"] <= 20_000 - kept
        assert kept_bytes < 1_000_000, "of 2 MB: its buffer, a page of records and what the kernel holds"
        await publish_many(broker_url, 1, first=20_005)
        while message["type"] == "GAP" or message["payload"]["temperature"] != 0.5:
            message = await slow.receive()


async def test_listener_that_does_not_read_is_disconnected(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with (
        start_bridge(
            broker_url,
            f"sqlite:///{tmp_path}/bridge.db",
            devices=CLOSED,
            realtime=RealtimeSettings(client_buffer_bytes=64 * 1024, settle_seconds=0, slow_seconds=1),
        ) as bridge,
        Plain.stalled(bridge, "/ws/device") as slow,
        Plain.connected(bridge, max_queue=None) as other,
    ):
        await slow.send(**DESK)
        await slow.receive("AUTH_OK")
        sent = 0
        while not await metric(bridge, 'bridge_clients_cut_total{reason="slow"}'):
            await publish_many(broker_url, 2000, first=sent)
            sent += 2000
        await until_clients(bridge, 1)
        assert [(await other.receive("measurement"))["temperature"] for _ in range(sent)] == [n / 10 % 100 for n in range(sent)]
