"""The loop of a target: what it sends, saves and tries again; floods, restarts, an unavailable store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bridge.alarms.record import AlarmState, Transition
from bridge.alarms.rules import Priority
from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.core.alarms.delivery import AlarmDelivery, DeliveryState
from bridge.core.errors import DeliveryFailed, StoreUnavailable
from bridge.notify.merging import Notification
from bridge.notify.planning import plan
from bridge.notify.sender import SenderParts, TargetLoop
from tests.fakes import MemoryDeliveries
from tests.notify.alarms import START, Alarms, FakeClock, cleared, raised, record, target
from tests.servers import until


class Recorder:
    """A target in memory; `faults` are the answers to the next messages."""

    def __init__(self) -> None:
        self.messages: list[Notification] = []
        self.done: list[Collection[str]] = []
        self.faults: list[Exception] = []

    async def send(self, message: Notification, done: Collection[str]) -> None:
        self.messages.append(message)
        self.done.append(done)
        if self.faults:
            raise self.faults.pop(0)

    async def close(self) -> None:
        pass

    @property
    def titles(self) -> list[str]:
        return [one.title for one in self.messages]


class UnreliableDeliveries(MemoryDeliveries):
    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    async def save(self, deliveries: Sequence[AlarmDelivery]) -> None:
        if deliveries and self.failures:
            self.failures -= 1
            raise StoreUnavailable("store unavailable")
        await super().save(deliveries)


class Sending:
    def __init__(self, settings: NotifySettings | None = None, **parts: Any) -> None:
        self.settings = settings or target()
        self.clock = FakeClock()
        self.store = UnreliableDeliveries()
        self.alarms = Alarms()
        self.target = Recorder()
        self.parts = SenderParts(self.store, self.alarms, self.clock, idle_seconds=0.01, **parts)
        self.loop = TargetLoop(self.settings, self.target, self.parts)

    async def tell(self, *transitions: Transition) -> None:
        await self.store.add(plan(transitions, [self.settings], self.clock()))
        await self.drain()

    async def drain(self) -> None:
        """Send whatever is due."""
        while await self.loop.round() is None:
            pass

    async def later(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        await self.drain()

    @property
    def states(self) -> list[str]:
        return [one.state.value for one in self.store.by_id.values()]


RAISED = "CRITICAL: Carbon monoxide 212 ppm at kitchen"
OVER = "Over: Carbon monoxide 212 ppm at kitchen"


async def test_a_delivery_is_sent_once_and_its_result_saved() -> None:
    sending = Sending()
    await sending.tell(raised())
    await sending.tell(raised())
    assert sending.target.titles == [RAISED]
    (saved,) = sending.store.by_id.values()
    assert (saved.state, saved.attempts, saved.sent_ms, saved.error) == (DeliveryState.SENT, 1, START, None)
    assert saved.public() == {
        "target": "family",
        "kind": "raised",
        "state": "sent",
        "attempts": 1,
        "at": "2026-01-15T12:00:00.000Z",
        "error": None,
    }


async def test_a_failed_delivery_is_sent_again_when_it_is_due() -> None:
    sending = Sending()
    sending.target.faults = [DeliveryFailed("refused", ["a"]), DeliveryFailed("refused")]
    await sending.tell(raised())
    await sending.later(9)
    assert len(sending.target.messages) == 1
    await sending.later(1)
    await sending.later(60)
    assert sending.target.titles == [RAISED] * 3
    assert sending.target.done == [(), ("a",), ("a",)]
    assert sending.states == ["sent"]
    assert (sending.loop.counts.sent, sending.loop.counts.failed) == (1, 2)


async def test_after_the_first_retries_only_what_still_stands_is_tried_hourly() -> None:
    sending = Sending()
    sending.target.faults = [DeliveryFailed("refused") for _ in range(100)]
    sending.alarms.by_id[record().id] = record()
    await sending.tell(raised())
    for seconds in (10, 60, 300, 900, 3600, 3600):
        await sending.later(seconds)
    assert len(sending.target.messages) == 7
    sending.alarms.by_id[record().id] = replace(record(), state=AlarmState.NORMAL)
    await sending.later(3600)
    assert len(sending.target.messages) == 7
    assert sending.states == ["failed"]


async def test_the_end_is_told_only_after_the_beginning() -> None:
    sending = Sending()
    sending.target.faults = [DeliveryFailed("refused")]
    await sending.tell(raised())
    await sending.tell(cleared())
    assert sending.target.titles == [RAISED]
    await sending.later(10)
    await sending.later(1)
    assert sending.target.titles == [RAISED, RAISED, OVER]
    assert sending.states == ["sent", "sent"]


async def test_the_end_is_not_told_if_the_beginning_was_not_needed() -> None:
    sending = Sending(target(after_seconds=900))
    await sending.tell(raised())
    sending.alarms.by_id[record().id] = replace(record(), state=AlarmState.NORMAL)
    await sending.later(60)
    await sending.tell(cleared())
    await sending.later(900)
    await sending.later(1)
    assert sending.target.messages == []
    assert sending.states == ["cancelled", "cancelled"]
    assert sending.loop.counts.cancelled == 2


async def test_a_second_line_is_told_of_what_nobody_has_acknowledged() -> None:
    sending = Sending(target(after_seconds=900))
    for device, state in (("kitchen", AlarmState.UNACKNOWLEDGED), ("attic", AlarmState.ACKNOWLEDGED)):
        sending.alarms.by_id[record(device).id] = replace(record(device), state=state)
        await sending.tell(raised(device))
    await sending.later(899)
    assert sending.target.messages == []
    await sending.later(1)
    assert sending.target.titles == [RAISED]


async def test_reminders_follow_until_somebody_acknowledges() -> None:
    sending = Sending(target(repeat=((Priority.CRITICAL, 600.0),)))
    sending.alarms.by_id[record().id] = record()
    await sending.tell(raised())
    sending.target.faults = [DeliveryFailed("refused")]
    for _ in range(3):
        await sending.later(600)
    assert sending.target.titles == [RAISED, *["CRITICAL, not acknowledged: Carbon monoxide 212 ppm at kitchen"] * 3]
    sending.alarms.by_id[record().id] = replace(record(), state=AlarmState.ACKNOWLEDGED)
    for _ in range(3):
        await sending.later(600)
    assert len(sending.target.messages) == 4
    assert sending.states == ["sent", "failed", "sent", "sent", "cancelled"]


async def test_ten_thousand_alarms_at_a_hundred_sites_are_few_messages() -> None:
    sending = Sending()
    for start in range(0, 10_000, 500):
        many = [
            raised(f"device-{index}", site=f"site-{index % 100}", group=f"g-{index % 100}")
            for index in range(start, start + 500)
        ]
        await sending.store.add(plan(many, [sending.settings], sending.clock()))
        await sending.loop.round()
        sending.clock.pass_seconds(0.05)
    for _ in range(10):
        await sending.later(10)
    assert set(sending.states) == {"sent"}
    assert len(sending.store.by_id) == 2000
    assert len(sending.target.messages) <= 20
    assert sending.loop.counts.alarms == 10_000


async def test_in_a_flood_what_is_critical_is_told_within_ten_seconds() -> None:
    sending = Sending()
    for index in range(12):
        await sending.tell(raised(f"device-{index}", priority=Priority.HIGH))
    sent = len(sending.target.messages)
    assert sent == 11
    await sending.later(10)
    assert len(sending.target.messages) == sent
    await sending.tell(raised("boiler"))
    assert sending.target.titles[-1] == "CRITICAL: 2 alarms, co-ceiling at Home"


async def test_a_restart_between_sending_and_saving_sends_twice_at_most() -> None:
    sending = Sending()
    sending.store.failures = 1_000_000
    await sending.store.add(plan([raised()], [sending.settings], START))
    running = asyncio.create_task(sending.loop.run())
    await until(lambda: len(sending.target.messages) == 1 and sending.store.failures < 1_000_000)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert sending.states == ["waiting"]
    sending.store.failures = 0
    again = TargetLoop(sending.settings, sending.target, sending.parts)
    running = asyncio.create_task(again.run())
    await until(lambda: sending.states == ["sent"])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert sending.target.titles == [RAISED, RAISED]
    assert len({one.id for one in sending.target.messages}) == 1


async def test_an_unavailable_store_delays_the_result_and_sends_nothing_again() -> None:
    sending = Sending()
    sending.store.failures = 3
    await sending.tell(raised())
    assert sending.target.titles == [RAISED]
    assert sending.states == ["sent"]
    assert sending.loop.counts.store_failures == 3


async def test_a_target_without_an_answer_fails_at_its_deadline() -> None:
    class Hanging(Recorder):
        async def send(self, message: Notification, done: Collection[str]) -> None:
            await super().send(message, done)
            await asyncio.Event().wait()

    sending = Sending(deadline_seconds=0.05)
    sending.loop = TargetLoop(sending.settings, Hanging(), sending.parts)
    await sending.tell(raised())
    (saved,) = sending.store.by_id.values()
    assert (saved.state, saved.error) == (DeliveryState.WAITING, "no answer within 0.05 s")


async def test_a_target_that_raises_another_error_is_tried_again() -> None:
    sending = Sending()
    sending.target.faults = [ValueError("secret")]
    await sending.tell(raised())
    (saved,) = sending.store.by_id.values()
    assert saved.error == "ValueError"
    await sending.later(10)
    assert sending.states == ["sent"]


async def test_what_cannot_be_stored_is_told_at_once_and_not_again_when_it_is_stored() -> None:
    sending = Sending()
    planned = plan([raised()], [sending.settings], START)
    sending.target.faults = [DeliveryFailed("refused")]
    sending.loop.tell_now(planned)
    running = asyncio.create_task(sending.loop.run())
    await until(lambda: sending.loop.counts.failed == 1)
    sending.clock.pass_seconds(10)
    await until(lambda: sending.loop.counts.sent == 1)
    sending.loop.tell_now(planned)
    await sending.store.add(planned)
    await until(lambda: sending.states == ["sent"])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert sending.target.titles == [RAISED, RAISED]
