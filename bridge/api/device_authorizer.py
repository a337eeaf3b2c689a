"""Which devices a request may read, publish for, command or manage."""

from collections.abc import Collection, Iterable, Sequence

from aiohttp import web

from bridge.api.middleware.auth import identity_of
from bridge.core.access.permissions import IdentityKind, Permission
from bridge.core.errors import DeviceNotInScope, Forbidden, UnknownDevice
from bridge.core.query import CommandsQuery, QuarantineQuery, ReadingsQuery
from bridge.devices.registry import Registry
from bridge.ports import Store


class DeviceAuthorizer:
    """Checks permissions by device and, through the registry, by the device's site."""

    def __init__(self, registry: Registry, store: Store, credentials: Collection[str] = ()) -> None:
        """`store` is asked about unregistered devices; `credentials` are the devices with a secret in the settings."""
        self._registry = registry
        self._store = store
        self._credentials = frozenset(credentials)

    def permits(self, request: web.Request, device_id: str, permission: Permission = Permission.READ) -> bool:
        """Whether the caller has a permission for a device."""
        identity = identity_of(request)
        if identity.scope is None:
            return permission in identity.permissions
        return identity.may(permission, device_id, self._site(device_id))

    def check(self, request: web.Request, device_id: str, permission: Permission = Permission.READ) -> None:
        """Raise `UnknownDevice` unless permitted; the message does not reveal whether the device exists."""
        if not self.permits(request, device_id, permission):
            text = f"no device {device_id!r} is known"
            raise DeviceNotInScope(text, device_id) if device_id in self._registry else UnknownDevice(text)

    def permits_site(self, request: web.Request, site: str | None) -> bool:
        """Whether the caller may read about a site: every device, or those at this site."""
        scope = identity_of(request).scope
        return scope is None or (site is not None and site in scope.sites)

    def check_site(self, request: web.Request, device_id: str, site: object) -> None:
        """Raise `Forbidden` if a device at this site would be outside the caller's scope."""
        scope = identity_of(request).scope
        if scope is not None and not scope.contains(device_id, site if isinstance(site, str) else ""):
            raise Forbidden(
                "the device would be outside your scope: use one of your sites, or a device that is assigned to you"
            )

    async def check_new(self, request: web.Request, device_id: str) -> None:
        """Raise `Forbidden` if registering the id would give the caller the past or the future of another's device.

        The message does not reveal which records exist. Raises `StoreUnavailable`.
        """
        if identity_of(request).scope is None or self.permits(request, device_id, Permission.MANAGE):
            return
        if not await self.is_unused(device_id):
            raise Forbidden("this id is not available to you: choose another, or ask a user who manages all devices")

    async def is_unused(self, device_id: str) -> bool:
        """Whether no device has this id, had it before, or is expected to come with it. Raises `StoreUnavailable`."""
        return not (device_id in self._registry or await self._has_past(device_id) or await self._is_assigned(device_id))

    async def _has_past(self, device_id: str) -> bool:
        """Whether the store has anything of a device: rollups outlive readings, and another bridge may have registered it."""
        store = self._store
        return bool(
            await store.devices.get(device_id)
            or await store.readings(ReadingsQuery((device_id,), limit=1))
            or await store.history.extent((device_id,))
            or await store.commands.find(CommandsQuery(device_id, limit=1))
            or await store.notes.by_device(device_id)
            or await store.quarantine.messages(QuarantineQuery(device=device_id, limit=1))
        )

    async def _is_assigned(self, device_id: str) -> bool:
        """Whether the device has a key, a secret or an open socket, or is in the scope of a key or user."""
        if device_id in self._credentials or device_id in self._registry.presence.sockets:
            return True
        keys, users = await self._store.keys.all(), await self._store.users.all()
        if any(key.kind is IdentityKind.DEVICE and key.name == device_id for key in keys):
            return True
        scopes = [*(key.scope for key in keys), *(user.scope for user in users)]
        return any(scope is not None and device_id in scope.devices for scope in scopes)

    def check_senders(self, request: web.Request, devices: Iterable[str]) -> None:
        """Raise `Forbidden` if the caller may not publish for one of the devices."""
        for device_id in devices:
            if not self.permits(request, device_id, Permission.PUBLISH):
                raise Forbidden("you may publish only as yourself or your devices; nothing was stored")

    def devices(self, request: web.Request, requested: Sequence[str] = ()) -> tuple[str, ...] | None:
        """Return the requested devices in the caller's scope, or all in it if none is requested; None for every device."""
        scope = identity_of(request).scope
        if scope is None:
            return tuple(requested) or None
        if requested:
            return tuple(device_id for device_id in requested if scope.contains(device_id, self._site(device_id)))
        at_sites = self._registry.devices_at(scope.sites) if scope.sites else ()
        return tuple(sorted(scope.devices.union(at_sites)))

    def _site(self, device_id: str) -> str:
        location = self._registry.location(device_id)
        return location.site if location else ""
