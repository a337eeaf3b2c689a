"""What a request shows of who it is, from where, and whether it comes from a page of ours. Of every request, a handshake too.

A token stands in a header, or in the cookie of the dashboard; at a handshake also in a subprotocol, and in the address where a
dialect has it so. What was put there on purpose wins over the cookie, which a browser sends along whoever made the page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import web

from bridge.core.errors import Unauthorized
from bridge.http.origins import SAFE, is_from_own_page
from bridge.settings import HttpSettings

SESSION_COOKIE, REFRESH_COOKIE = "sb_session", "sb_refresh"
SUBPROTOCOL = "sensor-bridge"

_BEARER = "bearer."
_QUERY_NAMES = ("token", "access_token")


@dataclass(frozen=True, slots=True)
class Credentials:
    """`credential` is a token or key. With HTTP's Basic, of devices, `device` is the name and `credential` the secret.

    `ignored_cookie` says that there was a cookie that does not count, and nothing else.
    """

    credential: str | None = field(default=None, repr=False)
    device: str | None = None
    ignored_cookie: bool = False


def credentials_from(request: web.Request, http: HttpSettings) -> Credentials:
    """Of a request. Raises `Unauthorized` for what can be read in two ways."""
    header = _header(request)
    if header is None:
        return _cookie(request, http)
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return Credentials(rest.strip())
    if scheme.lower() == "basic":
        try:
            name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            name = colon = secret = ""
        if name and colon and secret:
            return Credentials(secret, device=name)
    raise Unauthorized("malformed", "the header is Authorization: Bearer TOKEN; of a device also Basic, with its id and secret")


def credentials_from_handshake(request: web.Request, http: HttpSettings, *, by_query: bool = False) -> Credentials:
    """Of a handshake. Raises `Unauthorized`. Only with `by_query` may the address have a token: addresses are logged.

    Another scheme than Bearer is asked for by a proxy in front of us, and is not ours.
    """
    in_query = _in_query(request.query_string)
    if in_query and not by_query:
        raise Unauthorized("query", "a token in the address is not looked at here: show it by header, subprotocol or message")
    scheme, _, rest = (_header(request) or "").partition(" ")
    credential = (rest.strip() if scheme.lower() == "bearer" else "") or _offered(request)[1] or _first(in_query)
    return Credentials(credential) if credential else _cookie(request, http)


def select_subprotocol(request: web.Request) -> str | None:
    """The subprotocol to be chosen, whatever it shows. A browser that offers some must be answered with one of them."""
    return _offered(request)[0]


def has_query_token(request: web.Request) -> bool:
    """Whether there is a token where it gets into logs."""
    return bool(_in_query(request.query_string))


def _header(request: web.Request) -> str | None:
    """`Authorization`, as which `X-API-Key` is read too."""
    keys, headers = request.headers.getall("X-API-Key", ()), request.headers.getall("Authorization", ())
    if len(keys) + len(headers) > 1:
        raise Unauthorized("malformed", "show one token or key, in one header")
    return _first(f"Bearer {key}" for key in keys) or _first(headers)


def _in_query(query: str) -> list[str]:
    """Each token, also an empty one; parsed as leniently as whoever else may read the address."""
    named = parse_qs(query, keep_blank_values=True)
    return [token for name, tokens in named.items() if name.lower() in _QUERY_NAMES for token in tokens]


def _offered(request: web.Request) -> tuple[str | None, str | None]:
    """The subprotocol to be chosen, and the token. The name without a token is chosen where it is offered too."""
    offered = [part.strip() for part in ",".join(request.headers.getall("Sec-WebSocket-Protocol", ())).split(",")]
    bearer = _first(one for one in offered if one.startswith(_BEARER))
    chosen = SUBPROTOCOL if SUBPROTOCOL in offered else bearer
    return chosen, None if bearer is None else bearer.removeprefix(_BEARER)


def _first(found: Iterable[str]) -> str | None:
    return next(iter(found), None)


# --- pages ---------------------------------------------------------------------------------------------------------------


def _cookie(request: web.Request, http: HttpSettings) -> Credentials:
    """A browser sends it along whichever page asks, so it counts for pages of ours alone.

    They name their origin, or the browser says that they are ours. Where it says neither, as over plain HTTP when a page reads,
    the cookie counts for what changes nothing: another page could not read the answer. A WebSocket is no such thing.
    """
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        return Credentials()
    unsaid = "Origin" not in request.headers and request.headers.get("Sec-Fetch-Site", "none") == "none"
    reads = request.method in SAFE and "Upgrade" not in request.headers
    return Credentials(cookie) if is_from_own_page(request, http) or (unsaid and reads) else Credentials(ignored_cookie=True)


# --- where it comes from -------------------------------------------------------------------------------------------------
