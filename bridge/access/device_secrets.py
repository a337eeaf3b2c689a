"""The secrets of devices, and of clients that listen to devices, in the settings.

They are often short, so guessing is slowed down as for passwords.
"""

from collections.abc import Callable
from dataclasses import replace

from bridge.access.lockout import Lockout
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.access.secrets import names_of_secret
from bridge.core.errors import TooManyAttempts, Unauthorized
from bridge.core.readings.identity import is_device_id, normalize_device_id
from bridge.settings import DevicesSettings

_READ_AND_PUBLISH = frozenset((Permission.READ, Permission.PUBLISH))


class DeviceSecrets:
    """`devices.credentials` and `devices.admins`."""

    def __init__(
        self, settings: DevicesSettings, lockout: Lockout, clock: Callable[[], float], *, any_device: bool = False
    ) -> None:
        """`lockout` is shared with logins, so that an address has one limit. `any_device` applies only while access is open."""
        self._credentials, self._admins = settings.credentials, settings.admins
        self._lockout = lockout
        self._clock = clock
        self._any_device = any_device

    @property
    def configured(self) -> bool:
        return bool(self._credentials or self._admins)

    def identify(self, name: str | None, secret: str, address: str) -> Identity:
        """The device or listener with this secret. Raises `Unauthorized` and `TooManyAttempts`."""
        name = name and normalize_device_id(name)
        attempt = self._lockout.begin(f"device:{name[:128]}" if name else "", address, self._clock())
        if isinstance(attempt, float):
            raise TooManyAttempts(attempt)
        identity = self._match(name, secret)
        if identity is None:
            raise _invalid()
        attempt.succeeded()
        return identity

    def identify_while_open(self, name: str | None, secret: str) -> Identity:
        """The same without a lockout. Raises `Unauthorized`.

        With `any_device`, a client that names itself is this device, unless the name is in the settings. One without a name
        may publish for any device, with any token; where secrets are configured, its token must be one of them.
        """
        name = name and normalize_device_id(name)
        identity = self._match(name, secret)
        if identity is None and self._any_device:
            identity = self._believed(name, secret)
        if identity is None:
            raise _invalid()
        if self._any_device and identity.kind is IdentityKind.PROGRAM:
            return replace(identity, permissions=_READ_AND_PUBLISH)
        return identity

    def _believed(self, name: str | None, secret: str) -> Identity | None:
        if name is None:
            known = bool(secret) and not self.configured
            return Identity(IdentityKind.PROGRAM, "anyone", _READ_AND_PUBLISH) if known else None
        free = name not in self._credentials and name not in self._admins
        return _device(name) if free and is_device_id(name) else None

    def _match(self, name: str | None, secret: str) -> Identity | None:
        """The listener with this secret, which may be that of devices too; else the devices with it."""
        devices = names_of_secret(self._credentials, name, secret)
        listeners = names_of_secret(self._admins, name, secret)
        if listeners:
            permissions = frozenset((Permission.READ,))
            return Identity(IdentityKind.PROGRAM, listeners[0], permissions, publishes_as=frozenset(devices))
        return _device(*devices) if devices else None


def _device(*device_ids: str) -> Identity:
    """The device with these ids, several if they share a secret; it is named after the first."""
    return Identity(IdentityKind.DEVICE, device_ids[0], frozenset((Permission.PUBLISH,)), ResourceScope(frozenset(device_ids)))


def _invalid() -> Unauthorized:
    return Unauthorized("invalid", "no device has this secret")
