"""MQTT over WebSockets, with a real mosquitto: the same messages and acknowledgements, through the fast path."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.message import Message, Outcome
from bridge.sources.mqtt.client import mqtt_sender
from bridge.sources.mqtt.connection import MqttConnection
from bridge.sources.mqtt.read_ahead_socket import ReadAheadSocket
from tests.senders import patient
from tests.servers import WebSocketMosquitto, until
from tests.sources.mqtt.test_source import Rig, settings_for


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[WebSocketMosquitto]:
    broker = WebSocketMosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.kill()


async def publish(url: str, payloads: list[bytes]) -> None:
    async with mqtt_sender(patient(url)) as sender:
        await asyncio.gather(*(sender.publish("sensors/a/data", payload) for payload in payloads))


async def received(rig: Rig, count: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < count:
        messages += await rig.take(1)
    return messages


BODIES = [b"%d" % n + bytes(n) for n in range(400)] + [bytes(70_000)]
"""Frames of all three sizes of a length. Mosquitto 2.0.11 sends 4 KiB each 0.1 s."""


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "slow"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_messages_over_websockets_are_received_and_acknowledged(
    broker: WebSocketMosquitto, protocol: str, *, fast: bool
) -> None:
    url = f"ws://127.0.0.1:{broker.websocket_port}/mqtt"
    rig = Rig(settings_for(url, protocol=protocol))
    rig.source.is_fast = fast
    async with rig.connected():
        await publish(broker.url, BODIES)
        messages = await received(rig, len(BODIES))
        assert sorted(message.payload for message in messages) == sorted(BODIES)
        for message in messages[:-1]:
            message.origin.acknowledge(message, Outcome.STORED)
        await rig.until_acknowledged()
        last = messages[-1]
    again = Rig(rig.settings)
    again.source.is_fast = fast
    async with again.connected():
        (message,) = await received(again, 1)
        assert message.payload == last.payload, "only the one that was not acknowledged"


async def test_messages_are_published_over_websockets(broker: WebSocketMosquitto) -> None:
    rig = Rig(settings_for(broker.url))
    async with rig.connected():
        await publish(f"ws://127.0.0.1:{broker.websocket_port}", BODIES[:50])
        assert sorted(message.payload for message in await received(rig, 50)) == sorted(BODIES[:50])


async def test_websocket_uses_the_fast_path(broker: WebSocketMosquitto) -> None:
    settings = settings_for(f"ws://127.0.0.1:{broker.websocket_port}/mqtt")
    async with MqttConnection(settings, lambda _: None, fast=True) as connection:
        assert isinstance(connection._paho.socket(), ReadAheadSocket)


async def test_bridge_reconnects_after_the_websocket_was_lost(broker: WebSocketMosquitto) -> None:
    rig = Rig(settings_for(f"ws://127.0.0.1:{broker.websocket_port}/mqtt"))
    async with rig.connected():
        broker.kill()
        await until(lambda: not rig.health.ready)
        broker.start()
        await until(lambda: rig.health.ready)
        await publish(broker.url, [b"after"])
        assert [message.payload for message in await received(rig, 1)] == [b"after"]


async def test_websockets_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    broker = WebSocketMosquitto(tmp_path / "mosquitto", f"certfile {certificate}", f"keyfile {key}")
    broker.start()
    try:
        url = f"wss://127.0.0.1:{broker.websocket_port}/mqtt"
        rig = Rig(settings_for(url, tls={"ca_file": str(certificate)}))
        async with rig.connected():
            await publish(broker.url, BODIES)
            messages = await received(rig, len(BODIES))
            assert sorted(message.payload for message in messages) == sorted(BODIES)
            for message in messages:
                message.origin.acknowledge(message, Outcome.STORED)
            await rig.until_acknowledged()
        async with rig.connected():
            await publish(broker.url, [b"next"])
            assert [message.payload for message in await received(rig, 1)] == [b"next"]
    finally:
        broker.kill()
