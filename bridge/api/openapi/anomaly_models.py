"""Bodies about anomalies."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.analysis.anomaly.changes import AnomalyState
from bridge.analysis.anomaly.record import AnomalyKind, AnomalyOutcome
from bridge.api.openapi.alarm_models import COMMENT_LENGTH
from bridge.api.openapi.models import Response

AnomalyId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
ListedAnomalies = Literal["standing", "ended", "wrong", "all"]


class SampleResponse(Response):
    at: str
    value: float


class AnomalyResponse(Response):
    """A fault of a sensor. Times are ISO 8601, UTC; values are in `unit`.

    `key` and `parameters` make the sentence `message`, for translations. `samples` are the values that it was judged by, and
    `neighbourSamples` those of the neighbour at these times. `outcome` is `accepted` if it lasted so long that it counts as
    normal.
    """

    id: AnomalyId
    deviceId: str  # noqa: N815 - a wire contract
    kind: AnomalyKind
    field: str
    fields: list[str]
    priority: Literal["low"]
    state: AnomalyState
    detectedAt: str  # noqa: N815
    since: str
    endedAt: str | None  # noqa: N815
    outcome: AnomalyOutcome | None
    message: str
    key: str
    parameters: dict[str, float]
    unit: str
    neighbour: str | None
    samples: list[SampleResponse]
    neighbourSamples: list[SampleResponse]  # noqa: N815
    markedBy: str | None  # noqa: N815
    comment: str | None


class AnomaliesPage(Response):
    """`next` is the id to give as `before`."""

    anomalies: list[AnomalyResponse]
    next: AnomalyId | None


class WrongMark(BaseModel):
    """A comment, which is kept with the anomaly."""

    model_config = ConfigDict(extra="forbid")

    comment: Annotated[str | None, Field(max_length=COMMENT_LENGTH)] = None
