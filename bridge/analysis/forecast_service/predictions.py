"""Bodies of predictions as clients receive them, and the stored document with the last predictions of a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bridge.analysis.forecast.calendar import HOUR_MS
from bridge.analysis.forecast.device import DeviceForecasts
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import Forecast
from bridge.analysis.forecast.predictor import HORIZONS
from bridge.analysis.forecast.quantiles import INTERVAL
from bridge.analysis.forecast.series import PEAK_HOURS
from bridge.analysis.forecast_service.interval_log import IntervalLog
from bridge.core.timestamp import iso, parse_time
from bridge.ports import DeviceRecord

CURRENT_MS = HORIZONS * HOUR_MS
"""An older prediction has no hour that is still to come."""

_STEPS = 1000
"""Values are rounded to thousandths."""


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
