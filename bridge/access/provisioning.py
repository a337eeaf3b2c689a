"""Credentials of devices: one API key each, for HTTP, WebSockets and the account at the MQTT broker."""

from bridge.access.api_keys import ApiKeys
from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.core.access.accounts import ApiKey
from bridge.core.access.permissions import IdentityKind
from bridge.core.errors import AccountError, BridgeError, DeviceIdError, UnknownAccount
from bridge.core.readings.identity import parse_device_id


class DeviceProvisioning:
    """Creates, rotates and removes credentials. Calls may raise `StoreUnavailable`, and `BridgeError` for a file error."""

    def __init__(self, keys: ApiKeys, accounts: BrokerAccounts, *, by: str) -> None:
        """`by` is recorded as the creator of the keys."""
        self._keys = keys
        self._accounts = accounts
        self._by = by

    async def all(self) -> list[tuple[ApiKey, bool]]:
        """Each device's key, and whether the device has an account at the broker."""
        keys = [key for key in await self._keys.all() if key.kind is IdentityKind.DEVICE]
        return [(key, self._accounts.has_device(key.name)) for key in keys]

    async def add(self, device_id: str) -> str | None:
        """Create a key and return its text. None if the device has one: then only its ACL rules are updated."""
        if not await self._keys_of(device_id):
            return await self._create(device_id)
        if self._accounts.has_device(device_id):
            self._accounts.put_device(device_id, None)
        return None

    async def change(self, device_id: str) -> str:
        """Create a new key, revoke the previous ones, and return its text. Raises `UnknownAccount`."""
        before = await self._keys_of(device_id)
        if not before:
            raise UnknownAccount(f"{device_id} has no credentials: create them with `device add`")
        text = await self._create(device_id)
        for key in before:
            await self._keys.remove(key.id)
        return text

    async def remove(self, device_id: str) -> None:
        """Remove the account at the broker and revoke the keys. Raises `UnknownAccount`."""
        keys = await self._keys_of(device_id)
        has_account = self._accounts.has_device(device_id)
        if not keys and not has_account:
            raise UnknownAccount(f"{device_id} has no credentials")
        if has_account:
            self._accounts.remove_device(device_id)
        for key in keys:
            await self._keys.remove(key.id)

    async def _keys_of(self, device_id: str) -> list[ApiKey]:
        try:
            device_id = parse_device_id(device_id)
        except DeviceIdError as error:
            raise AccountError("name", str(error)) from None
        return [key for key in await self._keys.all() if key.kind is IdentityKind.DEVICE and key.name == device_id]

    async def _create(self, device_id: str) -> str:
        """Create a key; none remains if the broker's files cannot be written."""
        self._accounts.check_free(device_id)
        key, text = await self._keys.make(device_id, (), device=True, by=self._by)
        try:
            self._accounts.put_device(device_id, text)
        except BridgeError:
            await self._keys.remove(key.id)
            raise
        return text
