"""Reading the body of a request, and forms."""

import asyncio
from urllib.parse import parse_qsl

from aiohttp import web

FORM = "application/x-www-form-urlencoded"
_FORM_BYTES = 64 * 1024
_FORM_FIELDS = 32


async def read_body(request: web.Request, seconds: float | None = None) -> bytes:
    """Read the body. Raises 408 if it takes longer than `seconds`, and 400 if it cannot be read."""
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {seconds:g} s") from None
    except (web.RequestPayloadError, ConnectionError, RuntimeError) as error:  # RuntimeError: it left before the first read
        raise web.HTTPBadRequest(text=f"the body cannot be read: {error}") from None


async def read_form(request: web.Request, seconds: float | None = None) -> dict[str, str]:
    """Read the body as a form; of a field that is repeated the first value counts.

    aiohttp's `post()` is not used: it decompresses parts of `multipart/form-data`, and fails for an unknown charset. Raises 415
    for another type, 413 for a form that is too large, 400 for one that is not UTF-8, and 408 as `read_body` does.
    """
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType(text=f"Content-Type {request.content_type[:64]!a} is not supported: use {FORM}")
    body = await read_body(request, seconds)
    if len(body) > _FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(_FORM_BYTES, len(body))
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS)
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(text="the form is not UTF-8") from None
    except ValueError:
        raise web.HTTPRequestEntityTooLarge(_FORM_FIELDS, 0, text=f"the form has more than {_FORM_FIELDS} fields") from None
    return dict(reversed(fields))
