"""CBOR and MessagePack: the encoded value is read as JSON is, or by the family that it belongs to."""

from collections.abc import Callable

from bridge.core.binary import decode_cbor, decode_msgpack, likely_encoding
from bridge.core.formats.format import FormatSpec
from bridge.core.formats.payload import Payload


def _is(encoding: str) -> Callable[[Payload], bool]:
    def recognizes(payload: Payload) -> bool:
        return payload.json_or_none() is None and likely_encoding(payload.data) == encoding

    return recognizes


_PATTERN = "sensors/{deviceId}/data"
CBOR = FormatSpec("cbor", _PATTERN, (), None, _is("CBOR"), decode_cbor)
MSGPACK = FormatSpec("msgpack", _PATTERN, (), None, _is("MessagePack"), decode_msgpack)
