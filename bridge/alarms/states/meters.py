"""What a rule measures of a field: whether it is set or clear, with the memory that it needs for this.

A meter is asked about unflagged values only, in the order of their times. `None` means that it cannot tell yet.
"""

from math import inf
from typing import Any, NamedTuple, Protocol

from bridge.air.averaging import HOUR_MS, last_day, now_cast
from bridge.air.windows import FieldWindow
from bridge.alarms.co_dose import DoseClock
from bridge.alarms.conditions import Above, Averaging, Below, Bounds, ChangesBy, Dose, Is, Mean, Outside, Unchanged
from bridge.alarms.rules import Rule

_CHANGE_BUCKETS = 16

Memory = list[Any] | None
"""What a meter remembers, as JSON types."""


class Verdict(NamedTuple):
    """`value` is what is compared and shown."""

    is_set: bool
    is_clear: bool
    value: float


class Meter(Protocol):
    """The memory of one rule at one field."""

    @property
    def is_idle(self) -> bool:
        """Whether a value within the rule's bounds changes nothing."""

    def measure(self, window: FieldWindow) -> Verdict | None: ...

    def public(self) -> Memory:
        """Return the memory as JSON types; None if there is none."""


class LevelMeter:
    """Compares the newest value, or an average."""

    __slots__ = ("_averaging", "_level")

    def __init__(self, level: Above | Below | Outside | Is, averaging: Averaging | None) -> None:
        self._level = level
        self._averaging = averaging

    @property
    def is_idle(self) -> bool:
        return True

    def measure(self, window: FieldWindow) -> Verdict | None:
        value = self._value(window)
        return None if value is None else Verdict(self._level.is_set(value), self._level.is_clear(value), value)

    def _value(self, window: FieldWindow) -> float | None:
        match self._averaging:
            case None:
                value = window.value
                return None if isinstance(value, str) else value
            case Mean(width_ms=width_ms, buckets=buckets):
                return window.mean(width_ms, buckets)
            case _ if window.value_ms != window.first_ms:  # it changes once an hour: once a minute is enough
                return None
            case _:
                average = now_cast(last_day(window.hours(), window.value_ms))
                return None if average.hours_needed else average.value

    def public(self) -> None:
        return None


class DoseMeter:
    __slots__ = ("_clock", "profile")

    def __init__(self, condition: Dose, memory: Memory = None) -> None:
        self.profile = condition.profile
        self._clock = DoseClock(condition.profile, *(memory or ()))

    @property
    def is_idle(self) -> bool:
        return self._clock.is_idle

    @property
    def dose(self) -> float:
        return self._clock.dose

    @property
    def minutes_left(self) -> float | None:
        return self._clock.minutes_left

    def measure(self, window: FieldWindow) -> Verdict:
        ppm = number(window)
        self._clock.add(ppm, window.value_ms - window.previous_ms if window.is_continuous else None)
        return Verdict(self._clock.is_due(window.interval_ms), ppm < self.profile.least_ppm, ppm)

    def public(self) -> Memory:
        return None if self.is_idle else [self._clock.dose, self._clock.rate]


class ChangeMeter:
    """The range of the values of the last seconds, in steps of a sixteenth: never of a longer time than the rule says."""

    __slots__ = ("_buckets", "_condition")

    def __init__(self, condition: ChangesBy, memory: Memory = None) -> None:
        self._condition = condition
        self._buckets: list[list[float]] = [list(one) for one in memory or ()]
        """Start in milliseconds, lowest, highest; the oldest first."""

    @property
    def is_idle(self) -> bool:
        return False

    def measure(self, window: FieldWindow) -> Verdict:
        value, at_ms, span_ms = number(window), window.value_ms, self._condition.seconds * 1000
        if not window.is_continuous:
            self._buckets.clear()
        step_ms = span_ms / _CHANGE_BUCKETS
        if not self._buckets or at_ms - self._buckets[-1][0] >= step_ms:
            self._buckets.append([at_ms, value, value])
        newest = self._buckets[-1]
        newest[1], newest[2] = min(newest[1], value), max(newest[2], value)
        while self._buckets[0][0] < at_ms - span_ms:
            del self._buckets[0]
        change = max(high for _, _, high in self._buckets) - min(low for _, low, _ in self._buckets)
        return Verdict(change >= self._condition.by, change <= self._condition.clear, change)

    def public(self) -> Memory:
        return [list(one) for one in self._buckets] or None


class UnchangedMeter:
    """Compares the first value of each minute with that of the minute before."""

    __slots__ = ("_since_ms", "_span_ms", "_value")

    def __init__(self, condition: Unchanged, memory: Memory = None) -> None:
        self._span_ms = condition.hours * HOUR_MS
        self._value: float | None = memory[0] if memory else None
        self._since_ms: int = memory[1] if memory else 0

    @property
    def is_idle(self) -> bool:
        return True

    def measure(self, window: FieldWindow) -> Verdict | None:
        if window.value_ms != window.first_ms:
            return None
        value = number(window)
        if value != self._value or not window.is_continuous:
            self._value, self._since_ms = value, window.value_ms
        is_set = window.value_ms - self._since_ms >= self._span_ms
        return Verdict(is_set, not is_set, value)

    def public(self) -> Memory:
        return [self._value, self._since_ms]


def meter_of(rule: Rule, memory: Memory = None) -> Meter:
    """Return the meter of a rule with a field; `memory` is what `Meter.public` returned."""
    condition = rule.condition
    match condition:
        case Dose():
            return DoseMeter(condition, memory)
        case ChangesBy():
            return ChangeMeter(condition, memory)
        case Unchanged():
            return UnchangedMeter(condition, memory)
        case Above() | Below() | Outside() | Is():
            return LevelMeter(condition, rule.averaging)
        case _:
            raise TypeError(f"rule {rule.id}: its condition is not one of a field")


def bounds_of(rule: Rule) -> Bounds | None:
    """Return the bounds within which a value cannot set the rule; None: each value must be measured."""
    match rule.condition:
        case Above() | Below() | Outside() | Is() | Dose():
            return rule.condition.bounds
        case Unchanged():
            return -inf, inf
        case _:
            return None


def number(window: FieldWindow) -> float:
    """Return the newest value; it is no text, or there would be no rule."""
    value = window.value
    return 0.0 if value is None or isinstance(value, str) else value
