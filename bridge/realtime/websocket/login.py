"""How a client of a plain WebSocket says who it is: with its handshake, or else by its first message.

`{"type": "auth", "token": …}` is answered `{"type": "auth_ok", "expires": …}`; the same again renews it on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import orjson
from aiohttp import web

from bridge.core.access.permissions import ANYONE, Identity, Permission
from bridge.core.errors import BridgeError, Unauthorized
from bridge.core.events import AuthExpiring
from bridge.core.timestamp import iso
from bridge.http.credentials import credentials_from_handshake
from bridge.realtime.auth.authenticator import Authenticator, close_reason
from bridge.realtime.auth.expiry import UNAUTHORIZED, AuthenticatedConnection
from bridge.realtime.hub.publication import Encoder
from bridge.realtime.hub.subscriptions import Subscription
from bridge.realtime.websocket.connection import ClientConnection
from bridge.settings import HttpSettings

AUTH, AUTH_OK = "auth", "auth_ok"


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that was let in; without a stay while access is open."""

    authenticator: Authenticator
    way: str
    connection: AuthenticatedConnection | None = None

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return ANYONE if self.connection is None else self.connection.identity

    def restrict(self, subscription: Subscription) -> Subscription:
        """What of a wish it may see."""
        return (
            subscription
            if self.connection is None
            else replace(subscription, device_filter=self.authenticator.device_filter(self.connection.identity))
        )

    async def renew(self, token: str) -> str | None:
        """It shows something newer: until when that is good. Raises `ValueError` if it is not."""
        if self.connection is None:
            return None
        try:
            await self.authenticator.renew(self.connection, token, self.way, Permission.READ)
        except BridgeError as error:
            raise ValueError(close_reason(error).reason) from None
        return expiry(self.connection.identity)

    def leave(self) -> None:
        """It has gone."""
        if self.connection is not None:
            self.authenticator.connections.remove(self.connection)


class WebSocketLogin:
    """Lets in the clients that listen."""

    def __init__(self, authenticator: Authenticator, http: HttpSettings) -> None:
        """`authenticator` decides."""
        self._authenticator = authenticator
        self._http = http

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        return self._authenticator.required

    async def of(
        self,
        client: ClientConnection,
        messages: AsyncIterator[bytes],
        request: web.Request,
        address: str,
        encoder: Encoder,
        *,
        by_query: bool,
    ) -> AuthenticatedClient | None:
        """Who it is; None: it was told why not, or went. With `by_query` it says so with its handshake or never.

        `encoder` is that of its dialect, `address` where it comes from.
        """
        authenticator, way = self._authenticator, request.path
        if not authenticator.required:
            return AuthenticatedClient(authenticator, way)
        try:
            token = credentials_from_handshake(request, self._http, by_query=by_query).credential
            first = token is None and not by_query
            if first:
                token = await self._first(messages)
            identity = await authenticator.identify(token, address, way, Permission.READ)
        except BridgeError as error:
            why = close_reason(error)
            client.close(why.code, why.reason, why.counted)
            return None
        stay = AuthenticatedConnection(identity, address, partial(warn, client, encoder), partial(end, client))
        authenticator.connections.add(stay)
        if first:
            client.send({"type": AUTH_OK, "expires": expiry(identity)})
        return AuthenticatedClient(authenticator, way, stay)

    async def _first(self, messages: AsyncIterator[bytes]) -> str:
        try:
            async with asyncio.timeout(self._authenticator.login_seconds):
                text = await anext(messages, None)
        except TimeoutError:
            raise Unauthorized("late", "nobody logged in in time") from None
        try:
            message = as_object(text or b"")
            token = token_in(message)
        except ValueError as error:
            raise Unauthorized("missing", str(error)) from None
        if message.get("type") != AUTH:
            raise Unauthorized("missing", 'say {"type": "auth", "token": …} first')
        return token


def warn(client: ClientConnection, encoder: Encoder, event: AuthExpiring) -> None:
    """It has to show something newer."""
    if (text := encoder.encode(event)) is not None:
        client.send_text(text)


def end(client: ClientConnection, reason: str) -> None:
    """It may not stay."""
    client.close(UNAUTHORIZED, reason, reason)


def expiry(identity: Identity) -> str | None:
    """Until when what was shown is good; None: for ever."""
    return None if identity.expires is None else iso(round(identity.expires * 1000))


def token_in(message: dict[str, Any]) -> str:
    """Raises `ValueError` if there is none."""
    token = message.get("token")
    if not isinstance(token, str):
        raise ValueError('log in first: {"type": "auth", "token": …}')  # noqa: TRY004
    return token


def as_object(text: bytes) -> dict[str, Any]:
    """Raises `ValueError` with what is wrong."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ValueError('the message is not a JSON object; one looks like {"type": "ping"}')  # noqa: TRY004
    return cast("dict[str, Any]", message)
