"""Registers the devices of imported readings."""

import time

from bridge.core.devices.device import OFFLINE, Device
from bridge.core.readings.reading import Reading
from bridge.devices.stored_devices import mark_stored
from bridge.ports import Store
from bridge.settings import DevicesSettings


class ImportedDevices:
    """Devices that are not registered yet are stored as offline, known since their first imported reading.

    Of devices that a bridge has heard only the time when they were last seen changes, and only forward. None is added beyond
    the limit, and none while registration is required.
    """

    def __init__(self, store: Store, settings: DevicesSettings) -> None:
        self._store = store
        self._settings = settings
        self._received_ms: dict[str, tuple[int, int]] = {}
        """When the first and the last reading of each device were received."""
        self._registered: set[str] | None = None

    def add(self, reading: Reading) -> None:
        at_ms = min(reading.received_ms, time.time_ns() // 1_000_000)
        first_ms, last_ms = self._received_ms.get(reading.device_id) or (at_ms, at_ms)
        self._received_ms[reading.device_id] = min(first_ms, at_ms), max(last_ms, at_ms)

    async def save_new(self) -> None:
        """Store the devices that are not registered. Raises `StoreUnavailable`."""
        if self._registered is None:
            self._registered = {device.id for device in await self._store.devices.all(self._settings.limit)}
        free = 0 if self._settings.registration == "required" else max(self._settings.limit - len(self._registered), 0)
        added = [device_id for device_id in self._received_ms if device_id not in self._registered][:free]
        if added:
            await self._store.devices.save([self._device(device_id) for device_id in added])
            self._registered.update(added)

    async def close(self) -> None:
        """Store when devices were first and last seen, and have a running bridge list them. Raises `StoreUnavailable`."""
        await self.save_new()
        changed = [device for device_id in self._received_ms if (device := await self._changed(device_id)) is not None]
        if changed:
            await self._store.devices.save_state(changed)
        if self._received_ms:
            await mark_stored(self._store)

    async def _changed(self, device_id: str) -> Device | None:
        """Return a stored device with the times of the import; None if it is not stored, or if nothing changes."""
        first_ms, last_ms = self._received_ms[device_id]
        device = await self._store.devices.get(device_id)
        if device is None or (device.created_ms <= first_ms and (device.last_seen_ms or 0) >= last_ms):
            return None
        is_imported = device.status == OFFLINE and device.status_ms == device.last_seen_ms
        device.last_seen_ms = max(device.last_seen_ms or 0, last_ms)
        if is_imported:
            device.created_ms, device.status_ms = min(device.created_ms, first_ms), device.last_seen_ms
        return device

    def _device(self, device_id: str) -> Device:
        first_ms, last_ms = self._received_ms[device_id]
        return Device(device_id, status=OFFLINE, status_ms=last_ms, last_seen_ms=last_ms, created_ms=first_ms)
