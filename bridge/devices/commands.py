"""Commands to devices: kept before they are sent, sent once, and not after their time.

A publisher in front of the registry: it takes the devices' confirmations out of what the pipeline publishes. A command is
stored as `sent` before it is: whatever happens after that, it is not sent a second time. Of several bridges on one store each
may have it in its queue; the one whose change from `queued` to `sent` the store takes sends it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.devices.device import SOCKET
from bridge.core.errors import BrokerUnavailable, CommandRejected, StoreUnavailable, UnknownDevice
from bridge.core.events import EntityEvent, Event
from bridge.core.message import CommandAck
from bridge.core.query import CommandsQuery
from bridge.devices.registry import Registry, now_ms
from bridge.ports import CommandStore
from bridge.settings import DevicesSettings

log = logging.getLogger(__name__)

OFFLINE = "device offline"
TICK_SECONDS = 0.5
WAITING_LIMIT = 10_000
"""The most commands that wait for devices, over all of them."""

_ACKS_LIMIT = 10_000  # confirmations that wait for the store
_UNDER_WAY = 50  # commands to different devices that are being sent at once
_SEND_SECONDS = 10.0


class CommandTransport(Protocol):
    """How commands get to devices."""

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        """Hand a command over; worthless after `seconds`. Raises `BrokerUnavailable` if it may not have left."""


@dataclass(slots=True)
class CommandCounters:
    """Commands since the start, by what became of them; `acks_lost` are confirmations there was no room for."""

    asked: int = 0
    sent: int = 0
    confirmed: int = 0
    failed: int = 0
    expired: int = 0
    refused: int = 0
    acks_lost: int = 0


class CommandService:
    """Takes commands, sends them when their device is there, and notes what the device answers."""

    def __init__(
        self,
        kept: CommandStore,
        registry: Registry,
        settings: DevicesSettings,
        *,
        socket: CommandTransport,
        mqtt: CommandTransport,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """`registry` tells who is there and hears what passes through; a device with an open socket gets its commands there."""
        self._kept = kept
        self._registry = registry
        self._settings = settings
        self._socket = socket
        self._mqtt = mqtt
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._queues: dict[str, dict[str, Command]] = {}
        self._tried: set[str] = set()
        self._acks: dict[tuple[str, str], CommandAck] = {}
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(_UNDER_WAY)
        self.counts = CommandCounters()
        registry.came_online = self._came_online

    async def load(self) -> None:
        """What waited when the bridge stopped goes on waiting until its time is over; raises `StoreUnavailable`."""
        for command in reversed(await self._kept.find(CommandsQuery(state=CommandState.QUEUED, limit=WAITING_LIMIT))):
            self._queues.setdefault(command.device_id, {})[command.id] = command
        self._news.set()

    def publish(self, events: Sequence[Event]) -> None:
        """Keep the confirmations, pass on the rest."""
        acks = [event for event in events if type(event) is CommandAck]
        for ack in acks:
            self._acknowledge(ack)
        others = [event for event in events if type(event) is not CommandAck] if acks else events
        if others:
            self._registry.publish(others)

    def _acknowledge(self, ack: CommandAck) -> None:
        """A device told what became of a command; noted in the store soon, and once it is back if it is away."""
        if len(self._acks) >= _ACKS_LIMIT:
            self.counts.acks_lost += 1
            return
        self._acks.setdefault((ack.device_id, ack.command_id), ack)
        self._news.set()

    def _came_online(self, device_id: str) -> None:
        if device_id in self._queues:
            self._news.set()

    # --- asking ------------------------------------------------------------------------------------------------------------

    async def submit(self, request: CommandRequest, by: str) -> Command:
        """The command, stored and sent, or in its queue. Asked again under the same id, it is the one that is there.

        Raises `UnknownDevice`, `CommandRejected` (it is offline, or the id is another command's) and `StoreUnavailable`.
        """
        command_id = request.id or secrets.token_hex(12)
        if request.id is not None and (there := await self._kept.get(command_id)):
            return self._again(there, request)
        device = self._registry.get(request.device)
        queue = self._queues.get(request.device, {})
        waits = not device.online or bool(queue)
        if waits:
            self._check_room(request, online=device.online, waiting=len(queue))
        now = self._clock()
        seconds = request.expires or self._settings.command_seconds
        command = Command(
            command_id,
            request.device,
            request.command,
            request.value,
            by,
            now,
            now + round(seconds * 1000),
            changed_ms=now,
        )
        there = await self._kept.add(command)
        if there != command:
            return self._again(there, request)
        self.counts.asked += 1
        self._queues.setdefault(request.device, {})[command_id] = command
        self._tell("created", command)
        if waits:
            self._news.set()
            return command
        return await self._deliver(command)

    def _again(self, there: Command, request: CommandRequest) -> Command:
        if not there.same_request(request):
            raise self._refused(f"the id {there.id!r} is another command's")
        return there

    def _check_room(self, request: CommandRequest, *, online: bool, waiting: int) -> None:
        if not online and not request.queue:
            raise self._refused(OFFLINE)
        if waiting >= self._settings.queue_limit:
            raise self._refused(f"{waiting} commands wait for this device, the most there may be: devices.queue_limit")
        if sum(map(len, self._queues.values())) >= WAITING_LIMIT:
            raise self._refused(f"{WAITING_LIMIT} commands wait for devices, the most there may be")

    def _refused(self, text: str) -> CommandRejected:
        self.counts.refused += 1
        return CommandRejected(text)

    async def get(self, device_id: str, command_id: str) -> Command | None:
        """One command of a device."""
        command = await self._kept.get(command_id)
        return command if command is not None and command.device_id == device_id else None

    async def recent(self, device_id: str, limit: int) -> list[Command]:
        """The newest commands of a device, newest first."""
        return await self._kept.find(CommandsQuery(device=device_id, limit=limit))

    # --- sending -----------------------------------------------------------------------------------------------------------

    async def _deliver(self, command: Command) -> Command:
        """Send one that is queued. What came of it; raises `StoreUnavailable` while it could still be sent later."""
        async with self._one_at_a_time(command.device_id):
            if command.id not in self._queues.get(command.device_id, {}):  # somebody else saw to it
                return await self._now(command)
            sent = await self._take(command)
            if sent is None:
                return await self._now(command)
            if sent.state is CommandState.EXPIRED:
                return self._ended(sent)
            if sent.is_expired(self._clock()):
                return await self._settle(sent, CommandState.FAILED, "it could not be sent in time")
            self.counts.sent += 1
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await self._way(sent).send(sent.device_id, sent.body(), (sent.expires_ms - self._clock()) / 1000)
            except (BrokerUnavailable, UnknownDevice, TimeoutError) as error:
                return await self._settle(sent, CommandState.FAILED, str(error) or "it took too long to send")
        self._tell("updated", sent)
        return sent

    async def _take(self, command: Command) -> Command | None:
        """Take a queued one to send it, or to end it if it is stale; None if another bridge did.

        What the store did without our hearing of it is ours all the same when it is tried again: nothing was sent meanwhile.
        """
        now, was_tried = self._clock(), command.id in self._tried
        taken = replace(
            command.transition(CommandState.EXPIRED if command.is_expired(now) else CommandState.SENT, now), bridge=self._name
        )
        self._tried.add(command.id)
        there = taken if await self._kept.change(taken, CommandState.QUEUED) else await self._now(command)
        self._leave_queue(command)
        is_ours = there is taken or (
            was_tried and there.bridge == self._name and there.state in (CommandState.SENT, CommandState.EXPIRED)
        )
        return there if is_ours else None

    async def _now(self, command: Command) -> Command:
        """As it is kept."""
        return await self._kept.get(command.id) or command

    def _way(self, command: Command) -> CommandTransport:
        return self._socket if self._registry.get(command.device_id).connection == SOCKET else self._mqtt

    async def _settle(self, command: Command, state: CommandState, error: str | None = None) -> Command:
        """The end of one that was sent, unless somebody else saw to it; raises `StoreUnavailable` with nothing changed here."""
        settled = command.transition(state, self._clock(), error)
        return self._ended(settled) if await self._kept.change(settled, command.state) else await self._now(command)

    def _ended(self, command: Command) -> Command:
        setattr(self.counts, command.state, getattr(self.counts, command.state) + 1)
        self._tell("updated", command)
        return command

    def _leave_queue(self, command: Command) -> None:
        self._tried.discard(command.id)
        queue = self._queues.get(command.device_id)
        if queue is not None:
            queue.pop(command.id, None)
            if not queue:
                del self._queues[command.device_id]

    def _tell(self, what: Literal["created", "updated"], command: Command) -> None:
        action = {"created": "create_command", "updated": "update_command"}[what]
        self._registry.publish([EntityEvent("command", what, command.id, command.public(), {"action": action})])

    def _one_at_a_time(self, device_id: str) -> _KeyedLock:
        return _KeyedLock(self._locks, device_id)

    # --- time --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled: send what waits to those who came, end what is stale, note what was confirmed."""
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self._note_acks()
                await self._attend_queues()
            except StoreUnavailable as error:
                log.debug("commands wait for the store: %s", error)
                await asyncio.sleep(TICK_SECONDS)
                self._news.set()

    async def _note_acks(self) -> None:
        while self._acks:
            key, ack = next(iter(self._acks.items()))
            command = await self._kept.get(ack.command_id)
            if command is not None and command.device_id == ack.device_id and command.state is CommandState.SENT:
                error = None if ack.ok else ack.error or "the device refused it"
                await self._settle(command, CommandState.CONFIRMED if ack.ok else CommandState.FAILED, error)
            del self._acks[key]

    async def _attend_queues(self) -> None:
        """To all devices at once, to each in the order in which it was asked."""
        now = self._clock()
        async with asyncio.TaskGroup() as tasks:
            for device_id, queue in tuple(self._queues.items()):
                waiting = tuple(queue.values())
                if self._is_online(device_id) or any(command.is_expired(now) for command in waiting):
                    tasks.create_task(self._attend(device_id, waiting), name=f"commands of {device_id}")

    async def _attend(self, device_id: str, waiting: Sequence[Command]) -> None:
        async with self._slots:
            for command in waiting:
                try:
                    if self._is_online(device_id) or command.is_expired(self._clock()):
                        await self._deliver(command)
                except StoreUnavailable as error:
                    log.debug("commands of %s wait for the store: %s", device_id, error)
                    return

    def _is_online(self, device_id: str) -> bool:
        return device_id in self._registry and self._registry.get(device_id).online


class _KeyedLock:
    """A lock by name, there only while somebody holds it or waits for it."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], name: str) -> None:
        self._locks = locks
        self._name = name

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._name, (asyncio.Lock(), 0))
        self._locks[self._name] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._drop()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._name][0].release()
        self._drop()

    def _drop(self) -> None:
        lock, users = self._locks[self._name]
        if users == 1:
            del self._locks[self._name]
        else:
            self._locks[self._name] = lock, users - 1
