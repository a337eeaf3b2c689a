"""The newest readings as `/ws` sends them, for its clients while they cannot hold a WebSocket."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import LatestMeasurements
from bridge.core.access.permissions import Permission
from bridge.core.readings.identity import CURSOR_LIMIT
from bridge.ports import ReadingStore
from bridge.realtime.topic_protocol import TopicCodec


class LatestParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[int, Field(ge=0, lt=CURSOR_LIMIT, description="a cursor: only readings that were stored after it")] = 0


class LatestMeasurementsApi:
    def __init__(self, store: ReadingStore, authorizer: DeviceAuthorizer, codec: TopicCodec) -> None:
        self._store = store
        self._authorizer = authorizer
        self._codec = codec

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws/latest", self._latest)]

    @describes(
        "The newest reading of each device, as /ws sends it",
        query=LatestParameters,
        answers={200: LatestMeasurements},
        problems=(503,),
        tag="websockets",
        permission=Permission.READ,
        by_link=True,
    )
    async def _latest(self, request: web.Request) -> web.Response:
        since = LatestParameters.model_validate(dict(request.query)).since
        devices = self._authorizer.devices(request)
        latest = await self._store.latest(devices) if devices != () else []
        newer = sorted((reading for reading in latest if reading.seq > since), key=lambda reading: reading.seq)
        return json_response({"measurements": [self._codec.measurement(reading) for reading in newer]})
