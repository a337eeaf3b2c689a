"""What operators do with alarms."""

from dataclasses import dataclass
from enum import StrEnum


class ActionKind(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out-of-service"
    IN_SERVICE = "in-service"


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """An action on the alarm of a rule at a device; `device_id` is None for the bridge. `until_ms` is for shelving."""

    kind: ActionKind
    device_id: str | None
    rule: str
    by: str
    at_ms: int
    comment: str | None = None
    until_ms: int | None = None
