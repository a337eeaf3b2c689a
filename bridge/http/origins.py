"""Which pages may read, write and connect, by their origin."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from bridge.http.proxies import is_behind_tls, is_trusted
from bridge.settings import HttpSettings

_ARDUINO = "file://"
"""The origin that WebSockets, a library for ESP32 and ESP8266, says it has, and a page that somebody opened from a disk."""


SAFE = ("GET", "HEAD", "OPTIONS")
"""What changes nothing."""


def is_from_own_page(request: web.Request, http: HttpSettings) -> bool:
    """Whether the browser says that a page of ours made this request. Without `Origin` and `Sec-Fetch-Site` nobody says so."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None:
        return site == "same-origin"
    return site in (None, "same-origin") and _is_own(origin, request, http)


def is_from_known_page(request: web.Request, http: HttpSettings) -> bool:
    """Whether a page of ours or of the settings made it, or no page, which names no origin. `*` names nobody."""
    origin = request.headers.get("Origin")
    return origin is None or origin in http.cors_origins or is_from_own_page(request, http)


def may_connect(origin: str | None, request: web.Request, http: HttpSettings) -> bool:
    """Whether a page of this origin may connect: ours, and those of the settings. What is no page names none."""
    return origin is None or origin in http.cors_origins or "*" in http.cors_origins or _is_own(origin, request, http)


def check_origin(request: web.Request, http: HttpSettings) -> None:
    """A page of another origin has no WebSocket here (403)."""
    origin = request.headers.get("Origin")
    if origin != _ARDUINO and not may_connect(origin, request, http):
        raise web.HTTPForbidden(text="pages of this origin may not connect here; http.cors_origins names those that may")


def _is_own(origin: str, request: web.Request, http: HttpSettings) -> bool:
    """Whether a page came from where it connects to, by the name that it, or a proxy that is trusted, calls us by."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as http://[
        return False
    hosts = {request.host}
    if is_trusted(request.remote, http.trusted_proxies):
        hosts.add(request.headers.get("X-Forwarded-Host", ""))
    expected = ("https",) if is_behind_tls(request, http) else ("http", "https")
    return parts.netloc != "" and parts.netloc in hosts and parts.scheme in expected
