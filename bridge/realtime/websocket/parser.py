"""WebSocket messages from a client, taken apart by the letter of RFC 6455. Plain bookkeeping, without a socket.

aiohttp's own reader lets through what the standard forbids (frames without a mask, close codes from 5000 on, a new message
inside one whose first fragment is empty), and costs each client a queue.
"""

from __future__ import annotations

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
"""The most that a message may be cut into: an empty one holds nothing, and takes as long as any other."""

GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, BAD_TEXT, TOO_BIG = 1001, 1002, 1003, 1007, 1009
_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
_FREE_CODES = range(3000, 5000)


class ProtocolError(BridgeError):
    """What a client may not send; the connection ends with `code`."""

    def __init__(self, code: int, text: str) -> None:
        """`text` is the reason that the client is told."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A whole message or a control frame; of CLOSE the payload is the code that came with it, or nothing."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class _FrameHeader:
    """The beginning of a frame."""

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
    def whole(self) -> int:
        """Bytes of the frame, with its head and mask."""
        return self.size + _MASK_BYTES + self.length


class FrameParser:
    """Bytes in, messages out; holds at most one message of `limit_bytes` and what of a read has not been taken apart."""

    def __init__(self, limit_bytes: int, *, inflates: bool = False) -> None:
        """`inflates`: compressed messages were agreed, each of them for itself (`client_no_context_takeover`)."""
        self.limit_bytes = limit_bytes
        self._inflates = inflates
        self._bytes = bytearray()
        self._message = bytearray()
        self._opcode: int | None = None  # of the message that has begun
        self._frames = 0  # of it
        self._compressed = False

    def feed(self, chunk: bytes) -> Iterator[ReceivedMessage]:
        """What is complete now; raises `ProtocolError` at the place where the client broke a rule."""
        self._bytes += chunk
        while (head := self._head()) is not None:
            self._check(head)
            if len(self._bytes) < head.whole:
                return
            payload = _unmasked(self._bytes[head.size : head.whole])
            del self._bytes[: head.whole]
            incoming = _control(head.opcode, payload) if head.opcode & _CONTROL else self._data(head, payload)
            if incoming is not None:
                yield incoming

    def _head(self) -> _FrameHeader | None:
        """The head of the next frame, once all of it is here; the length as short as it can be written."""
        if len(self._bytes) < 2:
            return None
        first, second = self._bytes[0], self._bytes[1]
        if not second & _MASKED:
            raise ProtocolError(PROTOCOL_ERROR, "a frame from a client is masked")
        length = second & 0x7F
        size = 2 + {126: 2, 127: 8}.get(length, 0)
        if length < 126 or first & _CONTROL:
            return _FrameHeader(first, 2, length)
        if len(self._bytes) < size:
            return None
        long = int.from_bytes(self._bytes[2:size], "big")
        if long < (126 if length == 126 else 65536) or long >> 63:
            raise ProtocolError(PROTOCOL_ERROR, "the length of a frame is written in as few bytes as it needs")
        return _FrameHeader(first, size, long)

    def _check(self, head: _FrameHeader) -> None:
        opcode = head.opcode
        if opcode not in _OPCODES:
            raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        starts = opcode in (TEXT, BINARY)
        if head.first & _RSV23 or (head.first & _RSV1 and not (self._inflates and starts)):
            raise ProtocolError(PROTOCOL_ERROR, "a reserved bit is set")
        if opcode & _CONTROL:
            if not head.is_last or head.length > _CONTROL_BYTES:
                raise ProtocolError(PROTOCOL_ERROR, f"a control frame is whole and holds {_CONTROL_BYTES} bytes at most")
        elif starts is (self._opcode is not None):
            raise ProtocolError(PROTOCOL_ERROR, "a message begins inside another" if starts else "nothing is to be continued")
        elif len(self._message) + head.length > self.limit_bytes:
            raise ProtocolError(TOO_BIG, f"a message holds {self.limit_bytes} bytes at most")
        elif not starts and self._frames >= _FRAMES:
            raise ProtocolError(TOO_BIG, f"a message comes in {_FRAMES} frames at most")

    def _data(self, head: _FrameHeader, payload: bytes) -> ReceivedMessage | None:
        if head.opcode != CONTINUATION:
            self._opcode, self._compressed, self._frames = head.opcode, bool(head.first & _RSV1), 0
        self._frames += 1
        self._message += payload
        if not head.is_last:
            return None
        opcode, self._opcode = self._opcode or TEXT, None
        whole, self._message = bytes(self._message), bytearray()
        if self._compressed:
            whole = _inflated(whole, self.limit_bytes)
        if opcode == TEXT:
            _check_text(whole)
        return ReceivedMessage(opcode, whole)


def _control(opcode: int, payload: bytes) -> ReceivedMessage:
    if opcode != CLOSE or not payload:
        return ReceivedMessage(opcode, payload)
    code = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else 0
    if code not in _CODES and code not in _FREE_CODES:
        raise ProtocolError(PROTOCOL_ERROR, "no code to close with")
    _check_text(payload[2:])
    return ReceivedMessage(CLOSE, payload[:2])


def _check_text(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_TEXT, "a text is UTF-8") from None


def _unmasked(masked: bytearray) -> bytes:
    """Mask and payload (RFC 6455, section 5.3); as one long number, for a loop over the bytes takes 30 times as long."""
    mask, payload = masked[:_MASK_BYTES], masked[_MASK_BYTES:]
    length = len(payload)
    key = (mask * (length // _MASK_BYTES + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def _inflated(payload: bytes, limit: int) -> bytes:
    inflate = zlib.decompressobj(_WINDOW_BITS)
    try:
        whole = inflate.decompress(payload + _FLUSHED, limit + 1)
    except zlib.error:
        raise ProtocolError(BAD_TEXT, "a compressed message cannot be unpacked") from None
    if len(whole) > limit:
        raise ProtocolError(TOO_BIG, f"a message holds {limit} bytes at most")
    return whole
