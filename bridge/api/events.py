"""Events of other services, by HTTP; they take the way of every message, and are answered when they have gone out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, Field

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped
from bridge.api.middleware.problems import RETRY_AFTER_SECONDS, json_response, problem
from bridge.api.openapi.models import EventAccepted
from bridge.core.access.permissions import Permission
from bridge.core.decode import MessageKind, Route
from bridge.core.message import EVENT_TOPICS, Decoded, Message, Outcome, Rejection
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.pipeline.pending import PendingBatch

SOURCE = "http"
EVENTS = Route(TopicPattern.parse("events/{topic}"), MessageKind.EVENTS)
"""How these messages are decoded, whatever the subscriptions at the broker are."""

_WAITING_LIMIT = 256  # events not settled yet, of 64 KiB each
_ANSWER_SECONDS = 5.0


class EventPath(BaseModel):
    """What the event is about."""

    topic: Annotated[str, Field(json_schema_extra={"enum": [*EVENT_TOPICS]})]


class EventsApi:
    """`POST /api/v1/events/{topic}`."""

    def __init__(self, put: Callable[[Message], None], is_open: Callable[[], bool], closed: asyncio.Event) -> None:
        """`put` takes a message in, as long as it `is_open`; `closed` tells that nothing more is settled."""
        self._put = put
        self._is_open = is_open
        self._closed = closed
        self._waiting = 0
        self.refused = 0
        """Events not taken in: too many waited, or the bridge was stopping."""

    def routes(self) -> list[web.RouteDef]:
        """The path it answers."""
        return [web.post("/api/v1/events/{topic}", self._post)]

    @describes(
        "Pass on what another service says under a topic",
        path=EventPath,
        body={"application/json": dict[str, Any]},
        answers={202: EventAccepted},
        problems=(404, 413, 422, 503),
        tag="events",
        right=Permission.PUBLISH,
    )
    async def _post(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        topic = request.match_info["topic"]
        if topic not in EVENT_TOPICS:
            raise web.HTTPNotFound(text=f"topic: {topic[:64]!a} is none; there are {', '.join(EVENT_TOPICS)}")
        if (request.content_length or 0) > PAYLOAD_LIMIT_BYTES:
            raise web.HTTPRequestEntityTooLarge(PAYLOAD_LIMIT_BYTES, request.content_length or 0)
        payload = await request.read()
        if not self._is_open():
            return self._refuse("the bridge is stopping; the event was not taken in")
        if self._waiting >= _WAITING_LIMIT:
            return self._refuse(f"{_WAITING_LIMIT} events wait already, the most")
        self._waiting += 1
        settlement = PendingBatch(1, self._settled)
        received_ms = time.time_ns() // 1_000_000
        self._put(Message(SOURCE, f"events/{topic}", payload, received_ms, settlement))
        if not await settlement.wait(_ANSWER_SECONDS, self._closed):
            return problem(
                503, "the event has not gone out yet; it will with what waits before it, unless the bridge stops first"
            )
        (meaning,) = settlement.results
        if isinstance(meaning, Rejection):
            return problem(422, meaning.reason, code=meaning.code)
        return json_response({"success": True, "topic": topic, "timestamp": iso(received_ms)}, status=202)

    def _refuse(self, why: str) -> web.Response:
        self.refused += 1
        answer = problem(503, why)
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer

    def _settled(self, _: Message, __: Outcome, meaning: Decoded | None) -> Decoded | None:
        self._waiting -= 1
        return meaning
