"""Protection against pages of other origins while access is open.

Anyone who reaches the port may then do everything, so a page that a user visits must not act on their behalf. Browsers let any
page post forms anywhere, but send its origin. And a page may resolve its own name to the bridge's address (DNS rebinding): it
then has the same origin as the bridge, but under a foreign host name, which a literal address never is.
"""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from bridge.api.middleware.auth import SOCKETS
from bridge.http.origins import SAFE, may_connect, may_read, proxy_advice
from bridge.http.proxies import is_trusted
from bridge.settings import HttpSettings

_FOREIGN_ORIGIN = (
    "pages of this origin may only read: add the origin to http.cors_origins (BRIDGE_HTTP__CORS_ORIGINS), "
    "or the proxy that sets the host name to http.trusted_proxies"
)
_FOREIGN_HOST = (
    "unknown host name, and the bridge listens on this machine only: add the name to http.hosts (BRIDGE_HTTP__HOSTS), "
    "or a proxy on this machine to http.trusted_proxies (BRIDGE_HTTP__TRUSTED_PROXIES)"
)


def check(http: HttpSettings, report: Callable[[web.Request], None], request: web.Request) -> None:
    """Check a request while access is open. Raises 421 for a foreign host name, 403 for a change from a foreign origin.

    The latter is also reported, unless the page cannot read the response either: then that is.
    """
    if http.is_local and not is_trusted(request.remote, http.trusted_proxies) and not _is_own_host(request, http):
        raise web.HTTPMisdirectedRequest(text=_FOREIGN_HOST)
    if request.method not in SAFE and not _is_socket(request) and not may_connect(request.headers.get("Origin"), request, http):
        if may_read(request, http, required=False):
            report(request)
        raise web.HTTPForbidden(text=_FOREIGN_ORIGIN + proxy_advice(request))


def _is_socket(request: web.Request) -> bool:
    """Whether the handler checks the origin itself."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in SOCKETS


def _is_own_host(request: web.Request, http: HttpSettings) -> bool:
    """Whether the host name is one of the bridge's. A request without a host name is not from a browser."""
    host = request.headers.get("Host")
    if host is None:
        return True
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or name in http.hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
