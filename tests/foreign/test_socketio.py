"""Socket.IO, as the wire contract has it, with the client of Node; both transports."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.app import Bridge
from tests.foreign.clients import Socket, node_socketio
from tests.foreign.conftest import Stage
from tests.foreign.contract import a_cursor, a_text, a_time, an_id, assert_as_written
from tests.servers import until

pytestmark = pytest.mark.parametrize("transport", ["websocket", "polling"])

READING = '{"humidity": 41, "temperature": 25.5, "timestamp": "2026-01-31T12:00:00Z"}'


def event(name: str, body: dict[str, object]) -> dict[str, object]:
    return {"event": name, "body": body}


async def answer_of(client: Socket) -> Any:
    """The next acknowledgement."""
    while "answer" not in (heard := await client.hear()):
        pass
    return heard["answer"]


async def test_events_are_as_written(stage: Stage, transport: str) -> None:
    async with node_socketio(stage.url, transport) as client:
        info = await client.hear()
        assert_as_written(info, event("connectionInfo", {"clientId": info["body"]["own"], "totalClients": 1}))
        await stage.publish("sensors/hall/data", READING)
        data = {"_id": an_id, "temperature": 25.5, "humidity": 41, "timestamp": "2026-01-31T12:00:00.000Z", "deviceId": "hall"}
        heard = await client.hear(event="sensorData")
        assert_as_written(heard, event("sensorData", {"timestamp": a_time, "data": data, "cursor": a_cursor}))
        assert list(heard["body"]["data"])[:3] == ["_id", "temperature", "humidity"], "the order of the table"
        await stage.publish("sensors/hall/status", "offline")
        status = {"deviceId": "hall", "status": "offline", "timestamp": a_time}
        while (heard := await client.hear(event="deviceStatus"))["body"]["status"] == "online":
            pass
        assert_as_written(heard, event("deviceStatus", status))


def polls_or_has_websocket(bridge: Bridge) -> bool:
    """Whether each client can be told something at once: the bridge waits two seconds for one that has to poll first."""
    assert bridge._components is not None
    sockets = bridge._components.realtime.socketio._engine.sockets.values()
    return all(socket.upgraded or socket.queue.is_awaited for socket in sockets)


async def test_a_client_is_told_when_the_bridge_stops(stage: Stage, transport: str) -> None:
    async with node_socketio(stage.url, transport) as client:
        await client.hear(event="connectionInfo")
        await until(lambda: polls_or_has_websocket(stage.bridge), what="the client polls again")
        stage.bridge.stop()
        words = {"level": a_text, "message": a_text, "data": {}, "timestamp": a_time}
        assert_as_written(await client.hear(event="systemEvent"), event("systemEvent", words))


async def test_a_client_subscribes_resumes_and_commands(stage: Stage, transport: str) -> None:
    for n in range(3):
        await stage.publish("sensors/esp01/data", f'{{"temperature": {n}, "timestamp": {1_767_000_000 + n}}}')
    await stage.until("/get_telemetry?device=esp01", temperature=2)
    first = (await stage.get("/api/v1/readings"))["readings"][0]["seq"]
    async with node_socketio(stage.url, transport) as client, stage.subscribed("sensors/esp01/command") as device:
        await client.say(["subscribe", {"devices": ["esp01", "hall"], "since": first, "limit": 1000}])
        replayed = [await client.hear(event="sensorData") for _ in range(2)]
        assert [one["body"]["data"]["temperature"] for one in replayed] == [1, 2]
        answer = {"ok": True, "devices": ["esp01", "hall"], "replayed": 2, "cursor": replayed[1]["body"]["cursor"]}
        assert_as_written(await answer_of(client), answer)
        await client.say(["unsubscribe", {"devices": ["hall"]}])
        assert_as_written(await answer_of(client), {"ok": True, "devices": ["esp01"]})
        await stage.publish("sensors/esp01/status", "online")
        await stage.until("/api/v1/devices/esp01", status="online", connection="mqtt")
        await client.say(["sendCommand", {"device": "esp01", "command": "servo1", "value": 90}])
        sent = await answer_of(client)
        assert_as_written(sent, {"ok": True, "id": a_text, "state": "sent"})
        assert await device.hear(command="servo1") == {"command": "servo1", "value": "90", "id": sent["id"]}
