"""Describes a route: `@describes(…)` on its handler, from which `openapi/document.py` builds the OpenAPI description.

    @describes("Stored readings", query=ReadingsParameters, answers={200: ReadingsPage}, permission=Permission.READ)
    async def _readings(self, request: web.Request) -> web.Response:

Models are pydantic's; a string is an answer of that media type. Path parameters are found in the path; a model restricts their
values.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from bridge.core.access.permissions import Permission

F = TypeVar("F", bound=Callable[..., Any])

Content = Any
"""A pydantic model, another type that pydantic supports (`list[MeasurementResponse]`), or a media type; None for no body."""

PROBLEMS: Mapping[int, str] = {
    400: "the request is invalid; the problem names what is wrong",
    401: "no valid credentials: send a valid token or key",
    403: "the caller may not do this",
    404: "not found",
    405: "method not allowed",
    408: "the request took too long to arrive",
    409: "not possible in the current state",
    413: "the request is too large",
    415: "unsupported media type",
    422: "the request is well-formed but cannot be processed",
    429: "too many attempts: see Retry-After",
    503: "temporarily unavailable: see Retry-After",
    507: "a limit is reached",
}
"""Answers as `application/problem+json`, by status."""


class Auth(enum.Enum):
    """The access that a route requires in place of a permission."""

    NONE = "open"  # no authentication
    OPTIONAL = "ajar"  # no authentication, but the answer to unauthenticated clients is shorter
    REQUIRED = "known"  # any authenticated identity
    UNSTATED = "unstated"  # treated as Permission.ADMIN; a test checks that every route declares its access


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of a route. `answers` are its successes by status, `problems` the statuses of its errors.

    `by_link`: those who opened a shared link may call it.
    """

    summary: str
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: Mapping[str, Content] = field(default_factory=dict)
    answers: Mapping[int, Content] = field(default_factory=dict)
    problems: Sequence[int] = ()
    tag: str = "api"
    permission: Permission | Auth = Auth.UNSTATED
    by_link: bool = False

    @property
    def guarded(self) -> bool:
        """Whether credentials are needed where access is required."""
        return self.permission not in (Auth.NONE, Auth.OPTIONAL)


def describes(
    summary: str,
    *,
    answers: Mapping[int, Content],
    path: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    body: Mapping[str, Content] | type[BaseModel] | None = None,
    problems: Sequence[int] = (),
    tag: str = "api",
    permission: Permission | Auth = Auth.UNSTATED,
    by_link: bool = False,
) -> Callable[[F], F]:
    """Describe the route of a handler, with the permission that it requires.

    `body` is a model of JSON, or one model for each media type. 400 is added for routes with parameters or a body, and 401, 403
    and 503 for guarded routes.
    """
    bodies = body if isinstance(body, Mapping) else {} if body is None else {"application/json": body}
    implied = [400] if query or headers or bodies else []
    if permission not in (Auth.NONE, Auth.OPTIONAL):
        implied += [401, 403, 503]  # 503: the store of users is unavailable
    statuses = tuple(sorted({*problems, *implied}))
    operation = Operation(summary, path, query, headers, bodies, answers, statuses, tag, permission, by_link)

    def attach(handler: F) -> F:
        handler.__described__ = operation  # type: ignore[attr-defined]
        return handler

    return attach


def operation_of(handler: object) -> Operation | None:
    found = getattr(handler, "__described__", None)
    return found if isinstance(found, Operation) else None
