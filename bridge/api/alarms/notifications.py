"""The rules file and the targets of notifications: read again, and tried."""

from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped, identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import Response
from bridge.core.access.permissions import Permission
from bridge.http.proxies import client_address_of
from bridge.notify.notifier import Notifier
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.ports import AuditLog
from bridge.settings import HttpSettings

_describes = partial(describes, tag="alarms")


class NotificationTest(BaseModel):
    """Send a test message to one target, or to all."""

    model_config = ConfigDict(extra="forbid")

    target: Annotated[str | None, Field(max_length=64)] = None


class TargetResult(Response):
    """`error` is null if the target took the message."""

    target: str
    ok: bool
    error: str | None


class TestResults(Response):
    results: list[TargetResult]


class FollowedRules(Response):
    """What the bridge follows now: the profile, and the numbers of rules and targets."""

    profile: str
    rules: int
    targets: int


class NotificationsApi:
    def __init__(self, notifier: Notifier, rules: RulesFileReader, audit: AuditLog, http: HttpSettings) -> None:
        self._notifier = notifier
        self._rules = rules
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/alarms/rules/reload", self._reload), web.post("/api/v1/alarms/test", self._test)]

    @_describes(
        "Read the rules file again; a bad one leaves the old rules",
        answers={200: FollowedRules},
        problems=(422,),
        permission=Permission.MANAGE,
    )
    async def _reload(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        followed = self._rules.reload()
        self._record(request, "alarm rules read", followed.profile)
        return json_response({"profile": followed.profile, "rules": len(followed.rules), "targets": len(followed.notify)})

    @_describes(
        "Send a test message to the targets of notifications",
        body=NotificationTest,
        answers={200: TestResults},
        problems=(404, 413, 422),
        permission=Permission.MANAGE,
    )
    async def _test(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        body = NotificationTest.model_validate(await read_object(request))
        results = await self._notifier.test(body.target)
        self._record(request, "notifications tested", body.target or "all")
        return json_response({"results": [one.public() for one in results]})

    def _record(self, request: web.Request, action: str, target: str) -> None:
        self._audit.record(action, actor=identity_of(request), address=client_address_of(request, self._http), target=target)
