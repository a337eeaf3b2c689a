"""What is remembered of one field of a device: numbers only, of fixed size, exactly as it is stored."""

from collections.abc import Mapping
from math import inf, nextafter
from typing import Any, Self

from bridge.analysis.anomaly.record import check_numbers
from bridge.analysis.anomaly.traits import TRAITS, FieldTraits

DAYS = 3
"""How many daily means are remembered: the last one is compared after midnight, three of them show which of two moved."""

_GROWTH = 2.0
"""How much one natural jump may raise the largest: an event that builds up is not learned before it is found."""

_FADING = 0.7

_PLAIN = (
    "value", "since_ms", "since_reading", "longest_ms", "hours_changed", "largest", "low", "high", "low_before",
    "high_before", "total", "count", "day_total", "day_hours", "end_since_ms", "end_ms", "end_readings", "outside", "inside",
    "sum_up", "sum_down",
)  # fmt: skip

_OPTIONAL = frozenset(("low", "high", "low_before", "high_before"))


class Jump:
    """A jump that is being judged, or by which an anomaly stands: the value before it, its size, and what followed.

    `readings` counts those since, with its own. `back_ms` is since when the value is as before again, 0 while it is not.
    """

    __slots__ = ("at_ms", "back_ms", "base", "is_alone", "is_large", "readings", "size")

    def __init__(
        self, base: float, size: float, at_ms: int, is_large: bool, readings: int = 1, back_ms: int = 0, is_alone: bool = True
    ) -> None:
        self.base = base
        self.size = size
        self.at_ms = at_ms
        self.is_large = is_large
        """Whether it is large enough to be judged without another field."""
        self.readings = readings
        self.back_ms = back_ms
        self.is_alone = is_alone
        """Whether it is not part of a `cross`."""

    def share(self, value: float) -> float:
        """Return how much of the jump is in force at a value: 1 at its height, 0 at the value before it."""
        return (value - self.base) / self.size

    def to_document(self) -> list[float | int | bool]:
        return [self.base, self.size, self.at_ms, self.is_large, self.readings, self.back_ms, self.is_alone]


class FieldState:
    """The state of one field. Times are milliseconds since the epoch; values are in the unit of the field.

    - The run of equal values: `value` since `since_ms` and reading number `since_reading`; `longest_ms` is the longest run that
      ended by itself, `hours_changed` the number of hours with a change.
    - Jumps: the `largest` natural one, which fades by 30 % in 15 days; `jump` is one that is being judged.
    - The extremes of natural values in these 15 days and the 15 before; None while there is none.
    - The hour so far: `total` and `count`. The day so far: the sum and number of its hourly means. `days` are pairs of day
      number and mean.
    - At an end of the range: since `end_since_ms`, last at `end_ms`, `end_readings` in all; 0 if it is not.
    - `spikes`: the times of the last spikes. `outside` counts hours outside of the forecast, negative below; `inside` those
      since.
    - Drift: the two CUSUM sums, and the `pairs`: per neighbour number of days, mean level of the neighbour, own mean level,
      variance, covariance, and variance of the residual.

    The rest is derived, and decides whether a value is judged on the fast path: see `DeviceAnomalies`.
    """

    __slots__ = (*_PLAIN, "days", "fast_high", "fast_jump", "fast_low", "is_watched", "jump", "pairs", "spikes", "traits")

    def __init__(self, traits: FieldTraits, value: float, at_ms: int, reading: int) -> None:
        self.traits = traits
        self.value = value
        self.since_ms = at_ms
        self.since_reading = reading
        self.longest_ms = 0
        self.hours_changed = 0
        self.largest = 0.0
        self.low: float | None = None
        self.high: float | None = None
        self.low_before: float | None = None
        self.high_before: float | None = None
        self.total = 0.0
        self.count = 0
        self.day_total = 0.0
        self.day_hours = 0
        self.end_since_ms = self.end_ms = self.end_readings = 0
        self.outside = self.inside = 0
        self.sum_up = self.sum_down = 0.0
        self.jump: Jump | None = None
        self.spikes: list[int] = []
        self.days: list[list[float]] = []
        self.pairs: dict[str, list[float]] = {}
        self.is_watched = False
        self.prepare(is_standing=False)

    def prepare(self, *, is_standing: bool) -> None:
        """Derive the bounds of the fast path. `is_standing`: an anomaly stands that each value of the field may end."""
        self.is_watched = is_standing or self.jump is not None or self.end_since_ms > 0
        self.fast_low = inf if self.low is None else self.low
        self.fast_high = -inf if self.high is None else min(self.high, nextafter(self.traits.first_end, -inf))
        self.fast_jump = inf if self.traits.least_step is None else self.largest

    # --- what is natural ---------------------------------------------------------------------------------------------------

    def learn_extremes(self, value: float) -> None:
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)

    def learn_jump(self, size: float) -> None:
        least = (self.traits.least_cross or 0.0) / 4
        self.largest = max(self.largest, min(abs(size), _GROWTH * max(self.largest, least)))

    @property
    def natural_range(self) -> tuple[float, float] | None:
        """The lowest and highest natural value; None before 15 days."""
        if self.low_before is None or self.high_before is None:
            return None
        low = self.low_before if self.low is None else min(self.low, self.low_before)
        high = self.high_before if self.high is None else max(self.high, self.high_before)
        return low, high

    def roll(self) -> None:
        """Begin the next 15 days."""
        self.largest *= _FADING
        self.low_before, self.high_before = self.low, self.high
        self.low = self.high = None

    def restart_run(self, at_ms: int, reading: int) -> None:
        """Nothing is known of the value since the last reading."""
        self.since_ms, self.since_reading = at_ms, reading

    def restart(self, at_ms: int, reading: int) -> None:
        """Reset everything that depends on the order of times, after a clock was set back."""
        self.restart_run(at_ms, reading)
        self.end_since_ms = self.end_ms = self.end_readings = 0
        self.jump, self.spikes, self.days = None, [], []
        self.total = self.day_total = 0.0
        self.count = self.day_hours = 0

    # --- as a document -----------------------------------------------------------------------------------------------------

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        return document | {
            "jump": self.jump and self.jump.to_document(),
            "spikes": list(self.spikes),
            "days": [list(one) for one in self.days],
            "pairs": {neighbour: list(numbers) for neighbour, numbers in self.pairs.items()},
        }

    @classmethod
    def from_document(cls, name: str, document: Mapping[str, Any]) -> Self:
        """Inverse of `to_document`. Raises KeyError, TypeError or ValueError for any other document."""
        state = cls(TRAITS[name], 0.0, 0, 0)
        for plain in _PLAIN:
            setattr(state, plain, document[plain])
        state.jump = None if document["jump"] is None else Jump(*document["jump"])
        state.spikes = list(document["spikes"])
        state.days = [[day, mean] for day, mean in document["days"]]
        state.pairs = {neighbour: list(numbers) for neighbour, numbers in document["pairs"].items()}
        state.check()
        return state

    def check(self) -> None:
        """Raise `TypeError` if anything is not a number, as in a document that was changed."""
        given = [getattr(self, name) for name in _PLAIN if name not in _OPTIONAL or getattr(self, name) is not None]
        check_numbers([*given, *self.spikes, *(number for one in (*self.days, *self.pairs.values()) for number in one)])
        if self.jump is not None:
            check_numbers((self.jump.base, self.jump.size, self.jump.at_ms, self.jump.readings, self.jump.back_ms))
