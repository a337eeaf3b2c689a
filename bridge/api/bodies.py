"""JSON that comes in."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web


async def read_object(request: web.Request, seconds: float | None = None) -> dict[str, Any]:
    """The body as an object; raises 400 for anything else, and 408 when it takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            raw = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {seconds:g} s") from None
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return body
