"""Who asks, and may he: one middleware before every route, where access is required.

What a route needs stands at its handler, `@describes(…, right=Permission.SEE)`. What is not described is refused without the right
to see, but for the page with its files (`@public`) and the sockets that ask for themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.api.describe import Auth, operation_of
from bridge.api.middleware.problems import Handler
from bridge.core.access.permissions import ANYONE, NOBODY, Identity, Permission
from bridge.core.errors import BridgeError, DeviceNotInScope, Forbidden, Unauthorized
from bridge.http.credentials import credentials_from
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog, Authentication
from bridge.realtime import channels, topics
from bridge.realtime.device import server as device
from bridge.realtime.socketio import server as socketio
from bridge.settings import HttpSettings

F = TypeVar("F", bound=Callable[..., object])

SOCKETS = frozenset((channels.PATH, channels.SECURE_PATH, device.PATH, socketio.PATH, topics.PATH))
"""Paths whose handlers ask for themselves who comes."""

_WHO = web.RequestKey("identity", Identity)


def public(handler: F) -> F:
    """Whoever comes is answered: there is nothing in it but what was shipped."""
    handler.__public__ = True  # type: ignore[attr-defined]
    return handler


def identity_of(request: web.Request) -> Identity:
    """Who asks. `ANYONE` while access is open."""
    who: Identity = request.get(_WHO, ANYONE)
    return who


def check_unscoped(request: web.Request) -> None:
    """Raises `Forbidden` for somebody who is bound to some devices: what is asked for is of all."""
    if identity_of(request).scope is not None:
        raise Forbidden("this is about all devices, and you may see or send for some")


def required_access(request: web.Request) -> Permission | Auth:
    """What a request needs."""
    handler = request.match_info.handler
    told = operation_of(handler)
    if told is not None:
        return told.permission
    resource = request.match_info.route.resource
    if isinstance(resource, web.StaticResource) or getattr(handler, "__public__", False):
        return Auth.NONE
    return Auth.NONE if resource is not None and resource.canonical in SOCKETS else Permission.READ


def middleware(access: Authentication, audit: AuditLog, http: HttpSettings) -> Middleware:
    """For an application whose access is required."""
    watch = _Watch(access, audit, http)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None:
            return await handler(request)
        try:
            request[_WHO] = await watch.let_in(request, required_access(request))
            return await handler(request)
        except Forbidden as error:
            watch.note(request, why=str(error))
            raise
        except DeviceNotInScope as error:
            watch.note(request, why="out of reach", device=error.device_id)
            raise

    return guard


class _Watch:
    def __init__(self, access: Authentication, audit: AuditLog, http: HttpSettings) -> None:
        self._access = access
        self._audit = audit
        self._http = http

    async def let_in(self, request: web.Request, door: Permission | Auth) -> Identity:
        """Who asks; raises `Unauthorized`, `Forbidden` and what stands in the way of telling."""
        match door:
            case Auth.NONE:
                return NOBODY
            case Auth.OPTIONAL:
                try:
                    return await self._who(request)
                except BridgeError:
                    return NOBODY
            case Auth.REQUIRED:
                return await self._who(request)
            case Auth.UNSTATED:
                door = Permission.ADMIN
        identity = request[_WHO] = await self._who(request)
        if door not in identity.permissions:
            raise Forbidden(f"this needs the right to {door}, which you do not have")
        return identity

    async def _who(self, request: web.Request) -> Identity:
        address = client_address_of(request, self._http)
        try:
            shown = credentials_from(request, self._http)
            if shown.ignored_cookie:
                request[_WHO] = NOBODY
                raise Forbidden("a page of ours must ask for this, or a program, with its token in the header Authorization")
            if shown.device is not None:
                return await self._access.identify_device(shown.device, shown.credential or "", address)
            return await self._access.identify(shown.credential, address)
        except Unauthorized as error:
            if error.code != "missing":
                self._audit.record("refused", actor=NOBODY, address=address, target=_path(request), why=error.code)
            raise

    def note(self, request: web.Request, **more: str) -> None:
        """Somebody known was refused."""
        address = client_address_of(request, self._http)
        self._audit.record("refused", actor=identity_of(request), address=address, target=_path(request), **more)


def _path(request: web.Request) -> str:
    """As the route has it: what was asked for may be anything."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource is not None else request.method
