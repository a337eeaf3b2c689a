"""Engine.IO protocol 4, as strict as Socket.IO's own server: valid requests and packets."""

import base64
import re
from collections.abc import Mapping
from enum import Enum
from typing import Protocol
from urllib.parse import parse_qs

import orjson
from aiohttp import web

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)
SEPARATOR = "\x1e"
"""Separates the packets of a poll or a POST."""

_PACKET = re.compile(r"([0-6])(.*)", re.ASCII | re.DOTALL)
_BASE64 = "b"  # marks binary content
_VERSION = "4"
_TRANSPORTS = ("polling", "websocket")


class RequestError(Enum):
    TRANSPORT = 0, "Transport unknown"
    SID = 1, "Session ID unknown"
    METHOD = 2, "Bad handshake method"
    REQUEST = 3, "Bad request"
    VERSION = 5, "Unsupported protocol version"

    def response(self) -> web.Response:
        code, message = self.value
        body = orjson.dumps({"code": code, "message": message})
        return web.Response(status=400, body=body, content_type="application/json")


class EngineConnection(Protocol):
    @property
    def connected(self) -> bool:
        """Whether the connection has been opened."""

    @property
    def upgraded(self) -> bool:
        """Whether the client uses a WebSocket."""


def request_parameters(query: str) -> dict[str, str]:
    """Parse a query as python-engineio does: the first value of each name, without empty ones."""
    return {name: first for name, (first, *_) in parse_qs(query).items()}


def wants_websocket(headers: Mapping[str, str]) -> bool:
    connection = [part.strip() for part in headers.get("Connection", "").lower().split(",")]
    return "upgrade" in connection and headers.get("Upgrade", "").lower() == "websocket"


def request_error(
    parameters: Mapping[str, str], method: str, connection: EngineConnection | None, *, upgrade: bool
) -> RequestError | None:
    """Return why a request is invalid, or None. `connection` is the one named by its `sid`."""
    transport, version = parameters.get("transport"), parameters.get("EIO")
    if transport not in _TRANSPORTS:
        return RequestError.TRANSPORT
    is_consistent = upgrade == (transport == "websocket")
    if "sid" in parameters:
        if connection is None:
            return RequestError.SID
        # Another WebSocket of an upgraded client is opened and closed, like one of a client that is upgrading.
        is_valid = is_consistent and version == _VERSION and connection.connected and (upgrade or not connection.upgraded)
        return None if is_valid else RequestError.REQUEST
    if method != "GET":
        return RequestError.METHOD
    if not is_consistent:
        return RequestError.REQUEST
    return None if version == _VERSION else RequestError.VERSION


def parse_packet(text: str) -> tuple[int, str | bytes]:
    """Return type and content of a packet, bytes if it is binary. Raises `ValueError` if the text is not a packet."""
    if text.startswith(_BASE64):
        return MESSAGE, base64.b64decode(text[1:], validate=True)
    match = _PACKET.fullmatch(text)
    if match is None:
        raise ValueError("not an Engine.IO packet")
    return int(match[1]), match[2]
