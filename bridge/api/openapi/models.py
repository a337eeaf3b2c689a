"""Models of requests and responses for the OpenAPI description; those of readings are built from the measurement table."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from bridge.core.readings.identity import COMMAND_ID_PATTERN, DEVICE_ID_LENGTH, DEVICE_ID_PATTERN, DEVICE_ID_RULE
from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS, Flag, Measurement

Identity = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
Time = Annotated[str, Field(description="ISO 8601 in UTC, with milliseconds", examples=["2026-01-31T12:00:00.000Z"])]
Cursor = Annotated[int, Field(description="the cursor of a record")]
# pydantic's own expressions have no look-around, which this pattern needs.
DeviceId = Annotated[str, Field(min_length=1, max_length=DEVICE_ID_LENGTH, json_schema_extra={"pattern": DEVICE_ID_PATTERN})]
CommandId = Annotated[str, Field(pattern=COMMAND_ID_PATTERN, max_length=128)]
Quality = Annotated[dict[str, str], Field(description="what is wrong, by field")]
Extra = Annotated[
    dict[str, Annotated[str | float | bool, Field()]],
    Field(description="values of the message that are no measurement, by key; never judged"),
]
Absent: Any = Field(default_factory=lambda: None)
"""The default of a key that may be absent and is never null."""


class Response(BaseModel):
    """A response body. Keys may be added in later releases; none is renamed or removed."""

    model_config = ConfigDict(extra="allow", defer_build=True)  # they cost a twentieth of the start, and few are ever used


class CauseResponse(Response):
    """The key of a reason, and what stands in its text. A parameter is a text, or has a `text` and a cause itself."""

    key: str
    parameters: dict[str, Any]


class FieldError(Response):
    """One error in a request."""

    field: str
    message: str
    cause: CauseResponse = Absent
    index: int = Absent


class Problem(Response):
    """An error, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Absent
    code: str = Absent
    cause: CauseResponse = Absent


def _description(measurement: Measurement) -> str:
    low, high = measurement.usual
    usual = f", usually {low:g} to {high:.12g}" if abs(low) < float("inf") else ""
    return f"{measurement.label}{f', {measurement.unit}' if measurement.unit else ''}{usual}"


def _field(measurement: Measurement, kind: Any) -> Any:  # noqa: ANN401 - a field definition of pydantic
    return (Annotated[kind, Field(description=_description(measurement))], Absent)


_SCALE: Any = (Annotated[Literal[tuple(AQI_SCALES)], Field(description="the scale of aqi")], Absent)


class _Record(Response):
    id: Annotated[Identity, Field(alias="_id")]
    timestamp: Time
    deviceId: DeviceId
    receivedAt: Time
    seq: Cursor
    quality: Quality = Absent
    deviceTimestamp: str | float = Field(default_factory=str, description="the device's own time, where it was not used")
    retained: bool = Absent
    extra: Extra = Absent
    changedAt: Annotated[Time, Field(description="when a person corrected it")] = Absent


Record: type[BaseModel] = create_model(
    "Record",
    __base__=_Record,
    __doc__="A stored reading.",
    aqiScale=_SCALE,
    **{one.name: _field(one, bool if isinstance(one, Flag) else float) for one in MEASUREMENTS},
)


class _NewReading(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"deviceId": "hall", "temperature": 21.5, "timestamp": "2026-01-31T12:00:00Z"}]},
    )

    deviceId: str | int = Field(description=DEVICE_ID_RULE)
    timestamp: str | float | None = Field(
        default_factory=lambda: None, description="when it was measured: ISO 8601, epoch seconds or milliseconds"
    )


NewReading: type[BaseModel] = create_model(
    "NewReading",
    __base__=_NewReading,
    __doc__="A reading as a device sends it, with at least one measurement; aliases and the nested form are documented.",
    **{one.name: _field(one, float | str | bool | None) for one in MEASUREMENTS},
)


ReadingChanges: type[BaseModel] = create_model(
    "ReadingChanges",
    __config__=ConfigDict(extra="forbid", json_schema_extra={"examples": [{"temperature": 21.5, "humidity": None}]}),
    __doc__="Fields of a reading to set or replace; null removes one. Names and aliases are those of payloads.",
    timestamp=(str | float, Field(default_factory=str, description="when it was measured")),
    **{one.name: _field(one, float | str | bool | None) for one in MEASUREMENTS},
)


Untaken = Annotated[dict[str, str], Field(description="keys that were not taken, and why")]


class IngestedReading(Response):
    """One of several readings of a message."""

    id: Annotated[Identity, Field(alias="_id")]
    deviceId: DeviceId
    status: Literal["stored", "duplicate"]
    quality: Quality = Absent
    ignored: Untaken = Absent


class IngestResult(Response):
    """The outcome of one item of a request. `ignored` is the status of a message that is no reading, as that of a lamp."""

    index: int
    status: Literal["stored", "duplicate", "rejected", "ignored"]
    id: Annotated[Identity, Field(alias="_id")] = Absent
    readings: Annotated[list[IngestedReading], Field(description="where a message has several, in place of _id")] = Absent
    reason: str = Absent
    field: str = Absent
    quality: Quality = Absent
    ignored: Untaken = Absent


class Ingested(Response):
    """Readings that are stored now or were before: their ids in order, and the outcome of each item."""

    ids: list[Identity]
    results: list[IngestResult]


class IngestProblem(Problem):
    """No item is a valid reading; `errors` names each invalid field."""

    results: list[IngestResult] = Absent


class FieldStatistics(Response):
    """Statistics of one measurement in a bucket."""

    min: float
    mean: float
    max: float
    count: int


class ReadingBucket(BaseModel):
    """Statistics of a device's readings over a span of time, by measurement."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FieldStatistics]

    timestamp: Time
    deviceId: DeviceId
    count: int


class ReadingsPage(Response):
    """Stored readings in cursor order, or buckets of width `every`; `next` is the cursor of the next page."""

    readings: list[Record] | list[ReadingBucket]
    next: Cursor | None
    every: str = Absent


class Latest(Response):
    """The newest reading of each device."""

    readings: list[Record]


class TelemetryMessage(Response):
    """A telemetry message of a device's socket, as sent: `{"type": "telemetry", "status": "работает", "servo1": 90}`."""

    type: str


class CsrfToken(Response):
    """The CSRF token of a session, and the names of the header and the form field that may carry it."""

    csrf_token: str
    header: str
    field: str


class NoData(Response):
    """The device has no readings."""

    error: Literal["no data"]


class MeasurementResponse(Response):
    """A measurement of the table, with its usual range in `unit`. The page shows it in `shownUnit` unless a browser chooses."""

    name: str
    label: str
    unit: str
    shownUnit: str
    low: float | None
    high: float | None


class ComponentStatus(Response):
    """The state of a component."""

    status: Literal["ok", "failing"]
    reason: str = Absent
    cause: CauseResponse = Absent
    since: Time = Absent


class LivenessResponse(Response):
    """The process is alive."""

    status: Literal["ok"]


class ReadinessResponse(Response):
    """The state of every component."""

    status: Literal["ok", "failing"]
    failing: list[str] = Absent
    parts: dict[str, ComponentStatus] = Absent


class LedgerEntry(Response):
    """received = stored + duplicate + rejected + ignored + dropped + waiting, in messages; `readings` were stored."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    ignored: int
    dropped: int
    waiting: int
    readings: int


class ClusterStatus(Response):
    """The bridges of a cluster. `bridge` answers; `connectedClients` are those of all, a few seconds ago."""

    name: str
    bridge: str
    place: int
    leads: bool
    bridges: int
    busConnected: bool
    connectedClients: int


class Status(Response):
    """Clients of this bridge, and the ledger of messages by source. `cluster` is absent for a bridge that is alone."""

    success: bool
    connectedClients: int
    websocketEnabled: bool
    ledger: dict[str, LedgerEntry]
    cluster: ClusterStatus | None = None


class RejectedGroupResponse(Response):
    """Rejected messages of one code and field."""

    code: str
    field: str | None
    count: int
    newest: Time
    reason: str
    cause: CauseResponse = Absent


class RejectedMessage(Response):
    """A rejected message; its payload as text, or in base64 if it is not UTF-8."""

    id: Annotated[Identity, Field(alias="_id")]
    receivedAt: Time
    source: str
    topic: str
    code: str
    reason: str
    cause: CauseResponse = Absent
    field: str | None
    retained: bool
    payload: str | None
    payloadBase64: str = Absent


class Rejected(Response):
    """All groups of the quarantine, and the newest messages that match the query."""

    groups: list[RejectedGroupResponse]
    messages: list[RejectedMessage]


class RetryFailure(Response):
    """Messages that are still rejected, by code and field."""

    code: str
    field: str
    count: int


class RetryResponse(Response):
    """The outcome of a retry."""

    stored: int
    duplicate: int
    outdated: int
    bad: list[RetryFailure]


class DeviceResponse(Response):
    """A device; unknown attributes are absent."""

    id: DeviceId | Annotated[int, Field(description="in /api/v1/sensors, where the id is a number")]
    status: str = Absent
    state: dict[str, Any]
    createdAt: Time
    created_at: Annotated[Time, Field(description="in /api/v1/sensors, the same as createdAt")] = Absent
    partOf: DeviceId = Absent
    retiredAt: Annotated[Time, Field(description="since when the device is retired; absent if it is not")] = Absent


class PartResponse(Response):
    """A sensor of a device: in the series of the device, or a series of its own with this id."""

    series: Literal["own", "shared"]
    id: DeviceId = Absent


class IgnoredKey(Response):
    """A key that is not taken; `lastValue` if it is a text, a number or true/false."""

    reason: str
    cause: CauseResponse = Absent
    since: Time
    lastValue: str | float | bool = Field(default_factory=str)


AlsoSends = Annotated[dict[str, IgnoredKey], Field(description="keys of its messages that are not taken, by path")]


class DeviceDetail(DeviceResponse):
    """A device with what was learned or set about it; what is unknown is absent."""

    timezone: str = Field(default_factory=str, description="the time zone of its clock, as set")
    clockOffset: str = Field(default_factory=str, description="how far its clock is ahead of UTC, as learned: +07:00")
    units: dict[str, str] = Absent
    parts: dict[str, PartResponse] = Absent
    alsoSends: AlsoSends = Absent


class IgnoredKeysOfDevice(Response):
    """The keys of a device's messages that are not taken."""

    id: DeviceId
    alsoSends: AlsoSends


class IgnoredKeysPage(Response):
    """Devices with keys that are not taken; `next` is the `after` of the next page, if there is one."""

    devices: list[IgnoredKeysOfDevice]
    next: str | None


class DevicesPage(Response):
    """Devices by id; `next` is the `after` of the next page, if there is one."""

    devices: list[DeviceResponse]
    next: str | None


class NewDevice(BaseModel):
    """Attributes of a device set by an operator; attributes of other names are stored as given."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[DeviceId | int, Field(description="without it, the next number")] = Absent
    name: str = Absent
    type: str = Absent
    site: str = Absent
    room: str = Absent
    locationId: Annotated[DeviceId | int | None, Field(description="a location, which gives site and room")] = Absent


class DeviceChanges(NewDevice):
    """Attributes of a device, and what is known of its clock, units and parts."""

    timezone: str | None = Field(default_factory=str, description="an IANA name, or an offset such as +02:00")
    units: dict[str, str | None] | None = Field(
        default_factory=dict, description="the units of fields that the payload does not state"
    )
    parts: dict[str, Literal["own", "shared"]] = Field(default_factory=dict)
    alsoSends: None = Field(default_factory=lambda: None, description="null forgets the keys that are not taken")
    retired: bool | None = Field(default_factory=bool, description="true: never offline and without alarms; its readings stay")


class NewLocation(BaseModel):
    """Attributes of a location; those of other names are stored as given."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[DeviceId | int, Field(description="without it, the next number")] = Absent
    name: str | None = Absent
    site: str | None = Absent
    room: str | None = Absent


class LocationChanges(NewLocation):
    """Attributes of a location that change; null removes one."""


class LocationResponse(Response):
    """A location; unknown attributes are absent."""

    id: DeviceId | int
    name: str = Absent
    site: str = Absent
    room: str = Absent
    createdAt: Time
    created_at: Time


class LocationsPage(Response):
    """Locations by id; `next` is the last id of the page, for `after`."""

    locations: list[LocationResponse]
    next: DeviceId | int | None


class CommandResponse(Response):
    """A command and its state."""

    id: CommandId
    device: DeviceId
    command: str
    state: Literal["queued", "sent", "confirmed", "failed", "expired"]
    createdAt: Time
    expiresAt: Time
    error: str = Absent
    cause: CauseResponse = Absent


class CommandsPage(Response):
    """Commands, newest first."""

    commands: list[CommandResponse]


class FormCommand(BaseModel):
    """The form of a command. A value that is empty is sent as an empty text; `csrf_token` may confirm a session's cookie."""

    device_name: DeviceId
    command: str
    value: str = Absent


class TopicStats(Response):
    """Clients of `/ws`."""

    active_connections: int
    subscriptions: dict[str, int]


class LatestMeasurements(Response):
    """The newest readings as `/ws` sends them, in the order of their cursors."""

    measurements: list[dict[str, Any]]


class ChannelStats(Response):
    """Clients of `/api/v1/ws`."""

    total_channels: int
    channels: dict[str, Any]


class TestEventSent(Response):
    """The test event was sent."""

    success: bool
    channel: str
    message: str
    level: str


class EventAccepted(Response):
    """The event was published."""

    success: bool
    topic: str
    timestamp: Time


class TokenResponse(Response):
    """An access token for `Authorization: Bearer …`; `refresh_token` only for clients without cookies."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    role: str
    refresh_token: str = Absent


class ScopeResponse(Response):
    """Devices by id, and all devices at these sites."""

    devices: list[str]
    sites: list[str]


class IdentityResponse(Response):
    """The caller. Without a scope the permissions apply to every device."""

    kind: Literal["anyone", "person", "program", "device", "external", "link"]
    name: str
    rights: list[str]
    scope: ScopeResponse | None
    expires: Time | None
    required: bool


ChannelNames = Annotated[list[str] | None, Field(description="the channels it may listen to; null is every channel")]


class UserResponse(Response):
    """A user, without password and hash."""

    name: str
    role: str
    scope: ScopeResponse | None
    channels: ChannelNames
    createdAt: Time
    disabled: Annotated[bool, Field(description="true: the user cannot log in")] = Absent


class SharedLinkResponse(Response):
    """A link that shows one view of the dashboard without a login."""

    id: str
    title: str
    view: str = Field(description="the fragment of the dashboard's address")
    scope: ScopeResponse
    createdAt: Time
    expires: Time
    by: str


class SharedLinkCreated(SharedLinkResponse):
    """A new link. The page opens with `view`, and `link=TOKEN` in the query of the fragment."""

    token: str


class SharedLinksPage(Response):
    """Shared links, the newest first."""

    links: list[SharedLinkResponse]


class LinkTokenResponse(Response):
    """An access token for `Authorization: Bearer …` that reads what a shared link shows, and when the link expires."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    title: str
    view: str
    until: Time


class UsersPage(Response):
    """Users by name."""

    users: list[UserResponse]


class KeyResponse(Response):
    """An API key, without the key itself."""

    id: str
    name: str
    kind: Literal["program", "device"]
    rights: list[str]
    scope: ScopeResponse | None
    channels: ChannelNames
    createdAt: Time
    expires: Time | None
    by: str


class MadeKeysResponse(Response):
    """What a user made who is an admin no longer: API keys that ended with it and that still work, public links that ended."""

    keysEnded: list[KeyResponse]
    keysKept: list[KeyResponse]
    linksEnded: list[SharedLinkResponse]


class KeyCreated(KeyResponse):
    """A new API key with the key itself, which is returned only once."""

    key: str


class KeysPage(Response):
    """API keys by id."""

    keys: list[KeyResponse]


class AuditEventResponse(Response):
    """An action that was done or refused. `times` counts repetitions within a second, or within a minute if unauthenticated."""

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
    """Audit events, newest first; `next` is the `before` of the next page, if there is one."""

    acts: list[AuditEventResponse]
    next: Identity | None


class SubscriptionResponse(Response):
    """A subscription; `id` is null for one of the settings file. `refused`: the broker refused it, for this reason.

    Messages are those of this bridge since the subscription was added; `perMinute` is null for some seconds after the start.
    """

    id: str | None
    origin: Literal["file", "stored"]
    pattern: str
    kind: str
    qos: Literal[0, 1]
    format: str
    fields: dict[str, Any]
    messages: int
    perMinute: float | None
    refused: str = Absent
    cause: CauseResponse = Absent


class SubscriptionsPage(Response):
    """Subscriptions in the order in which they apply."""

    subscriptions: list[SubscriptionResponse]


class FoundDevice(Response):
    """A device of a survey and the values that would be stored."""

    id: str
    values: dict[str, Any]


class FindingResponse(Response):
    """Topics that one subscription takes or would take, or that carry no reading for the same reason."""

    state: Literal["new", "announced", "subscribed", "no readings"]
    pattern: str
    format: str | None
    family: str
    reason: str
    cause: CauseResponse = Absent
    topics: list[str]
    topicCount: int
    messages: int
    devices: list[FoundDevice]
    deviceCount: int
    units: dict[str, str]
    quality: Quality
    notTaken: Annotated[dict[str, str], Field(description="why a key is not taken, by key")]
    notTakenCauses: Annotated[dict[str, CauseResponse], Field(description="the cause of each reason that has one")] = Absent
    alsoMatches: Annotated[int, Field(description="topics without readings that the pattern matches too")]


class AnnouncedResponse(Response):
    """What Home Assistant discovery and Zigbee2MQTT's device lists announced."""

    enabled: bool
    sensors: int
    topics: int
    zigbee2mqtt: list[str]
    refused: list[dict[str, str]]


class DiscoveryResponse(Response):
    """A survey of the broker's topics: while it listens, the results so far."""

    state: Literal["idle", "listening", "finished", "failed"]
    reason: str = Absent
    cause: CauseResponse = Absent
    seconds: float = Field(default_factory=float)
    startedAt: Time = Absent
    messages: int = Field(default_factory=int)
    topics: int = Field(default_factory=int)
    dropped: int = Field(default_factory=int)
    findings: list[FindingResponse]
    announced: AnnouncedResponse
