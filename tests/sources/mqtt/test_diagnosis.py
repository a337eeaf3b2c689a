"""Why a connection fails: each fault is named with its setting, and no part of a password is in the text."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.core.errors import BrokerUnavailable
from bridge.sources.mqtt.client import mqtt_sender
from bridge.tools.local_broker import _amqtt
from tests.cluster.buses import make_bus, running
from tests.servers import Mosquitto, WebSocketMosquitto, free_port, until
from tests.sources.mqtt.test_shared import Lease
from tests.sources.mqtt.test_source import Peer, Rig, scripted_broker, settings_for

SECRET = "hunter2"

# Clients hang up on the servers of these tests, which asyncio notes when it collects their streams.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """The streams are collected within the test that left them."""
    yield
    gc.collect()


@dataclass
class Brokers:
    """Brokers of one test, and the certificates: one for 127.0.0.1, one for another name."""

    folder: Path
    running: list[Mosquitto]

    def certificate(self, name: str, alternative: str, *options: str) -> tuple[Path, Path]:
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
        command += ["-addext", f"subjectAltName={alternative}", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run([*command, *(options or ("-days", "1"))], check=True, capture_output=True)
        return key, certificate

    def start(self, *lines: str) -> Mosquitto:
        return self._start(Mosquitto(self.folder / f"broker-{len(self.running)}", *lines))

    def start_websockets(self, *lines: str) -> WebSocketMosquitto:
        broker = WebSocketMosquitto(self.folder / f"broker-{len(self.running)}", *lines)
        self._start(broker)
        return broker

    def _start(self, broker: Mosquitto) -> Mosquitto:
        broker.start()
        self.running.append(broker)
        return broker

    def start_tls(self, name: str = "here", alternative: str = "IP:127.0.0.1", *lines: str) -> tuple[Mosquitto, str, Path]:
        """A broker with TLS, its URL, and the file of its authority."""
        key, certificate = self.certificate(name, alternative)
        broker = self.start(f"certfile {certificate}", f"keyfile {key}", *lines)
        return broker, broker.url.replace("mqtt://", "mqtts://"), certificate


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    brokers = Brokers(tmp_path, [])
    yield brokers
    for broker in brokers.running:
        broker.kill()


async def reason(url: str, seconds: float = 3.0, **more: object) -> str:
    """The text of the error without the address."""
    settings = settings_for(url, connect_timeout_seconds=seconds, **more)
    with pytest.raises(BrokerUnavailable) as caught:
        async with mqtt_sender(settings):
            pass
    assert SECRET not in str(caught.value)
    return str(caught.value).removeprefix(f"{settings.address}: ")


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


async def test_port_without_a_listener() -> None:
    port = free_port()
    assert await reason(f"mqtt://user:{SECRET}@127.0.0.1:{port}") == (
        f"connection refused: no program listens on port {port} of 127.0.0.1: "
        "start the broker, or correct host and port in mqtt.url (BRIDGE_MQTT__URL)"
    )


async def test_unknown_host() -> None:
    text = await reason("mqtt://no-such-host.invalid")
    assert text.startswith("the host no-such-host.invalid cannot be looked up (")
    assert text.endswith("correct mqtt.url (BRIDGE_MQTT__URL), or check DNS")


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws"])
async def test_port_that_never_answers(scheme: str) -> None:
    with silent_port() as port:
        assert await reason(f"{scheme}://127.0.0.1:{port}", 1.0) == (
            f"no answer from port {port} of 127.0.0.1 within 1 s: "
            "correct mqtt.url (BRIDGE_MQTT__URL), or check the network and its firewalls"
        )


async def test_unknown_authority(brokers: Brokers) -> None:
    _, url, _ = brokers.start_tls()
    text = await reason(url)
    assert text.startswith("the broker's certificate is refused (self-signed certificate): set mqtt.tls.ca_file ")
    _, other = brokers.certificate("other", "DNS:other.example")
    assert f"mqtt.tls.ca_file ({other}) must contain the authority" in await reason(url, tls={"ca_file": str(other)})


async def test_certificate_of_another_name(brokers: Brokers) -> None:
    _, url, authority = brokers.start_tls("else", "DNS:else.example")
    text = await reason(url, tls={"ca_file": str(authority)})
    assert "IP address mismatch" in text
    assert text.endswith("use a name of the certificate in mqtt.url (BRIDGE_MQTT__URL), or issue one for 127.0.0.1")


async def test_client_certificate_is_required(brokers: Brokers) -> None:
    _, authority = brokers.certificate("authority", "DNS:authority.example")
    _, url, own = brokers.start_tls("here", "IP:127.0.0.1", f"cafile {authority}", "require_certificate true")
    assert await reason(url, tls={"ca_file": str(own)}) == (
        "the broker requires a client certificate: set mqtt.tls.cert_file and mqtt.tls.key_file"
    )


async def test_missing_tls_file(tmp_path: Path) -> None:
    settings = settings_for("mqtts://127.0.0.1:1", tls={"ca_file": str(tmp_path / "none.pem")})
    with pytest.raises(BrokerUnavailable, match=r"^mqtt\.tls\.ca_file: .*none\.pem: No such file or directory"):
        async with mqtt_sender(settings):
            pass


async def test_tls_on_a_plain_port(brokers: Brokers) -> None:
    broker = brokers.start()
    assert await reason(f"mqtts://127.0.0.1:{broker.port}") == (
        f"port {broker.port} of 127.0.0.1 speaks MQTT without TLS: use mqtt:// in mqtt.url (BRIDGE_MQTT__URL), "
        "or the port for mqtts://"
    )


async def test_plain_connection_to_a_tls_port(brokers: Brokers) -> None:
    broker, _, _ = brokers.start_tls()
    text = f"port {broker.port} of 127.0.0.1 expects TLS: use %s:// in mqtt.url (BRIDGE_MQTT__URL), or the port for %s://"
    assert await reason(f"mqtt://user:{SECRET}@127.0.0.1:{broker.port}") == text % ("mqtts", "mqtt")
    assert await reason(f"ws://user:{SECRET}@127.0.0.1:{broker.port}") == text % ("wss", "ws")


async def test_mqtt_and_websocket_ports_mixed_up(brokers: Brokers) -> None:
    broker = brokers.start_websockets()
    text = await reason(f"mqtt://127.0.0.1:{broker.websocket_port}")
    assert f"port {broker.websocket_port} of 127.0.0.1 speaks HTTP: use ws:// in mqtt.url" in text
    text = await reason(f"ws://127.0.0.1:{broker.port}")
    assert f"port {broker.port} of 127.0.0.1 speaks MQTT without WebSockets: use mqtt:// in mqtt.url" in text


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[int]:
    """A server that reads something, sends the answer, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            await reader.read(100)
            writer.write(answer)
            await writer.drain()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def test_http_server_without_mqtt_at_the_path() -> None:
    async with server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as port:
        assert await reason(f"ws://127.0.0.1:{port}/mqqt") == (
            f"port {port} of 127.0.0.1 does not accept MQTT over WebSockets at the path /mqqt: "
            "correct the path in mqtt.url (BRIDGE_MQTT__URL), often /mqtt or /"
        )
        assert "speaks HTTP: use ws:// in mqtt.url" in await reason(f"mqtt://127.0.0.1:{port}")


async def test_program_that_is_no_broker() -> None:
    async with server(b"") as port:
        assert await reason(f"mqtt://127.0.0.1:{port}") == (
            f"port {port} of 127.0.0.1 closed the connection without an answer: "
            "correct mqtt.url (BRIDGE_MQTT__URL): is it an MQTT broker?"
        )


def with_passwords(brokers: Brokers) -> Mosquitto:
    """A broker with the user `bridge`, whose password is `right`."""
    passwords = brokers.folder / "passwords"
    passwords.write_text("bridge:right\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
    passwords.chmod(0o600)
    broker = Mosquitto(brokers.folder / "closed", f"password_file {passwords}")
    conf = Path(broker.command[-1])
    conf.write_text(conf.read_text().replace("allow_anonymous true\n", "allow_anonymous false\n"))
    broker.start()
    brokers.running.append(broker)
    return broker


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_wrong_password(brokers: Brokers, protocol: str) -> None:
    broker = with_passwords(brokers)
    text = await reason(broker.url.replace("://", f"://bridge:{SECRET}@"), protocol=protocol)
    assert text == (
        "the broker does not authorize this user or password: "
        "correct mqtt.username and mqtt.password, or those in mqtt.url, or permit it at the broker"
    )
    assert "the broker does not authorize a client without a user" in await reason(broker.url, protocol=protocol)


# --- brokers of MQTT 3.1.1 only ----------------------------------------------------------------------------------------


@asynccontextmanager
async def refusing_broker() -> AsyncIterator[str]:
    """A broker that refuses MQTT 5 with a CONNACK of 3.1.1."""
    port = free_port()
    async with _amqtt("127.0.0.1", port):
        yield f"mqtt://127.0.0.1:{port}"


@asynccontextmanager
async def closing_broker() -> AsyncIterator[str]:
    """A broker that closes a connection with MQTT 5 without an answer."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            first = await reader.read(100)
            if first[8:9] == b"\x04":
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner)
                inner_writer.write(first)
                await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async with refusing_broker() as url:
        inner = int(url.rpartition(":")[2])
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        yield f"mqtt://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        listening.close()


@pytest.mark.parametrize("broker", [refusing_broker, closing_broker])
async def test_broker_without_mqtt_5_is_used_with_3_1_1_and_says_what_to_set(
    broker: Callable[[], AbstractAsyncContextManager[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with broker() as url:
        rig = Rig(settings_for(url))
        async with rig.connected():
            async with mqtt_sender(settings_for(url)) as sender:  # falls back too
                assert sender.protocol == "3.1.1"
                await sender.publish("sensors/a/data", b"1")
            assert [message.payload for message in await rig.take(1)] == [b"1"]
        (line,) = warnings(caplog)
        fault = 'the broker supports MQTT 3.1.1 only: set mqtt.protocol (BRIDGE_MQTT__PROTOCOL) to "3.1.1"'
        assert line == f"mqtt: {url}: {fault}; connecting with 3.1.1 meanwhile"
        assert f"mqtt: connected to {url} as {rig.settings.client_id}, MQTT 3.1.1" in caplog.messages


async def test_bus_uses_3_1_1_where_the_broker_has_nothing_newer() -> None:
    async with refusing_broker() as url, running(make_bus(url)) as first, running(make_bus(url)) as second:
        assert first.bus.publish(b"1")
        await until(lambda: second.received == [b"1"])


async def test_broker_that_closed_one_connection_is_not_taken_for_an_old_one() -> None:
    seen: list[bytes] = []

    async def serve(peer: Peer) -> None:
        _, body = await peer.packet()
        seen.append(body[6:7])
        if len(seen) > 2:  # the third is the second question of the diagnosis
            peer.send(b"\x20\x03\x00\x00\x00" if body[6:7] == b"\x05" else b"\x20\x02\x00\x00")

    async with scripted_broker(serve) as url:
        assert "3.1.1" not in await reason(url)
    assert seen == [b"\x05", b"\x05", b"\x04", b"\x05"]


# --- reports -----------------------------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def test_first_failure_and_each_change_of_the_reason_are_logged_once(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    broker = with_passwords(brokers)
    broker.kill()
    url = broker.url.replace("://", f"://bridge:{SECRET}@")
    rig = Rig(settings_for(url, connect_timeout_seconds=10.0, reconnect_cap_seconds=0.1))
    task = asyncio.create_task(rig.source.run())
    try:
        await until(lambda: warnings(caplog), what="the first line")
        assert "starting" not in rig.health.parts["mqtt"].reason
        broker.start()
        await until(lambda: "does not authorize" in rig.health.parts["mqtt"].reason, what="the other reason")
        log = broker.folder / "mosquitto.log"
        before = log.read_text().count("New connection")
        await until(lambda: log.read_text().count("New connection") > before + 3, what="more attempts")
    finally:
        task.cancel()
        await asyncio.wait((task,))
    first, second = warnings(caplog)
    assert first.startswith(f"mqtt: no connection to {broker.url}: connection refused: no program listens")
    assert second.startswith(f"mqtt: no connection to {broker.url}: the broker does not authorize this user or password: ")
    assert second.endswith("; retrying every 0.1 s")
    assert SECRET not in caplog.text


DYNAMIC_SECURITY = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")
ROLES = {
    "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True},
    "clients": [],
    "groups": [{"groupname": "all", "roles": [{"rolename": "bridge"}]}],
    "anonymousGroup": "all",
    "roles": [{"rolename": "bridge", "acls": [{"acltype": "subscribePattern", "topic": "sensors/#", "allow": True}]}],
}


def with_roles(brokers: Brokers) -> Mosquitto:
    """A broker that permits subscriptions below sensors/ only."""
    if not DYNAMIC_SECURITY.exists():
        pytest.skip("mosquitto has no plugin for dynamic security")
    file = brokers.folder / "roles.json"
    file.write_text(json.dumps(ROLES))
    file.chmod(0o600)
    return brokers.start(f"plugin {DYNAMIC_SECURITY}", f"plugin_opt_config_file {file}")


async def test_bridge_that_stands_by_does_not_report_the_subscriptions_that_were_refused_before(brokers: Brokers) -> None:
    broker = with_roles(brokers)
    rig = Rig(settings_for(broker.url, subscriptions=[{"pattern": "home/{deviceId}/data"}]))
    receiving, standby = Lease("plant"), Lease("plant-standby", receives=False)
    task = asyncio.create_task(run_in_turn(rig, receiving, standby))
    try:
        await until(lambda: "refuses to subscribe" in rig.health.parts["mqtt"].reason, what="the reason")
        receiving.end()
        await until(lambda: rig.health.ready, what="no subscription that could be refused")
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def run_in_turn(rig: Rig, *leases: Lease) -> None:
    for lease in leases:
        await rig.source.run(lease)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_refused_subscription_is_named_and_the_others_are_received(
    brokers: Brokers, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = with_roles(brokers)
    patterns = [{"pattern": "home/{deviceId}/data"}, {"pattern": "sensors/{deviceId}/data"}, {"pattern": "lab/{deviceId}"}]
    rig = Rig(settings_for(broker.url, subscriptions=patterns, protocol=protocol))
    task = asyncio.create_task(rig.source.run())
    try:
        await rig.source.connected.wait()
        async with mqtt_sender(settings_for(broker.url)) as sender:
            await sender.publish("sensors/a/data", b"1")
        assert [message.payload for message in await rig.take(1)] == [b"1"]
        assert not rig.health.ready
        text = rig.health.parts["mqtt"].reason
        assert text.startswith(f"{broker.url}: the broker refuses to subscribe to home/+/data (")
        assert "lab/+ (" in text
        assert text.endswith("permit it for this user, or change mqtt.subscriptions")
        assert "sensors/+/data" not in text
        assert [line for line in warnings(caplog) if "home/+/data" in line]
    finally:
        task.cancel()
        await asyncio.wait((task,))
