from __future__ import annotations

import asyncio
import logging
import os
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.access.mosquitto.files import bridge_rules, hashed_password
from bridge.cluster.bus import PREFERRED_BYTES, NoBus, ReconnectingBus
from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES, BusFault, BusMessageError, Opener, Sealer
from bridge.cluster.redis_bus import redis_bus
from bridge.core.errors import SettingsError
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.cluster.buses import TOPIC, make_bus, running
from tests.senders import patient
from tests.servers import Mosquitto, Redis, WebSocketMosquitto, free_port, until

Broker = Mosquitto | Redis


def start(kind: str, folder: Path) -> Broker:
    """A broker without a limit of its own for the size of messages."""
    broker: Broker
    if kind == "redis":
        broker = Redis(folder)
    else:
        broker = Mosquitto(folder)
        configuration = folder / "mosquitto.conf"
        configuration.write_text(configuration.read_text().replace("message_size_limit 262144\n", ""))
    broker.start()
    return broker


@pytest.fixture(params=["mqtt", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    started = start(request.param, tmp_path / "broker")
    yield started
    started.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    started = start("mqtt", tmp_path / "broker")
    yield started
    started.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Broker]:
    started = start("redis", tmp_path / "broker")
    yield started
    started.kill()


async def test_messages_arrive_at_two_others_in_order_and_whole(broker: Broker) -> None:
    messages = [secrets.token_bytes(size) for size in (0, 1, 300, 70_000, 1_000_000)] + [
        b"%d" % number for number in range(500)
    ]
    async with (
        running(make_bus(broker.url)) as first,
        running(make_bus(broker.url)) as second,
        running(make_bus(broker.url)) as third,
    ):
        assert all(first.bus.publish(message) for message in messages)
        for other in (second, third):
            await until(lambda other=other: len(other.received) == len(messages), what="the messages")
            assert other.received == messages
        assert first.bus.counters.sent == second.bus.counters.received == len(messages)
        await until(lambda: first.bus.waiting_bytes == 0, what="an empty send buffer")


async def test_three_bridges_hear_each_other_once_whatever_an_outsider_repeats(broker: Broker) -> None:
    key, names = secrets.token_bytes(32), [secrets.token_hex(8) for _ in range(3)]
    async with AsyncExitStack() as stack:
        *peers, outsider = [await stack.enter_async_context(running(make_bus(broker.url))) for _ in range(4)]
        for name, peer in zip(names, peers, strict=True):
            assert peer.bus.publish(Sealer(key, name, cluster="plant").seal("hello", b""))
        await until(lambda: len(outsider.received) == 3)
        for data in [*outsider.received] * 3:
            assert outsider.bus.publish(data)
        assert outsider.bus.publish(b"end")
        for name, peer in zip(names, peers, strict=True):
            await until(lambda peer=peer: peer.received[-1:] == [b"end"])
            opener = Opener(key, name, cluster="plant")
            opener.set_members(dict.fromkeys(names, 0))
            heard, faults = opened(opener, peer.received)
            assert sorted(heard) == sorted(set(names) - {name})
            assert faults[BusFault.REPLAYED] == 6
            assert faults[BusFault.NOT_FOR_US] in (3, 4)
            assert faults[BusFault.MALFORMED] == 1


def opened(opener: Opener, received: list[bytes]) -> tuple[list[str], Counter[BusFault]]:
    """The senders of what is accepted, and how often each fault was found."""
    heard, faults = [], Counter[BusFault]()
    for data in received:
        try:
            heard.append(opener.open(data).bridge)
        except BusMessageError as error:
            faults[error.fault] += 1
    return heard, faults


async def test_the_broker_does_not_return_messages_to_their_sender(mosquitto: Broker) -> None:
    async with running(make_bus(mosquitto.url)) as first, running(make_bus(mosquitto.url)) as second:
        assert first.bus.publish(b"mine")
        await until(lambda: second.received == [b"mine"])
        assert second.bus.publish(b"yours")
        await until(lambda: first.received)
        assert first.received == [b"yours"]


async def test_the_bus_works_without_the_fast_path(mosquitto: Broker) -> None:
    async with running(make_bus(mosquitto.url, fast=False)) as first, running(make_bus(mosquitto.url, fast=False)) as second:
        messages = [b"%d" % number for number in range(100)] + [bytes(500_000)]
        assert all(first.bus.publish(message) for message in messages)
        await until(lambda: second.received == messages)
        assert first.received == []


async def test_the_bus_works_with_mqtt_3_1_1(mosquitto: Broker) -> None:
    bus = make_bus(mosquitto.url, protocol="3.1.1")
    async with running(bus) as first, running(make_bus(mosquitto.url)) as second:
        assert first.bus.publish(b"mine")
        await until(lambda: second.received == [b"mine"] and first.received == [b"mine"])


async def test_a_message_of_the_largest_size_arrives(broker: Broker) -> None:
    body = os.urandom(1024) * (MESSAGE_LIMIT_BYTES // 1024)
    async with running(make_bus(broker.url)) as first, running(make_bus(broker.url)) as second:
        assert first.bus.publish(body)
        assert not first.bus.publish(body + b"x")
        assert first.bus.counters.unsent_oversized == 1
        await until(lambda: second.received, what="the message")
        assert second.received == [body]


async def test_messages_of_another_cluster_do_not_arrive(broker: Broker) -> None:
    other = make_bus(broker.url, topic="sensor-bridge-cluster/other/bus")
    async with running(make_bus(broker.url)) as first, running(other) as second, running(make_bus(broker.url)) as third:
        assert second.bus.publish(b"of another cluster")
        assert first.bus.publish(b"ours")
        await until(lambda: third.received)
        assert third.received == [b"ours"]


async def test_a_bus_connects_again_after_the_broker_was_killed(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(make_bus(broker.url)) as first, running(make_bus(broker.url)) as second:
        broker.kill()
        await until(lambda: not first.bus.connected and not second.bus.connected, what="the loss of the connection")
        assert not first.bus.publish(b"lost")
        assert first.bus.counters.unsent_disconnected == 1
        broker.start()
        await until(lambda: first.bus.connected and second.bus.connected, what="a new connection")
        assert first.bus.publish(b"again")
        await until(lambda: second.received == [b"again"])
        assert first.bus.counters.connections == 2
    ours = [record.getMessage() for record in caplog.records if record.name == "bridge.cluster.bus"]
    assert sum(text.startswith("bus: connected to ") for text in ours) == 4
    assert any(text.startswith("bus: no connection to ") for text in ours)


async def test_a_bus_connects_once_the_broker_is_there(broker: Broker) -> None:
    broker.kill()
    async with running(make_bus(broker.url), connected=False) as peer:
        assert not peer.bus.publish(b"lost")
        broker.start()
        await until(lambda: peer.bus.connected, what="the connection")


async def test_the_send_buffer_is_bounded_while_the_broker_is_stopped(broker: Broker) -> None:
    limit, message = 1_000_000, bytes(10_000)
    async with running(make_bus(broker.url, send_limit_bytes=limit)) as first, running(make_bus(broker.url)) as second:
        broker.freeze()
        deadline = time.monotonic() + 20
        while first.bus.publish(message):  # sockets take some megabytes
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        assert limit - len(message) < first.bus.waiting_bytes <= limit
        assert first.bus.counters.unsent_full == 1
        begun = time.monotonic()
        assert not any(first.bus.publish(message) for _ in range(100))
        assert time.monotonic() - begun < 5
        broker.thaw()
        await until(lambda: first.bus.connected and first.bus.publish(b"end"), what="room in the send buffer")
        await until(lambda: second.received and second.received[-1] == b"end", what="the last message")


async def test_a_server_that_stopped_is_noticed(redis: Broker) -> None:
    async with running(make_bus(redis.url)) as peer:
        redis.freeze()
        await until(lambda: not peer.bus.connected, 30, "the end of the connection")
        redis.thaw()
        await until(lambda: peer.bus.connected, what="a new connection")


async def test_a_bus_ends_soon_while_the_broker_is_stopped(broker: Broker) -> None:
    async with running(make_bus(broker.url)) as peer:
        broker.freeze()
        assert peer.bus.publish(bytes(8_000_000))
        begun = time.monotonic()
    assert time.monotonic() - begun < 5


async def test_retained_messages_are_not_delivered(mosquitto: Broker) -> None:
    async with mqtt_sender(patient(mosquitto.url)) as sender:
        await sender.publish(TOPIC, b"retained", retain=True)
        for protocol in ("5", "3.1.1"):
            async with running(make_bus(mosquitto.url, protocol=protocol)) as peer:
                await sender.publish(TOPIC, b"live", qos=0)
                await until(lambda peer=peer: peer.received)
                assert peer.received == [b"live"]


async def test_a_bus_heeds_the_largest_packet_that_the_broker_states(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker", "max_packet_size 100000")
    broker.start()
    try:
        async with running(make_bus(broker.url)) as first, running(make_bus(broker.url)) as second:
            assert first.bus.message_limit_bytes == 100_000 - 1024
            assert not first.bus.publish(bytes(100_000))
            assert first.bus.publish(bytes(100_000 - 1024))
            await until(lambda: second.received)
            assert first.bus.counters.connections == 1
    finally:
        broker.kill()


async def test_messages_of_the_preferred_size_pass_the_broker_that_we_ship(broker_url: str) -> None:
    async with running(make_bus(broker_url)) as first, running(make_bus(broker_url)) as second:
        assert first.bus.publish(bytes(PREFERRED_BYTES))
        await until(lambda: second.received)


async def test_a_wrong_password_is_said_without_the_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Redis(tmp_path / "redis", "requirepass right-secret")
    server.start()
    try:
        right = f"redis://:right-secret@127.0.0.1:{server.port}"
        async with running(make_bus(right)) as peer:
            assert peer.bus.address == server.url
        bus = make_bus(f"redis://:wrong-secret@127.0.0.1:{server.port}")
        async with running(bus, connected=False):
            await until(lambda: "no connection" in caplog.text)
        assert "invalid username-password pair" in caplog.text
        assert "secret" not in caplog.text
    finally:
        server.kill()


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://h",
        "redis://",
        "redis://u:se/cret@h",
        "redis://u:se#cret@h:1",
        "redis://u:secret@h:port",
        "redis://[u:secret@h",
        "redis://h?socket_timeout=secret",
        "secret",
    ],
)
def test_a_url_that_is_not_valid_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        redis_bus(url, TOPIC)
    assert "secret" not in str(refused.value)
    assert "se/cret" not in str(refused.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of a server at 127.0.0.1, which is its own authority."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


async def test_the_bus_works_over_mqtt_with_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    broker = Mosquitto(tmp_path / "broker", f"certfile {certificate[0]}", f"keyfile {certificate[1]}")
    broker.start()
    try:
        url, tls = f"mqtts://127.0.0.1:{broker.port}", {"ca_file": str(certificate[0])}
        await carries_messages(make_bus(url, tls=tls), make_bus(url, tls=tls))
    finally:
        broker.kill()


async def test_the_bus_works_over_redis_with_tls_and_refuses_an_unknown_authority(
    tmp_path: Path, certificate: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    files = (f"tls-cert-file {certificate[0]}", f"tls-key-file {certificate[1]}", "tls-auth-clients no")
    server = Redis(tmp_path / "redis", f"tls-port {port}", *files)
    server.start()
    try:
        url = f"rediss://127.0.0.1:{port}"
        options = f"?ssl_ca_certs={certificate[0]}"
        await carries_messages(make_bus(url + options), make_bus(url + options))
        async with running(make_bus(url), connected=False):
            await until(lambda: "certificate verify failed" in caplog.text)
    finally:
        server.kill()


async def test_the_bus_works_over_websockets(tmp_path: Path) -> None:
    broker = WebSocketMosquitto(tmp_path / "broker")
    broker.start()
    try:
        url = f"ws://127.0.0.1:{broker.websocket_port}/mqtt"
        await carries_messages(make_bus(url), make_bus(url))
    finally:
        broker.kill()


async def test_the_bus_works_with_the_rules_of_a_broker_that_requires_access(tmp_path: Path) -> None:
    """The rules that the bridge writes, with the bus among its own topics."""
    (tmp_path / "acl").write_text("\n".join(["user bridge", *bridge_rules(MqttSettings(), [TOPIC])]) + "\n")
    (tmp_path / "passwords").write_text(f"bridge:{hashed_password('secret', 1)}\n")
    for file in ("acl", "passwords"):
        (tmp_path / file).chmod(0o600)
    broker = Mosquitto(tmp_path / "broker", f"acl_file {tmp_path}/acl", f"password_file {tmp_path}/passwords")
    configuration = tmp_path / "broker" / "mosquitto.conf"
    configuration.write_text(configuration.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    try:
        url = broker.url.replace("//", "//bridge:secret@")
        await carries_messages(make_bus(url), make_bus(url))
    finally:
        broker.kill()


async def carries_messages(one: ReconnectingBus, other: ReconnectingBus) -> None:
    """Small and large messages arrive, in both directions."""
    messages = [b"small", os.urandom(PREFERRED_BYTES), b"end"]
    async with running(one) as first, running(other) as second:
        for sending, receiving in ((first, second), (second, first)):
            receiving.received.clear()
            assert all(sending.bus.publish(message) for message in messages)
            await until(lambda receiving=receiving: receiving.received[-3:] == messages)


async def test_without_a_bus_nothing_is_sent() -> None:
    bus = NoBus()
    task = asyncio.create_task(bus.run(lambda _: None))
    assert not bus.publish(b"x")
    assert (bus.connected, bus.counters.unsent_disconnected) == (False, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
