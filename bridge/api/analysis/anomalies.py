"""Anomalies: those that stand or stood, and the mark that one is wrong."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.analysis.anomaly.changes import AnomalyRecord, AnomalyState
from bridge.analysis.anomaly.record import AnomalyKind
from bridge.analysis.anomaly_desk import AnomalyDesk
from bridge.api.analysis.paging import PAGE, readable
from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.anomaly_models import AnomaliesPage, AnomalyId, AnomalyResponse, ListedAnomalies, WrongMark
from bridge.core.access.permissions import Permission
from bridge.core.errors import UnknownAlarm
from bridge.core.readings.identity import normalize_device_id
from bridge.http.proxies import client_address_of
from bridge.settings import HttpSettings

_describes = partial(describes, tag="anomalies")
_PATH = "/api/v1/anomalies"
_ID = "/{id:[0-9a-f]{24}}"
_LIMIT = 1000


class AnomaliesParameters(BaseModel):
    """The query of `GET /api/v1/anomalies`. `before` is the last id of a page."""

    model_config = ConfigDict(extra="forbid")

    state: ListedAnomalies = "standing"
    device: Annotated[str, AfterValidator(normalize_device_id)] | None = None
    kind: AnomalyKind | None = None
    before: AnomalyId | None = None
    limit: Annotated[int, Field(ge=1, le=_LIMIT)] = 100


class AnomaliesApi:
    def __init__(self, desk: AnomalyDesk, authorizer: DeviceAuthorizer, http: HttpSettings) -> None:
        self._desk = desk
        self._authorizer = authorizer
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._list),
            web.get(_PATH + _ID, self._get),
            web.post(_PATH + _ID + "/wrong", self._mark_wrong),
        ]

    @_describes(
        "List anomalies, the one detected last first",
        query=AnomaliesParameters,
        answers={200: AnomaliesPage},
        problems=(422, 503),
        permission=Permission.READ,
    )
    async def _list(self, request: web.Request) -> web.Response:
        query = AnomaliesParameters.model_validate(dict(request.query))
        found = await self._found(request, query)
        page = found[: query.limit]
        more = page[-1].id if len(found) > query.limit else None
        return json_response({"anomalies": [record.public() for record in page], "next": more})

    async def _found(self, request: web.Request, query: AnomaliesParameters) -> list[AnomalyRecord]:
        """Return one more than asked for of what the caller may read."""
        if query.device is not None and not self._authorizer.permits(request, query.device):
            return []
        state = None if query.state == "all" else AnomalyState(query.state)

        def page_before(before: str | None) -> Awaitable[tuple[list[AnomalyRecord], str | None]]:
            return self._desk.page(device_id=query.device, kind=query.kind, state=state, before=before, limit=PAGE)

        return await readable(page_before, partial(self._authorizer.permits, request), query.before, query.limit)

    @_describes("Get an anomaly", answers={200: AnomalyResponse}, problems=(404, 503), permission=Permission.READ)
    async def _get(self, request: web.Request) -> web.Response:
        return json_response((await self._asked(request, Permission.READ)).public())

    @_describes(
        "Mark an anomaly as wrong: it ends, and the thresholds that found it are doubled for the device",
        body=WrongMark,
        answers={200: AnomalyResponse},
        problems=(404, 409, 413, 422, 503),
        permission=Permission.COMMAND,
    )
    async def _mark_wrong(self, request: web.Request) -> web.Response:
        body = WrongMark.model_validate(await read_object(request))
        record = await self._asked(request, Permission.COMMAND)
        address = client_address_of(request, self._http)
        done = await self._desk.mark_wrong(record, identity_of(request), address, body.comment)
        return json_response(done.public())

    async def _asked(self, request: web.Request, permission: Permission) -> AnomalyRecord:
        """Return the anomaly of the path. Raises `UnknownAlarm`, also if its device is outside the caller's scope."""
        anomaly_id = request.match_info["id"]
        record = await self._desk.get(anomaly_id)
        if record is None or not self._authorizer.permits(request, record.device_id, permission):
            raise UnknownAlarm(f"no anomaly {anomaly_id} is known")
        return record
