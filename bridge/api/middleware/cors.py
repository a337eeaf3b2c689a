"""Cross-origin requests to the API. Socket.IO has its own handling, with the same settings."""

import logging

from aiohttp import web

from bridge.http.origins import SAFE, may_connect, may_read
from bridge.settings import HttpSettings

log = logging.getLogger(__name__)

REPORTED_LIMIT = 100
"""The most origins that are named in the log; further ones are only counted."""

_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
_SAFE_METHODS = "GET, OPTIONS"
_PREFLIGHT_SECONDS = "600"
_ORIGIN_LENGTH = 200


class Cors:
    """Lets pages of the configured origins (or `*`) read responses; while access is open, pages of this machine too."""

    def __init__(self, http: HttpSettings, *, required: bool) -> None:
        self._http = http
        self._required = required
        self._any_origin = "*" in http.cors_origins
        self._reported: set[tuple[str, bool]] = set()
        self.refused = 0
        """Requests of pages that were refused, or whose response the page could not read."""

    def _allowed_origin(self, request: web.Request) -> str | None:
        """The origin that may read the response, `*` if any may; None if that of the request may not."""
        origin = request.headers.get("Origin")
        if origin is None or not may_read(request, self._http, required=self._required):
            return None
        return "*" if self._any_origin else origin

    def answer_preflight(self, request: web.Request) -> None:
        """Raise the response to a preflight request; do nothing for other requests."""
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or _is_of_socketio(request) or not self._allowed_origin(request):
            return
        writes = may_connect(request.headers.get("Origin"), request, self._http)
        headers = {
            "Access-Control-Allow-Methods": _METHODS if writes else _SAFE_METHODS,
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        if not writes and asked not in SAFE:
            self.report(request)
        raise web.HTTPNoContent(headers=headers)

    async def add(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers to every response; an aiohttp signal."""
        if "Origin" not in request.headers:
            return
        allowed = self._allowed_origin(request)
        if allowed is None:
            self.report(request)
        elif not _is_of_socketio(request):
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Vary"] = "Origin"

    def report(self, request: web.Request) -> None:
        """Count a request of a page that may not make it, and log its origin once."""
        self.refused += 1
        origin = request.headers.get("Origin", "")[:_ORIGIN_LENGTH]
        reads = may_read(request, self._http, required=self._required)
        if (origin, reads) in self._reported or len(self._reported) > REPORTED_LIMIT:
            return
        self._reported.add((origin, reads))
        if len(self._reported) > REPORTED_LIMIT:
            log.warning("http: pages of %d origins were refused: further ones are counted only", REPORTED_LIMIT)
            return
        log.warning(
            "http: a page of origin %a was refused: %s; to allow it, add the origin to http.cors_origins "
            "(BRIDGE_HTTP__CORS_ORIGINS), or a proxy in front of the bridge to http.trusted_proxies",
            origin,
            "it may only read" if reads else "it may neither read nor connect",
        )


CORS = web.AppKey("cors", Cors)


def _is_of_socketio(request: web.Request) -> bool:
    return request.path.startswith("/socket.io/")
