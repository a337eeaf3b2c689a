"""Events sent to Socket.IO clients."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.core.readings.reading import Reading
from bridge.settings import HttpSettings, StoreSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store
from tests.conftest import StartBridge
from tests.realtime.clients import listening
from tests.senders import patient
from tests.servers import until


async def publish(broker_url: str, topic: str, payload: bytes) -> None:
    async with mqtt_sender(patient(broker_url)) as sender:
        await sender.publish(topic, payload)


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Bridge]:
    http = HttpSettings(port=0, cors_origins=("https://a.example",))
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as running:
        yield running


async def test_new_client_receives_its_id_and_the_client_count(bridge: Bridge) -> None:
    async with listening(bridge) as first, listening(bridge, transports=["polling"]) as second:
        await until(lambda: first.received and second.received)
        assert first.received[0] == ("connectionInfo", {"clientId": first.client.get_sid(), "totalClients": 1})
        assert second.received[0] == ("connectionInfo", {"clientId": second.client.get_sid(), "totalClients": 2})
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{bridge.port}/websocket/status") as answer,
        ):
            assert (await answer.json())["connectedClients"] == 2


async def test_reading_is_sent_in_the_contract_shape(bridge: Bridge, broker_url: str) -> None:
    async with listening(bridge) as listener:
        await publish(broker_url, "sensors/esp32-1/data", b'{"humidity": 40, "temperature": 25.5, "timestamp": 1767000000}')
        await until(lambda: listener.of("sensorData"))
    (body,) = listener.of("sensorData")
    assert list(body) == ["timestamp", "data", "cursor"]
    assert list(body["data"])[:4] == ["_id", "temperature", "humidity", "timestamp"]
    assert body["data"]["timestamp"] == "2025-12-29T09:20:00.000Z"
    assert body["data"]["temperature"] == 25.5
    assert len(body["timestamp"]) == len("2026-01-01T00:00:00.000Z")
    assert body["timestamp"].endswith("Z")
    assert body["cursor"] == body["data"]["seq"] < 2**53


async def test_cursor_continues_above_stored_records_after_the_clock_went_back(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ahead.db"
    ahead = time.time_ns() // 1000 + 3_600_000_000
    async with open_store(StoreSettings(url=SecretStr(url))) as store:
        await store.prepare()
        await store.write([Reading(ObjectId(), "a", {"temperature": 1}, 1_767_000_000_000, 0, seq=ahead)], [], [])
    async with start_bridge(broker_url, url) as running, listening(running) as listener:
        await publish(broker_url, "sensors/a/data", b'{"temperature": 2}')
        await until(lambda: listener.of("sensorData"))
    assert listener.of("sensorData")[0]["cursor"] == ahead + 1


async def test_status_message_is_sent_as_device_status(bridge: Bridge, broker_url: str) -> None:
    async with listening(bridge) as listener:
        await publish(broker_url, "sensors/a/status", b"offline")
        await until(lambda: listener.of("deviceStatus"))
    (body,) = listener.of("deviceStatus")
    assert list(body) == ["deviceId", "status", "timestamp"]
    assert (body["deviceId"], body["status"]) == ("a", "offline")


async def test_clients_are_notified_when_the_bridge_stops(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as running, listening(running) as listener:
        running.stop()
        await until(lambda: not listener.client.connected)
    (body,) = listener.of("systemEvent")
    assert list(body) == ["level", "message", "data", "timestamp", "cause"]
    assert (body["level"], body["message"]) == ("warning", "the bridge is stopping")


async def test_other_origin_may_connect_only_if_the_settings_allow_it(bridge: Bridge) -> None:
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        for origin, status in (("https://a.example", 200), ("https://b.example", 400)):
            async with session.get(url, headers={"Origin": origin}) as answer:
                assert answer.status == status
        async with session.get(url) as answer:
            handshake = orjson.loads((await answer.text())[1:])
    assert handshake["upgrades"] == ["websocket"]
    assert handshake["maxPayload"] == 64 * 1024
