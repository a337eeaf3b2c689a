"""PUBLISH packets, taken out of the bytes that a broker sends; pure, and the only place that knows how one is written.

paho needs 84 µs for a PUBLISH of MQTT 5 (12 µs for one of 3.1.1), its three reads from the socket not counted; this 2.3 µs.
What is no PUBLISH of QoS 0 or 1, or is a bad one, is left for paho as it came: paho answers it or reports the protocol error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Fixed header: packet type 3, DUP, QoS in two bits, RETAIN. Without the upper bit of QoS it is 0 or 1.
_TYPE_AND_UPPER_QOS, _PUBLISH_QOS_0_OR_1 = 0b1111_0100, 0b0011_0000
_QOS_1, _RETAIN = 0b10, 0b1
_LENGTH_SHIFTS = (0, 7, 14, 21)
_PUBACK_AND_LENGTH = 0x4002  # without a reason code, which means success: the same four bytes in MQTT 5 and in 3.1.1


class Publish(NamedTuple):
    """A PUBLISH. `packet_id` is 0 with QoS 0; what is not UTF-8 in its topic is U+FFFD."""

    topic: str
    payload: bytes
    packet_id: int
    qos: int
    retained: bool


class PublishParser:
    """One connection's bytes, from first to last, cut wherever the network cut them."""

    def __init__(self, *, properties: bool) -> None:
        """`properties`: a PUBLISH has them (MQTT 5). They are skipped: none of ours asks for any."""
        self._properties = properties
        self._held = bytearray()  # the beginning of a packet
        self._wanted_bytes = 0  # before these are held it is not whole
        self._lost = False

    def feed(self, data: bytes) -> tuple[list[Publish], bytes]:
        """The whole PUBLISHes of QoS 0 and 1 up to here, and all other whole packets, in order. Raises nothing.

        After a packet whose length has more than four bytes nobody knows where the next begins: all is left, PUBLISH or not.
        """
        published: list[Publish] = []
        others: list[bytes] = []
        data = self._joined(data)
        for begin, body, end in self._packets(data):
            publish = self._publish(data, begin, body, end)
            if publish is None:
                others.append(data[begin:end])
            else:
                published.append(publish)
        return published, b"".join(others)

    def _joined(self, data: bytes) -> bytes:
        """What is held and `data`, or nothing while that is not a whole packet: a large one is put together once."""
        if not self._held:
            return data
        self._held += data
        if len(self._held) < self._wanted_bytes:
            return b""
        data = bytes(self._held)
        self._held.clear()
        return data

    def _packets(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """Where each whole packet, its body and its end are; what is not whole is held."""
        at, size = 0, len(data)
        try:
            while not self._lost and at < size:
                length, body = _variable_length(data, at + 1)
                end = body + length
                if end > size:
                    self._hold(data[at:], end - at)
                    return
                yield at, body, end
                at = end
        except IndexError:  # in the middle of the length
            self._hold(data[at:], 0)
            return
        except ValueError:
            self._lost = True
        if at < size:
            yield at, size, size  # without a body nothing is a good PUBLISH

    def _hold(self, data: bytes, wanted_bytes: int) -> None:
        self._held += data
        self._wanted_bytes = wanted_bytes

    def _publish(self, data: bytes, begin: int, body: int, end: int) -> Publish | None:
        """The packet there, when it is a PUBLISH of QoS 0 or 1 and a good one; with an empty topic (an alias) it is not."""
        first = data[begin]
        if first & _TYPE_AND_UPPER_QOS != _PUBLISH_QOS_0_OR_1:
            return None
        try:
            topic = body + 2
            at = topic_end = topic + (data[body] << 8 | data[body + 1])
            qos = packet_id = 0
            if first & _QOS_1:
                qos, packet_id = 1, data[at] << 8 | data[at + 1]
                at += 2
            if self._properties:
                length, at = _variable_length(data, at)
                at += length
        except (IndexError, ValueError):
            return None
        if at > end or topic == topic_end:  # it was read past its end; every step leads forwards
            return None
        # paho would give up the connection for a topic that is not UTF-8, and again at every redelivery; ours is quarantined.
        return Publish(data[topic:topic_end].decode("utf-8", "replace"), data[at:end], packet_id, qos, bool(first & _RETAIN))


def _variable_length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; raises IndexError when it is cut off, ValueError past four bytes."""
    value = 0
    for shift in _LENGTH_SHIFTS:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a length has at most four bytes")


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """A PUBACK for each, in order, as one piece of bytes."""
    words = [word for packet_id in packet_ids for word in (_PUBACK_AND_LENGTH, packet_id)]
    return struct.pack(f">{len(words)}H", *words)
