"""Commands to devices: their state machine, and a running bridge that sends each at most once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.devices.command import TRANSITIONS, Command, CommandState
from bridge.core.errors import CommandStateError
from tests.api.test_devices import Client, session, store_url
from tests.cli.test_cli import ended
from tests.conftest import StartBridge
from tests.realtime.clients import listening
from tests.servers import until

__all__ = ["session", "store_url"]


@given(st.lists(st.tuples(st.sampled_from(CommandState), st.integers(0, 30)), max_size=12))
def test_command_is_sent_at_most_once_never_after_it_expired_and_final_states_stay(
    steps: list[tuple[CommandState, int]],
) -> None:
    command, now, sent = Command("c", "a", "servo1", None, "x", 0, 100), 0, 0
    for state, wait in steps:
        now += wait
        before = command
        try:
            command = command.transition(state, now)
        except CommandStateError:
            assert state not in TRANSITIONS[before.state] or (state is CommandState.SENT and now >= 100)
            continue
        assert not before.is_final
        assert command.changed_ms == now
        sent += state is CommandState.SENT
        assert state is not CommandState.SENT or now < command.expires_ms
        assert state is not CommandState.CONFIRMED or command.sent_ms is not None
    assert sent <= 1


class MqttDevice:
    """An MQTT device that announces itself and records the commands it receives."""

    def __init__(self, client: aiomqtt.Client, name: str) -> None:
        self.client = client
        self.name = name
        self.commands: list[dict[str, Any]] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.commands.append(orjson.loads(message.payload))

    async def publish(self, level: str, body: object) -> None:
        payload = body if isinstance(body, str) else orjson.dumps(body)
        await self.client.publish(f"sensors/{self.name}/{level}", payload, qos=1)


@asynccontextmanager
async def mqtt_device(broker_url: str, name: str) -> AsyncIterator[MqttDevice]:
    host, port = broker_url.removeprefix("mqtt://").split(":")
    will = aiomqtt.Will(f"sensors/{name}/status", "offline", qos=1)
    async with aiomqtt.Client(host, int(port), will=will) as client, asyncio.TaskGroup() as tasks:
        await client.subscribe(f"sensors/{name}/command", qos=1)
        device = MqttDevice(client, name)
        listening = tasks.create_task(device.listen())
        await device.publish("status", "online")
        try:
            yield device
        finally:
            await device.publish("status", "offline")
            listening.cancel()


@pytest.fixture
async def client(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> AsyncIterator[Client]:
    async with start_bridge(broker_url, store_url) as bridge:
        yield Client(bridge, session, broker_url)


async def until_state(client: Client, command: dict[str, Any], state: str) -> dict[str, Any]:
    path = f"/api/v1/devices/{command['device']}/commands/{command['id']}"

    async def reached() -> bool:
        return bool((await client.ask("GET", path))[1]["state"] == state)

    await until(reached, what=state)
    body: dict[str, Any] = (await client.ask("GET", path))[1]
    return body


async def test_command_is_sent_over_mqtt_and_confirmed(client: Client) -> None:
    async with mqtt_device(client.broker_url, "esp01") as device:
        await client.until_device("esp01", status="online")
        status, command = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "servo1", "value": "90"})
        assert (status, command["state"]) == (202, "sent")
        await until(lambda: device.commands)
        assert device.commands == [{"command": "servo1", "value": "90", "id": command["id"]}]
        await device.publish("command/ack", {"id": command["id"], "ok": True})
        confirmed = await until_state(client, command, "confirmed")
        assert confirmed["by"].startswith("http:")
        _, refused = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "reboot"})
        await until(lambda: len(device.commands) == 2)
        assert device.commands[1] == {"command": "reboot", "id": refused["id"]}
        await device.publish("command/ack", {"id": refused["id"], "ok": False, "error": "busy"})
        assert "busy" in (await until_state(client, refused, "failed"))["error"]
        _, recent = await client.ask("GET", "/api/v1/devices/esp01/commands?limit=1")
        assert [one["id"] for one in recent["commands"]] == [refused["id"]]


async def test_command_to_an_offline_device_is_refused_or_queued(client: Client) -> None:
    await client.publish("sensors/esp01/status", b"offline")
    await client.until_device("esp01", status="offline")
    path = "/api/v1/devices/esp01/commands"
    status, problem = await client.ask("POST", path, {"command": "servo1", "value": 1})
    assert (status, problem["detail"]) == (409, "device offline")
    submitted = [await client.ask("POST", path, {"command": "servo1", "value": n, "queue": True}) for n in range(3)]
    assert [(status, one["state"]) for status, one in submitted] == [(202, "queued")] * 3
    async with mqtt_device(client.broker_url, "esp01") as device:
        await until(lambda: len(device.commands) == 3)
        assert [one["value"] for one in device.commands] == ["0", "1", "2"], "in the order of the requests"


async def test_expired_command_is_not_sent(client: Client) -> None:
    await client.ask("POST", "/api/v1/devices", {"id": "esp01"})
    body = {"command": "servo1", "queue": True, "expires": 0.2}
    _, command = await client.ask("POST", "/api/v1/devices/esp01/commands", body)
    await until_state(client, command, "expired")
    async with mqtt_device(client.broker_url, "esp01") as device:
        await client.until_device("esp01", status="online")
        _, fresh = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "now"})
        await until(lambda: device.commands)
        assert device.commands == [{"command": "now", "id": fresh["id"]}]


async def test_requests_with_one_id_are_one_command(client: Client) -> None:
    async with mqtt_device(client.broker_url, "esp01") as device:
        await client.until_device("esp01", status="online")
        path, body = "/api/v1/devices/esp01/commands", {"command": "servo1", "value": "90", "id": "mine"}
        answers = [await client.ask("POST", path, body) for _ in range(3)]
        assert {(status, one["id"]) for status, one in answers} == {(202, "mine")}
        assert (await client.ask("POST", path, body | {"value": "91"}))[0] == 409
        _, last = await client.ask("POST", path, {"command": "last"})
        await until(lambda: device.commands and device.commands[-1]["id"] == last["id"])
        assert [one["id"] for one in device.commands] == ["mine", last["id"]]


async def test_restart_keeps_queued_commands_and_does_not_repeat_sent_ones(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        async with mqtt_device(broker_url, "esp01") as device:
            await client.until_device("esp01", status="online")
            _, sent = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "sent"})
            await until(lambda: device.commands)
        await client.until_device("esp01", status="offline")
        body = {"command": "queued", "queue": True, "expires": 600}
        _, queued = await client.ask("POST", "/api/v1/devices/esp01/commands", body)
    async with start_bridge(broker_url, store_url) as bridge, mqtt_device(broker_url, "esp01") as device:
        client = Client(bridge, session, broker_url)
        await until(lambda: device.commands)
        assert [one["id"] for one in device.commands] == [queued["id"]]
        await device.publish("command/ack", {"id": sent["id"], "ok": True})
        await until_state(client, sent, "confirmed")


async def test_queue_loaded_by_the_next_bridge_is_sent_once(
    start_bridge: StartBridge, broker_url: str, store_url: str, session: aiohttp.ClientSession
) -> None:
    async with start_bridge(broker_url, store_url) as bridge:
        client = Client(bridge, session, broker_url)
        await client.ask("POST", "/api/v1/devices", {"id": "esp01"})
        body = {"command": "x", "queue": True, "expires": 600}
        submitted = [(await client.ask("POST", "/api/v1/devices/esp01/commands", body))[1] for _ in range(20)]
    async with start_bridge(broker_url, store_url) as bridge, mqtt_device(broker_url, "esp01") as device:
        client = Client(bridge, session, broker_url)
        await client.until_device("esp01", status="online")
        for command in submitted:
            await until_state(client, command, "sent")
        _, last = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "last"})
        await until(lambda: last["id"] in [one["id"] for one in device.commands])
        assert sorted(one["id"] for one in device.commands if one["command"] == "x") == sorted(one["id"] for one in submitted)


async def test_socketio_client_sends_a_command_and_gets_its_state(client: Client) -> None:
    async with mqtt_device(client.broker_url, "esp01") as device, listening(client.bridge) as listener:
        await client.until_device("esp01", status="online")
        answer = await listener.client.call("sendCommand", {"device": "esp01", "command": "servo1", "value": 90, "id": "x"})
        assert answer.items() >= {"ok": True, "id": "x", "state": "sent"}.items()
        await until(lambda: device.commands == [{"command": "servo1", "value": "90", "id": "x"}])
        assert (await listener.client.call("sendCommand", {"device": "nobody", "command": "x"}))["ok"] is False
        assert (await listener.client.call("sendCommand", {"device": "esp01"}))["field"] == "command"
        assert (await listener.client.call("sendCommand", "x"))["ok"] is False


async def test_id_of_a_command_to_another_device_is_free(client: Client) -> None:
    body = {"command": "servo1", "queue": True, "id": "x"}
    for device, command in (("esp01", "servo1"), ("esp02", "servo2")):
        assert (await client.ask("POST", "/api/v1/devices", {"id": device}))[0] == 201
        path = f"/api/v1/devices/{device}/commands"
        status, sent = await client.ask("POST", path, body | {"command": command})
        assert (status, sent["device"], sent["command"]) == (202, device, command)
        assert (await client.ask("POST", path, body | {"command": command}))[1] == sent
        assert (await client.ask("GET", f"{path}/x"))[1] == sent
        assert (await client.ask("POST", path, body | {"command": "another"}))[0] == 409


async def test_form_of_older_clients_sends_a_command(client: Client) -> None:
    async with mqtt_device(client.broker_url, "esp01") as device:
        await client.until_device("esp01", status="online")
        form = {"device_name": "esp01", "command": "servo1", "value": "90"}
        async with client.session.post(client.url + "/send_command", data=form) as answer:
            assert answer.status == 202
        await until(lambda: device.commands)
        assert device.commands[0].items() >= {"command": "servo1", "value": "90"}.items()


@pytest.mark.parametrize(
    ("device", "body", "status", "field"),
    [
        ("nobody", {"command": "x"}, 404, None),
        ("a", {}, 422, "command"),
        ("a", {"command": ""}, 422, "command"),
        ("a", {"command": "x", "value": [1]}, 422, "value"),
        ("a", {"command": "x", "value": "y" * 5000}, 422, "value"),
        ("a", {"command": "x", "expires": -1}, 422, "expires"),
        ("a", {"command": "x", "id": "a b"}, 422, "id"),
        ("a", {"command": "x", "colour": 1}, 422, "colour"),
        ("a", {"command": "x", "device": "b"}, 422, "device"),
        ("a+b", {"command": "x"}, 422, "device"),
    ],
)
async def test_invalid_command_is_a_problem_that_names_the_field(
    start_bridge: StartBridge,
    broker_url: str,
    tmp_path: Path,
    session: aiohttp.ClientSession,
    device: str,
    body: object,
    status: int,
    field: str | None,
) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        client = Client(bridge, session, broker_url)
        await client.ask("POST", "/api/v1/devices", {"id": "a"})
        got, answer = await client.ask("POST", f"/api/v1/devices/{device}/commands", body)
        assert got == status, answer
        assert [one["field"] for one in answer.get("errors", [])] == ([field] if field else [])


async def test_acknowledgement_by_another_device_is_ignored(client: Client) -> None:
    async with mqtt_device(client.broker_url, "esp01"):
        await client.until_device("esp01", status="online")
        _, command = await client.ask("POST", "/api/v1/devices/esp01/commands", {"command": "x"})
        await client.publish("sensors/thief/command/ack", orjson.dumps({"id": command["id"], "ok": True}))
        await client.publish("sensors/esp01/command/ack", b'{"id": 5}')
        await until(lambda: client.bridge.ledger.account("mqtt").rejected == 1)
        await client.publish("sensors/esp01/command/ack", orjson.dumps({"id": command["id"], "ok": False}))
        await until_state(client, command, "failed")


async def test_command_line_sends_a_command_to_a_running_bridge(client: Client, tmp_path: Path) -> None:
    async with mqtt_device(client.broker_url, "esp01") as device:
        await client.until_device("esp01", status="online")
        code, out, _ = await ended(tmp_path, "command", "esp01", "servo1", "90", "--url", client.url)
        assert (code, out.split()[1]) == (0, "sent")
        await until(lambda: device.commands)
        assert device.commands[0].items() >= {"command": "servo1", "value": "90"}.items()
        code, out, err = await ended(tmp_path, "command", "esp01", "servo1", "--wait", "1s", "--url", client.url)
        assert (code, out.split()[1], err) == (1, "sent", "not confirmed within 1 s\n")
        waiting = asyncio.create_task(ended(tmp_path / "wait", "command", "esp01", "x", "--wait", "30", "--url", client.url))
        await until(lambda: len(device.commands) == 3)
        await client.publish("sensors/esp01/command/ack", orjson.dumps({"id": device.commands[2]["id"], "ok": True}))
        code, out, err = await waiting
        assert (code, out.split()[1], err) == (0, "confirmed", "")
    await client.until_device("esp01", status="offline")
    code, _, err = await ended(tmp_path, "command", "esp01", "servo1", "--url", client.url)
    assert code == 1
    assert "device offline" in err
