"""How far somebody sees: the devices of a scope, by where they stand now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.access.permissions import Identity, Permission, ResourceScope
from bridge.core.devices.location import Location


class DeviceLocations(Protocol):
    """Where devices stand. A device that is moved is seen, or not, from then on, also in what is replayed."""

    def location(self, device_id: str) -> Location | None:
        """Where a device stands; None for one that nobody knows."""
        ...

    def devices_at(self, sites: Collection[str]) -> Iterable[str]:
        """The ids of the devices at these sites."""
        ...


def site_of(device_id: str, sites: DeviceLocations) -> str:
    """The site of a device; empty where nobody has said."""
    place = sites.location(device_id)
    return "" if place is None else place.site


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """A scope, looked up when it matters; equal to every other of the same scope."""

    scope: ResourceScope
    sites: DeviceLocations = field(compare=False, repr=False)

    def allows(self, device_id: str) -> bool:
        """Whether a device is in the scope now."""
        return self.scope.contains(device_id, site_of(device_id, self.sites) if self.scope.sites else "")

    def devices(self) -> frozenset[str]:
        """Every device that is in the scope now."""
        return self.scope.devices.union(self.sites.devices_at(self.scope.sites) if self.scope.sites else ())

    def check(self, devices: Iterable[str] | None) -> None:
        """Raises `ValueError`, in words that do not tell whether there is such a device."""
        if not all(map(self.allows, devices or ())):
            raise ValueError("one of them is not among the devices you may see")


def device_filter_for(identity: Identity, sites: DeviceLocations) -> DeviceFilter | None:
    """None sees every device; who has no right to see sees none."""
    if Permission.READ not in identity.permissions:
        return DeviceFilter(ResourceScope(), sites)
    return None if identity.scope is None else DeviceFilter(identity.scope, sites)
