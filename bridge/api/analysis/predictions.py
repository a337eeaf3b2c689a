"""The last forecasts of devices."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.analysis.forecast_service.predictions import is_current, stored_bodies
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.analysis_models import ForecastFieldName, PredictionsResponse
from bridge.core.access.permissions import Permission
from bridge.core.readings.identity import normalize_device_id
from bridge.devices.registry import Registry
from bridge.ports import Store

_DEVICES_LIMIT = 1000
_DEVICES_A_TURN = 20


class PredictionsParameters(BaseModel):
    """The query of `GET /api/v1/predictions`."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[tuple[Annotated[str, AfterValidator(normalize_device_id)], ...], Field(max_length=_DEVICES_LIMIT)] = ()
    field: Annotated[tuple[ForecastFieldName, ...], Field(max_length=16)] = ()


class PredictionsApi:
    """Answers from the store, at every bridge of a cluster."""

    def __init__(self, store: Store, registry: Registry, authorizer: DeviceAuthorizer) -> None:
        self._store = store
        self._registry = registry
        self._authorizer = authorizer

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/predictions", self._predictions)]

    @describes(
        "The last forecasts of each device",
        tag="analysis",
        permission=Permission.READ,
        by_link=True,
        query=PredictionsParameters,
        answers={200: PredictionsResponse},
        problems=(422, 503),
    )
    async def _predictions(self, request: web.Request) -> web.Response:
        asked = PredictionsParameters.model_validate({name: request.query.getall(name) for name in request.query})
        allowed = self._authorizer.devices(request, asked.device)
        known = self._registry.all() if allowed is None else self._registry.some(allowed)
        devices = [one.id for one in known]
        found: list[dict[str, Any]] = []
        for at in range(0, len(devices), _DEVICES_A_TURN):
            found += await self._of(devices[at : at + _DEVICES_A_TURN], asked.field)
            await asyncio.sleep(0)
        return json_response({"predictions": found})

    async def _of(self, devices: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return the predictions of some devices, without those whose hours are all over."""
        now_ms = time.time_ns() // 1_000_000
        return [
            body
            for record in await self._store.predictions.get(devices)
            for body in stored_bodies(record)
            if is_current(body, now_ms) and (not fields or body["field"] in fields)
        ]
