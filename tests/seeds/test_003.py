"""Document 003, the channels: its programs end to end, then each of its promises."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import websockets
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from bridge.access.service import AuthService
from bridge.app import Bridge
from bridge.core.access.permissions import Role
from bridge.core.timestamp import iso
from bridge.settings import AccessSettings, DevicesSettings, HttpSettings, RealtimeSettings, StoreSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store
from tests.access.parts import PASSWORD, guarded
from tests.analysis.forecast_service.test_on_servers import first_forecast, history, pass_an_hour, post_hour
from tests.analysis.posting import recovered, saturated
from tests.browser import chromium
from tests.cli.test_cli import Command, ended, running
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import Mongod, Mosquitto, free_port, until

PROGRAMS = Path(__file__).parent / "003"
CHANNELS = ("general", "sensors", "readings", "locations", "anomalies", "predictions")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Program:
    """A program of the document as a process; `lines` are what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events among the lines, of programs that print them."""
        texts = (line.removeprefix("Evento recibido: ") for line in self.lines)
        return [orjson.loads(text) for text in texts if text.startswith("{")]

    async def until_line(self, text: str) -> None:
        await until(lambda: any(text in line for line in self.lines), what=f"{text!r} in {self.lines}")


@asynccontextmanager
async def started(*command: str) -> AsyncIterator[Program]:
    """A program that runs until the end of the context."""
    output = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=asyncio.subprocess.STDOUT)
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def finished(*command: str, given: str = "") -> str:
    """Return the output of a program that ends by itself, with success; `given` is its standard input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    async with asyncio.timeout(60):
        output, _ = await process.communicate(given.encode())
    assert process.returncode == 0, output.decode()
    return output.decode()


def program(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable if name.endswith(".py") else "sh", str(PROGRAMS / name), *arguments)


@asynccontextmanager
async def served(folder: Path, **environ: object) -> AsyncIterator[tuple[str, Command]]:
    """The server as its users start it, with its settings in `.env`; the host that programs are given."""
    port = free_port()
    given = {"BRIDGE_HTTP__PORT": port, "BRIDGE_HTTP__CORS_ORIGINS": "*", **environ}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text("# En tu archivo .env\n" + "".join(f"{name}={value}\n" for name, value in given.items()))
    async with running(folder, "run") as command:
        await until(lambda: "bridge: ready" in command.err or not command.running, what="ready")
        assert command.running, command.err
        yield f"localhost:{port}", command


async def test_programs_of_the_document_run_unchanged(broker_url: str, mongo_url: str, driver: str, tmp_path: Path) -> None:
    variables = {
        "WEBSOCKET_MAX_CONNECTIONS": 100,
        "WEBSOCKET_PING_INTERVAL": 30,
        "WEBSOCKET_PING_TIMEOUT": 10,
        "BRIDGE_MQTT__URL": broker_url,
        "BRIDGE_STORE__URL": mongo_url,
        "BRIDGE_STORE__DRIVER": driver,
    }
    async with served(tmp_path, **variables) as (host, server), chromium() as browser:
        page = await browser.new_page()
        await page.goto((PROGRAMS / "websocket_client.html").as_uri())
        await page.fill("#url", f"ws://{host}/api/v1/ws")
        await page.fill("#user", "user1")
        await page.click("#connect")
        await page.get_by_text("Conectado al WebSocket").wait_for()
        events_of = f"ws://{host}/api/v1/ws?channel="
        async with (
            started(*program("listen_events_003.py", f"{events_of}sensors")) as sensors,
            started(*program("listen_events_003.py", f"{events_of}readings")) as readings,
            started(*program("listen_events_003.py", f"{events_of}locations")) as locations,
        ):
            for listener in (sensors, readings, locations):
                await listener.until_line('"status": "connected"')
            created = orjson.loads(await finished(*program("create_sensor.sh", host)))
            assert (created["id"], created["tipo"], created["modelo"]) == (1, "temperatura", "DHT22")
            await sensors.until_line("Entidad sensor created: ID 1")
            await finished(*program("create_reading.sh", host))
            await readings.until_line("Entidad reading created: ID ")
            assert "OK" in await finished(*program("crud_003.py", host))
            await sensors.until_line("Entidad sensor deleted: ID 2")
            await locations.until_line("Entidad location deleted: ID 1")
            await readings.until_line("Entidad reading deleted: ID ")
            await page.get_by_text("sensor created: {").first.wait_for()
            await page.get_by_text("location updated: {").first.wait_for()
            tested = await finished(*program("test_endpoints.sh", host))
            assert '"sensors":{"connections":1' in tested
            await page.get_by_text("Sistema [info]: Prueba").first.wait_for()
            for choice in ("1", "3\n0.5", "4", "5"):
                output = await finished(*program("websocket_tester.py"), given=f"{host}\n{choice}\n")
                assert "OK" in output
        await add_user(tmp_path, "ana")
        for how in ("json", "form"):
            async with started(*program("secure_client_003.py", host, "ana", PASSWORD, "general", how)) as secure:
                await secure.until_line('"type": "connection"')
                await finished(*program("test_endpoints.sh", host))
                await secure.until_line('"Prueba"')
        assert "error" not in server.err.lower()


async def add_user(folder: Path, name: str, *options: str) -> None:
    """Add a user with the command, as an administrator does, in the folder of `.env`."""
    command = (sys.executable, "-m", "bridge", "user", "add", name, *options)
    environ = {**os.environ, "PYTHONPATH": str(PROGRAMS.parent.parent.parent)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environ, stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        _, errors = await process.communicate(f"{PASSWORD}\n".encode())
    assert process.returncode == 0, errors.decode()


# --- one bridge in this process for each row -------------------------------------------------------------------------


class Client:
    """An HTTP client, and listeners on channels."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession) -> None:
        self.bridge = bridge
        self.session = session

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if data else {}
        url = f"http://127.0.0.1:{self.bridge.port}{path}"
        async with self.session.request(method, url, data=data, headers=headers | more.pop("headers", {}), **more) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw else None

    @asynccontextmanager
    async def on(self, path: str) -> AsyncIterator[ClientConnection]:
        """A listener at `/api/v1/ws` + path, after its first message."""
        async with connect(f"ws://127.0.0.1:{self.bridge.port}/api/v1/ws{path}") as socket:
            assert (await received(socket))["type"] == "connection"
            yield socket


async def received(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(15):
        message: dict[str, Any] = orjson.loads(await socket.recv())
        return message


async def received_event(socket: ClientConnection, event_type: str) -> dict[str, Any]:
    while (message := await received(socket)).get("event_type") != event_type:
        pass
    return message


async def received_system_event(socket: ClientConnection, text: str) -> dict[str, Any]:
    while text not in (message := await received(socket)).get("message", ""):
        pass
    return message


async def close_code(bridge: Bridge, path: str) -> int:
    async with connect(f"ws://127.0.0.1:{bridge.port}/api/v1/ws{path}") as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await received(socket)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.fixture
async def client(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
    ):
        yield Client(bridge, session)


async def test_first_message_names_channel_status_and_time(client: Client) -> None:
    for query, channel in (("", "general"), *((f"?channel={name}", name) for name in CHANNELS)):
        async with connect(f"ws://127.0.0.1:{client.bridge.port}/api/v1/ws{query}") as socket:
            message = await received(socket)
            assert message | {"timestamp": ""} == {
                "type": "connection", "status": "connected", "channel": channel, "timestamp": "",
            }  # fmt: skip
            assert TIME.fullmatch(message["timestamp"])


async def test_sensor_without_an_id_gets_the_next_number_and_one_event_of_the_documents_shape(client: Client) -> None:
    async with client.on("?channel=sensors") as sensors, client.on("?channel=general") as general:
        for number in (1, 2):
            status, created = await client.ask("POST", "/api/v1/sensors", {"tipo": "temperatura", "modelo": "DHT22"})
            assert (status, created["id"]) == (201, number)
            event = await received(sensors)
            assert event == await received(general) | {"timestamp": event["timestamp"]}
            assert list(event) == ["type", "entity_type", "event_type", "entity_id", "data", "timestamp", "metadata"]
            assert (event["type"], event["entity_type"], event["event_type"]) == ("entity_event", "sensor", "created")
            assert event["entity_id"] == number
            assert event["metadata"] == {"action": "create_sensor"}
            expected = {"id": number, "tipo": "temperatura", "modelo": "DHT22", "created_at": created["createdAt"]}
            assert expected.items() <= event["data"].items()
            assert TIME.fullmatch(event["timestamp"])
            assert TIME.fullmatch(event["data"]["created_at"])


async def test_numbers_of_sensors_are_not_used_again_and_not_taken_from_others(client: Client) -> None:
    assert (await client.ask("POST", "/api/v1/sensors", {"tipo": "a"}))[1]["id"] == 1
    assert (await client.ask("DELETE", "/api/v1/sensors/1"))[0] == 204
    await client.ask("POST", "/api/v1/readings", {"sensor_id": 2, "temperatura": 1})
    await client.ask("DELETE", "/api/v1/sensors/2")
    assert (await client.ask("POST", "/api/v1/sensors", {"id": 3, "tipo": "b"}))[1]["id"] == 3
    made = await asyncio.gather(*(client.ask("POST", "/api/v1/sensors", {"tipo": str(n)}) for n in range(5)))
    assert sorted(body["id"] for _, body in made) == [4, 5, 6, 7, 8], "2 has readings, 3 is a sensor"


async def test_sensor_is_read_changed_with_put_and_deleted_with_an_event_each(client: Client) -> None:
    await client.ask("POST", "/api/v1/sensors", {"tipo": "temperatura", "modelo": "DHT22"})
    async with client.on("?channel=sensors") as sensors:
        status, changed = await client.ask("PUT", "/api/v1/sensors/1", {"id": 1, "modelo": "DHT11"})
        assert (status, changed["tipo"], changed["modelo"]) == (200, "temperatura", "DHT11")
        event = await received(sensors)
        assert (event["event_type"], event["entity_id"], event["metadata"]["action"]) == ("updated", 1, "update_sensor")
        assert event["data"]["modelo"] == "DHT11"
        assert (await client.ask("GET", "/api/v1/sensors/1"))[1]["modelo"] == "DHT11"
        assert (await client.ask("DELETE", "/api/v1/sensors/1"))[0] == 204
        event = await received(sensors)
        assert (event["event_type"], event["entity_id"], event["metadata"]["action"]) == ("deleted", 1, "delete_sensor")
        assert event["data"]["id"] == 1
    assert (await client.ask("PUT", "/api/v1/sensors/1", {"modelo": "x"}))[0] == 404


async def test_change_of_a_status_is_one_event(client: Client, broker_url: str) -> None:
    await client.ask("POST", "/api/v1/sensors", {"tipo": "temperatura"})
    async with client.on("?channel=sensors") as sensors, mqtt_sender(patient(broker_url)) as sender:
        for status in (b"online", b"offline", b"online"):
            await sender.publish("sensors/1/status", status)
            event = await received(sensors)
            assert (event["event_type"], event["entity_id"]) == ("updated", 1)
            assert event["data"]["status"] == status.decode()
        await client.ask("POST", "/api/v1/ws/test-event?channel=sensors&message=last")
        assert (await received(sensors))["message"] == "last", "nothing else was sent"


async def test_reading_is_created_changed_and_deleted_with_an_event_each(client: Client) -> None:
    reading = {"sensor_id": 1, "temperatura": 23.5, "humedad": 65.2, "timestamp": "2025-07-20T10:30:00Z"}
    async with client.on("?channel=readings") as readings, client.on("?channel=general") as general:
        status, answer = await client.ask("POST", "/api/v1/readings", reading)
        assert status == 201
        (identity,) = answer["ids"]
        event = await received_event(readings, "created")
        assert (event["entity_type"], event["entity_id"]) == ("reading", identity)
        assert event["metadata"] == {"action": "create_reading"}
        expected = {"id": identity, "sensor_id": 1, "temperatura": 23.5, "humedad": 65.2}
        assert expected.items() <= event["data"].items()
        assert event["data"]["timestamp"] == "2025-07-20T10:30:00.000Z"
        status, changed = await client.ask("PUT", f"/api/v1/readings/{identity}", {"temperatura": 24.5, "humedad": None})
        assert (status, changed["temperature"]) == (200, 24.5)
        assert "humidity" not in changed
        assert TIME.fullmatch(changed["changedAt"]), "a changed reading says so"
        event = await received_event(readings, "updated")
        assert (event["entity_id"], event["data"]["temperatura"]) == (identity, 24.5)
        assert event["metadata"] == {"action": "update_reading"}
        found = (await client.ask("GET", "/api/v1/readings?sensor_id=1"))[1]["readings"]
        assert found == [changed] == [(await client.ask("GET", f"/api/v1/readings/{identity}"))[1]]
        assert (await client.ask("DELETE", f"/api/v1/readings/{identity}")) == (204, None)
        event = await received_event(readings, "deleted")
        assert (event["entity_id"], event["metadata"]) == (identity, {"action": "delete_reading"})
        assert (await client.ask("GET", f"/api/v1/readings/{identity}"))[0] == 404
        for event_type in ("created", "updated", "deleted"):
            while (event := await received_event(general, event_type))["entity_type"] != "reading":
                pass


async def test_location_is_created_changed_and_deleted_with_an_event_each(client: Client) -> None:
    given = {"name": "Invernadero", "site": "Finca", "room": "Norte", "altura_m": 2.5}
    async with client.on("?channel=locations") as locations:
        status, created = await client.ask("POST", "/api/v1/locations", given)
        assert (status, created["id"]) == (201, 1)
        assert given.items() <= created.items()
        event = await received(locations)
        assert (event["entity_type"], event["event_type"], event["entity_id"]) == ("location", "created", 1)
        assert event["metadata"] == {"action": "create_location"}
        assert event["data"] == created
        sensor = {"tipo": "temperatura", "location_id": 1}
        shown = (await client.ask("POST", "/api/v1/sensors", sensor))[1]
        assert (shown["location_id"], shown["site"], shown["room"]) == (1, "Finca", "Norte")
        assert (await client.ask("PUT", "/api/v1/locations/1", {"room": "Sur"}))[1]["room"] == "Sur"
        event = await received(locations)
        assert (event["event_type"], event["data"]["room"]) == ("updated", "Sur")
        assert (await client.ask("GET", "/api/v1/sensors/1"))[1]["room"] == "Sur", "its devices move with it"
        assert (await client.ask("DELETE", "/api/v1/locations/1"))[0] == 409, "a device refers to it"
        assert (await client.ask("DELETE", "/api/v1/sensors/1"))[0] == 204
        assert (await client.ask("DELETE", "/api/v1/locations/1"))[0] == 204
        event = await received(locations)
        assert (event["event_type"], event["entity_id"]) == ("deleted", 1)
    assert (await client.ask("GET", "/api/v1/locations"))[1] == {"locations": [], "next": None}


@pytest.mark.parametrize("level", ["info", "warning", "error"])
async def test_test_event_of_each_level_reaches_its_channel_only(client: Client, level: str) -> None:
    async with client.on("?channel=sensors") as sensors, client.on("?channel=general") as general:
        path = f"/api/v1/ws/test-event?channel=general&message=Prueba&level={level}"
        assert (await client.ask("POST", path))[0] == 200
        event = await received(general)
        assert list(event) == ["type", "level", "message", "data", "timestamp"]
        assert (event["type"], event["level"], event["message"]) == ("system_event", level, "Prueba")
        await sensors.send('{"type": "ping"}')
        assert (await received(sensors)) == {"type": "pong"}
    assert (await client.ask("POST", "/api/v1/ws/test-event?level=debug"))[0] == 400
    assert (await client.ask("POST", "/api/v1/ws/test-event?channel=weather"))[0] == 404


async def test_predictions_and_anomalies_of_other_services_reach_their_channels(client: Client) -> None:
    for channel, topic, event_type in (
        ("predictions", "predictions", "prediction_completed"),
        ("anomalies", "alerts", "anomaly_detected"),
    ):
        async with client.on(f"?channel={channel}") as listener, client.on("") as general:
            assert (await client.ask("POST", f"/api/v1/events/{topic}", {"id": 7, "sensor_id": 1}))[0] == 202
            for socket in (listener, general):
                event = await received(socket)
                assert (event["event_type"], event["entity_id"]) == (event_type, 7)


async def test_predictions_of_our_own_are_completed_and_updated_on_their_channel(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with history(f"sqlite:///{tmp_path}/bridge.db") as past, start_bridge(broker_url, past.url) as bridge:
        await first_forecast(bridge)
        await post_hour(bridge, past.until)
        url = f"ws://127.0.0.1:{bridge.port}/api/v1/ws?channel="
        async with (
            started(*program("listen_events_003.py", f"{url}predictions")) as predictions,
            started(*program("listen_events_003.py", f"{url}general")) as general,
        ):
            for listener in (predictions, general):
                await listener.until_line('"status": "connected"')
            pass_an_hour(bridge)
            first, second = (iso((past.until + hours) * 3_600_000) for hours in (0, 1))
            for listener in (predictions, general):
                await listener.until_line(f"Entidad prediction updated: ID office/co2/{first}")
                await listener.until_line(f"Entidad prediction prediction_completed: ID office/co2/{second}")
            [event] = [one for one in predictions.events if one.get("event_type") == "prediction_completed"]
            assert list(event) == ["type", "entity_type", "event_type", "entity_id", "data", "timestamp", "metadata"]
            assert (event["entity_type"], len(event["data"]["values"])) == ("prediction", 6)
            assert TIME.fullmatch(event["timestamp"])


async def test_anomalies_of_our_own_are_detected_and_resolved_on_their_channel(client: Client) -> None:
    """A client of the document's listens; the readings are those of a sensor at the end of its range, and normal again."""
    where = f"ws://127.0.0.1:{client.bridge.port}/api/v1/ws?channel="
    async with (
        started(*program("listen_events_003.py", f"{where}anomalies")) as anomalies,
        started(*program("listen_events_003.py", f"{where}general")) as general,
        started(*program("listen_events_003.py", f"{where}predictions")) as predictions,
    ):
        for listener in (anomalies, general, predictions):
            await listener.until_line('"status": "connected"')
        assert (await client.ask("POST", "/api/v1/readings", saturated("3")))[0] == 201
        for listener in (anomalies, general):
            await listener.until_line("Entidad anomaly anomaly_detected")
        assert (await client.ask("POST", "/api/v1/readings", recovered("3")))[0] == 201
        for listener in (anomalies, general):
            await listener.until_line("Entidad anomaly updated")
            detected, resolved = [event for event in listener.events if event.get("entity_type") == "anomaly"]
            assert list(detected) == [
                "type", "entity_type", "event_type", "entity_id", "data", "timestamp", "metadata",
            ]  # fmt: skip
            assert (detected["type"], detected["event_type"]) == ("entity_event", "anomaly_detected")
            assert (detected["data"]["deviceId"], detected["data"]["kind"]) == ("3", "saturated")
            assert detected["metadata"]["action"] == "detect_anomaly"
            assert (resolved["entity_id"], resolved["metadata"]["action"]) == (detected["entity_id"], "resolve_anomaly")
            assert resolved["data"]["state"] == "ended"
            assert TIME.fullmatch(resolved["timestamp"])
        assert [event["type"] for event in predictions.events] == ["connection"]


async def test_every_client_of_a_channel_receives_its_events(client: Client) -> None:
    async with client.on("?channel=sensors") as one, client.on("?channel=sensors") as two, client.on("") as three:
        await client.ask("POST", "/api/v1/sensors", {"tipo": "temperatura"})
        assert len({(await received(socket))["entity_id"] for socket in (one, two, three)}) == 1


async def test_statistics_list_channels_connections_and_users(client: Client) -> None:
    async with (
        client.on("?channel=general&user_id=user1"),
        client.on("?channel=general"),
        client.on("?channel=sensors&user_id=user2"),
    ):
        stats = (await client.ask("GET", "/api/v1/ws/stats"))[1]
        assert stats["total_channels"] == 2
        general = stats["channels"]["general"]
        assert (general["connections"], general["users"][0]["user_id"]) == (2, "user1")
        assert TIME.fullmatch(general["users"][0]["connected_at"])
        assert (await client.ask("GET", "/api/v1/ws/stats/sensors"))[1]["channels"]["sensors"]["connections"] == 1
    assert (await client.ask("GET", "/api/v1/ws/stats/weather"))[0] == 404


# --- events of the system --------------------------------------------------------------------------------------------


async def test_system_events_tell_of_start_stop_broker_store_and_a_full_quarantine(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    broker, mongod = Mosquitto(tmp_path / "broker"), Mongod(tmp_path / "mongo")
    broker.start()
    try:
        settings = {"rejected_limit": 1, "timeout_seconds": 1.0}
        async with start_bridge(broker.url, mongod.url, ready=False, **settings) as bridge, aiohttp.ClientSession() as session:
            client = Client(bridge, session)
            async with client.on("?channel=sensors") as socket:
                mongod.start()
                event = await received_system_event(socket, "the bridge has started")
                assert event["level"] == "info"
                assert {"module", "version"} <= event["data"].keys()
                await received_system_event(socket, "broker found")
                broker.stop()
                assert (await received_system_event(socket, "broker lost"))["level"] == "error"
                broker.start()
                assert (await received_system_event(socket, "broker found"))["level"] == "info"
                mongod.kill()
                assert (await received_system_event(socket, "store lost"))["level"] == "error"
                mongod.start()
                assert (await received_system_event(socket, "store found"))["level"] == "info"
                bridge.stop()
                assert (await received_system_event(socket, "the bridge is stopping"))["level"] == "warning"
    finally:
        broker.stop()
        mongod.kill()


async def test_system_event_tells_of_a_full_quarantine(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.maintenance.retention_job.RetentionJob.__init__.__defaults__", (0.05,))
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", rejected_limit=1) as bridge,
        aiohttp.ClientSession() as session,
    ):
        client = Client(bridge, session)
        async with client.on("") as socket:
            for _ in range(3):
                await client.ask("POST", "/api/v1/readings", {"sensor_id": 1, "temperatura": "hot"})
            event = await received_system_event(socket, "quarantine full")
            assert (event["level"], event["data"]["module"]) == ("warning", "quarantine")


# --- security --------------------------------------------------------------------------------------------------------


async def test_secure_channel_needs_a_token_while_access_is_open_too(client: Client, tmp_path: Path) -> None:
    async with open_store(StoreSettings(url=SecretStr(f"sqlite:///{tmp_path}/bridge.db"))) as store:
        await AuthService(AccessSettings(), DevicesSettings(), store).users.add("ana", PASSWORD, Role.VIEWER)
    for form in (True, False):
        credentials = {"username": "ana", "password": PASSWORD}
        url = f"http://127.0.0.1:{client.bridge.port}/auth/login"
        body_of: dict[str, Any] = {"data": credentials} if form else {"json": credentials}
        async with client.session.post(url, **body_of) as answer:
            body = await answer.json()
            assert (answer.status, body["token_type"]) == (200, "bearer")
        async with client.on(f"/secure?channel=sensors&token={body['access_token']}") as secure, client.on("?channel=sensors"):
            users = (await client.ask("GET", "/api/v1/ws/stats/sensors"))[1]["channels"]["sensors"]["users"]
            assert {user["user_id"] for user in users} == {"ana", "anonymous"}
            await client.ask("POST", "/api/v1/sensors", {"tipo": "temperatura"})
            assert (await received(secure))["event_type"] == "created"
    for query in ("", "?token=", "?token=guess", "?channel=sensors", f"?token={body['access_token'][:-4]}"):
        assert await close_code(client.bridge, f"/secure{query}") == 4401
    wrong = await client.ask("POST", "/auth/login", {"username": "ana", "password": "guess guess guess"})
    assert wrong[0] == 401


async def test_channels_of_users_and_keys_limit_where_they_listen(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        user = {"name": "ana", "password": PASSWORD, "channels": ["sensors", "locations"]}
        assert (await made.as_("admin", "POST", "/api/v1/users", user))[1]["channels"] == ["sensors", "locations"]
        key = {"name": "ear", "rights": ["see"], "channels": ["readings"]}
        tokens = {
            (await made.login("ana"))[1]["access_token"]: {"sensors", "locations"},
            (await made.as_("admin", "POST", "/api/v1/keys", key))[1]["key"]: {"readings"},
            made.tokens["viewer"]: set(CHANNELS),
        }
        for token, allowed in tokens.items():
            for channel in CHANNELS:
                path = f"/api/v1/ws/secure?channel={channel}&token={token}"
                async with connect(f"ws://127.0.0.1:{made.bridge.port}{path}") as socket:
                    if channel in allowed:
                        assert (await received(socket))["channel"] == channel
                    else:
                        with pytest.raises(websockets.ConnectionClosed) as closed:
                            await received(socket)
                        assert closed.value.rcvd is not None
                        assert closed.value.rcvd.code == 4403
        wrong = {"name": "eva", "password": PASSWORD, "channels": ["weather"]}
        assert (await made.as_("admin", "POST", "/api/v1/users", wrong))[0] == 422
        assert (await made.as_("admin", "PATCH", "/api/v1/users/ana", {"channels": None}))[1]["channels"] is None


async def test_page_of_any_origin_may_use_the_api_with_the_cors_settings(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    http = HttpSettings.model_validate({"port": 0, "cors_origins": ["*"]})
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as bridge,
        aiohttp.ClientSession() as session,
    ):
        origin = {"Origin": "https://panel.example"}
        url = f"http://127.0.0.1:{bridge.port}/api/v1/sensors"
        for method in ("GET", "POST", "PUT", "DELETE"):
            asked = origin | {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "X-Custom"}
            async with session.options(url, headers=asked) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert method in answer.headers["Access-Control-Allow-Methods"]
                assert answer.headers["Access-Control-Allow-Headers"] == "X-Custom"
        async with session.post(url, json={"tipo": "temperatura"}, headers=origin) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (201, "*")
        async with connect(f"ws://127.0.0.1:{bridge.port}/api/v1/ws", origin="https://panel.example") as socket:  # type: ignore[arg-type]
            assert (await received(socket))["type"] == "connection"


# --- settings --------------------------------------------------------------------------------------------------------


async def test_variables_in_dotenv_limit_connections_and_set_the_pings(broker_url: str, tmp_path: Path) -> None:
    variables = {
        "WEBSOCKET_MAX_CONNECTIONS": 2,
        "WEBSOCKET_PING_INTERVAL": 1,
        "WEBSOCKET_PING_TIMEOUT": 5,
        "BRIDGE_MQTT__URL": broker_url,
        "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/bridge.db",
    }
    async with served(tmp_path, **variables) as (host, _):
        url = f"ws://{host}/api/v1/ws"
        async with (
            connect(url),
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{host}/api/v1/ws", autoping=False) as deaf,
        ):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with connect(url):
                    pass
            assert refused.value.response.status_code == 503
            async with asyncio.timeout(60):
                kinds = [message.type async for message in deaf]
            assert aiohttp.WSMsgType.PING in kinds, "and a client that does not answer is disconnected"


async def test_limit_by_address_refuses_further_connections(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    realtime = RealtimeSettings(max_clients_per_address=1)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", realtime=realtime) as bridge:
        url = f"ws://127.0.0.1:{bridge.port}/api/v1/ws"
        async with connect(url):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with connect(url):
                    pass
            assert refused.value.response.status_code == 503


async def test_metrics_count_the_connections(client: Client) -> None:
    async with client.on(""), client.session.get(f"http://127.0.0.1:{client.bridge.port}/metrics") as answer:
        text = await answer.text()
        assert re.search(r"^bridge_clients\b.* 1(\.0)?$", text, re.MULTILINE)
        assert "process_resident_memory_bytes" in text


# --- the tester ------------------------------------------------------------------------------------------------------


async def chosen(folder: Path, answers: str) -> str:
    """Return what `sensor-bridge probe` prints on a terminal where these answers are typed."""
    import pty

    master, slave = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(PROGRAMS.parent.parent.parent), "TERM": "xterm", "COLUMNS": "200"}
    command = (sys.executable, "-m", "bridge", "probe")
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, answers.encode())
    output = b""

    def read() -> bytes:
        try:
            return os.read(master, 65_536)
        except OSError:  # the process has ended
            return b""

    async with asyncio.timeout(110):
        while part := await asyncio.to_thread(read):
            output += part
        await process.wait()
    os.close(master)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_probe_without_arguments_offers_the_five_choices_and_removes_what_it_stores(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession() as session,
    ):
        client = Client(bridge, session)
        (tmp_path / ".env").write_text(f"BRIDGE_MQTT__URL={broker_url}\n")
        url = f"http://127.0.0.1:{bridge.port}"
        output = await chosen(tmp_path, f"{url}\n5\n")
        for number, text in enumerate(("Test once", "5 minutes", "as long as you say", "test event", "statistics"), 1):
            assert re.search(rf"{number}\. .*{text}", output)
        assert '"total_channels":0' in output
        async with client.on("?channel=sensors") as socket:
            await chosen(tmp_path, f"{url}\n4\nsensors\nwarning\nhola\n")
            assert (await received_system_event(socket, "hola"))["level"] == "warning"
        output = await chosen(tmp_path, f"{url}\n1\ny\n")
        assert "readings removed" in output
        output = await chosen(tmp_path, f"{url}\n3\n2\n1\ny\n")
        assert "readings removed" in output
        assert (await client.ask("GET", "/api/v1/readings?since=0"))[1]["readings"] == []


async def test_command_removes_its_readings_with_clean(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session)
        await client.ask("POST", "/api/v1/readings", {"sensor_id": "mine", "temperatura": 1})
        url = f"http://127.0.0.1:{bridge.port}"
        code, out, err = await ended(
            tmp_path, "probe", "--url", url, "--broker", broker_url, "--device", "mine", "--clean", "--patience", "20"
        )
        assert code == 0, out + err
        left = (await client.ask("GET", "/api/v1/readings?since=0"))[1]["readings"]
        assert [reading["deviceId"] for reading in left] == ["mine"], "only what the probe stored is removed"


# --- problems and production -----------------------------------------------------------------------------------------


async def test_unknown_channel_is_refused_with_those_that_exist(client: Client) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with client.on("?channel=weather"):
            pass
    assert refused.value.response.status_code == 404
    assert all(name in (refused.value.response.body or b"").decode() for name in CHANNELS)


async def test_log_tells_port_and_refusals(broker_url: str, tmp_path: Path) -> None:
    variables = {"BRIDGE_MQTT__URL": broker_url, "BRIDGE_STORE__URL": f"sqlite:///{tmp_path}/bridge.db"}
    async with served(tmp_path, **variables) as (host, server):
        port = host.rpartition(":")[2]
        assert re.search(rf"INFO .*listening at http://localhost:{port}", server.err)
        async with connect(f"ws://{host}/api/v1/ws/secure?token=guess") as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await received(socket)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, bool(closed.value.rcvd.reason)) == (4401, True)
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}/metrics") as answer:
            assert re.search(r'^bridge_access_refused_total\{reason="malformed"\} 1', await answer.text(), re.MULTILINE)


async def test_client_that_reconnects_after_a_restart_receives_events_again(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    store_url, port = f"sqlite:///{tmp_path}/bridge.db", free_port()
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        connections: Any = aiter(connect(f"ws://127.0.0.1:{port}/api/v1/ws?channel=sensors"))
        async with aclosing(connections):
            async for socket in connections:
                with suppress(websockets.ConnectionClosed):
                    while True:
                        heard.append(orjson.loads(await socket.recv()))

    listening = asyncio.create_task(listen())
    try:
        for number in (1, 2):
            http = HttpSettings(port=port)
            async with start_bridge(broker_url, store_url, http=http) as bridge, aiohttp.ClientSession() as session:
                client = Client(bridge, session)

                async def is_connected(client: Client = client) -> bool:
                    return bool((await client.ask("GET", "/api/v1/ws/stats"))[1]["total_channels"])

                await until(is_connected, what="connected to this bridge")
                assert (await client.ask("POST", "/api/v1/sensors", {"tipo": "x"}))[1]["id"] == number
                await until(lambda: any(one.get("entity_id") == number for one in heard), what="the event")  # noqa: B023
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_secure_channel_works_with_tls(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    await finished(*command, *names)
    http = HttpSettings.model_validate({"port": 0, "tls": {"cert_file": certificate, "key_file": key}})
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as bridge:
        context = ssl.create_default_context(cafile=str(certificate))
        async with connect(f"wss://localhost:{bridge.port}/api/v1/ws?channel=sensors", ssl=context) as socket:
            assert (await received(socket))["status"] == "connected"
        async with connect(f"wss://localhost:{bridge.port}/api/v1/ws/secure?token=guess", ssl=context) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await received(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401
