"""Overlapping subscriptions: one message is one record, with mosquitto, with a broker that copies, and with a scripted one."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.core.message import Message, Outcome
from bridge.sources.mqtt.client import mqtt_sender
from bridge.tools.local_broker import _amqtt
from tests.fakes import MemoryStore
from tests.senders import patient
from tests.servers import free_port, until
from tests.sources.mqtt.test_source import CONNECT, PUBACK, SUBSCRIBE, Peer, Rig, scripted_broker, settings_for

COVERED = [{"pattern": "sensors/{deviceId}/data"}, {"pattern": "sensors/{deviceId}/{field}"}]
PARTIAL = [{"pattern": "sensors/{deviceId}/{field}"}, {"pattern": "{site}/{deviceId}/data"}, {"pattern": "sensors/a/#"}]
BOTH, FIRST_ONLY, SECOND_ONLY, NONE = "sensors/a/data", "sensors/b/co2", "home/a/data", "home/a/co2"


async def publish(url: str, *topics: str, payload: bytes = b"1", retain: bool = False) -> None:
    async with mqtt_sender(patient(url)) as sender:
        for topic in topics:
            await sender.publish(topic, payload, retain=retain)


async def received(rig: Rig, last: str) -> list[str]:
    """The topics of all messages up to the one on `last`, acknowledged."""
    topics: list[str] = []
    while last not in topics:
        for message in await rig.take(1):
            topics.append(message.topic)
            message.origin.acknowledge(message, Outcome.STORED)
    return topics


@asynccontextmanager
async def copying_broker() -> AsyncIterator[str]:
    """A broker of MQTT 3.1.1 that sends a copy of a message for each subscription."""
    port = free_port()
    async with _amqtt("127.0.0.1", port):
        yield f"mqtt://127.0.0.1:{port}"


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "slow"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("patterns", [COVERED, PARTIAL], ids=["covered", "partial"])
async def test_message_on_overlapping_subscriptions_is_received_once(
    broker_url: str, patterns: list[dict[str, str]], protocol: str, *, fast: bool
) -> None:
    rig = Rig(settings_for(broker_url, subscriptions=patterns, protocol=protocol))
    rig.source.is_fast = fast
    async with rig.connected():
        await publish(broker_url, BOTH, BOTH, FIRST_ONLY, SECOND_ONLY, NONE, FIRST_ONLY, "sensors/z/end")
        expected = [BOTH, BOTH, FIRST_ONLY, *([SECOND_ONLY] if patterns is PARTIAL else []), FIRST_ONLY, "sensors/z/end"]
        assert await received(rig, "sensors/z/end") == expected
        assert rig.ledger.account("mqtt").received == len(expected)
        await rig.until_acknowledged()
    async with rig.connected():  # all copies were acknowledged
        await publish(broker_url, FIRST_ONLY)
        assert await received(rig, FIRST_ONLY) == [FIRST_ONLY]
    expects_copies = patterns is PARTIAL and protocol == "5"
    assert (rig.source.copies.copies > 0) is expects_copies


async def test_broker_that_copies_delivers_each_message_once() -> None:
    async with copying_broker() as url:
        rig = Rig(settings_for(url, subscriptions=PARTIAL, protocol="3.1.1"))
        async with rig.connected():
            await publish(url, BOTH, BOTH, FIRST_ONLY, SECOND_ONLY, NONE, "sensors/z/end")
            assert await received(rig, "sensors/z/end") == [BOTH, BOTH, FIRST_ONLY, SECOND_ONLY, "sensors/z/end"]
        assert rig.source.copies.unwanted == 1


async def test_messages_queued_by_the_broker_are_received_once(broker_url: str) -> None:
    rig = Rig(settings_for(broker_url, subscriptions=PARTIAL))
    async with rig.connected():
        pass
    await publish(broker_url, BOTH, SECOND_ONLY, "sensors/z/end")
    async with rig.connected():
        assert await received(rig, "sensors/z/end") == [BOTH, SECOND_ONLY, "sensors/z/end"]


async def test_message_queued_before_an_overlapping_pattern_was_added_is_not_lost(broker_url: str) -> None:
    """Its only copy is that of a pattern which is now behind the new one."""
    memory, client_id = MemoryStore(), "earlier"
    before = settings_for(broker_url, subscriptions=PARTIAL[1:], client_id=client_id)
    async with Rig(before, memory).connected():
        pass
    await publish(broker_url, BOTH, "sensors/a/end")
    rig = Rig(settings_for(broker_url, subscriptions=PARTIAL, client_id=client_id), memory)
    async with rig.connected():
        assert await received(rig, "sensors/a/end") == [BOTH, "sensors/a/end"]
        await publish(broker_url, BOTH, "sensors/b/end")
        assert await received(rig, "sensors/b/end") == [BOTH, "sensors/b/end"]


async def test_retained_message_on_overlapping_subscriptions_is_received_once(broker_url: str) -> None:
    await publish(broker_url, BOTH, retain=True)
    rig = Rig(settings_for(broker_url, subscriptions=PARTIAL))
    async with rig.connected():
        await publish(broker_url, "sensors/z/end")
        assert await received(rig, "sensors/z/end") == [BOTH, "sensors/z/end"]


async def test_subscription_that_a_new_pattern_covers_is_removed_from_the_session(broker_url: str) -> None:
    memory, client_id = MemoryStore(), "covered"
    async with Rig(settings_for(broker_url, subscriptions=COVERED[:1], client_id=client_id), memory).connected():
        pass
    rig = Rig(settings_for(broker_url, subscriptions=COVERED, client_id=client_id), memory)
    async with rig.connected():
        await until(lambda: rig.source.copies.subscribed == ["sensors/+/+"], what="the new subscription")
        await until(lambda: "sensors/+/data" not in rig.memory.state["mqtt/covered/filters"], what="the end of the old one")
        await publish(broker_url, BOTH, "sensors/z/end")
        assert await received(rig, "sensors/z/end") == [BOTH, "sensors/z/end"]


# --- a scripted broker ------------------------------------------------------------------------------------------------

TWO = PARTIAL[:2]


def packet(n: int, identifiers: list[bytes], topic: bytes = b"sensors/a/data") -> bytes:
    """A PUBLISH of MQTT 5 with QoS 1."""
    properties = b"".join(b"\x0b" + one for one in identifiers)
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", n) + bytes([len(properties)]) + properties + b"%d" % n
    return bytes([0x32, len(body)]) + body


async def identifiers_of(peer: Peer, connack: bytes = b"\x20\x03\x00\x00\x00", *, code: bytes = b"\x01") -> list[bytes]:
    """Accept the connection and its subscriptions; return the identifier of each, as it is written."""
    await peer.expect(CONNECT)
    peer.send(connack)
    found: list[bytes] = []
    while True:
        body = await peer.expect(SUBSCRIBE)
        size = body[2]
        if b"$SYS" in body:
            peer.send(b"\x90\x04" + body[:2] + b"\x00\x01")
            return found
        found.append(body[4 : 3 + size])
        peer.send(b"\x90\x04" + body[:2] + b"\x00" + (code if size else b"\x01"))


async def test_one_copy_with_the_identifiers_of_all_subscriptions_is_received() -> None:
    async def serve(peer: Peer) -> None:
        first, second = await identifiers_of(peer)
        peer.send(packet(1, [second, first]) + packet(2, [second]) + packet(3, [first]))
        acknowledged = b"".join([await peer.expect(PUBACK) for _ in range(3)])
        assert acknowledged == struct.pack(">HHH", 1, 2, 3), "copies too, in order"
        await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, subscriptions=TWO))
        async with rig.connected():
            taken: list[Message] = []
            while len(taken) < 2:
                taken += await rig.take(1)
            assert [message.payload for message in taken] == [b"1", b"3"]
            for message in reversed(taken):
                message.origin.acknowledge(message, Outcome.STORED)
            await until(lambda: rig.source.copies.copies == 1)
            await asyncio.sleep(0)
            assert rig.ledger.account("mqtt").received == 2


@pytest.mark.parametrize(
    ("connack", "code"),
    [(b"\x20\x05\x00\x00\x02\x29\x00", b"\x01"), (b"\x20\x03\x00\x00\x00", b"\xa1")],
    ids=["announced", "refused"],
)
async def test_broker_without_subscription_identifiers_is_sent_merged_filters(connack: bytes, code: bytes) -> None:
    seen: list[list[bytes]] = []

    async def serve(peer: Peer) -> None:
        seen.append(await identifiers_of(peer, connack, code=code))
        peer.send(packet(1, []) + packet(2, [], b"home/x/y") + packet(3, [], b"home/x/data"))
        acknowledged = b"".join([await peer.expect(PUBACK) for _ in range(3)])
        assert acknowledged == struct.pack(">HHH", 1, 2, 3)
        await peer.packet()

    async with scripted_broker(serve) as url:
        rig = Rig(settings_for(url, subscriptions=TWO))
        async with rig.connected():
            assert await received(rig, "home/x/data") == ["sensors/a/data", "home/x/data"]
            assert rig.source.copies.subscribed == ["+/+/+"]
            assert seen[0][-1] == b"", "the last filter is sent without an identifier"
            await until(lambda: rig.source.copies.unwanted == 1)


async def test_overlap_is_said_once_at_start(broker_url: str, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(settings_for(broker_url, subscriptions=COVERED[::-1]))
    async with rig.connected():
        pass
    (said,) = [record.getMessage() for record in caplog.records if "listed" in record.getMessage()]
    assert said.startswith("mqtt: mqtt.subscriptions: sensors/{deviceId}/data is never used: sensors/{deviceId}/{field} ")
