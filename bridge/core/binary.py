"""Binary encodings of JSON values: CBOR, MessagePack and gzip, within limits."""

import math
import zlib
from io import BytesIO

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
    stream = BytesIO(payload)
    try:
        value = cbor2.load(stream)
        _check_end(payload, stream.tell())
        return _plain(value)
    except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError, MemoryError, TypeError) as error:
        raise EncodingFault(f"not CBOR: {_first_line(error)}") from None


def decode_msgpack(payload: bytes) -> object:
    """Return the value in MessagePack. Raises `EncodingFault`."""
    try:
        value = ormsgpack.unpackb(payload, option=ormsgpack.OPT_NON_STR_KEYS)
        _check_end(payload, _msgpack_end(payload))
        return _plain(value)
    except (ormsgpack.MsgpackDecodeError, ValueError, RecursionError) as error:
        raise EncodingFault(f"not MessagePack: {_first_line(error)}") from None


def _check_end(payload: bytes, end: int) -> None:
    """Raises `ValueError` if more than NULs follow the value: the decoders pass over it."""
    rest = len(payload[end:].rstrip(b"\0"))
    if rest:
        raise ValueError(f"{rest} bytes after the value")


_MSGPACK_BYTES = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5,
    0xD7: 9, 0xD8: 17,
}  # fmt: skip
"""Bytes of a number or a fixed extension by its first byte (MessagePack specification, "Formats")."""
_MSGPACK_LENGTHS = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4,
}  # fmt: skip
"""Bytes of the length that follows the first byte."""
_MSGPACK_EXTENSIONS = (0xC7, 0xC8, 0xC9)
_MSGPACK_LISTS, _MSGPACK_OBJECTS = (0xDC, 0xDD), (0xDE, 0xDF)


def _msgpack_end(payload: bytes) -> int:
    """Return where the first value of valid MessagePack ends."""
    offset, values = 0, 1
    while values:
        first = payload[offset]
        offset, values = offset + 1, values - 1
        if first in _MSGPACK_LENGTHS:
            size = _MSGPACK_LENGTHS[first]
            length = int.from_bytes(payload[offset : offset + size])
            offset += size
            if first in _MSGPACK_LISTS + _MSGPACK_OBJECTS:
                values += length * (2 if first in _MSGPACK_OBJECTS else 1)
            else:
                offset += length + (first in _MSGPACK_EXTENSIONS)
        elif 0x80 <= first < 0xA0:
            values += (first & 0x0F) * (2 if first < 0x90 else 1)
        elif 0xA0 <= first < 0xC0:
            offset += first & 0x1F
        else:
            offset += _MSGPACK_BYTES.get(first, 0)
    return offset


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
