"""The quarantine by HTTP: rejected messages with their reasons, and retrying them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi import models
from bridge.core.access.permissions import Permission
from bridge.core.query import QuarantineQuery
from bridge.maintenance.retry import RetryResult
from bridge.ports import Store

MESSAGES_LIMIT = 200
"""The most messages in one response, of at most 64 KiB each."""

Retry = Callable[[QuarantineQuery], Awaitable[RetryResult]]


class RetryParameters(BaseModel):
    """Filters of rejected messages; `device` matches a level of the topic, or several in a row."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[str | None, Field(max_length=128)] = None
    topic: Annotated[str | None, Field(max_length=65_535)] = None
    code: Annotated[str | None, Field(max_length=64)] = None


class RejectedParameters(RetryParameters):
    """The query of `GET /api/v1/rejected`."""

    limit: Annotated[int, Field(ge=1, le=MESSAGES_LIMIT)] = 50


class RejectedApi:
    """Routes of the quarantine."""

    def __init__(self, store: Store, retry: Retry) -> None:
        """`retry` decodes messages again and puts the readings into the intake."""
        self._store = store
        self._retry_messages = retry
        self._retrying = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/rejected", self._rejected), web.post("/api/v1/rejected/retry", self._retry)]

    @describes(
        "All groups of rejected messages, and the newest messages",
        query=RejectedParameters,
        answers={200: models.Rejected},
        problems=(503,),
        tag="quarantine",
        permission=Permission.MANAGE,
    )
    async def _rejected(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        query = RejectedParameters.model_validate(dict(request.query))
        messages = await self._store.quarantine.messages(
            QuarantineQuery(query.code, query.topic, query.device, limit=query.limit)
        )
        groups = await self._store.quarantine.groups()
        return json_response(
            {"groups": [group.public() for group in groups], "messages": [message.public() for message in messages]}
        )

    @describes(
        "Decode rejected messages with the current settings; valid ones are stored and leave the quarantine",
        query=RetryParameters,
        answers={200: models.RetryResponse},
        problems=(409, 503),
        tag="quarantine",
        permission=Permission.MANAGE,
    )
    async def _retry(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        query = RetryParameters.model_validate(dict(request.query))
        if self._retrying.locked():
            return problem(409, "a retry is already running: wait until it has finished")
        async with self._retrying:
            result = await self._retry_messages(QuarantineQuery(query.code, query.topic, query.device))
        bad = [{"code": code, "field": field, "count": count} for (code, field), count in result.bad.most_common()]
        counts = {"stored": result.stored, "duplicate": result.duplicate, "outdated": result.outdated}
        return json_response({**counts, "bad": bad})
