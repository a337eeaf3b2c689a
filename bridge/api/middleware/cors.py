"""Cross-origin requests to the API. Socket.IO answers for itself, from the same setting."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

_METHODS = "GET, POST, PATCH, DELETE, OPTIONS"
_PREFLIGHT_SECONDS = "600"


class Cors:
    """Lets pages of some origins (or `*`) read the answers."""

    def __init__(self, origins: Sequence[str]) -> None:
        """As the settings have them."""
        self._origins = origins
        self._everyone = "*" in origins

    def _granted(self, request: web.Request) -> str | None:
        """To whom the answer may be shown."""
        origin = request.headers.get("Origin")
        if origin is None or not (self._everyone or origin in self._origins) or request.path.startswith("/socket.io/"):
            return None
        return "*" if self._everyone else origin

    def look(self, request: web.Request) -> None:
        """Answer a preflight: what a page asks before it sends something; raises the answer."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers or not self._granted(request):
            return
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        raise web.HTTPNoContent(headers=headers)

    async def add(self, request: web.Request, answer: web.StreamResponse) -> None:
        """To every answer, as it begins; an aiohttp signal."""
        if granted := self._granted(request):
            answer.headers["Access-Control-Allow-Origin"] = granted
            answer.headers["Vary"] = "Origin"
