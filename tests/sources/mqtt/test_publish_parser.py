"""The PUBLISH parser: the same result for any segmentation, other packets unchanged, and no errors for any bytes."""

from __future__ import annotations

import struct
import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.sources.mqtt.publish_parser import Publish, PublishParser, pubacks

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No property is about time: on a busy machine an example may take seconds."""

TOPICS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
PINGRESP, QOS_2 = b"\xd0\x00", 0x04


def length_bytes(length: int) -> bytes:
    digits = bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(digits)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length_bytes(len(body)) + body


def publish_packet(publish: Publish, properties: bytes | None, flags: int = 0) -> bytes:
    """`properties` None is MQTT 3.1.1."""
    topic = publish.topic.encode()
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", publish.packet_id) if publish.qos else b"")
    if properties is not None:
        body += length_bytes(len(properties)) + properties
    return packet(0x30 | publish.qos << 1 | publish.retained | flags, body + publish.payload)


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(st.integers(0, 1))
    payload = draw(st.one_of(st.binary(max_size=30), st.integers(120, 20_000).map(bytes)))
    return Publish(draw(TOPICS), payload, draw(st.integers(1, 65535)) if qos else 0, qos, draw(st.booleans()))


OTHERS = st.one_of(
    st.just(PINGRESP),
    st.builds(packet, st.integers(0, 255).filter(lambda first: first >> 4 != 3), st.binary(max_size=300)),
    st.builds(packet, st.sampled_from([0x30 | QOS_2, 0x3D, 0x36]), st.binary(max_size=300)),  # QoS 2 and 3
)


def feed_pieces(parser: PublishParser, data: bytes, cuts: list[int]) -> tuple[list[Publish], bytes]:
    """The result of feeding `data` in pieces."""
    published, rest = [], b""
    for begin, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        more, left = parser.feed(data[begin:end])
        published += more
        rest += left
    return published, rest


CUTS = st.lists(st.integers(0, 2000), max_size=20)


@BUSY
@given(st.lists(st.one_of(publishes(), OTHERS), max_size=20), st.booleans(), st.binary(max_size=200), CUTS)
def test_publishes_are_separated_from_other_packets_in_any_segmentation(
    packets: list[Publish | bytes], version_5: bool, properties: bytes, cuts: list[int]
) -> None:
    ours = properties if version_5 else None
    data = b"".join(publish_packet(one, ours) if isinstance(one, Publish) else one for one in packets)
    published, rest = feed_pieces(PublishParser(properties=version_5), data, cuts)
    assert published == [one for one in packets if isinstance(one, Publish)]
    assert rest == b"".join(one for one in packets if not isinstance(one, Publish))


@BUSY
@given(st.lists(publishes(), min_size=1, max_size=3), st.booleans())
def test_feeding_byte_by_byte_gives_the_same_result(packets: list[Publish], version_5: bool) -> None:
    data = b"".join(publish_packet(one, b"" if version_5 else None) + PINGRESP for one in packets)
    assert feed_pieces(PublishParser(properties=version_5), data, list(range(len(data)))) == (
        packets,
        PINGRESP * len(packets),
    )


def varint_property(kind: int, value: int) -> bytes:
    return bytes([kind]) + length_bytes(value)


OTHER_PROPERTIES = st.sampled_from(
    [
        b"\x01\x01",  # payload format
        b"\x02\x00\x00\x0b\x07",  # message expiry, with a byte that is the kind of an identifier
        b"\x03\x00\x02\x0b\x0b",  # content type
        b"\x08\x00\x01t",  # response topic
        b"\x09\x00\x03\x0b\x01\x02",  # correlation data
        b"\x26\x00\x01k\x00\x02\x0b\x05",  # user property
    ]
)


@BUSY
@given(
    publishes(),
    st.lists(st.one_of(st.integers(1, 0x0FFF_FFFF), OTHER_PROPERTIES), max_size=8),
    CUTS,
)
def test_subscription_identifiers_are_read_between_other_properties(
    publish: Publish, properties: list[int | bytes], cuts: list[int]
) -> None:
    written = b"".join(one if isinstance(one, bytes) else varint_property(0x0B, one) for one in properties)
    identifiers = tuple(one for one in properties if isinstance(one, int))
    data = publish_packet(publish, written)
    assert feed_pieces(PublishParser(properties=True, identifiers=True), data, cuts)[0] == [
        publish._replace(identifiers=identifiers)
    ]
    assert PublishParser(properties=True).feed(data)[0] == [publish], "not read where no subscription has one"


@BUSY
@given(publishes(), st.binary(max_size=40), CUTS)
def test_malformed_properties_never_raise_or_lose_a_message(publish: Publish, properties: bytes, cuts: list[int]) -> None:
    published, rest = feed_pieces(
        PublishParser(properties=True, identifiers=True), publish_packet(publish, properties) + PINGRESP, cuts
    )
    assert [one._replace(identifiers=()) for one in published] == [publish]
    assert rest == PINGRESP


SEEDS = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"\x30", b"\x32\x0a\x00\x01a", b"\x33\x80", b"\x32\xff\xff\xff", b"\xd0\x00"])
)


@BUSY
@given(st.lists(SEEDS, max_size=12).map(b"".join), st.booleans(), CUTS)
def test_arbitrary_bytes_never_raise_and_parse_alike_in_any_segmentation(data: bytes, version_5: bool, cuts: list[int]) -> None:
    whole = PublishParser(properties=version_5).feed(data)
    assert feed_pieces(PublishParser(properties=version_5), data, cuts) == whole
    assert len(whole[1]) <= len(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\x00\x05abc",  # the topic exceeds the packet
        b"\xff\xffabc",
        b"\x00\x01a",  # no packet id
        b"\x00\x01a\x00",
        b"\x00\x01a\x00\x01",  # no properties
        b"\x00\x01a\x00\x01\x03ab",  # the properties exceed the packet
        b"\x00\x01a\x00\x01\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x00\x00\x00\x01\x00payload",  # a topic alias without a topic
    ],
)
def test_malformed_publish_is_left_for_paho_and_the_next_one_is_parsed(body: bytes) -> None:
    good = Publish("t", b"payload", 7, 1, retained=False)
    bad = packet(0x32, body)
    assert PublishParser(properties=True).feed(bad + publish_packet(good, b"")) == ([good], bad)


def test_everything_after_a_length_of_five_bytes_is_left_for_paho() -> None:
    good = publish_packet(Publish("t", b"payload", 7, 1, retained=False), b"")
    parser = PublishParser(properties=True)
    published, rest = parser.feed(good + b"\x32\xff\xff\xff\xff" + good)
    assert (len(published), rest) == (1, b"\x32\xff\xff\xff\xff" + good)
    assert parser.feed(good) == ([], good)


def test_invalid_utf_8_in_a_topic_is_replaced() -> None:
    (publish,), rest = PublishParser(properties=False).feed(packet(0x30, b"\x00\x05a/\xff/bpayload"))
    assert (publish.topic, publish.payload, rest) == ("a/\ufffd/b", b"payload", b"")


def test_duplicate_flag_is_ignored() -> None:
    publish = Publish("t", b"payload", 7, 1, retained=True)
    assert PublishParser(properties=True).feed(publish_packet(publish, b"", flags=0x08)) == ([publish], b"")


def test_large_publish_in_many_pieces_takes_linear_time() -> None:
    publish = Publish("t", bytes(32_000_000), 7, 1, retained=False)
    data = publish_packet(publish, b"")
    began = time.process_time()
    published, _ = feed_pieces(PublishParser(properties=True), data, list(range(0, len(data), 1000)))
    assert published == [publish]
    assert time.process_time() - began < 5, "copying the buffer for every piece would take minutes"


@BUSY
@given(st.lists(st.integers(1, 65535), max_size=20))
def test_pubacks_are_joined_in_order(packet_ids: list[int]) -> None:
    assert pubacks(packet_ids) == b"".join(b"\x40\x02" + packet_id.to_bytes(2) for packet_id in packet_ids)
