"""The devices that an identity may read: a resource scope, resolved by the current locations of devices."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.devices.location import Location


class DeviceLocations(Protocol):
    """The locations of devices. A device that is moved is visible at its new site at once, also in replays."""

    def location(self, device_id: str) -> Location | None:
        """The location of a device; None for an unknown device."""

    def devices_at(self, sites: Collection[str]) -> Iterable[str]:
        """The ids of the devices at these sites."""


def site_of(device_id: str, sites: DeviceLocations) -> str:
    location = sites.location(device_id)
    return "" if location is None else location.site


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """A resource scope that is resolved at each use. Two filters of equal scope are equal.

    `measured_only` leaves out what names people or other devices: alarms, commands, advice, messages of the system.
    """

    scope: ResourceScope
    sites: DeviceLocations = field(compare=False, repr=False)
    measured_only: bool = False

    def allows(self, device_id: str) -> bool:
        return self.scope.contains(device_id, site_of(device_id, self.sites) if self.scope.sites else "")

    def devices(self) -> frozenset[str]:
        return self.scope.devices.union(self.sites.devices_at(self.scope.sites) if self.scope.sites else ())

    def check(self, devices: Iterable[str] | None) -> None:
        """Raise `ValueError` if a device is outside the scope. The text does not reveal whether such a device exists."""
        if not all(map(self.allows, devices or ())):
            raise ValueError("one of them is not among the devices you may see")


def device_filter_for(identity: Identity, sites: DeviceLocations) -> DeviceFilter | None:
    """None if the identity may read every device; a filter without devices if it may read none."""
    if Permission.READ not in identity.permissions:
        return DeviceFilter(ResourceScope(), sites)
    if identity.kind is IdentityKind.LINK:
        return DeviceFilter(identity.scope or ResourceScope(), sites, measured_only=True)
    return None if identity.scope is None else DeviceFilter(identity.scope, sites)
