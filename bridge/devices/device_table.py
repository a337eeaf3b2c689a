"""Devices by id and by site, in memory."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator
from itertools import islice, takewhile

from bridge.core.devices.device import Device
from bridge.core.devices.profiles import SEPARATOR as PART_SEPARATOR


class DeviceTable:
    """Devices by id, in the order of their ids, with an index of their sites. A device is found without reading the others."""

    def __init__(self) -> None:
        self.by_id: dict[str, Device] = {}
        """To look devices up; `put`, `pop` and `move` change it."""
        self._ids: list[str] = []
        self._by_site: dict[str, set[str]] = {}

    def put(self, device: Device) -> None:
        """Add a device, or replace the one with its id."""
        before = self.by_id.get(device.id)
        if before is None:
            insort(self._ids, device.id)
        else:
            self._leave_site(before)
        self.by_id[device.id] = device
        self._enter_site(device)

    def pop(self, device_id: str) -> None:
        """Remove a device, if there is one with this id."""
        device = self.by_id.pop(device_id, None)
        if device is not None:
            self._leave_site(device)
            del self._ids[bisect_left(self._ids, device_id)]

    def move(self, device: Device, site: str | None, room: str | None) -> None:
        """Change the site and room of a device in the table."""
        self._leave_site(device)
        device.site, device.room = site, room
        self._enter_site(device)

    def at(self, sites: Collection[str]) -> list[str]:
        """Return the ids of the devices at these sites, in no order."""
        return [device_id for site in frozenset(sites) for device_id in self._by_site.get(site, ())]

    def after(self, device_id: str) -> Iterator[Device]:
        """Iterate over the devices by id, from the first after `device_id`; none may be added or removed meanwhile."""
        start = bisect_right(self._ids, device_id)
        return (self.by_id[self._ids[place]] for place in range(start, len(self._ids)))

    def some(self, device_ids: Iterable[str], after: str) -> Iterator[Device]:
        """Iterate over those of these devices that are in the table, as `after` does."""
        return (self.by_id[name] for name in sorted(device_ids) if name > after and name in self.by_id)

    def parts_of(self, device: Device) -> list[Device]:
        prefix = device.id + PART_SEPARATOR
        names = takewhile(lambda name: name.startswith(prefix), islice(self._ids, bisect_left(self._ids, prefix), None))
        return [part for part in map(self.by_id.__getitem__, names) if part.part_of == device.id]

    def _enter_site(self, device: Device) -> None:
        if device.site:
            self._by_site.setdefault(device.site, set()).add(device.id)

    def _leave_site(self, device: Device) -> None:
        at_site = self._by_site.get(device.site or "")
        if at_site is not None:
            at_site.discard(device.id)
            if not at_site:
                del self._by_site[device.site or ""]
