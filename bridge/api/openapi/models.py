"""What is asked and answered, for the description: made from the measurement table where it is about measurements."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS, Flag, Measurement

Identity = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
Time = Annotated[str, Field(description="ISO 8601 in UTC, with milliseconds", examples=["2026-01-31T12:00:00.000Z"])]
Cursor = Annotated[int, Field(description="the cursor of a record")]
DeviceId = Annotated[str, Field(pattern="^[A-Za-z0-9._:-]{1,128}$")]
Quality = Annotated[dict[str, str], Field(description="what is wrong, by field")]
Absent: Any = Field(default_factory=lambda: None)
"""A key that is there only where it applies, and never null."""


class Response(BaseModel):
    """Keys may be added to an answer; none is renamed or dropped."""

    model_config = ConfigDict(extra="allow")


class FieldError(Response):
    """One thing that is wrong in a request."""

    field: str
    message: str
    index: int = Absent


class Problem(Response):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Absent
    code: str = Absent


def _told(one: Measurement) -> str:
    low, high = one.usual
    usual = f", usually {low:g} to {high:.12g}" if abs(low) < float("inf") else ""
    return f"{one.label}{f', {one.unit}' if one.unit else ''}{usual}"


def _stored(one: Measurement) -> Any:  # noqa: ANN401 - what pydantic takes for a field
    kind = bool if isinstance(one, Flag) else float
    return (Annotated[kind, Field(description=_told(one))], Absent)


_SCALE: Any = (Annotated[Literal[tuple(AQI_SCALES)], Field(description="the scale of aqi")], Absent)


class _Record(Response):
    id: Annotated[Identity, Field(alias="_id")]
    timestamp: Time
    deviceId: DeviceId  # noqa: N815 - the word of the wire
    receivedAt: Time  # noqa: N815
    seq: Cursor
    quality: Quality = Absent
    deviceTimestamp: str | float = Field(default_factory=str, description="what the device said, where it is not believed")  # noqa: N815
    retained: bool = Absent


Record: type[BaseModel] = create_model(
    "Record", __base__=_Record, __doc__="A stored reading.", aqiScale=_SCALE, **{one.name: _stored(one) for one in MEASUREMENTS}
)


class _NewReading(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"deviceId": "hall", "temperature": 21.5, "timestamp": "2026-01-31T12:00:00Z"}]},
    )

    deviceId: str | int = Field(description="1 to 128 characters of A-Z a-z 0-9 . _ : -")  # noqa: N815
    timestamp: str | float | None = Field(
        default_factory=lambda: None, description="when it was measured: ISO 8601, epoch seconds or milliseconds"
    )


def _given(one: Measurement) -> Any:  # noqa: ANN401
    return (Annotated[float | str | bool | None, Field(description=_told(one))], Absent)


NewReading: type[BaseModel] = create_model(
    "NewReading",
    __base__=_NewReading,
    __doc__="A reading as a device sends it: at least one measurement; further names and the nested form of the README.",
    **{one.name: _given(one) for one in MEASUREMENTS},
)


class IngestResult(Response):
    """What became of one item of a request."""

    index: int
    status: Literal["stored", "duplicate", "rejected"]
    id: Annotated[Identity, Field(alias="_id")] = Absent
    reason: str = Absent
    field: str = Absent
    quality: Quality = Absent


class Ingested(Response):
    """Answer to readings that are stored, or were before: their ids in order, and what became of each item."""

    ids: list[Identity]
    results: list[IngestResult]


class IngestProblem(Problem):
    """None of the items is a reading; `errors` names each bad field."""

    results: list[IngestResult] = Absent


class FieldStatistics(Response):
    """One measurement over one span of time."""

    min: float
    mean: float
    max: float
    count: int


class ReadingBucket(BaseModel):
    """A device's readings over one span of time, each measurement in short."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FieldStatistics]

    timestamp: Time
    deviceId: DeviceId  # noqa: N815
    count: int


class ReadingsPage(Response):
    """Stored readings in cursor order, or their summaries by spans of `every`; `next` is the cursor to go on from."""

    readings: list[Record] | list[ReadingBucket]
    next: Cursor | None
    every: str = Absent


class Latest(Response):
    """The newest reading of each device."""

    readings: list[Record]


class NoData(Response):
    """There is no reading of this device."""

    error: Literal["no data"]


class MeasurementResponse(Response):
    """What can be measured, and what is usual."""

    name: str
    label: str
    unit: str
    low: float | None
    high: float | None


class ComponentStatus(Response):
    """A part of the bridge."""

    status: Literal["ok", "failing"]
    reason: str = Absent


class LivenessResponse(Response):
    """The process answers."""

    status: Literal["ok"]


class ReadinessResponse(Response):
    """What works and what does not."""

    status: Literal["ok", "failing"]
    failing: list[str] = Absent
    parts: dict[str, ComponentStatus] = Absent


class LedgerEntry(Response):
    """received = stored + duplicate + rejected + dropped + waiting."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    dropped: int
    waiting: int


class Status(Response):
    """Who listens, and the account of every message, by source."""

    success: bool
    connectedClients: int  # noqa: N815
    websocketEnabled: bool  # noqa: N815
    ledger: dict[str, LedgerEntry]


class RejectedGroupResponse(Response):
    """Rejected messages of one code and field."""

    code: str
    field: str | None
    count: int
    newest: Time
    reason: str


class RejectedMessage(Response):
    """A rejected message; its payload as text, or in base64 where it is none."""

    id: Annotated[Identity, Field(alias="_id")]
    receivedAt: Time  # noqa: N815
    source: str
    topic: str
    code: str
    reason: str
    field: str | None
    retained: bool
    payload: str | None
    payloadBase64: str = Absent  # noqa: N815


class Rejected(Response):
    """All groups of the quarantine, and the newest messages that were asked for."""

    groups: list[RejectedGroupResponse]
    messages: list[RejectedMessage]


class RetryFailure(Response):
    """Messages that are still no readings."""

    code: str
    field: str
    count: int


class RetryResponse(Response):
    """What became of the messages that were tried again."""

    stored: int
    duplicate: int
    outdated: int
    bad: list[RetryFailure]


class DeviceResponse(Response):
    """A device; what is not known is absent."""

    id: DeviceId
    status: str = Absent
    state: dict[str, Any]
    createdAt: Time  # noqa: N815 - as it is sent


class DevicesPage(Response):
    """Devices by id; `next` is where the following page begins, if there is one."""

    devices: list[DeviceResponse]
    next: str | None


class NewDevice(BaseModel):
    """What an operator says of a device; attributes of other names are kept as given."""

    model_config = ConfigDict(extra="allow")

    id: DeviceId = Absent
    name: str = Absent
    type: str = Absent
    site: str = Absent
    room: str = Absent


class CommandResponse(Response):
    """A command, and how far it has come."""

    id: DeviceId
    device: DeviceId
    command: str
    state: Literal["queued", "sent", "confirmed", "failed", "expired"]
    createdAt: Time  # noqa: N815
    expiresAt: Time  # noqa: N815


class CommandsPage(Response):
    """Commands, the newest first."""

    commands: list[CommandResponse]


class FormCommand(BaseModel):
    """The form of the older client."""

    device_name: DeviceId
    command: str
    value: str = Absent


class TopicStats(Response):
    """Who listens at `/ws`."""

    active_connections: int
    subscriptions: dict[str, int]


class ChannelStats(Response):
    """Who listens at `/api/v1/ws`."""

    total_channels: int
    channels: dict[str, Any]


class TestEventSent(Response):
    """It was sent."""

    success: bool
    channel: str
    message: str


class EventAccepted(Response):
    """It has gone out."""

    success: bool
    topic: str
    timestamp: Time


class TokenResponse(Response):
    """A token, to be shown as `Authorization: Bearer …`; `refresh_token` only to who wants no cookies."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    role: str
    refresh_token: str = Absent


class ScopeResponse(Response):
    """Devices by their ids, and all that stand at these sites."""

    devices: list[str]
    sites: list[str]


class IdentityResponse(Response):
    """Who asks. Without a scope the rights are of every device."""

    kind: Literal["anyone", "person", "program", "device", "external"]
    name: str
    rights: list[str]
    scope: ScopeResponse | None
    expires: Time | None
    required: bool


class UserResponse(Response):
    """A person; never the password, nor its hash."""

    name: str
    role: str
    scope: ScopeResponse | None
    createdAt: Time  # noqa: N815


class UsersPage(Response):
    """People by name."""

    users: list[UserResponse]


class KeyResponse(Response):
    """A key; never the key itself."""

    id: str
    name: str
    kind: Literal["program", "device"]
    rights: list[str]
    scope: ScopeResponse | None
    createdAt: Time  # noqa: N815
    expires: Time | None
    by: str


class KeyCreated(KeyResponse):
    """A new key, which is shown this once."""

    key: str


class KeysPage(Response):
    """Keys by id."""

    keys: list[KeyResponse]


class AuditEventResponse(Response):
    """Something that was done or refused, so many times within a second, or by nobody and from one place within a minute."""

    id: Annotated[Identity, Field(alias="_id")]
    timestamp: Time
    act: str
    kind: str
    by: str
    address: str
    about: str
    more: dict[str, str]
    times: int


class AuditPage(Response):
    """Acts, the newest first; `next` is what `before` is for the following page, if there is one."""

    acts: list[AuditEventResponse]
    next: Identity | None
