"""Advice of a running bridge on real servers: told on every wire, kept, paged, and followed by a command to an MQTT device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.app import Bridge
from bridge.settings import AlarmsSettings, AnalysisSettings
from tests.api.test_commands import mqtt_device
from tests.api.test_devices import Client
from tests.conftest import StartBridge
from tests.foreign.clients import python_socket
from tests.realtime.clients import Plain, listening
from tests.servers import until

RULES = """
profile = "none"

[rules.stale]
field = "co2"
above = 2000
clear = 1000

[[action]]
name = "fan"
advice = ["ventilate"]
device = "fan"
command = "speed"
value = 2
"""
JSON = {"Content-Type": "application/json"}
STALE = b'{"co2": 2100}'


def rules_file(folder: Path, text: str = RULES) -> AlarmsSettings:
    path = folder / "alarms.toml"
    path.write_text(text)
    return AlarmsSettings(file=path)


async def actions(client: Client, query: str = "") -> Any:
    status, body = await client.ask("GET", f"/api/v1/actions{query}")
    assert status == 200, body
    return body


async def advised(client: Client, number: int = 1) -> list[dict[str, Any]]:
    async def are_there() -> bool:
        return len((await actions(client))["actions"]) >= number

    await until(are_there, 20, f"{number} advised")
    found: list[dict[str, Any]] = (await actions(client))["actions"]
    return found


@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_advice_is_told_on_every_wire_followed_by_a_command_and_kept(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    url = mongo_url if kind == "mongo" else f"sqlite:///{tmp_path}/bridge.db"
    settings = rules_file(tmp_path)
    async with (
        start_bridge(broker_url, url, alarms=settings) as bridge,
        aiohttp.ClientSession() as session,
        mqtt_device(broker_url, "fan") as fan,
        Plain.connected(bridge) as plain,
        python_socket(f"ws://127.0.0.1:{bridge.port}/api/v1/ws?channel=general") as channel,
        listening(bridge) as socketio,
    ):
        client = Client(bridge, session, broker_url)
        await client.until_device("fan", status="online")
        await client.publish("sensors/room-1/data", STALE)
        told = await plain.receive("action")
        [body] = await advised(client)
        assert (told["type"], told["sensor_id"], told["enseigne"], told["salle"]) == ("action", "room-1", "", "")
        assert {name: told[name] for name in body if name != "command"} == {n: v for n, v in body.items() if n != "command"}
        assert (body["action"], body["reason"], body["value"], body["limit"]) == ("ventilate", "alarm", 2100, 2000)
        assert body["message"] == "Air the room: Carbon dioxide is 2,100 ppm, above 2,000 ppm."
        entity = await channel.hear(type="entity_event", entity_type="action")
        assert (entity["event_type"], entity["entity_id"], entity["metadata"]) == (
            "created",
            body["id"],
            {"action": "create_action"},
        )
        assert entity["data"]["message"] == body["message"]
        await until(lambda: socketio.of("action"), 10, "the event")
        assert socketio.of("action")[0]["data"]["id"] == body["id"]
        [alarm] = (await client.ask("GET", "/api/v1/alarms"))[1]["alarms"]
        assert body["alarm"] == alarm["id"]
        await until(lambda: fan.commands, 10, "the command")
        assert fan.commands == [{"command": "speed", "value": "2", "id": body["command"]["id"]}]
        await fan.publish("command/ack", {"id": body["command"]["id"], "ok": True})

        async def is_confirmed() -> bool:
            return bool((await actions(client))["actions"][0]["command"]["state"] == "confirmed")

        await until(is_confirmed, 10, "it is confirmed")
        [command] = (await client.ask("GET", "/api/v1/devices/fan/commands"))[1]["commands"]
        assert command["by"] == "rule:fan"
        metrics = (await session.get(f"{client.url}/metrics")).content
        text = (await metrics.read()).decode()
        assert 'bridge_actions_total{outcome="given"} 1' in text
        assert 'bridge_action_commands_total{outcome="sent"} 1' in text
    async with start_bridge(broker_url, url, alarms=settings) as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session, broker_url)
        [again] = (await actions(client))["actions"]
        assert again == body | {"command": body["command"] | {"state": "confirmed"}}


async def test_history_is_paged_and_by_device(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    url, settings = f"sqlite:///{tmp_path}/bridge.db", rules_file(tmp_path)
    async with start_bridge(broker_url, url, alarms=settings) as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session, broker_url)
        readings = [{"deviceId": f"room-{number}", "co2": 2100 + number} for number in range(7)]
        assert (await client.ask("POST", "/api/v1/readings", readings, headers=JSON))[0] == 201
        every = await advised(client, 7)
        seen, before = [], ""
        while True:
            page = await actions(client, f"?limit=3{before}")
            seen += [one["id"] for one in page["actions"]]
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        assert seen == [one["id"] for one in every] == sorted((one["id"] for one in every), reverse=True)
        assert [one["deviceId"] for one in (await actions(client, "?device=room-3"))["actions"]] == ["room-3"]
        for query in ("?limit=0", "?limit=1001", "?before=x", "?kind=ventilate"):
            assert (await client.ask("GET", f"/api/v1/actions{query}"))[0] == 400, query


async def test_switch_is_kept_over_a_restart_and_checked(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    url, settings = f"sqlite:///{tmp_path}/bridge.db", rules_file(tmp_path)
    path = "/api/v1/actions/commands"
    async with start_bridge(broker_url, url, alarms=settings) as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session, broker_url)
        assert (await actions(client))["commands"] == {"enabled": True, "by": None, "changedAt": None}
        wrong_bodies: list[object] = [{}, {"enabled": "no"}, {"enabled": 0}, {"enabled": False, "x": 1}, []]
        for wrong in wrong_bodies:
            assert (await client.ask("POST", path, wrong))[0] in (400, 422), wrong
        status, body = await client.ask("POST", path, {"enabled": False})
        assert (status, body["commands"]["enabled"], body["commands"]["by"]) == (200, False, "anyone")
    async with (
        start_bridge(broker_url, url, alarms=settings) as bridge,
        aiohttp.ClientSession() as session,
        mqtt_device(broker_url, "fan") as fan,
    ):
        client = Client(bridge, session, broker_url)
        await client.until_device("fan", status="online")
        assert (await actions(client))["commands"] == body["commands"]
        await client.publish("sensors/room-1/data", STALE)
        [advice] = await advised(client)
        assert (advice["command"], fan.commands) == (None, [])
        assert (await client.ask("POST", path, {"enabled": True}))[1]["commands"]["enabled"] is True
        await client.publish("sensors/room-2/data", STALE)
        await until(lambda: fan.commands, 10, "the command")
        assert len(fan.commands) == 1


async def test_rules_for_commands_follow_the_file_when_it_is_read_again(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    settings = rules_file(tmp_path, RULES.replace('command = "speed"', 'command = "speed"\nenabled = false'))
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", alarms=settings) as bridge,
        aiohttp.ClientSession() as session,
        mqtt_device(broker_url, "fan") as fan,
    ):
        client = Client(bridge, session, broker_url)
        await client.until_device("fan", status="online")
        await client.publish("sensors/room-1/data", STALE)
        await advised(client)
        rules_file(tmp_path, RULES.replace("command =", "comand ="))
        status, problem = await client.ask("POST", "/api/v1/alarms/rules/reload")
        assert (status, "action[0].comand" in problem["detail"]) == (422, True)
        rules_file(tmp_path)
        assert (await client.ask("POST", "/api/v1/alarms/rules/reload"))[0] == 200
        await client.publish("sensors/room-2/data", STALE)
        await until(lambda: fan.commands, 10, "the command")
        assert len(fan.commands) == 1


async def test_without_advice_in_the_settings_nothing_is_advised_and_the_history_stays(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    url, settings = f"sqlite:///{tmp_path}/bridge.db", rules_file(tmp_path)
    async with start_bridge(broker_url, url, alarms=settings) as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session, broker_url)
        await client.publish("sensors/room-1/data", STALE)
        before = await advised(client)
    off = AnalysisSettings(advice=False)
    async with start_bridge(broker_url, url, alarms=settings, analysis=off) as bridge, aiohttp.ClientSession() as session:
        client = Client(bridge, session, broker_url)
        async with Plain.connected(bridge) as plain:
            await client.publish("sensors/room-2/data", STALE)
            assert (await plain.receive("alert"))["sensor_id"] == "room-2"
        assert (await actions(client))["actions"] == before
        assert_off(bridge)


def assert_off(bridge: Bridge) -> None:
    assert bridge._components is not None
    assert bridge._components.analysis.advice is None
