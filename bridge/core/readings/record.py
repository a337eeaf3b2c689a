"""Parsing of records: the inverse of `Reading.public`, for imports."""

import math
from collections.abc import Mapping
from typing import Any

from bson.errors import InvalidId
from bson.objectid import ObjectId

from bridge.core.errors import DeviceIdError, RecordError
from bridge.core.readings.extra import EXTRA_RULE, bounded_extra
from bridge.core.readings.identity import CURSOR_LIMIT, parse_device_id, record_id
from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag, Scalar, Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import parse_time

RECORD_NAMES: tuple[str, ...] = (
    "_id",
    *VALUE_NAMES,
    "timestamp",
    "deviceId",
    "receivedAt",
    "seq",
    "quality",
    "deviceTimestamp",
    "retained",
    "extra",
    "changedAt",
)
"""Every possible key of a record, in the order of `Reading.public`."""

_KNOWN = frozenset(RECORD_NAMES)
_WHOLE = 2**63
_LATEST_MS = CURSOR_LIMIT // 1000  # above this, a float does not represent milliseconds exactly


def parse_record(record: Mapping[str, Any]) -> Reading:
    """Return the reading, with `seq` 0; raises `RecordError`.

    A missing `_id` is derived from device, time and values; a missing `receivedAt` is the time of measurement.
    """
    unknown = [key for key in record if key not in _KNOWN]
    if unknown:
        raise RecordError(f"{unknown[0][:64]!r} is not a field of a reading")
    try:
        device_id = parse_device_id(record.get("deviceId"))
    except DeviceIdError as error:
        raise RecordError(f"deviceId {error}") from None
    values = {name: _value(name, record[name]) for name in VALUE_NAMES if name in record}
    if not MEASUREMENTS_BY_NAME.keys() & values.keys():
        raise RecordError("no measurement")
    timestamp_ms = _time(record, "timestamp")
    return Reading(
        id=_object_id(record["_id"]) if "_id" in record else record_id(device_id, timestamp_ms, values),
        device_id=device_id,
        values=values,
        timestamp_ms=timestamp_ms,
        received_ms=_time(record, "receivedAt") if "receivedAt" in record else timestamp_ms,
        quality=_quality(record.get("quality", {})),
        device_timestamp=_device_timestamp(record.get("deviceTimestamp")),
        retained=_flag("retained", record.get("retained", False)),
        extra=_extra(record.get("extra", {})),
        changed_ms=_time(record, "changedAt") if "changedAt" in record else None,
    )


def _value(name: str, raw: object) -> Value:
    measurement = MEASUREMENTS_BY_NAME.get(name)
    if measurement is None:  # aqiScale
        if not isinstance(raw, str) or raw not in AQI_SCALES:
            raise RecordError(f"{name} must be one of {', '.join(AQI_SCALES)}")
        return raw
    if isinstance(measurement, Flag):
        return _flag(name, raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise RecordError(f"{name} is not a number")
    low, high = measurement.refuse
    if not low <= raw <= high:
        raise RecordError(f"{name} is outside {low:g}..{high:.12g}")
    return raw


def _flag(name: str, raw: object) -> bool:
    if not isinstance(raw, bool):
        raise RecordError(f"{name} must be true or false")
    return raw


def _object_id(raw: object) -> ObjectId:
    try:
        return ObjectId(str(raw))
    except InvalidId:
        raise RecordError("_id must be 24 hexadecimal digits") from None


def _time(record: Mapping[str, Any], name: str) -> int:
    milliseconds = parse_time(record.get(name))
    if milliseconds is None or not 0 <= milliseconds < _LATEST_MS:
        raise RecordError(f"{name} must be a time in ISO 8601, from 1970 to 2255")
    return milliseconds


def _quality(raw: object) -> dict[str, str]:
    if not isinstance(raw, dict) or not all(isinstance(text, str) for text in raw.values()):
        raise RecordError("quality must be an object of texts")
    return raw


def _extra(raw: object) -> dict[str, Scalar]:
    extra = bounded_extra(raw) if isinstance(raw, dict) else None
    if extra is None or extra != raw:
        raise RecordError(f"extra must be {EXTRA_RULE}")
    return extra


def _device_timestamp(raw: object) -> str | int | float | None:
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not -_WHOLE <= raw < _WHOLE:
        raise RecordError("deviceTimestamp must be a text or a number")
    return raw
