"""Readings for the fold, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from bson.objectid import ObjectId

from bridge.alarms.actions import ActionKind, OperatorAction
from bridge.alarms.fold import AlarmFold
from bridge.alarms.record import AlarmRecord, Transition, TransitionKind
from bridge.alarms.rules import Rule
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading

START_MS = 1_768_478_400_000  # a whole hour, a Thursday at 12:00 in UTC
SECOND_MS = 1000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def reading(
    at_ms: int,
    values: Mapping[str, Value],
    *,
    device: str = "kitchen",
    quality: Mapping[str, str] | None = None,
    received_ms: int | None = None,
    retained: bool = False,
) -> Reading:
    received_ms = at_ms if received_ms is None else received_ms
    return Reading(
        ObjectId(f"{at_ms & 0xFFFFFFFFFFFF:024x}"),
        device,
        dict(values),
        at_ms,
        received_ms,
        dict(quality or {}),
        retained=retained,
        seq=received_ms * 1000,
    )


class Bench:
    """A fold with one device, whose time moves on with each reading."""

    def __init__(self, rules: Iterable[Rule], interval_ms: int = SECOND_MS, device: str = "kitchen") -> None:
        self.fold = AlarmFold(rules)
        self.now_ms = START_MS
        self.interval_ms = interval_ms
        self.device = device
        self.said: list[Transition] = []

    def send(self, quality: Mapping[str, str] | None = None, number: int = 1, **values: Value) -> list[Transition]:
        """The same reading, so many times."""
        said: list[Transition] = []
        for _ in range(number):
            self.now_ms += self.interval_ms
            said += self.fold.step(reading(self.now_ms, values, device=self.device, quality=quality))
        self.said += said
        return said

    def send_field(self, field: str, value: Value, *, number: int = 1, fault: str | None = None) -> list[Transition]:
        """Readings of one field, which is flagged if it has a fault."""
        said: list[Transition] = []
        for _ in range(number):
            self.now_ms += self.interval_ms
            quality = {field: fault} if fault else None
            said += self.fold.step(reading(self.now_ms, {field: value}, device=self.device, quality=quality))
        self.said += said
        return said

    def wait(self, milliseconds: int, *, tick: bool = True) -> list[Transition]:
        """Silence."""
        self.now_ms += milliseconds
        said = self.fold.tick(self.now_ms) if tick else []
        self.said += said
        return said

    def act(self, kind: ActionKind, rule: str, **parameters: Any) -> list[Transition]:
        said = self.fold.operate(OperatorAction(kind, self.device, rule, "ada", self.now_ms, **parameters))
        self.said += said
        return said

    def record(self, rule: str) -> AlarmRecord | None:
        return next((one for one in self.fold.records() if one.rule == rule), None)

    def state(self, rule: str) -> str:
        record = self.record(rule)
        return "normal" if record is None else record.state.value

    def restart(self) -> None:
        """Write a checkpoint and go on from it."""
        body = orjson.loads(orjson.dumps(self.fold.public()))
        self.fold = AlarmFold.restored(self.fold.rules, body)


def told(transitions: Iterable[Transition]) -> list[tuple[str, str]]:
    """Kind and rule of each transition."""
    return [(one.kind.value, one.record.rule) for one in transitions]


def raised(transitions: Iterable[Transition]) -> list[str]:
    return [one.record.rule for one in transitions if one.kind is TransitionKind.RAISED]
