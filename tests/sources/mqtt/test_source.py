"""The MQTT source against a real mosquitto: what it acknowledges, when, and on which connection."""

from __future__ import annotations

import asyncio
import gc
import inspect
import struct
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest
from pydantic import SecretStr

from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome
from bridge.pipeline.intake import Intake
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.sources.mqtt.read_ahead_socket import ReadAheadSocket
from bridge.sources.mqtt.source import BatchQueue, MqttConnection, MqttSource, can_read_ahead
from tests.fakes import MemoryStore, RecordingPublisher
from tests.servers import Mosquitto, until


def settings_for(url: str, **more: object) -> MqttSettings:
    return MqttSettings.model_validate({"url": url, "client_id": f"t-{uuid.uuid4().hex[:8]}", **more})


class Rig:
    """A source with an intake nobody empties but the test."""

    def __init__(self, settings: MqttSettings, memory: MemoryStore | None = None) -> None:
        self.settings = settings
        self.memory = memory or MemoryStore()
        self.publisher = RecordingPublisher()
        self.health = Health(("mqtt",))
        self.ledger = Ledger()
        self.intake = Intake(self.ledger, qos0_limit=1000, batch_limit=10_000)
        self.source = MqttSource(settings, self.intake, self.health, memory=self.memory, publisher=self.publisher)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.source.run(), name="source")
        try:
            await until(lambda: self.health.ready, what="connected")
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def take(self, count: int) -> list[Message]:
        await until(lambda: len(self.intake) >= count, what=f"{count} messages")
        return await anext(self.intake)


async def publish(url: str, payloads: list[bytes], *, qos: int = 1, retain: bool = False) -> None:
    async with mqtt_sender(settings_for(url)) as sender:
        for payload in payloads:
            await sender.publish("sensors/a/data", payload, qos=qos, retain=retain)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_is_not_acknowledged_comes_again_on_the_next_connection(broker_url: str, protocol: str) -> None:
    rig = Rig(settings_for(broker_url, protocol=protocol))
    async with rig.connected():
        await publish(broker_url, [b"1", b"2", b"3"])
        first = await rig.take(3)
        assert [message.payload for message in first] == [b"1", b"2", b"3"]
        first[0].origin.acknowledge(first[0], Outcome.STORED)
    async with rig.connected():
        again = await rig.take(2)
        assert [message.payload for message in again] == [b"2", b"3"]
        for message in again:
            message.origin.acknowledge(message, Outcome.STORED)
    async with rig.connected():
        await publish(broker_url, [b"4"])
        assert [message.payload for message in await rig.take(1)] == [b"4"]


async def test_an_acknowledgement_after_the_end_of_its_connection_goes_nowhere(broker_url: str) -> None:
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


async def test_what_is_published_while_we_are_away_waits_for_us(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        pass
    await publish(broker_url, [b"%d" % n for n in range(50)])
    async with rig.connected():
        assert [message.payload for message in await rig.take(50)] == [b"%d" % n for n in range(50)]


async def test_the_window_holds_back_what_we_have_not_acknowledged(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url, receive_maximum=10))
    async with rig.connected():
        await publish(broker_url, [b"%d" % n for n in range(25)])
        await publish(broker_url, [b"qos 0 passes the window"], qos=0)
        held = await rig.take(11)
        assert [message.payload for message in held] == [b"%d" % n for n in range(10)] + [b"qos 0 passes the window"]
        for message in held:
            message.origin.acknowledge(message, Outcome.STORED)
        assert [message.payload for message in await rig.take(15)][:10] == [b"%d" % n for n in range(10, 20)]


async def test_a_broker_that_ignores_the_window_makes_neither_memory_grow_nor_anything_lost(broker_url: str) -> None:
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
        assert not rig.publisher.events, "nobody is accused of sharing our client id"
    assert sorted(set(seen), key=int) == [b"%d" % n for n in range(200)]


async def test_retained_messages_come_once_not_at_every_reconnect(broker_url: str) -> None:
    await publish(broker_url, [b"kept"], retain=True)
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        (message,) = await rig.take(1)
        assert (message.retained, message.payload) == (True, b"kept")
        message.origin.acknowledge(message, Outcome.DUPLICATE)
    async with rig.connected():
        await publish(broker_url, [b"new"])
        assert [one.payload for one in await rig.take(1)] == [b"new"]


async def test_it_comes_back_when_the_broker_is_killed_and_started_again(tmp_path: Path) -> None:
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


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the refused socket to the collector
async def test_tls_is_verified_against_the_authority_of_the_settings(tmp_path: Path) -> None:
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


async def test_a_refused_login_is_said_in_words_and_tried_again(tmp_path: Path) -> None:
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


async def test_acknowledgements_go_out_in_order_of_arrival_whatever_the_order_of_settling(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        await publish(broker_url, [b"1", b"2", b"3"])
        first, second, third = await rig.take(3)
        for message in (third, second):
            message.origin.acknowledge(message, Outcome.STORED)
    async with rig.connected():
        assert [message.payload for message in await rig.take(3)] == [b"1", b"2", b"3"], "the first was never settled"
        del first


async def test_two_bridges_with_one_client_id_are_noticed_and_said(broker_url: str) -> None:
    settings = settings_for(broker_url)
    one, other = Rig(settings), Rig(settings)
    async with one.connected(), other.connected():
        await until(lambda: one.publisher.events, what="the notice")
        (event,) = one.publisher.events
        assert isinstance(event, SystemEvent)
        assert event.level == "error"
        assert "another client uses our client id" in event.message
        assert settings.client_id in one.health.parts["mqtt"].reason


async def test_a_subscription_that_left_the_settings_is_given_up(broker_url: str) -> None:
    wide = settings_for(broker_url, subscriptions=[{"pattern": "sensors/{deviceId}/data"}, {"pattern": "old/{deviceId}/data"}])
    narrow = wide.model_copy(update={"subscriptions": wide.subscriptions[:1]})
    memory = MemoryStore()
    async with Rig(wide, memory).connected():
        pass
    async with Rig(narrow, memory).connected():
        pass
    rig = Rig(narrow, memory)
    async with rig.connected():
        async with mqtt_sender(settings_for(broker_url)) as sender:
            await sender.publish("old/a/data", b"unwanted")
            await sender.publish("sensors/a/data", b"wanted")
        assert [message.payload for message in await rig.take(1)] == [b"wanted"]


async def test_what_the_broker_drops_is_said_with_its_number(tmp_path: Path) -> None:
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


async def test_the_queue_hands_over_all_that_waits() -> None:
    queue = BatchQueue()
    waiting = [aiomqtt.Message("t", b"0", 1, False, 7, None), aiomqtt.Message("t", b"1", 0, True, 0, None)]
    for message in waiting:
        queue.put_nowait(message)
    assert await queue.get() == waiting  # type: ignore[comparison-overlap]
    assert queue.empty()


def test_secrets_stay_out_of_what_is_shown() -> None:
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


# --- a broker of our own, which does what mosquitto rarely does -------------------------------------------------------

CONNECT, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 12, 14
CONNACK, PINGRESP, TAKEN_OVER = b"\x20\x02\x00\x00", b"\xd0\x00", b"\xe0\x01\x8e"

ONE = [{"pattern": "sensors/{deviceId}/data"}]


class Peer:
    """The broker's end of one connection, for a bridge that speaks MQTT 3.1.1 (or 5, where the packets are the same)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """Type and body of the next packet that the bridge sends."""
        first = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            (digit,) = await self._reader.readexactly(1)
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first >> 4, await self._reader.readexactly(length)

    async def hear(self, kind: int) -> bytes:
        """The body of the next packet, which is a `kind`."""
        found, body = await self.packet()
        assert found == kind
        return body

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def suback(self, before: bytes = b"", behind: bytes = b"", properties: bytes = b"") -> None:
        """Answer a SUBSCRIBE, with more in the same piece."""
        answer = (await self.hear(SUBSCRIBE))[:2] + properties + b"\x01"
        self.send(before + bytes([0x90, len(answer)]) + answer + behind)

    async def welcome(self, behind: bytes, properties: bytes = b"") -> None:
        """CONNACK, SUBACK for the readings and for the count of drops, and more in the same piece with that."""
        await self.hear(CONNECT)
        self.send(bytes([0x20, 2 + len(properties)]) + b"\x00\x00" + properties)
        await self.suback(properties=properties)
        await self.suback(properties=properties, behind=behind)


@asynccontextmanager
async def broker_that(serves: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a broker whose every connection is served so; it fails with what a connection fails with."""
    failures: list[Exception] = []
    serving: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(writer)
        try:
            await serves(Peer(reader, writer))
        except asyncio.IncompleteReadError:
            pass  # the bridge has gone
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


async def test_messages_in_one_piece_with_other_packets_are_all_heard() -> None:
    async def serve(peer: Peer) -> None:
        await peer.hear(CONNECT)
        peer.send(CONNACK + reading(1))
        await peer.suback(before=reading(2) + PINGRESP + PINGRESP, behind=reading(3) + reading(4)[:9])
        await peer.suback(before=reading(4)[9:] + reading(5))
        await peer.packet()

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            assert [message.payload for message in await rig.take(5)] == [b"1", b"2", b"3", b"4", b"5"]


async def test_what_comes_before_a_session_is_taken_away_is_taken_in_and_the_reason_heard() -> None:
    def v5(n: int) -> bytes:
        return b"\x32\x09\x00\x03s/a" + struct.pack(">H", n) + b"\x00%d" % n

    async def serve(peer: Peer) -> None:
        await peer.welcome(v5(1) + v5(2) + TAKEN_OVER, properties=b"\x00")
        await peer.packet()

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, subscriptions=ONE))
        task = asyncio.create_task(rig.source.run())
        await until(lambda: "another client uses our client id" in rig.health.parts["mqtt"].reason, what="the reason")
        assert [message.payload for message in await rig.take(2)][:2] == [b"1", b"2"]
        task.cancel()
        await asyncio.wait((task,))


async def test_the_acknowledgements_of_a_batch_go_out_together_in_order_and_wait_for_nothing() -> None:
    heard: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.welcome(b"".join(reading(n) for n in range(1, 301)))
        while len(heard) < 300:
            heard.extend(struct.unpack(">H", await peer.hear(PUBACK)))
        await peer.hear(DISCONNECT)

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            for message in await rig.take(300):
                message.origin.acknowledge(message, Outcome.STORED)
            await until(lambda: len(heard) == 300, what="every acknowledgement")
    assert heard == list(range(1, 301))


@pytest.mark.parametrize("tapped", [True, False])
async def test_what_is_settled_last_is_acknowledged_before_we_leave(tapped: bool) -> None:
    heard: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.hear(CONNECT)
        peer.send(CONNACK + reading(1) + reading(2))
        heard.extend([(await peer.packet())[0] for _ in range(3)])

    async with broker_that(serve) as url:
        arrived: list[Message] = []
        async with MqttConnection(settings_for(url, protocol="3.1.1"), arrived.extend, tapped=tapped) as connection:
            async with running(connection):
                await until(lambda: len(arrived) == 2, what="both messages")
            for message in arrived:
                message.origin.acknowledge(message, Outcome.STORED)
        await until(lambda: len(heard) == 3, what="the leave-taking")
    assert heard == [PUBACK, PUBACK, DISCONNECT]


async def test_what_is_more_than_we_hold_is_left_for_another_connection_after_all_else_is_acknowledged() -> None:
    heard: list[list[int]] = []

    async def serve(peer: Peer) -> None:
        acknowledged: list[int] = []
        await peer.welcome(b"".join(reading(n) for n in range(1, 31)))
        kind, body = await peer.packet()
        while kind == PUBACK:
            acknowledged += struct.unpack(">H", body)
            kind, body = await peer.packet()
        assert kind == DISCONNECT
        heard.append(acknowledged)

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE, receive_maximum=1))
        async with rig.connected():
            arrived = await rig.take(1)
            assert [message.packet_id for message in arrived] == list(range(1, 21)), "twenty times Receive Maximum"
            for message in arrived:
                message.origin.acknowledge(message, Outcome.STORED)
            await until(lambda: heard, what="the end of the connection")
            await rig.take(20)
            assert not rig.publisher.events, "nobody is accused of sharing our client id"
    assert heard[0] == list(range(1, 21))


async def test_a_topic_that_is_not_utf_8_stops_nothing() -> None:
    async def serve(peer: Peer) -> None:
        await peer.welcome(reading(1, b"sensors/\xff/data") + reading(2))
        await peer.packet()

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        async with rig.connected():
            assert [message.topic for message in await rig.take(2)] == ["sensors/\ufffd/data", "sensors/a/data"]


async def test_a_broker_that_breaks_the_protocol_is_left() -> None:
    connections: list[Peer] = []

    async def serve(peer: Peer) -> None:
        connections.append(peer)
        if len(connections) == 1:
            await peer.welcome(reading(1) + b"\x32\xff\xff\xff\xff\xff")
        else:
            await peer.hear(CONNECT)
            peer.send(CONNACK)
        while True:  # until it has gone
            await peer.packet()

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE))
        task = asyncio.create_task(rig.source.run())
        await until(lambda: len(connections) > 1, what="another attempt")
        assert (await rig.take(1))[0].payload == b"1"
        task.cancel()
        await asyncio.wait((task,))


async def test_a_broker_that_sends_and_sends_may_be_late_with_its_answer_to_a_ping() -> None:
    pinged: list[float] = []
    connections: list[Peer] = []

    async def serve(peer: Peer) -> None:
        connections.append(peer)
        await peer.welcome(b"")
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send(peer))
            with suppress(asyncio.IncompleteReadError):
                while True:
                    if (await peer.packet())[0] == PINGREQ:
                        pinged.append(time.monotonic())
            sending.cancel()

    async def send(peer: Peer) -> None:
        while True:
            peer.send(reading(1))
            await asyncio.sleep(0.1)

    async with broker_that(serve) as url:
        rig = Rig(settings_for(url, protocol="3.1.1", subscriptions=ONE).model_copy(update={"keepalive_seconds": 1}))
        async with rig.connected():
            await until(lambda: len(pinged) >= 3, what="pings without an answer")
            assert (rig.health.ready, len(connections)) == (True, 1)


async def test_a_broker_that_falls_silent_is_noticed(tmp_path: Path) -> None:
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


# --- paho's private names --------------------------------------------------------------------------------------------


async def test_paho_still_has_what_we_reach_for() -> None:
    paho = aiomqtt.Client("localhost")._client
    assert can_read_ahead(type(paho))
    assert not inspect.signature(paho._create_socket).parameters
    assert list(inspect.signature(paho._packet_queue).parameters) == ["command", "packet", "mid", "qos", "info"]
    assert time.monotonic() - paho._last_bytes_received < 10


async def test_paho_reads_from_the_socket_we_give_it(broker_url: str) -> None:
    async with MqttConnection(settings_for(broker_url), lambda _: None, tapped=True) as connection:
        assert isinstance(connection._paho.socket(), ReadAheadSocket)


def test_a_paho_without_those_names_is_told_apart() -> None:
    assert not can_read_ahead(object)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_without_them_messages_come_and_are_acknowledged_as_well(broker_url: str, protocol: str) -> None:
    settings = settings_for(broker_url, protocol=protocol)
    seen: list[bytes] = []
    arrived: list[Message] = []
    for acknowledge in (2, 1):
        arrived.clear()
        async with MqttConnection(settings, arrived.extend, tapped=False) as connection:
            await connection.subscribe()
            if not seen:
                await publish(broker_url, [b"1", b"2", b"3"])
            async with running(connection):
                await until(lambda: arrived[-1:] and arrived[-1].payload == b"3", what="the last message")
            seen += [message.payload for message in arrived]
            for message in arrived[:acknowledge]:
                message.origin.acknowledge(message, Outcome.STORED)
    assert seen == [b"1", b"2", b"3", b"3"]
