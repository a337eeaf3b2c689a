"""The 99.5 % intervals that were forecast for the last hours of a device: anomalies judge values by them."""

import base64
import math
import struct
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.analysis.forecast.calendar import LAST_HOUR
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast_service.packed_numbers import packed, unpacked
from bridge.core.errors import ForecastStateError

INTERVAL_HOURS = 72
"""For how long intervals are kept: anomalies judge these hours again after a restart."""

_RING = struct.Struct(f"<{INTERVAL_HOURS}i{2 * INTERVAL_HOURS}f")
_ALLOWED = f"allowed are {INTERVAL_HOURS} hours, and two bounds for each hour and field"
_NONE = (math.nan, math.nan)

Interval = tuple[float, float]


class IntervalLog:
    """The intervals of the last `INTERVAL_HOURS` hours of one device, by field.

    A ring of rows, one for each hour, with the bounds of all fields, NaN where there is none: lists would take ten times the
    memory. The bounds are rounded to 32 bits, also before they are stored, so that they are the same after a restart.
    """

    __slots__ = ("_bounds", "_hours", "_names")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._hours = array("i", [-1] * INTERVAL_HOURS)
        self._bounds = array("f")

    def get(self, name: str, hour: int) -> Interval | None:
        place = hour % INTERVAL_HOURS
        if name not in self._names or self._hours[place] != hour:
            return None
        at = 2 * (place * len(self._names) + self._names.index(name))
        low, high = self._bounds[at], self._bounds[at + 1]
        return None if math.isnan(low) else (low, high)

    def add(self, hour: int, intervals: Mapping[str, Interval]) -> None:
        """Keep the intervals of an hour."""
        if not intervals:
            return
        if not intervals.keys() <= set(self._names):
            self._widen(intervals)
        place, width = hour % INTERVAL_HOURS, 2 * len(self._names)
        self._hours[place] = hour
        row = [bound for name in self._names for bound in intervals.get(name, _NONE)]
        self._bounds[place * width : (place + 1) * width] = array("f", row)

    def _widen(self, names: Iterable[str]) -> None:
        """Add fields without intervals to each row."""
        new, width = [name for name in names if name not in self._names], 2 * len(self._names)
        rows, missing = self._bounds, array("f", _NONE * len(new))
        self._names, self._bounds = [*self._names, *new], array("f")
        for place in range(INTERVAL_HOURS):
            self._bounds += rows[place * width : (place + 1) * width] + missing

    def copy(self) -> "IntervalLog":
        log = IntervalLog()
        log._names, log._hours, log._bounds = self._names, self._hours[:], self._bounds[:]
        return log

    def to_json(self) -> dict[str, Any]:
        return {"fields": self._names, "hours": packed(self._hours), "bounds": packed(self._bounds)}

    @classmethod
    def from_json(cls, given: object) -> "IntervalLog":
        """Inverse of `to_json`; reads logs of earlier versions too, with a ring for each field. Raises `ForecastStateError`."""
        log = cls()
        try:
            found = dict(given)  # type: ignore[call-overload]
            if "hours" not in found:
                return cls._from_rings(found)
            log._names, log._hours = list(found["fields"]), unpacked("i", found["hours"])
            log._bounds = unpacked("f", found["bounds"])
            is_valid = log._is_valid()
        except (KeyError, TypeError, ValueError, struct.error) as error:
            raise ForecastStateError(f"intervals of forecasts: {error!r}; {_ALLOWED}") from None
        if not is_valid:
            raise ForecastStateError(f"intervals of forecasts: unknown fields or hours, or not as many as bounds; {_ALLOWED}")
        return log

    def _is_valid(self) -> bool:
        names = set(self._names)
        return (
            FORECAST_FIELDS.keys() >= names
            and len(names) == len(self._names)
            and len(self._hours) == INTERVAL_HOURS
            and all(-1 <= hour <= LAST_HOUR for hour in self._hours)
            and len(self._bounds) == 2 * INTERVAL_HOURS * len(names)
        )

    @classmethod
    def _from_rings(cls, given: Mapping[str, Any]) -> "IntervalLog":
        """Read the form of earlier versions: by field, the hours, then the bounds."""
        rows: dict[int, dict[str, Interval]] = {}
        for name in [one for one in given if one in FORECAST_FIELDS]:
            numbers = _RING.unpack(base64.b64decode(given[name], validate=True))
            hours, bounds = numbers[:INTERVAL_HOURS], numbers[INTERVAL_HOURS:]
            for place, hour in enumerate(hours):
                if 0 <= hour <= LAST_HOUR:
                    rows.setdefault(hour, {})[name] = bounds[2 * place], bounds[2 * place + 1]
        log = cls()
        for hour in sorted(rows):
            log.add(hour, rows[hour])
        return log
