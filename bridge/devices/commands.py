"""Commands to devices: stored before they are sent, sent at most once, and never after they expire.

A publisher in front of the registry: it takes the devices' acknowledgements out of the published events. A command is
stored as `sent` before it is sent, so it is never sent twice. Several bridges on one store may each have
it in their queue: the bridge that changes it from `queued` to `sent` in the store sends it.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bridge.core.devices.command import Command, CommandRequest, CommandState
from bridge.core.devices.device import SOCKET
from bridge.core.errors import BrokerUnavailable, CommandRejected, StoreUnavailable, UnknownDevice
from bridge.core.events import EntityEvent, Event
from bridge.core.message import CommandAck
from bridge.core.query import CommandsQuery
from bridge.devices.registry import Registry, now_ms
from bridge.ports import CommandStore, Publisher
from bridge.settings import DevicesSettings

log = logging.getLogger(__name__)

OFFLINE = "device offline"
TICK_SECONDS = 0.5
REREAD_SECONDS = 5.0
"""Of several bridges, each looks this often for commands that others have queued and it can send."""

MOVE_SECONDS = 10.0
"""For this long, a device whose socket was closed, or that came online, may have one at a bridge that the others do not know.

The first reading of a socket can reach another bridge before the message that the socket was opened.
"""

WAITING_LIMIT = 10_000
"""The most commands that wait in the queues of all devices together."""

_ACKS_LIMIT = 10_000  # acknowledgements that wait for the store
_CONCURRENT_DEVICES = 50
_SEND_SECONDS = 10.0


class CommandTransport(Protocol):
    """Delivers commands to devices."""

    async def send(self, device_id: str, body: dict[str, object], seconds: float) -> None:
        """Send a command that expires after `seconds`. Raises `BrokerUnavailable` if it may not have been sent."""


@dataclass(slots=True)
class CommandCounters:
    """Commands since the start by outcome; `acks_lost` counts acknowledgements beyond the limit of those that wait."""

    asked: int = 0
    sent: int = 0
    confirmed: int = 0
    failed: int = 0
    expired: int = 0
    refused: int = 0
    acks_lost: int = 0


class CommandService:
    """Accepts commands, sends them while their device is online, and records the devices' acknowledgements.

    A publisher: `next` receives the events that pass through except acknowledgements, and the changes of commands.
    """

    next: Publisher

    def __init__(
        self,
        store: CommandStore,
        registry: Registry,
        settings: DevicesSettings,
        *,
        socket: CommandTransport,
        mqtt: CommandTransport,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """A device with an open socket receives its commands there, any other over MQTT."""
        self._store = store
        self._registry = registry
        self._settings = settings
        self._socket = socket
        self._mqtt = mqtt
        self._clock = clock
        self._bridge_id = secrets.token_hex(8)
        self._queues: dict[str, dict[str, Command]] = {}
        self._tried: set[tuple[str, str]] = set()
        self._acks: dict[tuple[str, str], CommandAck] = {}
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._wake_up = asyncio.Event()
        self._slots = asyncio.Semaphore(_CONCURRENT_DEVICES)
        self.counts = CommandCounters()
        self._reread_seconds = REREAD_SECONDS
        self._reread_due: float | None = None
        self._is_shared = False
        self._is_informed: Callable[[], bool] = lambda: True
        self.on_queued_elsewhere: Callable[[str], object] = lambda _device_id: None
        """Called when a command is queued for a device whose socket another bridge has."""
        registry.presence.came_online = self._on_online

    def share(self, is_informed: Callable[[], bool], reread_seconds: float = REREAD_SECONDS) -> None:
        """Send commands that other bridges queue too; look for them this often.

        `is_informed` returns whether this bridge is told which devices have a socket at the other bridges that it knows.
        """
        self._is_shared, self._is_informed = True, is_informed
        self._reread_seconds = reread_seconds
        self._reread_due = time.monotonic() + reread_seconds

    def reread(self) -> None:
        """Look now for commands that other bridges have queued."""
        self._reread_due = 0.0
        self._wake_up.set()

    async def load(self) -> None:
        """Read the commands that are queued; drop those that another bridge has sent. Raises `StoreUnavailable`."""
        before = [command for queue in self._queues.values() for command in queue.values()]
        found = await self._store.find(CommandsQuery(state=CommandState.QUEUED, limit=WAITING_LIMIT))
        for command in reversed(found):
            self._queues.setdefault(command.device_id, {})[command.id] = command
        if len(found) < WAITING_LIMIT:
            queued = {(command.device_id, command.id) for command in found}
            for command in before:
                self._drop_sent(command.device_id, command.id, queued)
        self._wake_up.set()

    def _drop_sent(self, device_id: str, command_id: str, queued: Collection[tuple[str, str]] = ()) -> None:
        """Remove a command that is not queued any more, unless this bridge may have claimed it."""
        key = device_id, command_id
        command = self._queues.get(device_id, {}).get(command_id)
        if command is not None and key not in queued and key not in self._tried:
            self._leave_queue(command)

    def on_remote(self, event: EntityEvent) -> None:
        """Another bridge says that a command has changed."""
        if event.event_type == "updated" and event.data.get("state") != CommandState.QUEUED:
            self._drop_sent(str(event.data.get("device")), event.entity_id)

    def publish(self, events: Sequence[Event]) -> None:
        """Take acknowledgements out of the events and pass the rest on."""
        acks = [event for event in events if type(event) is CommandAck]
        for ack in acks:
            self._acknowledge(ack)
        others = [event for event in events if type(event) is not CommandAck] if acks else events
        if others:
            self.next.publish(others)

    def _acknowledge(self, ack: CommandAck) -> None:
        """Queue an acknowledgement for the store."""
        if len(self._acks) >= _ACKS_LIMIT:
            self.counts.acks_lost += 1
            return
        self._acks.setdefault((ack.device_id, ack.command_id), ack)
        self._wake_up.set()

    def _on_online(self, device_id: str) -> None:
        if device_id in self._queues:
            self._wake_up.set()

    # --- requests ----------------------------------------------------------------------------------------------------------

    async def submit(self, request: CommandRequest, by: str) -> Command:
        """Store a command, then send or queue it. A repeated request with the same id returns the existing command.

        Raises `UnknownDevice`, `CommandRejected` (offline, id of another command to it, queue full) and `StoreUnavailable`.
        """
        command_id = request.id or secrets.token_hex(12)
        if request.id is not None and (existing := await self._store.get(request.device, command_id)):
            return self._existing(existing, request)
        device = self._registry.get(request.device)
        queue = self._queues.get(request.device, {})
        elsewhere = self._is_elsewhere(device.id)
        waits = not device.online or bool(queue) or elsewhere
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
        existing = await self._store.add(command)
        if existing != command:
            return self._existing(existing, request)
        self.counts.asked += 1
        self._queues.setdefault(request.device, {})[command_id] = command
        self._publish_change("created", command)
        if elsewhere:
            self.on_queued_elsewhere(device.id)
        if waits:
            self._wake_up.set()
            return command
        try:
            return await self._deliver(command)
        finally:
            self._wake_up.set()  # it may still wait, and expire

    def _existing(self, existing: Command, request: CommandRequest) -> Command:
        if not existing.same_request(request):
            raise self._refusal(f"id {existing.id!r} belongs to another command to this device")
        return existing

    def _check_room(self, request: CommandRequest, *, online: bool, waiting: int) -> None:
        if not online and not request.queue:
            raise self._refusal(OFFLINE)
        if waiting >= self._settings.queue_limit:
            raise self._refusal(f"the limit of {waiting} commands that wait for this device is reached (devices.queue_limit)")
        if sum(map(len, self._queues.values())) >= WAITING_LIMIT:
            raise self._refusal(f"the limit of {WAITING_LIMIT} commands that wait for all devices is reached")

    def _refusal(self, text: str) -> CommandRejected:
        self.counts.refused += 1
        return CommandRejected(text)

    async def get(self, device_id: str, command_id: str) -> Command | None:
        return await self._store.get(device_id, command_id)

    async def recent(self, device_id: str, limit: int) -> list[Command]:
        """Return the newest commands of a device, newest first."""
        return await self._store.find(CommandsQuery(device=device_id, limit=limit))

    # --- sending -----------------------------------------------------------------------------------------------------------

    async def _deliver(self, command: Command) -> Command:
        """Send a queued command and return its new state. Raises `StoreUnavailable` while it can still be sent later."""
        async with _KeyedLock(self._locks, command.device_id):
            if command.id not in self._queues.get(command.device_id, {}):  # already handled by another task
                return await self._current(command)
            claimed = await self._claim(command)
            if claimed is None:
                return await self._current(command)
            if claimed.state is CommandState.EXPIRED:
                return self._finished(claimed)
            if claimed.is_expired(self._clock()):
                return await self._finish(claimed, CommandState.FAILED, "it expired before it could be sent")
            self.counts.sent += 1
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    remaining_seconds = (claimed.expires_ms - self._clock()) / 1000
                    await self._transport(claimed).send(claimed.device_id, claimed.body(), remaining_seconds)
            except (BrokerUnavailable, UnknownDevice, TimeoutError) as error:
                reason = str(error) or f"not sent within {_SEND_SECONDS:g} s"
                return await self._finish(claimed, CommandState.FAILED, reason)
        self._publish_change("updated", claimed)
        return claimed

    async def _claim(self, command: Command) -> Command | None:
        """Mark a queued command as sent, or as expired if it is; None if another bridge did so first.

        A claim whose confirmation by the store was lost is claimed again: nothing was sent in between.
        """
        now, was_tried = self._clock(), (command.device_id, command.id) in self._tried
        state = CommandState.EXPIRED if command.is_expired(now) else CommandState.SENT
        claim = replace(command.transition(state, now), bridge=self._bridge_id)
        self._tried.add((command.device_id, command.id))
        stored = claim if await self._store.change(claim, CommandState.QUEUED) else await self._current(command)
        self._leave_queue(command)
        is_ours = stored is claim or (
            was_tried and stored.bridge == self._bridge_id and stored.state in (CommandState.SENT, CommandState.EXPIRED)
        )
        return stored if is_ours else None

    async def _current(self, command: Command) -> Command:
        return await self._store.get(command.device_id, command.id) or command

    def _transport(self, command: Command) -> CommandTransport:
        return self._socket if self._registry.get(command.device_id).connection == SOCKET else self._mqtt

    async def _finish(self, command: Command, state: CommandState, error: str | None = None) -> Command:
        """Store a sent command's final state unless it has one. The state is unchanged if it raises `StoreUnavailable`."""
        final = command.transition(state, self._clock(), error)
        return self._finished(final) if await self._store.change(final, command.state) else await self._current(command)

    def _finished(self, command: Command) -> Command:
        setattr(self.counts, command.state, getattr(self.counts, command.state) + 1)
        self._publish_change("updated", command)
        return command

    def _leave_queue(self, command: Command) -> None:
        self._tried.discard((command.device_id, command.id))
        queue = self._queues.get(command.device_id)
        if queue is not None:
            queue.pop(command.id, None)
            if not queue:
                del self._queues[command.device_id]

    def _publish_change(self, event_type: Literal["created", "updated"], command: Command) -> None:
        action = {"created": "create_command", "updated": "update_command"}[event_type]
        self.next.publish([EntityEvent("command", event_type, command.id, command.public(), {"action": action})])

    # --- jobs --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Store acknowledgements, send queued commands and expire old ones, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._idle_seconds()):
                    await self._wake_up.wait()
            self._wake_up.clear()
            try:
                await self._store_acks()
                if self._reread_due is not None and time.monotonic() >= self._reread_due:
                    self._reread_due = time.monotonic() + self._reread_seconds
                    await self.load()
                    self._wake_up.clear()
                await self._send_queued()
            except StoreUnavailable as error:
                log.debug("commands: store unavailable (%s): retrying", error)
                await asyncio.sleep(TICK_SECONDS)
                self._wake_up.set()

    def _idle_seconds(self) -> float | None:
        """How long to wait when nothing happens: a queued command may expire, another bridge may have queued one."""
        if self._queues:
            return TICK_SECONDS
        return None if self._reread_due is None else max(self._reread_due - time.monotonic(), 0.0)

    async def _store_acks(self) -> None:
        while self._acks:
            key, ack = next(iter(self._acks.items()))
            command = await self._store.get(ack.device_id, ack.command_id)
            if command is not None and command.state is CommandState.SENT:
                error = None if ack.ok else ack.error or "the device refused it"
                await self._finish(command, CommandState.CONFIRMED if ack.ok else CommandState.FAILED, error)
            del self._acks[key]

    async def _send_queued(self) -> None:
        """Send to all devices concurrently, to each in the order of submission."""
        now = self._clock()
        async with asyncio.TaskGroup() as tasks:
            for device_id, queue in tuple(self._queues.items()):
                waiting = tuple(queue.values())
                if self._is_online(device_id) or any(command.is_expired(now) for command in waiting):
                    tasks.create_task(self._send_waiting(device_id, waiting), name=f"commands of {device_id}")

    async def _send_waiting(self, device_id: str, waiting: Sequence[Command]) -> None:
        async with self._slots:
            for command in waiting:
                try:
                    if self._is_online(device_id) or command.is_expired(self._clock()):
                        await self._deliver(command)
                except StoreUnavailable as error:
                    log.debug("commands: store unavailable (%s): commands of %s wait", error, device_id)
                    return

    def _is_online(self, device_id: str) -> bool:
        """Whether this bridge can send to the device."""
        return device_id in self._registry and self._registry.get(device_id).online and not self._is_elsewhere(device_id)

    def _is_elsewhere(self, device_id: str) -> bool:
        """Whether another bridge has the device's socket, or may have it without this one knowing: that bridge has just
        started, or the bus is down. Such a device would not receive commands by MQTT.
        """
        presence, connection = self._registry.presence, self._registry.get(device_id).connection
        if device_id in presence.elsewhere:
            return True
        if connection == SOCKET:
            return device_id not in presence.sockets
        if connection is not None or not self._is_shared:
            return False
        left = presence.left_within(device_id, MOVE_SECONDS if self._is_informed() else math.inf)
        return left or presence.appeared_within(device_id, MOVE_SECONDS)


class _KeyedLock:
    """A lock by name that exists only while a task holds it or waits for it."""

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
