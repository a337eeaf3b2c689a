"""Advice: what people should do about the air at a device, and why; and the command that an operator's rule made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from bridge.core.alarms.advice import AdviceKind
from bridge.core.errors import RecordError
from bridge.core.timestamp import iso


class AdviceReason(StrEnum):
    FORECAST = "forecast"
    ALARM = "alarm"


REFUSED = "refused"
"""The state of a command that was not accepted; the others are those of `CommandState`."""

PLANNED = "planned"
"""The state of a command that is not stored yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisedCommand:
    """The command that the operator's rule with the name `rule` made of advice. `error` says why it was refused or failed."""

    id: str
    rule: str
    device_id: str
    command: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: str = PLANNED
    error: str | None = None

    def public(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "rule": self.rule,
            "deviceId": self.device_id,
            "command": self.command,
            "parameters": dict(self.parameters),
            "state": self.state,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Advice for one device. Times are milliseconds since the epoch, UTC; `limit`, `value` and `outside` are in `unit`.

    The `id` depends on the forecast or the change of the alarm alone, so that the same one gives the same advice once. `key`
    and the parameters make the sentence, see `sentences.py`. `probability` is that `limit` is exceeded `within` so many hours.
    `value` is that of the alarm, `outside` that of a device outdoors. `standard` is a key of the message catalogues, `source`
    the same in English; None for a limit of one's own. `supersedes` is the advice of a forecast before, for the same field.
    """

    id: str
    device_id: str
    at_ms: int
    kind: AdviceKind
    reason: AdviceReason
    key: str
    field: str | None = None
    unit: str | None = None
    limit: float | None = None
    value: float | None = None
    outside: float | None = None
    probability: float | None = None
    within: int | None = None
    standard: str | None = None
    source: str | None = None
    alarm: str | None = None
    supersedes: str | None = None
    command: AdvisedCommand | None = None

    @property
    def parameters(self) -> dict[str, float]:
        """Return the numbers of the sentence; the probability is in percent."""
        percent = None if self.probability is None else round(100 * self.probability)
        given = {"limit": self.limit, "value": self.value, "outside": self.outside, "hours": self.within}
        return {name: number for name, number in {**given, "probability": percent}.items() if number is not None}

    def public(self, message: str) -> dict[str, Any]:
        """Return it as clients receive it: JSON types, times as ISO 8601. `message` is the sentence in English."""
        return {
            "id": self.id,
            "deviceId": self.device_id,
            "at": iso(self.at_ms),
            "action": self.kind.value,
            "reason": self.reason.value,
            "field": self.field,
            "limit": self.limit,
            "unit": self.unit,
            "probability": self.probability,
            "within": self.within,
            "value": self.value,
            "outside": self.outside,
            "standard": self.standard,
            "source": self.source,
            "message": message,
            "key": self.key,
            "parameters": self.parameters,
            "alarm": self.alarm,
            "supersedes": self.supersedes,
            "command": None if self.command is None else self.command.public(),
        }

    def to_document(self) -> dict[str, Any]:
        """Return it for a store: JSON types, times in milliseconds."""
        document = {name: getattr(self, name) for name in _ADVICE_FIELDS}
        command = self.command
        made = None if command is None else {name: getattr(command, name) for name in _COMMAND_FIELDS}
        if made is not None:
            made["parameters"] = dict(made["parameters"])
        return document | {"kind": self.kind.value, "reason": self.reason.value, "command": made}

    def with_state(self, state: str, error: str | None = None) -> "Advice":
        """Return it with the command in another state."""
        return self if self.command is None else replace(self, command=replace(self.command, state=state, error=error))


_ADVICE_FIELDS = tuple(one.name for one in fields(Advice))
_COMMAND_FIELDS = tuple(one.name for one in fields(AdvisedCommand))


def advice_from_document(document: Mapping[str, Any]) -> Advice:
    """Inverse of `Advice.to_document`. Raises `RecordError` for any other document."""
    try:
        values = dict(document)
        command = values.pop("command")
        values["kind"], values["reason"] = AdviceKind(values["kind"]), AdviceReason(values["reason"])
        advice = Advice(**values, command=None if command is None else AdvisedCommand(**command))
        _check(advice)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"advice: not a valid document: {error!r}") from error
    return advice


def _check(advice: Advice) -> None:
    """Raise `TypeError` if a time, a number or a text is of another type."""
    numbers = (advice.at_ms, advice.limit, advice.value, advice.outside, advice.probability, advice.within)
    texts = (advice.id, advice.device_id, advice.key, advice.field or "", advice.unit or "")
    if not all(isinstance(one, int | float | None) for one in numbers) or not all(isinstance(one, str) for one in texts):
        raise TypeError("a value is of another type")
    iso(advice.at_ms)
