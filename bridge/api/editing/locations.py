"""Locations that devices refer to. Those who are limited to some devices see the locations of their sites."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import check_unscoped, identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import LocationChanges, LocationResponse, LocationsPage, NewLocation
from bridge.core.access.permissions import Permission
from bridge.core.devices.entity import entity_of
from bridge.core.devices.named_location import NamedLocation
from bridge.core.errors import DeviceIdError, LocationError, UnknownLocation
from bridge.core.readings.identity import normalize_device_id, number_or_text, parse_device_id, text_of_id
from bridge.devices.locations import Locations
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog
from bridge.settings import HttpSettings

_describes = partial(describes, tag="locations")
_PATH = "/api/v1/locations"
_ID = "/{id:[^/]+}"
_LIMIT = 10_000


class LocationsParameters(BaseModel):
    """The query of `GET /api/v1/locations`; `after` is the last id of the previous page."""

    model_config = ConfigDict(extra="forbid")

    site: str | None = None
    after: Annotated[str, AfterValidator(normalize_device_id)] = ""
    limit: Annotated[int, Field(ge=1, le=_LIMIT)] = 1000


class LocationsApi:
    def __init__(self, locations: Locations, authorizer: DeviceAuthorizer, audit: AuditLog, http: HttpSettings) -> None:
        self._locations = locations
        self._authorizer = authorizer
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._list),
            web.post(_PATH, self._add),
            web.get(_PATH + _ID, self._get),
            web.put(_PATH + _ID, self._change),
            web.patch(_PATH + _ID, self._change),
            web.delete(_PATH + _ID, self._remove),
        ]

    @_describes("List locations by id", query=LocationsParameters, answers={200: LocationsPage}, permission=Permission.READ)
    async def _list(self, request: web.Request) -> web.Response:
        query = LocationsParameters.model_validate(dict(request.query))
        found: list[NamedLocation] = []
        for location in self._locations.all(query.after):
            if query.site in (None, location.site) and self._authorizer.permits_site(request, location.site):
                if len(found) == query.limit:
                    return json_response({"locations": list(map(_shown, found)), "next": number_or_text(found[-1].id)})
                found.append(location)
        return json_response({"locations": list(map(_shown, found)), "next": None})

    @_describes("Get a location", answers={200: LocationResponse}, problems=(404,), permission=Permission.READ)
    async def _get(self, request: web.Request) -> web.Response:
        location = self._locations.get(_in_path(request))
        if not self._authorizer.permits_site(request, location.site):
            raise UnknownLocation(f"no location {location.id[:128]!r} is known")
        return json_response(_shown(location))

    @_describes(
        "Create a location; unknown attributes are stored as given. Without an id it gets the next number",
        body=NewLocation,
        answers={201: LocationResponse},
        problems=(409, 413, 422, 503, 507),
        permission=Permission.MANAGE,
    )
    async def _add(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        attributes = await read_object(request)
        location = await self._locations.add(_take_id(attributes), attributes)
        self._record(request, "location added", location.id)
        response = json_response(_shown(location), status=201)
        response.headers["Location"] = f"{_PATH}/{quote(location.id, safe='')}"
        return response

    @_describes(
        "Change attributes of a location; null removes one. Its devices move with it",
        body=LocationChanges,
        answers={200: LocationResponse},
        problems=(404, 413, 422, 503),
        permission=Permission.MANAGE,
    )
    async def _change(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        attributes, identity = await read_object(request), _in_path(request)
        if "id" in attributes and _take_id(attributes) != identity:
            raise LocationError({"id": "cannot be changed"})
        location = await self._locations.change(identity, attributes)
        self._record(request, "location changed", identity)
        return json_response(_shown(location))

    @_describes(
        "Remove a location that no device refers to",
        answers={204: None},
        problems=(404, 409, 503),
        permission=Permission.MANAGE,
    )
    async def _remove(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        identity = _in_path(request)
        await self._locations.remove(identity)
        self._record(request, "location removed", identity)
        return web.Response(status=204)

    def _record(self, request: web.Request, action: str, identity: str) -> None:
        address = client_address_of(request, self._http)
        self._audit.record(action, actor=identity_of(request), address=address, target=identity)


def _in_path(request: web.Request) -> str:
    return normalize_device_id(request.match_info["id"])


def _take_id(attributes: dict[str, Any]) -> str | None:
    """Take the id out of the attributes. Raises `LocationError` if it is not one."""
    if "id" not in attributes:
        return None
    try:
        return parse_device_id(text_of_id(attributes.pop("id")))
    except DeviceIdError as error:
        raise LocationError({"id": str(error)}) from None


def _shown(location: NamedLocation) -> dict[str, Any]:
    return entity_of(location.public())
