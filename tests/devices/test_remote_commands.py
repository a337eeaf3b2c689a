"""Commands of several bridges that share their store: queued at any, sent once by the one that has the device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pytest
from bson.objectid import ObjectId

from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.events import EntityEvent, Event
from bridge.core.message import DeviceStatus
from bridge.core.query import CommandsQuery
from bridge.core.readings.reading import Reading
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry
from bridge.settings import DevicesSettings
from tests.devices.test_commands import FailingCommands, RecordingTransport
from tests.fakes import MemoryStore, RecordingPublisher
from tests.servers import until

START_MS = 1_767_000_000_000
LIMIT = 3


class Bridge:
    def __init__(self, store: FailingCommands, devices: MemoryStore, clock: Callable[[], int]) -> None:
        self.socket, self.mqtt, self.out = RecordingTransport(), RecordingTransport(), RecordingPublisher()
        settings = DevicesSettings(queue_limit=LIMIT)
        self.registry = Registry(devices, settings, clock=clock)
        self.commands = CommandService(store, self.registry, settings, socket=self.socket, mqtt=self.mqtt, clock=clock)
        self.commands.next, self.registry.next = self.registry, self.out
        self.is_informed = True
        self.commands.share(lambda: self.is_informed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.commands.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def submit(self, command: str = "on", **more: object) -> Command:
        return await self.commands.submit(CommandRequest.model_validate({"device": "a", "command": command} | more), "ann")

    @property
    def waiting(self) -> int:
        return sum(map(len, self.commands._queues.values()))


class Two:
    """Two bridges; `with_socket` has the socket of the device `a`, and the other one knows."""

    def __init__(self) -> None:
        self.store, devices = FailingCommands(), MemoryStore()
        clock = count(START_MS).__next__
        self.with_socket, self.without = Bridge(self.store, devices, clock), Bridge(self.store, devices, clock)
        self.without.commands.on_queued_elsewhere = lambda _: self.with_socket.commands.reread()

    async def load(self) -> Two:
        for bridge in (self.with_socket, self.without):
            await bridge.registry.load()
            bridge.registry.publish([DeviceStatus("a", "online", START_MS)])
        self.with_socket.registry.connected("a")
        self.without.registry.on_remote_socket("other", "a", is_open=True)
        return self

    async def states(self) -> list[CommandState]:
        return [one.state for one in reversed(await self.store.find(CommandsQuery(device="a", limit=100)))]


@pytest.fixture
async def two() -> Two:
    return await Two().load()


async def test_command_for_a_socket_at_another_bridge_is_queued_and_sent_once_by_that_bridge(two: Two) -> None:
    async with two.with_socket.running(), two.without.running():
        command = await two.without.submit()
        assert command.state is CommandState.QUEUED
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
        await asyncio.sleep(0)
        assert await two.states() == [CommandState.SENT]
    assert [body["id"] for _, body in two.with_socket.socket.sent] == [command.id]
    assert two.without.socket.sent == two.without.mqtt.sent == two.with_socket.mqtt.sent == []


async def test_commands_for_a_socket_at_another_bridge_are_sent_in_the_order_of_submission(two: Two) -> None:
    submitted = [(await two.without.submit(f"c{number}")).id for number in range(LIMIT)]
    async with two.with_socket.running(), two.without.running():
        await until(lambda: len(two.with_socket.socket.sent) == LIMIT, 5, "they are sent")
    assert [body["id"] for _, body in two.with_socket.socket.sent] == submitted


async def test_command_that_the_other_bridge_has_sent_takes_no_room_in_the_queue(two: Two) -> None:
    told = two.with_socket.out.publish

    def tell(events: Sequence[Event]) -> None:
        told(events)
        for event in events:
            if isinstance(event, EntityEvent) and event.entity_type == "command":
                two.without.commands.on_remote(event)

    two.with_socket.out.publish = tell  # type: ignore[method-assign]
    async with two.with_socket.running(), two.without.running():
        for number in range(3 * LIMIT):
            await two.without.submit()
            await until(lambda: len(two.with_socket.socket.sent) == number + 1, 5, "it is sent")  # noqa: B023
            await until(lambda: not two.without.waiting, 5, "it left the queue")


async def test_command_that_the_other_bridge_has_sent_leaves_the_queue_without_a_bus(two: Two) -> None:
    async with two.with_socket.running():
        await two.without.submit()
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
    assert two.without.waiting == 1
    await two.without.commands.load()
    assert two.without.waiting == 0
    await two.without.submit()
    await two.without.commands.load()
    assert two.without.waiting == 1, "one that waits was dropped"


async def test_two_bridges_that_have_the_same_queued_commands_send_each_once() -> None:
    """A device over MQTT, to which either can send."""
    two = Two()
    for bridge in (two.with_socket, two.without):
        await bridge.registry.load()
        bridge.registry.publish([DeviceStatus("a", "offline", START_MS)])
    submitted = [(await two.without.submit(f"c{number}", queue=True)).id for number in range(LIMIT)]
    await two.with_socket.commands.load()
    assert two.with_socket.waiting == two.without.waiting == LIMIT
    async with two.with_socket.running(), two.without.running():
        for bridge in (two.with_socket, two.without):
            bridge.registry.publish([DeviceStatus("a", "online", START_MS + 1)])
        await until(lambda: not two.with_socket.waiting and not two.without.waiting, 5, "they are sent")
    sent = [body["id"] for bridge in (two.with_socket, two.without) for _, body in bridge.mqtt.sent]
    assert sorted(map(str, sent)) == sorted(submitted)
    assert await two.states() == [CommandState.SENT] * LIMIT


async def test_claim_whose_answer_was_lost_is_not_dropped_by_reading_the_queue_again(two: Two) -> None:
    two.store.lost_replies = 1
    await two.without.submit()
    async with two.with_socket.running():
        await until(lambda: not two.store.lost_replies, 5, "the answer is lost")
        await two.with_socket.commands.load()
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
    assert len(two.with_socket.socket.sent) == 1


async def test_device_that_comes_over_is_sent_what_is_queued_at_the_other_bridge(two: Two) -> None:
    two.with_socket.registry.disconnected("a")
    two.without.registry.on_remote_socket("other", "a", is_open=False)
    two.without.registry.on_remote("other", [DeviceStatus("a", "offline", START_MS)])
    await two.with_socket.submit(queue=True)
    async with two.without.running():
        two.without.registry.connected("a")
        two.without.commands.reread()
        await until(lambda: two.without.socket.sent, 5, "it is sent")
    assert await two.states() == [CommandState.SENT]


async def test_command_queued_elsewhere_is_found_although_no_message_says_so(two: Two) -> None:
    """The bridge has nothing else to do, and the message of the other one was lost."""
    two.without.commands.on_queued_elsewhere = lambda _: None
    two.with_socket.commands.share(lambda: True, reread_seconds=0.1)
    async with two.with_socket.running():
        await until(lambda: not two.with_socket.commands._wake_up.is_set(), 5, "it has nothing to do")
        await two.without.submit()
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
    assert await two.states() == [CommandState.SENT]


async def test_command_for_a_socket_at_a_bridge_that_said_nothing_yet_waits(two: Two) -> None:
    """As at a bridge that has just begun, and has read from the store that the device has a socket."""
    two.without.registry.presence.elsewhere.clear()
    async with two.with_socket.running(), two.without.running():
        command = await two.without.submit()
        assert command.state is CommandState.QUEUED
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
    assert two.without.socket.sent == []


async def test_command_to_a_device_that_moved_while_the_bus_was_down_waits_for_the_bridge_that_has_it(two: Two) -> None:
    two.with_socket.is_informed = two.without.is_informed = False
    two.with_socket.registry.disconnected("a")
    two.without.registry.on_remote_socket("other", "a", is_open=False)
    two.without.registry.connected("a")  # nobody hears of it
    two.with_socket.registry.publish([DeviceStatus("a", "online", START_MS)])
    two.with_socket.registry.get("a").connection = None  # it is known to be online by its readings
    async with two.with_socket.running(), two.without.running():
        command = await two.with_socket.submit()
        assert command.state is CommandState.QUEUED
        two.without.commands.reread()
        await until(lambda: two.without.socket.sent, 5, "it is sent")
    assert two.with_socket.mqtt.sent == two.with_socket.socket.sent == []


async def test_command_to_a_device_that_moved_to_a_bridge_that_nobody_knows_yet_waits_for_that_bridge(two: Two) -> None:
    two.with_socket.registry.disconnected("a")
    two.with_socket.registry.publish([DeviceStatus("a", "online", START_MS)])
    two.with_socket.registry.get("a").connection = None  # it is known to be online by its readings
    assert (await two.with_socket.submit()).state is CommandState.QUEUED


async def test_command_to_a_device_whose_reading_came_before_the_message_of_its_socket_waits_for_its_bridge(two: Two) -> None:
    two.with_socket.registry.connected("new")
    two.without.registry.publish([Reading(ObjectId(), "new", {"temperature": 20.0}, START_MS, START_MS)])
    request = CommandRequest.model_validate({"device": "new", "command": "on"})
    async with two.with_socket.running(), two.without.running():
        command = await two.without.commands.submit(request, "ann")
        assert command.state is CommandState.QUEUED
        await until(lambda: two.with_socket.socket.sent, 5, "it is sent")
    assert two.without.mqtt.sent == []


async def test_command_to_a_device_that_never_had_a_socket_is_sent_by_mqtt_while_the_bus_is_down(two: Two) -> None:
    bridge = two.without
    bridge.is_informed = False
    bridge.registry.publish([DeviceStatus("b", "online", START_MS)])
    command = await bridge.commands.submit(CommandRequest.model_validate({"device": "b", "command": "on"}), "ann")
    assert command.state is CommandState.SENT
    assert [device for device, _ in bridge.mqtt.sent] == ["b"]
