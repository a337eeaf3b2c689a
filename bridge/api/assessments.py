"""What the values of devices mean, by named standards."""

import asyncio
from typing import Annotated, Literal

import orjson
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.alarms.air_monitor import AirMonitor
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.air_models import AssessmentsResponse, StandardsResponse
from bridge.core.access.permissions import Permission
from bridge.core.readings.identity import normalize_device_id

_DEVICES_LIMIT = 1000
_DEVICES_A_TURN = 10


class AssessmentsParameters(BaseModel):
    """The query of `GET /api/v1/assessments`."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[tuple[Annotated[str, AfterValidator(normalize_device_id)], ...], Field(max_length=_DEVICES_LIMIT)] = ()
    scale: Annotated[Literal["us-epa", "european"] | None, Field(description="the index; unset: that of `air.scale`")] = None


class StandardsParameters(BaseModel):
    """The query of `GET /api/v1/standards`."""

    model_config = ConfigDict(extra="forbid")

    scale: Annotated[Literal["us-epa", "european"] | None, Field(description="the index; unset: that of `air.scale`")] = None


class AssessmentsApi:
    def __init__(self, air: AirMonitor, authorizer: DeviceAuthorizer) -> None:
        self._air = air
        self._authorizer = authorizer

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/assessments", self._assessments), web.get("/api/v1/standards", self._standards)]

    @describes(
        "The air at each device, judged by named standards",
        tag="readings",
        permission=Permission.READ,
        by_link=True,
        query=AssessmentsParameters,
        answers={200: AssessmentsResponse},
        problems=(422,),
    )
    async def _assessments(self, request: web.Request) -> web.Response:
        query = {name: request.query.getall(name) for name in request.query}
        asked = AssessmentsParameters.model_validate(
            {name: values if name == "device" else values[-1] for name, values in query.items()}
        )
        allowed = self._authorizer.devices(request, asked.device)
        devices = self._air.devices() if allowed is None else [one for one in allowed if one in self._air]
        bodies: list[bytes] = []
        for device_id in devices:  # 0.2 ms each: those of 2,000 devices would keep the loop from everything else for 0.4 s
            bodies.append(orjson.dumps(self._air.public(device_id, asked.scale)))
            if len(bodies) % _DEVICES_A_TURN == 0:
                await asyncio.sleep(0)
        return web.Response(body=b'{"assessments":[%b]}' % b",".join(bodies), content_type="application/json")

    @describes(
        "The classes of each standard as bands of values, as drawn in charts",
        tag="readings",
        permission=Permission.READ,
        by_link=True,
        query=StandardsParameters,
        answers={200: StandardsResponse},
    )
    async def _standards(self, request: web.Request) -> web.Response:
        asked = StandardsParameters.model_validate(dict(request.query))
        return json_response(self._air.standards(asked.scale))
