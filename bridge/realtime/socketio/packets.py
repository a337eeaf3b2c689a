"""Validation of Socket.IO protocol 5 packets from clients, as strict as Socket.IO's own server. Binary packets are refused."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

NAMESPACE = "/"
"""The only namespace."""

CONNECT = "0"

_PACKET = re.compile(r"([0-6])(?:(/[^,]*)(?:,|\Z))?(\d*)(.*)", re.ASCII | re.DOTALL)  # type, namespace, number, body
_WITH_ATTACHMENTS = ("5", "6")
_RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
"""Names of the libraries' own events, which clients may not send."""


class InvalidPacket(ValueError):
    """A packet that a client may not send. `reason`, one word, is counted and sent to the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParsedPacket:
    """The type and namespace of a valid packet; its content is handled by python-socketio."""

    kind: str
    namespace: str


def parse(message: object) -> ParsedPacket:
    """Return the packet in an Engine.IO message. Raises `InvalidPacket`."""
    if isinstance(message, bytes):
        raise InvalidPacket("binary")
    match = _PACKET.fullmatch(message) if isinstance(message, str) else None
    if match is None:
        raise InvalidPacket("malformed")
    kind, namespace, _, text = match.groups()
    if kind in _WITH_ATTACHMENTS:
        raise InvalidPacket("binary")
    try:
        body = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        raise InvalidPacket("malformed") from None
    if not _is_valid(kind, body, absent=not text):
        raise InvalidPacket("malformed")
    return ParsedPacket(kind, namespace or NAMESPACE)


def _is_valid(kind: str, body: Any, *, absent: bool) -> bool:  # noqa: ANN401 - JSON
    match kind:
        case "0":  # CONNECT
            return absent or isinstance(body, dict)
        case "1":  # DISCONNECT
            return absent
        case "2":  # EVENT
            return isinstance(body, list) and body != [] and isinstance(body[0], str) and body[0] not in _RESERVED
        case "3":  # ACK
            return absent or isinstance(body, list)
        case _:  # CONNECT_ERROR is sent by servers only
            return False


def invalid_namespace(namespace: str) -> str:
    return f'4{namespace},{{"message":"Invalid namespace"}}'
