"""The WebSocket handshake (RFC 6455, section 4.2), with public names of aiohttp only."""

import base64
import binascii
import hashlib

from aiohttp import web

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_VERSION = "13"
_KEY_BYTES = 16
_DEFLATE = "permessage-deflate"
_ACCEPTED_PARAMETERS = {"client_no_context_takeover", "client_max_window_bits"}
"""Parameters of the client's own side. Those of the server's side are declined: all clients get the same compressed bytes."""


async def upgrade(request: web.Request, *, compress: bool, subprotocol: str | None = None) -> tuple[web.StreamResponse, bool]:
    """Answer 101; return the response and whether messages may be compressed.

    Raises 400 or 426 if the request is not a handshake.
    """
    response = web.StreamResponse(status=101)
    response.headers.update(
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": _accept(_checked_key(request))}
    )
    deflates = compress and accepts_deflate(",".join(request.headers.getall("Sec-WebSocket-Extensions", ())))
    if deflates:
        response.headers["Sec-WebSocket-Extensions"] = f"{_DEFLATE}; client_no_context_takeover"
    if subprotocol is not None:
        response.headers["Sec-WebSocket-Protocol"] = subprotocol
    response.force_close()
    try:
        await response.prepare(request)
    except ConnectionError:
        raise web.HTTPBadRequest(text="the client has disconnected") from None  # ends the request; the response is not sent
    return response, deflates


def _checked_key(request: web.Request) -> str:
    headers = request.headers
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in headers.get("Connection", "").lower():
        raise web.HTTPUpgradeRequired(
            text="not a WebSocket handshake: connect to this address with ws:// or wss://", headers={"Upgrade": "websocket"}
        )
    if headers.get("Sec-WebSocket-Version") != _VERSION:
        raise web.HTTPUpgradeRequired(
            text=f"Sec-WebSocket-Version: must be {_VERSION}", headers={"Sec-WebSocket-Version": _VERSION}
        )
    key = headers.get("Sec-WebSocket-Key", "").strip()
    try:
        length = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != _KEY_BYTES:
        raise web.HTTPBadRequest(text=f"Sec-WebSocket-Key: must be {_KEY_BYTES} bytes in base64")
    return key


def _accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()  # noqa: S324 - required by the standard


def accepts_deflate(offers: str) -> bool:
    """Return whether an offer in `Sec-WebSocket-Extensions` can be accepted (RFC 7692, section 7.1)."""
    for offer in offers.split(","):
        name, *parameters = (part.strip().partition("=")[0].strip() for part in offer.split(";"))
        if name == _DEFLATE and _ACCEPTED_PARAMETERS.issuperset(parameters):
            return True
    return False
