"""Commands to devices, in JSON."""

from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.commands.submission import CommandSubmission
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.devices import DEVICE_ID, DEVICE_PATHS, device_id_in, device_path, names_device
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import CommandResponse, CommandsPage
from bridge.core.access.permissions import Permission
from bridge.core.devices.command import CommandRequest
from bridge.core.errors import DeviceError
from bridge.devices.commands import CommandService
from bridge.devices.registry import Registry

_describes = partial(describes, tag="devices")
_COMMANDS_LIMIT = 1000


class RecentParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=_COMMANDS_LIMIT)] = 100


class CommandsApi:
    def __init__(
        self, registry: Registry, commands: CommandService, submission: CommandSubmission, authorizer: DeviceAuthorizer
    ) -> None:
        self._registry = registry
        self._commands = commands
        self._submission = submission
        self._authorizer = authorizer

    def routes(self) -> list[web.RouteDef]:
        return [
            route
            for path in DEVICE_PATHS
            for route in (
                web.post(path + DEVICE_ID + "/commands", self._send),
                web.get(path + DEVICE_ID + "/commands", self._recent),
                web.get(path + DEVICE_ID + "/commands/{command}", self._get),
            )
        ]

    @_describes(
        "Send a command to a device",
        body=CommandRequest,
        answers={202: CommandResponse},
        problems=(404, 409, 413, 422, 503),
        permission=Permission.COMMAND,
    )
    async def _send(self, request: web.Request) -> web.Response:
        device_id, body = device_id_in(request), await read_object(request)
        if not names_device(body.pop("device", device_id), device_id):
            raise DeviceError({"device": "is not the device of the path"})
        command = await self._submission.submit(request, body | {"device": device_id})
        response = json_response(command.public(), status=202)
        response.headers["Location"] = f"{device_path(command.device_id)}/commands/{command.id}"
        return response

    @_describes(
        "List the newest commands of a device",
        query=RecentParameters,
        answers={200: CommandsPage},
        problems=(404, 503),
        permission=Permission.READ,
    )
    async def _recent(self, request: web.Request) -> web.Response:
        device_id = self._registry.get(self._device_id(request)).id
        limit = RecentParameters.model_validate(dict(request.query)).limit
        return json_response({"commands": [command.public() for command in await self._commands.recent(device_id, limit)]})

    @_describes("Get a command", answers={200: CommandResponse}, problems=(404, 503), permission=Permission.READ)
    async def _get(self, request: web.Request) -> web.Response:
        command = await self._commands.get(self._device_id(request), request.match_info["command"])
        if command is None:
            raise web.HTTPNotFound(text=f"device {request.match_info['id'][:128]!r} has no such command")
        return json_response(command.public())

    def _device_id(self, request: web.Request) -> str:
        """Return the device id of the path. Raises `UnknownDevice` if it is outside the caller's scope."""
        device_id = device_id_in(request)
        self._authorizer.check(request, device_id)
        return device_id
