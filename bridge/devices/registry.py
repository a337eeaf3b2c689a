"""What is known of devices: who they are, how they are, and whether they are there.

It stands between the pipeline and the hub, as a publisher: it sees every stored reading and status, on the one way there is,
and passes them on with what changed by them. A reading of a known device costs it 1 to 5 µs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import Any, Literal

import orjson
from bson.objectid import ObjectId

from bridge.core.devices.device import DOCUMENT_BYTES, MQTT, OFFLINE, ONLINE, SOCKET, Device, apply_changes, merge_state
from bridge.core.devices.location import Location
from bridge.core.errors import DeviceError, DeviceExists, StoreError, StoreUnavailable, TooManyDevices, UnknownDevice
from bridge.core.events import EntityEvent, Event
from bridge.core.message import Decoded, DeviceStatus, Message, Rejection, RejectionReason
from bridge.core.readings.reading import Reading
from bridge.ports import MessageDecoder, Publisher, Store
from bridge.settings import DevicesSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
SAVE_SECONDS = 1.0
SEEN_SECONDS = 30.0  # when a device was last seen is kept so often: it costs a write each, and is not worth more
SAVE_BATCH = 500
_LAST_SAVE_SECONDS = 1.0

Action = Literal["created", "updated", "deleted"]
_ACTIONS: Mapping[Action, str] = {"created": "create_sensor", "updated": "update_sensor", "deleted": "delete_sensor"}


@dataclass(slots=True)
class RegistryCounters:
    """What found no place since the start."""

    unlisted: int = 0
    state_keys: int = 0


def now_ms() -> int:
    """Milliseconds since the epoch by the wall clock."""
    return time.time_ns() // 1_000_000


class Registry:
    """Every device by id. `came_online` is called with the id of one that may be sent something now."""

    def __init__(self, store: Store, out: Publisher, settings: DevicesSettings, *, clock: Callable[[], int] = now_ms) -> None:
        """`out` hears what is published, and what changed; `clock` gives milliseconds since the epoch."""
        self._store = store
        self._out = out
        self._settings = settings
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._sockets: set[str] = set()
        self._changed: dict[str, None] = {}
        self._seen: dict[str, None] = {}
        self._began_ms = clock()
        self._loaded = False
        self._statuses: list[DeviceStatus] | None = None
        self._seen_due = 0.0
        self.came_online: Callable[[str], None] = lambda _: None
        self.counts = RegistryCounters()

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def location(self, device_id: str) -> Location | None:
        """Where a device stands; None for one that nobody knows."""
        device = self._devices.get(device_id)
        return None if device is None else Location(device.site or "", device.room or "")

    def devices_at(self, sites: Collection[str]) -> list[str]:
        """The ids of the devices at these sites."""
        return [one.id for one in self._devices.values() if one.site in sites]

    async def load(self) -> None:
        """Read what the store keeps; raises `StoreUnavailable`. A socket from before has ended."""
        devices = await self._store.devices.all(self._settings.limit)
        newest = {reading.device_id: reading for reading in await self._store.latest()}
        self._began_ms = self._clock()
        for device in devices:
            device.last_reading = newest.get(device.id)
            self._devices[device.id] = device
            if device.connection == SOCKET and device.id not in self._sockets:
                self._out.publish(self._turn(device, OFFLINE, self._began_ms))
        self._loaded = True
        self._statuses = None
        for device_id in tuple(self._sockets):  # they came before the store did
            self.connected(device_id)

    # --- the way of a reading ----------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Pass on what happened, and after it what that changed."""
        more: list[Event] = []
        for event in events:
            if type(event) is Reading:
                self._heard(event, more)
            elif type(event) is DeviceStatus:
                self._said(event, more)
        self._out.publish([*events, *more] if more else events)

    def _heard(self, reading: Reading, more: list[Event]) -> None:
        device = self._devices.get(reading.device_id)
        if device is None:
            device = self._first_heard(reading.device_id, more)
            if device is None:
                return
        if device.record_seen(reading, self._clock()):
            self._seen[device.id] = None
            if device.status is None or device.status == OFFLINE:
                more += self._turn(device, ONLINE, reading.received_ms)

    def _said(self, status: DeviceStatus, more: list[Event]) -> None:
        """By MQTT. What it says of a device whose socket is open is not the whole of it."""
        device = self._devices.get(status.device_id) or self._first_heard(status.device_id, more)
        if device is None:
            return
        if status.status != OFFLINE:
            device.last_seen_ms = max(device.last_seen_ms or 0, status.timestamp_ms)
        if device.id in self._sockets:
            self._changed[device.id] = None  # the store has it from the status now
            if status.status == OFFLINE:
                more.append(DeviceStatus(device.id, device.status or ONLINE, self._clock()))
            return
        was, same = device.online, device.status == status.status
        device.connection = None if status.status == OFFLINE else MQTT
        device.status, device.status_ms = status.status, status.timestamp_ms
        if not same:
            more.append(self._change("updated", device))
        if device.online and not was:
            self.came_online(device.id)

    def _first_heard(self, device_id: str, more: list[Event]) -> Device | None:
        if not self._loaded:  # a socket that was faster than the store
            return None
        if len(self._devices) >= self._settings.limit or self._settings.registration == "required":
            self.counts.unlisted += 1
            return None
        device = self._devices[device_id] = Device(device_id, created_ms=self._clock())
        more.append(self._change("created", device))
        return device

    def _turn(self, device: Device, status: str, at_ms: int) -> list[Event]:
        """A device came or went, by what we saw of it."""
        device.status, device.status_ms = status, at_ms
        if status == OFFLINE:
            device.connection = None
        else:
            self.came_online(device.id)
        return [self._change("updated", device), DeviceStatus(device.id, status, at_ms)]

    def _change(self, action: Action, device: Device) -> EntityEvent:
        self._statuses = None
        self._changed[device.id] = None
        return EntityEvent("sensor", action, device.id, device.copy().public(), {"action": _ACTIONS[action]})

    # --- sockets -----------------------------------------------------------------------------------------------------------

    def connected(self, device_id: str) -> None:
        """Its socket is open."""
        self._sockets.add(device_id)
        more: list[Event] = []
        device = self._devices.get(device_id) or self._first_heard(device_id, more)
        if device is not None:
            device.connection, device.last_seen_ms = SOCKET, self._clock()
            more += self._turn(device, ONLINE, self._clock())
        self._out.publish(more)

    def disconnected(self, device_id: str) -> None:
        """Its socket has ended."""
        self._sockets.discard(device_id)
        device = self._devices.get(device_id)
        if device is not None and device.connection == SOCKET:
            device.connection, device.last_seen_ms = None, self._clock()
            self._out.publish(self._turn(device, OFFLINE, self._clock()))

    def update_state(self, device_id: str, state: Mapping[str, Any]) -> None:
        """What a device said of itself beside its measurements; bounded in number and bytes."""
        device = self._devices.get(device_id)
        if device is None:
            self.counts.state_keys += len(state)
            return
        device.last_seen_ms = self._clock()
        after, left = merge_state(device.state, state)
        if after != device.state and len(orjson.dumps(after)) > DOCUMENT_BYTES:
            after, left = device.state, len(state)
        self.counts.state_keys += left
        if after != device.state:
            device.state = after
            self._out.publish([self._change("updated", device)])

    def statuses(self, limit: int) -> list[DeviceStatus]:
        """The present status of each device that has one, those that changed last, at most `limit`.

        The same list until one changes: a thousand clients that connect at once are told the same.
        """
        if self._statuses is None:
            known = [DeviceStatus(one.id, one.status, one.status_ms or 0) for one in self._devices.values() if one.status]
            self._statuses = nlargest(limit, known, key=lambda one: one.timestamp_ms)[::-1]
        return self._statuses

    # --- the operator --------------------------------------------------------------------------------------------------------

    def get(self, device_id: str) -> Device:
        """Raises `UnknownDevice`, and `StoreUnavailable` before the store was read."""
        self._check_loaded()
        device = self._devices.get(device_id)
        if device is None:
            raise UnknownDevice(f"no device {device_id!r} is known")
        return device

    def all(self) -> Iterable[Device]:
        """Every device, by id; raises `StoreUnavailable` before the store was read."""
        self._check_loaded()
        return (self._devices[device_id] for device_id in sorted(self._devices))

    async def register(self, device_id: str, given: Mapping[str, Any]) -> Device:
        """A new one; raises `DeviceExists`, `DeviceError`, `TooManyDevices` and `StoreUnavailable`."""
        self._check_loaded()
        if device_id in self._devices:
            raise DeviceExists(f"device {device_id!r} is registered already; PATCH changes it")
        if len(self._devices) >= self._settings.limit:
            raise TooManyDevices(f"{self._settings.limit} devices are known, the most there may be: devices.limit")
        device = apply_changes(Device(device_id, created_ms=self._clock()), given)
        _check_size(device)
        await self._store.devices.save([device])
        device = self._devices.setdefault(device_id, device)
        self._out.publish([self._change("created", device)])
        if device_id in self._sockets:
            self.connected(device_id)
        return device

    async def update(self, device_id: str, given: Mapping[str, Any]) -> Device:
        """Change what is said of one; raises `UnknownDevice`, `DeviceError` and `StoreUnavailable`."""
        changed = apply_changes(self.get(device_id), given)
        _check_size(changed)
        await self._store.devices.save([changed])
        device = apply_changes(self.get(device_id), given)  # as it is after the wait
        self._devices[device_id] = device
        self._out.publish([self._change("updated", device)])
        return device

    async def remove(self, device_id: str) -> None:
        """Forget one; raises `UnknownDevice` and `StoreUnavailable`. Its next reading makes it anew, if that is open."""
        device = self.get(device_id)
        await self._store.devices.remove(device_id)
        self._out.publish([self._change("deleted", device)])  # who may see its site is told, so it still stands there
        self._devices.pop(device_id, None)
        self._statuses = None
        self._changed.pop(device_id, None)
        self._seen.pop(device_id, None)

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise StoreUnavailable("what it knows of devices was not read yet")

    # --- time --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled: notice who fell silent, and keep what changed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_for_ever(), name="registry saving")
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self.check_silence()

    async def _save_for_ever(self) -> None:
        """By itself, for the store may take its time to say that it is away."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    def check_silence(self) -> None:
        """Who was silent too long is offline. The time when we were not there counts for nobody's silence."""
        now, more = self._clock(), list[Event]()
        for device in self._devices.values():
            if not device.online or (silence_ms := device.silence_ms()) is None:
                continue
            if now - max(device.last_seen_ms or 0, self._began_ms) > silence_ms:
                more += self._turn(device, OFFLINE, now)
        if more:
            self._out.publish(more)

    async def close(self) -> None:
        """Keep what is not kept yet, if the store takes it at once."""
        self._seen_due = 0.0
        try:
            async with asyncio.timeout(_LAST_SAVE_SECONDS):
                while self._changed or self._seen:
                    if not await self._save():
                        break
        except TimeoutError:
            log.warning("%d devices could not be kept in time", len(self._changed) + len(self._seen))

    async def _save(self) -> bool:
        """A batch of what changed, or was seen; whether the store took it. What it does not take waits for the next time."""
        now = time.monotonic()
        if not self._changed and self._seen and now >= self._seen_due:
            self._changed, self._seen = self._seen, {}
            self._seen_due = now + SEEN_SECONDS
        while batch := list(islice(self._changed, SAVE_BATCH)):
            devices = [self._devices[device_id].copy() for device_id in batch if device_id in self._devices]
            for device_id in batch:
                del self._changed[device_id]
            try:
                await self._store.devices.save(devices)
            except StoreUnavailable as error:
                log.debug("devices are not kept yet: %s", error)
                self._changed = dict.fromkeys(batch) | self._changed
                return False
            except StoreError as error:
                log.warning("%d devices cannot be kept: %s", len(devices), error)
        return True


def _check_size(device: Device) -> None:
    size = len(orjson.dumps(device.attributes))
    if size > DOCUMENT_BYTES:
        raise DeviceError({"attributes": f"{size} bytes in all, more than the {DOCUMENT_BYTES} allowed"})


class RegisteredOnlyDecoder:
    """A decoder that lets nobody in but the registered. What a message means is decided without it, purely."""

    def __init__(self, decoder: MessageDecoder, registered: Container[str]) -> None:
        """`registered` is asked for each message."""
        self._decoder = decoder
        self._registered = registered

    def decode(self, message: Message) -> Decoded:
        """As the decoder says, but for devices that are not registered."""
        meaning = self._decoder.decode(message)
        device_id = getattr(meaning, "device_id", None)
        if device_id is None or device_id in self._registered:
            return meaning
        reason = f"device {device_id} is not registered, and devices.registration is required"
        return Rejection(message.id or ObjectId(), message, RejectionReason.NOT_REGISTERED, reason, "deviceId")
