"""The device registry: every device by id, with its operator's attributes and the state that it reported.

A publisher between the pipeline and the hub: it sees every stored reading and status and passes them on, followed by the
events of the changes that they caused. A reading of a known device costs 1 to 5 µs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from bridge.core.access.permissions import IdentityKind
from bridge.core.access.texts import cleaned
from bridge.core.devices.device import (
    DOCUMENT_BYTES,
    OFFLINE,
    ONLINE,
    SOCKET,
    Device,
    Telemetry,
    apply_changes,
    merge_state,
    with_public,
)
from bridge.core.devices.location import UNKNOWN_LOCATION, Location, stated_location
from bridge.core.errors import DeviceError, DeviceExists, StoreUnavailable, TooManyDevices, UnknownDevice
from bridge.core.events import DeviceState, EntityEvent, Event, device_status
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.devices.device_table import DeviceTable
from bridge.devices.number_sequence import NumberSequence
from bridge.devices.peers import ALONE, Peers
from bridge.devices.presence import Presence
from bridge.devices.saver import DeviceSaver
from bridge.ports import DeviceStore, Publisher, Store
from bridge.settings import DevicesSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""The shortest time between two checks for silence; none is made while no device is due."""

CHECKS_A_TICK = 2000
"""Devices looked at in a check, which takes about a millisecond."""

_SETTLED_MS = 60_000  # a device that another bridge discovered is stored within this time

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
        peers: Peers = ALONE,
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
        self._peers = peers
        self._clock = clock
        self._table = DeviceTable()
        self._devices = self._table.by_id
        self.saver = DeviceSaver(self._saved, self._table, peers)
        self._loaded = False
        self._suggested: Mapping[str, Mapping[str, str]] = {}
        self.presence = Presence(self._record_state, clock, monotonic)
        self.numbers = NumberSequence(store, "device_number")
        """The ids of devices that are registered without one."""
        self.counts = RegistryCounters()
        self.on_socket: Callable[[str, bool], object] = lambda _device_id, _is_open: None
        """Called when a socket of a device was opened here, or the last one closed, before the events of that."""

        self.on_removed: list[Callable[[str], object]] = []
        """Called with the id of a device that was removed, here or at another bridge."""

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
        for events in self.presence.start(devices, is_alone=self._peers.is_alone):
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
        if any(map(self._is_of_retired, events)):
            events = self._without_retired(events)
        for event in events:
            if type(event) is Reading:
                self._on_reading(event, changes)
            elif type(event) is DeviceStatus:
                device = self._devices.get(event.device_id) or self._discover(event.device_id, changes)
                changes += _unlisted(event) if device is None else self.presence.on_status(device, event)
        self.next.publish([*events, *changes] if changes else events)

    def _is_of_retired(self, event: Event) -> bool:
        """Whether it is a status of a retired device, which has none."""
        if type(event) is not DeviceStatus:
            return False
        device = self._devices.get(event.device_id)
        return device is not None and device.is_retired

    def _without_retired(self, events: Sequence[Event]) -> list[Event]:
        """Take the statuses of retired devices as signs of life, and leave them out."""
        for event in events:
            if self._is_of_retired(event) and isinstance(event, DeviceStatus):
                self.presence.on_status(self._devices[event.device_id], event)
        return [event for event in events if not self._is_of_retired(event)]

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
            self.saver.mark_state(device.id)
        self._on_life(device, reading, changes)

    def _on_reading_of_part(self, reading: Reading, device_id: str, changes: list[Event]) -> None:
        """A reading of a part is a sign of life of its device, which may have no readings of its own."""
        device = self._devices.get(device_id) or self._discover(device_id, changes)
        if device is not None:
            self._on_life(device, reading, changes)

    def _on_life(self, device: Device, reading: Reading, changes: list[Event]) -> None:
        alive, events = self.presence.on_reading(device, reading)
        if alive:
            self.saver.mark_seen(device.id)
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
        site = cleaned(stated.site) if self._takes_sites and device.site is None else ""
        room = cleaned(stated.room) if device.room is None else ""
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
            device.site, device.room, device.retired_ms = whole.site, whole.room, whole.retired_ms
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

        Control characters become spaces. Texts that are no valid attributes are left out.
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
                    device = apply_changes(device, {name: cleaned(text)})
        return device

    def _record(self, action: Action, device: Device) -> EntityEvent:
        """Mark a device for saving; the event of its change."""
        self.saver.mark(device.id)
        return self._event(action, device)

    def _record_update(self, device: Device) -> EntityEvent:
        return self._record("updated", device)

    def _record_state(self, device: Device) -> EntityEvent:
        """Mark the state of a device for saving; the event of its change."""
        self.saver.mark_state(device.id)
        return self._event("updated", device, is_state=True)

    def _event(self, action: Action, device: Device, *, is_state: bool = False) -> EntityEvent:
        self.presence.invalidate()
        return EntityEvent("sensor", action, device.id, device.copy().public(), {"action": _ACTIONS[action]}, is_state)

    # --- other bridges -----------------------------------------------------------------------------------------------------

    def on_remote(self, bridge: str, events: Sequence[Event]) -> list[Event]:
        """Apply what another bridge says of devices. Return the events without those that are outdated."""
        applied = (self._on_remote(bridge, event) for event in sorted(events, key=_is_known_device))
        return [event for event in applied if event is not None]

    def _on_remote(self, bridge: str, event: Event) -> Event | None:
        if type(event) is EntityEvent and event.entity_type == "sensor":
            return self._on_remote_change(event)
        device = self._devices.get(event.device_id) if isinstance(event, DeviceStatus | DeviceState) else None
        if device is not None and type(event) is DeviceState:
            device.state = dict(event.state)
        if device is None or type(event) is not DeviceStatus:
            return event
        self.presence.invalidate()
        return event if self.presence.on_remote(bridge, device, event) else None

    def _on_remote_change(self, event: EntityEvent) -> EntityEvent:
        """Take over the attributes. Clients are told what this bridge knows of the status, which has an event of its own."""
        self.presence.invalidate()
        if event.event_type == "deleted":
            self._drop(event.entity_id)
            return event
        device = self._devices.get(event.entity_id)
        if device is None or not event.is_state:
            device = with_public(device or Device(event.entity_id, created_ms=self._clock()), event.data)
        if not self._has_socket(device.id):
            connection = event.data.get("connection")
            device.connection = None if connection == SOCKET else connection
        self._table.put(device)
        self.presence.watch(device)
        if self._peers.leads() and not event.is_state:  # a save of this bridge may have overwritten what the other has stored
            self.saver.mark(device.id, is_certain=True)
        return replace(event, data=device.copy().public())

    def _has_socket(self, device_id: str) -> bool:
        """Whether the device has a socket at any bridge."""
        return device_id in self.presence.sockets or device_id in self.presence.elsewhere

    def on_remote_socket(self, bridge: str, device_id: str, *, is_open: bool) -> None:
        """A socket of a device was opened or closed at another bridge. Its status has an event of its own."""
        device = self._devices.get(device_id)
        if is_open:
            self.presence.on_remote_socket_opened(bridge, device_id)
            if device is not None:
                device.connection = SOCKET
        elif self.presence.on_remote_socket_closed(bridge, device_id) and device is not None:
            self._close_socket(device)

    def on_remote_sockets(self, bridge: str, device_ids: Sequence[str]) -> None:
        """Another bridge says which devices have a socket there."""
        present, known = set(device_ids), self.presence.sockets_at(bridge)
        for device_id in present - known - self.presence.sockets:
            self.on_remote_socket(bridge, device_id, is_open=True)
            device = self._devices.get(device_id)
            if device is not None and not device.online:
                self.presence.on_remote(bridge, device, DeviceStatus(device_id, ONLINE, self._clock()))
        self.presence.invalidate()
        self._end_sockets(known - present, bridge)

    def end_unowned_sockets(self) -> None:
        """Take offline the devices whose socket is at no bridge that is known, as after the death of all."""
        elsewhere = self.presence.elsewhere
        open_here = (one for one in self._devices.values() if one.connection == SOCKET)
        self._end_sockets({one.id for one in open_here if one.id not in elsewhere})

    async def refresh(self) -> None:
        """Take over what operators changed at other bridges, if the message of that was lost. Raises `StoreUnavailable`."""
        stored = {device.id: device for device in await self._saved.all(self._settings.limit)}
        settled_ms = self._clock() - _SETTLED_MS
        for device in stored.values():
            before = self._devices.get(device.id)
            if before is None:
                self._table.put(device)
            elif not self.saver.is_marked(device.id) and not before.has_attributes_of(device):
                self._table.put(before.with_attributes_of(device))
            self.presence.watch(self._devices[device.id])
        for device_id in [one.id for one in self._devices.values() if one.id not in stored and one.created_ms < settled_ms]:
            self._drop(device_id)
        self.presence.invalidate()

    async def adopt_stored(self) -> None:
        """List the devices that a command has stored meanwhile. Raises `StoreUnavailable`."""
        added = [device for device in await self._saved.all(self._settings.limit) if device.id not in self._devices]
        newest = {reading.device_id: reading for reading in await self._store.latest([device.id for device in added])}
        events: list[Event] = []
        for device in added:
            if device.id not in self._devices and len(self._devices) < self._settings.limit:
                device.last_reading = newest.get(device.id)
                self._table.put(device)
                self.presence.watch(device)
                events.append(self._event("created", device))
        if events:
            self.next.publish(events)

    def on_remote_gone(self, bridge: str) -> None:
        """Take offline the devices whose sockets ended with another bridge."""
        self._end_sockets(self.presence.sockets_at(bridge), bridge)

    def _end_sockets(self, device_ids: Collection[str], bridge: str = "") -> None:
        events: list[Event] = []
        for device_id in device_ids:
            self.presence.on_remote_socket_closed(bridge, device_id)
            device = self._devices.get(device_id)
            if device is not None and not self._has_socket(device_id):
                events += self.presence.on_socket_closed(device)
        if events and self._peers.leads():
            self.next.publish(events)

    # --- sockets and state -------------------------------------------------------------------------------------------------

    def connected(self, device_id: str) -> None:
        """A socket of the device was opened."""
        log.debug("devices: %r connected by its socket", device_id)
        self.presence.sockets.add(device_id)
        self.on_socket(device_id, True)
        events: list[Event] = []
        device = self._devices.get(device_id) or self._discover(device_id, events)
        if device is not None:
            self.next.publish(events + self.presence.on_socket_opened(device))

    def disconnected(self, device_id: str) -> None:
        """The device's last socket was closed."""
        log.debug("devices: %r disconnected its socket", device_id)
        self.presence.sockets.discard(device_id)
        self.on_socket(device_id, False)
        device = self._devices.get(device_id)
        if device is not None:
            self._close_socket(device)

    def _close_socket(self, device: Device) -> None:
        if events := self.presence.on_socket_closed(device):
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
            self.next.publish([self._record_state(device), DeviceState(device.id, dict(merged), self._clock())])

    def record_telemetry(self, device_id: str, telemetry: Telemetry) -> None:
        """Keep a device's last telemetry message; it is saved as often as `lastSeen`. One above `DOCUMENT_BYTES` is counted."""
        device = self._devices.get(device_id)
        if device is None or (device.telemetry is not None and telemetry.order < device.telemetry.order):
            return
        log.debug("devices: %r sent telemetry, %d bytes", device_id, len(telemetry.text))
        is_kept = len(telemetry.text) <= DOCUMENT_BYTES
        self.counts.telemetry += not is_kept
        device.telemetry = telemetry if is_kept else None
        self.saver.mark_telemetry(device_id)

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
        device = apply_changes(listed or Device(device_id, created_ms=self._clock()), attributes, self._clock())
        _check_size(device)
        await self._saved.save([device])
        current = self._devices.get(device_id)
        if current is not listed and current is not None:  # discovered while the store was writing
            device = current
        else:
            device = apply_changes(current or device, attributes, self._clock())
            self._table.put(device)
            self.presence.watch(device)
        self.next.publish([self._record("created", device)])
        if device_id in self.presence.sockets:
            self.connected(device_id)
        return device

    async def update(self, device_id: str, attributes: Mapping[str, Any]) -> Device:
        """Change attributes of a device. Raises `UnknownDevice`, `DeviceError` and `StoreUnavailable`."""
        before = self.get(device_id)
        changed = apply_changes(before, attributes, now_ms := self._clock())
        _check_size(changed)
        await self._saved.save([changed])
        device = apply_changes(self.get(device_id), attributes, now_ms)  # it may have changed while the store was writing
        self._table.put(device)
        self.presence.watch(device)  # its expected interval may be shorter
        location = Location(before.site or "", before.room or "")
        events = [self._record_update(device), *self._move_parts(location, device)]
        if before.is_retired is not device.is_retired:
            events += self._follow_retirement(device)
        self.next.publish(events)
        return device

    def _follow_retirement(self, device: Device) -> list[Event]:
        """Retire the parts of a device with it, or let it and them return."""
        events: list[Event] = [] if device.is_retired else self.presence.on_returned(device)
        for part in self._table.parts_of(device):
            part.retired_ms = device.retired_ms
            self.presence.watch(part)
            events.append(self._record_update(part))
        return events

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
        self._drop(device_id)

    def _drop(self, device_id: str) -> None:
        if device_id in self._devices:
            self._table.pop(device_id)
        self.presence.remove(device_id)
        self.presence.invalidate()
        self.saver.unmark(device_id)
        for listener in self.on_removed:
            listener(device_id)

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise StoreUnavailable("devices have not been loaded yet")

    # --- jobs --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Detect silent devices and save changes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.saver.run(), name="registry saving")
            while True:
                await self.presence.next_silence()
                if self._peers.leads():
                    self.check_silence(CHECKS_A_TICK)
                await asyncio.sleep(TICK_SECONDS)

    def check_silence(self, limit: int | None = None) -> None:
        """Take silent devices offline; look at `limit` devices at most."""
        if events := self.presence.check_silence(self._devices, limit):
            self.next.publish(events)

    async def close(self) -> None:
        """Save the unsaved devices, within a second."""
        await self.saver.close()


def _unlisted(status: DeviceStatus) -> list[Event]:
    """The event of a status whose device is not registered: there is no device whose change could be reported."""
    return [EntityEvent("sensor", "updated", status.device_id, device_status(status), {"action": "update_sensor_status"})]


def _check_size(device: Device) -> None:
    size = len(orjson.dumps(device.attributes))
    if size > DOCUMENT_BYTES:
        raise DeviceError({"attributes": f"{size} bytes in all, more than the {DOCUMENT_BYTES} allowed"})


def _is_known_device(event: Event) -> bool:
    """False for the event of a new device, which a bridge applies before the status that it was discovered by."""
    return not (type(event) is EntityEvent and event.entity_type == "sensor" and event.event_type == "created")
