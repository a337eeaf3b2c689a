"""Commands and telemetry for browsers without scripts and for programs of the Flask server: `/send_command`, `/get_telemetry`.

A browser that sends the form is redirected to the device's page, which shows what became of the command; any other client is
answered in JSON.
"""

from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import AfterValidator, BaseModel

from bridge.api.commands.submission import CommandSubmission
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.login.cookies import SessionCookies
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import CommandResponse, FormCommand, NoData, Record, TelemetryMessage
from bridge.core.access.permissions import Permission
from bridge.core.errors import (
    CommandRejected,
    DeviceError,
    StoreUnavailable,
    TemporarilyUnavailable,
    UnknownDevice,
)
from bridge.core.readings.identity import is_device_id, normalize_device_id
from bridge.devices.commands import OFFLINE
from bridge.devices.registry import Registry
from bridge.http.bodies import read_form
from bridge.http.browsers import is_navigation, redirect
from bridge.ports import ReadingStore

_HOME = "./"


class TelemetryParameters(BaseModel):
    """The query of `GET /get_telemetry`; further parameters are ignored."""

    device: Annotated[str, AfterValidator(normalize_device_id)] = ""


class DeviceFormsApi:
    def __init__(
        self,
        registry: Registry,
        store: ReadingStore,
        submission: CommandSubmission,
        authorizer: DeviceAuthorizer,
        cookies: SessionCookies,
        read_seconds: float,
    ) -> None:
        """A form must arrive within `read_seconds`."""
        self._registry = registry
        self._store = store
        self._submission = submission
        self._authorizer = authorizer
        self._cookies = cookies
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/get_telemetry", self._telemetry), web.post("/send_command", self._send_command)]

    @describes(
        "The last telemetry message of a device as its socket sent it, or a reading that arrived later by another way",
        query=TelemetryParameters,
        answers={200: TelemetryMessage | Record | NoData, 302: None},
        problems=(503,),
        tag="readings",
        permission=Permission.READ,
    )
    async def _telemetry(self, request: web.Request) -> web.Response:
        device_id = TelemetryParameters.model_validate(dict(request.query)).device
        is_permitted = is_device_id(device_id) and self._authorizer.permits(request, device_id)
        response = await self._newest(device_id) if is_permitted else _no_data()
        await self._cookies.extend(request, response)
        return response

    async def _newest(self, device_id: str) -> web.Response:
        device = self._registry.get(device_id) if device_id in self._registry else None
        telemetry = None if device is None else device.newest_telemetry()
        if telemetry is not None:
            return web.Response(text=telemetry, content_type="application/json")
        found = await self._store.latest((device_id,))
        return json_response(found[0].public()) if found else _no_data()

    @describes(
        "Send a command with a form; a browser is redirected to the page of the device",
        body={"application/x-www-form-urlencoded": FormCommand},
        answers={202: CommandResponse, 302: None},
        problems=(404, 408, 409, 413, 415, 422, 503),
        tag="devices",
        permission=Permission.COMMAND,
    )
    async def _send_command(self, request: web.Request) -> web.Response:
        form = await read_form(request, self._read_seconds)
        body = {"device": form.get("device_name"), "command": form.get("command"), "value": form.get("value")}
        if is_navigation(request):
            raise await self._redirect(request, body)
        response = json_response((await self._submission.submit(request, body)).public(), status=202)
        await self._cookies.extend(request, response)
        return response

    async def _redirect(self, request: web.Request, body: dict[str, str | None]) -> web.HTTPFound:
        """Submit a command, and return the redirect to the page that shows its outcome."""
        if not body["device"] or not body["command"]:
            return redirect(_HOME, {"refused": "missing"})
        try:
            command = await self._submission.submit(request, body)
        except (CommandRejected, DeviceError, StoreUnavailable, TemporarilyUnavailable, UnknownDevice) as error:
            response = redirect(_HOME, {"refused": _reason(error)}, _page_of(body["device"], error))
        else:
            response = redirect(_HOME, {"sent": command.id}, _page_of(command.device_id))
        await self._cookies.extend(request, response)
        return response


def _no_data() -> web.Response:
    return json_response({"error": "no data"})


def _page_of(device_id: str, error: Exception | None = None) -> str:
    """The page of a device in the dashboard; empty if the device cannot have one."""
    return "" if isinstance(error, UnknownDevice | DeviceError) else f"/device/{quote(normalize_device_id(device_id), safe='')}"


def _reason(error: Exception) -> str:
    """The reason as the dashboard knows it: it has the texts."""
    match error:
        case UnknownDevice():
            return "unknown"
        case DeviceError():
            return "invalid"
        case CommandRejected():
            return "offline" if str(error) == OFFLINE else "full"
        case _:
            return "unavailable"
