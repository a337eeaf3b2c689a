"""A person's correction of a stored reading: fields set, replaced or removed, checked as those of a device are."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.core.errors import ReadingError
from bridge.core.readings.extraction import ORDER, extract_leaves, field_name
from bridge.core.readings.identity import normalize_device_id, text_of_id
from bridge.core.readings.leaf import Leaf
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import resolve_time

_OF_THE_BRIDGE = frozenset(("_id", "id", "seq", "receivedAt", "quality", "deviceTimestamp", "retained", "extra", "changedAt"))
_NAME_LENGTH = 64


def corrected(reading: Reading, changes: Mapping[str, Any], now_ms: int) -> Reading:
    """Return the reading with some fields changed; null removes one. Identity, device and cursor stay.

    The names are those of payloads. Raises `ReadingError` naming each field that is not accepted, or if no measurement is left.
    """
    given, faults = _fields(reading, changes)
    values = {name: value for name, value in reading.values.items() if name not in given}
    values |= {name: value for name, value in given.items() if value is not None and name != "timestamp"}
    fields = extract_leaves(Leaf(name, value, name) for name, value in values.items())
    faults |= {name: fault for name, fault in fields.quality.items() if name in given and name not in fields.values}
    timestamp_ms = reading.timestamp_ms
    if given.get("timestamp") is not None:
        time = resolve_time(given["timestamp"], now_ms)
        timestamp_ms = time.timestamp_ms
        if time.issue:
            faults["timestamp"] = time.issue
    if not faults and not fields.values:
        faults["body"] = "leaves no measurement: delete the reading instead"
    if faults:
        raise ReadingError(faults)
    others = {name: fault for name, fault in reading.quality.items() if name not in given}
    return replace(
        reading,
        values={name: fields.values[name] for name in sorted(fields.values, key=ORDER.__getitem__)},
        quality=others | fields.quality,
        timestamp_ms=timestamp_ms,
        changed_ms=now_ms,
    )


def _fields(reading: Reading, changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the changes by field, and a fault for each key that is none."""
    given: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for key, value in changes.items():
        name = None if key in _OF_THE_BRIDGE else field_name(key)
        if name == "deviceId":
            text = text_of_id(value)
            if not isinstance(text, str) or normalize_device_id(text) != reading.device_id:
                faults[key] = "cannot be changed: post the reading for the other device, and delete this one"
        elif name is None:
            faults[key[:_NAME_LENGTH]] = "is set by the bridge" if key in _OF_THE_BRIDGE else "is not a field of a reading"
        elif name in given:
            faults[key] = f"is another name of {name}, which is given too"
        elif name == "timestamp" and value is None:
            faults[key] = "cannot be removed"
        elif isinstance(value, dict | list):
            faults[key] = "must be a number, a text or true/false"
        else:
            given[name] = value
    return given, faults
