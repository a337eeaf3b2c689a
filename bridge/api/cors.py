"""Cross-origin requests to the API. Socket.IO answers for itself, from the same setting."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.api.problems import Handler

_METHODS = "GET, POST, PATCH, DELETE, OPTIONS"
_PREFLIGHT_SECONDS = "600"


def middleware(origins: Sequence[str]) -> Middleware:
    """Let pages of `origins` (or `*`) read the answers."""
    everyone = "*" in origins

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is None or not (everyone or origin in origins) or request.path.startswith("/socket.io/"):
            return await handler(request)
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        answer = web.Response(status=204) if preflight else await handler(request)
        answer.headers["Access-Control-Allow-Origin"] = "*" if everyone else origin
        answer.headers["Vary"] = "Origin"
        if preflight:
            answer.headers["Access-Control-Allow-Methods"] = _METHODS
            answer.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "")
            answer.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        return answer

    return cors
