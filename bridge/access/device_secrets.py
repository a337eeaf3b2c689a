"""The secrets of devices, and of clients that listen to devices, in the settings.

They are often short, so guessing is slowed down as for passwords.
"""

from collections.abc import Callable

from bridge.access.lockout import Lockout
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.access.secrets import match_secret
from bridge.core.errors import TooManyAttempts, Unauthorized
from bridge.core.readings.identity import is_device_id, normalize_device_id
from bridge.settings import DevicesSettings


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

        With `any_device`, a client without a secret from the settings is the device that it names, now or, if its protocol
        has no names at login, with its first reading. It is never a listener, nor a device named in the settings.
        """
        name = name and normalize_device_id(name)
        identity = self._match(name, secret)
        if identity is None and self._any_device and name not in self._credentials and name not in self._admins:
            if name is None and secret:
                identity = Identity(IdentityKind.PROGRAM, "anyone", frozenset((Permission.PUBLISH,)))
            elif name is not None and is_device_id(name):
                identity = _device(name)
        if identity is None:
            raise _invalid()
        return identity

    def _match(self, name: str | None, secret: str) -> Identity | None:
        if (listener := match_secret(self._admins, name, secret)) is not None:
            return Identity(IdentityKind.PROGRAM, listener, frozenset((Permission.READ,)))
        device_id = match_secret(self._credentials, name, secret)
        return None if device_id is None else _device(device_id)


def _device(device_id: str) -> Identity:
    return Identity(IdentityKind.DEVICE, device_id, frozenset((Permission.PUBLISH,)), ResourceScope(frozenset((device_id,))))


def _invalid() -> Unauthorized:
    return Unauthorized("invalid", "no device has this secret")
