"""The registry of devices."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import (
    DeviceChanges,
    DeviceDetail,
    DeviceResponse,
    DevicesPage,
    IgnoredKeysPage,
    NewDevice,
)
from bridge.core.access.permissions import Permission
from bridge.core.devices.device import Device, apply_changes
from bridge.core.devices.entity import entity_of
from bridge.core.errors import DeviceError, DeviceIdError
from bridge.core.readings.identity import normalize_device_id, parse_device_id, text_of_id
from bridge.devices.locations import REFERENCE, Locations
from bridge.devices.profile_service import ProfileService
from bridge.devices.registry import Registry
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog
from bridge.settings import HttpSettings

_describes = partial(describes, tag="devices")
DEVICES_LIMIT = 10_000
_IGNORED_LIMIT = 1000
DEVICE_PATHS = "/api/v1/devices", "/api/v1/sensors"
DEVICE_ID = "/{id:[^/]+}"  # aiohttp's own expression takes no braces
_ID_NAMES = ("id", "deviceId", "device_id", "sensor_id")


class DevicesParameters(BaseModel):
    """The query of `GET /api/v1/devices`. `q` is searched in id and name; `after` is the last id of the previous page."""

    model_config = ConfigDict(extra="forbid")

    site: str | None = None
    room: str | None = None
    type: str | None = None
    status: str | None = None
    q: Annotated[str | None, Field(max_length=128)] = None
    after: Annotated[str, AfterValidator(normalize_device_id)] = ""
    limit: Annotated[int, Field(ge=1, le=DEVICES_LIMIT)] = 1000

    def matches(self, device: Device) -> bool:
        filters = ((self.site, device.site), (self.room, device.room), (self.type, device.type), (self.status, device.status))
        if device.id <= self.after or any(expected not in (None, actual) for expected, actual in filters):
            return False
        return self.q is None or any(_folded(self.q) in _folded(text) for text in (device.id, device.name or ""))


def _folded(text: str) -> str:
    """Return the text without differences of case and of spelling, to search in it."""
    return unicodedata.normalize("NFC", text.casefold())


class IgnoredKeysParameters(BaseModel):
    """The query of `GET /api/v1/ignored-keys`; `after` is the last id of the previous page."""

    model_config = ConfigDict(extra="forbid")

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=_IGNORED_LIMIT)] = 100


class DevicesApi:
    def __init__(
        self,
        registry: Registry,
        profiles: ProfileService,
        locations: Locations,
        authorizer: DeviceAuthorizer,
        audit: AuditLog,
        http: HttpSettings,
    ) -> None:
        self._registry = registry
        self._profiles = profiles
        self._locations = locations
        self._authorizer = authorizer
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        routes = [
            route
            for path in DEVICE_PATHS
            for route in (
                web.get(path, self._list),
                web.post(path, self._register),
                web.get(path + DEVICE_ID, self._get),
                web.patch(path + DEVICE_ID, self._update),
                web.put(path + DEVICE_ID, self._update),
                web.delete(path + DEVICE_ID, self._remove),
            )
        ]
        return [*routes, web.get("/api/v1/ignored-keys", self._ignored_keys)]

    @_describes(
        "List devices by id", query=DevicesParameters, answers={200: DevicesPage}, permission=Permission.READ, by_link=True
    )
    async def _list(self, request: web.Request) -> web.Response:
        query = DevicesParameters.model_validate(dict(request.query))
        found: list[Device] = []
        for device in self._candidates(request, query):
            if query.matches(device):
                if len(found) == query.limit:
                    return json_response({"devices": _shown(request, found), "next": found[-1].id})
                found.append(device)
        return json_response({"devices": _shown(request, found), "next": None})

    def _candidates(self, request: web.Request, query: DevicesParameters) -> Iterator[Device]:
        """The devices in the caller's scope, at the site of the query if it has one: by an index, not by asking all devices."""
        device_ids: Collection[str] | None = self._authorizer.devices(request)
        if query.site:
            at_site = self._registry.devices_at((query.site,))
            device_ids = at_site if device_ids is None else frozenset(device_ids).intersection(at_site)
        return self._registry.all(query.after) if device_ids is None else self._registry.some(device_ids, query.after)

    @_describes("Get a device", answers={200: DeviceDetail}, problems=(404,), permission=Permission.READ, by_link=True)
    async def _get(self, request: web.Request) -> web.Response:
        return json_response(_entity(request, self._profiles.detail(self._registry.get(self._device_id(request)))))

    @_describes(
        "Register a device; unknown attributes are stored as given. Without an id it gets the next number",
        body=NewDevice,
        answers={201: DeviceResponse},
        problems=(409, 413, 422, 503, 507),
        permission=Permission.MANAGE,
    )
    async def _register(self, request: web.Request) -> web.Response:
        attributes = await read_object(request)
        attributes = self._placed(request, attributes)
        device_id = await self._new_id(attributes)
        self._authorizer.check_site(request, device_id, attributes.get("site"))
        await self._authorizer.check_new(request, device_id)
        device = await self._registry.register(device_id, attributes)
        self._record(request, "device added", device.id)
        response = json_response(_entity(request, device.public()), status=201)
        response.headers["Location"] = device_path(device.id)
        return response

    def _placed(self, request: web.Request, attributes: dict[str, Any], current: str | None = None) -> dict[str, Any]:
        """The attributes of a device with site and room of the location that they refer to, or `current`."""
        named = {REFERENCE if name == "location_id" else name: value for name, value in attributes.items()}
        if REFERENCE in named:
            named[REFERENCE] = text_of_id(named[REFERENCE])
        return self._locations.resolve(named, current, lambda location: self._authorizer.permits_site(request, location.site))

    async def _new_id(self, attributes: dict[str, Any]) -> str:
        """Take the id out of the attributes of a new device; without one, it is the next number."""
        name = next((name for name in _ID_NAMES if name in attributes), None)
        if name is None:
            apply_changes(Device(""), attributes)  # an invalid device takes no number
            return await self._registry.numbers.next(self._authorizer.is_unused)
        try:
            return parse_device_id(text_of_id(attributes.pop(name)))
        except DeviceIdError as error:
            raise DeviceError({"id": str(error)}) from None

    @_describes(
        "Change attributes of a device, its time zone, units and parts; null removes one",
        body=DeviceChanges,
        answers={200: DeviceDetail},
        problems=(404, 413, 422, 503, 507),
        permission=Permission.MANAGE,
    )
    async def _update(self, request: web.Request) -> web.Response:
        device_id, attributes = self._device_id(request, Permission.MANAGE), await read_object(request)
        if not names_device(attributes.pop("id", device_id), device_id):
            raise DeviceError({"id": "cannot be changed"})
        if "site" in attributes:
            self._authorizer.check_site(request, device_id, attributes["site"])
        device = self._registry.get(device_id)
        attributes = self._placed(request, attributes, device.locationId)
        self._authorizer.check_site(request, device_id, attributes.get("site", device.site))
        device = await self._profiles.update(device_id, attributes)
        self._record(request, "device changed", device_id)
        return json_response(_entity(request, self._profiles.detail(device)))

    @_describes("Remove a device; its readings stay", answers={204: None}, problems=(404, 503), permission=Permission.MANAGE)
    async def _remove(self, request: web.Request) -> web.Response:
        device_id = self._device_id(request, Permission.MANAGE)
        await self._profiles.remove(device_id)
        self._record(request, "device removed", device_id)
        return web.Response(status=204)

    @_describes(
        "Keys of messages that are not taken, by device id",
        query=IgnoredKeysParameters,
        answers={200: IgnoredKeysPage},
        permission=Permission.READ,
    )
    async def _ignored_keys(self, request: web.Request) -> web.Response:
        query = IgnoredKeysParameters.model_validate(dict(request.query))
        device_ids = self._authorizer.devices(request)
        devices = self._registry.all(query.after) if device_ids is None else self._registry.some(device_ids, query.after)
        found: list[dict[str, Any]] = []
        for device in devices:
            if device.also_sends:
                if len(found) == query.limit:
                    return json_response({"devices": found, "next": found[-1]["id"]})
                found.append({"id": device.id, **device.also_sends_public()})
        return json_response({"devices": found, "next": None})

    def _device_id(self, request: web.Request, permission: Permission = Permission.READ) -> str:
        """Return the device id of the path. Raises `UnknownDevice` if it is outside the caller's scope."""
        device_id = device_id_in(request)
        self._authorizer.check(request, device_id, permission)
        return device_id

    def _record(self, request: web.Request, action: str, device_id: str, **details: str) -> None:
        self._audit.record(
            action, actor=identity_of(request), address=client_address_of(request, self._http), target=device_id, **details
        )


def device_id_in(request: web.Request) -> str:
    """The device id of the path, where its slashes are written `%2F`."""
    return normalize_device_id(request.match_info["id"])


def _shown(request: web.Request, devices: Sequence[Device]) -> list[dict[str, Any]]:
    return [_entity(request, device.public()) for device in devices]


def _entity(request: web.Request, shown: dict[str, Any]) -> dict[str, Any]:
    """A device as the requested path shows it: `/api/v1/sensors` has ids that are numbers, and `created_at`, as channels do."""
    return entity_of(shown) if request.path.startswith(DEVICE_PATHS[1]) else shown


def device_path(device_id: str) -> str:
    return f"{DEVICE_PATHS[0]}/{quote(device_id, safe='')}"


def names_device(value: object, device_id: str) -> bool:
    """Whether a value is this device id, in any spelling."""
    text = text_of_id(value)
    return isinstance(text, str) and normalize_device_id(text) == device_id
