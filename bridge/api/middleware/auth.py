"""Authentication and authorization: one middleware before every route, where access is required.

A route states its permission at its handler: `@describes(…, permission=Permission.READ)`. A route that is not described needs
`Permission.READ`, except the dashboard with its files (`@public`) and the sockets, which authenticate their clients themselves.
"""

import hmac
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.api.describe import Auth, operation_of
from bridge.api.middleware.problems import Handler
from bridge.core.access.permissions import ANYONE, NOBODY, Identity, IdentityKind, Permission
from bridge.core.errors import BridgeError, DeviceNotInScope, Forbidden, Unauthorized
from bridge.http.bodies import FORM, read_form
from bridge.http.browsers import is_navigation, redirect
from bridge.http.credentials import credentials_from
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog, Authentication
from bridge.realtime import channel_protocol, topic_protocol
from bridge.realtime.device import server as device
from bridge.realtime.socketio import server as socketio
from bridge.settings import HttpSettings

LOGIN_PAGE = "login"
"""Relative to the routes of forms, which are beside it."""

F = TypeVar("F", bound=Callable[..., object])

SOCKETS = frozenset((channel_protocol.PATH, channel_protocol.SECURE_PATH, device.PATH, socketio.PATH, topic_protocol.PATH))
"""Paths whose handlers authenticate clients themselves."""

_CONFIRM_COOKIE = (
    "a request with the session cookie and without Origin needs the CSRF token of its session: "
    "GET /auth/csrf with this cookie, and send the token in the header X-CSRF-Token or in the form field csrf_token; "
    "or send an API key in X-API-Key instead of the cookie"
)

_IDENTITY = web.RequestKey("identity", Identity)


def public(handler: F) -> F:
    """Mark a handler as public: it serves only static files."""
    handler.__public__ = True  # type: ignore[attr-defined]
    return handler


def identity_of(request: web.Request) -> Identity:
    """Return the identity of the caller; `ANYONE` while access is open."""
    identity: Identity = request.get(_IDENTITY, ANYONE)
    return identity


def check_unscoped(request: web.Request) -> None:
    """Raise `Forbidden` if the caller's permissions are limited to some devices."""
    if identity_of(request).scope is not None:
        raise Forbidden("this concerns all devices, and your permissions are limited to some")


def required_access(request: web.Request) -> Permission | Auth:
    """Return the access that the route of a request requires."""
    handler = request.match_info.handler
    operation = operation_of(handler)
    if operation is not None:
        return operation.permission
    resource = request.match_info.route.resource
    if isinstance(resource, web.StaticResource) or getattr(handler, "__public__", False):
        return Auth.NONE
    return Auth.NONE if resource is not None and resource.canonical in SOCKETS else Permission.READ


def _is_by_link(request: web.Request) -> bool:
    operation = operation_of(request.match_info.handler)
    return operation is not None and operation.by_link


def redirects(request: web.Request) -> bool:
    """Whether the route of a request answers browsers with redirects."""
    operation = operation_of(request.match_info.handler)
    return operation is not None and web.HTTPFound.status_code in operation.answers


def middleware(access: Authentication, audit: AuditLog, http: HttpSettings) -> Middleware:
    """Return the middleware for an application whose access is required."""
    guard = _Guard(access, audit, http)

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None:
            return await handler(request)
        try:
            request[_IDENTITY] = await guard.authorize(request, required_access(request))
            return await handler(request)
        except Unauthorized:
            if is_navigation(request) and redirects(request):
                raise redirect(LOGIN_PAGE) from None
            raise
        except Forbidden as error:
            guard.record(request, why=str(error))
            raise
        except DeviceNotInScope as error:
            guard.record(request, why="out of reach", device=error.device_id)
            raise

    return authorize


class _Guard:
    def __init__(self, access: Authentication, audit: AuditLog, http: HttpSettings) -> None:
        self._access = access
        self._audit = audit
        self._http = http

    async def authorize(self, request: web.Request, requirement: Permission | Auth) -> Identity:
        """Return the caller's identity. Raises `Unauthorized`, `Forbidden`, `TooManyAttempts` or `StoreUnavailable`."""
        match requirement:
            case Auth.NONE:
                return NOBODY
            case Auth.OPTIONAL:
                try:
                    identity = await self._identify(request)
                except BridgeError:
                    return NOBODY
                return NOBODY if identity.kind is IdentityKind.LINK else identity
            case Auth.REQUIRED:
                return await self._identify(request)
            case Auth.UNSTATED:
                requirement = Permission.ADMIN
        identity = request[_IDENTITY] = await self._identify(request)
        if requirement not in identity.permissions:
            raise Forbidden(f"this needs the right to {requirement}, which you do not have")
        if identity.kind is IdentityKind.LINK and not _is_by_link(request):
            raise Forbidden("this is not part of what the link shows")
        return identity

    async def _identify(self, request: web.Request) -> Identity:
        address = client_address_of(request, self._http)
        try:
            credentials = credentials_from(request, self._http, self._access.cookie_id)
            if credentials.ignored_cookie:
                request[_IDENTITY] = NOBODY
                return await self._confirmed(request, credentials.unconfirmed_cookie, address)
            if credentials.device is not None:
                return await self._access.identify_device(credentials.device, credentials.credential or "", address)
            return await self._access.identify(credentials.credential, address, in_cookie=credentials.in_cookie)
        except Unauthorized as error:
            if error.code != "missing":
                self._audit.record("refused", actor=NOBODY, address=address, target=_path(request), why=error.code)
            raise

    async def _confirmed(self, request: web.Request, cookie: str, address: str) -> Identity:
        """The identity of a cookie that a CSRF token confirms, or that is in no browser. Raises `Forbidden` otherwise."""
        if not cookie:
            raise Forbidden("cookies are accepted from the bridge's own pages only: programs send a token in Authorization")
        identity = await self._access.identify(cookie, address, in_cookie=True)
        if self._access.is_of_program(cookie):
            return identity
        token = await _csrf_token(request, self._http.post_seconds)
        if not token:
            raise Forbidden(_CONFIRM_COOKIE)
        expected = self._access.csrf_token(identity)
        if not expected or not hmac.compare_digest(token.encode("utf-8", "replace"), expected.encode()):
            raise Forbidden(f"the CSRF token is not that of this session: {_CONFIRM_COOKIE}")
        return identity

    def record(self, request: web.Request, **details: str) -> None:
        """Record in the audit log that an authenticated caller was refused."""
        address = client_address_of(request, self._http)
        self._audit.record("refused", actor=identity_of(request), address=address, target=_path(request), **details)


async def _csrf_token(request: web.Request, seconds: float) -> str:
    """The token in a header or, as pages send it, in a form."""
    header = request.headers.get("X-CSRF-Token") or request.headers.get("X-CSRFToken")
    if header is None and request.content_type == FORM:
        return (await read_form(request, seconds)).get("csrf_token", "")
    return header or ""


def _path(request: web.Request) -> str:
    """Method and path of the route; the path of the request itself may contain anything."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource is not None else request.method
