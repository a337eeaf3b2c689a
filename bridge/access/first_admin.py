"""The first admin: by the password of the settings, or by a link that is printed once and works once."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from bridge.access.users import Users
from bridge.core.access.accounts import User
from bridge.core.access.permissions import Role
from bridge.core.access.secrets import matches_hash, sha256_hex
from bridge.core.errors import AccountExists, Unauthorized
from bridge.settings import AccessSettings

SETUP_SECONDS = 3600.0


class FirstAdminSetup:
    """Where there is no user yet, lets one in."""

    def __init__(self, settings: AccessSettings, users: Users, clock: Callable[[], float]) -> None:
        """`on_link` is given the secret that the link ends in; nobody else ever is."""
        self._settings = settings
        self._users = users
        self._clock = clock
        self._secret: str | None = None
        self._until = 0.0
        self.on_link: Callable[[str], None] = lambda _: None

    async def prepare(self) -> None:
        """See that there will be an admin; raises `StoreUnavailable`."""
        if await self._users.all():
            return
        password = self._settings.admin_password
        if password is not None:
            try:
                await self._users.add(self._settings.admin_name, password.get_secret_value(), Role.ADMIN)
            except AccountExists:  # another bridge on this store was faster
                return
        elif self._secret is None:
            shown = secrets.token_urlsafe(32)
            self._secret, self._until = sha256_hex(shown.encode()), self._clock() + SETUP_SECONDS
            self.on_link(shown)

    async def finish(self, shown: str, password: str) -> User:
        """Make the admin whom the link is for. Raises `Unauthorized`, and `AccountError` where another password would do."""
        refused = Unauthorized("invalid", "this link was used, or is an hour old: start the bridge again for another")
        if self._secret is None or not matches_hash(shown.encode("utf-8", "replace"), self._secret):
            raise refused
        if self._clock() >= self._until or await self._users.all():
            self._secret = None
            raise refused
        try:
            user = await self._users.add(self._settings.admin_name, password, Role.ADMIN)
        except AccountExists:
            raise refused from None
        self._secret = None
        return user
