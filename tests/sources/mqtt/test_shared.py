"""Shared subscriptions: several sources of a cluster, and sessions that one of them adopts, with a real mosquitto."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.core.message import Message, Outcome
from bridge.ports import SessionLease
from bridge.settings import SubscriptionSettings
from bridge.sources.mqtt.adopted import AdoptedSessions
from bridge.sources.mqtt.client import first_message, mqtt_sender, paho_client
from bridge.sources.mqtt.connection import DROPPED_TOPIC
from bridge.sources.mqtt.subscriptions import filter_in_share, shared_filter
from tests.fakes import MemoryStore
from tests.senders import patient
from tests.servers import Mosquitto, until
from tests.sources.mqtt.test_overlaps import BOTH, FIRST_ONLY, NONE, PARTIAL, SECOND_ONLY
from tests.sources.mqtt.test_source import Rig, publish, settings_for

SHARE = "plant"


class Lease:
    """A lease on a session that the test ends."""

    def __init__(self, client_id: str, *, receives: bool = True) -> None:
        self.client_id = client_id
        self.receives = receives
        self.is_fresh = True
        self.confirmed = 0
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def confirm(self) -> bool:
        self.confirmed += 1
        return not self.has_ended

    def end(self) -> None:
        self.is_fresh = False
        self._ended.set()


class Member(Rig):
    """A source of a cluster, with the session of its place, which handles what it receives while `handles` is set."""

    def __init__(self, url: str, place: int, memory: MemoryStore, handled: list[bytes], **more: Any) -> None:
        super().__init__(settings_for(url, **more), memory, share=SHARE, watch_drops=False)
        self.lease = Lease(f"{SHARE}-{place}")
        self.handled = handled
        self.handles = asyncio.Event()
        self.handles.set()
        self.topics: list[str] = []
        self.taken = 0
        self.connections: dict[Any, None] = {}
        """Those that delivered something, its own and the adopted ones."""
        self.adopted: dict[int, Lease] = {}
        self.sessions = AdoptedSessions(self.source, self.intake, self._leases)
        self._tasks: list[asyncio.Task[None]] = []

    def _leases(self) -> Mapping[int, SessionLease]:
        return self.adopted

    def adopt(self, place: int) -> Lease:
        self.adopted[place] = Lease(f"{SHARE}-{place}")
        self.sessions.on_change()
        return self.adopted[place]

    async def start(self) -> None:
        self.connections.clear()
        jobs = {"source": self.source.run(self.lease), "adopted": self.sessions.run(), "handler": self._handle()}
        self._tasks = [asyncio.create_task(job, name=name) for name, job in jobs.items()]
        await until(lambda: self.source.is_connected or self._tasks[0].done(), what="connected")

    async def _handle(self) -> None:
        async for messages in self.intake:
            await self.handles.wait()
            for message in messages:
                self._take(message)
            await asyncio.sleep(0)

    def _take(self, message: Message) -> None:
        self.taken += 1
        self.handled.append(message.payload)
        self.topics.append(message.topic)
        self.connections[message.origin] = None
        message.origin.acknowledge(message, Outcome.STORED)

    async def until_acknowledged(self) -> None:
        await asyncio.sleep(0)
        for connection in self.connections:
            await connection.publish("none", b"", retain=True)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def die(self) -> None:
        """Cut the connection without a DISCONNECT, then stop."""
        connection = self.source._connection
        assert connection is not None
        sock: Any = paho_client(connection._client).socket()
        with socket.socket(fileno=os.dup(sock.fileno())) as raw:
            raw.shutdown(socket.SHUT_RDWR)
        await self.stop()


@asynccontextmanager
async def cluster(*members: Member) -> AsyncIterator[None]:
    await asyncio.gather(*(one.start() for one in members))
    try:
        yield
    finally:
        for one in members:
            await one.stop()


def payloads(first: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def send(url: str, bodies: list[bytes], topic: str = "sensors/a/data") -> None:
    async with mqtt_sender(patient(url)) as sender:
        for at in range(0, len(bodies), 400):
            await asyncio.gather(*(sender.publish(topic, body) for body in bodies[at : at + 400]))


async def die_with_500_messages(url: str, memory: MemoryStore) -> None:
    """Place 1 receives its share of 1,000 messages and dies before any of it is safe."""
    dead = Member(url, 1, memory, [])
    await dead.start()
    dead.handles.clear()
    await send(url, payloads(0, 1000))
    await until(lambda: dead.ledger.account("mqtt").received >= 500, what="its share")
    await dead.die()
    assert dead.taken == 0


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_shared_filter_is_the_filter_in_the_group() -> None:
    assert shared_filter("sensors/+/data", None) == "sensors/+/data"
    assert shared_filter("sensors/+/data", "plant") == "$share/plant/sensors/+/data"
    assert shared_filter("$share/own/sensors/+/data", "plant") == "$share/own/sensors/+/data"
    assert filter_in_share("$share/plant/sensors/+/data", "plant") == "sensors/+/data"
    assert filter_in_share("$share/other/sensors/+/data", "plant") == "$share/other/sensors/+/data"
    assert filter_in_share("$share/plant/sensors/+/data", None) == "$share/plant/sensors/+/data"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_sources_receive_each_message_once_in_all(broker_url: str, protocol: str) -> None:
    memory, handled = MemoryStore(), list[bytes]()
    one, other = (Member(broker_url, place, memory, handled, protocol=protocol) for place in (1, 2))
    async with cluster(one, other):
        await send(broker_url, payloads(0, 2000))
        await until(lambda: len(handled) >= 2000, what="all messages")
        await send(broker_url, [b"end"])
        await until(lambda: b"end" in handled, what="the last one")
    assert Counter(handled) == Counter([*payloads(0, 2000), b"end"])
    assert abs(one.taken - other.taken) <= 1, "in turn"


async def test_messages_of_a_dead_source_are_received_by_the_one_that_adopts_its_session(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    memory, handled = MemoryStore(), list[bytes]()
    survivor = Member(broker_url, 2, memory, handled)
    async with cluster(survivor):
        await die_with_500_messages(broker_url, memory)
        await send(broker_url, payloads(1000, 1000))
        await until(lambda: len(handled) >= 1000, what="the share of the survivor")
        assert len(set(handled)) == 1000, "the dead session has the rest"
        gc.collect()
        assert "never retrieved" not in caplog.text
        caplog.clear()
        lease = survivor.adopt(1)
        await until(lambda: len(set(handled)) == 2000, what="what waited")
        assert survivor.sessions.client_ids == {"plant-1"}

        await send(broker_url, payloads(2000, 100))
        await until(lambda: len(set(handled)) == 2100, what="both shares of what arrives later")
        await survivor.until_acknowledged()

        owner = Member(broker_url, 1, memory, handled)
        lease.end()  # as `Places` does when the owner has taken the place
        async with cluster(owner):
            await until(lambda: not survivor.sessions.client_ids, 10.0, what="the end of the adoption")
            await send(broker_url, payloads(2100, 100))
            await until(lambda: len(set(handled)) == 2200, what="the messages for both")
            assert owner.taken == 50, "nothing came again: all was acknowledged"
        assert warnings(caplog) == []
    assert Counter(handled) == Counter(payloads(0, 2200))


async def test_owner_that_takes_its_session_over_ends_the_adoption_quietly(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The adopter is told by the broker before it looks at the store."""
    memory, handled = MemoryStore(), list[bytes]()
    owner, survivor = (Member(broker_url, place, memory, handled) for place in (1, 2))
    async with cluster(owner):
        pass
    async with cluster(survivor):
        lease = survivor.adopt(1)
        await until(lambda: "receiving the adopted session plant-1" in caplog.text or lease.confirmed, what="the adoption")
        await send(broker_url, payloads(0, 10))
        await until(lambda: survivor.taken == 10, what="both shares")
        await survivor.until_acknowledged()
        confirmed = lease.confirmed

        async def refuse() -> bool:
            lease.confirmed += 1
            lease.end()
            return False

        lease.confirm = refuse  # type: ignore[method-assign]  # the store says that the owner has it
        async with cluster(owner):
            await until(lambda: not survivor.sessions.client_ids, 10.0, what="the end of the adoption")
            assert lease.confirmed == confirmed + 1
            await send(broker_url, payloads(10, 10))
            await until(lambda: len(handled) == 20, what="one share each")
            assert (owner.taken, survivor.taken) == (5, 15)
            assert owner.health.ready
        assert warnings(caplog) == []
        assert not owner.publisher.events
        assert not survivor.publisher.events


async def test_adopted_session_is_connected_again_after_an_outage_of_the_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker", "autosave_on_changes true", "autosave_interval 1")
    broker.start()
    memory, handled = MemoryStore(), list[bytes]()
    dead, survivor = (Member(broker.url, place, memory, handled) for place in (1, 2))
    try:
        async with cluster(dead):
            pass
        async with cluster(survivor):
            survivor.adopt(1)
            await send(broker.url, payloads(0, 10))
            await until(lambda: survivor.taken == 10, what="both shares")
            broker.stop()
            await until(lambda: not survivor.health.ready, what="the outage")
            broker.start()
            await until(lambda: survivor.health.ready, what="the connection")
            await send(broker.url, payloads(10, 10))
            await until(lambda: len(set(handled)) == 20, what="both shares again")
    finally:
        broker.kill()


async def test_source_that_lost_its_place_closes_its_connection_without_another_acknowledgement(broker_url: str) -> None:
    memory, handled = MemoryStore(), list[bytes]()
    sleeper = Member(broker_url, 1, memory, handled)
    async with cluster(sleeper):
        sleeper.lease.is_fresh = False  # it was not renewed for long
        await send(broker_url, payloads(0, 3))
        await until(lambda: sleeper.taken == 3, what="the messages")
        await asyncio.sleep(0.3)  # an acknowledgement would have been sent
        sleeper.lease.end()
        await until(lambda: sleeper._tasks[0].done(), 5.0, what="the end of the connection")
        assert not sleeper.health.ready
        assert "another bridge of the cluster has the session plant-1" in sleeper.health.parts["mqtt"].reason
    handled.clear()
    async with cluster(Member(broker_url, 1, memory, handled)):
        await until(lambda: len(handled) == 3, what="the messages again")


async def test_acknowledgements_wait_until_the_lease_is_renewed(broker_url: str) -> None:
    memory, handled = MemoryStore(), list[bytes]()
    member = Member(broker_url, 1, memory, handled, receive_maximum=3)
    async with cluster(member):
        member.lease.is_fresh = False
        await send(broker_url, payloads(0, 9))
        await until(lambda: member.taken >= 3, what="the window")
        await asyncio.sleep(0.3)
        assert member.taken == 3, "not acknowledged"
        member.lease.is_fresh = True
        await until(lambda: member.taken == 9, what="the rest")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_message_on_overlapping_filters_is_received_once_in_all(broker_url: str, protocol: str) -> None:
    """Mosquitto gives the copy for each shared filter to another member, as soon as they are out of step."""
    memory, handled = MemoryStore(), list[bytes]()
    members = [Member(broker_url, place, memory, handled, subscriptions=PARTIAL, protocol=protocol) for place in (1, 2)]
    async with cluster(*members):
        async with mqtt_sender(patient(broker_url)) as sender:
            topics = [FIRST_ONLY, BOTH, BOTH, SECOND_ONLY, BOTH, NONE, BOTH] * 5
            for number, topic in enumerate(topics):
                await sender.publish(topic, b"%d" % number)
            await sender.publish("sensors/z/end", b"end 1")
            await sender.publish("sensors/z/end", b"end 2")
        await until(lambda: {b"end 1", b"end 2"} <= set(handled), what="the last messages")
    wanted = [b"%d" % number for number, topic in enumerate(topics) if topic != NONE]
    assert Counter(handled) == Counter([*wanted, b"end 1", b"end 2"])
    assert sum(one.source.copies.unwanted for one in members) == 5


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("share", [None, SHARE])
async def test_stored_subscription_is_received_beside_overlapping_ones(
    broker_url: str, protocol: str, share: str | None
) -> None:
    rig = Rig(settings_for(broker_url, subscriptions=PARTIAL, protocol=protocol), share=share)
    async with rig.connected():
        rig.source.subscribe_also([SubscriptionSettings(pattern="attic/{deviceId}")], ["cellar/b/c", "cellar/d"])
        await until(lambda: rig.source._plan is rig.source.copies.plan, what="a connection with the new plan")
        await until(lambda: rig.source._applied.is_set() and rig.health.ready, what="the subscription")
        async with mqtt_sender(patient(broker_url)) as sender:
            for topic in ("attic/a", "cellar/b/c", "cellar/d", "attic/a/b", "attic/end"):
                await sender.publish(topic, b"1")
        topics: list[str] = []
        while "attic/end" not in topics:
            topics += [message.topic for message in await rig.take(1)]
        assert topics == ["attic/a", "cellar/b/c", "cellar/d", "attic/end"]


@pytest.mark.parametrize("before", [None, SHARE])
async def test_filters_of_the_other_kind_are_removed_when_sharing_is_switched(broker_url: str, before: str | None) -> None:
    after = SHARE if before is None else None
    memory, settings = MemoryStore(), settings_for(broker_url)
    async with Rig(settings, memory, share=before).connected():
        pass
    rig = Rig(settings, memory, share=after)
    async with rig.connected():
        filters = json.loads(memory.state[f"mqtt/{settings.client_id}/filters"])
        assert {text.startswith(f"$share/{SHARE}/") for text in filters} == {after is not None}
        await publish(broker_url, [b"1", b"2"])
        assert [message.payload for message in await rig.take(2)] == [b"1", b"2"]
        assert rig.ledger.account("mqtt").received == 2, "not once for each kind of filter"


class Dropping(Mosquitto):
    """A broker with short queues, one of which is that of a client that does not come back."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        conf = Path(self.command[-1])
        conf.write_text(conf.read_text().replace("max_queued_messages 2000000", "max_queued_messages 10") + "sys_interval 1\n")
        self.dropped = 0

    async def drop(self, count: int) -> None:
        """Have it drop messages, and wait until it has published how many."""
        if not self.dropped:
            async with Rig(settings_for(self.url, subscriptions=[{"pattern": "other/{deviceId}"}])).connected():
                pass
            await send(self.url, payloads(0, 10), "other/a")
        await send(self.url, payloads(0, count), "other/a")
        self.dropped += count
        await until(self._has_published, what="the count")

    async def _has_published(self) -> bool:
        found = await first_message(settings_for(self.url), DROPPED_TOPIC, 5)
        return found is not None and int(found[1]) == self.dropped


async def test_drops_of_the_broker_are_watched_by_the_source_that_is_told_to(tmp_path: Path) -> None:
    broker = Dropping(tmp_path / "broker")
    broker.start()
    try:
        memory, handled = MemoryStore(), list[bytes]()
        one, other = (Member(broker.url, place, memory, handled) for place in (1, 2))
        async with cluster(one, other):
            await broker.drop(5)
            assert f"mqtt/{SHARE}/dropped" not in memory.state
            one.source.watch_drops(enabled=True)
            await until(lambda: f"mqtt/{SHARE}/dropped" in memory.state, what="the first count")
            await broker.drop(7)
            await until(lambda: one.source.broker_dropped == 7, what="the report")
            one.source.watch_drops(enabled=False)
            await until(lambda: one.source._drops_applied and not one.source._drops_applied[1], what="the end of the watch")
            await broker.drop(9)
            other.source.watch_drops(enabled=True)
            await until(lambda: other.source.broker_dropped == 9, what="the report of those in between")
            assert one.source.broker_dropped == 7
        assert handled == [], "counts are no readings"
    finally:
        broker.kill()


async def test_counts_of_drops_in_an_adopted_session_are_ignored(tmp_path: Path) -> None:
    broker = Dropping(tmp_path / "broker")
    broker.start()
    try:
        memory, handled = MemoryStore(), list[bytes]()
        leader, survivor = (Member(broker.url, place, memory, handled) for place in (1, 2))
        leader.source.watch_drops(enabled=True)
        async with cluster(leader):
            await until(lambda: f"mqtt/{SHARE}/dropped" in memory.state, what="the first count")
        async with cluster(survivor):
            survivor.adopt(1)
            await send(broker.url, payloads(0, 2))
            await until(lambda: len(handled) == 2, what="both shares")
            await broker.drop(5)
            await send(broker.url, payloads(2, 2))
            await until(lambda: {b"2", b"3"} <= set(handled), what="both shares")
        assert sorted(handled) == payloads(0, 4)
    finally:
        broker.kill()


async def test_mosquitto_gives_a_retained_message_to_each_member_once(broker_url: str) -> None:
    """Against MQTT 5 [4.8.2], which has none sent for a shared subscription: other brokers send none."""
    await publish(broker_url, [b"kept"], retain=True)
    memory, handled = MemoryStore(), list[bytes]()
    one, other = (Member(broker_url, place, memory, handled) for place in (1, 2))
    for _ in range(2):
        async with cluster(one, other):
            await send(broker_url, [b"new", b"new"])
            await until(lambda: handled.count(b"new") >= 2, what="the new messages")
            await asyncio.gather(one.until_acknowledged(), other.until_acknowledged())
            handled.remove(b"new")
            handled.remove(b"new")
    assert handled == [b"kept", b"kept"]


async def test_foreign_client_with_the_client_id_of_a_place_is_reported_with_the_name_of_the_cluster(broker_url: str) -> None:
    memory = MemoryStore()
    one, other = (Member(broker_url, 1, memory, []) for _ in range(2))
    async with cluster(one, other):
        await until(lambda: one.publisher.events or other.publisher.events, what="the notice")
    (event, *_) = (*one.publisher.events, *other.publisher.events)
    assert "no other cluster at this broker may be called plant" in str(event)


async def test_two_clusters_with_one_client_id_are_told_to_have_different_ones(broker_url: str) -> None:
    settings = settings_for(broker_url)
    one, other = Rig(settings), Rig(settings)
    tasks = [asyncio.create_task(rig.source.run(Lease(settings.client_id))) for rig in (one, other)]
    try:
        await until(lambda: one.publisher.events or other.publisher.events, what="the notice")
        (event, *_) = (*one.publisher.events, *other.publisher.events)
        assert "each cluster at a broker needs its own mqtt.client_id" in str(event)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
