"""Binary encodings of JSON values: CBOR, MessagePack and gzip, within limits."""

import math
import zlib

import cbor2
import ormsgpack

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib: the largest window, with a gzip header
_CBOR_MAJOR_TYPES = (4, 5)  # a list, an object
_MSGPACK_FIRST_BYTES = frozenset((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))  # objects and lists


class EncodingFault(ValueError):
    """The bytes are not of the encoding, or decode to more than the limit."""


def decode_cbor(payload: bytes) -> object:
    """Return the value in CBOR (RFC 8949). Raises `EncodingFault`."""
    try:
        return _plain(cbor2.loads(payload))
    except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError, MemoryError, TypeError) as error:
        raise EncodingFault(f"not CBOR: {_first_line(error)}") from None


def decode_msgpack(payload: bytes) -> object:
    """Return the value in MessagePack. Raises `EncodingFault`."""
    try:
        return _plain(ormsgpack.unpackb(payload, option=ormsgpack.OPT_NON_STR_KEYS))
    except (ormsgpack.MsgpackDecodeError, ValueError, RecursionError) as error:
        raise EncodingFault(f"not MessagePack: {_first_line(error)}") from None


def gunzip(payload: bytes, limit: int) -> bytes:
    """Return the uncompressed bytes, at most `limit`. Raises `EncodingFault`."""
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    try:
        data = decompressor.decompress(payload, limit + 1)
    except zlib.error as error:
        raise EncodingFault(f"not gzip: {_first_line(error)}") from None
    if len(data) > limit:
        raise EncodingFault(f"more than {limit} bytes uncompressed")
    if not decompressor.eof:
        raise EncodingFault("not gzip: the end is missing")
    return data


def likely_encoding(payload: bytes) -> str | None:
    """Return the encoding that a payload is probably in, or None: `CBOR`, `MessagePack`."""
    for name, plausible, decode in (
        ("CBOR", payload[:1] and payload[0] >> 5 in _CBOR_MAJOR_TYPES, decode_cbor),
        ("MessagePack", payload[:1] and payload[0] in _MSGPACK_FIRST_BYTES, decode_msgpack),
    ):
        if plausible:
            try:
                if isinstance(decode(payload), dict | list):
                    return name
            except EncodingFault:
                continue
    return None


_DEPTH = 64
_WHOLE_BELOW = 2**64  # CBOR has whole numbers of any size


def _plain(value: object, depth: int = 0) -> object:
    """Return a decoded value with the types of JSON: keys are texts, anything that JSON has not is a text. Bytes are written as
    in CBOR's diagnostic notation, h'0102', so that they are never read as a number.
    """
    if depth > _DEPTH:
        raise ValueError(f"nested deeper than {_DEPTH} levels")
    if isinstance(value, int) and not -_WHOLE_BELOW < value < _WHOLE_BELOW:
        return math.inf if value > 0 else -math.inf
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return f"h'{value.hex()}'" if isinstance(value, bytes) else str(value)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].encode("ascii", "backslashreplace").decode()
