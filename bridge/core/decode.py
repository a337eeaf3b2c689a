"""Payload in, Reading or Rejection out. Any bytes give one of the results below and never another error.

A bad field is refused alone and named in `quality`; a message is rejected whole only when it is not a JSON object, is too
large, names no usable device, or is left with no measurement.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
from bson.objectid import ObjectId

from bridge.core.formats.format import Format
from bridge.core.formats.json import json_format
from bridge.core.message import (
    EVENT_TOPICS,
    CommandAck,
    Decoded,
    DeviceStatus,
    Message,
    Rejection,
    RejectionReason,
    StaleRetained,
    TopicEvent,
)
from bridge.core.payload import JSON_TYPES, PayloadError, check_size, join_names, parse_object, quote
from bridge.core.readings.fields import ExtractedFields, extract_fields
from bridge.core.readings.identity import is_device_id, message_id, record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import resolve_time
from bridge.core.topic import TopicPattern

_TOPIC_LENGTH = 256  # a longer topic is routed anew each time, and must not sit in the cache
_CACHE_LIMIT = 10_000  # topics and key spellings remembered; both are chosen by strangers


class MessageKind(enum.StrEnum):
    """What a subscription carries."""

    READINGS = "readings"
    STATUS = "status"
    COMMAND_ACK = "command_ack"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Route:
    """Which topics carry what, and how their readings are written."""

    pattern: TopicPattern
    kind: MessageKind = MessageKind.READINGS
    format: Format = json_format


class Decoder:
    """Turns messages into what they mean. Pure but for `new_id` and two bounded caches."""

    def __init__(self, routes: Sequence[Route], new_id: Callable[[], ObjectId] = ObjectId) -> None:
        """`new_id` makes the `_id` of records that carry no identity of their own."""
        self._routes = tuple(routes)
        self._new_id = new_id
        self._routed: dict[str, tuple[Route, dict[str, str]]] = {}
        self.unknown_keys = UnknownKeys()

    def decode(self, message: Message) -> Decoded:
        """One message to its meaning; raises nothing."""
        try:
            route, named = self._route(message.topic)
            if route.kind is MessageKind.STATUS:
                return _status(message, named)
            if route.kind is MessageKind.COMMAND_ACK:
                return _command_ack(message, named)
            if route.kind is MessageKind.EVENTS:
                return _event(message, named)
            return self._reading(message, named, extract_fields(route.format(message.payload, named)))
        except PayloadError as error:
            return Rejection(message.id or self._new_id(), message, error.code, str(error), error.field, error.quality)

    def _route(self, topic: str) -> tuple[Route, dict[str, str]]:
        found = self._routed.get(topic)
        if found is None:
            found = next(((route, named) for route in self._routes if (named := route.pattern.match(topic)) is not None), None)
            if found is None:
                raise PayloadError(RejectionReason.NO_ROUTE, f"no subscription has a topic like {quote(topic)}")
            if len(topic) <= _TOPIC_LENGTH:
                if len(self._routed) >= _CACHE_LIMIT:
                    self._routed.clear()
                self._routed[topic] = found
        return found

    def _reading(self, message: Message, named: Mapping[str, str], fields: ExtractedFields) -> Decoded:
        device_id = _device_id(named.get("deviceId"), fields.device_id)
        if fields.unknown:
            self.unknown_keys.record(device_id, fields.unknown)
        if not fields.values:
            raise _no_measurement(fields)
        moment = resolve_time(fields.timestamp, message.received_ms)
        if message.retained and moment.device_ms is None:
            return StaleRetained()
        if moment.issue:
            fields.quality["timestamp"] = moment.issue
        return Reading(
            id=self._id(message, device_id, moment.device_ms, fields.values),
            device_id=device_id,
            values=fields.values,
            timestamp_ms=moment.timestamp_ms,
            received_ms=message.received_ms,
            quality=fields.quality,
            device_timestamp=moment.device_timestamp,
            retained=message.retained,
        )

    def _id(self, message: Message, device_id: str, own_ms: int | None, values: Mapping[str, Value]) -> ObjectId:
        if own_ms is not None:
            return record_id(device_id, own_ms, values)
        return message_id(device_id, message.seed, values) if message.seed else message.id or self._new_id()


class UnknownKeys:
    """Keys nobody knows, counted once per device and key; the memory of them is bounded."""

    def __init__(self, limit: int = _CACHE_LIMIT) -> None:
        """Past `limit` pairs new ones are no longer counted."""
        self._seen: set[tuple[str, str]] = set()
        self._limit = limit

    def record(self, device_id: str, keys: Sequence[str]) -> None:
        """`device_id` sent `keys`."""
        for key in keys:
            if len(self._seen) < self._limit:
                self._seen.add((device_id, quote(key)))

    def __len__(self) -> int:
        """How many different ones were seen, at most the limit."""
        return len(self._seen)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Pairs of device and key."""
        return iter(self._seen)


def _device_id(from_topic: str | None, from_body: object) -> str:
    """The topic wins; the body is asked only where the topic names no device."""
    device_id = from_topic if from_topic is not None else from_body
    if isinstance(device_id, int) and not isinstance(device_id, bool):
        device_id = str(device_id)
    if is_device_id(device_id):
        return str(device_id)
    where = "the topic" if from_topic is not None else "deviceId"
    what = "is missing" if device_id is None else f"is {quote(device_id)}"
    raise PayloadError(
        RejectionReason.NO_DEVICE_ID,
        f"no usable device id: {where} {what}; allowed are 1 to 128 characters of A-Z a-z 0-9 . _ : -",
        "deviceId",
    )


def _no_measurement(fields: ExtractedFields) -> PayloadError:
    if fields.quality:
        bad = [f"{name} is {complaint}" for name, complaint in fields.quality.items()]
        return PayloadError(
            RejectionReason.NO_MEASUREMENT,
            f"no measurement is left: {join_names(bad)}",
            next(iter(fields.quality)),
            fields.quality,
        )
    if fields.unknown:
        unknown = [quote(key) for key in fields.unknown]
        return PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: none is known by the name {join_names(unknown)}")
    return PayloadError(RejectionReason.NO_MEASUREMENT, "no measurement: the object names none")


_STATUS_LENGTH = 64


def _status(message: Message, named: Mapping[str, str]) -> DeviceStatus:
    """`online`, or JSON `{"status": "online"}`."""
    device_id = _device_id(named.get("deviceId"), None)
    check_size(message.payload)
    text = message.payload.decode("utf-8", "replace").strip()
    status: object = text
    at: object = None
    if text.startswith("{"):
        body = parse_object(message.payload)
        status, at = body.get("status"), body.get("timestamp")
    if not isinstance(status, str) or not 0 < len(status) <= _STATUS_LENGTH or not status.isprintable():
        raise PayloadError(
            RejectionReason.NO_STATUS,
            f"no status: {quote(status)}; 'online', 'offline' or a JSON object with a text 'status'",
            "status",
        )
    return DeviceStatus(device_id, status, resolve_time(at, message.received_ms).timestamp_ms)


def _command_ack(message: Message, named: Mapping[str, str]) -> CommandAck | StaleRetained:
    """`{"id": …, "ok": true}`, with `error` where it is not."""
    device_id = _device_id(named.get("deviceId"), None)
    if message.retained:
        return StaleRetained()
    body = parse_object(message.payload)
    command_id, ok, error = body.get("id"), body.get("ok"), body.get("error")
    if not is_device_id(command_id):
        raise PayloadError(RejectionReason.NO_COMMAND_ACK, f"no confirmation of a command: its id is {quote(command_id)}", "id")
    if not isinstance(ok, bool):
        raise PayloadError(
            RejectionReason.NO_COMMAND_ACK, f"no confirmation of a command: ok is {quote(ok)}, not true or false", "ok"
        )
    return CommandAck(device_id, str(command_id), ok, None if ok or error is None else quote(error))


_NESTED = 200  # levels; what encodes it for clients gives up at 254, and has some of its own around it


def _event(message: Message, named: Mapping[str, str]) -> TopicEvent | StaleRetained:
    """A JSON object about one of `EVENT_TOPICS`; one that was retained is no news.

    JSON by the letter: clients are sent it as it is, and theirs take no `NaN`.
    """
    topic = named.get("topic")
    if topic not in EVENT_TOPICS:
        raise PayloadError(
            RejectionReason.UNKNOWN_TOPIC, f"{quote(topic)} is no topic of events; there are {', '.join(EVENT_TOPICS)}"
        )
    check_size(message.payload)
    try:
        body = orjson.loads(message.payload)
    except orjson.JSONDecodeError as error:
        raise PayloadError(RejectionReason.NOT_JSON, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {JSON_TYPES[type(body)]}")
    if _is_deep(body):
        raise PayloadError(RejectionReason.TOO_DEEP, f"lists and objects in each other for more than {_NESTED} levels")
    return StaleRetained() if message.retained else TopicEvent(topic, body, message.received_ms)


def _is_deep(body: object) -> bool:
    level = [body]
    for _ in range(_NESTED):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not level:
            return False
    return True
