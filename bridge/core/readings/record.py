"""A stored reading read back from the form clients see: what `Reading.public` wrote, or somebody wrote like it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bson.errors import InvalidId
from bson.objectid import ObjectId

from bridge.core.errors import RecordError
from bridge.core.readings.identity import CURSOR_LIMIT, is_device_id, record_id
from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag, Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import parse_time

_ID = "_id"
RECORD_NAMES: tuple[str, ...] = (
    _ID,
    *VALUE_NAMES,
    "timestamp",
    "deviceId",
    "receivedAt",
    "seq",
    "quality",
    "deviceTimestamp",
    "retained",
)
"""Every key a record may have, in the order of `Reading.public`."""

_KNOWN = frozenset(RECORD_NAMES)
_WHOLE = 2**63
_LATEST_MS = CURSOR_LIMIT // 1000  # from there on a float does not hold the milliseconds of a date


def parse_record(record: Mapping[str, Any]) -> Reading:
    """The reading, but for `seq`, which is left 0; raises `RecordError`.

    Without `_id` it is the one that device, time and values make; without `receivedAt`, the time of measurement is taken.
    """
    unknown = [key for key in record if key not in _KNOWN]
    if unknown:
        raise RecordError(f"{unknown[0][:64]!r} is no field of a reading")
    device_id = record.get("deviceId")
    if not is_device_id(device_id):
        raise RecordError("deviceId must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    values = {name: _value(name, record[name]) for name in VALUE_NAMES if name in record}
    if not MEASUREMENTS_BY_NAME.keys() & values.keys():
        raise RecordError("no measurement")
    timestamp_ms = _time(record, "timestamp")
    return Reading(
        id=_identity(record[_ID]) if _ID in record else record_id(str(device_id), timestamp_ms, values),
        device_id=str(device_id),
        values=values,
        timestamp_ms=timestamp_ms,
        received_ms=_time(record, "receivedAt") if "receivedAt" in record else timestamp_ms,
        quality=_quality(record.get("quality", {})),
        device_timestamp=_device_timestamp(record.get("deviceTimestamp")),
        retained=_flag("retained", record.get("retained", False)),
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


def _identity(raw: object) -> ObjectId:
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


def _device_timestamp(raw: object) -> str | int | float | None:
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not -_WHOLE <= raw < _WHOLE:
        raise RecordError("deviceTimestamp must be a text or a number")
    return raw
