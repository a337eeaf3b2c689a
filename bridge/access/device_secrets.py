"""Who shows a secret of the settings: devices, and who hears them. Those are often short: guessing is slowed as it is with
passwords.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.access.lockout import Lockout
from bridge.core.access.permissions import Identity, IdentityKind, Permission, ResourceScope
from bridge.core.access.secrets import match_secret
from bridge.core.errors import TooManyAttempts, Unauthorized
from bridge.settings import DevicesSettings


class DeviceSecrets:
    """`devices.credentials` and `devices.admins`."""

    def __init__(self, settings: DevicesSettings, lockout: Lockout, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, `lockout` is that of people too: an address has one measure."""
        self._credentials, self._admins = settings.credentials, settings.admins
        self._lockout = lockout
        self._clock = clock

    @property
    def expected(self) -> bool:
        """Whether there are any."""
        return bool(self._credentials or self._admins)

    def identify(self, name: str | None, secret: str, address: str) -> Identity:
        """Which device it is, or who may see them all; raises `Unauthorized` and `TooManyAttempts`."""
        attempt = self._lockout.begin(f"device:{name[:128]}" if name else "", address, self._clock())
        if isinstance(attempt, float):
            raise TooManyAttempts(attempt)
        identity = self._whose(name, secret)
        if identity is None:
            raise Unauthorized("invalid", "no device has this secret")
        attempt.succeeded()
        return identity

    def _whose(self, name: str | None, secret: str) -> Identity | None:
        if (admin := match_secret(self._admins, name, secret)) is not None:
            return Identity(IdentityKind.PROGRAM, admin, frozenset((Permission.READ,)))
        if (device_id := match_secret(self._credentials, name, secret)) is not None:
            return Identity(
                IdentityKind.DEVICE, device_id, frozenset((Permission.PUBLISH,)), ResourceScope(frozenset((device_id,)))
            )
        return None
