"""Messages without a reading: the status of a device, the acknowledgement of a command, and events."""

from collections.abc import Mapping
from typing import Any

import orjson

from bridge.core.decoding.device_id import resolve_device_id
from bridge.core.message import EVENT_TOPICS, CommandAck, DeviceStatus, Message, RejectionReason, StaleRetained, TopicEvent
from bridge.core.payload import JSON_TYPES, PayloadError, check_object, check_size, parse_object, quote
from bridge.core.readings.identity import COMMAND_ID_RULE, is_command_id
from bridge.core.timestamp import resolve_time

_STATUS_LENGTH = 64


def decode_status(message: Message, captures: Mapping[str, str]) -> DeviceStatus:
    """Decode a status: a text such as `online`, or JSON `{"status": "online"}`."""
    device_id = resolve_device_id(captures.get("deviceId"), None)
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
    at_ms = resolve_time(at, message.received_ms).timestamp_ms
    return DeviceStatus(device_id, status, at_ms, is_retained=message.retained)


def decode_command_ack(message: Message, captures: Mapping[str, str]) -> CommandAck | StaleRetained:
    """Decode `{"id": …, "ok": true}`; a failed command also has `error`."""
    device_id = resolve_device_id(captures.get("deviceId"), None)
    if message.retained:
        return StaleRetained()
    body = _object(message)
    command_id, ok, error = body.get("id"), body.get("ok"), body.get("error")
    if not is_command_id(command_id):
        raise PayloadError(
            RejectionReason.NO_COMMAND_ACK,
            f"not a command acknowledgement: id is {quote(command_id)}; allowed are {COMMAND_ID_RULE}",
            "id",
        )
    if not isinstance(ok, bool):
        raise PayloadError(
            RejectionReason.NO_COMMAND_ACK, f"not a command acknowledgement: ok is {quote(ok)}, not true or false", "ok"
        )
    return CommandAck(device_id, str(command_id), ok, None if ok or error is None else quote(error))


_DEPTH_LIMIT = 200  # levels; the encoder for clients fails at 254, including the levels of the message around the event


def decode_event(message: Message, captures: Mapping[str, str]) -> TopicEvent | StaleRetained:
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


def _object(message: Message) -> dict[str, Any]:
    """Return the JSON object of a message. Parses its payload unless the source has done so."""
    return parse_object(message.payload) if message.body is None else check_object(message.payload, message.body)
