"""Who is let in at `/ws/device` while access is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.access.secrets import match_secret
from bridge.core.readings.identity import is_device_id
from bridge.settings import DevicesSettings


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """One who is let in: a device, or an admin. `device_id` is None where a token names no device: it says itself who it is."""

    device_id: str | None = None
    admin: bool = False


DeviceCredentials = Callable[[str | None, str], DeviceIdentity | None]
"""From a name (None in the dialect that has none) and a secret to who that is; None: nobody."""


def credentials_of(settings: DevicesSettings, *, anyone: bool) -> DeviceCredentials:
    """As the settings have it. With `anyone`, who is not named there is let in as the device it says it is; not as an admin,
    and not under the name of one who has a secret.
    """

    def identify(name: str | None, secret: str) -> DeviceIdentity | None:
        if match_secret(settings.admins, name, secret) is not None:
            return DeviceIdentity(admin=True)
        if (device_id := match_secret(settings.credentials, name, secret)) is not None:
            return DeviceIdentity(device_id)
        if not anyone or name in settings.credentials or name in settings.admins:
            return None
        if name is None:
            return DeviceIdentity() if secret else None
        return DeviceIdentity(name) if is_device_id(name) else None

    return identify
