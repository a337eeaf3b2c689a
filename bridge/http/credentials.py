"""The credentials in an HTTP request or a WebSocket handshake.

A token is read from the `Authorization` or `X-API-Key` header, or from the session cookie of the dashboard; in a handshake also
from a subprotocol (`bearer.TOKEN`) and, where a path allows it, from the query string. Explicit credentials take precedence
over the cookie, because a browser attaches the cookie to requests of any page (CSRF): it counts for requests of the bridge's
own pages only.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import web

from bridge.core.access.secrets import KEY_PREFIX
from bridge.core.errors import Unauthorized
from bridge.http.origins import SAFE, is_from_own_page
from bridge.settings import HttpSettings

SESSION_COOKIE, REFRESH_COOKIE = "sb_session", "sb_refresh"
"""What the names of cookies begin with; they end with the bridge's `cookie_id`."""
SUBPROTOCOL = "sensor-bridge"

_BEARER = "bearer."
_QUERY_NAMES = ("token", "access_token")


@dataclass(frozen=True, slots=True)
class Credentials:
    """`credential` is a token, API key or secret; None if there is none.

    `device` is the name of the device with this secret, from Basic authentication or a login message. `ignored_cookie` means
    that the request had no credentials but a session cookie, which was ignored to prevent CSRF; `unconfirmed_cookie` is that
    cookie if a CSRF token in the request may confirm it. `in_cookie` means that the credential is from the session cookie.
    """

    credential: str | None = field(default=None, repr=False)
    device: str | None = None
    ignored_cookie: bool = False
    unconfirmed_cookie: str = field(default="", repr=False)
    in_cookie: bool = False


def cookie_name(kind: str, cookie_id: str) -> str:
    """The name of the cookie of a kind, `SESSION_COOKIE` or `REFRESH_COOKIE`."""
    return f"{kind}_{cookie_id}"


def read_cookie(request: web.BaseRequest, kind: str, cookie_id: str | None) -> str:
    """The value of the cookie of a kind, empty if there is none; while the id is unknown, any bridge's."""
    if cookie_id is not None:
        return request.cookies.get(cookie_name(kind, cookie_id), "")
    return _first(value for name, value in request.cookies.items() if name.startswith(f"{kind}_")) or ""


def credentials_from(request: web.Request, http: HttpSettings, cookie_id: str | None) -> Credentials:
    """The credentials of a request. Raises `Unauthorized` if they are malformed or ambiguous."""
    header = _authorization(request)
    if header is None:
        return _cookie(request, http, cookie_id)
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return Credentials(rest.strip())
    if scheme.lower() == "basic":
        try:
            name, secret = _name_and_secret(base64.b64decode(rest.strip(), validate=True).decode("utf-8"))
        except (binascii.Error, ValueError):
            name = secret = ""
        if name and secret:
            return Credentials(secret, device=name)
    raise Unauthorized("malformed", "send Authorization: Bearer TOKEN; a device may send Basic with its id and secret")


def _name_and_secret(text: str) -> tuple[str, str]:
    """Split the text of Basic at its first colon, or, since a device id may contain one, before the API key of a device."""
    key = text.rfind(f":{KEY_PREFIX}")
    at = text.find(":") if key < 0 else key
    return ("", "") if at < 0 else (text[:at], text[at + 1 :])


def credentials_from_handshake(
    request: web.Request, http: HttpSettings, cookie_id: str | None, *, by_query: bool = False
) -> Credentials:
    """The credentials of a WebSocket handshake. Raises `Unauthorized` if they are malformed or ambiguous.

    A token in the query string is accepted with `by_query` only, and otherwise refused: URLs end up in logs. Authorization
    schemes other than Bearer are ignored, since they are for a proxy in front of the bridge.
    """
    in_query = _query_tokens(request.query_string)
    if in_query and not by_query:
        raise Unauthorized("query", "a token in the query string is not accepted: send it by header, subprotocol or message")
    scheme, _, rest = (_authorization(request) or "").partition(" ")
    credential = (rest.strip() if scheme.lower() == "bearer" else "") or _subprotocol(request)[1] or _first(in_query)
    return Credentials(credential) if credential else _cookie(request, http, cookie_id)


def select_subprotocol(request: web.Request) -> str | None:
    """The subprotocol to accept, or None. A browser closes the connection unless a subprotocol that it offered is accepted."""
    return _subprotocol(request)[0]


def has_query_token(request: web.Request) -> bool:
    """Whether the query string has a token, where it ends up in logs."""
    return bool(_query_tokens(request.query_string))


def _authorization(request: web.Request) -> str | None:
    """The value of `Authorization`. `X-API-Key: KEY` stands for `Authorization: Bearer KEY`; both at once are ambiguous."""
    keys, headers = request.headers.getall("X-API-Key", ()), request.headers.getall("Authorization", ())
    if len(keys) + len(headers) > 1:
        raise Unauthorized("malformed", "send one token or API key, in one header")
    return _first(f"Bearer {key}" for key in keys) or _first(headers)


def _query_tokens(query: str) -> list[str]:
    """Every token in a query string, empty ones too, by names in any case: as leniently as other readers of the URL."""
    parameters = parse_qs(query, keep_blank_values=True)
    return [token for name, tokens in parameters.items() if name.lower() in _QUERY_NAMES for token in tokens]


def _subprotocol(request: web.Request) -> tuple[str | None, str | None]:
    """The subprotocol to accept, and the token in `bearer.TOKEN`.

    `sensor-bridge` is preferred, so that the token is not repeated in the response.
    """
    offered = [part.strip() for part in ",".join(request.headers.getall("Sec-WebSocket-Protocol", ())).split(",")]
    bearer = _first(name for name in offered if name.startswith(_BEARER))
    accepted = SUBPROTOCOL if SUBPROTOCOL in offered else bearer
    return accepted, None if bearer is None else bearer.removeprefix(_BEARER)


def _first(values: Iterable[str]) -> str | None:
    return next(iter(values), None)


def _cookie(request: web.Request, http: HttpSettings, cookie_id: str | None) -> Credentials:
    """The session cookie, if the request comes from one of the bridge's own pages (CSRF protection).

    This is the case if `Origin` or `Sec-Fetch-Site` says so. Browsers send neither for same-origin reads over plain HTTP:
    without both headers the cookie counts for safe methods, which change nothing and whose response the same-origin policy
    hides from other pages. It does not count for a WebSocket handshake then, since that policy does not cover WebSockets.
    Programs send neither with other methods: they confirm their cookie with a CSRF token, which no other page can read.
    """
    cookie = read_cookie(request, SESSION_COOKIE, cookie_id)
    if not cookie:
        return Credentials()
    unstated = "Origin" not in request.headers and request.headers.get("Sec-Fetch-Site", "none") == "none"
    is_handshake = "Upgrade" in request.headers
    if is_from_own_page(request, http) or (unstated and request.method in SAFE and not is_handshake):
        return Credentials(cookie, in_cookie=True)
    is_of_program = unstated and "Sec-Fetch-Site" not in request.headers and not is_handshake
    return Credentials(ignored_cookie=True, unconfirmed_cookie=cookie if is_of_program else "")
