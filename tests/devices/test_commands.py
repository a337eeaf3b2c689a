"""The command service with transports that fail and a store that becomes unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.errors import BrokerUnavailable, CommandRejected, StoreUnavailable, UnknownDevice
from bridge.core.message import CommandAck, DeviceStatus
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry
from bridge.settings import DevicesSettings
from tests.fakes import MemoryCommands, MemoryStore, RecordingPublisher
from tests.servers import until

START_MS = 1_767_000_000_000


class RecordingTransport:
    """Records the commands that it sends, or fails while `broken`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, object]]] = []
        self.broken = False

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        assert seconds > 0
        await asyncio.sleep(0)
        if self.broken:
            raise BrokerUnavailable("broker unavailable")
        self.sent.append((device_id, body))


class FailingCommands(MemoryCommands):
    """Fails while `unavailable`; after a change that it made, `lost_replies` times."""

    unavailable = False
    lost_replies = 0

    async def get(self, device_id: str, command_id: str) -> Command | None:
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        return await super().get(device_id, command_id)

    async def add(self, command: Command) -> Command:
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        return await super().add(command)

    async def change(self, command: Command, was: CommandState) -> bool:
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        changed = await super().change(command, was)
        if self.lost_replies:
            self.lost_replies -= 1
            raise StoreUnavailable("unavailable after the write")
        return changed


class Rig:
    """A command service with its registry, store, clock and transports."""

    def __init__(self, store: FailingCommands | None = None) -> None:
        self.now_ms = START_MS
        self.store = store or FailingCommands()
        self.socket, self.mqtt = RecordingTransport(), RecordingTransport()
        settings = DevicesSettings(queue_limit=3)
        self.registry = Registry(MemoryStore(), settings, clock=lambda: self.now_ms)
        self.commands = CommandService(
            self.store, self.registry, settings, socket=self.socket, mqtt=self.mqtt, clock=lambda: self.now_ms
        )
        self.commands.next, self.registry.next = self.registry, RecordingPublisher()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.registry.load()
        await self.commands.load()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.commands.run())
            yield
            task.cancel()

    def publish_status(self, status: str) -> None:
        self.commands.publish([DeviceStatus("a", status, self.now_ms)])

    async def submit(self, **more: Any) -> Command:
        return await self.commands.submit(CommandRequest.model_validate({"device": "a", "command": "x"} | more), "test")

    def state(self, command: Command) -> CommandState:
        return self.store.by_id[command.device_id, command.id].state


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    async with rig.running():
        rig.publish_status("offline")
        yield rig


async def test_command_to_an_unknown_device_is_refused(rig: Rig) -> None:
    with pytest.raises(UnknownDevice):
        await rig.submit(device="nobody")


async def test_command_to_a_full_queue_is_refused_and_counted(rig: Rig) -> None:
    for _ in range(3):
        await rig.submit(queue=True)
    with pytest.raises(CommandRejected, match="queue_limit"):
        await rig.submit(queue=True)
    with pytest.raises(CommandRejected, match=r"^device offline$"):
        await rig.submit()
    assert (rig.commands.counts.asked, rig.commands.counts.refused) == (3, 2)


async def test_command_that_could_not_be_sent_fails_and_is_not_sent_later(rig: Rig) -> None:
    rig.publish_status("online")
    rig.mqtt.broken = True
    command = await rig.submit()
    assert (command.state, command.error) == (CommandState.FAILED, "broker unavailable")
    rig.mqtt.broken = False
    fresh = await rig.submit()
    assert [body["id"] for _, body in rig.mqtt.sent] == [fresh.id]


async def test_open_socket_is_preferred_to_mqtt(rig: Rig) -> None:
    rig.publish_status("online")
    rig.registry.connected("a")
    await rig.submit()
    rig.registry.disconnected("a")
    rig.publish_status("online")
    await rig.submit()
    assert (len(rig.socket.sent), len(rig.mqtt.sent)) == (1, 1)


async def test_unstored_command_is_not_sent_and_acknowledgements_wait_for_the_store(rig: Rig) -> None:
    rig.publish_status("online")
    sent = await rig.submit()
    rig.store.unavailable = True
    with pytest.raises(StoreUnavailable):
        await rig.submit()
    rig.commands.publish([CommandAck("a", sent.id, ok=True)])
    assert len(rig.mqtt.sent) == 1
    rig.store.unavailable = False
    await until(lambda: rig.state(sent) is CommandState.CONFIRMED)
    assert len(rig.mqtt.sent) == 1


async def test_simultaneous_requests_with_one_id_are_one_command(rig: Rig) -> None:
    rig.publish_status("online")
    results = await asyncio.gather(*(rig.submit(id="one", value=5) for _ in range(20)))
    assert {one.id for one in results} == {"one"}
    assert len(rig.mqtt.sent) == 1


async def test_queued_commands_are_sent_in_order_before_later_requests(rig: Rig) -> None:
    submitted = [await rig.submit(queue=True, value=n) for n in range(2)]
    rig.publish_status("online")
    submitted.append(await rig.submit(value=2))
    await until(lambda: len(rig.mqtt.sent) == 3)
    assert [body["value"] for _, body in rig.mqtt.sent] == ["0", "1", "2"]
    assert {rig.state(one) for one in submitted} == {CommandState.SENT}


async def test_command_expires_while_its_device_is_offline(rig: Rig) -> None:
    command = await rig.submit(queue=True, expires=5)
    rig.now_ms += 5000
    await until(lambda: rig.state(command) is CommandState.EXPIRED)
    rig.publish_status("online")
    await rig.submit()
    assert len(rig.mqtt.sent) == 1


async def test_acknowledgement_of_an_unsent_command_changes_nothing(rig: Rig) -> None:
    command = await rig.submit(queue=True)
    rig.commands.publish([CommandAck("a", command.id, ok=True), CommandAck("a", "unknown", ok=True)])
    rig.publish_status("online")
    await until(lambda: rig.state(command) is CommandState.SENT)
    rig.commands.publish([CommandAck("a", command.id, ok=True)])
    await until(lambda: rig.state(command) is CommandState.CONFIRMED)


async def test_acknowledgement_by_another_device_is_ignored(rig: Rig) -> None:
    rig.publish_status("online")
    command = await rig.submit(id="cmd-1")
    acks = [CommandAck("b", "cmd-1", ok=False, error="poison"), CommandAck("a", "cmd-1", ok=True)]
    rig.commands.publish(acks)
    await until(lambda: rig.state(command) is CommandState.CONFIRMED)


async def test_queued_command_is_sent_by_one_of_several_bridges(rig: Rig) -> None:
    submitted = [await rig.submit(queue=True, value=n) for n in range(3)]
    benchs = [rig, Rig(rig.store), Rig(rig.store)]
    async with benchs[1].running(), benchs[2].running():
        for one in benchs:
            one.publish_status("online")
        await until(lambda: all(rig.state(command) is CommandState.SENT for command in submitted))
        last = await rig.submit(value=3)
        for one in benchs:
            await until(lambda one=one: not one.commands._queues)
    sent = [str(body["id"]) for one in benchs for _, body in one.mqtt.sent]
    assert sorted(sent) == sorted([*(command.id for command in submitted), last.id])
    assert sum(one.commands.counts.sent for one in benchs) == 4


async def test_command_sent_by_another_bridge_does_not_expire(rig: Rig) -> None:
    command = await rig.submit(queue=True, expires=5)
    other = Rig(rig.store)
    async with other.running():
        other.publish_status("online")
        await until(lambda: rig.state(command) is CommandState.SENT)
    rig.now_ms += 5000
    await until(lambda: not rig.commands._queues)
    assert rig.state(command) is CommandState.SENT
    assert rig.commands.counts.expired == 0


async def test_claim_with_a_lost_reply_is_repeated_and_the_command_sent_once(rig: Rig) -> None:
    command = await rig.submit(queue=True)
    rig.store.lost_replies = 1
    rig.publish_status("online")
    await until(lambda: rig.mqtt.sent)
    await rig.submit()
    assert [body["id"] for _, body in rig.mqtt.sent].count(command.id) == 1


async def test_claim_with_a_late_reply_fails_the_expired_command(rig: Rig) -> None:
    command = await rig.submit(queue=True, expires=5)
    rig.store.lost_replies = 1
    rig.publish_status("online")
    await until(lambda: rig.state(command) is CommandState.SENT)
    rig.now_ms += 5000
    await until(lambda: rig.state(command) is CommandState.FAILED)
    assert rig.mqtt.sent == []


async def test_commands_of_two_devices_with_the_same_id_are_independent(rig: Rig) -> None:
    rig.commands.publish([DeviceStatus("b", "offline", rig.now_ms)])
    first = await rig.submit(id="x", queue=True)
    other = await rig.submit(id="x", device="b", command="y", queue=True)
    assert await rig.submit(id="x", queue=True) == first
    with pytest.raises(CommandRejected, match=r"^id 'x' belongs to another command to this device$"):
        await rig.submit(id="x", command="y", queue=True)
    rig.commands.publish([DeviceStatus("b", "online", rig.now_ms)])
    await until(lambda: rig.state(other) is CommandState.SENT)
    rig.commands.publish([CommandAck("a", "x", ok=True), CommandAck("b", "x", ok=True)])
    await until(lambda: rig.state(other) is CommandState.CONFIRMED)
    assert rig.state(first) is CommandState.QUEUED
    assert [(device, body["command"]) for device, body in rig.mqtt.sent] == [("b", "y")]
    assert await rig.commands.get("b", "x") == rig.store.by_id["b", "x"]
