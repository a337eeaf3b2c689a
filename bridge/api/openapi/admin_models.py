"""Models of what admins see of the quarantine and of what the store holds."""

from typing import Annotated, Any, Literal

from pydantic import Field

from bridge.api.openapi.models import Absent, DeviceId, Response, Time


class ClearedResponse(Response):
    """How many rejected messages were removed."""

    removed: int


class ProposedReading(Response):
    """A reading as it would be stored; `notTaken` has the reason of each key that is not taken."""

    deviceId: DeviceId  # noqa: N815
    timestamp: Time
    values: dict[str, float | bool]
    quality: dict[str, str]
    notTaken: dict[str, str]  # noqa: N815


class FormatProposal(Response):
    """A subscription that reads the message: `setting` for the settings file, `fields` for format mapping."""

    best: bool
    format: str
    pattern: str
    fields: dict[str, Any]
    setting: Annotated[str, Field(description="a row of mqtt.subscriptions, in TOML")]
    readings: list[ProposedReading]
    readingCount: int  # noqa: N815
    reason: Annotated[str, Field(description="why parts of the message are no reading; may be empty")]


class TakingSubscription(Response):
    """The subscription that a message came by; `id` is null for one of the settings file."""

    id: str | None
    pattern: str


class UnreadableFormat(Response):
    """A format that does not read the message."""

    format: str
    reason: str


class FormatProposals(Response):
    """How each format would read a rejected message, the best first."""

    topic: str
    source: str
    subscription: TakingSubscription | None
    proposals: list[FormatProposal]
    unreadable: list[UnreadableFormat]


class HeldKind(Response):
    """What is held of one kind; null where it has no limit, or is not counted. `settings` change the limits."""

    kind: Literal["readings", "rollups", "rejected", "commands", "audit", "alarms"]
    days: int | None
    limit: int | None
    settings: list[str]
    count: int | None
    oldest: Time | None


class RetentionResponse(Response):
    """What the store holds, how much of it and for how long."""

    kinds: list[HeldKind]
    sizeBytes: Annotated[int, Field(description="on the disk of the database")]  # noqa: N815
    store: Annotated[str, Field(description="its address, without credentials")] = Absent
