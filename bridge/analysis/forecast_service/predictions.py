"""Bodies of predictions as clients receive them, and the stored document with the last predictions of a device."""

import base64
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bridge.analysis.forecast.calendar import HOUR_MS, LAST_HOUR
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import Forecast
from bridge.analysis.forecast.predictor import HORIZONS
from bridge.analysis.forecast.quantiles import INTERVAL
from bridge.analysis.forecast.series import PEAK_HOURS
from bridge.core.errors import ForecastStateError
from bridge.core.timestamp import iso, parse_time
from bridge.ports import DeviceRecord

INTERVAL_HOURS = 72
"""For how long intervals are kept: anomalies judge these hours again after a restart."""

CURRENT_MS = HORIZONS * HOUR_MS
"""An older prediction has no hour that is still to come."""

_STEPS = 1000
"""Values are rounded to thousandths."""

_RING = struct.Struct(f"<{INTERVAL_HOURS}i{2 * INTERVAL_HOURS}f")

_KEYS = frozenset(
    [
        "deviceId",
        "field",
        "unit",
        "made",
        "model",
        "level",
        "values",
        "days",
        "mase30d",
        "coverage30d",
        "error30d",
        "ofPersistence30d",
        "exceeds",
    ]
)

Body = dict[str, Any]
Limits = Mapping[str, Sequence[float]]
"""By field: limits in its unit, by rising value."""

Interval = tuple[float, float]


def packed(numbers: "array[Any]") -> str:
    """Return numbers as base64 of little-endian bytes. Texts follow each other if their bytes are a multiple of three."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return base64.b64encode(numbers).decode()


def unpacked(kind: str, text: str | bytes) -> "array[Any]":
    """Inverse of `packed`. Raises `ValueError`."""
    numbers = array(kind, base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def bodies_of(device_id: str, device: DeviceForecasts, limits: Limits) -> list[Body]:
    """Return the predictions after the last hour that was fed, as clients receive them, in the order of the fields."""
    times = [iso((device.hour + ahead) * HOUR_MS) for ahead in range(1, HORIZONS + 1)]
    found = []
    for one in device.forecasts():
        body = _body(device_id, one, times)
        for limit in limits.get(one.field, ()):
            chance = device.probability_above(one.field, limit)
            if chance is not None:
                body["exceeds"].append({"limit": limit, "within": PEAK_HOURS, "probability": _short(chance)})
        found.append(body)
    return found


def _body(device_id: str, one: Forecast, times: Sequence[str]) -> Body:
    return {
        "deviceId": device_id,
        "field": one.field,
        "unit": one.unit,
        "made": times[0],
        "model": one.model.value,
        "level": INTERVAL,
        "values": [
            {
                "at": at,
                "mean": round(mean * _STEPS) / _STEPS,
                "low": round(low * _STEPS) / _STEPS,
                "high": round(high * _STEPS) / _STEPS,
            }
            for at, (_, mean, low, high) in zip(times, one.values, strict=False)  # no values while it learns
        ],
        "days": one.days,
        "mase30d": _short(one.mase),
        "coverage30d": _short(one.coverage),
        "error30d": _short(one.error),
        "ofPersistence30d": _short(one.of_persistence),
        "exceeds": [],
    }


def _short(number: float | None) -> float | None:
    """Round four times as fast as `round` with decimals. Values are rounded in the same way."""
    return None if number is None else round(number * _STEPS) / _STEPS


def made_ms_of(body: Mapping[str, Any]) -> int:
    """Return when a prediction was made; 0 if the body does not say it."""
    return parse_time(body.get("made")) or 0


def is_current(body: Mapping[str, Any], now_ms: int) -> bool:
    """Whether an hour of a prediction is still to come, or is the current one."""
    return made_ms_of(body) > now_ms - CURRENT_MS


class IntervalLog:
    """The 99.5 % intervals of the last `INTERVAL_HOURS` hours of one device, by field.

    Rings of numbers: lists would take ten times the memory. The bounds are rounded to 32 bits, also before they are stored, so
    that they are the same after a restart.
    """

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: dict[str, tuple[array[int], array[float]]] = {}

    def get(self, name: str, hour: int) -> Interval | None:
        ring = self._rings.get(name)
        place = hour % INTERVAL_HOURS
        if ring is None or ring[0][place] != hour:
            return None
        return ring[1][2 * place], ring[1][2 * place + 1]

    def add(self, hour: int, intervals: Mapping[str, Interval]) -> None:
        """Keep the intervals of an hour."""
        place = hour % INTERVAL_HOURS
        for name, interval in intervals.items():
            ring = self._rings.get(name)
            if ring is None:
                ring = self._rings[name] = array("i", [-1] * INTERVAL_HOURS), array("f", [0.0] * (2 * INTERVAL_HOURS))
            ring[0][place] = hour
            ring[1][2 * place], ring[1][2 * place + 1] = interval

    def copy(self) -> "IntervalLog":
        log = IntervalLog()
        log._rings = {name: (hours[:], bounds[:]) for name, (hours, bounds) in self._rings.items()}
        return log

    def to_json(self) -> dict[str, str]:
        return {name: packed(hours) + packed(bounds) for name, (hours, bounds) in self._rings.items()}

    @classmethod
    def from_json(cls, given: object) -> "IntervalLog":
        """Inverse of `to_json`. Raises `ForecastStateError`."""
        log = cls()
        try:
            for name, text in dict(given).items():  # type: ignore[call-overload]
                numbers = _RING.unpack(base64.b64decode(text, validate=True))
                hours = array("i", numbers[:INTERVAL_HOURS])
                if name in FORECAST_FIELDS and all(-1 <= hour <= LAST_HOUR for hour in hours):
                    log._rings[name] = hours, array("f", numbers[INTERVAL_HOURS:])
        except (TypeError, ValueError, struct.error) as error:
            raise ForecastStateError(f"intervals of forecasts: {error}; allowed are {_RING.size} bytes a field") from None
        return log


@dataclass(slots=True)
class DevicePredictions:
    """The last predictions of one device, made after the hour `hour` (-1: none), and its intervals."""

    hour: int = -1
    bodies: list[Body] = field(default_factory=list)
    intervals: IntervalLog = field(default_factory=IntervalLog)

    def record(self, device_id: str, encoded: bytes) -> DeviceRecord:
        """Return the document to store; `encoded` are the bodies, which are encoded once for all."""
        body = {"predictions": orjson.Fragment(encoded), "intervals": self.intervals.to_json()}
        return DeviceRecord(device_id, self.hour, body)

    @classmethod
    def from_record(cls, record: DeviceRecord) -> "DevicePredictions":
        """Return what a document says; with a damaged prediction no hour, so that they are made again.

        Raises `ForecastStateError`.
        """
        intervals, bodies = IntervalLog.from_json(record.body.get("intervals", {})), stored_bodies(record)
        given = record.body.get("predictions")
        is_whole = isinstance(given, list) and len(given) == len(bodies)
        return cls(record.seq if is_whole else -1, bodies, intervals)

    @property
    def has_values(self) -> dict[str, Body]:
        """The predictions with values, by field."""
        return {one["field"]: one for one in self.bodies if one["values"]}

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.bodies)


def stored_bodies(record: DeviceRecord) -> list[Body]:
    """Return the predictions in a document; those that are no predictions are left out."""
    given = record.body.get("predictions")
    return [one for one in given if _is_prediction(one)] if isinstance(given, list) else []


def _is_prediction(body: object) -> bool:
    if not isinstance(body, dict) or not body.keys() >= _KEYS or body["field"] not in FORECAST_FIELDS:
        return False
    lists = body["values"], body["exceeds"]
    if parse_time(body["made"]) is None or not all(isinstance(one, list) for one in lists):
        return False
    return _have(body["values"], ("mean", "low", "high")) and _have(body["exceeds"], ("limit", "within", "probability"))


def _have(given: list[object], names: Sequence[str]) -> bool:
    """Whether each is an object with these numbers."""
    return all(isinstance(one, dict) and all(isinstance(one.get(name), int | float) for name in names) for one in given)
