"""Events of other services by HTTP: decoded and published like any message, and answered when they have been published."""

import asyncio
import time
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
from bridge.http.bodies import read_body
from bridge.pipeline.intake import Intake
from bridge.pipeline.pending import PendingBatch

SOURCE = "http"
EVENTS = Route(TopicPattern.parse("events/{topic}"), MessageKind.EVENTS)
"""The route of these messages, independent of the subscriptions at the broker."""

_WAITING_LIMIT = 256  # unsettled events, of at most 64 KiB each
_ANSWER_SECONDS = 5.0


class EventPath(BaseModel):
    topic: Annotated[str, Field(json_schema_extra={"enum": [*EVENT_TOPICS]})]


class EventsApi:
    def __init__(self, intake: Intake, closed: asyncio.Event) -> None:
        """`closed` is set when the pipeline settles no more messages."""
        self._intake = intake
        self._closed = closed
        self._waiting = 0
        self.refused = 0
        """Events refused because too many waited or the bridge was stopping."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/events/{topic}", self._post)]

    @describes(
        "Publish an event of another service under a topic",
        path=EventPath,
        body={"application/json": dict[str, Any]},
        answers={202: EventAccepted},
        problems=(404, 413, 422, 503),
        tag="events",
        permission=Permission.PUBLISH,
    )
    async def _post(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        topic = request.match_info["topic"]
        if topic not in EVENT_TOPICS:
            raise web.HTTPNotFound(text=f"topic: {topic[:64]!a} does not exist: use one of {', '.join(EVENT_TOPICS)}")
        if (request.content_length or 0) > PAYLOAD_LIMIT_BYTES:
            raise web.HTTPRequestEntityTooLarge(PAYLOAD_LIMIT_BYTES, request.content_length or 0)
        payload = await read_body(request)
        if self._intake.closed:
            return self._refuse("the bridge is stopping; the event was not accepted")
        if self._waiting >= _WAITING_LIMIT:
            return self._refuse(f"the limit of {_WAITING_LIMIT} waiting events is reached")
        self._waiting += 1
        pending = PendingBatch(1, self._on_settled)
        received_ms = time.time_ns() // 1_000_000
        self._intake.put(Message(SOURCE, f"events/{topic}", payload, received_ms, pending))
        if not await pending.wait(_ANSWER_SECONDS, self._closed):
            return problem(503, "the event has not been published yet; it will be, unless the bridge stops first")
        (meaning,) = pending.results
        if isinstance(meaning, Rejection):
            return problem(422, meaning.reason, code=meaning.code)
        return json_response({"success": True, "topic": topic, "timestamp": iso(received_ms)}, status=202)

    def _refuse(self, reason: str) -> web.Response:
        self.refused += 1
        response = problem(503, reason)
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response

    def _on_settled(self, _: Message, __: Outcome, meaning: Decoded | None) -> Decoded | None:
        self._waiting -= 1
        return meaning
