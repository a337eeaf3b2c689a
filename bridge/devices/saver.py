"""Saves the devices of the registry that have changed, some time after the change, in batches."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from bridge.core.devices.device import Device
from bridge.core.errors import StoreError, StoreUnavailable
from bridge.devices.device_table import DeviceTable
from bridge.devices.peers import Peers
from bridge.ports import DeviceStore

log = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
SEEN_SECONDS = 30.0  # interval between writes of `lastSeen` alone: each costs one write per device
SAVE_BATCH = 500
_LAST_SAVE_SECONDS = 1.0


class DeviceSaver:
    """Devices are marked when they change, and saved later as they are at that time; an unavailable store is tried again."""

    def __init__(self, saved: DeviceStore, table: DeviceTable, peers: Peers) -> None:
        self._saved = saved
        self._table = table
        self._peers = peers
        self._changed: dict[str, None] = {}
        self._state_changed: dict[str, None] = {}
        self._seen: dict[str, None] = {}
        self._seen_due = 0.0
        self.on_write: Callable[[str | None], None] = lambda _: None
        """Called after each attempt to save changes, with the reason if the store was unavailable: it will be tried again."""

    # --- marks -------------------------------------------------------------------------------------------------------------

    def mark(self, device_id: str, *, is_certain: bool = False) -> None:
        """Mark all of a device. Without `is_certain` nothing is marked while another bridge saves the same change."""
        if is_certain or self._peers.saves():
            self._changed[device_id] = None

    def mark_state(self, device_id: str) -> None:
        """Mark what a device reported, unless another bridge saves it."""
        if self._peers.saves():
            self._state_changed[device_id] = None

    def mark_seen(self, device_id: str) -> None:
        """Mark the time when the device was last seen, which is saved every `SEEN_SECONDS`."""
        self._seen[device_id] = None

    def mark_telemetry(self, device_id: str) -> None:
        """Mark the last telemetry of a device: saved as often as `lastSeen` at the bridge that leads, else with its state."""
        (self._seen if self._peers.leads() else self._state_changed)[device_id] = None

    def is_marked(self, device_id: str) -> bool:
        """Whether all of a device is to be saved."""
        return device_id in self._changed

    def unmark(self, device_id: str) -> None:
        """Do not save a device that was removed."""
        for marked in (self._changed, self._state_changed, self._seen):
            marked.pop(device_id, None)

    # --- saving ------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Save every `SAVE_SECONDS`, until cancelled. An unavailable store may take long to fail."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self.save()

    async def close(self) -> None:
        """Save what is marked, within a second."""
        self._seen_due = 0.0
        try:
            async with asyncio.timeout(_LAST_SAVE_SECONDS):
                while self._changed or self._state_changed or (self._seen and self._peers.leads()):
                    if not await self.save():
                        break
        except TimeoutError:
            unsaved = len(self._changed.keys() | self._state_changed.keys() | self._seen.keys())
            log.warning("devices: %d devices not saved before shutdown: store too slow", unsaved)

    async def save(self) -> bool:
        """Save changed devices, and seen ones if none changed; False if the store is unavailable and they have to wait."""
        now = time.monotonic()
        unchanged = not self._changed and not self._state_changed
        if unchanged and self._seen and now >= self._seen_due and self._peers.leads():
            self._state_changed, self._seen = self._seen, {}
            self._seen_due = now + SEEN_SECONDS
        try:
            await self._save_all(self._changed, self._saved.save)
            await self._save_all(self._state_changed, self._saved.save_state)
        except StoreUnavailable as error:
            log.debug("devices: devices not saved (%s): retrying", error)
            self.on_write(str(error))
            return False
        self.on_write(None)
        return True

    async def _save_all(self, marked: dict[str, None], save: Callable[[Sequence[Device]], Awaitable[None]]) -> None:
        """Save the marked devices and remove their marks. Raises `StoreUnavailable`; what was not saved is marked then."""
        while batch := list(islice(marked, SAVE_BATCH)):
            devices = [self._table.by_id[device_id].copy() for device_id in batch if device_id in self._table.by_id]
            for device_id in batch:
                del marked[device_id]
            try:
                await save(devices)
            except (StoreUnavailable, asyncio.CancelledError):  # a bridge that stops saves them again, in `close`
                marked |= dict.fromkeys(batch)
                raise
            except StoreError as error:
                log.warning("devices: %d devices refused by the store: changes lost at restart: %s", len(devices), error)
