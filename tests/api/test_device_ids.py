"""Device ids of every script and with every special character, through each input and each output, on both stores."""

from __future__ import annotations

import asyncio
import io
import json
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import aiomqtt
import orjson
import pytest
from rich.cells import cell_len
from rich.console import Console
from yarl import URL

from bridge.app import Bridge
from bridge.settings import DevicesSettings
from bridge.tools.tail import ReadingsTable
from tests.api.test_devices import store_url
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.device_ids import ACCEPTED, REFUSED
from tests.realtime.clients import Listener, Plain, listening
from tests.servers import until

__all__ = ["store_url"]

EPOCH_MS = 1_767_000_000_000
SUBSCRIPTIONS = [
    {"pattern": "sensors/{deviceId...}/data"},
    {"pattern": "sensors/{deviceId...}/status", "kind": "status"},
    {"pattern": "sensors/{deviceId...}/command/ack", "kind": "command_ack"},
    {"pattern": "tree/{deviceId...}"},
    {"pattern": "body"},
]
SECRET = "1234"


@dataclass
class Stage:
    bridge: Bridge
    session: aiohttp.ClientSession
    mqtt: aiomqtt.Client

    async def ask(self, method: str, path: str, body: object = None, **query: str | list[str]) -> tuple[int, Any]:
        """Send a request; the path is percent-encoded already."""
        text = f"{path}?{urlencode(query, doseq=True)}" if query else path
        url = URL(f"http://127.0.0.1:{self.bridge.port}{text}", encoded=True)
        async with self.session.request(method, url, json=body) as answer:
            content = await answer.read()
            return answer.status, orjson.loads(content) if content else None

    async def readings(self, *devices: str, **query: str) -> list[dict[str, Any]]:
        status, page = await self.ask("GET", "/api/v1/readings", device=list(devices), **query)
        assert status == 200, page
        return list(page["readings"])

    async def publish(self, topic: str, body: object, *, retain: bool = False) -> None:
        await self.mqtt.publish(topic, body if isinstance(body, str) else orjson.dumps(body), qos=1, retain=retain)

    async def by_mqtt(self, name: str, body: dict[str, object]) -> None:
        await self.publish(f"sensors/{name}/data", body)

    async def by_tree(self, name: str, body: dict[str, object]) -> None:
        await self.publish(f"tree/{name}", body)

    async def by_body(self, name: str, body: dict[str, object]) -> None:
        await self.publish("body", {**body, "deviceId": name})

    async def by_post(self, name: str, body: dict[str, object]) -> None:
        status, answer = await self.ask("POST", "/api/v1/readings", {**body, "deviceId": name})
        assert status == 201, answer

    async def by_ingest(self, name: str, body: dict[str, object]) -> None:
        values = {"Temperature": body["temperature"]}
        status, answer = await self.ask(
            "POST", "/api/ingest", {"sensor_id": name, "values": values, "timestamp": body["timestamp"]}
        )
        assert status == 201, answer

    async def by_token(self, name: str, body: dict[str, object]) -> None:
        async with Plain.connected(self.bridge, "/ws/device") as socket:
            await socket.send(type="AUTH", payload={"token": SECRET})
            assert (await socket.receive())["type"] == "AUTH_OK"
            await socket.send(type="TELEMETRY", payload={"device_id": name, **body})
            await self.until_stored(name, body)

    async def by_name(self, name: str, body: dict[str, object]) -> None:
        async with Plain.connected(self.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name=name, password="any")
            await socket.send(type="telemetry", **body)
            await self.until_stored(name, body)

    async def until_stored(self, name: str, body: dict[str, object]) -> None:
        async def stored() -> bool:
            return any(one["temperature"] == body["temperature"] for one in await self.readings(name))

        await until(stored, what=f"a reading of {name!r} stored")


INPUTS = ("by_mqtt", "by_tree", "by_body", "by_post", "by_ingest", "by_token", "by_name")


@asynccontextmanager
async def staged(start_bridge: StartBridge, broker_url: str, store_url: str) -> AsyncIterator[Stage]:
    host, port = broker_url.removeprefix("mqtt://").split(":")
    mqtt, devices = (
        {"subscriptions": SUBSCRIPTIONS},
        DevicesSettings.model_validate({"admins": {"admin": SECRET}, "open": True}),
    )
    async with (
        start_bridge(broker_url, store_url, mqtt=mqtt, devices=devices) as bridge,
        aiohttp.ClientSession() as session,
        aiomqtt.Client(host, int(port)) as client,
    ):
        yield Stage(bridge, session, client)


@pytest.fixture
async def stage(start_bridge: StartBridge, broker_url: str, store_url: str) -> AsyncIterator[Stage]:
    async with staged(start_bridge, broker_url, store_url) as stage:
        yield stage


def path_of(name: str) -> str:
    return f"/api/v1/devices/{quote(name, safe='')}"


async def fill(stage: Stage) -> None:
    """Store a reading of each device, with its place in the table as the temperature."""
    bodies = [{"deviceId": name, "temperature": number, "timestamp": EPOCH_MS + number} for number, name in enumerate(ACCEPTED)]
    assert (await stage.ask("POST", "/api/v1/readings", bodies))[0] == 201


# --- inputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", INPUTS)
async def test_reading_of_any_device_is_stored_under_its_id_by_every_input(stage: Stage, way: str) -> None:
    names = ACCEPTED if way in ("by_mqtt", "by_tree", "by_body", "by_post", "by_ingest") else ACCEPTED[::3]
    for number, name in enumerate(names):
        await getattr(stage, way)(name, {"temperature": number, "timestamp": EPOCH_MS + number})

    async def stored() -> bool:
        return len((await stage.ask("GET", "/api/v1/readings/latest"))[1]["readings"]) == len(names)

    await until(stored, what="a reading of each device stored")
    for number, name in enumerate(names):
        assert [(one["deviceId"], one["temperature"]) for one in await stage.readings(name)] == [(name, number)]
    account = stage.bridge.ledger.as_dict()
    assert sum(one["rejected"] + one["ignored"] for one in account.values()) == 0


async def test_same_reading_by_every_input_and_in_every_spelling_is_one_record(stage: Stage) -> None:
    names = {unicodedata.normalize(form, "Küche/é") for form in ("NFC", "NFD")}
    body: dict[str, object] = {"temperature": 21, "timestamp": EPOCH_MS}
    for name in sorted(names):
        for way in INPUTS:
            await getattr(stage, way)(name, body)
    inputs, spellings = len(INPUTS), len(names)
    await until(lambda: sum(one["duplicate"] for one in stage.bridge.ledger.as_dict().values()) == inputs * spellings - 1)
    for name in sorted(names):
        assert [one["deviceId"] for one in await stage.readings(name)] == ["Küche/é"]
        assert (await stage.ask("GET", path_of(name)))[1]["id"] == "Küche/é"


async def test_refused_id_is_answered_with_its_fault_and_kept_in_the_quarantine(stage: Stage) -> None:
    for number, (name, fault) in enumerate(REFUSED):
        status, answer = await stage.ask("POST", "/api/v1/readings", {"deviceId": name, "temperature": number})
        assert (status, [one["field"] for one in answer["errors"]]) == (422, ["deviceId"])
        assert f", which {fault}; allowed are 1 to 128 printable characters" in answer["errors"][0]["message"]
        status, answer = await stage.ask("POST", "/api/v1/devices", {"id": name})
        assert (status, answer["errors"][0]["field"]) == (422, "id")
        assert answer["errors"][0]["message"].startswith(f"{fault}: must be 1 to 128 printable characters")
    unpublishable = re.compile("[+#\x00-\x1f\x7f-\x9f\uffff]|^$")  # Mosquitto closes the connection
    topics = [name for name, _ in REFUSED if not unpublishable.search(name)]
    for name in topics:
        await stage.publish(f"sensors/{name}/data", {"temperature": 1})
    await until(lambda: stage.bridge.ledger.account("mqtt").rejected == len(topics), what="each topic rejected")
    _, page = await stage.ask("GET", "/api/v1/rejected", code="no_device_id", limit="200")
    assert {one["topic"] for one in page["messages"]} >= {f"sensors/{name}/data" for name in topics}
    assert (await stage.ask("GET", "/api/v1/devices"))[1]["devices"] == []


# --- outputs -----------------------------------------------------------------------------------------------------------


async def test_every_query_finds_any_device_by_its_id_alone(stage: Stage) -> None:
    await fill(stage)
    for number, name in enumerate(ACCEPTED):
        record = {"deviceId": name, "temperature": number}
        (reading,) = await stage.readings(name)
        assert record.items() <= reading.items()
        (bucket,) = await stage.readings(name, every="1h", fields="temperature")
        assert (bucket["deviceId"], bucket["temperature"]["max"]) == (name, number)
        assert record.items() <= (await stage.ask("GET", "/get_telemetry", device=name))[1].items()
        status, device = await stage.ask("GET", path_of(name))
        assert (status, device["id"], device["lastReading"]["temperature"]) == (200, name, number)
        assert (await stage.ask("PATCH", path_of(name), {"room": f"{number}", "id": name}))[1]["room"] == f"{number}"
        _, found = await stage.ask("GET", "/api/v1/devices", room=f"{number}", q=name.upper() if name.isascii() else name)
        assert [one["id"] for one in found["devices"]] == [name]
    names = ["a,b", "a", "*", "floor1/kitchen/air"]
    assert {one["deviceId"] for one in await stage.readings(*names)} == set(names)
    assert await stage.readings("a,*") == []
    assert {one["deviceId"] for one in await stage.readings(*ACCEPTED)} == set(ACCEPTED)


async def test_list_of_devices_is_sorted_and_continues_after_any_id(stage: Stage) -> None:
    await fill(stage)
    found: list[str] = []
    after = ""
    while True:
        _, page = await stage.ask("GET", "/api/v1/devices", limit="7", after=after)
        found += [one["id"] for one in page["devices"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == sorted(ACCEPTED)
    latest = (await stage.ask("GET", "/api/v1/readings/latest"))[1]["readings"]
    assert [one["deviceId"] for one in latest] == sorted(ACCEPTED)


async def test_device_of_any_id_is_registered_at_its_location_and_removed(stage: Stage) -> None:
    for name in ACCEPTED:
        url = f"http://127.0.0.1:{stage.bridge.port}"
        async with stage.session.post(f"{url}/api/v1/devices", json={"id": name, "name": f"name of {name}"}) as answer:
            assert answer.status == 201
            assert answer.headers["Location"] == path_of(name)
        assert (await stage.ask("GET", path_of(name)))[1]["name"] == f"name of {name}"
        assert (await stage.ask("POST", "/api/v1/devices", {"id": name}))[0] == 409
        assert (await stage.ask("DELETE", path_of(name)))[0] == 204
        assert (await stage.ask("GET", path_of(name)))[0] == 404
    assert (await stage.ask("GET", "/api/v1/devices"))[1]["devices"] == []


async def test_live_clients_receive_any_device_and_subscribe_to_it_alone(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        everything = await stack.enter_async_context(listening(stage.bridge))
        topics = await stack.enter_async_context(Plain.connected(stage.bridge, "/ws"))
        channels = await stack.enter_async_context(Plain.connected(stage.bridge, "/api/v1/ws?channel=readings"))
        admin = await stack.enter_async_context(Plain.connected(stage.bridge, "/ws/device"))
        await admin.send(type="AUTH", payload={"token": SECRET})
        assert (await admin.receive())["type"] == "AUTH_OK"
        alone: dict[str, Listener] = {}
        for name in ACCEPTED[::4]:
            alone[name] = await stack.enter_async_context(listening(stage.bridge))
            answer = await alone[name].client.call("subscribe", {"devices": [unicodedata.normalize("NFD", name)]})
            assert answer["devices"] == [name]
        await fill(stage)
        await until(lambda: len(everything.of("sensorData")) == len(ACCEPTED), what="every reading")
        received = [body["data"] for body in everything.of("sensorData")]
        assert {one["deviceId"]: one["temperature"] for one in received} == {name: n for n, name in enumerate(ACCEPTED)}
        assert {(await topics.receive("measurement"))["sensor_id"] for _ in ACCEPTED} == set(ACCEPTED)
        assert {(await channels.receive("entity_event"))["data"]["deviceId"] for _ in ACCEPTED} == set(ACCEPTED)
        assert {(await admin.receive("TELEMETRY"))["payload"]["device_id"] for _ in ACCEPTED} == set(ACCEPTED)
        for name, listener in alone.items():
            await until(partial(listener.of, "sensorData"), what=f"the reading of {name!r}")
            assert [body["data"]["deviceId"] for body in listener.of("sensorData")] == [name]
        late = await stack.enter_async_context(listening(stage.bridge))
        answer = await late.client.call("subscribe", {"devices": ["a,b", "a/b/c", "*"], "since": 0})
        assert (answer["replayed"], answer["devices"]) == (2, ["*", "a,b", "a/b/c"])


# --- commands and status -----------------------------------------------------------------------------------------------


async def test_device_of_any_id_hears_its_commands_over_mqtt_and_confirms_them(stage: Stage) -> None:
    await stage.mqtt.subscribe("sensors/#", qos=1)
    heard: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()

    async def listen() -> None:
        async for message in stage.mqtt.messages:
            if str(message.topic).endswith("/command"):
                heard.put_nowait(message)

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        for number, name in enumerate(ACCEPTED):
            await stage.publish(f"sensors/{name}/status", "online", retain=True)
            await until(partial(has_status, stage, name, "online"), what=f"{name!r} online")
            form = {"device_name": name, "command": "servo1", "value": number}
            url = f"http://127.0.0.1:{stage.bridge.port}/send_command"
            async with stage.session.post(url, data=form) as answer:
                command = await answer.json()
                assert (answer.status, command["device"]) == (202, name)
            async with asyncio.timeout(20):
                message = await heard.get()
            assert str(message.topic) == f"sensors/{name}/command"
            assert orjson.loads(message.payload)["id"] == command["id"]
            await stage.publish(f"sensors/{name}/command/ack", {"id": command["id"], "ok": True})
            path = f"{path_of(name)}/commands"
            await until(partial(is_confirmed, stage, f"{path}/{command['id']}"), what=f"{name!r} confirmed")
            assert [one["id"] for one in (await stage.ask("GET", path))[1]["commands"]] == [command["id"]]
        listening.cancel()
    assert stage.bridge.ledger.account("mqtt").rejected == 0  # the bridge hears its own commands, too


async def test_device_of_any_id_hears_its_commands_on_its_socket(stage: Stage) -> None:
    for number, name in enumerate(ACCEPTED):
        async with Plain.connected(stage.bridge, "/ws/device") as socket:
            await socket.send(type="auth", name=unicodedata.normalize("NFD", name), password="any")
            await until(partial(has_status, stage, name, "online"), what=f"{name!r} online")
            body = {"command": "servo1", "value": number, "device": name, "id": "same"}
            status, command = await stage.ask("POST", f"{path_of(name)}/commands", body)
            assert (status, command["device"]) == (202, name)
            assert orjson.loads(await socket.socket.recv()) == {"command": "servo1", "value": str(number), "id": "same"}
            await socket.send(type="ack", id="same", ok=True)
            await until(partial(is_confirmed, stage, f"{path_of(name)}/commands/same"), what=f"{name!r} confirmed")


async def test_command_of_one_device_is_not_found_under_a_part_of_its_id(stage: Stage) -> None:
    await fill(stage)
    body = {"command": "x", "queue": True, "id": "c"}
    assert (await stage.ask("POST", f"{path_of('floor1/kitchen/air')}/commands", body))[0] == 202
    for path in ("/api/v1/devices/floor1/commands/kitchen%2Fair%2Fc", "/api/v1/devices/floor1%2Fkitchen/commands/air%2Fc"):
        assert (await stage.ask("GET", path))[0] == 404


async def has_status(stage: Stage, name: str, status: str) -> bool:
    return bool((await stage.ask("GET", path_of(name)))[1].get("status") == status)


async def is_confirmed(stage: Stage, path: str) -> bool:
    return bool((await stage.ask("GET", path))[1]["state"] == "confirmed")


# --- restarts, files and the command line --------------------------------------------------------------------------------


async def test_devices_readings_and_commands_of_any_id_survive_a_restart(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    async with staged(start_bridge, broker_url, store_url) as stage:
        await fill(stage)
        for name in ACCEPTED:
            body = {"command": "x", "queue": True, "id": "c", "expires": 600}
            assert (await stage.ask("POST", f"{path_of(name)}/commands", body))[0] == 202
    async with staged(start_bridge, broker_url, store_url) as stage:
        for number, name in enumerate(ACCEPTED):
            assert (await stage.ask("GET", path_of(name)))[1]["lastReading"]["temperature"] == number
            assert (await stage.ask("GET", f"{path_of(name)}/commands/c"))[1]["device"] == name


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
async def test_readings_of_any_device_are_exported_and_imported_again(
    start_bridge: StartBridge, broker_url: str, store_url: str, tmp_path: Path, suffix: str
) -> None:
    async with staged(start_bridge, broker_url, store_url) as stage:
        await fill(stage)
        before = await stage.readings()
    file, other = tmp_path / f"all.{suffix}", f"sqlite:///{tmp_path}/other.db"
    assert (await ended(tmp_path, "export", str(file), BRIDGE_STORE__URL=store_url))[0] == 0
    assert (await ended(tmp_path, "import", str(file), BRIDGE_STORE__URL=other))[0] == 0
    async with staged(start_bridge, broker_url, other) as stage:
        after = await stage.readings()
        assert [(one["_id"], one["deviceId"]) for one in after] == [(one["_id"], one["deviceId"]) for one in before]
    names = ("a,b", unicodedata.normalize("NFD", "Küche"), "floor1/kitchen/air", "*")
    options = [option for name in names for option in ("--device", name)]
    few = tmp_path / f"few.{suffix}"
    code, _, err = await ended(tmp_path, "export", str(few), *options, BRIDGE_STORE__URL=store_url)
    assert (code, "4 readings exported" in err) == (0, True)


async def test_commands_of_the_command_line_take_any_id(stage: Stage, broker_url: str, store_url: str, tmp_path: Path) -> None:
    name = "floor1/кухня, %41 *?"
    url = f"http://127.0.0.1:{stage.bridge.port}"
    environ = {"BRIDGE_STORE__URL": store_url, "BRIDGE_MQTT__SUBSCRIPTIONS": json.dumps(SUBSCRIPTIONS)}
    written = unicodedata.normalize("NFD", name)
    given = ("--url", url, "--broker", broker_url, "--device", written, "--admin-token", SECRET)
    code, out, _ = await ended(tmp_path / "probe", "probe", *given, **environ)
    assert (code, "readings of " + name in out) == (0, True), out
    assert (await stage.ask("GET", path_of(name)))[0] == 404, "the device of a probe is removed"
    await stage.by_post(name, {"temperature": 1, "timestamp": EPOCH_MS})
    code, out, err = await ended(tmp_path / "command", "command", written, "servo1", "90", "--queue", "--url", url, **environ)
    assert (code, err) == (0, "")
    assert (await stage.ask("GET", f"{path_of(name)}/commands"))[1]["commands"][0]["id"] == out.split()[0]
    await stage.publish(f"sensors/{name}/data", "no JSON")
    await until(lambda: stage.bridge.ledger.account("mqtt").rejected == 1)
    assert len((await stage.ask("GET", "/api/v1/rejected", device=name))[1]["messages"]) == 1
    assert len((await stage.ask("GET", "/api/v1/rejected", device="floor1"))[1]["messages"]) == 1
    assert (await stage.ask("GET", "/api/v1/rejected", device="floor1/кухня"))[1]["messages"] == []


def test_table_of_wide_and_right_to_left_ids_has_straight_edges() -> None:
    console = Console(record=True, width=200, file=io.StringIO(), legacy_windows=False)
    table = ReadingsTable(len(ACCEPTED))
    for number, name in enumerate(ACCEPTED):
        table.add({"timestamp": "2026-01-31T12:00:00.000Z", "deviceId": name, "temperature": number})
    console.print(table)
    rows = [line.rstrip() for line in console.export_text().splitlines() if line[2:3] == ":"]
    assert len(rows) == len(ACCEPTED)
    assert len({cell_len(row) for row in rows}) == 1, "the numbers, which are to the right, end in one column"
