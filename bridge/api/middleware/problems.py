"""Errors as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import ValidationError

from bridge.core.errors import (
    AccountError,
    AccountExists,
    Forbidden,
    LastAdmin,
    StoreUnavailable,
    TemporarilyUnavailable,
    TooManyAttempts,
    Unauthorized,
    UnknownAccount,
    UnknownDevice,
)

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
_CHALLENGE = 'Bearer realm="sensor-bridge"'

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(body: object, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(body), status=status, content_type=content_type)


def problem(status: int, detail: str, **more: Any) -> web.Response:  # noqa: ANN401 - JSON
    """A problem: `title` is the status in words, `detail` is for the person; `more` are further members."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return json_response(body, status=status, content_type="application/problem+json")


def middleware(*first: Callable[[web.Request], object]) -> Middleware:
    """Turn what handlers raise into problems. What is called `first`, with every request, may raise too.

    Each middleware costs a WebSocket 0.5 KB for as long as it lives, so what is only looked at is no middleware.
    """

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            for look in first:
                look(request)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            answer = problem(error.status, _detail(request, error))
            answer.headers.update({name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers})
            return answer
        except Exception as error:
            expected = problem_of(error)
            if expected is not None:
                return expected
            log.exception("%s %r failed", request.method, request.path)
            return problem(500, "the bridge made a mistake; its log tells more")

    return problems


def problem_of(error: Exception) -> web.Response | None:
    """What is raised on purpose; None for a mistake of ours."""
    match error:
        case ValidationError():
            return _wrong(error)
        case StoreUnavailable():
            return _later(f"the store is away: {error}")
        case TemporarilyUnavailable():
            return _later(str(error))
        case Unauthorized() | Forbidden() | TooManyAttempts():
            return refusal(error)
        case UnknownAccount() | UnknownDevice():
            return problem(404, str(error))
        case AccountExists() | LastAdmin():
            return problem(409, str(error))
        case AccountError():
            return problem(422, str(error), errors=[{"field": error.field, "message": error.text}])
        case _:
            return None


def _wrong(error: ValidationError) -> web.Response:
    errors = [
        {"field": ".".join(map(str, one["loc"])), "message": one["msg"].removeprefix("Value error, ")}
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    named = ", ".join(one["field"] or "the query" for one in errors)
    return problem(400, f"wrong parameters: {named}", errors=errors)


def refusal(error: Unauthorized | Forbidden | TooManyAttempts) -> web.Response:
    """Somebody is not let in. `code` tells a program what to do: `expired` to renew, the others to log in."""
    match error:
        case Unauthorized(code="missing"):
            answer = problem(401, str(error), code=error.code)
            answer.headers["WWW-Authenticate"] = _CHALLENGE
        case Unauthorized():
            answer = problem(401, str(error), code=error.code)
            answer.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_token"'
        case TooManyAttempts():
            answer = problem(429, str(error))
            answer.headers["Retry-After"] = str(max(1, math.ceil(error.seconds)))
        case _:
            answer = problem(403, str(error))
            answer.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="insufficient_scope"'
    return answer


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
