"""Cross-origin requests to the API. Socket.IO has its own handling, with the same setting."""

from collections.abc import Sequence

from aiohttp import web

_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
_PREFLIGHT_SECONDS = "600"


class Cors:
    """Lets pages of the configured origins (or `*`) read responses."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = origins
        self._any_origin = "*" in origins

    def _allowed_origin(self, request: web.Request) -> str | None:
        """The origin that may read the response; None if none may, or if Socket.IO answers."""
        origin = request.headers.get("Origin")
        if origin is None or not (self._any_origin or origin in self._origins) or request.path.startswith("/socket.io/"):
            return None
        return "*" if self._any_origin else origin

    def answer_preflight(self, request: web.Request) -> None:
        """Raise the response to a preflight request; do nothing for other requests."""
        if (
            request.method != "OPTIONS"
            or "Access-Control-Request-Method" not in request.headers
            or not self._allowed_origin(request)
        ):
            return
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        raise web.HTTPNoContent(headers=headers)

    async def add(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers to every response; an aiohttp signal."""
        if allowed := self._allowed_origin(request):
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Vary"] = "Origin"
