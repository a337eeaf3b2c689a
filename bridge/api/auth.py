"""Login, refresh, logout, and the identity of the caller."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.access.service import AuthService, IssuedTokens
from bridge.api.bodies import read_object
from bridge.api.describe import Auth, describes
from bridge.api.login.cookies import SessionCookies
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import IdentityResponse, TokenResponse
from bridge.core.access.accounts import scope_to_document
from bridge.core.errors import Forbidden, Unauthorized
from bridge.core.timestamp import iso
from bridge.http.bodies import FORM, read_form
from bridge.http.credentials import REFRESH_COOKIE, SESSION_COOKIE, read_cookie
from bridge.http.origins import is_from_known_page, is_from_own_page
from bridge.http.proxies import client_address_of
from bridge.settings import HttpSettings

_BODY_BYTES = 4096
_PATH = "/auth"
_Text = Annotated[str, Field(max_length=1024)]


class LoginRequest(BaseModel):
    """With `cookies` false, for programs, the refresh token is in the response and no cookie is set."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    username: _Text
    password: Annotated[_Text, Field(repr=False)]
    cookies: bool = True


class LoginForm(BaseModel):
    """The form of an OAuth 2 password login; its other fields are ignored. The refresh token is in the response."""

    model_config = ConfigDict(hide_input_in_errors=True)

    username: _Text
    password: Annotated[_Text, Field(repr=False)]


class FirstAdminRequest(BaseModel):
    """`token` is the secret at the end of the setup link, which the bridge prints while there is no user."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: Annotated[_Text, Field(repr=False)]
    password: Annotated[_Text, Field(repr=False)]


class PasswordRequest(BaseModel):
    """The user's own password and the new one."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    current: Annotated[_Text, Field(repr=False)]
    new: Annotated[_Text, Field(repr=False)]


class RefreshRequest(BaseModel):
    """Programs send the refresh token; the dashboard sends its cookie, with an empty object or no body."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    refresh_token: Annotated[_Text | None, Field(repr=False)] = None


class AuthApi:
    def __init__(self, access: AuthService, http: HttpSettings, cookies: SessionCookies, read_seconds: float) -> None:
        """A body must arrive within `read_seconds`."""
        self._access = access
        self._cookies = cookies
        self._http = http
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{_PATH}/login", self._login),
            web.post(f"{_PATH}/setup", self._set_up),
            web.post(f"{_PATH}/refresh", self._refresh),
            web.post(f"{_PATH}/logout", self._logout),
            web.get(f"{_PATH}/me", self._me),
            web.post(f"{_PATH}/password", self._change_password),
        ]

    @describes(
        "Log in: an access token and a refresh token; by form without cookies, as OAuth 2 clients do",
        body={"application/json": LoginRequest, FORM: LoginForm},
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 429, 503),
        tag="access",
        permission=Auth.NONE,
    )
    async def _login(self, request: web.Request) -> web.Response:
        login = await self._read_login(request)
        address = client_address_of(request, self._http)
        tokens = await self._access.login(login.username, login.password, address, in_cookie=login.cookies)
        return self._response(request, tokens, cookies=login.cookies)

    @describes(
        "Create the first admin, with the link that is printed while there is no user",
        body=FirstAdminRequest,
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 422, 429, 503),
        tag="access",
        permission=Auth.NONE,
    )
    async def _set_up(self, request: web.Request) -> web.Response:
        admin = FirstAdminRequest.model_validate(await self._read(request))
        tokens = await self._access.create_first_admin(admin.token, admin.password, client_address_of(request, self._http))
        return self._response(request, tokens, cookies=True)

    @describes(
        "Refresh: a new access token and a new refresh token; the old refresh token is no longer valid",
        body=RefreshRequest,
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 503),
        tag="access",
        permission=Auth.NONE,
    )
    async def _refresh(self, request: web.Request) -> web.Response:
        refresh_token, from_cookie = await self._refresh_token(request)
        if not refresh_token:
            raise Unauthorized("missing", "log in first")
        tokens = await self._access.refresh(refresh_token, client_address_of(request, self._http), in_cookie=from_cookie)
        return self._response(request, tokens, cookies=from_cookie)

    @describes(
        "Log out: end the session and revoke its tokens",
        body=RefreshRequest,
        answers={204: None},
        problems=(403, 408, 413, 415, 503),
        tag="access",
        permission=Auth.OPTIONAL,
    )
    async def _logout(self, request: web.Request) -> web.Response:
        refresh_token, _ = await self._refresh_token(request)
        await self._access.logout(identity_of(request), refresh_token, client_address_of(request, self._http))
        response = web.Response(status=204)
        self._cookies.clear(request, response)
        return response

    @describes(
        "The identity of the caller, and its permissions",
        answers={200: IdentityResponse},
        tag="access",
        permission=Auth.REQUIRED,
    )
    async def _me(self, request: web.Request) -> web.Response:
        identity = identity_of(request)
        return json_response(
            {
                "kind": identity.kind,
                "name": identity.name,
                "rights": sorted(identity.permissions),
                "scope": scope_to_document(identity.scope),
                "expires": None if identity.expires is None else iso(round(identity.expires * 1000)),
                "required": self._access.required,
            }
        )

    @describes(
        "Change the caller's own password; their other sessions end",
        body=PasswordRequest,
        answers={204: None},
        problems=(408, 413, 415, 422, 429, 503),
        tag="access",
        permission=Auth.REQUIRED,
    )
    async def _change_password(self, request: web.Request) -> web.Response:
        if not self._access.required:
            raise Forbidden("access is open: nobody is logged in, so there is no password to change")
        body = PasswordRequest.model_validate(await self._read(request))
        address = client_address_of(request, self._http)
        await self._access.change_password(identity_of(request), body.current, body.new, address)
        return web.Response(status=204)

    async def _refresh_token(self, request: web.Request) -> tuple[str, bool]:
        """Return the refresh token, and whether it is from a cookie, which only the bridge's own pages may use."""
        body = RefreshRequest.model_validate(await self._read(request) if request.can_read_body else {})
        if body.refresh_token is not None:
            return body.refresh_token, False
        cookie_id = self._access.cookie_id
        cookie = read_cookie(request, REFRESH_COOKIE, cookie_id)
        if (cookie or read_cookie(request, SESSION_COOKIE, cookie_id)) and not is_from_own_page(request, self._http):
            raise Forbidden("cookies are accepted from the bridge's own pages only: programs send refresh_token in the body")
        return cookie, True

    async def _read_login(self, request: web.Request) -> LoginRequest:
        if request.content_type != FORM:
            return LoginRequest.model_validate(await self._read(request))
        self._check_origin(request)
        form = LoginForm.model_validate(await read_form(request, self._read_seconds))
        return LoginRequest(username=form.username, password=form.password, cookies=False)

    async def _read(self, request: web.Request) -> dict[str, object]:
        """Read a JSON body. No page of another origin may log a user in."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the body must be JSON, with Content-Type application/json")
        self._check_origin(request)
        return await read_object(request, self._read_seconds)

    def _check_origin(self, request: web.Request) -> None:
        if not is_from_known_page(request, self._http):
            raise Forbidden("pages of this origin may not log in: add the origin to http.cors_origins")
        if (request.content_length or 0) > _BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(_BODY_BYTES, request.content_length or 0)

    def _response(self, request: web.Request, tokens: IssuedTokens, *, cookies: bool) -> web.Response:
        body: dict[str, object] = {
            "access_token": tokens.token,
            "token_type": "bearer",
            "expires_in": round(tokens.token_seconds),
            "role": tokens.user.role,
        }
        if not cookies:
            body["refresh_token"] = tokens.refresh
        response = json_response(body)
        response.headers["Cache-Control"] = "no-store"
        if cookies:
            self._cookies.set(request, response, tokens)
        return response
