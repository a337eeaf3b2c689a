"""Bodies about advice and its commands."""

from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool

from bridge.analysis.advice.record import AdviceReason
from bridge.api.openapi.alarm_models import AlarmId
from bridge.api.openapi.models import Response
from bridge.core.alarms.advice import AdviceKind


class AdvisedCommandResponse(Response):
    """The command that the rule named `rule` made of advice; `state` is that of a command or `refused`, `error` the reason."""

    id: str
    rule: str
    deviceId: str  # noqa: N815 - a wire contract
    command: str
    parameters: dict[str, Any]
    state: str
    error: str | None


class ActionResponse(Response):
    """Advice; `limit`, `value` and `outside` are in `unit`. `message` is in English; `key` and `parameters` make it elsewhere.

    That of a forecast has the `probability` (0 to 1) that the limit is exceeded `within` so many hours; `alarm` is an id.
    """

    id: AlarmId
    deviceId: str  # noqa: N815
    at: str
    action: AdviceKind
    reason: AdviceReason
    field: str | None
    limit: float | None
    unit: str | None
    probability: float | None
    within: int | None
    value: float | None
    outside: float | None
    standard: str | None
    source: str | None
    message: str
    key: str
    parameters: dict[str, float]
    alarm: AlarmId | None
    supersedes: AlarmId | None
    command: AdvisedCommandResponse | None


class CommandSwitchResponse(Response):
    """Whether advice may become commands, and who switched that last and when."""

    enabled: bool
    by: str | None
    changedAt: str | None  # noqa: N815


class ActionsPage(Response):
    """`next` is the id to give as `before`."""

    actions: list[ActionResponse]
    next: AlarmId | None
    commands: CommandSwitchResponse


class CommandSwitchRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool


class CommandSwitchAnswer(Response):
    commands: CommandSwitchResponse
