"""What the recent readings of one device say: the newest values, and means over minutes and hours.

All times are those of the readings, so that the same readings always give the same means, whenever they are read. Flagged
values count only as flagged. The state is a small tree of lists and numbers, which `public` and `restored` turn into JSON
and back.

`DeviceWindow.add` is called for every reading: a value within the bounds of its field, which is not the first of its minute,
costs one look-up, one comparison and four assignments. Everything else is done by `FieldWindow.add`.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
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
"""The widths of the buckets that are always kept of a field; others are kept when `keep` asks for them."""

WIDTHS_MS = (MINUTE_MS, 5 * MINUTE_MS, HOUR_MS)
_LENGTHS = {MINUTE_MS: 16, 5 * MINUTE_MS: 13, HOUR_MS: 25}
"""How many buckets of a width are kept, with the current one: a quarter of an hour, an hour, a day."""

_COMPLETENESS = 0.75
_SHORTEST_INTERVAL_MS = 1000
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
    """The newest value of a field, how often it is measured, and its buckets.

    `low` and `high` are the bounds within which a value needs no more than to be counted: those of `watch`, or none until the
    first value of the minute has come. `previous_ms` is the time of the unflagged value before the newest one, 0 if there was
    none, and `is_continuous` whether that was at most three intervals before it.
    """

    __slots__ = (
        "_bounds", "count", "first_ms", "flagged", "flagged_ms", "high", "interval_ms", "is_continuous", "low", "minute_ms",
        "name", "pause_ms", "previous_ms", "rings", "total", "value", "value_ms",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Value | None = None
        self.value_ms = 0
        self.flagged_ms = 0
        self.previous_ms = 0
        self.is_continuous = False
        self.interval_ms = 0
        """0 until it is known."""
        self.pause_ms = 0
        """The last gap between two minutes, if it was longer than three intervals."""
        self.minute_ms = 0
        """The start of the current minute; `first_ms` is the time of its first value, flagged or not."""
        self.first_ms = 0
        self.total = 0.0
        self.count = 0
        self.flagged = 0
        self.rings = {width: Ring(width) for width in _SPANS.get(name, ())}
        self._bounds: tuple[float, float] | None = (-inf, inf)
        self.low: Any = inf
        self.high: Any = inf

    @property
    def at_ms(self) -> int:
        """The time of the newest value, flagged or not."""
        return max(self.value_ms, self.flagged_ms)

    def keep(self, widths_ms: Iterable[int]) -> None:
        """Keep buckets of these widths from now on, each one of `WIDTHS_MS`."""
        for width in widths_ms:
            if width not in self.rings:
                self.rings[width] = Ring(width)

    def watch(self, bounds: tuple[float, float] | None) -> None:
        """Let `DeviceWindow.add` return the window for each value not strictly within the bounds; None: for every value."""
        self._bounds = bounds
        self._open()

    def close(self) -> None:
        """Let the next value be added by `add`, whatever it is."""
        self.low = self.high = "" if isinstance(self.value, str) else inf

    def _open(self) -> None:
        if self._bounds is None or not self.interval_ms or isinstance(self.value, str):
            self.close()
        else:
            self.low, self.high = self._bounds

    def add(self, value: Value, at_ms: int, *, is_flagged: bool) -> None:
        """Add a value; not older than the one before."""
        before_ms = self.at_ms
        if before_ms:
            self._learn_interval(at_ms, before_ms)
        if at_ms >= self.minute_ms + MINUTE_MS:
            self._begin_minute(at_ms)
        if is_flagged:
            self.flagged_ms = at_ms
            self.flagged += 1
            return
        self.is_continuous = self.value_ms > 0 and at_ms - self.value_ms <= _GAP_INTERVALS * self.usual_interval_ms
        self.previous_ms = self.value_ms
        self.value, self.value_ms = value, at_ms
        if not isinstance(value, str):
            self.total += value
            self.count += 1
        self._open()

    @property
    def usual_interval_ms(self) -> int:
        """The time between two values, at least a second; a minute until two have come."""
        return self.interval_ms or _UNKNOWN_INTERVAL_MS

    def _learn_interval(self, at_ms: int, before_ms: int) -> None:
        """Move the interval towards that of the minute that ends; one of many values counts as eight.

        One pause is no interval; two in a row are that of a device that has become slower.
        """
        gap_ms, usual_ms, number = at_ms - before_ms, self.interval_ms, self.count + self.flagged
        if not usual_ms:
            self.interval_ms = max(gap_ms, _SHORTEST_INTERVAL_MS) if gap_ms else 0
        elif number and at_ms >= self.minute_ms + MINUTE_MS:
            pause_ms, self.pause_ms = self.pause_ms, 0
            if gap_ms <= _GAP_INTERVALS * usual_ms:
                observed_ms = max((at_ms - self.first_ms) // number, _SHORTEST_INTERVAL_MS)
                self.interval_ms += (observed_ms - usual_ms) * min(number, _SMOOTHING) // _SMOOTHING
            elif pause_ms:
                self.interval_ms = min(gap_ms, pause_ms)
            else:
                self.pause_ms = gap_ms

    def _begin_minute(self, at_ms: int) -> None:
        if self.count or self.flagged:
            minute = Bucket(self.minute_ms, self.total, self.count, self.flagged)
            for ring in self.rings.values():
                ring.add(minute)
        self.minute_ms, self.first_ms = at_ms - at_ms % MINUTE_MS, at_ms
        self.total, self.count, self.flagged = 0.0, 0, 0

    def mean(self, width_ms: int, number: int) -> float | None:
        """Return the mean over the last `number` buckets of a width, with the current one; None below 75 % completeness.

        Each value stands for one interval, and those of a bucket for no more than its width, or for one interval if that is
        longer.
        """
        first_ms = self.at_ms - self.at_ms % width_ms - (number - 1) * width_ms
        interval_ms = self.usual_interval_ms
        longest_ms = max(width_ms, interval_ms)
        total, count, covered_ms = self.total, self.count, 0
        unmerged, current_ms = self.count, self.minute_ms - self.minute_ms % width_ms
        for bucket in reversed(self.rings[width_ms].buckets):
            if bucket.start_ms < first_ms:
                break
            total += bucket.total
            count += bucket.count
            values = bucket.count
            if bucket.start_ms == current_ms:
                values, unmerged = values + unmerged, 0
            covered_ms += min(longest_ms, values * interval_ms)
        covered_ms += min(longest_ms, unmerged * interval_ms)
        return total / count if count and covered_ms >= _COMPLETENESS * number * width_ms else None

    def hours(self) -> list[HourlyMean]:
        """Return the means of the last day, with the current hour."""
        copy = Ring(HOUR_MS)
        copy.buckets = [Bucket(one.start_ms, one.total, one.count, one.flagged) for one in self.rings[HOUR_MS].buckets]
        if self.count or self.flagged:
            copy.add(Bucket(self.minute_ms, self.total, self.count, self.flagged))
        return [
            HourlyMean(one.start_ms, one.total / one.count if one.count else 0.0, one.count, one.flagged)
            for one in copy.buckets
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
            "flaggedAt": self.flagged_ms,
            "interval": self.interval_ms,
            "pause": self.pause_ms,
            "minute": [self.minute_ms, self.first_ms, self.total, self.count, self.flagged],
            "rings": {
                str(width): [[one.start_ms, one.total, one.count, one.flagged] for one in ring.buckets]
                for width, ring in self.rings.items()
            },
        }

    @classmethod
    def restored(cls, name: str, body: Mapping[str, Any]) -> Self:
        """Return the window that `public` described; widths that are no longer known are dropped."""
        window = cls(name)
        window.value, window.value_ms, window.flagged_ms = body["value"], body["valueAt"], body["flaggedAt"]
        window.interval_ms, window.pause_ms = body["interval"], body["pause"]
        window.minute_ms, window.first_ms, window.total, window.count, window.flagged = body["minute"]
        window.keep(width for width in map(int, body["rings"]) if width in _LENGTHS)
        for width, ring in window.rings.items():
            ring.buckets = [Bucket(*numbers) for numbers in body["rings"].get(str(width), ())]
        window.close()
        return window


_NO_FLAGS: Mapping[str, str] = {}


class DeviceWindow:
    """The fields of a device."""

    __slots__ = ("_minute_end_ms", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, FieldWindow] = {}
        self._minute_end_ms = 0

    def add(self, values: Mapping[str, Value], at_ms: int, quality: Mapping[str, str] = _NO_FLAGS) -> Sequence[FieldWindow]:
        """Add the values of a reading; not older than the one before.

        Returns the fields whose unflagged value is not within their bounds, is the first of its minute or is a text.
        """
        if at_ms >= self._minute_end_ms:
            self._minute_end_ms = at_ms - at_ms % MINUTE_MS + MINUTE_MS
            for closed in self.fields.values():
                closed.close()
        if quality:
            return self._add_flagged(values, at_ms, quality)
        unusual: list[FieldWindow] = []
        fields = self.fields
        for name, value in values.items():
            window = fields.get(name)
            if window is None:
                window = self.field(name)
            elif window.low < value < window.high:
                window.value = value
                window.value_ms = at_ms
                window.total += value  # type: ignore[operator]  # a text is never within bounds
                window.count += 1
                continue
            window.add(value, at_ms, is_flagged=False)
            unusual.append(window)
        return unusual

    def _add_flagged(self, values: Mapping[str, Value], at_ms: int, quality: Mapping[str, str]) -> list[FieldWindow]:
        unflagged = []
        for name, value in values.items():
            window = self.field(name)
            window.add(value, at_ms, is_flagged=name in quality)
            if name not in quality:
                unflagged.append(window)
        return unflagged

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
