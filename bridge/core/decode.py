"""The decoder: turns a message from any source into a `Reading`, another `Decoded` value, or a `Rejection`. It never raises.

An invalid field is dropped alone and named in `quality`. A message is rejected whole only if it is not a JSON object, is too
large, has no valid device id, or has no valid measurement.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from bridge.core.payload import JSON_TYPES, PayloadError, check_object, check_size, join_names, parse_object, quote
from bridge.core.readings.extraction import ExtractedFields, extract_fields
from bridge.core.readings.identity import DEVICE_ID_RULE, is_device_id, message_id, record_id
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import resolve_time
from bridge.core.topic import TopicPattern

_TOPIC_LENGTH = 256  # longer topics are matched each time and not cached
_CACHE_LIMIT = 10_000  # cached topics and keys; both are chosen by untrusted senders


class MessageKind(enum.StrEnum):
    READINGS = "readings"
    STATUS = "status"
    COMMAND_ACK = "command_ack"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Route:
    """Maps topics to the kind of their messages, and to the payload format of readings."""

    pattern: TopicPattern
    kind: MessageKind = MessageKind.READINGS
    format: Format = json_format


class Decoder:
    """Decodes messages. Pure except for `new_id` and two bounded caches."""

    def __init__(self, routes: Sequence[Route], new_id: Callable[[], ObjectId] = ObjectId) -> None:
        """`new_id` creates the `_id` of records without a deterministic one."""
        self._routes = tuple(routes)
        self._new_id = new_id
        self._routed: dict[str, tuple[Route, dict[str, str]]] = {}
        self.unknown_keys = UnknownKeys()

    def decode(self, message: Message) -> Decoded:
        """Decode one message. Never raises: an invalid message becomes a `Rejection`."""
        try:
            route, captures = self._route(message.topic)
            if route.kind is MessageKind.STATUS:
                return _status(message, captures)
            if route.kind is MessageKind.COMMAND_ACK:
                return _command_ack(message, captures)
            if route.kind is MessageKind.EVENTS:
                return _event(message, captures)
            return self._reading(message, captures, extract_fields(_fields(route, message, captures)))
        except PayloadError as error:
            return Rejection(message.id or self._new_id(), message, error.code, str(error), error.field, error.quality)

    def _route(self, topic: str) -> tuple[Route, dict[str, str]]:
        found = self._routed.get(topic)
        if found is None:
            found = next(
                ((route, captures) for route in self._routes if (captures := route.pattern.match(topic)) is not None), None
            )
            if found is None:
                raise PayloadError(RejectionReason.NO_ROUTE, f"no subscription matches the topic {quote(topic)}")
            if len(topic) <= _TOPIC_LENGTH:
                if len(self._routed) >= _CACHE_LIMIT:
                    self._routed.clear()
                self._routed[topic] = found
        return found

    def _reading(self, message: Message, captures: Mapping[str, str], fields: ExtractedFields) -> Decoded:
        device_id = _device_id(captures.get("deviceId"), fields.device_id)
        if fields.unknown:
            self.unknown_keys.record(device_id, fields.unknown)
        if not fields.values:
            raise _no_measurement(fields)
        time = resolve_time(fields.timestamp, message.received_ms)
        if message.retained and time.device_ms is None:
            return StaleRetained()
        if time.issue:
            fields.quality["timestamp"] = time.issue
        return Reading(
            id=self._id(message, device_id, time.device_ms, fields.values),
            device_id=device_id,
            values=fields.values,
            timestamp_ms=time.timestamp_ms,
            received_ms=message.received_ms,
            quality=fields.quality,
            device_timestamp=time.device_timestamp,
            retained=message.retained,
        )

    def _id(self, message: Message, device_id: str, device_ms: int | None, values: Mapping[str, Value]) -> ObjectId:
        if device_ms is not None:
            return record_id(device_id, device_ms, values)
        return message_id(device_id, message.seed, values) if message.seed else message.id or self._new_id()


def _fields(route: Route, message: Message, captures: Mapping[str, str]) -> Mapping[str, Any]:
    return _object(message) if route.format is json_format else route.format(message.payload, captures)


def _object(message: Message) -> dict[str, Any]:
    """Return the JSON object of a message. Parses its payload unless the source has done so."""
    return parse_object(message.payload) if message.body is None else check_object(message.payload, message.body)


class UnknownKeys:
    """Unknown payload keys, each counted once per device. Beyond `limit` pairs, new ones are not counted."""

    def __init__(self, limit: int = _CACHE_LIMIT) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._limit = limit

    def record(self, device_id: str, keys: Sequence[str]) -> None:
        for key in keys:
            if len(self._seen) < self._limit:
                self._seen.add((device_id, quote(key)))

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._seen)


def _device_id(from_topic: str | None, from_body: object) -> str:
    """Return the device id of the topic, or that of the body if the topic captures none."""
    device_id = from_topic if from_topic is not None else from_body
    if isinstance(device_id, int) and not isinstance(device_id, bool):
        device_id = str(device_id)
    if is_device_id(device_id):
        return str(device_id)
    where = "the topic" if from_topic is not None else "deviceId"
    what = "is missing" if device_id is None else f"is {quote(device_id)}"
    raise PayloadError(
        RejectionReason.NO_DEVICE_ID,
        f"no valid device id: {where} {what}; allowed are {DEVICE_ID_RULE}",
        "deviceId",
    )


def _no_measurement(fields: ExtractedFields) -> PayloadError:
    if fields.quality:
        faults = [f"{name} is {fault}" for name, fault in fields.quality.items()]
        return PayloadError(
            RejectionReason.NO_MEASUREMENT,
            f"no valid measurement: {join_names(faults)}",
            next(iter(fields.quality)),
            fields.quality,
        )
    if fields.unknown:
        unknown = [quote(key) for key in fields.unknown]
        keys = "key" if len(unknown) == 1 else "keys"
        return PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: unknown {keys} {join_names(unknown)}")
    return PayloadError(RejectionReason.NO_MEASUREMENT, "no measurement: the object contains none")


_STATUS_LENGTH = 64


def _status(message: Message, captures: Mapping[str, str]) -> DeviceStatus:
    """Decode a status: a text such as `online`, or JSON `{"status": "online"}`."""
    device_id = _device_id(captures.get("deviceId"), None)
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
            f"no valid status: {quote(status)}; allowed are 'online', 'offline' or a JSON object with a text 'status'",
            "status",
        )
    return DeviceStatus(device_id, status, resolve_time(at, message.received_ms).timestamp_ms)


def _command_ack(message: Message, captures: Mapping[str, str]) -> CommandAck | StaleRetained:
    """Decode `{"id": …, "ok": true}`; a failed command also has `error`."""
    device_id = _device_id(captures.get("deviceId"), None)
    if message.retained:
        return StaleRetained()
    body = _object(message)
    command_id, ok, error = body.get("id"), body.get("ok"), body.get("error")
    if not is_device_id(command_id):
        raise PayloadError(
            RejectionReason.NO_COMMAND_ACK,
            f"not a command acknowledgement: id is {quote(command_id)}; allowed are {DEVICE_ID_RULE}",
            "id",
        )
    if not isinstance(ok, bool):
        raise PayloadError(
            RejectionReason.NO_COMMAND_ACK, f"not a command acknowledgement: ok is {quote(ok)}, not true or false", "ok"
        )
    return CommandAck(device_id, str(command_id), ok, None if ok or error is None else quote(error))


_DEPTH_LIMIT = 200  # levels; the encoder for clients fails at 254, including the levels of the message around the event


def _event(message: Message, captures: Mapping[str, str]) -> TopicEvent | StaleRetained:
    """Decode a JSON object on one of `EVENT_TOPICS`.

    Strict JSON: it is forwarded unchanged, and the parsers of clients reject `NaN`.
    """
    topic = captures.get("topic")
    if topic not in EVENT_TOPICS:
        raise PayloadError(
            RejectionReason.UNKNOWN_TOPIC, f"unknown event topic {quote(topic)}; allowed are {', '.join(EVENT_TOPICS)}"
        )
    check_size(message.payload)
    try:
        body = orjson.loads(message.payload)
    except orjson.JSONDecodeError as error:
        raise PayloadError(RejectionReason.NOT_JSON, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {JSON_TYPES[type(body)]}")
    if _is_deep(body):
        raise PayloadError(RejectionReason.TOO_DEEP, f"nested deeper than {_DEPTH_LIMIT} levels")
    return StaleRetained() if message.retained else TopicEvent(topic, body, message.received_ms)


def _is_deep(body: object) -> bool:
    level = [body]
    for _ in range(_DEPTH_LIMIT):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        ]
        if not level:
            return False
    return True
