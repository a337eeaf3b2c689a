"""Reading request bodies."""

import asyncio
from typing import Any

import orjson
from aiohttp import web


async def read_body(request: web.Request, seconds: float | None = None) -> bytes:
    """Read the body. Raises 408 if it takes longer than `seconds`, and 400 if it cannot be read."""
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {seconds:g} s") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        raise web.HTTPBadRequest(text=f"the body cannot be read: {error}") from None


async def read_object(request: web.Request, seconds: float | None = None) -> dict[str, Any]:
    """Read the body as a JSON object. Raises 400 for anything else, and 408 if it takes longer than `seconds`."""
    try:
        body = orjson.loads(await read_body(request, seconds))
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return body
