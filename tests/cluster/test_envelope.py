from __future__ import annotations

import hashlib
import secrets
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES, WINDOW, BusFault, BusMessageError, Envelope, Opener, Sealer

KEY = bytes(range(32))
ALICE, BOB, CAROL = "a" * 16, "b" * 16, "c" * 16
HEADER = struct.Struct(">B8sQ8sB")


def sealer(bridge: str = ALICE, key: bytes = KEY, cluster: str = "plant") -> Sealer:
    return Sealer(key, bridge, cluster=cluster)


def opener(own: str = BOB, **members: int) -> Opener:
    opened = Opener(KEY, own, cluster="plant")
    opened.set_members(members or {ALICE: 0, BOB: 0, CAROL: 0})
    return opened


def fault(opened: Opener, data: bytes) -> BusFault:
    with pytest.raises(BusMessageError) as refused:
        opened.open(data)
    return refused.value.fault


@pytest.mark.parametrize("body", [b"", b"x", bytes(300_000)])
@pytest.mark.parametrize("kind", ["a", "announce", "k" * 32])
def test_a_sealed_message_is_opened_by_another_member(kind: str, body: bytes) -> None:
    assert opener().open(sealer().seal(kind, body)) == Envelope(ALICE, 1, kind, body)


def test_the_format_on_the_wire_is_as_documented() -> None:
    data = sealer().seal("kind", b"body", to=BOB)
    content = HEADER.pack(1, bytes.fromhex(ALICE), 1, bytes.fromhex(BOB), 4) + b"kind" + b"body"
    mac = hashlib.blake2b(b"\x00\x00\x00\x05plant" + content, digest_size=16, key=KEY, person=b"sensor-bridge 1").digest()
    assert data == content + mac


def test_a_message_for_one_bridge_is_opened_by_that_bridge_alone() -> None:
    data = sealer().seal("request", b"?", to=CAROL)
    assert fault(opener(BOB), data) is BusFault.NOT_FOR_US
    assert opener(CAROL).open(data).body == b"?"


def test_a_bridge_ignores_its_own_messages() -> None:
    assert fault(opener(ALICE), sealer(ALICE).seal("x", b"")) is BusFault.NOT_FOR_US


def test_a_message_of_an_authentic_bridge_that_is_no_member_is_told_from_a_forgery() -> None:
    assert fault(opener(BOB, **{CAROL: 0}), sealer(ALICE).seal("x", b"")) is BusFault.UNKNOWN_BRIDGE
    assert fault(opener(BOB, **{CAROL: 0}), sealer(ALICE, secrets.token_bytes(32)).seal("x", b"")) is BusFault.FORGED


@pytest.mark.parametrize("other", [sealer(key=bytes(32)), sealer(cluster="plan"), sealer(cluster="plant2"), sealer(cluster="")])
def test_a_message_with_another_key_or_cluster_is_forged(other: Sealer) -> None:
    assert fault(opener(), other.seal("x", b"body")) is BusFault.FORGED


def test_a_message_with_any_bit_changed_is_refused() -> None:
    data = sealer().seal("kind", b"body", to=BOB)
    seen = set()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        seen.add(fault(opener(), bytes(changed)))
    assert seen == {BusFault.MALFORMED, BusFault.FORGED, BusFault.NOT_FOR_US, BusFault.REPLAYED}  # number 1 becomes 0
    assert opener().open(data).body == b"body"


@pytest.mark.parametrize(("offset", "expected"), [(1, BusFault.FORGED), (9, BusFault.FORGED), (17, BusFault.NOT_FOR_US)])
def test_a_bit_changed_in_a_field_of_the_header_has_this_fault(offset: int, expected: BusFault) -> None:
    changed = bytearray(sealer().seal("kind", b"body", to=BOB))
    changed[offset] ^= 1
    assert fault(opener(), bytes(changed)) is expected


def test_bytes_moved_between_kind_and_body_are_a_forgery() -> None:
    data = bytearray(sealer().seal("kind", b"body"))
    data[25] += 1
    assert fault(opener(), bytes(data)) is BusFault.FORGED


def test_a_message_is_accepted_once_and_a_forgery_does_not_use_up_its_number() -> None:
    receiving, data = opener(), sealer().seal("x", b"body")
    assert fault(receiving, data[:-1] + bytes([data[-1] ^ 1])) is BusFault.FORGED
    receiving.open(data)
    assert [fault(receiving, data) for _ in range(3)] == [BusFault.REPLAYED] * 3


def test_messages_in_any_order_within_the_window_are_accepted_once_and_older_ones_are_not() -> None:
    receiving, sending = opener(), sealer()
    sent = [sending.seal("x", b"") for _ in range(WINDOW + 1)]
    receiving.open(sent[WINDOW])
    assert fault(receiving, sent[0]) is BusFault.REPLAYED  # never seen, and too old to tell
    assert [receiving.open(data).number for data in reversed(sent[1:WINDOW])] == list(range(WINDOW, 1, -1))
    assert {fault(receiving, data) for data in sent} == {BusFault.REPLAYED}


@settings(max_examples=200)
@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_the_window_accepts_what_a_set_of_all_numbers_accepts(order: list[int]) -> None:
    receiving, sending = opener(), sealer()
    sent = [sending.seal("x", b"") for _ in range(3 * WINDOW + 1)] if order else []
    accepted: set[int] = set()
    for index in order:
        number = index + 1
        if number in accepted or number <= max(accepted, default=0) - WINDOW:
            assert fault(receiving, sent[index]) is BusFault.REPLAYED
        else:
            assert receiving.open(sent[index]).number == number
            accepted.add(number)


def test_recordings_from_before_a_bridge_was_first_seen_are_refused() -> None:
    sending = sealer()
    recorded = [sending.seal("x", b"") for _ in range(10)]
    late = opener(BOB, **{ALICE: sending.number})
    assert {fault(late, data) for data in recorded} == {BusFault.REPLAYED}
    assert late.open(sending.seal("x", b"new")).body == b"new"


def test_a_bridge_that_leaves_and_returns_keeps_its_window() -> None:
    receiving, sending = opener(BOB, **{ALICE: 0}), sealer()
    data = sending.seal("x", b"")
    receiving.open(data)
    receiving.set_members({})
    assert fault(receiving, data) is BusFault.UNKNOWN_BRIDGE
    receiving.set_members({ALICE: 0})
    assert fault(receiving, data) is BusFault.REPLAYED
    assert receiving.open(sending.seal("x", b"")).number == 2
    assert receiving.members == {ALICE}


def test_messages_up_to_the_limit_are_accepted_and_larger_ones_refused() -> None:
    overhead = len(sealer().seal("x", b""))
    largest = sealer().seal("x", bytes(MESSAGE_LIMIT_BYTES - overhead))
    assert len(largest) == MESSAGE_LIMIT_BYTES
    assert len(opener().open(largest).body) == MESSAGE_LIMIT_BYTES - overhead
    assert fault(opener(), largest + b"x") is BusFault.MALFORMED
    with pytest.raises(ValueError, match="16777217 bytes"):
        sealer().seal("x", bytes(MESSAGE_LIMIT_BYTES - overhead + 1))


@pytest.mark.parametrize("kind", ["", "k" * 33, "Kind", "a b", "ключ", "1"])
def test_a_kind_that_is_not_valid_is_not_sent(kind: str) -> None:
    with pytest.raises(ValueError, match="kind"):
        sealer().seal(kind, b"")


@pytest.mark.parametrize("bridge", ["", "a" * 15, "A" * 16, "0" * 16, "g" * 16, "a" * 17, "a" * 16 + "\n"])
def test_a_bridge_id_that_is_not_valid_is_refused(bridge: str) -> None:
    with pytest.raises(ValueError, match="bridge id"):
        sealer(bridge)
    with pytest.raises(ValueError, match="bridge id"):
        opener(bridge)
    with pytest.raises(ValueError, match="bridge id"):
        sealer().seal("x", b"", to=bridge)


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_the_error_of_the_bus(data: bytes) -> None:
    assert fault(opener(), data) in set(BusFault)


@settings(max_examples=500)
@given(st.binary(max_size=40), st.integers(0, 255), st.binary(max_size=40), st.integers(0, 2**64 - 1))
def test_authentic_nonsense_raises_nothing_but_the_error_of_the_bus(kind: bytes, length: int, body: bytes, number: int) -> None:
    content = HEADER.pack(1, bytes.fromhex(ALICE), number, bytes(8), length) + kind + body
    mac = hashlib.blake2b(b"\x00\x00\x00\x05plant" + content, digest_size=16, key=KEY, person=b"sensor-bridge 1").digest()
    with suppress(BusMessageError):
        assert opener().open(content + mac).number == number
