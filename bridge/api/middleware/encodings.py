"""Compressed request bodies are refused before anything is read, except where a route decompresses them itself.

aiohttp decompresses a body while it arrives, in the event loop, even if no handler reads it: 1 MB that was 1 GB of zeros makes
everyone wait for two seconds. So its server runs with `auto_decompress=False`, and a request with a `Content-Encoding` that its
route does not offer is answered before routing, authentication and `100 Continue`: `unread.py`.
"""

from aiohttp import web

from bridge.api.middleware.problems import problem

GZIP_ROUTES = frozenset((("POST", "/api/v1/readings"), ("POST", "/api/ingest")))
"""Method and path of the routes that accept gzip, besides those below `GZIP_FOLDER`."""

GZIP_FOLDER = ("POST", "/api/v1/ingest/")

_GZIP = frozenset(("gzip", "x-gzip"))
_IDENTITY = frozenset(("", "identity"))
_TEXT_LENGTH = 64


def content_encoding(request: web.BaseRequest) -> str:
    """Return the content encoding in lower case, empty for none; a list, in one header or several, is one text."""
    encoding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    return "" if encoding in _IDENTITY else encoding


def is_gzip(request: web.BaseRequest) -> bool:
    return content_encoding(request) in _GZIP


def _offers_gzip(request: web.BaseRequest) -> bool:
    method, folder = GZIP_FOLDER
    return (request.method, request.path) in GZIP_ROUTES or (request.method == method and request.path.startswith(folder))


def refusal(request: web.BaseRequest) -> web.Response | None:
    """Return the answer to a request whose encoding is not offered; None if it may be handled."""
    encoding = content_encoding(request)
    offers_gzip = _offers_gzip(request)
    if not encoding or (offers_gzip and encoding in _GZIP):
        return None
    offered = "use gzip, or send the body as it is" if offers_gzip else "send the body as it is"
    response = problem(415, f"Content-Encoding {encoding[:_TEXT_LENGTH]!a} is not supported here: {offered}")
    response.headers["Accept-Encoding"] = "gzip" if offers_gzip else "identity"
    response.force_close()
    return response
