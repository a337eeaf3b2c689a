"""How a route is described: `@describes(…)` on its handler, from which `openapi.py` makes the description.

    @describes("Stored readings, in cursor order", query=ReadingsParameters, answers={200: ReadingsPage}, right=Right.SEE)
    async def _readings(self, request: web.Request) -> web.Response:

Models are pydantic's; a text stands for an answer of that media type. Parameters in the path are found by themselves; a
model of them says what they may be.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from bridge.core.access.permissions import Permission

F = TypeVar("F", bound=Callable[..., Any])

Content = Any
"""A pydantic model, another type that pydantic knows (`list[Measured]`), or a media type; None for no body."""

PROBLEMS: Mapping[int, str] = {
    400: "something in the request is wrong; the problem names it",
    401: "nobody who is known: show a token or key that is valid",
    403: "this may not be done by whoever asks",
    404: "there is no such thing",
    405: "the method is not possible here",
    408: "the request took too long to arrive",
    409: "not in the present state",
    413: "the request is too large",
    415: "a media type that is not read here",
    422: "the request is understood, and nothing of it could be done",
    429: "too many attempts: see Retry-After",
    503: "not now: see Retry-After",
    507: "there is no room for more",
}
"""Answers as `application/problem+json`, by status."""


class Auth(enum.Enum):
    """What a route needs where that is no right."""

    NONE = "open"  # nothing: nobody is asked who he is
    OPTIONAL = "ajar"  # nothing, but it says less to those who show nothing
    REQUIRED = "known"  # to be somebody, whoever that is
    UNSTATED = "unstated"  # nobody has said; taken for the highest right there is, and a test insists


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `answers` are those that succeed, `problems` the statuses of those that do not."""

    summary: str
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: Mapping[str, Content] = field(default_factory=dict)
    answers: Mapping[int, Content] = field(default_factory=dict)
    problems: Sequence[int] = ()
    tag: str = "api"
    permission: Permission | Auth = Auth.UNSTATED

    @property
    def guarded(self) -> bool:
        """Whether somebody must show who he is, where access is required."""
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
    right: Permission | Auth = Auth.UNSTATED,
) -> Callable[[F], F]:
    """Describe the route of a handler, and say what it needs. `body` is a model of JSON, or one for each media type.

    A route with a query or a body can answer 400; that needs no mention.
    """
    bodies = body if isinstance(body, Mapping) else {} if body is None else {"application/json": body}
    wrong = [400] if query or headers or bodies else []
    if right not in (Auth.NONE, Auth.OPTIONAL):
        wrong += [401, 403, 503]  # 503: nobody can tell who it is
    told = Operation(summary, path, query, headers, bodies, answers, tuple(sorted({*problems, *wrong})), tag, right)

    def tell(handler: F) -> F:
        handler.__described__ = told  # type: ignore[attr-defined]
        return handler

    return tell


def operation_of(handler: object) -> Operation | None:
    """What was said of a handler."""
    found = getattr(handler, "__described__", None)
    return found if isinstance(found, Operation) else None
