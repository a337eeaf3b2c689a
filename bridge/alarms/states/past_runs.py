"""What readings tell that came too late to raise an alarm: from when to when a limit was violated, and the worst value."""

from collections.abc import Mapping
from typing import Any, Self

from bridge.air.trust import counts
from bridge.alarms.record import Past, Peak, Transition, TransitionKind, identifier
from bridge.alarms.rules import Rule
from bridge.alarms.scope import DeviceFacts
from bridge.alarms.states.lifecycle import Occasion, past_record
from bridge.alarms.states.plans import DevicePlan
from bridge.core.readings.reading import Reading

QUIET_MS = 60_000
"""A run is told when no further reading of it has come for this time."""


class PastRun:
    """A run of late readings beyond the limit of one rule."""

    __slots__ = ("from_ms", "heard_ms", "reading", "readings", "seq", "to_ms", "worst")

    def __init__(self, at_ms: int, value: float | bool) -> None:
        self.from_ms = self.to_ms = at_ms
        self.worst = Peak(value, at_ms)
        self.readings = 0
        self.heard_ms = 0
        self.seq = 0
        self.reading: str | None = None

    @property
    def due_ms(self) -> int:
        return self.heard_ms + QUIET_MS

    def violates(self, rule: Rule) -> bool:
        """Whether it has lasted long enough."""
        return self.to_ms - self.from_ms >= rule.past_least_ms

    def add(self, reading: Reading, at_ms: int, value: float | bool, *, is_worst: bool) -> None:
        self.from_ms, self.to_ms = min(self.from_ms, at_ms), max(self.to_ms, at_ms)
        self.readings += 1
        self.heard_ms, self.seq, self.reading = reading.received_ms, reading.seq, str(reading.id)
        if is_worst:
            self.worst = Peak(value, at_ms)


class PastRuns:
    """The runs of a device that are not told yet."""

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs: dict[str, PastRun] = {}

    def add(self, plan: DevicePlan, reading: Reading, at_ms: int) -> tuple[bool, list[Rule]]:
        """Take a late reading into account. Returns whether it is beyond a limit, and the rules whose run it ends."""
        is_beyond = False
        hiding: set[str] = set()
        ended: list[Rule] = []
        for name, value in reading.values.items():
            field = plan.fields.get(name)
            if field is None or isinstance(value, str) or not counts(name, value, reading.quality):
                continue
            for rule in field.rules:
                level = rule.past_level
                if level is None or not rule.scope.is_open(at_ms):
                    continue
                run = self.runs.get(rule.id)
                if level.is_set(value) and hiding.isdisjoint(rule.suppressed_by):
                    is_beyond = True
                    if run is None:
                        run = self.runs[rule.id] = PastRun(at_ms, value)
                    run.add(reading, at_ms, value, is_worst=level.excess(value) > level.excess(run.worst.value))
                    if run.violates(rule):
                        hiding.add(rule.id)
                elif run is not None and level.is_clear(value):
                    ended.append(rule)
        return is_beyond, ended

    def tell(self, rule: Rule, device_id: str, facts: DeviceFacts) -> list[Transition]:
        """End a run; nothing is told of one that is too short to violate the rule."""
        run = self.runs.pop(rule.id)
        if not run.violates(rule):
            return []
        occasion = Occasion(device_id, facts, run.to_ms, run.seq, run.reading)
        record = past_record(rule, occasion, run.from_ms, run.worst, Past(run.from_ms, run.to_ms, run.readings))
        return [Transition(identifier(record.id, TransitionKind.PAST, run.seq), TransitionKind.PAST, run.to_ms, record)]

    def public(self) -> dict[str, Any]:
        return {
            rule: [run.from_ms, run.to_ms, run.worst.value, run.worst.at_ms, run.readings, run.heard_ms, run.seq, run.reading]
            for rule, run in self.runs.items()
        }

    @classmethod
    def restored(cls, body: Mapping[str, Any]) -> Self:
        runs = cls()
        for rule, (from_ms, to_ms, value, at_ms, readings, heard_ms, seq, reading) in body.items():
            run = runs.runs[rule] = PastRun(from_ms, value)
            run.to_ms, run.worst, run.readings = to_ms, Peak(value, at_ms), readings
            run.heard_ms, run.seq, run.reading = heard_ms, seq, reading
        return runs
