"""What is not HTTP costs little, and is not sent back.

aiohttp quotes in its answer what it received: 256 KB of binary data, as one read returns, came back as 1.2 MB and took the
event loop 5 ms. So its parser is given small parts, and none after the first that it refuses.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bridge.api.middleware.problems import problem

_PART_BYTES = 16_384
_DETAIL_CHARACTERS = 200
_CLIENT_DATA = re.compile("[:\n]")
"""Where the quotation begins in a message of aiohttp."""


class RequestHandler(web.RequestHandler):
    """A connection of aiohttp. A malformed request is answered by a problem that does not contain it."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        if len(data) <= _PART_BYTES:
            super().data_received(data)
            return
        for start in range(0, len(data), _PART_BYTES):
            super().data_received(data[start : start + _PART_BYTES])
            if self._is_malformed:
                return

    @property
    def _is_malformed(self) -> bool:
        """Whether the parser refused what it was given last. `_messages` is a private name, checked at the start."""
        return bool(self._messages) and isinstance(getattr(self._messages[-1][0], "exc", None), HttpProcessingError)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        super().handle_error(request, status, exc, "")  # logs, and raises if an answer is under way
        reason = _CLIENT_DATA.split(message or "", maxsplit=1)[0][:_DETAIL_CHARACTERS]
        response = problem(status, f"the request is not valid HTTP: {reason}")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response


def handlers(runner: web.AppRunner, options: Mapping[str, Any]) -> Callable[[], asyncio.Protocol]:
    """Return what creates the protocols of `runner`, which is set up with these options."""
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        raise RuntimeError("the runner is not set up")
    return lambda: RequestHandler(server, loop=loop, **options)
