"""Readings and events between bridges, as JSON. Those who write it have the cluster's key; it is checked all the same."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import UnionType
from typing import Any

import orjson
from bson.errors import InvalidId
from bson.objectid import ObjectId

from bridge.cluster.bus import PREFERRED_BYTES
from bridge.cluster.envelope import BusFault, BusMessageError
from bridge.core.events import ActionAdvised, AlarmChanged, AnomalyChanged, DeviceState, EntityEvent, Event, PredictionMade
from bridge.core.message import DeviceStatus, TopicEvent
from bridge.core.readings.identity import CURSOR_LIMIT, parse_device_id
from bridge.core.readings.reading import Reading
from bridge.log.follower import Announcement

_EVENTS: Mapping[str, Callable[..., Event]] = {
    kind.__name__: kind
    for kind in (
        DeviceStatus,
        DeviceState,
        EntityEvent,
        TopicEvent,
        AlarmChanged,
        AnomalyChanged,
        PredictionMade,
        ActionAdvised,
    )
}
"""The events that other bridges are told of."""

SHARED = tuple(_EVENTS.values())
_NAMES = {kind: [field.name for field in fields(kind)] for kind in SHARED}  # type: ignore[arg-type]
_TYPES: Mapping[str, tuple[type | UnionType, ...]] = {
    "DeviceStatus": (str, str, int, bool, bool),
    "DeviceState": (str, dict, int),
    "EntityEvent": (str, str, str, dict, dict, bool),
    "TopicEvent": (str, dict, int),
    "AlarmChanged": (str | None, str, int, str, dict, str),
    "PredictionMade": (str, int, dict, str),
    "AnomalyChanged": (str, int, str, dict),
    "ActionAdvised": (str, int, dict),
}

_OPTIONAL: Mapping[str, type | UnionType] = {
    "quality": dict,
    "device_timestamp": str | int | float,
    "retained": bool,
    "extra": dict,
    "changed_ms": int,
}
_DEFAULTS: Mapping[str, object] = {"quality": {}, "device_timestamp": None, "retained": False, "extra": {}, "changed_ms": None}


def encode_announcements(announcement: Announcement[Reading]) -> Iterator[bytes]:
    """Encode a range in parts of about `PREFERRED_BYTES`, each the predecessor of the next."""
    previous, rows, size = announcement.previous, list[bytes](), 0
    for reading in announcement.records:
        row = orjson.dumps(_row(reading))
        rows.append(row)
        size += len(row) + 1
        if size >= PREFERRED_BYTES:
            yield _announcement(previous, reading.seq, rows)
            previous, rows, size = reading.seq, [], 0
    if previous < announcement.high:
        yield _announcement(previous, announcement.high, rows)


def _announcement(previous: int, high: int, rows: Sequence[bytes]) -> bytes:
    return b"[%d,%d,[%b]]" % (previous, high, b",".join(rows))


def decode_announcement(body: bytes) -> Announcement[Reading]:
    """Raises `BusMessageError`."""
    try:
        previous, high, rows = orjson.loads(body)
        _check(type(previous) is int and type(high) is int and 0 <= previous < high < CURSOR_LIMIT, "its cursors")
        return Announcement(previous, high, _readings(rows, previous, high))
    except (ValueError, TypeError, KeyError, InvalidId) as error:
        raise BusMessageError(BusFault.MALFORMED, f"an announcement is damaged: {error}") from None


def _readings(rows: Sequence[Sequence[Any]], previous: int, high: int) -> list[Reading]:
    _check(type(rows) is list, "its readings")
    readings = []
    for row in rows:
        reading = _reading(row)
        _check(previous < reading.seq <= high, "the cursors of its readings")
        previous = reading.seq
        readings.append(reading)
    return readings


def _check(is_valid: bool, name: str) -> None:
    if not is_valid:
        raise ValueError(f"{name} are not valid")


def _row(reading: Reading) -> list[Any]:
    row = [
        str(reading.id),
        reading.device_id,
        reading.values,
        reading.timestamp_ms,
        reading.received_ms,
        reading.seq,
        reading.part_of,
    ]
    optional = {name: value for name in _OPTIONAL if (value := getattr(reading, name)) != _DEFAULTS[name]}
    if optional:
        row.append(optional)
    return row


def _reading(row: Sequence[Any]) -> Reading:
    identity, device_id, values, timestamp_ms, received_ms, seq, part_of, *more = row
    _check(
        type(device_id) is str
        and type(values) is dict
        and type(timestamp_ms) is int
        and type(received_ms) is int
        and type(seq) is int
        and (part_of is None or type(part_of) is str),
        "the values of a reading",
    )
    optional = more[0] if more else {}
    if optional:
        _check(
            type(optional) is dict and all(isinstance(value, _OPTIONAL[name]) for name, value in optional.items()),
            "the optional values of a reading",
        )
    return Reading(ObjectId(identity), device_id, values, timestamp_ms, received_ms, seq=seq, part_of=part_of, **optional)


def encode_ids(device_ids: Iterable[str]) -> bytes:
    return orjson.dumps(sorted(device_ids))


def decode_ids(body: bytes) -> list[str]:
    """Raises `BusMessageError`."""
    try:
        return [parse_device_id(one) for one in orjson.loads(body)]
    except (ValueError, TypeError) as error:
        raise BusMessageError(BusFault.MALFORMED, f"device ids are damaged: {error}") from None


def encode_socket(device_id: str, is_open: bool) -> bytes:
    return orjson.dumps([device_id, is_open])


def decode_socket(body: bytes) -> tuple[str, bool]:
    """Raises `BusMessageError`."""
    try:
        device_id, is_open = orjson.loads(body)
        _check(type(is_open) is bool, "the values of a socket")
        return parse_device_id(device_id), is_open
    except (ValueError, TypeError) as error:
        raise BusMessageError(BusFault.MALFORMED, f"a socket is damaged: {error}") from None


def encode_events(events: Sequence[Event]) -> Iterator[bytes]:
    """Encode events in parts of about `PREFERRED_BYTES`, in order."""
    rows, size = list[bytes](), 0
    for event in events:
        kind = type(event)
        row = orjson.dumps([kind.__name__, *(getattr(event, name) for name in _NAMES[kind])])
        rows.append(row)
        size += len(row) + 1
        if size >= PREFERRED_BYTES:
            yield b"[%b]" % b",".join(rows)
            rows, size = [], 0
    if rows:
        yield b"[%b]" % b",".join(rows)


def decode_events(body: bytes) -> list[Event]:
    """Raises `BusMessageError`."""
    try:
        return [_event(*row) for row in orjson.loads(body)]
    except (ValueError, TypeError, KeyError) as error:
        raise BusMessageError(BusFault.MALFORMED, f"events are damaged: {error}") from None


def _event(name: str, *values: object) -> Event:
    types = _TYPES[name]
    _check(len(values) == len(types) and all(map(isinstance, values, types)), "the values of an event")
    return _EVENTS[name](*values)
