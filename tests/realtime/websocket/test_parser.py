"""The frame parser, without a socket."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.websocket.parser import BINARY, CLOSE, PING, TEXT, FrameParser, ProtocolError, ReceivedMessage

LIMIT = 64 * 1024
MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    length = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 65536:
        head = struct.pack(">BBH", first, bit | 126, length)
    else:
        head = struct.pack(">BBQ", first, bit | 127, length)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[n % 4] for n, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


BROKEN = [
    (frame(TEXT, b"{}", masked=False), 1002),
    (frame(TEXT, b"{}", rsv=1), 1002),
    (frame(TEXT, b"{}", rsv=2), 1002),
    (frame(TEXT, b"{}", rsv=4), 1002),
    (frame(PING, b"", rsv=1), 1002),
    *((frame(opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    (frame(PING, b"a", fin=False), 1002),
    (frame(CLOSE, b"", fin=False), 1002),
    (frame(PING, b"a" * 126), 1002),
    (frame(0, b"{}"), 1002),
    (frame(0, b"{}", fin=False), 1002),
    (frame(TEXT, b"", fin=False) + frame(TEXT, b"{}"), 1002),
    (frame(TEXT, b"{", fin=False) + frame(BINARY, b"}"), 1002),
    (frame(TEXT, b"{", fin=False) + frame(0, b"}") + frame(0, b""), 1002),
    (b"\x81\xfe\x00\x02" + MASK + b"ab", 1002),
    (b"\x81\xff" + struct.pack(">Q", 300) + MASK, 1002),
    (b"\x81\xff" + struct.pack(">Q", 1 << 63) + MASK, 1002),
    (frame(TEXT, b"\xff"), 1007),
    (frame(TEXT, b"\xce\xba\xe1", fin=False) + frame(0, b"\xed\xa0\x80"), 1007),
    (frame(TEXT, b"a" * (LIMIT + 1)), 1009),
    (b"\x81\xff" + struct.pack(">Q", 1 << 40) + MASK, 1009),
    (frame(TEXT, b"a" * LIMIT, fin=False) + frame(0, b"a"), 1009),
    (frame(BINARY, b"a" * LIMIT, fin=False) + frame(0, b"a"), 1009),
    (frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 256, 1009),
    (frame(TEXT, b"a", fin=False) + frame(0, b"a", fin=False) * 255 + frame(0, b"a"), 1009),
    (frame(CLOSE, b"a"), 1002),
    (close(1000, b"\xff"), 1007),
    *((close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)),
]


@pytest.mark.parametrize(("sent", "code"), BROKEN)
def test_protocol_violation_raises_its_close_code(sent: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        list(FrameParser(LIMIT).feed(sent))
    assert caught.value.code == code


def test_excessive_length_is_refused_before_the_payload_arrives() -> None:
    with pytest.raises(ProtocolError) as caught:
        list(FrameParser(LIMIT).feed(b"\x81\xff" + struct.pack(">Q", LIMIT + 1)))
    assert caught.value.code == 1009


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 3999, 4000, 4999])
def test_valid_close_code_is_accepted(code: int) -> None:
    assert list(FrameParser(LIMIT).feed(close(code, "tschüß".encode()))) == [ReceivedMessage(CLOSE, struct.pack(">H", code))]


def test_control_frame_between_fragments_is_accepted() -> None:
    sent = frame(TEXT, b"\xc3", fin=False) + frame(PING, b"?") + frame(0, b"", fin=False) + frame(0, b"\xbc")
    assert list(FrameParser(LIMIT).feed(sent)) == [ReceivedMessage(PING, b"?"), ReceivedMessage(TEXT, "ü".encode())]


def test_every_message_may_have_the_maximum_number_of_frames() -> None:
    sent = frame(TEXT, b"a", fin=False) + frame(0, b"b", fin=False) * 254 + frame(0, b"c")
    assert list(FrameParser(LIMIT).feed(sent * 3)) == [ReceivedMessage(TEXT, b"a" + b"b" * 254 + b"c")] * 3


@given(
    st.lists(st.tuples(st.text(max_size=300), st.integers(1, 7)), max_size=6),
    st.integers(1, 50),
)
def test_messages_are_parsed_however_the_bytes_are_split(messages: list[tuple[str, int]], step: int) -> None:
    sent = b""
    for text, parts in messages:
        payload = text.encode()
        size = len(payload) // parts + 1
        pieces = [payload[start : start + size] for start in range(0, len(payload) or 1, size)]
        for n, piece in enumerate(pieces):
            sent += frame(TEXT if n == 0 else 0, piece, fin=n == len(pieces) - 1)
    reader = FrameParser(LIMIT)
    got = [one for start in range(0, len(sent), step) for one in reader.feed(sent[start : start + step])]
    assert got == [ReceivedMessage(TEXT, text.encode()) for text, _ in messages]


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_yield_messages_or_protocol_errors_only(sent: bytes) -> None:
    reader = FrameParser(LIMIT, inflates=True)
    with suppress(ProtocolError):
        list(reader.feed(sent))
    assert len(reader._bytes) <= 2000


def squeezed(text: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def test_compressed_message_is_decompressed_if_agreed() -> None:
    packed = squeezed(b'{"type": "ping"}')
    sent = frame(TEXT, packed[:5], fin=False, rsv=4) + frame(0, packed[5:]) + frame(TEXT, b"plain")
    assert [message.payload for message in FrameParser(LIMIT, inflates=True).feed(sent)] == [b'{"type": "ping"}', b"plain"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, squeezed(b"a" * (LIMIT + 1)), rsv=4), 1009),
        (frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
        (frame(TEXT, squeezed(b"\xff"), rsv=4), 1007),
        (frame(PING, b"", rsv=4), 1002),
        (frame(TEXT, b"", fin=False) + frame(0, b"", rsv=4), 1002),
    ],
)
def test_invalid_compressed_message_raises_its_close_code(sent: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        list(FrameParser(LIMIT, inflates=True).feed(sent))
    assert caught.value.code == code
