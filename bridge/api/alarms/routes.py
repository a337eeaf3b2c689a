"""Alarms: the standing ones, their history, their figures, and what operators do with them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from functools import partial
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.alarms.actions import ActionKind
from bridge.alarms.desk import AlarmDesk
from bridge.alarms.record import AlarmRecord, AlarmState
from bridge.alarms.rules import Priority, Rule
from bridge.alarms.scope import EVERYWHERE
from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.alarm_models import (
    AcknowledgeAlarms,
    AcknowledgedAlarms,
    AlarmAction,
    AlarmAnswer,
    AlarmFigures,
    AlarmHistory,
    AlarmId,
    AlarmsPage,
    ListedState,
    RulesResponse,
    ShelveAction,
)
from bridge.api.readings.stored import QueryTime
from bridge.core.access.permissions import Permission
from bridge.core.errors import AlarmStateError, UnknownAlarm
from bridge.core.readings.identity import normalize_device_id
from bridge.core.reasons import with_cause
from bridge.http.proxies import client_address_of
from bridge.notify.rules_file_reader import RulesFileReader
from bridge.settings import HttpSettings

_describes = partial(describes, tag="alarms")
_PATH = "/api/v1/alarms"
_ID = "/{id:[0-9a-f]{24}}"
_LIMIT = 1000
_PAGE = 1000
_DAY_MS = 86_400_000
_ACTIONS = {
    "acknowledge": ActionKind.ACKNOWLEDGE,
    "reset": ActionKind.RESET,
    "unshelve": ActionKind.UNSHELVE,
    "out-of-service": ActionKind.OUT_OF_SERVICE,
    "in-service": ActionKind.IN_SERVICE,
}
_SUMMARIES = {
    "acknowledge": "Acknowledge an alarm",
    "reset": "Reset a latched alarm, once it is acknowledged",
    "unshelve": "End the shelving of an alarm; if it is active, it is announced anew",
    "out-of-service": "Hide the alarm of a rule at a device until it is returned to service",
    "in-service": "Return an alarm to service; if it is active, it is announced anew",
}


class AlarmsParameters(BaseModel):
    """The query of `GET /api/v1/alarms`. `from` and `to` limit the time of raising; `before` is the last id of a page."""

    model_config = ConfigDict(extra="forbid")

    state: ListedState = "standing"
    device: Annotated[str, AfterValidator(normalize_device_id)] | None = None
    rule: Annotated[str, Field(max_length=64)] | None = None
    priority: Priority | None = None
    from_ms: Annotated[QueryTime, Field(alias="from")] = None
    to_ms: Annotated[QueryTime, Field(alias="to")] = None
    before: AlarmId | None = None
    limit: Annotated[int, Field(ge=1, le=_LIMIT)] = 100


class FiguresParameters(BaseModel):
    """The query of `GET /api/v1/alarms/stats`; by default the last day."""

    model_config = ConfigDict(extra="forbid")

    from_ms: Annotated[QueryTime, Field(alias="from")] = None
    to_ms: Annotated[QueryTime, Field(alias="to")] = None


class AlarmsApi:
    def __init__(self, desk: AlarmDesk, file: RulesFileReader, authorizer: DeviceAuthorizer, http: HttpSettings) -> None:
        self._desk = desk
        self._file = file
        self._authorizer = authorizer
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._list),
            web.get(_PATH + "/rules", self._rules),
            web.get(_PATH + "/stats", self._figures),
            web.post(_PATH + "/acknowledge", self._acknowledge_several),
            web.get(_PATH + _ID, self._get),
            web.post(_PATH + _ID + "/shelve", self._shelve),
            *(web.post(f"{_PATH}{_ID}/{name}", self._action(name)) for name in _ACTIONS),
        ]

    @_describes(
        "List alarms, the one raised last first",
        query=AlarmsParameters,
        answers={200: AlarmsPage},
        problems=(422, 503),
        permission=Permission.READ,
    )
    async def _list(self, request: web.Request) -> web.Response:
        query = AlarmsParameters.model_validate(dict(request.query))
        if query.state in ("standing", "shelved"):
            found = self._found(request, query, self._desk.standing())
        else:
            found = await self._stored(request, query)
        page = found[: query.limit]
        return json_response(
            {
                "alarms": [record.public() for record in page],
                "next": page[-1].id if len(found) > query.limit else None,
                "catchingUp": self._desk.is_catching_up,
            }
        )

    async def _stored(self, request: web.Request, query: AlarmsParameters) -> list[AlarmRecord]:
        """Read pages from the store until one more than asked for is found; those that stand are as they are now."""
        standing = {record.id: record for record in self._desk.standing()}
        found: list[AlarmRecord] = []
        before, is_open = query.before, False if query.state == "ended" else None
        while len(found) <= query.limit:
            page = await self._desk.history(
                device_id=query.device, rule=query.rule, is_open=is_open, before=before, limit=_PAGE
            )
            found += self._found(request, query, (standing.get(one.id, one) for one in page))
            if len(page) < _PAGE or (query.from_ms is not None and _raised_ms(page[-1]) < query.from_ms):
                break
            before = page[-1].id
        return found

    def _found(self, request: web.Request, query: AlarmsParameters, records: Iterable[AlarmRecord]) -> list[AlarmRecord]:
        """Return the records that match, are in the caller's scope and come after `before`."""
        return [
            record
            for record in records
            if _matches(record, query)
            and (query.before is None or record.id < query.before)
            and self._may_read(request, record)
        ]

    @_describes(
        "Get an alarm, its changes, and who was told of it, the first one first",
        answers={200: AlarmHistory},
        problems=(404, 503),
        permission=Permission.READ,
    )
    async def _get(self, request: web.Request) -> web.Response:
        record = await self._asked(request)
        transitions, deliveries = await self._desk.transitions(record.id), await self._desk.deliveries(record)
        return json_response(
            {
                "alarm": record.public(),
                "transitions": [one.public() for one in transitions],
                "deliveries": [one.public() for one in deliveries],
            }
        )

    @_describes(
        "List the rules that apply now, and what is wrong with the rules file",
        answers={200: RulesResponse},
        problems=(503,),
        permission=Permission.READ,
    )
    async def _rules(self, request: web.Request) -> web.Response:
        """What is wrong with the file may quote it and names its path: that is for those who see all devices."""
        rules = [_shown(rule) for rule in self._desk.rules]
        error = self._file.error if identity_of(request).scope is None else ""
        return json_response({"rules": rules, "file": {"error": error or None}})

    @_describes(
        "Figures of the alarms of a time: how many stand, come at once, chatter, and how fast they are acknowledged",
        query=FiguresParameters,
        answers={200: AlarmFigures},
        problems=(422, 503),
        permission=Permission.READ,
    )
    async def _figures(self, request: web.Request) -> web.Response:
        query = FiguresParameters.model_validate(dict(request.query))
        to_ms = query.to_ms if query.to_ms is not None else time.time_ns() // 1_000_000
        from_ms = query.from_ms if query.from_ms is not None else to_ms - _DAY_MS
        return json_response((await self._desk.figures(from_ms, to_ms, self._authorizer.devices(request))).public())

    # --- actions -----------------------------------------------------------------------------------------------------------

    def _action(self, name: str) -> Callable[[web.Request], Any]:
        @_describes(
            _SUMMARIES[name],
            body=AlarmAction,
            answers={200: AlarmAnswer},
            problems=(404, 409, 413, 422, 503),
            permission=Permission.COMMAND,
        )
        async def handle(request: web.Request) -> web.Response:
            body = AlarmAction.model_validate(await read_object(request))
            record = await self._asked(request, Permission.COMMAND)
            done = await self._operate(request, _ACTIONS[name], record, body.comment)
            return json_response({"alarm": done.public()})

        return handle

    @_describes(
        "Hide an alarm for a time; when that ends and it is active, it is announced anew",
        body=ShelveAction,
        answers={200: AlarmAnswer},
        problems=(404, 409, 413, 422, 503),
        permission=Permission.COMMAND,
    )
    async def _shelve(self, request: web.Request) -> web.Response:
        body = ShelveAction.model_validate(await read_object(request))
        record = await self._asked(request, Permission.COMMAND)
        until_ms = time.time_ns() // 1_000_000 + body.seconds * 1000
        done = await self._operate(request, ActionKind.SHELVE, record, body.comment, until_ms)
        return json_response({"alarm": done.public()})

    @_describes(
        "Acknowledge several alarms; those that cannot be are named with the reason",
        body=AcknowledgeAlarms,
        answers={200: AcknowledgedAlarms},
        problems=(413, 422, 503),
        permission=Permission.COMMAND,
    )
    async def _acknowledge_several(self, request: web.Request) -> web.Response:
        body = AcknowledgeAlarms.model_validate(await read_object(request))
        standing = {record.id: record for record in self._desk.standing()}

        async def refusal(alarm_id: str) -> str | None:
            record = standing.get(alarm_id)
            if record is None or not self._may(request, record, Permission.COMMAND):
                return "does not stand, or is outside your scope"
            try:
                await self._operate(request, ActionKind.ACKNOWLEDGE, record, body.comment)
            except (AlarmStateError, UnknownAlarm) as error:
                return str(error)
            return None

        ids = list(dict.fromkeys(body.ids))
        reasons = await asyncio.gather(*map(refusal, ids), return_exceptions=True)  # at once, so that they are stored together
        done: list[str] = []
        refused: list[dict[str, Any]] = []
        for alarm_id, reason in zip(ids, reasons, strict=True):
            if isinstance(reason, BaseException):
                raise reason
            if reason is None:
                done.append(alarm_id)
            else:
                refused.append(with_cause({"id": alarm_id, "reason": reason}))
        return json_response({"acknowledged": done, "refused": refused})

    async def _operate(
        self, request: web.Request, kind: ActionKind, record: AlarmRecord, comment: str | None, until_ms: int | None = None
    ) -> AlarmRecord:
        address = client_address_of(request, self._http)
        return await self._desk.operate(kind, record, identity_of(request), address, comment=comment, until_ms=until_ms)

    async def _asked(self, request: web.Request, permission: Permission = Permission.READ) -> AlarmRecord:
        """Return the alarm of the path. Raises `UnknownAlarm`, also if it is outside the caller's scope."""
        alarm_id = request.match_info["id"]
        record = await self._desk.alarm(alarm_id)
        if record is None or not self._may(request, record, permission):
            raise UnknownAlarm(f"no alarm {alarm_id} is known")
        return record

    def _may_read(self, request: web.Request, record: AlarmRecord) -> bool:
        return record.device_id is None or self._authorizer.permits(request, record.device_id)

    def _may(self, request: web.Request, record: AlarmRecord, permission: Permission) -> bool:
        """Whether the caller has a permission for the device. Of the bridge everyone reads, and the unlimited act."""
        if record.device_id is not None:
            return self._authorizer.permits(request, record.device_id, permission)
        return permission is Permission.READ or identity_of(request).scope is None


def _matches(record: AlarmRecord, query: AlarmsParameters) -> bool:
    is_hidden = record.shelved_until_ms is not None or record.out_of_service
    if query.state == "shelved" and not is_hidden:
        return False
    if query.state == "standing" and record.state is AlarmState.NORMAL:
        return False
    return (
        query.device in (None, record.device_id)
        and query.rule in (None, record.rule)
        and query.priority in (None, record.priority)
        and (query.from_ms is None or _raised_ms(record) >= query.from_ms)
        and (query.to_ms is None or _raised_ms(record) < query.to_ms)
    )


def _raised_ms(record: AlarmRecord) -> int:
    return record.raised_ms or 0


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "field": rule.field,
        "unit": rule.unit,
        "condition": _described(rule.condition),
        "averaging": None if rule.averaging is None else _described(rule.averaging),
        "limit": rule.limit,
        "priority": rule.priority.value,
        "latched": rule.latched,
        "twoOfThree": rule.two_of_three,
        "onDelaySeconds": rule.on_delay_seconds,
        "offDelaySeconds": rule.off_delay_seconds,
        "standard": None if rule.standard is None else rule.standard.key,
        "source": None if rule.standard is None else rule.standard.text,
        "message": rule.message,
        "advice": rule.advice,
        "scope": None if rule.scope == EVERYWHERE else _scope(rule),
    }


def _described(condition: Any) -> dict[str, Any]:  # noqa: ANN401 - one of many dataclasses
    """Return the kind of a condition and its numbers."""
    numbers = {one.name: getattr(condition, one.name) for one in fields(condition)}
    profile = numbers.pop("profile", None)
    return {"kind": type(condition).__name__[0].lower() + type(condition).__name__[1:]} | (
        {"profile": profile.name} if profile is not None else numbers
    )


def _scope(rule: Rule) -> dict[str, Any]:
    scope = asdict(rule.scope)
    if scope["hours"] is not None:
        scope["hours"]["days"] = sorted(scope["hours"]["days"])
    return scope
