"""Login by form, for browsers without scripts and for programs with a cookie jar: `/login`, `/logout`, `/auth/csrf`."""

import html
import math

from aiohttp import web
from pydantic import BaseModel, Field

from bridge.access.service import AuthService
from bridge.api.describe import Auth, describes
from bridge.api.login.cookies import SessionCookies
from bridge.api.login.texts import TEXTS, LoginTexts, preferred_language
from bridge.api.middleware.auth import LOGIN_PAGE, identity_of
from bridge.api.middleware.headers import hash_source, page_headers
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import CsrfToken
from bridge.core.access.permissions import IdentityKind
from bridge.core.errors import Forbidden, StoreUnavailable, TemporarilyUnavailable, TooManyAttempts, Unauthorized
from bridge.http.bodies import FORM, read_form
from bridge.http.browsers import is_from_browser, redirect
from bridge.http.origins import is_from_known_page
from bridge.http.proxies import client_address_of
from bridge.settings import HttpSettings

_HOME = "./"
_OPEN_TOKEN = "open"  # noqa: S105 - while access is open any token is right
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { display: grid; min-height: 90vh; place-items: center; margin: 0 }
main { width: min(20rem, 90vw) }
label, input, button { display: block; box-sizing: border-box; width: 100%; font: inherit }
input, button { margin: .25rem 0 1rem; padding: .5rem }
.error { border-inline-start: .25rem solid; padding-inline-start: .5rem }
"""
_HEADERS = {
    **page_headers(f"style-src {hash_source(_STYLE)}"),
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null` with the form
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}


class LoginPageForm(BaseModel):
    """The form of `POST /login`."""

    username: str
    password: str = Field(repr=False)


class LoginPages:
    def __init__(self, access: AuthService, http: HttpSettings, cookies: SessionCookies, read_seconds: float) -> None:
        """A form must arrive within `read_seconds`."""
        self._access = access
        self._http = http
        self._cookies = cookies
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/login", self._page),
            web.post("/login", self._log_in),
            web.get("/logout", self._log_out),
            web.get("/auth/csrf", self._csrf_token),
        ]

    @describes(
        "The login page; a redirect to the dashboard while access is open",
        answers={200: "text/html", 302: None},
        tag="access",
        permission=Auth.NONE,
    )
    async def _page(self, request: web.Request) -> web.Response:
        if not self._access.required:
            raise redirect(_HOME)
        language = preferred_language(request.headers.get("Accept-Language", ""))
        text = _page(language, TEXTS[language], request.query.get("error", ""))
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    @describes(
        "Log in with a form: a redirect to the dashboard with the session's cookies, or back to the login page",
        body={FORM: LoginPageForm},
        answers={302: None},
        problems=(403, 408, 413, 415),
        tag="access",
        permission=Auth.NONE,
    )
    async def _log_in(self, request: web.Request) -> web.Response:
        if not is_from_known_page(request, self._http):
            raise Forbidden("pages of this origin may not log in: add the origin to http.cors_origins")
        form = await read_form(request, self._read_seconds)
        if not self._access.required:
            raise redirect(_HOME)
        address = client_address_of(request, self._http)
        try:
            tokens = await self._access.login(
                form.get("username", ""),
                form.get("password", ""),
                address,
                in_cookie=True,
                by_program=not is_from_browser(request),
            )
        except Unauthorized:
            raise redirect(LOGIN_PAGE, {"error": "wrong"}) from None
        except TooManyAttempts as error:
            response = redirect(LOGIN_PAGE, {"error": "attempts"})
            response.headers["Retry-After"] = str(max(1, math.ceil(error.seconds)))
            raise response from None
        except (StoreUnavailable, TemporarilyUnavailable):
            raise redirect(LOGIN_PAGE, {"error": "unavailable"}) from None
        response = redirect(_HOME)
        self._cookies.set(request, response, tokens)
        raise response

    @describes(
        "Log out: end the session of the cookie, and a redirect to the login page",
        answers={302: None},
        problems=(503,),
        tag="access",
        permission=Auth.OPTIONAL,
    )
    async def _log_out(self, request: web.Request) -> web.Response:
        """A link on another site ends nothing: its request is not from an own page, and the cookie does not count."""
        identity, response = identity_of(request), redirect(LOGIN_PAGE)
        if identity.kind is IdentityKind.PERSON:
            await self._access.logout(identity, "", client_address_of(request, self._http))
            self._cookies.clear(request, response)
        raise response

    @describes(
        "The CSRF token of the session: a program with the session's cookie sends it with each request that changes something",
        answers={200: CsrfToken},
        tag="access",
        permission=Auth.REQUIRED,
    )
    async def _csrf_token(self, request: web.Request) -> web.Response:
        token = self._access.csrf_token(identity_of(request)) if self._access.required else _OPEN_TOKEN
        response = json_response({"csrf_token": token, "header": "X-CSRF-Token", "field": "csrf_token"})
        response.headers["Cache-Control"] = "no-store"
        await self._cookies.extend(request, response)
        return response


def _page(language: str, texts: LoginTexts, error: str) -> str:
    """Return the page; `error` is a code in the address, and anything else than a known one is ignored."""
    refusal = {"wrong": texts.wrong, "attempts": texts.attempts, "unavailable": texts.unavailable}.get(error)
    message = f'<p class="error" role="alert">{html.escape(refusal)}</p>' if refusal else ""
    return f"""<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{texts.title} · Sensor Bridge</title>
<style>{_STYLE}</style>
<main>
<h1>{texts.title}</h1>
{message}
<form method="post" action="login">
<label for="username">{texts.username}</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">{texts.password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">{texts.submit}</button>
</form>
</main>
</html>
"""
