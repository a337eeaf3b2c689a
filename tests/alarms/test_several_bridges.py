"""The alarms of several bridges: the leader decides and stores, the others show the same, and any of them may lead next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from bson.objectid import ObjectId

from bridge.alarms.actions import ActionKind
from bridge.alarms.defaults import profile_rules
from bridge.alarms.record import AlarmRecord, AlarmState
from bridge.alarms.scope import UNKNOWN_FACTS
from bridge.alarms.service import AlarmService
from bridge.alarms.service.follower import COMPARE_SECONDS, LeaderFollower
from bridge.core.errors import AlarmStateError, StoreUnavailable, TemporarilyUnavailable, UnknownAlarm
from bridge.core.events import AlarmChanged
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.wiring.cluster import LeaderAlarms
from tests.alarms.folding import START_MS
from tests.fakes import MemoryStore, RecordingPublisher
from tests.servers import until


class Line:
    """Carries requests to the bridge that leads, as the messengers of two bridges do."""

    leader: Bridge | None = None

    async def request(self, _kind: str, body: bytes, _to: str | None) -> bytes:
        if self.leader is None:
            raise TemporarilyUnavailable("the bridge that leads does not answer: try again in a few seconds")
        answer = await self.leader.desk.answer(self.leader, body)  # type: ignore[arg-type] # it is asked for `leads` alone
        if answer is None:
            raise TemporarilyUnavailable("the bridge that leads does not answer: try again in a few seconds")
        return answer


class FailingStore(MemoryStore):
    """The checkpoint cannot be read `failing` times."""

    failing = 0

    async def get(self, key: str) -> str | None:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise StoreUnavailable("unavailable")
        return await super().get(key)


class Bridge:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.leads = False
        self.service = AlarmService(
            cluster.store,
            profile_rules("home"),
            devices_limit=100,
            facts=lambda _: UNKNOWN_FACTS,
            is_up=lambda _: True,
            clock=lambda: cluster.now_ms,
        )
        self.told = RecordingPublisher()
        self.service.next = self.told
        self.desk = LeaderAlarms(self.service, cluster.line)  # type: ignore[arg-type]
        self.service.follow_leader(self.desk.ask)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.service.load(self.cluster.seq)
        self._task = asyncio.create_task(self.service.run())
        await until(lambda: not self.service.is_catching_up, 5, "it follows")

    async def lead(self) -> None:
        await self.service.lead()
        self.leads, self.cluster.line.leader = True, self
        await until(lambda: not self.service.is_catching_up, 5, "it follows")

    async def kill(self) -> None:
        """Without a last checkpoint."""
        self.leads = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.cluster.bridges.remove(self)

    def standing(self) -> list[tuple[str, str]]:
        return sorted((one.id, one.state.value) for one in self.service.standing())

    @property
    def changes(self) -> list[str]:
        return [one.kind for one in self.told.events if isinstance(one, AlarmChanged)]


class Cluster:
    def __init__(self) -> None:
        self.store = FailingStore()
        self.line = Line()
        self.now_ms = START_MS
        self.seq = 1000
        self.bridges: list[Bridge] = []

    async def add(self, *, leads: bool = False) -> Bridge:
        bridge = Bridge(self)
        self.bridges.append(bridge)
        await bridge.start()
        if leads:
            await bridge.lead()
        return bridge

    def measure(self, device: str = "boiler", *, to: list[Bridge] | None = None, **values: Any) -> None:
        """A reading that is stored, and that each bridge has from the log."""
        self.now_ms += 1000
        self.seq += 1
        reading = Reading(ObjectId(), device, values, self.now_ms, self.now_ms, seq=self.seq)
        self.store.by_id[reading.id] = reading
        for bridge in self.bridges if to is None else to:
            bridge.service.publish([reading])

    async def raise_alarm(self, device: str = "boiler") -> str:
        for _ in range(3):
            self.measure(device, coPpm=250)
        await until(lambda: self.open_alarms(device), 5, "the alarm is stored")
        [alarm] = self.open_alarms(device)
        return alarm

    def open_alarms(self, device: str = "boiler") -> list[str]:
        return [one.id for one in self.store.alarms.alarms.values() if one.is_open and one.device_id == device]

    @property
    def transitions(self) -> list[tuple[str, str]]:
        """What is stored: device and kind, in order."""
        stored = sorted(self.store.alarms.log.values(), key=lambda one: one.id)
        return [(self.store.alarms.alarms[one.alarm_id].device_id or "", str(one.body["kind"])) for one in stored]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    yield cluster
    for bridge in list(cluster.bridges):
        await bridge.kill()


@asynccontextmanager
async def two(cluster: Cluster) -> AsyncIterator[tuple[Bridge, Bridge]]:
    """A leader and a follower."""
    leader = await cluster.add(leads=True)
    yield leader, await cluster.add()


async def alarm_at(bridge: Bridge, alarm_id: str) -> AlarmRecord:
    found = await bridge.service.alarm(alarm_id)
    assert found is not None
    return found


# --- following -------------------------------------------------------------------------------------------------------------


async def test_follower_shows_the_alarms_of_the_leader_and_stores_and_publishes_none(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await cluster.raise_alarm()
        assert leader.standing() == follower.standing() == [(alarm, "unacknowledged")]
        assert cluster.transitions == [("boiler", "raised")]
        await until(lambda: leader.changes, 5, "the leader publishes it")
        assert (leader.changes, follower.changes) == (["raised"], [])
        assert follower.service.changes > 0, "lists of alarms are cached by this number"


async def test_bridge_that_starts_later_shows_the_alarms_too(cluster: Cluster) -> None:
    leader = await cluster.add(leads=True)
    await cluster.raise_alarm()
    later = await cluster.add()
    await until(lambda: later.standing() == leader.standing(), 5, "the same alarms")


async def test_alarm_is_acknowledged_through_the_leader_and_so_at_every_bridge(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await cluster.raise_alarm()
        done = await follower.service.operate(
            ActionKind.ACKNOWLEDGE, await alarm_at(follower, alarm), "ann", "we are outside", None
        )
        assert (done.id, done.state, done.acknowledged_by) == (alarm, AlarmState.ACKNOWLEDGED, "ann")
        assert leader.standing() == [(alarm, "acknowledged")]
        await until(lambda: follower.standing() == leader.standing(), 5, "the same alarms")
        assert cluster.transitions == [("boiler", "raised"), ("boiler", "acknowledged")]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({}, AlarmStateError, "only an unacknowledged one"),
        ({"rule": "no-such-rule"}, UnknownAlarm, "no-such-rule"),
        ({"device_id": "elsewhere"}, UnknownAlarm, "elsewhere"),
    ],
)
async def test_refusal_of_the_leader_is_that_of_the_follower(
    cluster: Cluster, change: dict[str, Any], error: type[Exception], text: str
) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await alarm_at(leader, await cluster.raise_alarm())
        await leader.service.operate(ActionKind.ACKNOWLEDGE, alarm, "ann")
        with pytest.raises(error) as refused:
            await follower.service.operate(ActionKind.ACKNOWLEDGE, replace(alarm, **change), "bob")
        assert text in str(refused.value)
        with pytest.raises(error) as direct:
            await leader.service.operate(ActionKind.ACKNOWLEDGE, replace(alarm, **change), "bob")
        assert str(refused.value) == str(direct.value)


async def test_action_without_a_leader_is_refused_for_the_moment(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await alarm_at(follower, await cluster.raise_alarm())
        leader.leads = False
        with pytest.raises(TemporarilyUnavailable, match="the bridge that leads does not answer"):
            await follower.service.operate(ActionKind.ACKNOWLEDGE, alarm, "ann")


async def test_status_of_a_device_counts_at_the_leader_and_reaches_followers_as_its_input(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        cluster.measure(temperature=20)
        status = DeviceStatus("boiler", "offline", cluster.now_ms)
        leader.service.publish([status])
        follower.service.publish([status])
        await until(lambda: leader.standing() == follower.standing(), 5, "the same alarms")


async def test_follower_that_differs_is_brought_up_to_date(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        clock = [0.0]
        follower.service._follower = LeaderFollower(cluster.store.alarms, follower.desk.ask, lambda: clock[0])
        for _ in range(3):
            cluster.measure(coPpm=250, to=[leader])  # the follower does not fold them
        await until(cluster.open_alarms, 5, "the alarm is stored")
        cluster.measure(temperature=20, device="other")
        assert leader.standing() != follower.standing()
        await leader.service.save()
        for _ in range(2):
            clock[0] += COMPARE_SECONDS + 1
            await asyncio.sleep(0.6)
        await until(lambda: leader.standing() == follower.standing(), 5, "the same alarms")
        assert cluster.transitions == [("boiler", "raised")]


# --- taking over -----------------------------------------------------------------------------------------------------------


async def test_next_leader_goes_on_although_the_first_one_never_wrote_a_checkpoint(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await cluster.raise_alarm()
        await leader.kill()
        cluster.measure(coPpm=250)
        await follower.lead()
        cluster.measure(coPpm=250)
        assert follower.standing() == [(alarm, "unacknowledged")]
        await follower.service.journal.written(follower.service.journal.added)
        assert cluster.transitions == [("boiler", "raised")]
        assert follower.changes == []


async def test_alarm_is_shown_without_a_break_while_the_next_bridge_begins_to_lead(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        await leader.service.save()
        standing = [(await cluster.raise_alarm(), "unacknowledged")]
        await until(lambda: follower.standing() == standing, 5, "the follower shows it")
        await leader.kill()
        await follower.service.lead()
        assert follower.service.is_catching_up
        assert follower.standing() == standing
        assert await follower.service.alarm(standing[0][0]) is not None
        await until(lambda: not follower.service.is_catching_up, 5, "it follows")
        assert follower.standing() == standing


async def test_alarm_that_is_raised_while_no_bridge_leads_is_stored_and_published_once_by_the_next(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        cluster.measure(coPpm=0)
        await leader.kill()
        for _ in range(3):
            cluster.measure(coPpm=250)
        assert cluster.transitions == []
        await follower.lead()
        await until(lambda: follower.changes, 5, "it is published")
        assert cluster.transitions == [("boiler", "raised")]
        assert follower.changes == ["raised"]


async def test_acknowledgement_before_the_death_of_a_leader_counts_at_the_next(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await cluster.raise_alarm()
        await leader.service.operate(ActionKind.ACKNOWLEDGE, await alarm_at(leader, alarm), "ann")
        await leader.kill()
        await follower.lead()
        assert follower.standing() == [(alarm, "acknowledged")]
        cluster.now_ms += 1000
        await follower.service.operate(ActionKind.SHELVE, await alarm_at(follower, alarm), "bob", None, cluster.now_ms + 60_000)
        assert [kind for _, kind in cluster.transitions] == ["raised", "acknowledged", "shelved"]


async def test_bridges_that_lead_in_turn_store_each_transition_once(cluster: Cluster) -> None:
    bridges = [await cluster.add() for _ in range(3)]
    for turn in range(6):
        leader = bridges[turn % 3]
        await leader.lead()
        await cluster.raise_alarm(f"d{turn}")
        if turn % 2:
            await leader.service.save()
        leader.leads = False
        leader.service.follow_leader(leader.desk.ask)
        for _ in range(2):
            cluster.measure(f"e{turn}", coPpm=250)  # nobody leads
    await bridges[0].lead()
    await bridges[0].service.journal.written(bridges[0].service.journal.added)
    assert sorted(cluster.transitions) == sorted(set(cluster.transitions))
    assert {device for device, _ in cluster.transitions} >= {f"d{turn}" for turn in range(6)}
    for bridge in bridges[1:]:
        await until(lambda: bridge.standing() == bridges[0].standing(), 5, "the same alarms")  # noqa: B023


async def test_bridge_that_cannot_read_the_checkpoint_follows_on_and_leads_at_the_next_attempt(cluster: Cluster) -> None:
    async with two(cluster) as (leader, follower):
        alarm = await cluster.raise_alarm()
        await leader.kill()
        cluster.store.failing = 1
        with pytest.raises(StoreUnavailable):
            await follower.service.lead()
        await until(lambda: not follower.service.is_catching_up, 5, "it follows")
        assert follower.standing() == [(alarm, "unacknowledged")]
        assert cluster.transitions == [("boiler", "raised")]
        await follower.lead()
        assert follower.standing() == [(alarm, "unacknowledged")]


async def test_bridge_folds_nothing_while_it_reads_the_checkpoint(cluster: Cluster) -> None:
    """What is folded into the former alarms would be missing in those of the checkpoint."""
    async with two(cluster) as (leader, follower):
        await leader.service.save()
        reading_began, may_go_on = asyncio.Event(), asyncio.Event()
        all_devices = cluster.store.air.all

        async def slow(limit: int) -> Any:
            reading_began.set()
            await may_go_on.wait()
            return await all_devices(limit)

        cluster.store.air.all = slow  # type: ignore[method-assign]
        await leader.kill()
        leading = asyncio.create_task(follower.lead())
        await reading_began.wait()
        for _ in range(3):
            cluster.measure(coPpm=250)
        await asyncio.sleep(0.6)  # two turns of its loop
        assert follower.service.is_catching_up
        may_go_on.set()
        await leading
        await until(cluster.open_alarms, 5, "the alarm is stored")
        assert cluster.transitions == [("boiler", "raised")]
