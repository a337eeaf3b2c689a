"""Which devices somebody's rights reach, asked by every route that names or shows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aiohttp import web

from bridge.api.middleware.auth import identity_of
from bridge.core.access.permissions import Permission
from bridge.core.errors import DeviceNotInScope, Forbidden, UnknownDevice
from bridge.core.query import CommandsQuery, ReadingsQuery
from bridge.devices.registry import Registry
from bridge.ports import Store


class DeviceAuthorizer:
    """Rights by device and, through the registry, by where a device stands."""

    def __init__(self, registry: Registry, store: Store) -> None:
        """`registry` is asked where a device stands now, `store` what there is of one from before."""
        self._registry = registry
        self._store = store

    def holds(self, request: web.Request, device_id: str, right: Permission = Permission.READ) -> bool:
        """Whether who asks has this right of this device."""
        identity = identity_of(request)
        return (
            right in identity.permissions if identity.scope is None else identity.may(right, device_id, self._site(device_id))
        )

    def check(self, request: web.Request, device_id: str, right: Permission = Permission.READ) -> None:
        """Raises `UnknownDevice`: who may not see a device does not learn that there is one."""
        if not self.holds(request, device_id, right):
            text = f"no device {device_id!r} is known"
            raise DeviceNotInScope(text, device_id) if device_id in self._registry else UnknownDevice(text)

    def check_place(self, request: web.Request, device_id: str, site: object) -> None:
        """Raises `Forbidden` where who asks would put a device out of his own reach, or into another's."""
        scope = identity_of(request).scope
        if scope is not None and not scope.contains(device_id, site if isinstance(site, str) else ""):
            raise Forbidden("a device of yours stands at a site of yours, or is one of those named to you")

    async def check_new(self, request: web.Request, device_id: str) -> None:
        """Raises `Forbidden` where who asks would come by what is not his: another's device, or readings and commands of one.

        Which of them it is, he does not learn. May raise `StoreUnavailable`.
        """
        if identity_of(request).scope is None or self.holds(request, device_id, Permission.MANAGE):
            return
        readings = await self._store.readings(ReadingsQuery((device_id,), limit=1))
        commands = await self._store.commands.find(CommandsQuery(device_id, limit=1))
        if device_id in self._registry or readings or commands:
            raise Forbidden("this id is not free for you: choose another, or ask somebody who manages all devices")

    def check_senders(self, request: web.Request, devices: Iterable[str]) -> None:
        """Raises `Forbidden` where one sends as a device that is not his."""
        for device_id in devices:
            if not self.holds(request, device_id, Permission.PUBLISH):
                raise Forbidden("you may send as yourself or your devices only; nothing was stored")

    def devices(self, request: web.Request, asked: Sequence[str] = ()) -> tuple[str, ...] | None:
        """Those asked for that are within reach, or all that are; None where that is every device there is."""
        scope = identity_of(request).scope
        if scope is None:
            return tuple(asked) or None
        if asked:
            return tuple(one for one in asked if scope.contains(one, self._site(one)))
        standing = self._registry.devices_at(scope.sites) if scope.sites else ()
        return tuple(sorted(scope.devices.union(standing)))

    def _site(self, device_id: str) -> str:
        place = self._registry.location(device_id)
        return place.site if place else ""
