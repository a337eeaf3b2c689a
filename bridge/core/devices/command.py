"""A command to a device, and the states it goes through. Nothing here sends; what may follow what stands in `TRANSITIONS`.

    queued ──▶ sent ──▶ confirmed
      │         └─────▶ failed
      └──▶ expired, failed

A command is `sent` before a byte of it leaves, so that one is lost rather than done twice.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
)

from bridge.core.errors import CommandStateError
from bridge.core.readings.identity import is_device_id
from bridge.core.timestamp import iso

EXPIRY_LIMIT_SECONDS = 30 * 86_400.0
_TEXT_LENGTH = 4096


class CommandState(enum.StrEnum):
    """How far a command is."""

    QUEUED = "queued"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    EXPIRED = "expired"


TRANSITIONS: Mapping[CommandState, frozenset[CommandState]] = {
    CommandState.QUEUED: frozenset({CommandState.SENT, CommandState.FAILED, CommandState.EXPIRED}),
    CommandState.SENT: frozenset({CommandState.CONFIRMED, CommandState.FAILED}),
    CommandState.CONFIRMED: frozenset(),
    CommandState.FAILED: frozenset(),
    CommandState.EXPIRED: frozenset(),
}

CommandValue = str | int | float | bool | None


def _identity(text: str) -> str:
    if not is_device_id(text):
        raise ValueError("must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    return text


Identity = Annotated[str, AfterValidator(_identity)]
_Value = (
    Annotated[StrictStr, Field(max_length=_TEXT_LENGTH)]
    | StrictBool
    | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | None
)


class CommandRequest(BaseModel):
    """What is asked for. `expires` is in seconds from now: until then it may wait for a device that is offline, if `queue`.

    With an `id` of the caller's the request may be made again: it is one command.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Identity
    command: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
    value: _Value = None
    queue: bool = False
    expires: Annotated[float, Field(gt=0, le=EXPIRY_LIMIT_SECONDS)] | None = None
    id: Identity | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is kept. `requested_by` is who asked, `bridge` which bridge sends it; times are milliseconds since the epoch."""

    id: str
    device_id: str
    command: str
    value: CommandValue
    requested_by: str
    created_ms: int
    expires_ms: int
    state: CommandState = CommandState.QUEUED
    changed_ms: int = 0
    sent_ms: int | None = None
    error: str | None = None
    bridge: str | None = None

    def transition(self, state: CommandState, now_ms: int, error: str | None = None) -> Command:
        """The next state; raises `CommandStateError` for one that may not follow, and for sending what is stale."""
        if state not in TRANSITIONS[self.state]:
            raise CommandStateError(f"command {self.id} is {self.state}: it cannot become {state}")
        if state is CommandState.SENT and self.is_expired(now_ms):
            raise CommandStateError(f"command {self.id} is stale and must not be sent")
        sent_ms = now_ms if state is CommandState.SENT else self.sent_ms
        return replace(self, state=state, changed_ms=now_ms, sent_ms=sent_ms, error=error)

    def is_expired(self, now_ms: int) -> bool:
        """Its time is over."""
        return now_ms >= self.expires_ms

    @property
    def is_final(self) -> bool:
        """Nothing more can happen to it."""
        return not TRANSITIONS[self.state]

    def same_request(self, request: CommandRequest) -> bool:
        """Whether a request under the same id asks for the same."""
        asked = (request.device, request.command, type(request.value), request.value)
        return asked == (self.device_id, self.command, type(self.value), self.value)

    def body(self) -> dict[str, Any]:
        """What the device is sent; without `value` where there is none."""
        value = {} if self.value is None else {"value": self.value}
        return {"command": self.command, **value, "id": self.id}

    def public(self) -> dict[str, Any]:
        """The command as clients see it."""
        return {
            "id": self.id,
            "device": self.device_id,
            "command": self.command,
            **({} if self.value is None else {"value": self.value}),
            "state": str(self.state),
            "by": self.requested_by,
            "createdAt": iso(self.created_ms),
            "expiresAt": iso(self.expires_ms),
            "changedAt": iso(self.changed_ms),
            **({} if self.sent_ms is None else {"sentAt": iso(self.sent_ms)}),
            **({} if self.error is None else {"error": self.error}),
        }

    def to_document(self) -> dict[str, Any]:
        """What a store keeps beside the id: JSON types, times as milliseconds."""
        return {
            "device": self.device_id,
            "command": self.command,
            "value": self.value,
            "by": self.requested_by,
            "createdAt": self.created_ms,
            "expiresAt": self.expires_ms,
            "state": str(self.state),
            "changedAt": self.changed_ms,
            "sentAt": self.sent_ms,
            "error": self.error,
            "bridge": self.bridge,
        }


TIMES = ("createdAt", "expiresAt", "changedAt", "sentAt")
"""The names in `Command.kept` that are times."""


def command_from_document(command_id: str, kept: Mapping[str, Any]) -> Command:
    """The inverse of `Command.kept`."""
    return Command(
        id=command_id,
        device_id=kept["device"],
        command=kept["command"],
        value=kept["value"],
        requested_by=kept["by"],
        created_ms=kept["createdAt"],
        expires_ms=kept["expiresAt"],
        state=CommandState(kept["state"]),
        changed_ms=kept["changedAt"],
        sent_ms=kept["sentAt"],
        error=kept["error"],
        bridge=kept.get("bridge"),
    )
