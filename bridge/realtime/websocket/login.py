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
from bridge.http.credentials import shown_in_handshake
from bridge.realtime.auth.authenticator import Entrance, closing
from bridge.realtime.auth.expiry import UNAUTHORIZED, Stay
from bridge.realtime.hub.publication import Encoder
from bridge.realtime.hub.subscriptions import Wish
from bridge.realtime.websocket.connection import Client
from bridge.settings import HttpSettings

AUTH, AUTH_OK = "auth", "auth_ok"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A client that was let in; without a stay while access is open."""

    entrance: Entrance
    way: str
    stay: Stay | None = None

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return ANYONE if self.stay is None else self.stay.identity

    def narrowed(self, wish: Wish) -> Wish:
        """What of a wish it may see."""
        return wish if self.stay is None else replace(wish, sight=self.entrance.sight(self.stay.identity))

    async def renew(self, token: str) -> str | None:
        """It shows something newer: until when that is good. Raises `ValueError` if it is not."""
        if self.stay is None:
            return None
        try:
            await self.entrance.renew(self.stay, token, self.way, Permission.READ)
        except BridgeError as error:
            raise ValueError(closing(error).reason) from None
        return expiry(self.stay.identity)

    def leave(self) -> None:
        """It has gone."""
        if self.stay is not None:
            self.entrance.stays.leave(self.stay)


class Login:
    """Lets in the clients that listen."""

    def __init__(self, entrance: Entrance, http: HttpSettings) -> None:
        """`entrance` decides."""
        self._entrance = entrance
        self._http = http

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        return self._entrance.required

    async def of(
        self,
        client: Client,
        messages: AsyncIterator[bytes],
        request: web.Request,
        address: str,
        encoder: Encoder,
        *,
        by_query: bool,
    ) -> LoggedIn | None:
        """Who it is; None: it was told why not, or went. With `by_query` it says so with its handshake or never.

        `encoder` is that of its dialect, `address` where it comes from.
        """
        entrance, way = self._entrance, request.path
        if not entrance.required:
            return LoggedIn(entrance, way)
        try:
            token = shown_in_handshake(request, self._http, by_query=by_query).credential
            first = token is None and not by_query
            if first:
                token = await self._first(messages)
            identity = await entrance.identify(token, address, way, Permission.READ)
        except BridgeError as error:
            why = closing(error)
            client.end(why.code, why.reason, why.counted)
            return None
        stay = Stay(identity, address, partial(warn, client, encoder), partial(end, client))
        entrance.stays.begin(stay)
        if first:
            client.send({"type": AUTH_OK, "expires": expiry(identity)})
        return LoggedIn(entrance, way, stay)

    async def _first(self, messages: AsyncIterator[bytes]) -> str:
        try:
            async with asyncio.timeout(self._entrance.login_seconds):
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


def warn(client: Client, encoder: Encoder, event: AuthExpiring) -> None:
    """It has to show something newer."""
    if (text := encoder.encode(event)) is not None:
        client.send_text(text)


def end(client: Client, reason: str) -> None:
    """It may not stay."""
    client.end(UNAUTHORIZED, reason, reason)


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
