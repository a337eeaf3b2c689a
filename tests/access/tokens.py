"""An `Authentication` with a table of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from bridge.core.access.permissions import ROLE_PERMISSIONS, Identity, IdentityKind, Permission, ResourceScope, Role
from bridge.core.errors import StoreUnavailable, Unauthorized
from tests.access.leaks import LEAKS
from tests.access.ways import COOKIE_ID, SECRET_MARK

LIMIT = 8192


class TokenAccess:
    """`ports.Authentication` with access required, on dictionaries; `away` simulates an unavailable store."""

    required = True
    cookie_id = COOKIE_ID

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.tokens: dict[str, Identity] = {}
        self.secrets: dict[tuple[str, str], Identity] = {}
        self.begins: dict[str, float] = {}
        self.revoked: set[str] = set()
        self.away = False
        self.asked = 0

    def give(self, token: str, identity: Identity, *, begins: float = 0.0) -> str:
        """Issue a token for an identity. Its grant contains the token, which is not a secret in these tests."""
        self.tokens[token] = replace(identity, grant=f"grant:{token}")
        self.begins[token] = begins
        if token.startswith(SECRET_MARK):
            LEAKS.hide(token)
        return token

    def revoke(self, token: str) -> None:
        self.revoked.add(f"grant:{token}")

    async def authenticate(self, shown: str | None, address: str, *, in_cookie: bool = False) -> Identity:
        return await self.identify(shown, address, in_cookie=in_cookie)

    async def identify(self, shown: str | None, address: str, *, in_cookie: bool = False) -> Identity:  # noqa: ARG002
        self.asked += 1
        assert address == "127.0.0.1"
        if self.away:
            raise StoreUnavailable("away")
        if not shown:
            raise Unauthorized("missing", "log in, or show a token or a key")
        identity = self.tokens.get(shown) if len(shown) <= LIMIT else None
        if identity is None:
            raise Unauthorized("invalid", "the token is not valid: log in again")
        if self.begins[shown] > self._clock():
            raise Unauthorized("early", "the token is not valid yet")
        if not self.is_valid(identity):
            raise Unauthorized("expired", "the token has expired, or was taken back")
        return identity

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:
        if not name:
            return await self.identify(secret, address)
        identity = self.secrets.get((name, secret))
        if identity is None:
            raise Unauthorized("invalid", "no device has this secret")
        return identity

    def identify_device_while_open(self, name: str | None, secret: str) -> Identity:  # noqa: ARG002
        raise AssertionError("access is required")

    def csrf_token(self, identity: Identity) -> str:
        return f"csrf of {identity.grant}"

    def is_of_program(self, cookie: str) -> bool:  # noqa: ARG002
        return False

    def is_valid(self, identity: Identity) -> bool:
        return (identity.expires is None or self._clock() < identity.expires) and identity.grant not in self.revoked


def person(name: str, role: Role = Role.VIEWER, scope: ResourceScope | None = None, expires: float | None = None) -> Identity:
    return Identity(IdentityKind.PERSON, name, ROLE_PERMISSIONS[role], scope, expires)


def program(name: str, rights: Iterable[Permission], scope: ResourceScope | None = None) -> Identity:
    return Identity(IdentityKind.PROGRAM, name, frozenset(rights), scope)


def device(name: str) -> Identity:
    return Identity(IdentityKind.DEVICE, name, frozenset({Permission.PUBLISH}), ResourceScope(frozenset({name})))


def scope(*devices: str, sites: Iterable[str] = ()) -> ResourceScope:
    return ResourceScope(frozenset(devices), frozenset(sites))
