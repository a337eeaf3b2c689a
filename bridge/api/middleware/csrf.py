"""Pages of others, while access is open: whoever reaches the port may do everything, so a page that somebody happens to look at
must not do it for him.

Browsers let any page post forms to anywhere, but say from where. And a page may give its own name our address (DNS rebinding):
then it is of the same origin as we are, but by a name that is not ours, which an address never is.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from bridge.api.middleware.auth import SOCKETS
from bridge.http.origins import SAFE, may_connect
from bridge.http.proxies import is_trusted
from bridge.settings import HttpSettings

_OTHERS_PAGE = (
    "pages of this origin may only read here; http.cors_origins (BRIDGE_HTTP__CORS_ORIGINS) names those that may do more, "
    "http.trusted_proxies a proxy that says by which name we are called"
)
_OTHERS_NAME = (
    "we listen for this machine only, and are not called so; http.hosts (BRIDGE_HTTP__HOSTS) names what else we are called, "
    "http.trusted_proxies (BRIDGE_HTTP__TRUSTED_PROXIES) a proxy on this machine that comes for others"
)


def check(http: HttpSettings, request: web.Request) -> None:
    """Of an application whose access is open; raises an HTTP error."""
    if http.is_local and not is_trusted(request.remote, http.trusted_proxies) and not _is_ours(request, http):
        raise web.HTTPMisdirectedRequest(text=_OTHERS_NAME)
    if request.method not in SAFE and not _is_socket(request) and not may_connect(request.headers.get("Origin"), request, http):
        raise web.HTTPForbidden(text=_OTHERS_PAGE)


def _is_socket(request: web.Request) -> bool:
    """These judge for themselves."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in SOCKETS


def _is_ours(request: web.Request, http: HttpSettings) -> bool:
    """Whether we are called so. Every browser says by which name; who does not is none."""
    said = request.headers.get("Host")
    if said is None:
        return True
    try:
        name = (urlsplit(f"//{said}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or name in http.hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
