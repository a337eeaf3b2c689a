"""Devices that show a secret of the settings. Those are often short: guessing is slowed as it is with passwords."""

from __future__ import annotations

from collections.abc import Callable

from bridge.access.lockout import Lockout
from bridge.core.access import Identity, Kind, Right, Scope
from bridge.core.errors import TooManyAttempts, Unauthorized
from bridge.core.secret import whose
from bridge.settings import DevicesSettings


class DeviceSecrets:
    """`devices.credentials`."""

    def __init__(self, settings: DevicesSettings, lockout: Lockout, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, `lockout` is that of people too: an address has one measure."""
        self._secrets = settings.credentials
        self._lockout = lockout
        self._clock = clock

    @property
    def expected(self) -> bool:
        """Whether there are any."""
        return bool(self._secrets)

    def identify(self, name: str | None, secret: str, address: str) -> Identity:
        """Which device it is; raises `Unauthorized` and `TooManyAttempts`."""
        attempt = self._lockout.begin(f"device:{name[:128]}" if name else "", address, self._clock())
        if isinstance(attempt, float):
            raise TooManyAttempts(attempt)
        device_id = whose(self._secrets, name, secret)
        if device_id is None:
            raise Unauthorized("invalid", "no device has this secret")
        attempt.succeeded()
        return Identity(Kind.DEVICE, device_id, frozenset((Right.SEND,)), Scope(frozenset((device_id,))))
