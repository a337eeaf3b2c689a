"""Discovery by HTTP: surveys of the broker's topics, and what devices have announced."""

from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped, identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi import models
from bridge.core.access.permissions import Permission
from bridge.devices.discovery.announcements import Announcements
from bridge.devices.discovery.topic_survey import SECONDS_LIMIT, TopicSurvey
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog
from bridge.settings import HttpSettings

_describes = partial(describes, tag="subscriptions", permission=Permission.MANAGE)
_PATH = "/api/v1/discovery"


class NewSurvey(BaseModel):
    """How long to listen."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=1, le=SECONDS_LIMIT)] = 30.0


class DiscoveryApi:
    def __init__(self, survey: TopicSurvey, announcements: Announcements, audit: AuditLog, http: HttpSettings) -> None:
        self._survey = survey
        self._announcements = announcements
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [web.get(_PATH, self._get), web.post(_PATH, self._start)]

    @_describes("The last survey of the broker's topics, and what devices announced", answers={200: models.DiscoveryResponse})
    async def _get(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        return json_response({**await self._survey.public(), "announced": self._announcements.public()})

    @_describes(
        "Listen to all topics for some seconds, one survey at a time",
        body=NewSurvey,
        answers={202: models.DiscoveryResponse},
        problems=(409,),
    )
    async def _start(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        wanted = NewSurvey.model_validate(await read_object(request))
        self._survey.start(wanted.seconds)
        self._audit.record(
            "survey", actor=identity_of(request), address=client_address_of(request, self._http), seconds=f"{wanted.seconds:g}"
        )
        return json_response({**await self._survey.public(), "announced": self._announcements.public()}, status=202)
