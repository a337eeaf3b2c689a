"""Binary encodings: values within limits, and nothing that is passed over."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cbor2
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.binary import EncodingFault, decode_cbor, decode_msgpack, likely_encoding

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(max_size=300)),
    lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(st.text(max_size=40), inner, max_size=20)),
    max_leaves=20,
)


@given(VALUES)
def test_value_survives_each_encoding(value: Any) -> None:
    assert decode_cbor(cbor2.dumps(value)) == value
    assert decode_msgpack(ormsgpack.packb(value)) == value


@given(VALUES, st.binary(min_size=1, max_size=5).filter(lambda rest: rest.strip(b"\0") != b""))
def test_bytes_after_the_value_are_refused_and_nuls_are_not(value: Any, rest: bytes) -> None:
    for decode, encoded in ((decode_cbor, cbor2.dumps(value)), (decode_msgpack, ormsgpack.packb(value))):
        assert decode(encoded + b"\0\0") == value
        with pytest.raises(EncodingFault, match="bytes after the value"):
            decode(encoded + rest)


@given(st.binary(max_size=200))
def test_decoding_any_bytes_gives_a_value_or_a_fault(data: bytes) -> None:
    for decode in (decode_cbor, decode_msgpack):
        with suppress(EncodingFault):
            decode(data)


def test_bytes_and_huge_numbers_are_never_read_as_another_number() -> None:
    assert decode_cbor(cbor2.dumps({"a": b"\x01\x02", "b": 10**30})) == {"a": "h'0102'", "b": float("inf")}


def test_json_is_neither_encoding() -> None:
    assert likely_encoding(b'{"temperature": 21.5}') is None
    assert likely_encoding(ormsgpack.packb({"a": 1})) == "MessagePack"
    assert likely_encoding(cbor2.dumps({"a": 1})) == "CBOR"
