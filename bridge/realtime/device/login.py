"""Who is at `/ws/device`: by the handshake, or by the first message in one of the two dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.errors import BridgeError
from bridge.http.credentials import Credentials
from bridge.realtime.auth.authenticator import Authenticator, close_reason
from bridge.realtime.auth.expiry import UNAUTHORIZED
from bridge.realtime.device.credentials import DeviceCredentials, DeviceIdentity
from bridge.realtime.device.protocols import PROTOCOLS, DeviceProtocol, EnvelopeProtocol, FlatProtocol
from bridge.realtime.frames import POLICY_VIOLATION
from bridge.realtime.websocket.parser import BAD_TEXT

WAY = "/ws/device"
RIGHTS = (Permission.PUBLISH, Permission.READ)
_DEPTH = 254


class LoginRefused(Exception):
    """The socket is to be closed; why, in a word."""

    def __init__(self, reason: str, code: int = POLICY_VIOLATION, told: bytes | None = None) -> None:
        """`code` is WebSocket's, `told` the last message."""
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.told = told


@dataclass(frozen=True, slots=True)
class DeviceLoginResult:
    """One that is let in: what it is here, and who it is, where access is required."""

    dialect: DeviceProtocol
    identity: DeviceIdentity
    who: Identity | None
    welcome: bytes | None


class DeviceLogin:
    """Lets in devices, and those who hear them."""

    def __init__(
        self,
        authenticator: Authenticator,
        credentials: DeviceCredentials,
        handshake_seconds: float,
        shown: Callable[[web.Request], Credentials],
    ) -> None:
        """`credentials` are asked while access is open, `authenticator` while it is required; `shown` is what a handshake shows."""
        self._shown = shown
        self._authenticator = authenticator
        self._credentials = credentials
        self._seconds = min(handshake_seconds, authenticator.login_seconds) if authenticator.required else handshake_seconds
        self._refused = UNAUTHORIZED if authenticator.required else POLICY_VIOLATION

    async def of(self, messages: AsyncIterator[bytes], request: web.Request, address: str) -> DeviceLoginResult | None:
        """Who it is; None if it went without a word. Raises `LoginRefused`."""
        return await self._by_handshake(request, address) or await self._by_message(messages, address)

    async def _by_handshake(self, request: web.Request, address: str) -> DeviceLoginResult | None:
        """Its dialect is what such a one mostly speaks, until it speaks."""
        if not self._authenticator.required:
            return None
        try:
            token = self._shown(request).credential
            if token is None:
                return None
            who = await self._authenticator.identify(token, address, WAY, *RIGHTS)
        except BridgeError as error:
            raise self._closed(error, FlatProtocol()) from None
        identity = device_role(who)
        return DeviceLoginResult(EnvelopeProtocol() if identity.admin else FlatProtocol(), identity, who, None)

    async def _by_message(self, messages: AsyncIterator[bytes], address: str) -> DeviceLoginResult | None:
        dialect: DeviceProtocol = FlatProtocol()
        try:
            async with asyncio.timeout(self._seconds):
                first = await anext(messages, None)
        except TimeoutError:
            raise LoginRefused("handshake", self._refused, dialect.auth_required()) from None
        if first is None:
            return None
        body = parse_message(first, dialect)
        dialect = PROTOCOLS.get(str(body.get("type")), FlatProtocol)()
        asked = dialect.credentials(body)
        if asked is None:
            raise LoginRefused("unauthorized", self._refused, dialect.auth_required())
        if not self._authenticator.required:
            return self._by_settings(dialect, *asked)
        try:
            who = await self._authenticator.identify_device(*asked, address, WAY)
        except BridgeError as error:
            raise self._closed(error, dialect) from None
        return DeviceLoginResult(dialect, device_role(who), who, dialect.welcome())

    def _by_settings(self, dialect: DeviceProtocol, name: str | None, secret: str) -> DeviceLoginResult:
        identity = self._credentials(name, secret)
        if identity is None:
            raise LoginRefused("unauthorized", told=dialect.unauthorized())
        return DeviceLoginResult(dialect, identity, None, dialect.welcome())

    @staticmethod
    def _closed(error: BridgeError, dialect: DeviceProtocol) -> LoginRefused:
        why = close_reason(error)
        return LoginRefused(
            why.counted, why.code, dialect.unauthorized() if why.code == UNAUTHORIZED else dialect.error(why.reason)
        )


def device_role(who: Identity) -> DeviceIdentity:
    """A device speaks for itself, a program that may send for the devices of its scope; who may see hears them."""
    if who.kind is IdentityKind.DEVICE:
        return DeviceIdentity(who.name)
    if Permission.READ in who.permissions and not (who.kind is IdentityKind.PROGRAM and Permission.PUBLISH in who.permissions):
        return DeviceIdentity(admin=True)
    return DeviceIdentity()


def parse_message(text: bytes, dialect: DeviceProtocol) -> dict[str, Any]:
    """A message; what is no JSON object ends the connection."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise LoginRefused("malformed", BAD_TEXT, dialect.error("not a JSON object"))
    if _is_too_deep(text, body):
        raise LoginRefused("malformed", BAD_TEXT, dialect.error(f"nested more than {_DEPTH} deep"))
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
