"""When a rule is violated, and when no longer.

A level is compared with a number: a field's newest value, its mean or its NowCast. It is set *at* its limit, and clear *at* its
clear limit; between the two the rule stays as it is (a deadband). The other conditions have a memory or concern the device.
"""

from dataclasses import dataclass
from math import inf
from typing import Protocol

from bridge.air.windows import MINUTE_MS
from bridge.alarms.co_dose import EN_50291, DoseProfile
from bridge.core.errors import RuleError

Bounds = tuple[float, float]
HOUR_MINUTES = 60
_QUARTER_MINUTES = 15
_DAY_MINUTES = 24 * HOUR_MINUTES
FLAGGED_MINUTES_LIMIT = 15


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RuleError(f"{name} is {value:g}: must be {low:g} to {high:g}")


class Level(Protocol):
    """A condition on one number."""

    @property
    def limit(self) -> float | None:
        """The limit to show."""

    @property
    def bounds(self) -> Bounds:
        """Numbers strictly within are not set."""

    def is_set(self, value: float, /) -> bool: ...

    def is_clear(self, value: float, /) -> bool: ...

    def excess(self, value: float, /) -> float:
        """Return how far the value is on the wrong side, to compare two of them."""


@dataclass(frozen=True, slots=True)
class Above:
    limit: float
    clear: float

    def __post_init__(self) -> None:
        if not self.clear <= self.limit:
            raise RuleError(f"clear is {self.clear:g}: must be at most {self.limit:g}, the limit")

    @property
    def bounds(self) -> Bounds:
        return -inf, self.limit

    def is_set(self, value: float) -> bool:
        return value >= self.limit

    def is_clear(self, value: float) -> bool:
        return value <= self.clear and value < self.limit

    def excess(self, value: float) -> float:
        return value


@dataclass(frozen=True, slots=True)
class Below:
    limit: float
    clear: float

    def __post_init__(self) -> None:
        if not self.clear >= self.limit:
            raise RuleError(f"clear is {self.clear:g}: must be at least {self.limit:g}, the limit")

    @property
    def bounds(self) -> Bounds:
        return self.limit, inf

    def is_set(self, value: float) -> bool:
        return value <= self.limit

    def is_clear(self, value: float) -> bool:
        return value >= self.clear and value > self.limit

    def excess(self, value: float) -> float:
        return -value


@dataclass(frozen=True, slots=True)
class Outside:
    """Below `low` or above `high`; `clear` is how far inside both the value must be to clear."""

    low: float
    high: float
    clear: float = 0.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise RuleError(f"outside is {self.low:g} to {self.high:g}: the first must be lower")
        if not 0 <= self.clear <= (self.high - self.low) / 2:
            raise RuleError(f"clear is {self.clear:g}: must be from 0 to {(self.high - self.low) / 2:g}, half the range")

    @property
    def limit(self) -> float | None:
        return None

    @property
    def bounds(self) -> Bounds:
        return self.low, self.high

    def is_set(self, value: float) -> bool:
        return not self.low < value < self.high

    def is_clear(self, value: float) -> bool:
        return self.low + self.clear <= value <= self.high - self.clear and not self.is_set(value)

    def excess(self, value: float) -> float:
        return abs(value - (self.low + self.high) / 2)


@dataclass(frozen=True, slots=True)
class Is:
    """A boolean field has this value."""

    value: bool

    @property
    def limit(self) -> float | None:
        return None

    @property
    def bounds(self) -> Bounds:
        return (-inf, 0.5) if self.value else (0.5, inf)

    def is_set(self, value: float) -> bool:
        return bool(value) is self.value

    def is_clear(self, value: float) -> bool:
        return bool(value) is not self.value

    def excess(self, value: float) -> float:
        return float(self.is_set(value))


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over 1 to 15 minutes, 20 to 60 minutes in steps of 5, or 1 to 24 hours, with the current bucket.

    Buckets have a minute, 5 minutes or an hour, and begin at whole ones in UTC.
    """

    minutes: int

    def __post_init__(self) -> None:
        minutes = self.minutes
        if not (
            1 <= minutes <= _QUARTER_MINUTES
            or (minutes <= HOUR_MINUTES and minutes > _QUARTER_MINUTES and minutes % 5 == 0)
            or (HOUR_MINUTES < minutes <= _DAY_MINUTES and minutes % HOUR_MINUTES == 0)
        ):
            raise RuleError(
                f"mean over {minutes} minutes: must be 1 to 15, 20 to 60 in steps of 5, or 120 to 1440 in steps of 60"
            )

    @property
    def width_ms(self) -> int:
        if self.minutes <= _QUARTER_MINUTES:
            return MINUTE_MS
        return (5 if self.minutes <= HOUR_MINUTES else HOUR_MINUTES) * MINUTE_MS

    @property
    def buckets(self) -> int:
        return self.span_ms // self.width_ms

    @property
    def span_ms(self) -> int:
        return self.minutes * MINUTE_MS

    @property
    def certain_ms(self) -> int:
        """If every value of this time is beyond a limit, so is the average."""
        return self.span_ms


@dataclass(frozen=True, slots=True)
class NowCast:
    """The US EPA's NowCast, which changes once an hour."""

    width_ms: int = HOUR_MINUTES * MINUTE_MS
    span_ms: int = 13 * HOUR_MINUTES * MINUTE_MS
    certain_ms: int = 3 * HOUR_MINUTES * MINUTE_MS
    """The same of a NowCast, which needs two of the last three whole hours."""


Averaging = Mean | NowCast


@dataclass(frozen=True, slots=True)
class Dose:
    """The dose of carbon monoxide reaches 1; clear below the least concentration that counts."""

    profile: DoseProfile = EN_50291

    @property
    def bounds(self) -> Bounds:
        return -inf, self.profile.least_ppm


@dataclass(frozen=True, slots=True)
class ChangesBy:
    """The highest and lowest value of the last `seconds` differ by at least `by`; clear when by at most `clear`."""

    by: float
    seconds: float
    clear: float

    def __post_init__(self) -> None:
        if not (self.by > 0 and 1 <= self.seconds <= _DAY_MINUTES * 60):
            raise RuleError(f"changes_by is {self.by:g} in {self.seconds:g} s: must be above 0, in 1 to 86400 s")
        if not 0 <= self.clear < self.by:
            raise RuleError(f"clear is {self.clear:g}: must be at least 0 and below {self.by:g}")


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A value is the same for `hours`, compared once a minute. Clear when it changes."""

    hours: float

    def __post_init__(self) -> None:
        _check_range("hours", self.hours, 0.1, 720)


@dataclass(frozen=True, slots=True)
class Silence:
    """Silence for `intervals` of the device and for `least_seconds`, or its last will. Clear with the first reading."""

    intervals: int = 3
    least_seconds: float = 60.0

    def __post_init__(self) -> None:
        _check_range("intervals", self.intervals, 1, 1000)
        _check_range("seconds", self.least_seconds, 1, 604_800)


@dataclass(frozen=True, slots=True)
class Missing:
    """A number with a critical rule is missing for `intervals` of it and for `least_seconds`, while others arrive.

    Only numbers that came without a gap for an hour before are expected; those that are sent when they change are not. Clear
    when all of them arrive again.
    """

    intervals: int = 3
    least_seconds: float = 900.0

    def __post_init__(self) -> None:
        _check_range("intervals", self.intervals, 1, 1000)
        _check_range("seconds", self.least_seconds, 60, 604_800)


@dataclass(frozen=True, slots=True)
class FlaggedShare:
    """More than `share` of the readings of `minutes` had a flagged or refused value; clear at `clear`.

    Counted since the first of them, and judged when three quarters of the time have passed.
    """

    share: float = 0.5
    clear: float = 0.25
    minutes: int = FLAGGED_MINUTES_LIMIT

    def __post_init__(self) -> None:
        _check_range("share", self.share, 0, 1)
        _check_range("clear", self.clear, 0, self.share)
        _check_range("minutes", self.minutes, 1, FLAGGED_MINUTES_LIMIT)


@dataclass(frozen=True, slots=True)
class ClockWrong:
    """The device's clock was too far ahead in `readings` in a row, or is behind. Clear with the first where it is neither."""

    readings: int = 10

    def __post_init__(self) -> None:
        _check_range("readings", self.readings, 1, 1000)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A component of the bridge is unavailable for `seconds`."""

    component: str
    seconds: float = 60.0

    def __post_init__(self) -> None:
        _check_range("seconds", self.seconds, 0, 86_400)


FieldCondition = Above | Below | Outside | Is | Dose | ChangesBy | Unchanged
DeviceCondition = Silence | Missing | FlaggedShare | ClockWrong | Unreachable
Condition = FieldCondition | DeviceCondition
