"""The cookies of a login session."""

from aiohttp import web

from bridge.access.service import AuthService, IssuedTokens
from bridge.api.middleware.auth import identity_of
from bridge.core.errors import StoreUnavailable
from bridge.http.credentials import REFRESH_COOKIE, SESSION_COOKIE, cookie_name, read_cookie
from bridge.http.proxies import is_behind_tls
from bridge.settings import HttpSettings

_REQUEST_PATH = ""
"""A cookie without a path: browsers use the path of the request, which is right behind proxies with a prefix as well."""
_REFRESH_PATH = "/auth"
"""The path of requests below `/auth/`, for a response to another one."""


class SessionCookies:
    def __init__(self, access: AuthService, http: HttpSettings) -> None:
        self._access = access
        self._http = http

    def set(self, request: web.Request, response: web.StreamResponse, tokens: IssuedTokens) -> None:
        self._set(request, response, SESSION_COOKIE, tokens.cookie, "/", tokens.token_seconds)
        self._set(request, response, REFRESH_COOKIE, tokens.refresh, _refresh_path(request), tokens.refresh_seconds)

    def clear(self, request: web.Request, response: web.StreamResponse) -> None:
        for kind, path in ((SESSION_COOKIE, "/"), (REFRESH_COOKIE, _refresh_path(request))):
            secure, name = is_behind_tls(request, self._http), cookie_name(kind, self._access.cookie_id or "")
            response.del_cookie(name, path=path, httponly=True, samesite="Strict", secure=secure)

    async def extend(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send a new session cookie if the one of the request has used half of its time.

        So a program with a cookie jar stays logged in as long as the session lasts: it does not know of refresh tokens.
        """
        cookie = read_cookie(request, SESSION_COOKIE, self._access.cookie_id)
        if "Authorization" in request.headers or not cookie:
            return
        try:
            token = await self._access.extend(identity_of(request), cookie)
        except StoreUnavailable:  # the cookie is still valid
            return
        if token is not None:
            self._set(request, response, SESSION_COOKIE, token, "/", self._access.token_seconds)

    def _set(
        self, request: web.Request, response: web.StreamResponse, kind: str, value: str, path: str, seconds: float
    ) -> None:
        name, secure = cookie_name(kind, self._access.cookie_id or ""), is_behind_tls(request, self._http)
        response.set_cookie(name, value, path=path, max_age=round(seconds), httponly=True, samesite="Strict", secure=secure)


def _refresh_path(request: web.Request) -> str:
    return _REQUEST_PATH if request.path.startswith(f"{_REFRESH_PATH}/") else _REFRESH_PATH
