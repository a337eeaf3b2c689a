"""Response bodies about the air."""

from typing import Literal

from pydantic import Field

from bridge.api.openapi.models import Response


class AssessmentResponse(Response):
    """A value, rated by a named standard. Texts are keys: `level.co2.elevated`.

    `level` is 0 (no action needed) to 5 (danger to everyone); None while `hoursNeeded` more hours must be measured.
    `minutesLeft` is of a dose that grows: the time until it is reached if the concentration stays.
    `order` sorts devices: the level, 6 for what may kill within minutes, 7 for a flame. `measured` is in the unit of the field.
    """

    key: str
    field: str
    standard: str
    averaging: str
    unit: str | None
    indicative: bool
    caveat: str | None
    value: float | bool | None
    measured: float | bool | None
    level: int | None
    levelKey: str  # noqa: N815 - a wire contract
    advice: str
    order: int
    hoursNeeded: int = 0  # noqa: N815
    minutesLeft: float | None = None  # noqa: N815


class DeviceAssessments(Response):
    """The air at a device, the worst assessment first; `score` is the `global_score` of its newest values."""

    deviceId: str  # noqa: N815
    at: str
    scale: Literal["us-epa", "european"]
    score: int | None
    assessments: list[AssessmentResponse]


class AssessmentsResponse(Response):
    assessments: list[DeviceAssessments]


class StandardBand(Response):
    """A class of a standard, from `from` to where the next one begins, in the unit of the field."""

    from_: float = Field(alias="from")
    level: int
    levelKey: str  # noqa: N815


class StandardBands(Response):
    """The classes of one standard for a field, by rising values; `key` is that of an assessment."""

    key: str
    field: str
    standard: str
    averaging: str
    indicative: bool
    caveat: str | None
    bands: list[StandardBand]


class StandardsResponse(Response):
    scale: Literal["us-epa", "european"]
    standards: list[StandardBands]
