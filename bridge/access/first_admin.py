"""Setup of the first admin: with the password in the settings, or through a link that is printed once and works once."""

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
    def __init__(self, settings: AccessSettings, users: Users, clock: Callable[[], float]) -> None:
        """Set `on_link` to receive the secret at the end of the setup link. It is not stored anywhere else."""
        self._settings = settings
        self._users = users
        self._clock = clock
        self._secret: str | None = None
        self._until = 0.0
        self.on_link: Callable[[str], None] = lambda _: None

    async def prepare(self) -> None:
        """Create the admin or the setup link, if there is no user. Raises `StoreUnavailable`."""
        if await self._users.all():
            return
        password = self._settings.admin_password
        if password is not None:
            try:
                await self._users.add(self._settings.admin_name, password.get_secret_value(), Role.ADMIN)
            except AccountExists:  # by another bridge on this store
                return
        elif self._secret is None:
            secret = secrets.token_urlsafe(32)
            self._secret, self._until = sha256_hex(secret.encode()), self._clock() + SETUP_SECONDS
            self.on_link(secret)

    async def finish(self, secret: str, password: str) -> User:
        """Create the admin. Raises `Unauthorized` for an invalid or expired link, `AccountError` for an unsuitable password."""
        refused = Unauthorized("invalid", "this link was used, or is older than an hour: restart the bridge for a new one")
        if self._secret is None or not matches_hash(secret.encode("utf-8", "replace"), self._secret):
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
