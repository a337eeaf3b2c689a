"""Devices and their commands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Annotated, Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import Handler, json_response, problem
from bridge.api.openapi.models import CommandResponse, CommandsPage, DeviceResponse, DevicesPage, FormCommand, NewDevice
from bridge.core.access.permissions import IdentityKind, Permission
from bridge.core.devices.command import Command, CommandRequest
from bridge.core.devices.device import Device
from bridge.core.errors import CommandRejected, DeviceError, DeviceExists, DeviceNotInScope, TooManyDevices, UnknownDevice
from bridge.core.readings.identity import is_device_id
from bridge.devices.registry import Registry
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog, CommandSender
from bridge.settings import HttpSettings

DEVICES_LIMIT = 10_000
_COMMANDS_LIMIT = 1000
_ID_NAMES = ("id", "deviceId", "device_id", "sensor_id")
_OURS = "/api/v1/devices", "/api/v1/sensors"


class Book(CommandSender, Protocol):
    """Takes commands, and tells of them."""

    async def get(self, device_id: str, command_id: str) -> Command | None:
        """One command of a device."""

    async def recent(self, device_id: str, limit: int) -> list[Command]:
        """The newest commands of a device, newest first."""


class DevicesParameters(BaseModel):
    """The query of `GET /api/v1/devices`. `q` is looked for in id and name; `after` is the last id of the page before."""

    model_config = ConfigDict(extra="forbid")

    site: str | None = None
    room: str | None = None
    type: str | None = None
    status: str | None = None
    q: Annotated[str | None, Field(max_length=128)] = None
    after: str = ""
    limit: Annotated[int, Field(ge=1, le=DEVICES_LIMIT)] = 1000

    def wants(self, device: Device) -> bool:
        """Whether a device is asked for."""
        asked = ((self.site, device.site), (self.room, device.room), (self.type, device.type), (self.status, device.status))
        if device.id <= self.after or any(wanted not in (None, is_there) for wanted, is_there in asked):
            return False
        return self.q is None or any(self.q.lower() in text.lower() for text in (device.id, device.name or ""))


class RecentParameters(BaseModel):
    """The query of `GET …/commands`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=_COMMANDS_LIMIT)] = 100


class DevicesApi:
    """The registry, for operators, and commands for everyone who may."""

    def __init__(
        self, registry: Registry, commands: Book, reach: DeviceAuthorizer, audit: AuditLog, http: HttpSettings
    ) -> None:
        """`registry` and `commands` are asked at every call, for devices within `reach`."""
        self._registry = registry
        self._commands = commands
        self._reach = reach
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers; `sensors` is another word for devices."""
        routes = [
            route
            for path in _OURS
            for route in (
                web.get(path, _told(self._list)),
                web.post(path, _told(self._register)),
                web.get(path + "/{id}", _told(self._get)),
                web.patch(path + "/{id}", _told(self._amend)),
                web.delete(path + "/{id}", _told(self._remove)),
                web.post(path + "/{id}/commands", _told(self._ask)),
                web.get(path + "/{id}/commands", _told(self._recent)),
                web.get(path + "/{id}/commands/{command}", _told(self._command)),
            )
        ]
        return [*routes, web.post("/send_command", _told(self._ask_by_form))]

    @describes("The devices, by id", query=DevicesParameters, answers={200: DevicesPage}, tag="devices", right=Permission.READ)
    async def _list(self, request: web.Request) -> web.Response:
        asked = DevicesParameters.model_validate(dict(request.query))
        found: list[Device] = []
        for device in self._registry.all():
            if asked.wants(device) and self._reach.holds(request, device.id):
                if len(found) == asked.limit:
                    return json_response({"devices": [one.public() for one in found], "next": found[-1].id})
                found.append(device)
        return json_response({"devices": [one.public() for one in found], "next": None})

    @describes("One device", answers={200: DeviceResponse}, problems=(404,), tag="devices", right=Permission.READ)
    async def _get(self, request: web.Request) -> web.Response:
        return json_response(self._registry.get(self._seen(request)).public())

    @describes(
        "Register a device; attributes we do not know are kept",
        body=NewDevice,
        answers={201: DeviceResponse},
        problems=(409, 413, 422, 503, 507),
        tag="devices",
        right=Permission.MANAGE,
    )
    async def _register(self, request: web.Request) -> web.Response:
        given = await read_object(request)
        named = [name for name in _ID_NAMES if name in given]
        device_id = given.pop(named[0]) if named else None
        if not is_device_id(device_id):
            raise DeviceError({"id": "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -"})
        self._reach.check_place(request, str(device_id), given.get("site"))
        await self._reach.check_new(request, str(device_id))
        device = await self._registry.register(str(device_id), given)
        self._note(request, "device added", device.id)
        answer = json_response(device.public(), status=201)
        answer.headers["Location"] = f"/api/v1/devices/{device.id}"
        return answer

    @describes(
        "Change some attributes of a device; null takes one away",
        body=NewDevice,
        answers={200: DeviceResponse},
        problems=(404, 413, 422, 503, 507),
        tag="devices",
        right=Permission.MANAGE,
    )
    async def _amend(self, request: web.Request) -> web.Response:
        device_id, given = self._seen(request, Permission.MANAGE), await read_object(request)
        if given.pop("id", device_id) != device_id:
            raise DeviceError({"id": "cannot be changed"})
        if "site" in given:
            self._reach.check_place(request, device_id, given["site"])
        device = await self._registry.update(device_id, given)
        self._note(request, "device changed", device_id)
        return json_response(device.public())

    @describes(
        "Forget a device; its readings stay", answers={204: None}, problems=(404, 503), tag="devices", right=Permission.MANAGE
    )
    async def _remove(self, request: web.Request) -> web.Response:
        device_id = self._seen(request, Permission.MANAGE)
        await self._registry.remove(device_id)
        self._note(request, "device removed", device_id)
        return web.Response(status=204)

    @describes(
        "Ask a device to do something",
        body=CommandRequest,
        answers={202: CommandResponse},
        problems=(404, 409, 413, 422, 503),
        tag="devices",
        right=Permission.COMMAND,
    )
    async def _ask(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        if body.pop("device", request.match_info["id"]) != request.match_info["id"]:
            raise DeviceError({"device": "is another one than that of the path"})
        command = await self._asked(request, _request(body | {"device": request.match_info["id"]}))
        answer = json_response(command.public(), status=202)
        answer.headers["Location"] = f"/api/v1/devices/{command.device_id}/commands/{command.id}"
        return answer

    @describes(
        "The same, for an older client",
        body={"application/x-www-form-urlencoded": FormCommand},
        answers={202: CommandResponse},
        problems=(404, 409, 413, 422, 503),
        tag="devices",
        right=Permission.COMMAND,
    )
    async def _ask_by_form(self, request: web.Request) -> web.Response:
        """Of an older client: `device_name`, `command` and `value` of a form; no `value`, or an empty one, is none."""
        form = await request.post()
        given = {name: form.get(field) for name, field in (("device", "device_name"), ("command", "command"))}
        asked = _request(given | {"value": form.get("value") or None})
        return json_response((await self._asked(request, asked)).public(), status=202)

    @describes(
        "The newest commands of a device",
        query=RecentParameters,
        answers={200: CommandsPage},
        problems=(404, 503),
        tag="devices",
        right=Permission.READ,
    )
    async def _recent(self, request: web.Request) -> web.Response:
        device_id = self._registry.get(self._seen(request)).id
        limit = RecentParameters.model_validate(dict(request.query)).limit
        return json_response({"commands": [one.public() for one in await self._commands.recent(device_id, limit)]})

    @describes("One command", answers={200: CommandResponse}, problems=(404, 503), tag="devices", right=Permission.READ)
    async def _command(self, request: web.Request) -> web.Response:
        command = await self._commands.get(self._seen(request), request.match_info["command"])
        if command is None:
            raise web.HTTPNotFound(text=f"device {request.match_info['id'][:128]!r} has no such command")
        return json_response(command.public())

    async def _asked(self, request: web.Request, asked: CommandRequest) -> Command:
        self._reach.check(request, asked.device, Permission.COMMAND)
        command = await self._commands.submit(asked, _who(request))
        self._note(request, "command", command.device_id, command=command.command, id=command.id)
        return command

    def _seen(self, request: web.Request, right: Permission = Permission.READ) -> str:
        """The device of the path; raises `UnknownDevice` where it is out of reach."""
        device_id = request.match_info["id"]
        self._reach.check(request, device_id, right)
        return device_id

    def _note(self, request: web.Request, act: str, device_id: str, **more: str) -> None:
        self._audit.record(
            act, actor=identity_of(request), address=client_address_of(request, self._http), target=device_id, **more
        )


def _told(handler: Handler) -> Handler:
    """What the registry and the commands refuse, as problems."""

    @wraps(handler)
    async def told(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except DeviceNotInScope:  # noted on its way out, and answered the same
            raise
        except UnknownDevice as error:
            return problem(404, str(error))
        except (DeviceExists, CommandRejected) as error:
            return problem(409, str(error))
        except TooManyDevices as error:
            return problem(507, str(error))
        except DeviceError as error:
            errors = [{"field": name, "message": message} for name, message in error.fields.items()]
            return problem(422, str(error)[:1000], errors=errors)

    return told


def _request(given: Mapping[str, Any]) -> CommandRequest:
    try:
        return CommandRequest.model_validate(given)
    except ValidationError as error:
        fields: dict[str, str] = {}
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            fields.setdefault(str(one["loc"][0]) if one["loc"] else "body", one["msg"].removeprefix("Value error, "))
        raise DeviceError(fields) from None


def _who(request: web.Request) -> str:
    """Who asks: the address, while access is open."""
    identity = identity_of(request)
    return f"http:{request.remote or 'unknown'}" if identity.kind is IdentityKind.ANYONE else f"{identity.kind}:{identity.name}"
