"""Origin checks: the pages that may use the cookie, send writing requests, read, and open WebSockets."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from bridge.http.proxies import is_behind_tls, is_trusted
from bridge.settings import HttpSettings

_ARDUINO = "file://"
"""The origin sent by arduinoWebSockets, a library for ESP32 and ESP8266, and by some browsers for a page from a local file."""

_FILE = ("null", _ARDUINO)
"""The origins of pages that were opened from a file. Pages in a sandbox have the first one too."""

READ_ONLY = "pages of this origin may only read: add the origin to http.cors_origins (BRIDGE_HTTP__CORS_ORIGINS)"

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


def may_read(request: web.Request, http: HttpSettings, *, required: bool) -> bool:
    """Whether the page of a request may read the responses, and open connections that only read.

    While access is open (not `required`), pages of this machine may too: those that were opened from a file, and those of a
    server on localhost.
    """
    origin = request.headers.get("Origin")
    return may_connect(origin, request, http) or (not required and origin is not None and _is_of_this_machine(origin))


def check_origin(request: web.Request, http: HttpSettings, *, required: bool) -> None:
    """Raise 403 for a WebSocket handshake from a page of a foreign origin (cross-site WebSocket hijacking)."""
    if request.headers.get("Origin") != _ARDUINO and not may_read(request, http, required=required):
        raise web.HTTPForbidden(text="pages of this origin may not connect: add the origin to http.cors_origins")


def may_publish_on_socket(request: web.Request, http: HttpSettings) -> bool:
    """Whether the client of a WebSocket may publish, as far as its origin is concerned."""
    origin = request.headers.get("Origin")
    return origin == _ARDUINO or may_connect(origin, request, http)


def _is_of_this_machine(origin: str) -> bool:
    if origin in _FILE:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:  # e.g. http://[
        return False
    return parts.scheme in ("http", "https") and (host == "localhost" or host.endswith(".localhost") or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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
