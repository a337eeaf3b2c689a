"""Errors as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from bridge.core.errors import NotNow, StoreUnavailable

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(body: object, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(body), status=status, content_type=content_type)


def problem(status: int, detail: str, **more: Any) -> web.Response:  # noqa: ANN401 - JSON
    """A problem: `title` is the status in words, `detail` is for the person; `more` are further members."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return json_response(body, status=status, content_type="application/problem+json")


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into problems."""
    try:
        return await handler(request)
    except ValidationError as error:
        errors = [
            {"field": ".".join(map(str, one["loc"])), "message": one["msg"].removeprefix("Value error, ")}
            for one in error.errors(include_url=False, include_context=False)
        ]
        named = ", ".join(one["field"] or "the query" for one in errors)
        return problem(400, f"wrong parameters: {named}", errors=errors)
    except StoreUnavailable as error:
        return _later(f"the store is away: {error}")
    except NotNow as error:
        return _later(str(error))
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        answer = problem(error.status, _detail(request, error))
        answer.headers.update({name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers})
        return answer
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "the bridge made a mistake; its log tells more")


def _later(detail: str) -> web.Response:
    answer = problem(503, detail)
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if error.text and error.text != f"{error.status}: {error.reason}":
        return error.text
    match error:
        case web.HTTPNotFound():
            return f"there is nothing at {request.path[:200]}"
        case web.HTTPMethodNotAllowed():
            return f"{request.method} is not possible here, but {', '.join(sorted(error.allowed_methods))}"
        case _:
            return error.reason
