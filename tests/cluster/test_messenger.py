"""Messages and requests between bridges over a real broker."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from bridge.cluster.bus import NoBus
from bridge.cluster.envelope import BusFault, BusMessageError
from bridge.cluster.messenger import Messenger
from bridge.core.errors import TemporarilyUnavailable
from tests.cluster.buses import make_bus
from tests.servers import until

KEY = secrets.token_bytes(32)


@dataclass
class Party:
    """A bridge, and the messages of the kind `note` that it has received."""

    messenger: Messenger
    bridge: str
    received: list[tuple[str, bytes]] = field(default_factory=list)

    def knows(self, *others: Party) -> None:
        assert self.messenger.opener is not None
        self.messenger.opener.set_members({one.bridge: 0 for one in others})


@asynccontextmanager
async def bridge(url: str, key: bytes = KEY, *, request_seconds: float = 5.0) -> AsyncIterator[Party]:
    name = secrets.token_hex(8)
    party = Party(Messenger(make_bus(url), "plant", name, request_seconds=request_seconds), name)
    party.messenger.handlers["note"] = lambda sender, body: party.received.append((sender, body))
    party.messenger.unlock(key)
    task = asyncio.create_task(party.messenger.run(), name="messenger")
    try:
        await until(lambda: party.messenger.is_connected, what="the connection of the bus")
        yield party
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def bridges(url: str, count: int, *, request_seconds: float = 5.0) -> AsyncIterator[list[Party]]:
    """Bridges that know each other."""
    async with (
        bridge(url, request_seconds=request_seconds) as one,
        bridge(url, request_seconds=request_seconds) as two,
        bridge(url, request_seconds=request_seconds) as three,
    ):
        parties = [one, two, three][:count]
        for party in parties:
            party.knows(*(other for other in parties if other is not party))
        yield parties


async def test_message_reaches_every_other_bridge_and_one_for_a_bridge_that_one(broker_url: str) -> None:
    async with bridges(broker_url, 3) as (one, two, three):
        assert one.messenger.send("note", b"for two", to=two.bridge)
        assert one.messenger.send("note", b"for all")
        await until(lambda: two.received and three.received, what="the messages")
        await until(lambda: len(two.received) == 2, what="both messages")
        assert two.received == [(one.bridge, b"for two"), (one.bridge, b"for all")]
        assert (one.received, three.received) == ([], [(one.bridge, b"for all")])
        assert one.messenger.number == 2
        assert two.messenger.refused.total() == three.messenger.refused.total() == 0


async def test_message_of_an_unknown_bridge_is_counted_and_members_are_read(broker_url: str) -> None:
    async with bridges(broker_url, 2) as (one, two), bridge(broker_url) as stranger:
        reads: list[bool] = []
        one.messenger.on_unknown = lambda: reads.append(True)
        stranger.messenger.send("note", b"hello")
        await until(lambda: reads, what="members are read")
        assert one.messenger.refused == {BusFault.UNKNOWN_BRIDGE: 1}
        assert (one.received, two.received) == ([], [])


async def test_message_under_another_key_is_refused(broker_url: str) -> None:
    async with bridges(broker_url, 1) as [one], bridge(broker_url, secrets.token_bytes(32)) as forger:
        one.knows(forger)
        forger.messenger.send("note", b"hello")
        await until(lambda: one.messenger.refused, what="the message is refused")
        assert one.messenger.refused == {BusFault.FORGED: 1}
        assert one.received == []


async def test_message_that_is_not_understood_is_counted_and_the_next_is_delivered(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with bridges(broker_url, 2) as (one, two):

        def damaged(_bridge: str, body: bytes) -> None:
            if body == b"damaged":
                raise BusMessageError(BusFault.MALFORMED, "it is damaged")
            raise KeyError(body)

        two.messenger.handlers["other"] = damaged
        one.messenger.send("other", b"damaged")
        for _ in range(3):
            one.messenger.send("other", b"of a later version")
        one.messenger.send("unknown", b"")
        one.messenger.send("note", b"good")
        await until(lambda: two.received, what="the last message")
        assert two.received == [(one.bridge, b"good")]
        assert two.messenger.refused == {BusFault.MALFORMED: 4}
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1


async def test_nothing_is_sent_or_received_without_the_key(broker_url: str) -> None:
    async with bridges(broker_url, 1) as [one]:
        locked = Messenger(make_bus(broker_url), "plant", secrets.token_hex(8))
        task = asyncio.create_task(locked.run())
        await until(lambda: locked.bus.connected, what="the connection of the bus")
        assert not locked.is_connected
        assert not locked.send("note", b"")
        one.messenger.send("note", b"hello")
        await until(lambda: locked.bus.counters.received, what="the message")
        assert locked.refused.total() == 0
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# --- requests --------------------------------------------------------------------------------------------------------------


async def test_request_is_answered_by_the_bridge_that_can(broker_url: str) -> None:
    async with bridges(broker_url, 3) as (one, two, three):

        async def not_me(_body: bytes) -> None:
            return None

        async def answer(body: bytes) -> bytes:
            return b"done: " + body

        two.messenger.serve("do", not_me)
        three.messenger.serve("do", answer)
        assert await one.messenger.request("do", b"this", None) == b"done: this"
        assert await one.messenger.request("do", b"that", three.bridge) == b"done: that"


async def test_requests_at_once_get_their_own_answers(broker_url: str) -> None:
    async with bridges(broker_url, 2) as (one, two):

        async def answer(body: bytes) -> bytes:
            await asyncio.sleep(0 if int(body) % 2 else 0.01)  # so that answers overtake each other
            return body

        two.messenger.serve("echo", answer)
        bodies = [b"%d" % number for number in range(50)]
        answers = await asyncio.gather(*(one.messenger.request("echo", body, None) for body in bodies))
        assert answers == bodies


async def test_request_without_an_answer_fails_at_its_deadline(broker_url: str) -> None:
    async with bridges(broker_url, 2, request_seconds=0.2) as (one, two):

        async def not_me(_body: bytes) -> None:
            return None

        two.messenger.serve("do", not_me)
        with pytest.raises(TemporarilyUnavailable, match="the bridge that leads does not answer"):
            await one.messenger.request("do", b"", None)
        one.messenger._on_reply(two.bridge, secrets.token_bytes(8))  # one that comes too late is ignored


async def test_request_fails_at_once_without_a_bus() -> None:
    messenger = Messenger(NoBus(), "plant", secrets.token_hex(8))
    messenger.unlock(KEY)
    with pytest.raises(TemporarilyUnavailable, match="the bridges of the cluster are not connected with each other"):
        await messenger.request("do", b"", None)


async def test_request_that_cannot_be_read_is_counted_and_later_ones_are_answered(broker_url: str) -> None:
    async with bridges(broker_url, 2, request_seconds=3.0) as (one, two):

        async def answer(body: bytes) -> bytes:
            return b"%d" % int(body)

        two.messenger.serve("number", answer)
        with pytest.raises(TemporarilyUnavailable):
            await one.messenger.request("number", b"x", None)
        assert two.messenger.refused == {BusFault.MALFORMED: 1}
        assert await one.messenger.request("number", b"7", None) == b"7"


async def test_requests_beyond_the_limit_are_not_answered(broker_url: str) -> None:
    async with bridges(broker_url, 2) as (one, two):
        begun, gate = [0], asyncio.Event()

        async def answer(_body: bytes) -> bytes:
            begun[0] += 1
            await gate.wait()
            return b""

        two.messenger.serve("slow", answer)
        for _ in range(150):
            one.messenger.send("slow", secrets.token_bytes(8))
        one.messenger.send("note", b"last")
        await until(lambda: two.received, what="the last message")
        assert begun[0] == 100
        gate.set()
