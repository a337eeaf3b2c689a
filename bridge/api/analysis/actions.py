"""Advice: its history, and the switch of the commands that follow it."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.analysis.advice.desk import AdviceDesk
from bridge.analysis.advice.record import Advice
from bridge.analysis.advice.sentences import sentence
from bridge.api.analysis.paging import PAGE, readable
from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.action_models import ActionsPage, CommandSwitchAnswer, CommandSwitchRequest
from bridge.api.openapi.alarm_models import AlarmId
from bridge.core.access.permissions import Permission
from bridge.core.errors import Forbidden
from bridge.core.readings.identity import normalize_device_id
from bridge.http.proxies import client_address_of
from bridge.settings import HttpSettings

_describes = partial(describes, tag="actions")
_PATH = "/api/v1/actions"
_LIMIT = 1000


class ActionsParameters(BaseModel):
    """The query of `GET /api/v1/actions`. `before` is the last id of a page."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[str, AfterValidator(normalize_device_id)] | None = None
    before: AlarmId | None = None
    limit: Annotated[int, Field(ge=1, le=_LIMIT)] = 100


class ActionsApi:
    def __init__(self, desk: AdviceDesk, authorizer: DeviceAuthorizer, http: HttpSettings) -> None:
        self._desk = desk
        self._authorizer = authorizer
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_PATH, self._list), web.post(_PATH + "/commands", self._switch)]

    @_describes(
        "List advice, the newest first, with its commands, and whether commands are on",
        query=ActionsParameters,
        answers={200: ActionsPage},
        problems=(422, 503),
        permission=Permission.READ,
    )
    async def _list(self, request: web.Request) -> web.Response:
        query = ActionsParameters.model_validate(dict(request.query))
        found = await self._found(request, query)
        page = [await self._desk.current(one) for one in found[: query.limit]]
        return json_response(
            {
                "actions": [one.public(sentence(one)) for one in page],
                "next": page[-1].id if len(found) > query.limit else None,
                "commands": (await self._desk.commands()).public(),
            }
        )

    async def _found(self, request: web.Request, query: ActionsParameters) -> list[Advice]:
        """Return one more than asked for of what the caller may read."""

        def page_before(before: str | None) -> Awaitable[tuple[list[Advice], str | None]]:
            return self._desk.page(device_id=query.device, before=before, limit=PAGE)

        return await readable(page_before, partial(self._authorizer.permits, request), query.before, query.limit)

    @_describes(
        "Turn the commands that follow advice on or off, at all bridges",
        body=CommandSwitchRequest,
        answers={200: CommandSwitchAnswer},
        problems=(413, 422, 503),
        permission=Permission.COMMAND,
    )
    async def _switch(self, request: web.Request) -> web.Response:
        body = CommandSwitchRequest.model_validate(await read_object(request))
        actor = identity_of(request)
        if actor.scope is not None:
            raise Forbidden("this concerns every device, and you are limited to some: ask a user who is not")
        state = await self._desk.switch_commands(actor, client_address_of(request, self._http), enabled=body.enabled)
        return json_response({"commands": state.public()})
