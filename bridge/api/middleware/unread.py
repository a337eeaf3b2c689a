"""Requests that are answered before their body was read: what follows on their connection never reaches aiohttp.

aiohttp reads the rest of such a body in the event loop, as fast as it arrives: 100 MB/s of refused bodies take a tenth of the
loop's time. Here it is dropped slowly, and the connection closed. Public names only: `server` of a runner, and
`request_handler` of a server.
"""

from aiohttp import web

from bridge.api.middleware.connections import Connections
from bridge.api.middleware.encodings import refusal
from bridge.api.middleware.problems import disconnected

_READ_ANYWAY_BYTES = 65_536
"""A shorter rest is read, which keeps the connection open for the next request."""


def guard(runner: web.AppRunner, connections: Connections) -> None:
    """Put the checks in front of the application of `runner`, which is set up."""
    server, prepare = runner.server, runner.app.on_response_prepare
    if server is None:
        raise RuntimeError("the runner is not set up")
    inner = server.request_handler

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = refusal(request)
        if response is not None:
            connections.discard(request, "encoding")
            if isinstance(request, web.Request):
                await prepare.send(request, response)
            return response
        try:
            answer = await inner(request)
        except ConnectionError:  # by `100 Continue`, which precedes the middlewares
            if (left := disconnected(request)) is None:
                raise
            return left
        if not answer.prepared and _leaves_much(request):
            answer.force_close()
            connections.discard(request, "unread")
        return answer

    server.request_handler = handle


def _leaves_much(request: web.BaseRequest) -> bool:
    """Whether more of the body than is worth reading may still arrive; a chunked one has no known end."""
    if request.content.is_eof():
        return False
    return request.content_length is None or request.content_length > _READ_ANYWAY_BYTES
