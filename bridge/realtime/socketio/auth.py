"""Login over Socket.IO: by the `auth` of the CONNECT packet, or by the headers of the handshake."""

from collections.abc import Mapping
from typing import Any

from bridge.core.access.permissions import ANYONE, Identity, Permission
from bridge.core.errors import Unauthorized
from bridge.http.credentials import Credentials, credentials_from_handshake
from bridge.realtime.auth.authenticator import Authenticator
from bridge.realtime.limits import ConnectionLimiter
from bridge.settings import HttpSettings

AUDITED_AS = "socket.io"
"""The path under which the audit log records refusals."""

PERMISSIONS = (Permission.READ, Permission.COMMAND)
"""A client needs at least one of these permissions. Without `READ` it receives the events of no device."""


class PendingConnections:
    """Identities by Engine.IO sid, between their CONNECT packet and the moment their client joins."""

    def __init__(self, authenticator: Authenticator, limiter: ConnectionLimiter, http: HttpSettings) -> None:
        """`limiter` has the addresses of connections."""
        self._http = http
        self._authenticator = authenticator
        self._limiter = limiter
        self._identities: dict[str, Identity] = {}
        self._by_handshake: dict[str, Identity] = {}

    def __len__(self) -> int:
        return len(self._identities) + len(self._by_handshake)

    async def identify(self, engine_sid: str, environ: Mapping[str, Any], auth: object) -> None:
        """Authenticate a CONNECT packet. Raises as `Authenticator.identify` does."""
        if not self._authenticator.required:
            return
        token = token_of(auth)
        by_handshake = token is None
        if by_handshake and "aiohttp.request" not in environ:  # dropped when the client joined for the first time
            identity = self._identified_before(engine_sid)
        else:
            credentials = Credentials(token)
            if by_handshake:
                request = environ["aiohttp.request"]
                credentials = credentials_from_handshake(request, self._http, self._authenticator.cookie_id)
            address = self._limiter.address(engine_sid)
            identity = await self._authenticator.identify(credentials, address, AUDITED_AS, *PERMISSIONS)
        if engine_sid in self._limiter:  # still connected
            self._identities[engine_sid] = identity
            if by_handshake:
                self._by_handshake[engine_sid] = identity

    def _identified_before(self, engine_sid: str) -> Identity:
        identity = self._by_handshake.get(engine_sid)
        if identity is None or not self._authenticator.is_valid(identity):
            raise Unauthorized("missing", "log in, or send a token or an API key")
        return identity

    def take(self, engine_sid: str) -> Identity | None:
        """Remove and return the identity of a connection; None if it has none."""
        return self._identities.pop(engine_sid, None) if self._authenticator.required else ANYONE

    def remove(self, engine_sid: str) -> None:
        """Forget a connection that has ended; safe to repeat."""
        self._identities.pop(engine_sid, None)
        self._by_handshake.pop(engine_sid, None)


def token_of(body: object) -> str | None:
    """The token in `{"token": …}`, None without one. Raises `Unauthorized` if it is not a string."""
    token = body.get("token") if isinstance(body, dict) else None
    if token is not None and not isinstance(token, str):
        raise Unauthorized("malformed", "token: must be a string")
    return token
