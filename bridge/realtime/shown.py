"""What a request shows of who it is, from where, and whether it comes from a page of ours. Of every request, a handshake too.

A token stands in a header, or in the cookie of the dashboard. A header wins: it was put there on purpose, while a browser sends
a cookie along whoever made the page. So what a cookie opens wants a proof that the page is ours.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from bridge.core.errors import Unauthorized
from bridge.realtime.gate import client_address, is_trusted
from bridge.settings import HttpSettings

SESSION_COOKIE, REFRESH_COOKIE = "sb_session", "sb_refresh"


@dataclass(frozen=True, slots=True)
class Shown:
    """`credential` is a token or key. With HTTP's Basic, of devices, `device` is the name and `credential` the secret."""

    credential: str | None = field(default=None, repr=False)
    by_cookie: bool = False
    device: str | None = None


def shown_by(request: web.Request) -> Shown:
    """Raises `Unauthorized` for what can be read in two ways."""
    headers = [*request.headers.getall("Authorization", ()), *request.headers.getall("X-API-Key", ())]
    if len(headers) > 1:
        raise Unauthorized("malformed", "show one token or key, in one header")
    if "X-API-Key" in request.headers:
        return Shown(headers[0].strip())
    if headers:
        return _authorization(headers[0])
    cookie = request.cookies.get(SESSION_COOKIE)
    return Shown(cookie, by_cookie=True) if cookie else Shown()


def _authorization(header: str) -> Shown:
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return Shown(rest.strip())
    if scheme.lower() == "basic":
        try:
            name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            name = colon = secret = ""
        if name and colon and secret:
            return Shown(secret, device=name)
    raise Unauthorized("malformed", "the header is Authorization: Bearer TOKEN; of a device also Basic, with its id and secret")


def address_of(request: web.Request, http: HttpSettings) -> str:
    """The client's, past the proxies that are trusted."""
    return client_address(request.remote, ",".join(request.headers.getall("X-Forwarded-For", ())), http.trusted_proxies)


def is_behind_tls(request: web.Request, http: HttpSettings) -> bool:
    """Whether the client came by https: to us, or to a proxy that is trusted and says so."""
    if request.secure:
        return True
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return said in ("https", "wss") and is_trusted(request.remote, http.trusted_proxies)


def is_from_own_page(request: web.Request, http: HttpSettings) -> bool:
    """Whether the browser says that a page of ours, or of an origin that the settings name, made this request.

    Without `Origin` and `Sec-Fetch-Site` nobody says so. `*` names nobody: any page may read what is open, and no more.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None:
        return site == "same-origin"
    if origin in http.cors_origins and origin != "*":
        return True
    if site not in (None, "same-origin"):
        return False
    parts = urlsplit(origin)
    hosts = {
        request.host,
        *([request.headers.get("X-Forwarded-Host", "")] if is_trusted(request.remote, http.trusted_proxies) else []),
    }
    expected = ("https",) if is_behind_tls(request, http) else ("http", "https")
    return parts.netloc != "" and parts.netloc in hosts and parts.scheme in expected
