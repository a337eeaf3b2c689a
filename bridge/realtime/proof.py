"""What somebody shows when he connects: a token by header, subprotocol or cookie. Where it may not be, it is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import web

from bridge.core.errors import Unauthorized
from bridge.realtime.handshake import is_own
from bridge.realtime.shown import SESSION_COOKIE

SUBPROTOCOL = "sensor-bridge"
_BEARER = "bearer."
_QUERY_NAMES = ("token", "access_token")
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Proof:
    """A token, if there was one, and the subprotocol to be chosen, if one was offered that is ours."""

    token: str | None = field(default=None, repr=False)
    subprotocol: str | None = None


def proof_of(request: web.Request, *, by_query: bool = False) -> Proof:
    """What a handshake shows; raises `Unauthorized`. Only with `by_query` may the address have it: addresses are logged."""
    subprotocol, offered = _offered(request)
    in_query = _in_query(request.query_string)
    if in_query and not by_query:
        raise Unauthorized("query", "a token in the address is not looked at here: show it by header, subprotocol or message")
    token = _by_header(request) or offered or (in_query[0] if in_query else None) or _by_cookie(request)
    return Proof(token, subprotocol)


def subprotocol_of(request: web.Request) -> str | None:
    """The subprotocol to be chosen, whatever it shows. A browser that offers some must be answered with one of them."""
    return _offered(request)[0]


def in_address(request: web.Request) -> bool:
    """Whether there is a token where it gets into logs."""
    return bool(_in_query(request.query_string))


def _in_query(query: str) -> list[str]:
    """Each token, also an empty one; parsed as leniently as whoever else may read the address."""
    named = parse_qs(query, keep_blank_values=True)
    return [token for name, tokens in named.items() if name.lower() in _QUERY_NAMES for token in tokens]


def _by_header(request: web.Request) -> str | None:
    """Of `Authorization: Bearer` or `X-API-Key`; what a proxy in front of us asks for by another scheme is not ours."""
    keys, headers = request.headers.getall("X-API-Key", ()), request.headers.getall("Authorization", ())
    if len(keys) + len(headers) > 1:
        raise Unauthorized("malformed", "show one token or key, in one header")
    bearers = [one[len(_SCHEME) :] for one in headers if one.lower().startswith(_SCHEME)]
    return _first(one.strip() for one in (*keys, *bearers))


def _offered(request: web.Request) -> tuple[str | None, str | None]:
    """The subprotocol to be chosen, and the token. The name without a token is chosen where it is offered too."""
    offered = [part.strip() for part in ",".join(request.headers.getall("Sec-WebSocket-Protocol", ())).split(",")]
    bearer = _first(one for one in offered if one.startswith(_BEARER))
    chosen = SUBPROTOCOL if SUBPROTOCOL in offered else bearer
    return chosen, None if bearer is None else bearer.removeprefix(_BEARER)


def _first(found: Iterable[str]) -> str | None:
    return next(iter(found), None)


def _by_cookie(request: web.Request) -> str | None:
    """A browser sends it along whichever page asks, so it counts for our own pages alone.

    They name their origin; or, where a browser names none for its own (long-polling by GET), it says `Sec-Fetch-Site` itself:
    no page can. What names neither is no browser that we know, and has no use for a cookie.
    """
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie is None:
        return None
    origin = request.headers.get("Origin")
    if origin is None and request.headers.get("Sec-Fetch-Site") != "same-origin":
        raise Unauthorized("origin", "a cookie counts for pages of this bridge only, and no origin is named")
    return cookie if origin is None or is_own(origin, request) else None
