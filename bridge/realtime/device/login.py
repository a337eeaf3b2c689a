"""Who is at `/ws/device`: by the handshake, or by the first message in one of the two dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from bridge.core.access.permissions import Identity as Somebody
from bridge.core.access.permissions import IdentityKind, Permission
from bridge.core.errors import BridgeError
from bridge.http.credentials import Shown
from bridge.realtime.auth.authenticator import Entrance, closing
from bridge.realtime.auth.expiry import UNAUTHORIZED
from bridge.realtime.device.credentials import Credentials, Identity
from bridge.realtime.device.protocols import DIALECTS, Dialect, Lower, Upper
from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.websocket.parser import BAD_TEXT

WAY = "/ws/device"
RIGHTS = (Permission.PUBLISH, Permission.READ)
_DEPTH = 254


class Closed(Exception):
    """The socket is to be closed; why, in a word."""

    def __init__(self, reason: str, code: int = POLICY_VIOLATION, told: bytes | None = None) -> None:
        """`code` is WebSocket's, `told` the last message."""
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.told = told


@dataclass(frozen=True, slots=True)
class Admitted:
    """One that is let in: what it is here, and who it is, where access is required."""

    dialect: Dialect
    identity: Identity
    who: Somebody | None
    welcome: bytes | None


class DeviceLogin:
    """Lets in devices, and those who hear them."""

    def __init__(
        self,
        entrance: Entrance,
        credentials: Credentials,
        handshake_seconds: float,
        shown: Callable[[web.Request], Shown],
    ) -> None:
        """`credentials` are asked while access is open, `entrance` while it is required; `shown` is what a handshake shows."""
        self._shown = shown
        self._entrance = entrance
        self._credentials = credentials
        self._seconds = min(handshake_seconds, entrance.login_seconds) if entrance.required else handshake_seconds
        self._refused = UNAUTHORIZED if entrance.required else POLICY_VIOLATION

    async def of(self, messages: AsyncIterator[bytes], request: web.Request, address: str) -> Admitted | None:
        """Who it is; None if it went without a word. Raises `Closed`."""
        return await self._by_handshake(request, address) or await self._by_message(messages, address)

    async def _by_handshake(self, request: web.Request, address: str) -> Admitted | None:
        """Its dialect is what such a one mostly speaks, until it speaks."""
        if not self._entrance.required:
            return None
        try:
            token = self._shown(request).credential
            if token is None:
                return None
            who = await self._entrance.identify(token, address, WAY, *RIGHTS)
        except BridgeError as error:
            raise self._closed(error, Lower()) from None
        identity = part_of(who)
        return Admitted(Upper() if identity.admin else Lower(), identity, who, None)

    async def _by_message(self, messages: AsyncIterator[bytes], address: str) -> Admitted | None:
        dialect: Dialect = Lower()
        try:
            async with asyncio.timeout(self._seconds):
                first = await anext(messages, None)
        except TimeoutError:
            raise Closed("handshake", self._refused, dialect.auth_required()) from None
        if first is None:
            return None
        body = message_of(first, dialect)
        dialect = DIALECTS.get(str(body.get("type")), Lower)()
        asked = dialect.credentials(body)
        if asked is None:
            raise Closed("unauthorized", self._refused, dialect.auth_required())
        if not self._entrance.required:
            return self._by_settings(dialect, *asked)
        try:
            who = await self._entrance.identify_device(*asked, address, WAY)
        except BridgeError as error:
            raise self._closed(error, dialect) from None
        return Admitted(dialect, part_of(who), who, dialect.welcome())

    def _by_settings(self, dialect: Dialect, name: str | None, secret: str) -> Admitted:
        identity = self._credentials(name, secret)
        if identity is None:
            raise Closed("unauthorized", told=dialect.unauthorized())
        return Admitted(dialect, identity, None, dialect.welcome())

    @staticmethod
    def _closed(error: BridgeError, dialect: Dialect) -> Closed:
        why = closing(error)
        return Closed(why.counted, why.code, dialect.unauthorized() if why.code == UNAUTHORIZED else dialect.error(why.reason))


def part_of(who: Somebody) -> Identity:
    """A device speaks for itself, a program that may send for the devices of its scope; who may see hears them."""
    if who.kind is IdentityKind.DEVICE:
        return Identity(who.name)
    if Permission.READ in who.permissions and not (who.kind is IdentityKind.PROGRAM and Permission.PUBLISH in who.permissions):
        return Identity(admin=True)
    return Identity()


def message_of(text: bytes, dialect: Dialect) -> dict[str, Any]:
    """A message; what is no JSON object ends the connection."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Closed("malformed", BAD_TEXT, dialect.error("not a JSON object"))
    if _is_too_deep(text, body):
        raise Closed("malformed", BAD_TEXT, dialect.error(f"nested more than {_DEPTH} deep"))
    return body


def _is_too_deep(text: bytes, body: dict[str, Any]) -> bool:
    """What is nested up to 1,024 deep orjson reads, and up to 254 it writes. Tried where there are as many brackets."""
    if text.count(b"{") + text.count(b"[") <= _DEPTH:
        return False
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError:
        return True
    return False
