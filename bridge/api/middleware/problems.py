"""Errors as RFC 9457 `application/problem+json`."""

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
    AlarmStateError,
    CommandRejected,
    DeviceExists,
    Forbidden,
    InvalidFields,
    LastAdmin,
    LocationExists,
    LocationInUse,
    RuleFileError,
    StoreUnavailable,
    SubscriptionExists,
    SurveyRunning,
    TemporarilyUnavailable,
    TooManyAttempts,
    TooManyDevices,
    TooManyLocations,
    TooManyNotes,
    TooManySubscriptions,
    Unauthorized,
    UnknownAccount,
    UnknownAlarm,
    UnknownDevice,
    UnknownLocation,
    UnknownNote,
    UnknownReading,
    UnknownSubscription,
    UnknownTarget,
)

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
_DETAIL_LENGTH = 1000
_CHALLENGE = 'Bearer realm="sensor-bridge"'

_STATUSES = (
    (
        (
            UnknownAccount,
            UnknownAlarm,
            UnknownDevice,
            UnknownLocation,
            UnknownNote,
            UnknownReading,
            UnknownSubscription,
            UnknownTarget,
        ),
        404,
    ),
    ((AccountExists, LastAdmin, DeviceExists, LocationExists, LocationInUse, SubscriptionExists, SurveyRunning), 409),
    ((AlarmStateError, CommandRejected), 409),
    ((RuleFileError,), 422),
    ((TooManyDevices, TooManyLocations, TooManyNotes, TooManySubscriptions), 507),
)
"""The statuses of errors whose text is the whole answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(body: object, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=content_type)


def problem(status: int, detail: str, **members: Any) -> web.Response:  # noqa: ANN401 - JSON
    """Return a problem: `title` is the phrase of the status, `detail` is for people, `members` are added."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return json_response(body, status=status, content_type="application/problem+json")


def middleware(*checks: Callable[[web.Request], object]) -> Middleware:
    """Turn errors of `checks`, which are called first, and of handlers into problems.

    Each middleware costs a WebSocket 0.5 KB for its lifetime, so checks are functions and not middlewares.
    """

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            for check in checks:
                check(request)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            response = problem(error.status, _detail(request, error))
            response.headers.update({name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers})
            return response
        except Exception as error:
            expected = disconnected(request) if isinstance(error, ConnectionError) else problem_of(error)
            if expected is not None:
                return expected
            log.exception("http: %s %r failed: answered 500; please report this", request.method, request.path)
            return problem(500, "internal error; the log of the bridge has the details")

    return problems


def disconnected(request: web.BaseRequest) -> web.Response | None:
    """Return a response, which is not sent, if the client has disconnected; None if it is still there."""
    transport = request.transport
    return problem(400, "the client has disconnected") if transport is None or transport.is_closing() else None


def problem_of(error: Exception) -> web.Response | None:
    """Return the response to an expected error; None for a bug."""
    match error:
        case ValidationError():
            return _invalid_parameters(error)
        case StoreUnavailable():
            return _unavailable(f"the store is unavailable: {error}")
        case TemporarilyUnavailable():
            return _unavailable(str(error))
        case Unauthorized() | Forbidden() | TooManyAttempts():
            return _refusal(error)
        case InvalidFields():
            errors = [{"field": name, "message": message} for name, message in error.fields.items()]
            return problem(422, str(error)[:_DETAIL_LENGTH], errors=errors)
        case AccountError():
            return problem(422, str(error), errors=[{"field": error.field, "message": error.text}])
        case _:
            status = next((status for kinds, status in _STATUSES if isinstance(error, kinds)), None)
            return None if status is None else problem(status, str(error))


def _invalid_parameters(failure: ValidationError) -> web.Response:
    errors = [
        {"field": ".".join(map(str, error["loc"])), "message": error["msg"].removeprefix("Value error, ")}
        for error in failure.errors(include_url=False, include_context=False, include_input=False)
    ]
    names = ", ".join(error["field"] or "the query" for error in errors)
    return problem(400, f"wrong parameters: {names}", errors=errors)


def _refusal(error: Unauthorized | Forbidden | TooManyAttempts) -> web.Response:
    """Return the response to a client that is refused. `code` is for programs: `expired` means refresh, any other log in."""
    match error:
        case Unauthorized(code="missing"):
            response = problem(401, str(error), code=error.code)
            response.headers["WWW-Authenticate"] = _CHALLENGE
        case Unauthorized():
            response = problem(401, str(error), code=error.code)
            response.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_token"'
        case TooManyAttempts():
            response = problem(429, str(error))
            response.headers["Retry-After"] = str(max(1, math.ceil(error.seconds)))
        case _:
            response = problem(403, str(error))
            response.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="insufficient_scope"'
    return response


def _unavailable(detail: str) -> web.Response:
    response = problem(503, detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if error.text and error.text != f"{error.status}: {error.reason}":
        return error.text
    match error:
        case web.HTTPNotFound():
            return f"no resource at {request.path[:200]}"
        case web.HTTPMethodNotAllowed():
            return f"{request.method} is not allowed: use {', '.join(sorted(error.allowed_methods))}"
        case _:
            return error.reason
