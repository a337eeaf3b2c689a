"""The quarantine by HTTP: what was rejected and why, and trying it again."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi import models
from bridge.core.access.permissions import Permission
from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.core.timestamp import iso
from bridge.maintenance.retry import RetryResult
from bridge.ports import Store

MESSAGES_LIMIT = 200
"""The most messages in one answer: at most 64 KiB each."""

Retry = Callable[[QuarantineQuery], Awaitable[RetryResult]]


class RetryParameters(BaseModel):
    """Which rejected messages; a device is looked for in the levels of their topics."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[str | None, Field(max_length=128)] = None
    topic: Annotated[str | None, Field(max_length=65_535)] = None
    code: Annotated[str | None, Field(max_length=64)] = None


class RejectedParameters(RetryParameters):
    """The query of `GET /api/v1/rejected`."""

    limit: Annotated[int, Field(ge=1, le=MESSAGES_LIMIT)] = 50


class RejectedApi:
    """For the person who looks after the bridge."""

    def __init__(self, store: Store, retry: Retry) -> None:
        """`retry` tries messages again, with a cursor of the running bridge."""
        self._store = store
        self._retry_them = retry
        self._retrying = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [web.get("/api/v1/rejected", self._rejected), web.post("/api/v1/rejected/retry", self._retry)]

    @describes(
        "What was rejected and why: all groups, and the newest messages",
        query=RejectedParameters,
        answers={200: models.Rejected},
        problems=(503,),
        tag="quarantine",
        right=Permission.MANAGE,
    )
    async def _rejected(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        asked = RejectedParameters.model_validate(dict(request.query))
        messages = await self._store.quarantine.messages(
            QuarantineQuery(asked.code, asked.topic, asked.device, limit=asked.limit)
        )
        groups = await self._store.quarantine.groups()
        return json_response({"groups": [_group(one) for one in groups], "messages": [_message(one) for one in messages]})

    @describes(
        "Read rejected messages again with the settings of today; what is good now is stored and leaves the quarantine",
        query=RetryParameters,
        answers={200: models.RetryResponse},
        problems=(409, 503),
        tag="quarantine",
        right=Permission.MANAGE,
    )
    async def _retry(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        asked = RetryParameters.model_validate(dict(request.query))
        if self._retrying.locked():
            return problem(409, "rejected messages are being tried again already; wait for that to end")
        async with self._retrying:
            retried = await self._retry_them(QuarantineQuery(asked.code, asked.topic, asked.device))
        bad = [{"code": code, "field": at, "count": count} for (code, at), count in retried.bad.most_common()]
        told = {"stored": retried.stored, "duplicate": retried.duplicate, "outdated": retried.outdated}
        return json_response({**told, "bad": bad})


def _group(one: QuarantineGroup) -> dict[str, Any]:
    return {"code": one.code, "field": one.field, "count": one.count, "newest": iso(one.newest_ms), "reason": one.reason}


def _message(one: QuarantinedMessage) -> dict[str, Any]:
    shown = {
        "_id": str(one.id),
        "receivedAt": iso(one.received_ms),
        "source": one.source,
        "topic": one.topic,
        "code": one.code,
        "reason": one.reason,
        "field": one.field,
        "retained": one.retained,
    }
    try:
        return {**shown, "payload": one.payload.decode("utf-8")}
    except UnicodeDecodeError:
        return {**shown, "payload": None, "payloadBase64": b64encode(one.payload).decode("ascii")}
