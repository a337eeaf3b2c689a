"""Which events pass a bridge, and which of them other bridges are told of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bson.objectid import ObjectId

from bridge.cluster import relay
from bridge.cluster.relay import PACE_SECONDS, Relay
from bridge.core.events import AirAssessed, AlarmChanged, EntityEvent, Event, SystemEvent
from bridge.core.message import CommandAck, DeviceStatus, TopicEvent
from bridge.core.readings.reading import Reading
from bridge.pipeline.intake import LARGE
from bridge.ports import Publisher
from bridge.wiring import chain
from tests.fakes import RecordingPublisher
from tests.servers import until

READING = Reading(ObjectId(), "a", {"temperature": 1}, 1, 2, seq=3)
STATUS = DeviceStatus("a", "online", 1)
DERIVED = EntityEvent("sensor", "updated", "a")


class Stage:
    """A publisher that adds an event to what passes, as the registry does."""

    next: Publisher

    def __init__(self) -> None:
        self.passed: list[Event] = []

    def publish(self, events: Sequence[Event]) -> None:
        self.passed += events
        self.next.publish([*events, DERIVED])


class Rig:
    """A relay, a stage that derives an event, and what clients and other bridges get."""

    def __init__(self) -> None:
        self.relay, self.stage, self.clients = Relay(), Stage(), RecordingPublisher()
        self.told: list[Event] = []
        self.relay.tell = self.told.extend
        chain((self.relay, self.stage, self.relay.outgoing, self.clients))
        self.relay.entry = self.relay.outgoing


def test_readings_of_this_bridge_wait_for_the_log_and_other_events_pass() -> None:
    rig = Rig()
    rig.relay.publish([READING, STATUS])
    assert rig.stage.passed == [STATUS]
    assert rig.clients.events == [STATUS, DERIVED]
    assert rig.told == [STATUS, DERIVED]


def test_nothing_is_published_for_readings_alone() -> None:
    rig = Rig()
    rig.relay.publish([READING])
    assert rig.clients.events == rig.told == []


def test_readings_of_the_log_are_published_and_neither_they_nor_what_follows_from_them_is_told() -> None:
    rig = Rig()
    rig.relay.deliver([READING])
    assert rig.clients.events == [READING, DERIVED]
    assert rig.told == []
    rig.relay.publish([STATUS])
    assert rig.told == [STATUS, DERIVED], "what follows is told again"


def test_events_of_another_bridge_enter_after_the_stages_and_are_not_told_again() -> None:
    rig = Rig()
    rig.relay.receive(lambda: [STATUS])
    assert rig.stage.passed == []
    assert rig.clients.events == [STATUS]
    assert rig.told == []


def test_nothing_is_published_for_outdated_events_of_another_bridge() -> None:
    rig = Rig()
    rig.relay.receive(list)
    assert rig.clients.events == []


def test_relay_knows_while_it_applies_what_another_bridge_or_the_log_says() -> None:
    rig = Rig()
    seen: list[bool] = []

    def applied() -> list[Event]:
        seen.append(rig.relay.is_deriving)
        return []

    rig.relay.receive(applied)
    assert (seen, rig.relay.is_deriving) == ([True], False)


def test_event_is_told_after_one_of_another_bridge_failed() -> None:
    rig = Rig()

    def applied() -> list[Event]:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        rig.relay.receive(applied)
    rig.relay.publish([STATUS])
    assert rig.told == [STATUS, DERIVED]


def test_events_that_each_bridge_has_itself_are_not_told() -> None:
    rig = Rig()
    own: list[Event] = [CommandAck("a", "1", ok=True), SystemEvent("info", "x"), AirAssessed("a", 1, {})]
    shared: list[Event] = [TopicEvent("alerts", {}, 1), AlarmChanged("a", "rule", 1, "raised", {})]
    rig.relay.outgoing.publish([*own, *shared])
    assert rig.clients.events == [*own, *shared]
    assert rig.told == shared


async def test_readings_that_follow_each_other_closely_are_published_together_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "PACE_SECONDS", 2.0)  # longer than a busy machine takes for the next lines
    rig = Rig()
    rig.relay.deliver([READING])
    later = [replace(READING, seq=seq) for seq in range(4, 8)]
    for one in later:
        rig.relay.deliver([one])
    assert rig.clients.events == [READING, DERIVED]
    await until(lambda: len(rig.clients.events) > 2, 30, "the later readings")
    assert rig.clients.events == [READING, DERIVED, *later, DERIVED]


async def test_many_readings_are_published_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PACE_SECONDS", 60.0)
    rig = Rig()
    rig.relay.deliver([READING])
    many = [replace(READING, seq=4 + n) for n in range(LARGE)]
    rig.relay.deliver(many[:1])
    rig.relay.deliver(many[1:])
    assert rig.clients.events == [READING, DERIVED, *many, DERIVED]


async def test_event_is_published_after_the_readings_before_it() -> None:
    rig, later, last = Rig(), replace(READING, seq=4), replace(READING, seq=5)
    rig.relay.deliver([READING])
    rig.relay.deliver([later])
    rig.relay.publish([STATUS])
    assert rig.stage.passed == [READING, later, STATUS]
    rig.relay.deliver([last])
    rig.relay.receive(lambda: [STATUS])
    assert rig.clients.events[-3:] == [last, DERIVED, STATUS]


async def test_readings_that_were_gathered_are_published_once() -> None:
    rig, later = Rig(), replace(READING, seq=4)
    rig.relay.deliver([READING])
    rig.relay.deliver([later])
    rig.relay.flush()
    await asyncio.sleep(2 * PACE_SECONDS)
    assert rig.stage.passed == [READING, later]
