"""One stored reading by its id: shown, corrected and deleted."""

from functools import partial
from typing import Annotated

from aiohttp import web
from bson.errors import InvalidId
from bson.objectid import ObjectId
from pydantic import BaseModel, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import ReadingChanges, Record
from bridge.core.access.permissions import Permission
from bridge.core.errors import DeviceNotInScope, UnknownReading
from bridge.core.readings.reading import Reading
from bridge.http.proxies import client_address_of
from bridge.maintenance.corrections import Corrections
from bridge.ports import AuditLog
from bridge.settings import HttpSettings

_describes = partial(describes, tag="readings")
_PATH = "/api/v1/readings/{id}"


class ReadingPath(BaseModel):
    id: Annotated[str, Field(pattern="^[0-9a-f]{24}$")]


class CorrectionsApi:
    def __init__(self, corrections: Corrections, authorizer: DeviceAuthorizer, audit: AuditLog, http: HttpSettings) -> None:
        self._corrections = corrections
        self._authorizer = authorizer
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._get),
            web.put(_PATH, self._change),
            web.patch(_PATH, self._change),
            web.delete(_PATH, self._delete),
        ]

    @_describes("Get a reading", path=ReadingPath, answers={200: Record}, problems=(404, 503), permission=Permission.READ)
    async def _get(self, request: web.Request) -> web.Response:
        return json_response((await self._permitted(request, Permission.READ)).public())

    @_describes(
        "Correct a reading: fields that are given replace those of the reading, null removes one; it says changedAt",
        path=ReadingPath,
        body=ReadingChanges,
        answers={200: Record},
        problems=(404, 413, 422, 503),
        permission=Permission.MANAGE,
    )
    async def _change(self, request: web.Request) -> web.Response:
        changes = await read_object(request)
        before = await self._permitted(request, Permission.MANAGE)
        after = await self._corrections.change(before.id, changes)
        self._record(request, "reading changed", after, fields=" ".join(sorted(changes)))
        return json_response(after.public())

    @_describes(
        "Delete a reading; sent again by its device, it is stored again",
        path=ReadingPath,
        answers={204: None},
        problems=(404, 503),
        permission=Permission.MANAGE,
    )
    async def _delete(self, request: web.Request) -> web.Response:
        reading = await self._corrections.delete((await self._permitted(request, Permission.MANAGE)).id)
        self._record(request, "reading removed", reading)
        return web.Response(status=204)

    async def _permitted(self, request: web.Request, permission: Permission) -> Reading:
        """Return the reading of the path; the error is the same for one that does not exist and one out of scope."""
        text = request.match_info["id"]
        try:
            reading = await self._corrections.get(ObjectId(text))
        except InvalidId:
            raise UnknownReading(f"no reading {text[:64]!a} is stored: an id has 24 hexadecimal digits") from None
        if not self._authorizer.permits(request, reading.device_id, permission):
            raise DeviceNotInScope(f"no reading {reading.id} is stored", reading.device_id)
        return reading

    def _record(self, request: web.Request, action: str, reading: Reading, **details: str) -> None:
        self._audit.record(
            action,
            actor=identity_of(request),
            address=client_address_of(request, self._http),
            target=str(reading.id),
            device=reading.device_id,
            **details,
        )
