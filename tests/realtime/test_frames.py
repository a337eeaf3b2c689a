"""Frames, parsed by the rules of RFC 6455 and RFC 7692."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.frames import POLICY_VIOLATION, close_frame, deflated, payload_of, text_frame

LENGTHS = (0, 1, 125, 126, 127, 65535, 65536, 70_000)


def frames_in(wire: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield first byte and payload of each frame; raise if bytes are left over."""
    while wire:
        first, length, start = wire[0], wire[1], 2
        if length == 126:
            (length,), start = struct.unpack(">H", wire[2:4]), 4
            assert length > 125, "must use the shortest encoding"
        elif length == 127:
            (length,), start = struct.unpack(">Q", wire[2:10]), 10
            assert length > 65535
        assert len(wire) >= start + length
        yield first, wire[start : start + length]
        wire = wire[start + length :]


class Receiver:
    """A client with permessage-deflate that keeps its window between messages."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(-15)

    def read(self, wire: bytes) -> list[bytes]:
        return [self._message(first, payload) for first, payload in frames_in(wire)]

    def _message(self, first: int, payload: bytes) -> bytes:
        assert first & ~0x40 == 0x81, "an unfragmented text message"
        return self._inflate.decompress(payload + b"\x00\x00\xff\xff") if first & 0x40 else payload


@pytest.mark.parametrize("length", LENGTHS)
def test_frame_is_one_text_message_with_the_shortest_length_encoding(length: int) -> None:
    payload = b"x" * length
    assert list(frames_in(text_frame(payload))) == [(0x81, payload)]


@pytest.mark.parametrize("length", LENGTHS)
def test_payload_is_extracted_from_its_frame(length: int) -> None:
    payload = b"\x7f" * length
    assert payload_of(text_frame(payload)) == payload


@pytest.mark.parametrize(("reason", "kept"), [("", ""), ("slow", "slow"), ("x" * 200, "x" * 120)])
def test_close_frame_contains_code_and_truncated_reason(reason: str, kept: str) -> None:
    ((first, payload),) = frames_in(close_frame(POLICY_VIOLATION, reason))
    assert first == 0x88
    assert len(payload) <= 125
    assert payload == struct.pack(">H", 1008) + kept.encode()


def test_compressed_readings_are_less_than_a_third_of_their_size() -> None:
    frames = [text_frame(b'42["sensorData",{"data":{"temperature":%d,"deviceId":"esp32"}}]' % n) for n in range(100)]
    wire = deflated(frames)
    assert Receiver().read(wire) == [payload_of(frame) for frame in frames]
    assert len(wire) < sum(map(len, frames)) / 3


texts = st.text(max_size=300).map(str.encode) | st.integers(0, 3).map(lambda n: (b"abcd%d" % n) * 20_000) | st.just(b"")
batches = st.lists(texts, min_size=1, max_size=6)


@given(
    shared=st.lists(st.tuples(batches, st.booleans()), max_size=6), own=st.lists(st.tuples(batches, st.booleans()), max_size=4)
)
def test_one_compressed_batch_serves_clients_with_different_histories(
    shared: list[tuple[list[bytes], bool]], own: list[tuple[list[bytes], bool]]
) -> None:
    plain, newcomer = Receiver(), Receiver()
    for past, batches_of in ((plain, own), (plain, shared), (newcomer, shared)):
        for batch, is_compressed in batches_of:
            frames = [text_frame(text) for text in batch]
            assert past.read(deflated(frames) if is_compressed else b"".join(frames)) == batch
