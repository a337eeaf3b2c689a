"""Bodies about alarms."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.alarms.record import AlarmState
from bridge.alarms.rules import Priority
from bridge.api.openapi.models import Absent, CauseResponse, Response
from bridge.core.alarms.delivery import DeliveryKind, DeliveryState

COMMENT_LENGTH = 1000
IDS_LIMIT = 1000
AlarmId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class PeakResponse(Response):
    value: float | bool
    at: str


class PastResponse(Response):
    """When readings violated the limit that came too late to raise an alarm, and how many of them."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(alias="from")
    to: str
    readings: int


class AlarmResponse(Response):
    """One alarm; times are ISO 8601, UTC. `value`, `limit` and `peak` are in `unit`.

    `deviceId` is null for the bridge itself.
    """

    id: AlarmId
    rule: str
    deviceId: str | None  # noqa: N815 - a wire contract
    site: str | None
    room: str | None
    field: str | None
    kind: str
    priority: Priority
    state: AlarmState
    latched: bool
    value: float | bool | None
    unit: str | None
    limit: float | None
    peak: PeakResponse | None
    standard: str | None
    indicative: bool
    message: str
    advice: str
    raisedAt: str | None  # noqa: N815
    clearedAt: str | None  # noqa: N815
    acknowledgedAt: str | None  # noqa: N815
    acknowledgedBy: str | None  # noqa: N815
    comment: str | None
    shelvedUntil: str | None  # noqa: N815
    suppressedBy: str | None  # noqa: N815
    outOfService: bool  # noqa: N815
    first: bool
    group: str | None
    past: PastResponse | None
    reading: str | None
    seq: int


class AlarmsPage(Response):
    """`next` is the id to give as `before`; `catchingUp` tells that stored readings have not been looked at yet."""

    alarms: list[AlarmResponse]
    next: AlarmId | None
    catchingUp: bool  # noqa: N815


class TransitionResponse(Response):
    """A change of an alarm, and the alarm after it."""

    id: AlarmId
    kind: str
    at: str
    by: str | None
    comment: str | None
    held: bool
    alarm: AlarmResponse


class DeliveryResponse(Response):
    """Who was told, or is to be; `at` is when it was sent, or is due, `error` is that of the last attempt."""

    target: str
    kind: DeliveryKind
    state: DeliveryState
    attempts: int
    at: str
    error: str | None


class AlarmHistory(Response):
    alarm: AlarmResponse
    transitions: list[TransitionResponse]
    deliveries: list[DeliveryResponse]


class AlarmAnswer(Response):
    alarm: AlarmResponse


class RefusedAcknowledgement(Response):
    id: AlarmId
    reason: str
    cause: CauseResponse = Absent


class AcknowledgedAlarms(Response):
    acknowledged: list[AlarmId]
    refused: list[RefusedAcknowledgement]


class RuleResponse(Response):
    """A rule: `condition` has its `kind` and numbers, `scope` is null where it applies to every device."""

    id: str
    field: str | None
    unit: str | None
    condition: dict[str, Any]
    averaging: dict[str, Any] | None
    limit: float | None
    priority: Priority
    latched: bool
    twoOfThree: bool  # noqa: N815
    onDelaySeconds: float  # noqa: N815
    offDelaySeconds: float  # noqa: N815
    standard: str | None
    source: str | None
    message: str
    advice: str
    scope: dict[str, Any] | None


class RulesFileResponse(Response):
    """`error` says why the file was not followed when it was read last, and the rules of before stay; null if it was."""

    error: str | None


class RulesResponse(Response):
    rules: list[RuleResponse]
    file: RulesFileResponse


class AlarmFigures(Response):
    """Figures after IEC 62682; see the documentation of alarms."""

    model_config = ConfigDict(extra="allow")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    comment: Annotated[str | None, Field(max_length=COMMENT_LENGTH)] = None


class AlarmAction(_Body):
    """A comment, which is kept in the alarm's history."""


class ShelveAction(_Body):
    """Hide an alarm for `seconds`: at most 8 hours if it is critical, otherwise at most 7 days."""

    seconds: Annotated[int, Field(ge=1, le=7 * 86_400)]


class AcknowledgeAlarms(_Body):
    ids: Annotated[list[AlarmId], Field(min_length=1, max_length=IDS_LIMIT)]


ListedState = Literal["standing", "shelved", "ended", "all"]
