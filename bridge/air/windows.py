"""What the recent readings of one device say: the newest values, and means over minutes and hours.

All times are those of the readings, so that the same readings always give the same means, whenever they are read. Flagged
values that may not be judged (`trust.py`) count only as flagged. The state is a small tree of lists and numbers, which
`public` and `restored` turn into JSON and back.

`DeviceWindow.add` is called for every reading. As long as a device sends the same fields in a minute, and each value is within
the bounds of its field, a reading costs a comparison per bounded field and an addition per averaged one, in an object per
device: nine fields take half a microsecond. `flush` gives the fields what they are owed; nothing depends on when it is called.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple, Self

from bridge.air.averaging import HOUR_MS, HourlyMean
from bridge.air.trust import counts
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
_VALUES_OF_AN_INTERVAL = 5  # as the four intervals of a device (`ReportingInterval`)
_STEADY_MINUTES = 60
LATEST_VALID_MS = 15 * MINUTE_MS
"""How long a value stands for the air now, unless the device measures more slowly."""


Bounds = tuple[float, float]
_NO_FLAGS: Mapping[str, str] = {}


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

    Values strictly within `bounds` need no more than to be counted; None: each value is to be looked at. `previous_ms` is the
    time of the unflagged value before the newest one, 0 if there was none, and `is_continuous` whether that was at most three
    intervals before it; both are true for a field that `DeviceWindow.add` returned.
    """

    __slots__ = (
        "bounds", "count", "first_ms", "flagged", "flagged_ms", "interval_ms", "is_continuous", "minute_ms", "name",
        "pause_ms", "previous_ms", "rings", "steady_minutes", "total", "value", "value_ms", "values_before",
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
        self.steady_minutes = 0
        """The time of the minutes without such a gap, until it ended."""
        self.minute_ms = 0
        """The start of the current minute; `first_ms` is the time of its first value, flagged or not."""
        self.first_ms = 0
        self.total = 0.0
        """The sum of the minute's unflagged values, if there are buckets."""
        self.count = 0
        self.flagged = 0
        self.values_before = 0
        """The number of values before the current minute, up to `_VALUES_OF_AN_INTERVAL`."""
        self.rings = {width: Ring(width) for width in _SPANS.get(name, ())}
        self.bounds: Bounds | None = (-inf, inf)

    @property
    def at_ms(self) -> int:
        """The time of the newest value, flagged or not."""
        return max(self.value_ms, self.flagged_ms)

    def keep(self, widths_ms: Iterable[int]) -> None:
        """Keep buckets of these widths from now on, each one of `WIDTHS_MS`.

        The values of the current minute so far have not been summed: the newest stands for them.
        """
        added = [width for width in widths_ms if width not in self.rings]
        if added and not self.rings and self.value is not None and not isinstance(self.value, str):
            self.total = float(self.value * self.count)
        self.rings |= {width: Ring(width) for width in added}

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
            self.count += 1
            if self.rings:
                self.total += value

    @property
    def is_steady(self) -> bool:
        """Whether values came without a gap for an hour, until the newest one."""
        return self.steady_minutes >= _STEADY_MINUTES

    @property
    def is_regular(self) -> bool:
        """Whether enough values have come for `interval_ms` to tell when the next one is late."""
        return self.values_before + self.count + self.flagged >= _VALUES_OF_AN_INTERVAL

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
            is_gap = gap_ms > _GAP_INTERVALS * usual_ms
            self.steady_minutes = (
                0 if is_gap else min(self.steady_minutes + (at_ms - self.minute_ms) // MINUTE_MS, _STEADY_MINUTES)
            )
            if not is_gap:
                observed_ms = max((at_ms - self.first_ms) // number, _SHORTEST_INTERVAL_MS)
                self.interval_ms += (observed_ms - usual_ms) * min(number, _SMOOTHING) // _SMOOTHING
            elif pause_ms:
                self.interval_ms = min(gap_ms, pause_ms)
            else:
                self.pause_ms = gap_ms

    def _begin_minute(self, at_ms: int) -> None:
        if self.count or self.flagged:
            minute = MeanBucket(self.minute_ms, self.total, self.count, self.flagged)
            for ring in self.rings.values():
                ring.add(minute)
        self.values_before = min(self.values_before + self.count + self.flagged, _VALUES_OF_AN_INTERVAL)
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
        copy.buckets = [MeanBucket(one.start_ms, one.total, one.count, one.flagged) for one in self.rings[HOUR_MS].buckets]
        if self.count or self.flagged:
            copy.add(MeanBucket(self.minute_ms, self.total, self.count, self.flagged))
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
            "steady": self.steady_minutes,
            "valuesBefore": self.values_before,
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
        window.keep(width for width in map(int, body["rings"]) if width in _LENGTHS)
        window.value, window.value_ms, window.flagged_ms = body["value"], body["valueAt"], body["flaggedAt"]
        window.interval_ms, window.pause_ms, window.steady_minutes = body["interval"], body["pause"], body["steady"]
        window.values_before = body.get("valuesBefore", _VALUES_OF_AN_INTERVAL)  # earlier versions did not count them
        window.minute_ms, window.first_ms, window.total, window.count, window.flagged = body["minute"]
        for width, ring in window.rings.items():
            ring.buckets = [MeanBucket(*numbers) for numbers in body["rings"].get(str(width), ())]
        return window


class _Shape(NamedTuple):
    """The fields of readings that are alike: what is compared, what is summed, and what is to be looked at each time.

    Devices with the same fields and bounds share it.
    """

    names: tuple[str, ...]
    checks: tuple[tuple[str, float, float], ...]
    summed: tuple[tuple[int, str], ...]
    looked_at: tuple[str, ...]


@lru_cache(4096)
def _shape(fields: tuple[tuple[str, Bounds | None, bool], ...]) -> _Shape:
    """Return the shape of fields with these names, bounds, and whether they are summed."""
    calm = [(name, bounds, is_summed) for name, bounds, is_summed in fields if bounds is not None]
    return _Shape(
        tuple(name for name, _, _ in fields),
        tuple((name, *bounds) for name, bounds, _ in calm if bounds != (-inf, inf)),
        tuple(enumerate(name for name, _, is_summed in calm if is_summed)),
        tuple(name for name, bounds, _ in fields if bounds is None),
    )


class DeviceWindow:
    """The fields of a device. Each is given its values in the order of their times; a reading of other fields may be older."""

    __slots__ = ("_at_ms", "_count", "_fields", "_latest", "_minute_end_ms", "_names", "_shape", "_sums")

    def __init__(self) -> None:
        self._fields: dict[str, FieldWindow] = {}
        self._minute_end_ms = 0
        self._names: tuple[str, ...] | None = None
        """The fields of the last reading, if none was flagged."""
        self._shape: _Shape | None = None
        """That of the readings since the last one that was added field by field."""
        self._latest: Mapping[str, Value] = {}
        self._at_ms = 0
        self._count = 0
        self._sums: list[float] = []

    @property
    def fields(self) -> Mapping[str, FieldWindow]:
        self.flush()
        return self._fields

    def add(self, values: Mapping[str, Value], at_ms: int, quality: Mapping[str, str] = _NO_FLAGS) -> Sequence[FieldWindow]:
        """Add the values of a reading; not older than those of its fields before.

        Returns the fields to look at: at least those whose unflagged value is not within their bounds or the first of a minute.
        """
        shape = self._shape
        if at_ms < self._minute_end_ms and not quality:
            names = (*values,)
            if shape is None and names == self._names:
                shape = self._open(names)
            if shape is not None and names == shape.names:
                for name, low, high in shape.checks:
                    if not low < values[name] < high:  # type: ignore[operator]  # a text has no bounds
                        break
                else:
                    self._latest = values
                    self._at_ms = at_ms
                    self._count += 1
                    sums = self._sums
                    for number, name in shape.summed:
                        sums[number] += values[name]  # type: ignore[operator]
                    return self._look_at(shape.looked_at, values, at_ms) if shape.looked_at else ()
        return self._add_each(values, at_ms, quality)

    def is_newest(self, names: Iterable[str], at_ms: int) -> bool:
        """Whether none of these fields has a value that is newer."""
        fields = self.fields
        return all(name not in fields or fields[name].at_ms <= at_ms for name in names)

    def _open(self, names: tuple[str, ...]) -> _Shape:
        """Begin to count readings by their shape; each field has had its first value of the minute."""
        fields = self._fields
        described = []
        for name in names:
            window = fields[name]
            is_text = isinstance(window.value, str)
            bounds = (-inf, inf) if is_text else window.bounds
            described.append((name, bounds if window.interval_ms else None, bool(window.rings) and not is_text))
        shape = self._shape = _shape(tuple(described))
        self._sums = [fields[name].total for _, name in shape.summed]
        return shape

    def _add_each(self, values: Mapping[str, Value], at_ms: int, quality: Mapping[str, str]) -> list[FieldWindow]:
        self._close()
        self._minute_end_ms = at_ms - at_ms % MINUTE_MS + MINUTE_MS
        self._names = None if quality else (*values,)
        flagged = [name for name in quality if name in values and not counts(name, values[name], quality)]
        for name in flagged:
            self.field(name).add(values[name], at_ms, is_flagged=True)
        return self._add_fields([name for name in values if name not in flagged], values, at_ms)

    def _look_at(self, names: Sequence[str], values: Mapping[str, Value], at_ms: int) -> list[FieldWindow]:
        """Add the values that are looked at each time; fields whose interval is known from now on may need it no longer."""
        fields = self._fields
        is_learning = any(not fields[name].interval_ms for name in names)
        added = self._add_fields(names, values, at_ms)
        if is_learning:
            self._close()
        return added

    def _add_fields(self, names: Iterable[str], values: Mapping[str, Value], at_ms: int) -> list[FieldWindow]:
        added = []
        for name in names:
            window = self._fields.get(name) or self._new(name)
            window.add(values[name], at_ms, is_flagged=False)
            added.append(window)
        return added

    def flush(self) -> None:
        """Give each field what was counted by shape."""
        shape, count = self._shape, self._count
        if shape is None or not count:
            return
        self._count = 0
        for name in shape.names:
            if name not in shape.looked_at:
                window = self._fields[name]
                window.value, window.value_ms = self._latest[name], self._at_ms
                if not isinstance(window.value, str):
                    window.count += count
        for number, name in shape.summed:
            self._fields[name].total = self._sums[number]

    def _close(self) -> None:
        self.flush()
        self._shape = None

    def watch(self, name: str, bounds: Bounds | None) -> None:
        """Return a field from now on for each value that is not strictly within the bounds; None: for every value."""
        window = self.field(name)
        if window.bounds != bounds:
            self._close()
            window.bounds = bounds

    def keep(self, name: str, widths_ms: Iterable[int]) -> None:
        """Keep buckets of these widths of a field, too, from now on."""
        self._close()
        self.field(name).keep(widths_ms)

    def field(self, name: str) -> FieldWindow:
        """Return the window of a field, which is created when it is first asked for."""
        self.flush()
        return self._fields.get(name) or self._new(name)

    def _new(self, name: str) -> FieldWindow:
        window = self._fields[name] = FieldWindow(name)
        return window

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
        device._fields = {name: FieldWindow.restored(name, window) for name, window in body.items()}
        return device
