"""A command to a device, and its states. The allowed changes are in `TRANSITIONS`.

    queued ──▶ sent ──▶ confirmed
      │         └─────▶ failed
      └──▶ expired, failed

A command becomes `sent` before its first byte is sent, so that a crash loses it rather than executes it twice.
"""

import enum
import json
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
from bridge.core.readings.identity import COMMAND_ID_RULE, is_command_id, parse_device_id
from bridge.core.reasons import with_cause
from bridge.core.timestamp import iso

EXPIRY_LIMIT_SECONDS = 30 * 86_400.0
_TEXT_LENGTH = 4096


class CommandState(enum.StrEnum):
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


def _check_id(text: str) -> str:
    if not is_command_id(text):
        raise ValueError(f"must be {COMMAND_ID_RULE}")
    return text


_Id = Annotated[str, AfterValidator(_check_id)]
_DeviceId = Annotated[str, AfterValidator(parse_device_id)]
_Value = (
    Annotated[StrictStr, Field(max_length=_TEXT_LENGTH)]
    | StrictBool
    | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | None
)


class CommandRequest(BaseModel):
    """A request to send a command. With `queue` it waits for an offline device, for at most `expires` seconds.

    With an `id` chosen by the caller, a repeated request is the same command. Ids of different devices are independent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: _DeviceId
    command: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
    value: _Value = None
    queue: bool = False
    expires: Annotated[float, Field(gt=0, le=EXPIRY_LIMIT_SECONDS)] | None = None
    id: _Id | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command as stored. `requested_by` is the caller, `bridge` the bridge that sends it. Times are ms since the epoch."""

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

    def transition(self, state: CommandState, now_ms: int, error: str | None = None) -> "Command":
        """Return the command in its next state; raises `CommandStateError` if that is not allowed, or if it expired unsent."""
        if state not in TRANSITIONS[self.state]:
            raise CommandStateError(f"command {self.id} is {self.state}: it cannot become {state}")
        if state is CommandState.SENT and self.is_expired(now_ms):
            raise CommandStateError(f"command {self.id} has expired and must not be sent")
        sent_ms = now_ms if state is CommandState.SENT else self.sent_ms
        return replace(self, state=state, changed_ms=now_ms, sent_ms=sent_ms, error=error)

    def is_expired(self, now_ms: int) -> bool:
        return now_ms >= self.expires_ms

    @property
    def is_final(self) -> bool:
        return not TRANSITIONS[self.state]

    def same_request(self, request: CommandRequest) -> bool:
        """Whether a request with the same id has the same content."""
        requested = (request.device, request.command, type(request.value), request.value)
        return requested == (self.device_id, self.command, type(self.value), self.value)

    def body(self) -> dict[str, Any]:
        """Return the message for the device: the value as text, whatever its type was; no `value` key without one."""
        value = {} if self.value is None else {"value": _value_text(self.value)}
        return {"command": self.command, **value, "id": self.id}

    def public(self) -> dict[str, Any]:
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
            **({} if self.error is None else with_cause({"error": self.error}, "error")),
        }

    def to_document(self) -> dict[str, Any]:
        """Return the stored fields without the id: JSON types, times in milliseconds."""
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


def _value_text(value: CommandValue) -> str:
    """Return a value as devices expect it: texts unchanged, numbers and truth values as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


TIMES = ("createdAt", "expiresAt", "changedAt", "sentAt")
"""The keys of `Command.to_document` that are times."""


def command_from_document(command_id: str, document: Mapping[str, Any]) -> Command:
    return Command(
        id=command_id,
        device_id=document["device"],
        command=document["command"],
        value=document["value"],
        requested_by=document["by"],
        created_ms=document["createdAt"],
        expires_ms=document["expiresAt"],
        state=CommandState(document["state"]),
        changed_ms=document["changedAt"],
        sent_ms=document["sentAt"],
        error=document["error"],
        bridge=document.get("bridge"),
    )
