"""Setup of the first admin: with the password in the settings, or through a link that is printed once and works once."""

import json
import secrets
from collections.abc import Callable

from bridge.access.users import Users
from bridge.core.access.accounts import User
from bridge.core.access.permissions import Role
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.errors import AccountExists, Unauthorized
from bridge.ports import KeyValueStore
from bridge.settings import AccessSettings

SETUP_SECONDS = 3600.0
_KEY = "access/first_admin"


class FirstAdminSetup:
    def __init__(self, settings: AccessSettings, users: Users, memory: KeyValueStore, clock: Callable[[], float]) -> None:
        """Set `on_link` to receive the secret at the end of the setup link; `memory` has its hash, for other bridges."""
        self._memory = memory
        self._settings = settings
        self._users = users
        self._clock = clock
        self._is_given = False
        self.on_link: Callable[[str], None] = lambda _: None
        self.may_give_link: Callable[[], bool] = lambda: True
        """Of several bridges one gives a link."""

    async def prepare(self) -> None:
        """Create the admin or the setup link, if there is no user. Raises `StoreUnavailable`."""
        if await self._users.has_any():
            return
        password = self._settings.admin_password
        if password is not None:
            try:
                await self._users.add(self._settings.admin_name, password.get_secret_value(), Role.ADMIN)
            except AccountExists:  # by another bridge on this store
                return
        elif not self._is_given and self.may_give_link():
            secret = secrets.token_urlsafe(32)
            await self._put(sha256_hex(secret.encode()), self._clock() + SETUP_SECONDS)
            self._is_given = True
            self.on_link(secret)

    async def finish(self, secret: str, password: str) -> User:
        """Create the admin. Raises `Unauthorized` for an invalid or expired link, `AccountError` for an unsuitable password."""
        refused = Unauthorized("invalid", "this link was used, or is older than an hour: restart the bridge for a new one")
        digest, until = await self._get()
        if not digest or not matches_hash(secret.encode("utf-8", "replace"), digest):
            raise refused
        if self._clock() >= until or await self._users.has_any():
            await self._put("", 0.0)
            raise refused
        try:
            user = await self._users.add(self._settings.admin_name, password, Role.ADMIN)
        except AccountExists:
            raise refused from None
        await self._put("", 0.0)
        return user

    async def _put(self, digest: str, until: float) -> None:
        await self._memory.put(_KEY, json.dumps([digest, until]))

    async def _get(self) -> tuple[str, float]:
        """Return the hash of the link's secret and when it expires; an empty hash if there is no link."""
        digest, until = json.loads(await self._memory.get(_KEY) or '["", 0]')
        return str(digest), float(until)
