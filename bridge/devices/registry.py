"""The device registry: every device by id, with its operator's attributes and the state that it reported.

A publisher between the pipeline and the hub: it sees every stored reading and status and passes them on, followed by the
events of the changes that they caused. A reading of a known device costs 1 to 5 µs.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import orjson

from bridge.core.access.permissions import IdentityKind
from bridge.core.devices.device import DOCUMENT_BYTES, OFFLINE, Device, Telemetry, apply_changes, merge_state
from bridge.core.devices.location import UNKNOWN_LOCATION, Location, stated_location
from bridge.core.errors import DeviceError, DeviceExists, StoreError, StoreUnavailable, TooManyDevices, UnknownDevice
from bridge.core.events import DeviceState, EntityEvent, Event, device_status
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.devices.device_table import DeviceTable
from bridge.devices.number_sequence import NumberSequence
from bridge.devices.presence import Presence
from bridge.ports import DeviceStore, Publisher, Store
from bridge.settings import DevicesSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
CHECKS_A_TICK = 2000
"""Devices whose silence is looked at in a tick, which takes about a millisecond."""

SAVE_SECONDS = 1.0
SEEN_SECONDS = 30.0  # interval between writes of `lastSeen` alone: each costs one write per device
SAVE_BATCH = 500
_LAST_SAVE_SECONDS = 1.0

Action = Literal["created", "updated", "deleted"]
_ACTIONS: Mapping[Action, str] = {"created": "create_sensor", "updated": "update_sensor", "deleted": "delete_sensor"}


@dataclass(slots=True)
class RegistryCounters:
    """Counts since the start: readings and statuses of unlisted devices, and state keys and telemetry beyond the limits."""

    unlisted: int = 0
    state_keys: int = 0
    telemetry: int = 0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Registry:
    """Every device by id. A publisher: `next` receives the events that pass through, and those of its own changes."""

    next: Publisher

    def __init__(
        self,
        store: Store,
        settings: DevicesSettings,
        *,
        saved: DeviceStore | None = None,
        takes_sites: bool = True,
        clock: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`saved` is where devices are read and written, if not in `store` itself. `takes_sites` is whether readings may set
        the site of a device that has none; they may always set the room.

        `clock` gives milliseconds since the epoch, `monotonic` seconds of a clock that nobody sets.
        """
        self._store = store
        self._saved = saved or store.devices
        self._settings = settings
        self._takes_sites = takes_sites
        self._clock = clock
        self._table = DeviceTable()
        self._devices = self._table.by_id
        self._to_check: deque[str] = deque()
        self._changed: dict[str, None] = {}
        self._seen: dict[str, None] = {}
        self._seen_due = 0.0
        self._loaded = False
        self._suggested: Mapping[str, Mapping[str, str]] = {}
        self.presence = Presence(self._record_update, clock, monotonic)
        self.numbers = NumberSequence(store, "device_number")
        """The ids of devices that are registered without one."""
        self.counts = RegistryCounters()
        self.on_write: Callable[[str | None], None] = lambda _: None
        """Called after each attempt to save changes, with the reason if the store was unavailable: it will be tried again."""

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._devices

    def location(self, device_id: str) -> Location | None:
        """The site and room of a device; None if it is unknown."""
        device = self._devices.get(device_id)
        return None if device is None else Location(device.site or "", device.room or "")

    def devices_at(self, sites: Collection[str]) -> list[str]:
        """Return the ids of the devices at these sites, in no order."""
        return self._table.at(sites)

    def devices_in(self, location: str) -> list[str]:
        """Return the ids of the devices that refer to a named location."""
        return [device.id for device in self._devices.values() if device.locationId == location]

    async def load(self) -> None:
        """Read the devices from the store. Raises `StoreUnavailable`."""
        devices = await self._saved.all(self._settings.limit)
        newest = {reading.device_id: reading for reading in await self._store.latest()}
        keys = [key for key in await self._store.keys.all() if key.kind is IdentityKind.DEVICE]
        for device in devices:
            device.last_reading = newest.get(device.id)
            self._table.put(device)
        for events in self.presence.start(devices):
            self.next.publish(events)
        self._loaded = True
        self.expect([*self._settings.credentials, *(key.name for key in keys)])
        for device_id in tuple(self.presence.sockets):  # opened before the store was available
            self.connected(device_id)

    def expect(self, device_ids: Iterable[str]) -> None:
        """List devices that have credentials, as offline until they are heard. With required registration none is added."""
        events: list[Event] = []
        is_open = self._loaded and self._settings.registration != "required"
        for device_id in device_ids:
            device = self._devices.get(device_id)
            if device is None and is_open and len(self._devices) < self._settings.limit:
                device = self._discover(device_id, events)
            if device is not None and device.status is None:
                events += self.presence.set_status(device, OFFLINE, self._clock())
        if events:
            self.next.publish(events)

    # --- publisher ---------------------------------------------------------------------------------------------------------

    def publish(self, events: Sequence[Event]) -> None:
        """Apply readings and statuses to their devices; pass all events on, then those of the changes."""
        changes: list[Event] = []
        for event in events:
            if type(event) is Reading:
                self._on_reading(event, changes)
            elif type(event) is DeviceStatus:
                device = self._devices.get(event.device_id) or self._discover(event.device_id, changes)
                changes += _unlisted(event) if device is None else self.presence.on_status(device, event)
        self.next.publish([*events, *changes] if changes else events)

    def _on_reading(self, reading: Reading, changes: list[Event]) -> None:
        if reading.part_of is not None:
            self._on_reading_of_part(reading, reading.part_of, changes)
        stated = stated_location(reading.extra) if reading.extra else UNKNOWN_LOCATION
        device = self._devices.get(reading.device_id) or self._discover(reading.device_id, changes, reading.part_of, stated)
        if device is None:
            return
        if stated is not UNKNOWN_LOCATION:
            changes += self._place(device, stated)
        if reading.part_of != device.part_of and reading.part_of is not None:
            device.part_of = reading.part_of
            changes.append(self._record_update(device))
        if reading.ignored and device.record_ignored(reading, self._clock()):
            self._changed[device.id] = None
        self._on_life(device, reading, changes)

    def _on_reading_of_part(self, reading: Reading, device_id: str, changes: list[Event]) -> None:
        """A reading of a part is a sign of life of its device, which may have no readings of its own."""
        device = self._devices.get(device_id) or self._discover(device_id, changes)
        if device is not None:
            self._on_life(device, reading, changes)

    def _on_life(self, device: Device, reading: Reading, changes: list[Event]) -> None:
        alive, events = self.presence.on_reading(device, reading)
        if alive:
            self._seen[device.id] = None
            changes += events

    def _place(self, device: Device, stated: Location) -> list[Event]:
        """Set the site and the room that a reading states where the device has none; return the events of the change."""
        before = Location(device.site or "", device.room or "")
        if not self._fill_location(device, stated):
            return []
        self._table.put(device)
        return [self._record_update(device), *self._move_parts(before, device)]

    def _fill_location(self, device: Device, stated: Location) -> bool:
        """Set what is stated and missing; return whether something was."""
        site = (stated.site if self._takes_sites else "") if device.site is None else ""
        room = stated.room if device.room is None else ""
        device.site, device.room = site or device.site, room or device.room
        return bool(site or room)

    def _discover(
        self, device_id: str, changes: list[Event], part_of: str | None = None, stated: Location = UNKNOWN_LOCATION
    ) -> Device | None:
        """Register a device that was not known before, at the `stated` location; None if that is not allowed or the store has
        not been read. A part of a registered device is registered with it.
        """
        if not self._loaded:
            return None
        is_allowed = self._settings.registration != "required" or part_of in self._devices
        if len(self._devices) >= self._settings.limit or not is_allowed:
            self.counts.unlisted += 1
            return None
        device = Device(device_id, created_ms=self._clock(), part_of=part_of)
        whole = self._devices.get(part_of or "")
        if whole is not None:
            device.site, device.room = whole.site, whole.room
        self._fill_location(device, stated)
        device = self._with_suggestions(device)
        self._table.put(device)
        changes.append(self._record("created", device))
        return device

    def is_other_device(self, series: str, device_id: str) -> bool:
        """Whether a series is that of a known device and not of a part of `device_id`."""
        device = self._devices.get(series)
        return device is not None and device.part_of != device_id

    def set_last_reading(self, device_id: str, reading: Reading | None) -> None:
        """Set the newest reading of a device after a correction. Does nothing for an unknown device."""
        device = self._devices.get(device_id)
        if device is not None:
            device.last_reading = reading

    def suggest(self, suggested: Mapping[str, Mapping[str, str]]) -> None:
        """Set attributes by device id where a person set none: of known devices now, of others when they are discovered.

        Texts that are no valid attributes are left out.
        """
        self._suggested = suggested
        changes: list[Event] = []
        for device_id in suggested.keys() & self._devices.keys():
            before = self._devices[device_id]
            device = self._with_suggestions(before)
            if device != before:
                self._table.put(device)
                changes.append(self._record_update(device))
        if changes:
            self.next.publish(changes)

    def _with_suggestions(self, device: Device) -> Device:
        for name, text in self._suggested.get(device.id, {}).items():
            if getattr(device, name) is None:
                with suppress(DeviceError):
                    device = apply_changes(device, {name: text})
        return device

    def _record(self, action: Action, device: Device) -> EntityEvent:
        """Mark a device for saving; the event of its change."""
        self.presence.invalidate()
        self._changed[device.id] = None
        return EntityEvent("sensor", action, device.id, device.copy().public(), {"action": _ACTIONS[action]})

    def _record_update(self, device: Device) -> EntityEvent:
        return self._record("updated", device)

    # --- sockets and state -------------------------------------------------------------------------------------------------

    def connected(self, device_id: str) -> None:
        """A socket of the device was opened."""
        log.debug("devices: %r connected by its socket", device_id)
        self.presence.sockets.add(device_id)
        events: list[Event] = []
        device = self._devices.get(device_id) or self._discover(device_id, events)
        if device is not None:
            self.next.publish(events + self.presence.on_socket_opened(device))

    def disconnected(self, device_id: str) -> None:
        """The device's last socket was closed."""
        log.debug("devices: %r disconnected its socket", device_id)
        self.presence.sockets.discard(device_id)
        device = self._devices.get(device_id)
        if device is not None and (events := self.presence.on_socket_closed(device)):
            self.next.publish(events)

    def update_state(self, device_id: str, state: Mapping[str, Any]) -> None:
        """Merge state reported by a device beside its measurements. Keys beyond the limits in number and bytes are counted."""
        device = self._devices.get(device_id)
        if device is None:
            self.counts.state_keys += len(state)
            return
        device.last_seen_ms = self._clock()
        merged, rejected = merge_state(device.state, state)
        if merged != device.state and len(orjson.dumps(merged)) > DOCUMENT_BYTES:
            merged, rejected = device.state, len(state)
        self.counts.state_keys += rejected
        if merged != device.state:
            device.state = merged
            self.next.publish([self._record_update(device), DeviceState(device.id, dict(merged), self._clock())])

    def record_telemetry(self, device_id: str, telemetry: Telemetry) -> None:
        """Keep a device's last telemetry message; it is saved as often as `lastSeen`. One above `DOCUMENT_BYTES` is counted."""
        device = self._devices.get(device_id)
        if device is None or (device.telemetry is not None and telemetry.order < device.telemetry.order):
            return
        log.debug("devices: %r sent telemetry, %d bytes", device_id, len(telemetry.text))
        is_kept = len(telemetry.text) <= DOCUMENT_BYTES
        self.counts.telemetry += not is_kept
        device.telemetry = telemetry if is_kept else None
        self._seen[device_id] = None

    def statuses(self, limit: int) -> list[DeviceStatus]:
        """The newest `limit` statuses of devices, oldest first. The limit is the same at every call."""
        return self.presence.statuses(self._devices.values(), limit)

    # --- operators ---------------------------------------------------------------------------------------------------------

    def get(self, device_id: str) -> Device:
        """Return a device. Raises `UnknownDevice`, and `StoreUnavailable` before the store was read."""
        self._check_loaded()
        device = self._devices.get(device_id)
        if device is None:
            raise UnknownDevice(f"no device {device_id!r} is known")
        return device

    def all(self, after: str = "") -> Iterator[Device]:
        """Iterate over the devices by id, from the first after `after`; none may be added or removed meanwhile."""
        self._check_loaded()
        return self._table.after(after)

    def some(self, device_ids: Iterable[str], after: str = "") -> Iterator[Device]:
        """Iterate over those of these devices that are registered, as `all` does."""
        self._check_loaded()
        return self._table.some(device_ids, after)

    async def register(self, device_id: str, attributes: Mapping[str, Any]) -> Device:
        """Create a device. Raises `DeviceExists`, `DeviceError`, `TooManyDevices` and `StoreUnavailable`."""
        self._check_loaded()
        listed = self._devices.get(device_id)
        if listed is not None and not listed.is_placeholder:
            raise DeviceExists(f"device {device_id!r} is already registered: use PATCH to change it")
        if listed is None and len(self._devices) >= self._settings.limit:
            raise TooManyDevices(f"the limit of {self._settings.limit} devices is reached (devices.limit)")
        device = apply_changes(listed or Device(device_id, created_ms=self._clock()), attributes)
        _check_size(device)
        await self._saved.save([device])
        current = self._devices.get(device_id)
        if current is not listed and current is not None:  # discovered while the store was writing
            device = current
        else:
            device = apply_changes(current or device, attributes)
            self._table.put(device)
        self.next.publish([self._record("created", device)])
        if device_id in self.presence.sockets:
            self.connected(device_id)
        return device

    async def update(self, device_id: str, attributes: Mapping[str, Any]) -> Device:
        """Change attributes of a device. Raises `UnknownDevice`, `DeviceError` and `StoreUnavailable`."""
        before = self.get(device_id)
        changed = apply_changes(before, attributes)
        _check_size(changed)
        await self._saved.save([changed])
        device = apply_changes(self.get(device_id), attributes)  # it may have changed while the store was writing
        self._table.put(device)
        self.next.publish(
            [self._record_update(device), *self._move_parts(Location(before.site or "", before.room or ""), device)]
        )
        return device

    def _move_parts(self, before: Location, device: Device) -> list[Event]:
        """Move the parts of a device with it, except those that somebody placed elsewhere."""
        if before == (device.site or "", device.room or ""):
            return []
        parts = [part for part in self._table.parts_of(device) if (part.site or "", part.room or "") == before]
        for part in parts:
            self._table.move(part, device.site, device.room)
        return [self._record_update(part) for part in parts]

    async def remove(self, device_id: str) -> None:
        """Remove a device; its next reading creates it again unless registration is required.

        Raises `UnknownDevice` and `StoreUnavailable`.
        """
        device = self.get(device_id)
        await self._saved.remove(device_id)
        self.next.publish([self._record("deleted", device)])  # before its removal: subscribers are filtered by its site
        self._table.pop(device_id)
        self.presence.remove(device_id)
        self.presence.invalidate()
        self._changed.pop(device_id, None)
        self._seen.pop(device_id, None)

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise StoreUnavailable("devices have not been loaded yet")

    # --- jobs --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Detect silent devices and save changes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_periodically(), name="registry saving")
            while True:
                await asyncio.sleep(TICK_SECONDS)
                self.check_silence(CHECKS_A_TICK)

    def check_silence(self, number: int | None = None) -> None:
        """Take offline the silent ones of the next `number` devices in turn; None: of all."""
        if not self._to_check or number is None:
            self._to_check = deque(self._devices)
        waiting = len(self._to_check)
        checked = [self._to_check.popleft() for _ in range(waiting if number is None else min(number, waiting))]
        if events := self.presence.check_silence(self._devices[one] for one in checked if one in self._devices):
            self.next.publish(events)

    async def _save_periodically(self) -> None:
        """A separate task, so that silence is detected while an unavailable store takes long to fail."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    async def close(self) -> None:
        """Save the unsaved devices, within a second."""
        self._seen_due = 0.0
        try:
            async with asyncio.timeout(_LAST_SAVE_SECONDS):
                while self._changed or self._seen:
                    if not await self._save():
                        break
        except TimeoutError:
            log.warning("devices: %d devices not saved before shutdown: store too slow", len(self._changed) + len(self._seen))

    async def _save(self) -> bool:
        """Save changed devices, or seen ones if none changed; False if the store is unavailable and they have to wait."""
        now = time.monotonic()
        if not self._changed and self._seen and now >= self._seen_due:
            self._changed, self._seen = self._seen, {}
            self._seen_due = now + SEEN_SECONDS
        while batch := list(islice(self._changed, SAVE_BATCH)):
            devices = [self._devices[device_id].copy() for device_id in batch if device_id in self._devices]
            for device_id in batch:
                del self._changed[device_id]
            try:
                await self._saved.save(devices)
            except StoreUnavailable as error:
                log.debug("devices: %d devices not saved (%s): retrying", len(devices), error)
                self._changed = dict.fromkeys(batch) | self._changed
                self.on_write(str(error))
                return False
            except StoreError as error:
                log.warning("devices: %d devices refused by the store: changes lost at restart: %s", len(devices), error)
        self.on_write(None)
        return True


def _unlisted(status: DeviceStatus) -> list[Event]:
    """The event of a status whose device is not registered: there is no device whose change could be reported."""
    return [EntityEvent("sensor", "updated", status.device_id, device_status(status), {"action": "update_sensor_status"})]


def _check_size(device: Device) -> None:
    size = len(orjson.dumps(device.attributes))
    if size > DOCUMENT_BYTES:
        raise DeviceError({"attributes": f"{size} bytes in all, more than the {DOCUMENT_BYTES} allowed"})
