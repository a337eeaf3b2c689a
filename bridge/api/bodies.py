"""Reading request bodies."""

import asyncio
import zlib
from typing import Any

import orjson
from aiohttp import web

from bridge.api.middleware.encodings import is_gzip
from bridge.core.errors import TemporarilyUnavailable
from bridge.http.bodies import read_body

_GZIP_WINDOW_BITS = 31
_INFLATE_SECONDS = 5.0
_RATIO_LIMIT = 200
"""Readings shrink 5 to 50 times; bodies of less than `_ANY_RATIO_BYTES` may shrink more."""
_ANY_RATIO_BYTES = 64 * 1024


async def read_encoded_body(request: web.Request, seconds: float) -> bytes:
    """Read the body, and decompress it in a thread if it is gzip.

    Raises as `read_body` does, 413 if it exceeds the limit of bodies or grows too much, 400 if it is not gzip, and
    `TemporarilyUnavailable` if no thread is free.
    """
    body = await read_body(request, seconds)
    if not is_gzip(request):
        return body
    try:
        async with asyncio.timeout(_INFLATE_SECONDS):
            return await asyncio.to_thread(_inflated, body, request.client_max_size)
    except TimeoutError:
        raise TemporarilyUnavailable("the body was not decompressed in time: try again soon; nothing was stored") from None


def _inflated(body: bytes, limit_bytes: int) -> bytes:
    """Decompress one gzip member, of at most `limit_bytes`: whatever the input, that takes some milliseconds."""
    inflate = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        plain = inflate.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise web.HTTPBadRequest(text="Content-Encoding is gzip, and the body is not") from None
    if len(plain) > limit_bytes:
        text = f"the body has more than {limit_bytes} bytes once decompressed, the limit"
        raise web.HTTPRequestEntityTooLarge(limit_bytes, len(plain), text=text)
    if not inflate.eof or inflate.unused_data:
        raise web.HTTPBadRequest(text="the gzip body ends early, or something follows its end: send one gzip member")
    allowed = max(_ANY_RATIO_BYTES, len(body) * _RATIO_LIMIT)
    if len(plain) > allowed:
        text = f"the body grew more than {_RATIO_LIMIT} times when it was decompressed, the limit"
        raise web.HTTPRequestEntityTooLarge(allowed, len(plain), text=text)
    return plain


async def read_object(request: web.Request, seconds: float | None = None) -> dict[str, Any]:
    """Read the body as a JSON object. Raises 400 for anything else, and 408 if it takes longer than `seconds`."""
    try:
        body = orjson.loads(await read_body(request, seconds))
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return body
