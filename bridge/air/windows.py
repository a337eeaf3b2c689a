"""What the recent readings of one device say: the newest values, and means over minutes and hours.

All times are those of the readings, so that the same readings always give the same means, whenever they are read. Flagged
values count only as flagged. The state is a small tree of lists and numbers, which `public` and `restored` turn into JSON
and back.
"""

from collections.abc import Mapping
from typing import Any, Self

from bridge.air.averaging import HOUR_MS, HourlyMean
from bridge.core.readings.measurements import Value

MINUTE_MS = 60_000
_SPANS: Mapping[str, tuple[int, ...]] = {
    "coPpm": (HOUR_MS,),
    "co2": (MINUTE_MS,),
    "pm25": (MINUTE_MS, HOUR_MS),
    "pm10": (HOUR_MS,),
    "no2": (5 * MINUTE_MS, HOUR_MS),
    "o3": (5 * MINUTE_MS, HOUR_MS),
    "so2": (MINUTE_MS, HOUR_MS),
}
"""The widths of the buckets that are kept of a field."""

_LENGTHS = {MINUTE_MS: 16, 5 * MINUTE_MS: 13, HOUR_MS: 25}
"""How many buckets of a width are kept, with the current one: a quarter of an hour, an hour, a day."""

_COMPLETENESS = 0.75
_UNKNOWN_INTERVAL_MS = 60_000
_SMOOTHING = 8
_GAP_INTERVALS = 3
LATEST_VALID_MS = 15 * MINUTE_MS
"""How long a value stands for the air now, unless the device measures more slowly."""


class MeanBucket:
    """Sum and number of the unflagged values of a span of time, and the number of flagged ones."""

    __slots__ = ("count", "flagged", "start_ms", "total")

    def __init__(self, start_ms: int, total: float = 0.0, count: int = 0, flagged: int = 0) -> None:
        self.start_ms = start_ms
        self.total = total
        self.count = count
        self.flagged = flagged


class Ring:
    """The last buckets of one width, the oldest first; those without readings are left out."""

    __slots__ = ("_length", "buckets", "width_ms")

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self.buckets: list[MeanBucket] = []
        self._length = _LENGTHS[width_ms]

    def add(self, minute: MeanBucket) -> None:
        """Add a minute; not older than the one before."""
        start = minute.start_ms - minute.start_ms % self.width_ms
        if not self.buckets or self.buckets[-1].start_ms < start:
            self.buckets.append(MeanBucket(start))
            oldest = start - (self._length - 1) * self.width_ms
            while self.buckets[0].start_ms < oldest:
                del self.buckets[0]
        last = self.buckets[-1]
        last.total += minute.total
        last.count += minute.count
        last.flagged += minute.flagged


class FieldWindow:
    """The newest value of a field, how often it is measured, and its buckets."""

    __slots__ = ("at_ms", "interval_ms", "minute", "rings", "value", "value_ms")

    def __init__(self, name: str) -> None:
        self.value: Value | None = None
        self.value_ms = 0
        self.at_ms = 0
        """The time of the newest value, flagged or not."""
        self.interval_ms = 0
        self.minute = MeanBucket(0)
        self.rings = {width: Ring(width) for width in _SPANS.get(name, ())}

    def add(self, value: Value, at_ms: int, *, is_flagged: bool) -> bool:
        """Add a value; not older than the one before. False if there was a gap of more than three intervals before it."""
        gap_ms = at_ms - self.at_ms
        is_continuous = self.at_ms > 0 and gap_ms <= _GAP_INTERVALS * self.usual_interval_ms
        if self.at_ms and gap_ms:
            self._learn_interval(gap_ms)
        self.at_ms = at_ms
        if at_ms >= self.minute.start_ms + MINUTE_MS:
            self._begin_minute(at_ms)
        if is_flagged:
            self.minute.flagged += 1
            return is_continuous
        self.value, self.value_ms = value, at_ms
        if not isinstance(value, str):
            self.minute.total += value
            self.minute.count += 1
        return is_continuous

    @property
    def usual_interval_ms(self) -> int:
        """The time between two values, at least a second; a minute until two have come."""
        return max(1000, self.interval_ms) if self.interval_ms else _UNKNOWN_INTERVAL_MS

    def _learn_interval(self, gap_ms: int) -> None:
        if not self.interval_ms:
            self.interval_ms = gap_ms
        else:  # a long pause is no interval: it counts as two
            self.interval_ms += (min(gap_ms, 2 * self.interval_ms) - self.interval_ms) // _SMOOTHING

    def _begin_minute(self, at_ms: int) -> None:
        if self.minute.count or self.minute.flagged:
            for ring in self.rings.values():
                ring.add(self.minute)
        self.minute = MeanBucket(at_ms - at_ms % MINUTE_MS)

    def mean(self, width_ms: int, number: int) -> float | None:
        """Return the mean over the last `number` buckets of a width, with the current one; None below 75 % completeness.

        A bucket without a value is missing only if the device measures more often than once a bucket.
        """
        buckets = self._buckets(width_ms, number)
        with_values = [bucket for bucket in buckets if bucket.count]
        expected = min(float(number), number * width_ms / self.usual_interval_ms)
        if not with_values or len(with_values) < _COMPLETENESS * expected:
            return None
        return sum(bucket.total for bucket in with_values) / sum(bucket.count for bucket in with_values)

    def _buckets(self, width_ms: int, number: int) -> list[MeanBucket]:
        ring = self.rings[width_ms]
        first = self.at_ms - self.at_ms % width_ms - (number - 1) * width_ms
        copy = Ring(width_ms)
        copy.buckets = [MeanBucket(one.start_ms, one.total, one.count, one.flagged) for one in ring.buckets[-number:]]
        copy.add(self.minute)
        return [bucket for bucket in copy.buckets if bucket.start_ms >= first]

    def hours(self) -> list[HourlyMean]:
        """Return the means of the last day, with the current hour."""
        return [
            HourlyMean(one.start_ms, one.total / one.count if one.count else 0.0, one.count, one.flagged)
            for one in self._buckets(HOUR_MS, _LENGTHS[HOUR_MS])
        ]

    def is_current(self, now_ms: int) -> bool:
        """Whether the newest value still stands for the air now."""
        return self.value is not None and now_ms - self.value_ms <= max(
            LATEST_VALID_MS, _GAP_INTERVALS * self.usual_interval_ms
        )

    def public(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "valueAt": self.value_ms,
            "at": self.at_ms,
            "interval": self.interval_ms,
            "minute": _numbers(self.minute),
            "rings": {str(width): [_numbers(one) for one in ring.buckets] for width, ring in self.rings.items()},
        }

    @classmethod
    def restored(cls, name: str, body: Mapping[str, Any]) -> Self:
        """Return the window that `public` described; widths that are no longer kept are dropped."""
        window = cls(name)
        window.value, window.value_ms = body["value"], body["valueAt"]
        window.at_ms, window.interval_ms = body["at"], body["interval"]
        window.minute = MeanBucket(*body["minute"])
        for width, ring in window.rings.items():
            ring.buckets = [MeanBucket(*numbers) for numbers in body["rings"].get(str(width), ())]
        return window


def _numbers(bucket: MeanBucket) -> list[float]:
    return [bucket.start_ms, bucket.total, bucket.count, bucket.flagged]


class DeviceWindow:
    """The fields of a device."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, FieldWindow] = {}

    def field(self, name: str) -> FieldWindow:
        """Return the window of a field, which is created when it is first asked for."""
        found = self.fields.get(name)
        if found is None:
            found = self.fields[name] = FieldWindow(name)
        return found

    def current(self, now_ms: int) -> dict[str, Value]:
        """Return the newest unflagged values that still stand for the air now."""
        return {
            name: window.value for name, window in self.fields.items() if window.value is not None and window.is_current(now_ms)
        }

    def public(self) -> dict[str, Any]:
        return {name: window.public() for name, window in self.fields.items()}

    @classmethod
    def restored(cls, body: Mapping[str, Any]) -> Self:
        device = cls()
        device.fields = {name: FieldWindow.restored(name, window) for name, window in body.items()}
        return device
