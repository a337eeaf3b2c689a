"""Hourly means of devices from the stored history, without the values that the decoder flagged.

Rollups and summaries contain every value that was stored, also the 65,535 ppm of a sensor that has failed. Their minimum and
maximum show it: an hour with a value that may have been flagged is read again from its readings, which say which values were.
"""

from collections.abc import Mapping, Sequence

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.fields import FORECAST_FIELDS, ForecastField
from bridge.core.query import FieldSummary, ReadingsQuery
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.ports import Store

BUCKETS_AT_ONCE = 100
"""Hours of devices in one answer of the store: a millisecond of building objects."""

_DECIMALS = 6
"""A mean is summed from readings, or from rollups once there are any: in another order, with other last bits. Rounded it is the
same, so that a bridge that was killed comes to the same state."""

_READINGS_AT_ONCE = 250
READINGS_LIMIT = 10_000
"""Of one hour: a field of a device that sends more, and flagged values among them, is left out of that hour."""

_EDGES = frozenset(("temperature", "humidity"))
"""A value at the end of the usual range may be flagged: 85 °C of a DS18B20, humidity that was moved into its range."""

DeviceHours = dict[str, list[tuple[int, dict[str, float]]]]
"""By device: hours by rising number, each with the means of its fields."""


class HourlyMeans:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.reread = 0
        """How many hours of devices were read from their readings since the start."""

    async def first_hour(self, device_id: str) -> int | None:
        """Return the first hour with history; None if there is none. Raises `StoreUnavailable`."""
        known = await self._store.history.extent([device_id])
        return None if known is None else known.first_ms // HOUR_MS

    async def between(self, devices: Sequence[str], first: int, until: int) -> DeviceHours:
        """Return the means of the hours from `first` to before `until`, of at most `BUCKETS_AT_ONCE` hours of devices.

        Hours without readings are left out. Raises `StoreUnavailable`.
        """
        query = ReadingsQuery(tuple(devices), first * HOUR_MS, until * HOUR_MS, limit=BUCKETS_AT_ONCE)
        found: DeviceHours = {}
        for bucket in await self._store.history.buckets(query, HOUR_MS, list(FORECAST_FIELDS)):
            means, doubtful = _means(bucket.fields)
            hour = bucket.start_ms // HOUR_MS
            if doubtful:
                means |= await self._reread(bucket.device_id, hour, doubtful)
            found.setdefault(bucket.device_id, []).append((hour, means))
        return found

    async def _reread(self, device_id: str, hour: int, names: Sequence[str]) -> dict[str, float]:
        """Return the means of fields from the readings of an hour; nothing if there are too many, or none any more."""
        self.reread += 1
        sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
        since, read = 0, 0
        while True:
            query = ReadingsQuery((device_id,), hour * HOUR_MS, (hour + 1) * HOUR_MS, since=since, limit=_READINGS_AT_ONCE)
            page = await self._store.readings(query)
            for reading in page:
                for name in names:
                    value = reading.values.get(name)
                    if value is not None and _counts(name, value, reading):
                        sums[name] += float(value)
                        counts[name] += 1
            read += len(page)
            if len(page) < _READINGS_AT_ONCE:
                return {name: round(sums[name] / count, _DECIMALS) for name, count in counts.items() if count}
            if read >= READINGS_LIMIT:
                return {}
            since = page[-1].seq


def _means(fields: Mapping[str, FieldSummary]) -> tuple[dict[str, float], list[str]]:
    """Return the means that no flagged value can be part of, and the other fields."""
    means: dict[str, float] = {}
    doubtful: list[str] = []
    for name, summary in fields.items():
        of = FORECAST_FIELDS.get(name)
        if of is not None:
            if _may_be_flagged(of, summary):
                doubtful.append(name)
            else:
                means[name] = round(summary.mean, _DECIMALS)
    return means, doubtful


def _may_be_flagged(of: ForecastField, summary: FieldSummary) -> bool:
    if of.name in _EDGES:
        return summary.low <= of.low or summary.high >= of.high
    return summary.low < of.low or summary.high > of.high


def _counts(name: str, value: Value, reading: Reading) -> bool:
    """Whether a value was not flagged, or only because its unit is in doubt: then all values of the device are alike."""
    of, fault = FORECAST_FIELDS[name], reading.quality.get(name)
    doubt = MEASUREMENTS_BY_NAME[name].doubtful
    is_trusted = fault is None or (doubt is not None and fault == doubt[2])
    return is_trusted and isinstance(value, int | float) and of.low <= value <= of.high
