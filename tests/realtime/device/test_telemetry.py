"""The last telemetry message of a device, as its socket sent it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.core.devices.device import DOCUMENT_BYTES, Telemetry
from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.pipeline.intake import Intake
from bridge.realtime.device.messages import SocketOrigin
from bridge.settings import DevicesSettings
from tests.api.test_devices import Client, session
from tests.conftest import StartBridge
from tests.realtime.clients import Plain
from tests.realtime.socketio.test_server import metric
from tests.servers import until

__all__ = ["session"]


@pytest.fixture
async def client(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, session: aiohttp.ClientSession
) -> AsyncIterator[Client]:
    async with start_bridge(
        broker_url, f"sqlite:///{tmp_path}/bridge.db", devices=DevicesSettings.model_validate({"open": True})
    ) as bridge:
        yield Client(bridge, session, broker_url)


async def telemetry(client: Client, device: str = "a") -> Any:
    return (await client.ask("GET", f"/get_telemetry?device={device}"))[1]


async def until_telemetry(client: Client, expected: dict[str, Any]) -> None:
    async def there() -> bool:
        return bool(await telemetry(client) == expected)

    await until(there, what=f"{expected}")


async def test_message_is_returned_with_its_measurements_and_all_else(client: Client) -> None:
    async with Plain.connected(client.bridge, "/ws/device") as socket:
        await socket.send(type="auth", name="a", password="any")
        first = {"type": "telemetry", "status": "работает", "temperature": 21.5, "a.b": {"$c": None}, "list": [1, 2.0, True]}
        await socket.send(**first)
        await until_telemetry(client, first)
        second = {"type": "telemetry", "button1": "pressed"}
        await socket.send(**second)
        await until_telemetry(client, second)
        (reading,) = (await client.ask("GET", "/api/v1/readings?device=a"))[1]["readings"]
        assert reading["temperature"] == 21.5


async def test_message_in_an_envelope_is_returned_as_it_was_sent(client: Client) -> None:
    async with Plain.connected(client.bridge, "/ws/device") as socket:
        await socket.send(type="AUTH", payload={"token": "any"})
        sent = {"type": "TELEMETRY", "payload": {"device_id": "a", "temperature": 25.5, "battery": 87}}
        await socket.send(**sent)
        await until_telemetry(client, sent)


async def test_reading_that_arrives_later_by_another_way_is_returned(client: Client) -> None:
    async with Plain.connected(client.bridge, "/ws/device") as socket:
        await socket.send(type="auth", name="a", password="any")
        sent = {"type": "telemetry", "status": "ok"}
        await socket.send(**sent)
        await until_telemetry(client, sent)
        reading = {"deviceId": "a", "temperature": 3}
        async with client.session.post(client.url + "/api/v1/readings", json=reading) as answer:
            assert answer.status == 201

        async def newer() -> bool:
            return bool((await telemetry(client)).get("temperature") == 3)

        await until(newer, what="the reading")
        await socket.send(**sent)
        await until_telemetry(client, sent)


async def test_message_that_is_too_long_is_not_kept_and_counted(client: Client) -> None:
    async with Plain.connected(client.bridge, "/ws/device") as socket:
        await socket.send(type="auth", name="a", password="any")
        await socket.send(type="telemetry", status="ok")
        await until_telemetry(client, {"type": "telemetry", "status": "ok"})
        await socket.send(type="telemetry", text="x" * DOCUMENT_BYTES)
        await until_telemetry(client, {"error": "no data"})
        assert await metric(client.bridge, "bridge_telemetry_not_kept_total") == 1


async def test_message_with_a_reading_is_recorded_once_that_is_settled() -> None:
    recorded: list[tuple[str, str]] = []

    def record(device_id: str, message: Telemetry) -> None:
        recorded.append((device_id, message.text))

    intake = Intake(Ledger(), qos0_limit=1, batch_limit=10)
    origin = SocketOrigin(intake, 10, print, record)
    origin.put_telemetry("a", {"type": "telemetry", "temperature": 1}, {"temperature": 1})
    origin.put_ack("a", {"id": "c1", "ok": True})
    assert recorded == []
    for message in await anext(intake):
        origin.acknowledge(message, Outcome.STORED)
    assert recorded == [("a", '{"type":"telemetry","temperature":1}')]
    origin.put_telemetry("a", {"type": "telemetry", "status": "ok"}, {})
    assert recorded[1:] == [("a", '{"type":"telemetry","status":"ok"}')]
