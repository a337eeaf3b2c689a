"""Login on a WebSocket, for every protocol on it: with credentials from the handshake, or else from the first message."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol, cast

import orjson
from aiohttp import web

from bridge.core.access.permissions import ANYONE, Permission
from bridge.core.errors import BridgeError, Unauthorized
from bridge.core.events import AuthExpiring
from bridge.http.credentials import Credentials, credentials_from_handshake
from bridge.realtime.auth.authenticator import Authenticator, Disconnect, disconnect_for
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.hub.encoding import Encoder
from bridge.realtime.websocket.connection import ClientConnection
from bridge.settings import HttpSettings

AUTH, AUTH_OK = "auth", "auth_ok"


class LoginProtocol(Protocol):
    """The messages of one connection's login, in the protocol that its client speaks."""

    def credentials(self, text: bytes) -> Credentials:
        """The credentials in the first message. Raises `Unauthorized` or `Disconnect` if it has none."""

    def timed_out(self) -> Disconnect:
        """The answer to a client that sent no first message in time."""

    def refused(self, error: BridgeError) -> Disconnect:
        """The answer to credentials that failed with this error."""

    def welcome(self, connection: AuthenticatedConnection, *, by_message: bool) -> bytes | None:
        """The answer to a successful login, if the protocol has one."""

    def expiring(self, event: AuthExpiring) -> bytes | None:
        """The request for newer credentials."""


class WebSocketLogin:
    """Logs clients in that have at least one of `permissions`."""

    def __init__(
        self,
        authenticator: Authenticator,
        http: HttpSettings,
        permissions: tuple[Permission, ...],
        seconds: float,
        *,
        anonymous: bool,
    ) -> None:
        """The first message must arrive within `seconds`. With `anonymous`, no login takes place while access is open."""
        self._authenticator = authenticator
        self._http = http
        self._permissions = permissions
        self._seconds = seconds
        self._anonymous = anonymous

    async def log_in(
        self,
        client: ClientConnection,
        messages: AsyncIterator[bytes],
        request: web.Request,
        address: str,
        protocol: LoginProtocol,
        *,
        by_query: bool = False,
        channel: str | None = None,
    ) -> AuthenticatedConnection | None:
        """Log a client in. None if it disconnected before; raises `Disconnect` if it is refused.

        With `by_query`, the credentials may be in the query string, and must be in the handshake, while access is open too. The
        caller removes the
        connection from `Authenticator.connections` at its end.
        """
        identity, by_message = ANYONE, False
        if self._authenticator.required or by_query or not self._anonymous:
            try:
                credentials = Credentials()
                if self._authenticator.required or by_query:
                    credentials = credentials_from_handshake(
                        request, self._http, self._authenticator.cookie_id, by_query=by_query
                    )
                by_message = credentials.credential is None and not by_query
                if by_message:
                    text = await self._first(messages, protocol)
                    if text is None:
                        return None
                    credentials = protocol.credentials(text)
                identity = await self._authenticator.identify(
                    credentials, address, request.path, *self._permissions, channel=channel, secure=by_query
                )
            except BridgeError as error:
                raise protocol.refused(error) from None
        warn, end = partial(_warn, client, protocol), partial(_end, client)
        connection = AuthenticatedConnection(
            identity, address, warn, end, request.path, self._permissions, channel, secure=by_query
        )
        if (text := protocol.welcome(connection, by_message=by_message)) is not None:
            client.send_text(text)
        return self._authenticator.admit(connection)

    async def _first(self, messages: AsyncIterator[bytes], protocol: LoginProtocol) -> bytes | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await anext(messages, None)
        except TimeoutError:
            raise protocol.timed_out() from None


def _warn(client: ClientConnection, protocol: LoginProtocol, event: AuthExpiring) -> None:
    if (text := protocol.expiring(event)) is not None:
        client.send_text(text)


def _end(client: ClientConnection, reason: str) -> None:
    client.close(UNAUTHORIZED, reason, reason)


class JsonLogin:
    """Login of `/ws` and the channels: `{"type": "auth", "token": …}`, answered `{"type": "auth_ok", "expires": …}`.

    The same message later renews the credentials of the connection.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def credentials(self, text: bytes) -> Credentials:
        try:
            return Credentials(token_in(as_object(text)))
        except ValueError as error:
            raise Unauthorized("missing", str(error)) from None

    def timed_out(self) -> Disconnect:
        return self.refused(Unauthorized("late", "no login in time"))

    def refused(self, error: BridgeError) -> Disconnect:
        return disconnect_for(error)

    def welcome(self, connection: AuthenticatedConnection, *, by_message: bool) -> bytes | None:
        return auth_ok(connection) if by_message else None

    def expiring(self, event: AuthExpiring) -> bytes | None:
        return self._encoder.encode(event)


def auth_ok(connection: AuthenticatedConnection) -> bytes:
    return orjson.dumps({"type": AUTH_OK, "expires": connection.expires})


def token_in(message: dict[str, Any]) -> str:
    """The token of an `auth` message. Raises `ValueError` if it is another message, or has no token."""
    token = message.get("token")
    if message.get("type") != AUTH or not isinstance(token, str):
        raise ValueError('log in first: {"type": "auth", "token": …}')
    return token


def as_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises `ValueError` with what is wrong."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ValueError('the message is not a JSON object such as {"type": "ping"}')  # noqa: TRY004
    return cast("dict[str, Any]", message)
