"""The MQTT source with a real mosquitto: what it acknowledges, when, and on which connection."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import aiomqtt
import pytest
from pydantic import SecretStr

from bridge.core.errors import UnsupportedLibrary
from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome
from bridge.pipeline.intake import Intake
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import mqtt_sender, new_client, paho_client
from bridge.sources.mqtt.connection import BatchQueue, MqttConnection
from bridge.sources.mqtt.read_ahead_socket import ReadAheadSocket, unsupported_name
from bridge.sources.mqtt.source import MqttSource, fast_path_works
from tests.fakes import MemoryStore, RecordingPublisher
from tests.senders import patient
from tests.servers import Mosquitto, until


def settings_for(url: str, **more: object) -> MqttSettings:
    return MqttSettings.model_validate({"url": url, "client_id": f"t-{uuid.uuid4().hex[:8]}", **more})


class Rig:
    """A source with an intake that only the test empties."""

    def __init__(self, settings: MqttSettings, memory: MemoryStore | None = None, **more: Any) -> None:
        """`more` is for the source."""
        self.settings = settings
        self.memory = memory or MemoryStore()
        self.publisher = RecordingPublisher()
        self.health = Health(("mqtt",))
        self.ledger = Ledger()
        self.intake = Intake(self.ledger, qos0_limit=1000, batch_limit=10_000)
        self.source = MqttSource(settings, self.intake, self.health, memory=self.memory, publisher=self.publisher, **more)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.source.run(), name="source")
        try:
            await until(lambda: self.source.is_connected, what="connected")
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def take(self, count: int) -> list[Message]:
        await until(lambda: len(self.intake) >= count, what=f"{count} messages")
        return await anext(self.intake)

    async def until_acknowledged(self) -> None:
        """Wait until the broker has read all acknowledgements: it reads a connection in order, and confirms what follows."""
        await asyncio.sleep(0)  # those of a batch are sent at the next turn of the event loop
        await self.source.publish_retained("none", b"")


async def publish(url: str, payloads: list[bytes], *, qos: int = 1, retain: bool = False) -> None:
    async with mqtt_sender(patient(url)) as sender:
        for payload in payloads:
            await sender.publish("sensors/a/data", payload, qos=qos, retain=retain)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_unacknowledged_message_is_delivered_again_on_the_next_connection(broker_url: str, protocol: str) -> None:
    rig = Rig(settings_for(broker_url, protocol=protocol))
    async with rig.connected():
        await publish(broker_url, [b"1", b"2", b"3"])
        first = await rig.take(3)
        assert [message.payload for message in first] == [b"1", b"2", b"3"]
        first[0].origin.acknowledge(first[0], Outcome.STORED)
        await rig.until_acknowledged()
    async with rig.connected():
        again = await rig.take(2)
        assert [message.payload for message in again] == [b"2", b"3"]
        for message in again:
            message.origin.acknowledge(message, Outcome.STORED)
        await rig.until_acknowledged()
    async with rig.connected():
        await publish(broker_url, [b"4"])
        assert [message.payload for message in await rig.take(1)] == [b"4"]


async def test_acknowledgement_after_the_end_of_its_connection_is_dropped(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        await publish(broker_url, [b"1", b"2"])
        old = await rig.take(2)
    async with rig.connected():
        await rig.take(2)
        for message in old:
            message.origin.acknowledge(message, Outcome.STORED)
    async with rig.connected():
        assert [message.payload for message in await rig.take(2)] == [b"1", b"2"], "still not acknowledged"


async def test_messages_published_while_disconnected_are_delivered_on_reconnect(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        pass
    await publish(broker_url, [b"%d" % n for n in range(50)])
    async with rig.connected():
        assert [message.payload for message in await rig.take(50)] == [b"%d" % n for n in range(50)]


async def test_receive_maximum_limits_unacknowledged_messages(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url, receive_maximum=10))
    async with rig.connected():
        await publish(broker_url, [b"%d" % n for n in range(25)])
        await publish(broker_url, [b"qos 0 passes the window"], qos=0)
        held = await rig.take(11)
        assert [message.payload for message in held] == [b"%d" % n for n in range(10)] + [b"qos 0 passes the window"]
        for message in held:
            message.origin.acknowledge(message, Outcome.STORED)
        assert [message.payload for message in await rig.take(15)][:10] == [b"%d" % n for n in range(10, 20)]


async def test_broker_that_ignores_receive_maximum_causes_no_loss_and_no_memory_growth(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url, receive_maximum=1))
    async with rig.connected():
        pass
    await publish(broker_url, [b"%d" % n for n in range(200)])
    seen: list[bytes] = []
    async with rig.connected():
        while len(set(seen)) < 200:
            batch = await rig.take(1)
            assert len(rig.intake) + len(batch) <= 20
            for message in batch:
                seen.append(message.payload)
                message.origin.acknowledge(message, Outcome.STORED)
        assert not rig.publisher.events, "no client is suspected of using the same client id"
    assert sorted(set(seen), key=int) == [b"%d" % n for n in range(200)]


async def test_retained_message_is_delivered_once_and_not_at_every_reconnect(broker_url: str) -> None:
    await publish(broker_url, [b"kept"], retain=True)
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        (message,) = await rig.take(1)
        assert (message.retained, message.payload) == (True, b"kept")
        message.origin.acknowledge(message, Outcome.DUPLICATE)
        await rig.until_acknowledged()
    async with rig.connected():
        await publish(broker_url, [b"new"])
        assert [one.payload for one in await rig.take(1)] == [b"new"]


async def test_source_reconnects_after_the_broker_was_killed_and_restarted(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    rig = Rig(settings_for(broker.url))
    try:
        async with rig.connected():
            broker.kill()
            await until(lambda: not rig.health.ready)
            assert broker.url in rig.health.parts["mqtt"].reason
            broker.start()
            await until(lambda: rig.health.ready)
            await publish(broker.url, [b"after"])
            assert [message.payload for message in await rig.take(1)] == [b"after"]
    finally:
        broker.kill()


async def _send_some(settings: MqttSettings, payloads: list[bytes]) -> None:
    async with mqtt_sender(settings) as sender:
        await asyncio.gather(*(sender.publish("sensors/a/data", payload) for payload in payloads))


async def test_tls_certificate_is_verified_with_the_configured_authority(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    broker = Mosquitto(tmp_path / "broker", f"certfile {certificate}", f"keyfile {key}")
    broker.start()
    url = broker.url.replace("mqtt://", "mqtts://")
    try:
        trusting = Rig(settings_for(url, tls={"ca_file": str(certificate)}))
        async with trusting.connected():
            bodies = [b"%d over TLS" % n + bytes(n * 10) for n in range(500)]  # more than one read, and records of many packets
            await asyncio.gather(*(_send_some(trusting.settings, bodies[n::2]) for n in range(2)))
            arrived = await trusting.take(500)
            assert sorted(message.payload for message in arrived) == sorted(bodies)
            for message in arrived:
                message.origin.acknowledge(message, Outcome.STORED)
            await trusting.until_acknowledged()
        async with trusting.connected(), mqtt_sender(trusting.settings) as sender:
            await sender.publish("sensors/a/data", b"the next")
            assert [message.payload for message in await trusting.take(1)] == [b"the next"], "all before is acknowledged"
        wary = Rig(settings_for(url))
        task = asyncio.create_task(wary.source.run())
        await until(lambda: "certificate" in wary.health.parts["mqtt"].reason.lower(), what="the refusal")
        task.cancel()
        await asyncio.wait((task,))
        gc.collect()
    finally:
        broker.kill()


async def test_refused_login_is_reported_and_retried(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    passwords.chmod(0o600)
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}")
    conf = Path(broker.command[-1])
    conf.write_text(conf.read_text().replace("allow_anonymous true\n", ""))
    broker.start()
    rig = Rig(settings_for(broker.url.replace("://", "://who:wrong@")))
    task = asyncio.create_task(rig.source.run())
    try:
        await until(lambda: "authori" in rig.health.parts["mqtt"].reason.lower(), what="the refusal")
        assert "wrong" not in rig.health.parts["mqtt"].reason
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        broker.kill()


async def test_acknowledgements_are_sent_in_order_of_arrival(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        await publish(broker_url, [b"1", b"2", b"3"])
        first, second, third = await rig.take(3)
        for message in (third, second):
            message.origin.acknowledge(message, Outcome.STORED)
    async with rig.connected():
        assert [message.payload for message in await rig.take(3)] == [b"1", b"2", b"3"], "the first was never settled"
        del first


async def test_two_bridges_with_one_client_id_are_detected_and_reported(broker_url: str) -> None:
    settings = settings_for(broker_url)
    one, other = Rig(settings), Rig(settings)
    async with one.connected(), other.connected():
        await until(lambda: one.publisher.events, what="the notice")
        (event,) = one.publisher.events
        assert isinstance(event, SystemEvent)
        assert event.level == "error"
        assert "another client uses our client id" in event.message
        assert settings.client_id in one.health.parts["mqtt"].reason


async def test_subscription_removed_from_the_settings_is_unsubscribed(broker_url: str) -> None:
    wide = settings_for(broker_url, subscriptions=[{"pattern": "sensors/{deviceId}/data"}, {"pattern": "old/{deviceId}/data"}])
    narrow = wide.model_copy(update={"subscriptions": wide.subscriptions[:1]})
    memory = MemoryStore()
    async with Rig(wide, memory).connected():
        pass
    async with Rig(narrow, memory).connected():
        pass
    rig = Rig(narrow, memory)
    async with rig.connected():
        async with mqtt_sender(patient(broker_url)) as sender:
            await sender.publish("old/a/data", b"unwanted")
            await sender.publish("sensors/a/data", b"wanted")
        assert [message.payload for message in await rig.take(1)] == [b"wanted"]


async def test_messages_dropped_by_the_broker_are_counted_and_reported(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    conf = Path(broker.command[-1])
    conf.write_text(conf.read_text().replace("max_queued_messages 2000000", "max_queued_messages 10") + "sys_interval 1\n")
    broker.start()
    try:
        rig = Rig(settings_for(broker.url, receive_maximum=5))
        async with rig.connected():
            await until(lambda: any("dropped" in key for key in rig.memory.state), what="the first count")
            await publish(broker.url, [b"%d" % n for n in range(100)])
            await until(lambda: rig.publisher.events, what="the notice")
            await until(lambda: rig.source.broker_dropped == 85, what="100 less 5 in flight and 10 queued")
        (event, *_) = rig.publisher.events
        assert isinstance(event, SystemEvent)
        assert event.level == "warning"
        assert event.message.startswith("the broker dropped ")
    finally:
        broker.kill()


async def test_queue_returns_all_waiting_messages() -> None:
    queue = BatchQueue()
    waiting = [aiomqtt.Message("t", b"0", 1, False, 7, None), aiomqtt.Message("t", b"1", 0, True, 0, None)]
    for message in waiting:
        queue.put_nowait(message)
    assert await queue.get() == waiting  # type: ignore[comparison-overlap]
    assert queue.empty()


def test_settings_do_not_reveal_secrets() -> None:
    settings = MqttSettings(url=SecretStr("mqtts://me:hidden@broker.example"), password=SecretStr("hidden"))
    assert settings.address == "mqtts://broker.example:8883"
    assert "hidden" not in f"{settings!r} {settings}"
    assert settings.login == ("me", "hidden")


@asynccontextmanager
async def running(connection: MqttConnection) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(connection.run())
        yield
        task.cancel()


# --- a scripted broker, for what mosquitto rarely does ----------------------------------------------------------------

CONNECT, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 12, 14
CONNACK, PINGRESP, TAKEN_OVER = b"\x20\x02\x00\x00", b"\xd0\x00", b"\xe0\x01\x8e"

ONE = [{"pattern": "sensors/{deviceId}/data"}]


class Peer:
    """The broker's end of a connection with MQTT 3.1.1, or 5 where the packets are the same."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """Type and body of the next packet from the bridge."""
        first = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            (digit,) = await self._reader.readexactly(1)
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first >> 4, await self._reader.readexactly(length)

    async def expect(self, kind: int) -> bytes:
        """The body of the next packet, which must be a `kind`."""
        found, body = await self.packet()
        assert found == kind
        return body

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def suback(self, before: bytes = b"", after: bytes = b"", properties: bytes = b"") -> None:
        """Answer a SUBSCRIBE, with more bytes in the same write."""
        answer = (await self.expect(SUBSCRIBE))[:2] + properties + b"\x01"
        self.send(before + bytes([0x90, len(answer)]) + answer + after)

    async def accept(self, after: bytes, properties: bytes = b"") -> None:
        """CONNACK, SUBACK for the readings and for the count of drops, the last with more bytes in the same write."""
        await self.expect(CONNECT)
        self.send(bytes([0x20, 2 + len(properties)]) + b"\x00\x00" + properties)
        await self.suback(properties=properties)
        await self.suback(properties=properties, after=after)


@asynccontextmanager
async def scripted_broker(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a broker that runs the script for every connection; fails if a script fails."""
    failures: list[Exception] = []
    serving: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(writer)
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the bridge disconnected, perhaps with something unread
        except Exception as failure:
            failures.append(failure)
        finally:
            writer.close()
            serving.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await until(lambda: not serving, what="the end of every connection")
    assert not failures, failures


def reading(n: int, topic: bytes = b"sensors/a/data") -> bytes:
    """A PUBLISH with QoS 1: packet id and payload are `n`."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", n) + b"%d" % n
    return bytes([0x32, len(body)]) + body


async def test_messages_in_one_segment_with_other_packets_are_all_received() -> None:
    async def serve(peer: Peer) -> None:
        await peer.expect(CONNECT)
        peer.send(CONNACK + reading(1))
        await peer.suback(before=reading(2) + PINGRESP + PINGRESP, after=reading(3) + reading(4)[:9])
        await peer.suback(before=reading(4)[9:] + reading(5))
        await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            assert [message.payload for message in await rig.take(5)] == [b"1", b"2", b"3", b"4", b"5"]


async def test_messages_before_a_session_takeover_are_received_and_the_takeover_is_reported() -> None:
    def v5(n: int) -> bytes:
        return b"\x32\x09\x00\x03s/a" + struct.pack(">H", n) + b"\x00%d" % n

    async def serve(peer: Peer) -> None:
        await peer.accept(v5(1) + v5(2) + TAKEN_OVER, properties=b"\x00")
        await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, subscriptions=ONE))
        task = asyncio.create_task(rig.source.run())
        await until(lambda: "another client uses our client id" in rig.health.parts["mqtt"].reason, what="the reason")
        assert [message.payload for message in await rig.take(2)][:2] == [b"1", b"2"]
        task.cancel()
        await asyncio.wait((task,))


async def test_acknowledgements_of_a_batch_are_sent_together_and_in_order() -> None:
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.accept(b"".join(reading(n) for n in range(1, 301)))
        while len(received) < 300:
            received.extend(struct.unpack(">H", await peer.expect(PUBACK)))
        await peer.expect(DISCONNECT)

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            for message in await rig.take(300):
                message.origin.acknowledge(message, Outcome.STORED)
            await until(lambda: len(received) == 300, what="every acknowledgement")
    assert received == list(range(1, 301))


@pytest.mark.parametrize("fast", [True, False])
async def test_last_acknowledgements_are_sent_before_the_disconnect(fast: bool) -> None:
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.expect(CONNECT)
        peer.send(CONNACK + reading(1) + reading(2))
        received.extend([(await peer.packet())[0] for _ in range(3)])

    async with scripted_broker(serve) as url:
        arrived: list[Message] = []
        async with MqttConnection(settings_for(url, protocol="3.1.1"), arrived.extend, fast=fast) as connection:
            async with running(connection):
                await until(lambda: len(arrived) == 2, what="both messages")
            for message in arrived:
                message.origin.acknowledge(message, Outcome.STORED)
        await until(lambda: len(received) == 3, what="the disconnect")
    assert received == [PUBACK, PUBACK, DISCONNECT]


async def test_messages_beyond_the_limit_are_received_on_another_connection() -> None:
    received: list[list[int]] = []

    async def serve(peer: Peer) -> None:
        acknowledged: list[int] = []
        await peer.accept(b"".join(reading(n) for n in range(1, 31)))
        kind, body = await peer.packet()
        while kind == PUBACK:
            acknowledged += struct.unpack(">H", body)
            kind, body = await peer.packet()
        assert kind == DISCONNECT
        received.append(acknowledged)

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE, receive_maximum=1))
        async with rig.connected():
            arrived = await rig.take(1)
            assert [message.packet_id for message in arrived] == list(range(1, 21)), "twenty times Receive Maximum"
            for message in arrived:
                message.origin.acknowledge(message, Outcome.STORED)
            await until(lambda: received, what="the end of the connection")
            await rig.take(20)
            assert not rig.publisher.events, "no client is suspected of using the same client id"
    assert received[0] == list(range(1, 21))


async def test_topic_with_invalid_utf_8_is_received_with_replacement_characters() -> None:
    async def serve(peer: Peer) -> None:
        await peer.accept(reading(1, b"sensors/\xff/data") + reading(2))
        await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            assert [message.topic for message in await rig.take(2)] == ["sensors/\ufffd/data", "sensors/a/data"]


async def test_broker_that_violates_the_protocol_is_disconnected() -> None:
    connections: list[Peer] = []

    async def serve(peer: Peer) -> None:
        connections.append(peer)
        if len(connections) == 1:
            await peer.accept(reading(1) + b"\x32\xff\xff\xff\xff\xff")
        else:
            await peer.expect(CONNECT)
            peer.send(CONNACK)
        while True:  # until it has gone
            await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        task = asyncio.create_task(rig.source.run())
        await until(lambda: len(connections) > 1, what="another attempt")
        assert (await rig.take(1))[0].payload == b"1"
        task.cancel()
        await asyncio.wait((task,))


async def test_connection_stays_while_messages_arrive_although_the_ping_response_is_late() -> None:
    pinged: list[float] = []
    connections: list[Peer] = []

    async def serve(peer: Peer) -> None:
        connections.append(peer)
        await peer.accept(b"")
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send(peer))
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    if (await peer.packet())[0] == PINGREQ:
                        pinged.append(time.monotonic())
            sending.cancel()

    async def send(peer: Peer) -> None:
        while True:
            peer.send(reading(1))
            await asyncio.sleep(0.1)

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE).model_copy(update={"keepalive_seconds": 3}))
        async with rig.connected():
            await until(lambda: len(pinged) >= 2, what="a ping after one without an answer")
            assert (rig.health.ready, len(connections)) == (True, 1)


async def test_silent_broker_is_detected(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    rig = Rig(settings_for(broker.url).model_copy(update={"keepalive_seconds": 1}))
    try:
        async with rig.connected():
            await publish(broker.url, [b"1"])
            await rig.take(1)
            broker.freeze()
            await until(lambda: not rig.health.ready, what="the notice")
    finally:
        broker.kill()


# --- the fast path ---------------------------------------------------------------------------------------------------


async def test_installed_paho_supports_the_fast_path() -> None:
    paho = aiomqtt.Client("localhost")._client
    assert unsupported_name(paho) is None
    assert time.monotonic() - paho._last_bytes_received < 10


async def test_paho_reads_from_the_read_ahead_socket(broker_url: str) -> None:
    async with MqttConnection(settings_for(broker_url), lambda _: None, fast=True) as connection:
        assert isinstance(connection._paho.socket(), ReadAheadSocket)


class PahoWithChangedQueue:
    """A release of paho that renamed a parameter of a private method."""

    def _create_socket(self) -> None: ...

    def _packet_queue(self, command: int, packet: bytes, mid: int, qos: int) -> None: ...


def test_unsupported_paho_disables_the_fast_path_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert unsupported_name(object()) == "_create_socket"
    assert not fast_path_works(PahoWithChangedQueue())
    installed = version("paho-mqtt")
    assert [record.getMessage() for record in caplog.records] == [
        f"mqtt: unsupported paho-mqtt {installed} (_packet_queue changed): fast path disabled, throughput drops about 5x"
    ]


@pytest.mark.parametrize("reused", [False, True], ids=["closed", "number reused"])
async def test_socket_closed_before_the_event_loop_watches_it_is_not_watched(broker_url: str, *, reused: bool) -> None:
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context.get("exception") or context))
    client = new_client(settings_for(broker_url), None)
    await client.__aenter__()
    paho = paho_client(client)
    sock = paho.socket()
    assert sock is not None
    number = cast("socket.socket", sock).fileno()
    with socket.socket() as other:
        paho._call_socket_register_write()  # as for a packet that does not fit into the kernel's buffer
        paho._sock_close()
        if reused:
            os.dup2(other.fileno(), number)
        await asyncio.sleep(0)  # two turns of the loop: the callback, and what it schedules
        await asyncio.sleep(0)
        watched = loop.remove_writer(number)
        if reused:
            os.close(number)
    assert (failures, watched) == ([], False)
    with suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)
    assert failures == []


async def test_aiomqtt_without_its_paho_client_fails_at_start() -> None:
    with pytest.raises(UnsupportedLibrary, match=r"unsupported aiomqtt .*: install aiomqtt<3"):
        paho_client(cast("aiomqtt.Client", object()))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_messages_are_received_and_acknowledged_without_the_fast_path(broker_url: str, protocol: str) -> None:
    settings = settings_for(broker_url, protocol=protocol)
    seen: list[bytes] = []
    arrived: list[Message] = []
    for acknowledge in (2, 1):
        arrived.clear()
        async with MqttConnection(settings, arrived.extend, fast=False) as connection:
            await connection.subscribe()
            if not seen:
                await publish(broker_url, [b"1", b"2", b"3"])
            async with running(connection):
                await until(lambda: arrived[-1:] and arrived[-1].payload == b"3", what="the last message")
            seen += [message.payload for message in arrived]
            for message in arrived[:acknowledge]:
                message.origin.acknowledge(message, Outcome.STORED)
            await asyncio.sleep(0)  # they are queued
            await connection.publish("none", b"", retain=True)  # the broker has read them
    assert seen == [b"1", b"2", b"3", b"3"]
