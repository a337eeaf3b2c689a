"""Origin checks: the pages that may use the cookie, send writing requests and open WebSockets."""

from urllib.parse import urlsplit

from aiohttp import web

from bridge.http.proxies import is_behind_tls, is_trusted
from bridge.settings import HttpSettings

_ARDUINO = "file://"
"""The origin sent by arduinoWebSockets, a library for ESP32 and ESP8266, and by some browsers for a page from a local file."""

SAFE = ("GET", "HEAD", "OPTIONS")
"""Safe methods (RFC 9110, section 9.2.1): they change nothing."""


def is_from_own_page(request: web.Request, http: HttpSettings) -> bool:
    """Whether `Origin` or `Sec-Fetch-Site` states that one of the bridge's own pages made a request.

    False without both headers. Pages cannot set or remove them; other programs can, but those have no cookie of a user.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None:
        return site == "same-origin"
    return site in (None, "same-origin") and _is_own(origin, request, http)


def is_from_known_page(request: web.Request, http: HttpSettings) -> bool:
    """Whether a request was made by an own page, by a page in `http.cors_origins`, or by no page (it has no `Origin`).

    `*` in the settings allows no page in this check.
    """
    origin = request.headers.get("Origin")
    return origin is None or origin in http.cors_origins or is_from_own_page(request, http)


def may_connect(origin: str | None, request: web.Request, http: HttpSettings) -> bool:
    """Whether a page of this origin may open a connection: an own page, or one in `http.cors_origins`, where `*` is any.

    None (a client that is not a page) is always allowed: browsers send `Origin` with each handshake.
    """
    return origin is None or origin in http.cors_origins or "*" in http.cors_origins or _is_own(origin, request, http)


def check_origin(request: web.Request, http: HttpSettings) -> None:
    """Raise 403 for a WebSocket handshake from a page of a foreign origin (cross-site WebSocket hijacking)."""
    origin = request.headers.get("Origin")
    if origin != _ARDUINO and not may_connect(origin, request, http):
        raise web.HTTPForbidden(text="pages of this origin may not connect: add the origin to http.cors_origins")


def _is_own(origin: str, request: web.Request, http: HttpSettings) -> bool:
    """Whether an origin is the host of the request, or that in `X-Forwarded-Host` from a trusted proxy, with its scheme."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # e.g. http://[
        return False
    hosts = {request.host}
    if is_trusted(request.remote, http.trusted_proxies):
        hosts.add(request.headers.get("X-Forwarded-Host", ""))
    expected = ("https",) if is_behind_tls(request, http) else ("http", "https")
    return parts.netloc != "" and parts.netloc in hosts and parts.scheme in expected
