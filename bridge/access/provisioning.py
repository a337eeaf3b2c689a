"""A device's own credentials: one key, by which it is known here over HTTP and sockets, and at the broker over MQTT."""

from __future__ import annotations

from bridge.access.api_keys import ApiKeys
from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.core.access.accounts import ApiKey
from bridge.core.access.permissions import IdentityKind
from bridge.core.errors import AccountError, BridgeError, UnknownAccount
from bridge.core.readings.identity import is_device_id


class DeviceProvisioning:
    """Gives them and takes them back. Each call may raise `StoreUnavailable`, and `BridgeError` if a file cannot be written."""

    def __init__(self, keys: ApiKeys, accounts: BrokerAccounts, *, by: str) -> None:
        """`by` is who does it."""
        self._keys = keys
        self._accounts = accounts
        self._by = by

    async def all(self) -> list[tuple[ApiKey, bool]]:
        """The keys of devices, each with whether the broker knows the device too."""
        keys = [one for one in await self._keys.all() if one.kind is IdentityKind.DEVICE]
        return [(one, self._accounts.knows(one.name)) for one in keys]

    async def add(self, device_id: str) -> str | None:
        """Its key, this once. None if it has one already; its rules at the broker are those of the settings then."""
        if not await self._of(device_id):
            return await self._give(device_id)
        if self._accounts.knows(device_id):
            self._accounts.put_device(device_id, None)
        return None

    async def change(self, device_id: str) -> str:
        """Another key; those of before are taken back. Raises `UnknownAccount`."""
        before = await self._of(device_id)
        if not before:
            raise UnknownAccount(f"{device_id} has no credentials; `device add` gives it some")
        text = await self._give(device_id)
        for one in before:
            await self._keys.remove(one.id)
        return text

    async def remove(self, device_id: str) -> None:
        """It comes in nowhere any more. Raises `UnknownAccount`."""
        keys = await self._of(device_id)
        known = self._accounts.knows(device_id)
        if not keys and not known:
            raise UnknownAccount(f"{device_id} has no credentials")
        if known:
            self._accounts.remove_device(device_id)
        for one in keys:
            await self._keys.remove(one.id)

    async def _of(self, device_id: str) -> list[ApiKey]:
        if not is_device_id(device_id):
            raise AccountError("name", "is the device's id: 1 to 128 characters of A-Z a-z 0-9 . _ : -")
        return [one for one in await self._keys.all() if one.kind is IdentityKind.DEVICE and one.name == device_id]

    async def _give(self, device_id: str) -> str:
        """A key that nobody could be shown is not left behind."""
        self._accounts.check_free(device_id)
        key, text = await self._keys.make(device_id, (), device=True, by=self._by)
        try:
            self._accounts.put_device(device_id, text)
        except BridgeError:
            await self._keys.remove(key.id)
            raise
        return text
