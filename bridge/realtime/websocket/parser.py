"""Strict parser for WebSocket frames from clients (RFC 6455), without I/O.

aiohttp's own reader accepts what the standard forbids (unmasked frames, close codes from 5000 on, a new message inside one
whose first fragment is empty), and costs each client a queue.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.errors import BridgeError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_CONTROL = 0x8
_FIN, _RSV1, _RSV23, _MASKED = 0x80, 0x40, 0x30, 0x80
_CONTROL_BYTES = 125
_MASK_BYTES = 4
_FLUSHED = b"\x00\x00\xff\xff"
_WINDOW_BITS = -15
_FRAMES = 256
"""The most frames in one message: an empty frame carries no data and costs as much to parse as any other."""

GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, BAD_TEXT, TOO_BIG = 1001, 1002, 1003, 1007, 1009
_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
_PRIVATE_CODES = range(3000, 5000)


class ProtocolError(BridgeError):
    """The client violated the protocol; the connection is closed with `code`."""

    def __init__(self, code: int, text: str) -> None:
        """`text` is sent to the client as the close reason."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A whole message or a control frame. The payload of CLOSE is the close code in two bytes, or empty."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class _FrameHeader:
    """`size` is the length of the header in bytes, `length` that of the payload."""

    first: int
    size: int
    length: int

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def is_last(self) -> bool:
        return bool(self.first & _FIN)

    @property
    def frame_bytes(self) -> int:
        return self.size + _MASK_BYTES + self.length


class FrameParser:
    """Bytes in, messages out. Holds at most one message of `limit_bytes`, plus unparsed bytes of the last read."""

    def __init__(self, limit_bytes: int, *, inflates: bool = False) -> None:
        """`inflates`: compression was agreed, without context takeover by the client."""
        self.limit_bytes = limit_bytes
        self._inflates = inflates
        self._bytes = bytearray()
        self._message = bytearray()
        self._opcode: int | None = None  # of the incomplete message, if any
        self._frames = 0  # of the incomplete message
        self._compressed = False

    def feed(self, chunk: bytes) -> Iterator[ReceivedMessage]:
        """Yield the messages that are complete now. Raises `ProtocolError` at the frame that violates the protocol."""
        self._bytes += chunk
        while (header := self._header()) is not None:
            self._check(header)
            if len(self._bytes) < header.frame_bytes:
                return
            payload = _unmasked(self._bytes[header.size : header.frame_bytes])
            del self._bytes[: header.frame_bytes]
            message = _control(header.opcode, payload) if header.opcode & _CONTROL else self._data(header, payload)
            if message is not None:
                yield message

    def _header(self) -> _FrameHeader | None:
        """Return the header of the next frame, or None if it is incomplete."""
        if len(self._bytes) < 2:
            return None
        first, second = self._bytes[0], self._bytes[1]
        if not second & _MASKED:
            raise ProtocolError(PROTOCOL_ERROR, "a frame from a client must be masked")
        length = second & 0x7F
        size = 2 + {126: 2, 127: 8}.get(length, 0)
        if length < 126 or first & _CONTROL:
            return _FrameHeader(first, 2, length)
        if len(self._bytes) < size:
            return None
        extended = int.from_bytes(self._bytes[2:size], "big")
        if extended < (126 if length == 126 else 65536) or extended >> 63:
            raise ProtocolError(PROTOCOL_ERROR, "the length of a frame must use the shortest encoding")
        return _FrameHeader(first, size, extended)

    def _check(self, header: _FrameHeader) -> None:
        opcode = header.opcode
        if opcode not in _OPCODES:
            raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        starts = opcode in (TEXT, BINARY)
        if header.first & _RSV23 or (header.first & _RSV1 and not (self._inflates and starts)):
            raise ProtocolError(PROTOCOL_ERROR, "a reserved bit is set")
        if opcode & _CONTROL:
            if not header.is_last or header.length > _CONTROL_BYTES:
                raise ProtocolError(PROTOCOL_ERROR, f"a control frame must be unfragmented and at most {_CONTROL_BYTES} bytes")
        elif starts is (self._opcode is not None):
            raise ProtocolError(PROTOCOL_ERROR, "a message starts inside another" if starts else "no message to continue")
        elif len(self._message) + header.length > self.limit_bytes:
            raise ProtocolError(TOO_BIG, f"a message may have at most {self.limit_bytes} bytes")
        elif not starts and self._frames >= _FRAMES:
            raise ProtocolError(TOO_BIG, f"a message may have at most {_FRAMES} frames")

    def _data(self, header: _FrameHeader, payload: bytes) -> ReceivedMessage | None:
        if header.opcode != CONTINUATION:
            self._opcode, self._compressed, self._frames = header.opcode, bool(header.first & _RSV1), 0
        self._frames += 1
        self._message += payload
        if not header.is_last:
            return None
        opcode, self._opcode = self._opcode or TEXT, None
        message, self._message = bytes(self._message), bytearray()
        if self._compressed:
            message = _inflated(message, self.limit_bytes)
        if opcode == TEXT:
            _check_text(message)
        return ReceivedMessage(opcode, message)


def _control(opcode: int, payload: bytes) -> ReceivedMessage:
    if opcode != CLOSE or not payload:
        return ReceivedMessage(opcode, payload)
    code = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else 0
    if code not in _CODES and code not in _PRIVATE_CODES:
        raise ProtocolError(PROTOCOL_ERROR, f"close code {code} is not allowed")
    _check_text(payload[2:])
    return ReceivedMessage(CLOSE, payload[:2])


def _check_text(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_TEXT, "a text message must be UTF-8") from None


def _unmasked(masked: bytearray) -> bytes:
    """Unmask mask + payload (RFC 6455, section 5.3) as one integer: a loop over the bytes takes 30 times as long."""
    mask, payload = masked[:_MASK_BYTES], masked[_MASK_BYTES:]
    length = len(payload)
    key = (mask * (length // _MASK_BYTES + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def _inflated(payload: bytes, limit_bytes: int) -> bytes:
    inflate = zlib.decompressobj(_WINDOW_BITS)
    try:
        message = inflate.decompress(payload + _FLUSHED, limit_bytes + 1)
    except zlib.error:
        raise ProtocolError(BAD_TEXT, "a compressed message is corrupt") from None
    if len(message) > limit_bytes:
        raise ProtocolError(TOO_BIG, f"a message may have at most {limit_bytes} bytes")
    return message
