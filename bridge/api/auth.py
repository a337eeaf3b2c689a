"""Logging in, staying, leaving."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.access.service import AuthService, IssuedTokens
from bridge.api.bodies import read_object
from bridge.api.describe import Auth, describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import IdentityResponse, TokenResponse
from bridge.core.access.accounts import scope_to_document
from bridge.core.errors import Forbidden, Unauthorized
from bridge.core.timestamp import iso
from bridge.http.credentials import REFRESH_COOKIE, SESSION_COOKIE
from bridge.http.origins import is_from_known_page, is_from_own_page
from bridge.http.proxies import client_address_of, is_behind_tls
from bridge.settings import HttpSettings

_BODY_BYTES = 4096
_PATH = "/auth"
_HERE = ""
"""No path: a browser takes that of these calls, also where a proxy has put them below one of its own."""
_Text = Annotated[str, Field(max_length=1024)]


class LoginRequest(BaseModel):
    """`cookies` false is for programs: what renews the token stands in the answer, and no cookie is set."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    username: _Text
    password: Annotated[_Text, Field(repr=False)]
    cookies: bool = True


class FirstAdminRequest(BaseModel):
    """`token` is what the link ends in that the bridge prints where there is no user yet."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: Annotated[_Text, Field(repr=False)]
    password: Annotated[_Text, Field(repr=False)]


class RefreshRequest(BaseModel):
    """Of a program; the dashboard sends its cookie, and an empty object or none."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    refresh_token: Annotated[_Text | None, Field(repr=False)] = None


class AuthApi:
    """`/auth/…`."""

    def __init__(self, control: AuthService, http: HttpSettings, seconds: float) -> None:
        """A body must arrive within `seconds`."""
        self._control = control
        self._http = http
        self._seconds = seconds

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [
            web.post(f"{_PATH}/login", self._login),
            web.post(f"{_PATH}/setup", self._set_up),
            web.post(f"{_PATH}/refresh", self._refresh),
            web.post(f"{_PATH}/logout", self._logout),
            web.get(f"{_PATH}/me", self._me),
        ]

    @describes(
        "Log in: a token, and what renews it",
        body=LoginRequest,
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 429, 503),
        tag="access",
        right=Auth.NONE,
    )
    async def _login(self, request: web.Request) -> web.Response:
        asked = LoginRequest.model_validate(await self._body(request))
        given = await self._control.login(asked.username, asked.password, client_address_of(request, self._http))
        return self._answer(request, given, cookies=asked.cookies)

    @describes(
        "Make the first admin, by the link that is printed where there is no user yet",
        body=FirstAdminRequest,
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 422, 429, 503),
        tag="access",
        right=Auth.NONE,
    )
    async def _set_up(self, request: web.Request) -> web.Response:
        asked = FirstAdminRequest.model_validate(await self._body(request))
        given = await self._control.create_first_admin(asked.token, asked.password, client_address_of(request, self._http))
        return self._answer(request, given, cookies=True)

    @describes(
        "Another token for a session; what renews it is another one too, and that of before worth nothing",
        body=RefreshRequest,
        answers={200: TokenResponse},
        problems=(401, 403, 408, 413, 415, 503),
        tag="access",
        right=Auth.NONE,
    )
    async def _refresh(self, request: web.Request) -> web.Response:
        shown, by_cookie = await self._renewing(request)
        if not shown:
            raise Unauthorized("missing", "log in first")
        given = await self._control.refresh(shown, client_address_of(request, self._http))
        return self._answer(request, given, cookies=by_cookie)

    @describes(
        "End the session, here and wherever its tokens are",
        body=RefreshRequest,
        answers={204: None},
        problems=(403, 408, 413, 415, 503),
        tag="access",
        right=Auth.OPTIONAL,
    )
    async def _logout(self, request: web.Request) -> web.Response:
        shown, _ = await self._renewing(request)
        if self._control.required:
            await self._control.logout(identity_of(request), shown, client_address_of(request, self._http))
        answer = web.Response(status=204)
        for name, path in ((SESSION_COOKIE, "/"), (REFRESH_COOKIE, _HERE)):
            answer.del_cookie(name, path=path, httponly=True, samesite="Strict", secure=is_behind_tls(request, self._http))
        return answer

    @describes("Who am I, and what may I do?", answers={200: IdentityResponse}, tag="access", right=Auth.REQUIRED)
    async def _me(self, request: web.Request) -> web.Response:
        who = identity_of(request)
        return json_response(
            {
                "kind": who.kind,
                "name": who.name,
                "rights": sorted(who.permissions),
                "scope": scope_to_document(who.scope),
                "expires": None if who.expires is None else iso(round(who.expires * 1000)),
                "required": self._control.required,
            }
        )

    async def _renewing(self, request: web.Request) -> tuple[str, bool]:
        """What renews a session, and whether it came as a cookie; then only a page of ours may use it."""
        body = RefreshRequest.model_validate(await self._body(request) if request.can_read_body else {})
        if body.refresh_token is not None:
            return body.refresh_token, False
        shown = request.cookies.get(REFRESH_COOKIE, "")
        if (shown or SESSION_COOKIE in request.cookies) and not is_from_own_page(request, self._http):
            raise Forbidden("a page of ours must ask for this, or a program, with refresh_token in the body")
        return shown, True

    async def _body(self, request: web.Request) -> dict[str, object]:
        """JSON, said to be so: a form of another page cannot. Nor may such a page log somebody in by script."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the body is application/json; say so in Content-Type")
        if not is_from_known_page(request, self._http):
            raise Forbidden("pages of this origin may not log in here; http.cors_origins names those that may")
        if (request.content_length or 0) > _BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(_BODY_BYTES, request.content_length or 0)
        return await read_object(request, self._seconds)

    def _answer(self, request: web.Request, given: IssuedTokens, *, cookies: bool) -> web.Response:
        body: dict[str, object] = {
            "access_token": given.token,
            "token_type": "bearer",
            "expires_in": round(given.token_seconds),
            "role": given.user.role,
        }
        if not cookies:
            body["refresh_token"] = given.refresh
        answer = json_response(body)
        answer.headers["Cache-Control"] = "no-store"
        if cookies:
            secure = is_behind_tls(request, self._http)
            for name, value, path, seconds in (
                (SESSION_COOKIE, given.token, "/", given.token_seconds),
                (REFRESH_COOKIE, given.refresh, _HERE, given.refresh_seconds),
            ):
                answer.set_cookie(
                    name, value, path=path, max_age=round(seconds), httponly=True, samesite="Strict", secure=secure
                )
        return answer
