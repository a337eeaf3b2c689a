"""What a Socket.IO client says, protocol 5, read as strictly as Socket.IO's own server reads it; bytes it may not send."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

NAMESPACE = "/"
"""The only one there is."""

CONNECT = "0"

_PACKET = re.compile(r"([0-6])(?:(/[^,]*)(?:,|\Z))?(\d*)(.*)", re.ASCII | re.DOTALL)  # type, namespace, number, body
_WITH_ATTACHMENTS = ("5", "6")
_RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
"""Names of the libraries' own events, which nobody may send."""


class InvalidPacket(ValueError):
    """What no client may send; `reason` is for the counter, and for the client."""

    def __init__(self, reason: str) -> None:
        """In one word."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParsedPacket:
    """A packet that can be read; what is in it is for python-socketio."""

    kind: str
    namespace: str


def read(message: object) -> ParsedPacket:
    """The packet in a message of Engine.IO. Raises `InvalidPacket`."""
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
    if not _fits(kind, body, absent=not text):
        raise InvalidPacket("malformed")
    return ParsedPacket(kind, namespace or NAMESPACE)


def _fits(kind: str, body: Any, *, absent: bool) -> bool:  # noqa: ANN401 - JSON
    match kind:
        case "0":  # CONNECT
            return absent or isinstance(body, dict)
        case "1":  # DISCONNECT
            return absent
        case "2":  # EVENT
            return isinstance(body, list) and body != [] and isinstance(body[0], str) and body[0] not in _RESERVED
        case "3":  # ACK
            return absent or isinstance(body, list)
        case _:  # CONNECT_ERROR: that a CONNECT is refused is for servers to say
            return False


def invalid_namespace(namespace: str) -> str:
    """The answer to a CONNECT to a namespace there is not."""
    return f'4{namespace},{{"message":"Invalid namespace"}}'
