"""The MQTT source against a real mosquitto: what it acknowledges, when, and on which connection."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from pydantic import SecretStr

from bridge.core.events import SystemEvent
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome
from bridge.intake import Intake
from bridge.settings import MqttSettings
from bridge.sources.mqtt import BatchQueue, MqttSource, mqtt_sender
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
        first[0].origin.settle(first[0], Outcome.STORED)
    async with rig.connected():
        again = await rig.take(2)
        assert [message.payload for message in again] == [b"2", b"3"]
        for message in again:
            message.origin.settle(message, Outcome.STORED)
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
            message.origin.settle(message, Outcome.STORED)
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
            message.origin.settle(message, Outcome.STORED)
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
                message.origin.settle(message, Outcome.STORED)
        assert not rig.publisher.events, "nobody is accused of sharing our client id"
    assert sorted(set(seen), key=int) == [b"%d" % n for n in range(200)]


async def test_retained_messages_come_once_not_at_every_reconnect(broker_url: str) -> None:
    await publish(broker_url, [b"kept"], retain=True)
    rig = Rig(settings_for(broker_url))
    async with rig.connected():
        (message,) = await rig.take(1)
        assert (message.retained, message.payload) == (True, b"kept")
        message.origin.settle(message, Outcome.DUPLICATE)
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
            async with mqtt_sender(trusting.settings) as sender:
                await sender.publish("sensors/a/data", b"over TLS")
            assert [message.payload for message in await trusting.take(1)] == [b"over TLS"]
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
            message.origin.settle(message, Outcome.STORED)
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
    for n in range(3):
        queue.put_nowait(aiomqtt.Message("t", b"%d" % n, 1, False, n, None))
    batch = await queue.get()
    assert [message.payload for message in batch] == [b"0", b"1", b"2"]  # type: ignore[attr-defined]
    assert queue.empty()


def test_secrets_stay_out_of_what_is_shown() -> None:
    settings = MqttSettings(url=SecretStr("mqtts://me:hidden@broker.example"), password=SecretStr("hidden"))
    assert settings.address == "mqtts://broker.example:8883"
    assert "hidden" not in f"{settings!r} {settings}"
    assert settings.login == ("me", "hidden")
