"""Who is about to join by Socket.IO: identified by the `auth` of its CONNECT, or by what its handshake showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.access.permissions import ANYONE, Identity, Permission
from bridge.core.errors import Unauthorized
from bridge.http.credentials import credentials_from_handshake
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.limits import ConnectionLimiter
from bridge.settings import HttpSettings

WAY = "socket.io"
RIGHTS = (Permission.READ, Permission.COMMAND)
"""One of them is needed; who may not see hears of no device."""


class PendingConnections:
    """Identities of connections, by their Engine.IO sid, from their being found until they are asked for."""

    def __init__(self, authenticator: Authenticator, limiter: ConnectionLimiter, http: HttpSettings) -> None:
        """`limiter` knows where a connection comes from."""
        self._http = http
        self._authenticator = authenticator
        self._limiter = limiter
        self._found: dict[str, Identity] = {}
        self._by_handshake: dict[str, Identity] = {}

    def __len__(self) -> int:
        return len(self._found) + len(self._by_handshake)

    async def find(self, engine_sid: str, environ: Mapping[str, Any], auth: object) -> None:
        """Raises as `Authenticator.identify` does."""
        if not self._authenticator.required:
            return
        identity = await self._identify(engine_sid, environ, auth)
        if engine_sid in self._limiter:  # it may have gone meanwhile
            self._found[engine_sid] = identity

    async def _identify(self, engine_sid: str, environ: Mapping[str, Any], auth: object) -> Identity:
        address = self._limiter.address(engine_sid)
        if (token := token_of(auth)) is not None:
            return await self._authenticator.identify(token, address, WAY, *RIGHTS)
        request = environ.get("aiohttp.request")
        if request is None:  # it was forgotten when this connection joined for the first time
            return self._again(engine_sid)
        token = credentials_from_handshake(request, self._http).credential
        identity = await self._authenticator.identify(token, address, WAY, *RIGHTS)
        if engine_sid in self._limiter:
            self._by_handshake[engine_sid] = identity
        return identity

    def _again(self, engine_sid: str) -> Identity:
        identity = self._by_handshake.get(engine_sid)
        if identity is None or not self._authenticator.is_valid(identity):
            raise Unauthorized("missing", "log in, or show a token or a key")
        return identity

    def take(self, engine_sid: str) -> Identity | None:
        """Who was found; None: nobody."""
        return self._found.pop(engine_sid, None) if self._authenticator.required else ANYONE

    def forget(self, engine_sid: str) -> None:
        """The connection has ended."""
        self._found.pop(engine_sid, None)
        self._by_handshake.pop(engine_sid, None)


def token_of(body: object) -> str | None:
    """Of `{"token": …}`; None if there is none. Raises `Unauthorized` for what is no text."""
    token = body.get("token") if isinstance(body, dict) else None
    if token is not None and not isinstance(token, str):
        raise Unauthorized("malformed", "token: is a text")
    return token
