"""Engine.IO, protocol 4, by the letter of Socket.IO's own server: what a request may ask, and what a packet is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Protocol
from urllib.parse import parse_qs

import orjson
from aiohttp import web

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)
SEPARATOR = "\x1e"
"""Between the packets of a poll or a POST."""

_PACKET = re.compile(r"([0-6])(.*)", re.ASCII | re.DOTALL)
_BASE64 = "b"  # bytes in a payload of text
_VERSION = "4"
_TRANSPORTS = ("polling", "websocket")


class RequestError(Enum):
    """Why a request is refused: `code` and `message` of the answer."""

    TRANSPORT = 0, "Transport unknown"
    SID = 1, "Session ID unknown"
    METHOD = 2, "Bad handshake method"
    REQUEST = 3, "Bad request"
    VERSION = 5, "Unsupported protocol version"

    def answer(self) -> web.Response:
        """400, with both."""
        code, message = self.value
        body = orjson.dumps({"code": code, "message": message})
        return web.Response(status=400, body=body, content_type="application/json")


class EngineConnection(Protocol):
    """As much of a client's connection as decides on its requests."""

    @property
    def connected(self) -> bool:
        """Whether it has been opened."""
        ...

    @property
    def upgraded(self) -> bool:
        """Whether it is on a WebSocket."""
        ...


def request_parameters(query: str) -> dict[str, str]:
    """The parameters of a request as python-engineio reads them: the first of a name, and none that is empty."""
    return {name: first for name, (first, *_) in parse_qs(query).items()}


def wants_websocket(headers: Mapping[str, str]) -> bool:
    """Whether the request is to become a WebSocket."""
    connection = [part.strip() for part in headers.get("Connection", "").lower().split(",")]
    return "upgrade" in connection and headers.get("Upgrade", "").lower() == "websocket"


def request_error(
    asked: Mapping[str, str], method: str, client: EngineConnection | None, *, upgrade: bool
) -> RequestError | None:
    """Why this request is refused; None if it is not. `client` is the one of its `sid`."""
    transport, version = asked.get("transport"), asked.get("EIO")
    if transport not in _TRANSPORTS:
        return RequestError.TRANSPORT
    fits = upgrade == (transport == "websocket")
    if "sid" in asked:
        if client is None:
            return RequestError.SID
        fits = fits and version == _VERSION and client.connected and not client.upgraded
        return None if fits else RequestError.REQUEST
    if method != "GET":
        return RequestError.METHOD
    if not fits:
        return RequestError.REQUEST
    return None if version == _VERSION else RequestError.VERSION


def parse_packet(text: str) -> tuple[int, str | bytes]:
    """Type and content of a packet. Raises ValueError for what is none."""
    if text.startswith(_BASE64):
        return MESSAGE, text.encode()
    match = _PACKET.fullmatch(text)
    if match is None:
        raise ValueError("this is no packet of Engine.IO")
    return int(match[1]), match[2]
