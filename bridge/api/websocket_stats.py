"""Statistics of the plain WebSockets, and test events."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import ChannelStats, TestEventSent, TopicStats
from bridge.core.access.channels import CHANNELS, GENERAL
from bridge.core.access.permissions import Permission
from bridge.core.events import Level, SystemEvent
from bridge.ports import Publisher
from bridge.realtime.channel_protocol import ChannelProtocol, checked_channel
from bridge.realtime.topic_protocol import TopicProtocol

_MESSAGE_LENGTH = 1000
_MESSAGE = "test"

_Channel = Annotated[str, Field(json_schema_extra={"enum": [*CHANNELS]})]


class ChannelPath(BaseModel):
    channel: _Channel


class TestEventParameters(BaseModel):
    channel: _Channel = GENERAL
    message: Annotated[str, Field(max_length=_MESSAGE_LENGTH)] = _MESSAGE
    level: Level = "info"


class WebSocketsApi:
    def __init__(self, topics: TopicProtocol, channels: ChannelProtocol, publisher: Publisher) -> None:
        """`publisher` sends the test events."""
        self._topics = topics
        self._channels = channels
        self._publisher = publisher

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ws/stats", self._topic_stats),
            web.get("/api/v1/ws/stats", self._channel_stats),
            web.get("/api/v1/ws/stats/{channel}", self._channel_stats),
            web.post("/api/v1/ws/test-event", self._test_event),
        ]

    @describes("Clients of /ws by topic", answers={200: TopicStats}, tag="websockets", permission=Permission.READ)
    async def _topic_stats(self, _: web.Request) -> web.Response:
        return json_response(self._topics.stats())

    @describes(
        "Clients of /api/v1/ws by channel",
        path=ChannelPath,
        answers={200: ChannelStats},
        problems=(404,),
        tag="websockets",
        permission=Permission.MANAGE,
    )
    async def _channel_stats(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        channel = request.match_info.get("channel")
        return json_response(self._channels.stats(None if channel is None else checked_channel(channel)))

    @describes(
        "Send a system_event to a channel, as a test",
        query=TestEventParameters,
        answers={200: TestEventSent},
        problems=(404,),
        tag="websockets",
        permission=Permission.MANAGE,
    )
    async def _test_event(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        channel = checked_channel(request.query.get("channel", GENERAL))
        query = TestEventParameters.model_validate(dict(request.query))
        self._publisher.publish([SystemEvent(query.level, query.message, {"test": True}, channel)])
        return json_response({"success": True, "channel": channel, "message": query.message, "level": query.level})
