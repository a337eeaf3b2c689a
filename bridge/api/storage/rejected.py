"""The quarantine by HTTP: rejected messages with their reasons, retrying and clearing them, and what would read them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any

from aiohttp import web
from bson.objectid import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped, identity_of
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi import admin_models, models
from bridge.core.access.permissions import Permission
from bridge.core.discovery.attempts import FormatAttempt, best_of, try_formats
from bridge.core.query import QuarantinedMessage, QuarantineQuery
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.devices.discovery.stored_subscriptions import ActiveSubscription, StoredSubscriptions
from bridge.http.proxies import client_address_of
from bridge.maintenance.quarantine import clear
from bridge.maintenance.retry import RetryResult
from bridge.ports import AuditLog, Store
from bridge.settings import HttpSettings
from bridge.sources.mqtt.connection import SOURCE as MQTT

MESSAGES_LIMIT = 200
"""The most messages in one response, of at most 64 KiB each."""

_PATH = "/api/v1/rejected"
_PROPOSED_READINGS = 10
_CLEAR_SECONDS = 60.0
_BUSY = "the quarantine is being retried or cleared: wait until that has finished"

Retry = Callable[[QuarantineQuery], Awaitable[RetryResult]]
_describes = partial(describes, tag="quarantine", permission=Permission.MANAGE)
_MessageId = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]


class RetryParameters(BaseModel):
    """Filters of rejected messages; `device` matches a level of the topic, or several in a row. An empty `field` is none."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[str | None, Field(max_length=128)] = None
    topic: Annotated[str | None, Field(max_length=65_535)] = None
    code: Annotated[str | None, Field(max_length=64)] = None
    field: Annotated[str | None, Field(max_length=128)] = None
    source: Annotated[str | None, Field(max_length=64)] = None
    id: _MessageId | None = None

    def query(self) -> QuarantineQuery:
        return QuarantineQuery(
            self.code,
            self.topic,
            self.device,
            None if self.id is None else ObjectId(self.id),
            source=self.source,
            field=self.field,
        )


class ClearParameters(RetryParameters):
    """What to remove: by at least one filter, or `all`."""

    all: bool = False

    def filters(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.model_dump(exclude={"all"}).items() if value is not None}


class RejectedParameters(RetryParameters):
    """The query of `GET /api/v1/rejected`."""

    limit: Annotated[int, Field(ge=1, le=MESSAGES_LIMIT)] = 50


class RejectedPath(BaseModel):
    id: _MessageId


class RejectedApi:
    """Routes of the quarantine."""

    def __init__(
        self, store: Store, retry: Retry, subscriptions: StoredSubscriptions, audit: AuditLog, http: HttpSettings
    ) -> None:
        """`retry` decodes messages again and puts the readings into the intake."""
        self._store = store
        self._retry_messages = retry
        self._subscriptions = subscriptions
        self._audit = audit
        self._http = http
        self._changing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._rejected),
            web.delete(_PATH, self._clear),
            web.post(f"{_PATH}/retry", self._retry),
            web.get(f"{_PATH}/{{id}}/proposals", self._proposals),
        ]

    @_describes(
        "All groups of rejected messages, and the newest messages",
        query=RejectedParameters,
        answers={200: models.Rejected},
        problems=(503,),
    )
    async def _rejected(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        parameters = RejectedParameters.model_validate(dict(request.query))
        messages = await self._store.quarantine.messages(_limited(parameters.query(), parameters.limit))
        groups = await self._store.quarantine.groups()
        return json_response(
            {"groups": [group.public() for group in groups], "messages": [message.public() for message in messages]}
        )

    @_describes(
        "Decode rejected messages with the current settings; valid ones are stored and leave the quarantine",
        query=RetryParameters,
        answers={200: models.RetryResponse},
        problems=(409, 503),
    )
    async def _retry(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        query = RetryParameters.model_validate(dict(request.query)).query()
        if self._changing.locked():
            return problem(409, _BUSY)
        async with self._changing:
            result = await self._retry_messages(query)
        bad = [{"code": code, "field": field, "count": count} for (code, field), count in result.bad.most_common()]
        counts = {"stored": result.stored, "duplicate": result.duplicate, "outdated": result.outdated}
        return json_response({**counts, "bad": bad})

    @_describes(
        "Remove the rejected messages that a filter matches, or all; they are lost",
        query=ClearParameters,
        answers={200: admin_models.ClearedResponse},
        problems=(409, 422, 503),
    )
    async def _clear(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        parameters = ClearParameters.model_validate(dict(request.query))
        filters = parameters.filters()
        if bool(filters) is parameters.all:
            return problem(422, "name what to remove: code, field, source, topic, device or id; or all=true, and no filter")
        if self._changing.locked():
            return problem(409, _BUSY)
        removed: list[int] = []
        async with self._changing:
            try:
                async with asyncio.timeout(_CLEAR_SECONDS):
                    await clear(self._store, parameters.query(), on_removed=removed.append)
            except TimeoutError:
                return problem(503, f"not all were removed within {_CLEAR_SECONDS:g} s: repeat the request")
            finally:  # also of a part: they are lost
                self._record_cleared(request, filters, sum(removed))
        return json_response({"removed": sum(removed)})

    def _record_cleared(self, request: web.Request, filters: Mapping[str, str], removed: int) -> None:
        target = " ".join(f"{name}={value}" for name, value in filters.items()) or "all"
        self._audit.record(
            "quarantine cleared",
            actor=identity_of(request),
            address=client_address_of(request, self._http),
            target=target[:200],
            removed=str(removed),
        )

    @_describes(
        "How each payload format would read a rejected message, the best first, and the subscription for it",
        path=RejectedPath,
        answers={200: admin_models.FormatProposals},
        problems=(400, 404, 503),
    )
    async def _proposals(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        path = RejectedPath.model_validate(dict(request.match_info))
        found = await self._store.quarantine.messages(QuarantineQuery(id=ObjectId(path.id), limit=1))
        if not found:
            return problem(404, f"no rejected message has the id {path.id}")
        message = found[0]
        topic = message.topic if message.source == MQTT else None  # other sources have no topics of their own
        attempts = await asyncio.to_thread(try_formats, message.payload, topic, message.received_ms)
        best = best_of(attempts)
        readable = sorted((one for one in attempts if one.readings), key=lambda one: one.rank, reverse=True)
        taken = self._subscription_of(message)
        return json_response(
            {
                "topic": message.topic,
                "source": message.source,
                "subscription": None if taken is None else {"id": taken.id, "pattern": taken.settings.pattern},
                "proposals": [_proposal(one, is_best=one is best) for one in readable],
                "unreadable": [{"format": one.format, "reason": one.error} for one in attempts if not one.readings],
            }
        )

    def _subscription_of(self, message: QuarantinedMessage) -> ActiveSubscription | None:
        """Return the subscription that a message came by, which a new one of the same topics would stand behind."""
        if message.source != MQTT:
            return None
        for one in self._subscriptions.all():
            if TopicPattern.parse(one.settings.pattern).match(message.topic) is not None:
                return one
        return None


def _limited(query: QuarantineQuery, limit: int) -> QuarantineQuery:
    return QuarantineQuery(query.code, query.topic, query.device, query.id, query.after, limit, query.source, query.field)


def _proposal(attempt: FormatAttempt, *, is_best: bool) -> dict[str, Any]:
    fields = {name: _field_setting(path.text, path.scale, path.offset, path.unit) for name, path in attempt.fields.items()}
    return {
        "best": is_best,
        "format": attempt.format,
        "pattern": attempt.pattern,
        "fields": fields,
        "setting": attempt.setting,
        "readings": [_would_store(reading) for reading in attempt.readings[:_PROPOSED_READINGS]],
        "readingCount": len(attempt.readings),
        "reason": attempt.error,
    }


def _field_setting(path: str, scale: float, offset: float, unit: str | None) -> str | dict[str, Any]:
    """Return a path as the settings have it."""
    if scale == 1 and offset == 0 and unit is None:
        return path
    return {"path": path, "scale": scale, "offset": offset, **({} if unit is None else {"unit": unit})}


def _would_store(reading: Reading) -> dict[str, Any]:
    return {
        "deviceId": reading.device_id,
        "timestamp": iso(reading.timestamp_ms),
        "values": dict(reading.values),
        "quality": dict(reading.quality),
        "notTaken": {path: reason[:200] for path, reason in list(reading.ignored.items())[:50]},
    }
