"""Origin checks: the pages that may use the cookie, send writing requests, read, and open WebSockets."""

from ipaddress import ip_address
from typing import NamedTuple
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
        raise web.HTTPForbidden(
            text=f"pages of this origin may not connect: add the origin to http.cors_origins{proxy_advice(request)}"
        )


def proxy_advice(request: web.Request) -> str:
    """Return what to set if the page of a request would be an own one, had a proxy not dropped its port; else an empty text."""
    page = _Address.of_origin(request.headers.get("Origin", ""))
    host = _Address.of_host(request.host)
    if page is None or host is None or page.name != host.name:
        return ""
    return (
        "; if a proxy dropped the port, forward the host name with it (nginx: proxy_set_header Host $http_host), "
        "or add the proxy to http.trusted_proxies (BRIDGE_HTTP__TRUSTED_PROXIES)"
    )


class _Address(NamedTuple):
    """A host name in lower case and a port; None: the usual one of the scheme."""

    name: str
    port: int | None

    @classmethod
    def of_host(cls, host: str) -> "_Address | None":
        """Parse the value of `Host`; None if it cannot be parsed."""
        return cls.of_origin(f"//{host}")

    @classmethod
    def of_origin(cls, origin: str) -> "_Address | None":
        try:
            parts = urlsplit(origin)
            return cls(parts.hostname, parts.port) if parts.hostname else None
        except ValueError:  # e.g. http://[
            return None


_PORTS = {"http": 80, "https": 443}


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
    """Whether an origin is the host of the request, or that in `X-Forwarded-Host` from a trusted proxy, with its scheme.

    A proxy may drop the port (nginx: `Host $host`). Then the names are compared, if the proxy is trusted and reports the port
    nowhere else, or if the browser itself says that page and request have the same origin.
    """
    scheme, _, rest = origin.partition("://")
    page = _Address.of_origin(origin)
    expected = ("https",) if is_behind_tls(request, http) else ("http", "https")
    if page is None or scheme not in expected or rest.rpartition("@")[0]:
        return False
    proxied = is_trusted(request.remote, http.trusted_proxies)
    hosts = [request.host, *_forwarded_hosts(request)] if proxied else [request.host]
    own = [address for host in hosts if (address := _Address.of_host(host)) is not None]
    port = _PORTS[scheme]
    if any(page.name == address.name and (page.port or port) == (address.port or port) for address in own):
        return True
    site = request.headers.get("Sec-Fetch-Site")
    is_unknown = proxied and all(address.port is None for address in own)
    attested = site == "same-origin" or (site is None and is_unknown)
    return attested and any(page.name == address.name and address.port is None for address in own)


def _forwarded_hosts(request: web.Request) -> list[str]:
    """The host that a proxy reports, and its own host with the port that it reports."""
    host, port = (request.headers.get(f"X-Forwarded-{name}", "") for name in ("Host", "Port"))
    own = _Address.of_host(request.host) if port.isdecimal() else None
    return [*([host] if host else []), *([] if own is None else [f"{own.name}:{port}"])]
