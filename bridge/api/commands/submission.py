"""Commands in requests: checked, submitted in the caller's name, and recorded in the audit log."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.core.access.permissions import IdentityKind, Permission
from bridge.core.devices.command import Command, CommandRequest
from bridge.core.errors import DeviceError
from bridge.devices.commands import CommandService
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog
from bridge.settings import HttpSettings


class CommandSubmission:
    def __init__(self, commands: CommandService, authorizer: DeviceAuthorizer, audit: AuditLog, http: HttpSettings) -> None:
        self._commands = commands
        self._authorizer = authorizer
        self._audit = audit
        self._http = http

    async def submit(self, request: web.Request, body: Mapping[str, Any]) -> Command:
        """Submit the command in `body`. Raises `DeviceError` naming each invalid field, and as `CommandService.submit` does."""
        command_request = _command_request(body)
        self._authorizer.check(request, command_request.device, Permission.COMMAND)
        command = await self._commands.submit(command_request, _sender(request))
        self._audit.record(
            "command",
            actor=identity_of(request),
            address=client_address_of(request, self._http),
            target=command.device_id,
            command=command.command,
            id=command.id,
        )
        return command


def _command_request(body: Mapping[str, Any]) -> CommandRequest:
    try:
        return CommandRequest.model_validate(body)
    except ValidationError as failure:
        fields: dict[str, str] = {}
        for error in failure.errors(include_url=False, include_context=False, include_input=False):
            fields.setdefault(str(error["loc"][0]) if error["loc"] else "body", error["msg"].removeprefix("Value error, "))
        raise DeviceError(fields) from None


def _sender(request: web.Request) -> str:
    """The sender of a command: the identity, or the address while access is open."""
    identity = identity_of(request)
    return f"http:{request.remote or 'unknown'}" if identity.kind is IdentityKind.ANYONE else f"{identity.kind}:{identity.name}"
