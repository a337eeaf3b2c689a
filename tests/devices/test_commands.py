"""The commands' service by itself, with ways that fail and a store that goes away."""

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


class Way:
    """Remembers what was sent, or fails."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, object]]] = []
        self.broken = False

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        assert seconds > 0
        await asyncio.sleep(0)
        if self.broken:
            raise BrokerUnavailable("the broker is away")
        self.sent.append((device_id, body))


class Kept(MemoryCommands):
    """Away while it is told so."""

    away = False
    loses_answers = 0

    async def get(self, command_id: str) -> Command | None:
        if self.away:
            raise StoreUnavailable("away")
        return await super().get(command_id)

    async def add(self, command: Command) -> Command:
        if self.away:
            raise StoreUnavailable("away")
        return await super().add(command)

    async def change(self, command: Command, was: CommandState) -> bool:
        if self.away:
            raise StoreUnavailable("away")
        changed = await super().change(command, was)
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreUnavailable("away, though it was written")
        return changed


class House:
    """The service and all around it; device `a` is registered."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.now_ms = START_MS
        self.kept = kept or Kept()
        self.socket, self.mqtt = Way(), Way()
        settings = DevicesSettings(queue_limit=3)
        self.registry = Registry(MemoryStore(), RecordingPublisher(), settings, clock=lambda: self.now_ms)
        self.commands = CommandService(
            self.kept, self.registry, settings, socket=self.socket, mqtt=self.mqtt, clock=lambda: self.now_ms
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.registry.load()
        await self.commands.load()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.commands.run())
            yield
            task.cancel()

    def status(self, status: str) -> None:
        self.commands.publish([DeviceStatus("a", status, self.now_ms)])

    async def ask(self, **more: Any) -> Command:
        return await self.commands.submit(CommandRequest.model_validate({"device": "a", "command": "x"} | more), "test")

    def state(self, command: Command) -> CommandState:
        return self.kept.by_id[command.id].state


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    async with house.running():
        house.status("offline")
        yield house


async def test_a_device_nobody_knows_has_no_commands(house: House) -> None:
    with pytest.raises(UnknownDevice):
        await house.ask(device="nobody")


async def test_a_full_queue_refuses_and_is_counted(house: House) -> None:
    for _ in range(3):
        await house.ask(queue=True)
    with pytest.raises(CommandRejected, match="queue_limit"):
        await house.ask(queue=True)
    with pytest.raises(CommandRejected, match=r"^device offline$"):
        await house.ask()
    assert (house.commands.counts.asked, house.commands.counts.refused) == (3, 2)


async def test_what_could_not_be_sent_has_failed_and_is_not_sent_later(house: House) -> None:
    house.status("online")
    house.mqtt.broken = True
    command = await house.ask()
    assert (command.state, command.error) == (CommandState.FAILED, "the broker is away")
    house.mqtt.broken = False
    fresh = await house.ask()
    assert [body["id"] for _, body in house.mqtt.sent] == [fresh.id]


async def test_an_open_socket_is_the_way_before_mqtt(house: House) -> None:
    house.status("online")
    house.registry.connected("a")
    await house.ask()
    house.registry.disconnected("a")
    house.status("online")
    await house.ask()
    assert (len(house.socket.sent), len(house.mqtt.sent)) == (1, 1)


async def test_nothing_is_sent_that_could_not_be_stored_and_confirmations_wait(house: House) -> None:
    house.status("online")
    sent = await house.ask()
    house.kept.away = True
    with pytest.raises(StoreUnavailable):
        await house.ask()
    house.commands.publish([CommandAck("a", sent.id, ok=True)])
    assert len(house.mqtt.sent) == 1
    house.kept.away = False
    await until(lambda: house.state(sent) is CommandState.CONFIRMED)
    assert len(house.mqtt.sent) == 1


async def test_many_who_ask_at_once_under_one_id_are_one_command(house: House) -> None:
    house.status("online")
    answers = await asyncio.gather(*(house.ask(id="one", value=5) for _ in range(20)))
    assert {one.id for one in answers} == {"one"}
    assert len(house.mqtt.sent) == 1


async def test_a_queue_goes_out_in_order_and_what_is_asked_meanwhile_behind_it(house: House) -> None:
    asked = [await house.ask(queue=True, value=n) for n in range(2)]
    house.status("online")
    asked.append(await house.ask(value=2))
    await until(lambda: len(house.mqtt.sent) == 3)
    assert [body["value"] for _, body in house.mqtt.sent] == [0, 1, 2]
    assert {house.state(one) for one in asked} == {CommandState.SENT}


async def test_a_stale_command_expires_also_while_its_device_is_away(house: House) -> None:
    command = await house.ask(queue=True, expires=5)
    house.now_ms += 5000
    await until(lambda: house.state(command) is CommandState.EXPIRED)
    house.status("online")
    await house.ask()
    assert len(house.mqtt.sent) == 1


async def test_a_confirmation_of_what_was_not_sent_changes_nothing(house: House) -> None:
    command = await house.ask(queue=True)
    house.commands.publish([CommandAck("a", command.id, ok=True), CommandAck("a", "unknown", ok=True)])
    house.status("online")
    await until(lambda: house.state(command) is CommandState.SENT)
    house.commands.publish([CommandAck("a", command.id, ok=True)])
    await until(lambda: house.state(command) is CommandState.CONFIRMED)


async def test_a_confirmation_by_another_device_is_not_taken_for_its_own(house: House) -> None:
    house.status("online")
    command = await house.ask(id="cmd-1")
    acks = [CommandAck("b", "cmd-1", ok=False, error="poison"), CommandAck("a", "cmd-1", ok=True)]
    house.commands.publish(acks)
    await until(lambda: house.state(command) is CommandState.CONFIRMED)


async def test_of_several_bridges_on_one_store_one_sends_what_is_queued(house: House) -> None:
    asked = [await house.ask(queue=True, value=n) for n in range(3)]
    houses = [house, House(house.kept), House(house.kept)]
    async with houses[1].running(), houses[2].running():
        for one in houses:
            one.status("online")
        await until(lambda: all(house.state(command) is CommandState.SENT for command in asked))
        last = await house.ask(value=3)
        for one in houses:
            await until(lambda one=one: not one.commands._queues)
    sent = [str(body["id"]) for one in houses for _, body in one.mqtt.sent]
    assert sorted(sent) == sorted([*(command.id for command in asked), last.id])
    assert sum(one.commands.counts.sent for one in houses) == 4


async def test_what_another_bridge_sent_does_not_expire_here(house: House) -> None:
    command = await house.ask(queue=True, expires=5)
    other = House(house.kept)
    async with other.running():
        other.status("online")
        await until(lambda: house.state(command) is CommandState.SENT)
    house.now_ms += 5000
    await until(lambda: not house.commands._queues)
    assert house.state(command) is CommandState.SENT
    assert house.commands.counts.expired == 0


async def test_a_claim_whose_answer_was_lost_is_made_again_and_the_command_sent_once(house: House) -> None:
    command = await house.ask(queue=True)
    house.kept.loses_answers = 1
    house.status("online")
    await until(lambda: house.mqtt.sent)
    await house.ask()
    assert [body["id"] for _, body in house.mqtt.sent].count(command.id) == 1


async def test_a_claim_whose_answer_came_too_late_has_failed(house: House) -> None:
    command = await house.ask(queue=True, expires=5)
    house.kept.loses_answers = 1
    house.status("online")
    await until(lambda: house.state(command) is CommandState.SENT)
    house.now_ms += 5000
    await until(lambda: house.state(command) is CommandState.FAILED)
    assert house.mqtt.sent == []
